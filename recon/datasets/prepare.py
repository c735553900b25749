"""From a source to one HDF5 file: resumable, parallel over objects."""

from __future__ import annotations

import platform
import time
from collections import Counter
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass, field
from importlib import metadata
from pathlib import Path
from typing import Any

import h5py
import numpy as np
import torch
from numpy.typing import NDArray

from recon.datasets.categories import category_of, present_categories
from recon.datasets.hdf5 import (
    Header,
    Labels,
    open_dataset,
    read_json,
    read_texts,
    write_dataset,
)
from recon.datasets.layout import Sample
from recon.datasets.parts import Parts, make_parts
from recon.datasets.preview import write_preview
from recon.datasets.sources import Item, PictureSource

FIRST_SPLITS = ("train", "val", "test")


@dataclass(frozen=True)
class Summary:
    """What a prepared file holds.

    Attributes:
        output: the file.
        counts: objects by (synset, split).
        failures: objects left out, as {id: reason}.
        leaving: ids of the objects which leave the picture in some view.
        seconds: what it took; 0 if the file was there already.
    """

    output: Path
    counts: Mapping[tuple[str, str], int]
    failures: Mapping[str, str]
    leaving: Sequence[str] = field(default_factory=list)
    seconds: float = 0.0

    def table(self) -> str:
        """Return the number of objects per category and split, with totals, as text."""
        words = {split for _, split in self.counts}
        splits = [s for s in FIRST_SPLITS if s in words] + sorted(words - set(FIRST_SPLITS))
        synsets = [category.synset for category in present_categories(s for s, _ in self.counts)]
        rows = [["category", *splits, "all"]]
        for synset in [*synsets, None]:
            cells = [
                sum(n for (s, w), n in self.counts.items() if synset in (None, s) and w == split)
                for split in splits
            ]
            name = "all" if synset is None else category_of(synset).name
            rows.append([name, *map(str, cells), str(sum(cells))])
        widths = [max(map(len, column)) for column in zip(*rows, strict=True)]
        widths[0] *= -1  # names to the left, numbers to the right
        return "\n".join(
            "  ".join(f"{cell:{'<' if width < 0 else '>'}{abs(width)}}" for cell, width in pairs)
            for pairs in (zip(row, widths, strict=True) for row in rows)
        )


def prepare(
    source: PictureSource,
    output: str | Path,
    workers: int | None = None,
    overwrite: bool = False,
    command: str = "",
    voxel_mode: str = "",
) -> Summary:
    """Make the file `output`, or report it when the same recipe has made it before.

    Finished objects are kept in the folder `OUTPUT.parts` until the file is complete, so an
    interrupted run goes on where it stopped. The content does not depend on `workers`.

    Args:
        source: where the objects are.
        output: the file to make; its folder is made too.
        workers: processes; 1 works in this one; None takes as many as is worth while.
        overwrite: whether to make the file again when it is there.
        command: what to record as the command that made the file.
        voxel_mode: what to record of how surfaces were voxelised.

    Raises:
        ValueError: if another recipe has made `output`, or no object is left.
        OSError: if something cannot be written, naming it.
    """
    if workers is not None and workers < 1:
        raise ValueError(f"workers must be >= 1, got {workers}")
    output, started = Path(output), time.monotonic()
    recipe = source.recipe()
    if output.exists() and not overwrite:
        return _existing(output, recipe)
    objects = source.objects()
    parts = Parts(output)
    with parts.alone():
        if output.exists() and not overwrite:  # another process has made it meanwhile
            return _existing(output, recipe)
        failures = make_parts(source, objects, parts, workers)
        made = [item for item in objects if item.id not in failures]
        if not made:
            reasons = "; ".join(f"{name}: {reason}" for name, reason in list(failures.items())[:5])
            raise ValueError(f"none of the {len(objects)} objects could be prepared: {reasons}")
        leaving: list[str] = []
        header = Header(source.name, command, _versions(), voxel_mode, recipe, failures)
        labels = [Labels(i.id, i.name, i.synset, i.group, i.split, i.licence) for i in made]
        write_dataset(output, header, source.layout(), labels, _samples(made, parts, leaving))
        parts.remove()
    write_preview(output)
    counts = Counter((item.synset, item.split) for item in made)
    return Summary(output, counts, failures, leaving, time.monotonic() - started)


def _existing(output: Path, recipe: Mapping[str, Any]) -> Summary:
    """Return what is in a file that the same recipe has made."""
    try:
        file = open_dataset(output)
    except ValueError as error:
        raise ValueError(f"{error}; pass overwrite=true to make it again") from error
    with file:
        found = read_json(file, "recipe")
        if found != recipe:
            raise ValueError(
                f"{output} is there already, made by another recipe"
                f" ({_difference(found, recipe)}); choose another output or pass overwrite=true"
            )
        counts = Counter(zip(read_texts(file, "synsets"), read_texts(file, "splits"), strict=True))
        return Summary(output, counts, read_json(file, "failures"))


def _difference(found: Mapping[str, Any], wanted: Mapping[str, Any]) -> str:
    """Name what differs between two recipes."""
    old, new = _flat(found), _flat(wanted)
    return "; ".join(
        f"{key} was {old.get(key)!r}, is now {new.get(key)!r}"
        for key in sorted({*old, *new})
        if old.get(key) != new.get(key)
    )


def _flat(recipe: Mapping[str, Any], prefix: str = "") -> dict[str, Any]:
    """Return nested settings under dotted names."""
    flat: dict[str, Any] = {}
    for key, value in recipe.items():
        flat |= (
            _flat(value, f"{prefix}{key}.") if isinstance(value, dict) else {prefix + key: value}
        )
    return flat


def _versions() -> dict[str, str]:
    try:
        own = metadata.version("recon")
    except metadata.PackageNotFoundError:
        own = "not installed"
    return {
        "recon": own,
        "python": platform.python_version(),
        "torch": torch.__version__,
        "numpy": np.__version__,
        "h5py": h5py.__version__,
    }


def _samples(items: list[Item], parts: Parts, leaving: list[str]) -> Iterator[Sample]:
    """Read the parts back, noting which objects touch the border of a picture."""
    for item in items:
        sample = parts.read(item)
        if sample is None:
            raise ValueError(f"the part of {item.id} in {parts.folder} was lost; run again")
        if touches_border(sample["images"]):
            leaving.append(item.id)
        yield sample


def touches_border(images: NDArray[np.uint8]) -> bool:
    """Tell whether an object touches the border of one of its pictures [K, 4, H, W]."""
    alpha = images[:, 3]
    return bool(alpha[:, [0, -1]].any() or alpha[:, :, [0, -1]].any())
