"""Prepares a source of objects as one HDF5 file, resumably and in parallel over objects."""

from __future__ import annotations

import platform
import shlex
import sys
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

from recon.datasets.counts import counts_table
from recon.datasets.licences import select_licences
from recon.datasets.multiview import MultiViewDataset
from recon.datasets.sampling import Sampling
from recon.datasets.storage.compression import compression_of, require_available
from recon.datasets.storage.hdf5 import (
    Header,
    Labels,
    open_dataset,
    read_json,
    read_texts,
    write_dataset,
)
from recon.datasets.storage.layout import ObjectArrays
from recon.files import locked
from recon.preparation.checks.camera_sheet import write_camera_sheet
from recon.preparation.checks.preview import write_preview
from recon.preparation.finished_objects import FinishedObjects, make_objects
from recon.preparation.rendering.framing import touches_border
from recon.preparation.rendering.objects import ObjectRenderer, RenderedSource
from recon.preparation.sources.interface import ImageSource, MeshSource, ObjectEntry


@dataclass(frozen=True)
class Summary:
    """What a prepared file holds.

    Attributes:
        output: The file that was made.
        counts: The number of objects by (synset, split).
        failures: The objects left out, as {id: reason}.
        leaving: The ids of the objects which leave the image in some view.
        seconds: The time it took; 0 if the file was there already.
    """

    output: Path
    counts: Mapping[tuple[str, str], int]
    failures: Mapping[str, str]
    leaving: Sequence[str] = field(default_factory=list)
    seconds: float = 0.0

    def table(self) -> str:
        """Returns the number of objects per category and split, with totals, as text."""
        return counts_table(self.counts)


def as_images(source: MeshSource | ImageSource, renderer: ObjectRenderer | None) -> ImageSource:
    """Returns the source itself, or the images which a renderer makes of a source of meshes.

    Raises:
        ValueError: If meshes come without a renderer.
    """
    if not isinstance(source, MeshSource):
        return source
    if renderer is None:
        raise ValueError(f"the source {source.name} has meshes, so it needs a renderer, got None")
    return RenderedSource(source, renderer)


def typed_command() -> str:
    """Returns the command line of this process as a person would type it."""
    return shlex.join(["python", *sys.argv])


def prepared_dataset(
    path: str | Path,
    source: MeshSource | ImageSource,
    renderer: ObjectRenderer | None = None,
    split: str | None = None,
    categories: Sequence[str] | None = None,
    cache: bool = False,
    sampling: Sampling = "balanced",
    licences: Sequence[str] | None = None,
    mixture: Mapping[str, Mapping[str, Any]] | None = None,
) -> MultiViewDataset:
    """Opens a data set, making its file first where it is not there.

    Args:
        path: The file of the prepared data set.
        source: The source of its objects.
        renderer: The renderer that makes images of meshes.
        split: The objects to take, as for `MultiViewDataset`.
        categories: The names, synsets or own words of the categories to keep; None keeps all.
        cache: Whether each process keeps the images in memory once it has read one.
        sampling: What batches are drawn evenly from, as for `MultiViewDataset`.
        licences: The licences of the objects to keep, as for `MultiViewDataset`.
        mixture: Further files that batches are drawn from, as for `MultiViewDataset`.

    Raises:
        ValueError, OSError: If `prepare` or `MultiViewDataset` raises it.
    """
    prepare(as_images(source, renderer), path, command=typed_command())
    return MultiViewDataset(path, split, categories, cache, sampling, licences, mixture)


def prepare(
    source: ImageSource,
    output: str | Path,
    workers: int | None = None,
    overwrite: bool = False,
    command: str = "",
    compression: str | None = None,
    licences: Sequence[str] | None = None,
) -> Summary:
    """Makes the file `output`, or reports it when the same configuration has made it before.

    Finished objects are kept in the folder `OUTPUT.parts` until the file is complete, so an
    interrupted run goes on where it stopped. The content does not depend on `workers`.

    Args:
        source: The source of the objects.
        output: The file to make; its folder is made too.
        workers: The number of processes; 1 works in this process, None chooses a number by the
            objects and processors.
        overwrite: Whether to make the file again when it exists.
        command: The command that is recorded in the file.
        compression: How the arrays are stored, a key of
            `recon.datasets.storage.compression.COMPRESSIONS`; None means 'none' for a new file, and
            the compression of a file that exists.
        licences: The licences whose objects are taken, see `recon.datasets.licences.has_licence`;
            None takes all objects.

    Raises:
        ValueError: If another configuration or compression has made `output`, or no object is left;
            if no object has such a licence, the message lists the licences of the objects.
    """
    if workers is not None and workers < 1:
        raise ValueError(f"workers must be >= 1, got {workers}")
    require_available(compression or "none")
    output, started = Path(output), time.monotonic()
    config = _config(source, licences)
    if output.exists() and not overwrite:
        return _existing(output, config, compression)
    objects = _licensed(source, licences)
    finished = FinishedObjects(output)
    with locked(finished.folder, "preparing objects", wait=True):
        if output.exists() and not overwrite:  # another process has made it meanwhile
            finished.remove()
            return _existing(output, config, compression)
        failures = make_objects(source, objects, finished, workers)
        made = [entry for entry in objects if entry.id not in failures]
        if not made:
            reasons = "; ".join(f"{name}: {reason}" for name, reason in list(failures.items())[:5])
            raise ValueError(f"none of the {len(objects)} objects could be prepared: {reasons}")
        leaving: list[str] = []
        header = Header(source.name, command, _versions(), config, failures)
        labels = [Labels(i.id, i.name, i.synset, i.group, i.split, i.licence) for i in made]
        arrays = _finished_arrays(made, finished, leaving)
        write_dataset(output, header, source.layout(), labels, arrays, compression or "none")
        finished.remove()
    write_preview(output)
    if not isinstance(source, RenderedSource):
        write_camera_sheet(output)  # cameras that a source brings may be of another convention
    counts = Counter((entry.synset, entry.split) for entry in made)
    return Summary(output, counts, failures, leaving, time.monotonic() - started)


def _config(source: ImageSource, licences: Sequence[str] | None) -> dict[str, Any]:
    """Returns what determines the content of a file."""
    config = source.config()
    return config if licences is None else {**config, "licences": sorted(set(licences))}


def _licensed(source: ImageSource, licences: Sequence[str] | None) -> list[ObjectEntry]:
    """Returns the objects of a source, those of some licences where these are given."""
    objects = source.objects()
    if licences is None:
        return objects
    held = select_licences([entry.licence for entry in objects], licences, source.name)
    return [entry for entry, allowed in zip(objects, held, strict=True) if allowed]


def is_made_by(
    output: str | Path, source: ImageSource, licences: Sequence[str] | None = None
) -> bool:
    """Tells whether a valid file of that name is there and this very source has made it."""
    try:
        with open_dataset(output) as file:
            return read_json(file, "recipe") == _config(source, licences)
    except (ValueError, OSError):
        return False


def _existing(output: Path, config: Mapping[str, Any], compression: str | None) -> Summary:
    """Returns what is in a file that the same configuration has made, stored in the same way."""
    try:
        file = open_dataset(output)
    except ValueError as error:
        raise ValueError(f"{error}; pass overwrite=true to make it again") from error
    with file:
        found = read_json(file, "recipe")
        if found != config:
            raise ValueError(
                f"{output} is there already, made with another configuration"
                f" ({_difference(found, config)}); choose another output or pass overwrite=true"
            )
        stored = compression_of(file["images"])
        if compression not in (None, stored):
            raise ValueError(
                f"{output} is there already, its compression was {stored!r}, is now"
                f" {compression!r}; choose another output or pass overwrite=true"
            )
        counts = Counter(zip(read_texts(file, "synsets"), read_texts(file, "splits"), strict=True))
        return Summary(output, counts, read_json(file, "failures"))


def _difference(found: Mapping[str, Any], wanted: Mapping[str, Any]) -> str:
    """Names what differs between two configurations."""
    old, new = _flat(found), _flat(wanted)
    return "; ".join(
        f"{key} was {old.get(key)!r}, is now {new.get(key)!r}"
        for key in sorted({*old, *new})
        if old.get(key) != new.get(key)
    )


def _flat(config: Mapping[str, Any], prefix: str = "") -> dict[str, Any]:
    """Returns a nested configuration under dotted names."""
    flat: dict[str, Any] = {}
    for key, value in config.items():
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


def _finished_arrays(
    entries: list[ObjectEntry], finished: FinishedObjects, leaving: list[str]
) -> Iterator[ObjectArrays]:
    """Reads the parts back, noting which objects touch the border of an image."""
    for entry in entries:
        arrays = finished.read(entry)
        if arrays is None:
            raise ValueError(f"the part of {entry.id} in {finished.folder} was lost; run again")
        if touches_border(arrays["images"]):
            leaving.append(entry.id)
        yield arrays
