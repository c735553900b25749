"""From a source of meshes to one HDF5 file: resumable, parallel over objects."""

from __future__ import annotations

import logging
import multiprocessing
import os
import platform
import shutil
import time
import zipfile
from collections import Counter
from collections.abc import Iterator, Mapping, Sequence
from concurrent.futures import FIRST_COMPLETED, Future, ProcessPoolExecutor, wait
from concurrent.futures.process import BrokenProcessPool
from dataclasses import dataclass, field
from importlib import metadata
from pathlib import Path
from typing import Any

import h5py
import numpy as np
import torch
from tqdm import tqdm

from recon.datasets.atomic_files import replacing
from recon.datasets.categories import find_category
from recon.datasets.hdf5 import (
    Header,
    Labels,
    Sample,
    open_dataset,
    read_json,
    read_texts,
    write_dataset,
)
from recon.datasets.preview import write_preview
from recon.datasets.rendering import ObjectRenderer
from recon.datasets.sources import MeshObject, MeshSource, fingerprint

log = logging.getLogger(__name__)

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
        synsets = sorted({synset for synset, _ in self.counts})
        rows = [["category", *splits, "all"]]
        for synset in [*synsets, None]:
            cells = [
                sum(n for (s, w), n in self.counts.items() if synset in (None, s) and w == split)
                for split in splits
            ]
            name = "all" if synset is None else find_category(synset).name
            rows.append([name, *map(str, cells), str(sum(cells))])
        widths = [max(len(row[k]) for row in rows) for k in range(len(rows[0]))]
        lines = (
            [row[0].ljust(widths[0])] + [c.rjust(w) for c, w in zip(row[1:], widths[1:])]
            for row in rows
        )
        return "\n".join("  ".join(line) for line in lines)


def prepare(
    source: MeshSource,
    renderer: ObjectRenderer,
    output: str | Path,
    workers: int = 1,
    overwrite: bool = False,
    command: str = "",
) -> Summary:
    """Make the file `output`, or report it when the same recipe has made it before.

    Finished objects are kept in the folder `OUTPUT.parts` until the file is complete, so an
    interrupted run goes on where it stopped. The content does not depend on `workers`.

    Args:
        source: where the meshes are.
        renderer: makes pictures and voxels of a mesh.
        output: the file to make; its folder is made too.
        workers: processes; 1 works in this one.
        overwrite: whether to make the file again when it is there.
        command: what to record as the command that made the file.

    Raises:
        ValueError: if another recipe has made `output`, or no object is left.
        OSError: if something cannot be written, naming it.
    """
    if workers < 1:
        raise ValueError(f"workers must be >= 1, got {workers}")
    output, started = Path(output), time.monotonic()
    recipe = {"source": source.recipe(), "rendering": renderer.recipe()}
    if output.exists() and not overwrite:
        return _existing(output, recipe)
    objects = source.objects()
    parts = _Parts(output, renderer)
    failures = _make_parts(source, renderer, objects, parts, workers)
    made = [item for item in objects if item.id not in failures]
    if not made:
        reasons = "; ".join(f"{name}: {reason}" for name, reason in list(failures.items())[:5])
        raise ValueError(f"none of the {len(objects)} objects could be prepared: {reasons}")
    leaving: list[str] = []
    header = Header(
        source=source.name,
        command=command,
        versions=_versions(),
        image_size=renderer.image_size,
        num_views=len(renderer.cameras),
        voxel_resolution=renderer.voxel_resolution,
        voxel_mode=renderer.voxel_mode,
        recipe=recipe,
        failures=failures,
    )
    labels = [Labels(i.id, i.name, i.synset, i.group, i.split, i.licence) for i in made]
    write_dataset(output, header, labels, _samples(made, parts, leaving))
    write_preview(output)
    parts.remove()
    counts = Counter((item.synset, item.split) for item in made)
    return Summary(output, counts, failures, leaving, time.monotonic() - started)


def _existing(output: Path, recipe: Mapping[str, Any]) -> Summary:
    """Return what is in a file that the same recipe has made."""
    with open_dataset(output) as file:
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
    differences = []
    for section in ("source", "rendering"):
        old, new = found.get(section) or {}, wanted[section]
        differences += [
            f"{key} was {old.get(key)!r}, is now {new.get(key)!r}"
            for key in sorted({*old, *new})
            if old.get(key) != new.get(key)
        ]
    return "; ".join(differences)


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


class _Parts:
    """The finished objects of an unfinished file, each named by what it was made from."""

    def __init__(self, output: Path, renderer: ObjectRenderer) -> None:
        self.folder = output.with_name(output.name + ".parts")
        self._recipe = renderer.recipe()
        try:
            self.folder.mkdir(parents=True, exist_ok=True)
        except OSError as error:
            raise OSError(f"cannot make the folder {self.folder}: {error}") from error

    def _path(self, item: MeshObject) -> Path:
        made_from = fingerprint([item.fingerprint, self._recipe])
        return self.folder / f"{item.id}-{made_from}.npz"

    def write(self, item: MeshObject, sample: Sample) -> None:
        path = self._path(item)
        try:
            with replacing(path) as temporary, temporary.open("wb") as stream:
                np.savez(stream, **sample.__dict__)
        except OSError as error:
            raise OSError(f"cannot write {path}: {error}") from error

    def read(self, item: MeshObject) -> Sample | None:
        """Return the sample of an object; None if it is not there or damaged."""
        try:
            with np.load(self._path(item), allow_pickle=False) as arrays:
                return Sample(arrays["images"], arrays["cameras"], arrays["voxels"])
        except (FileNotFoundError, zipfile.BadZipFile, ValueError, KeyError, EOFError):
            return None

    def remove(self) -> None:
        shutil.rmtree(self.folder, ignore_errors=True)


def _samples(items: list[MeshObject], parts: _Parts, leaving: list[str]) -> Iterator[Sample]:
    """Read the parts back, noting which objects touch the border of a picture."""
    for item in items:
        sample = parts.read(item)
        if sample is None:
            raise ValueError(f"the part of {item.id} in {parts.folder} was lost; run again")
        alpha = sample.images[:, 3]
        if alpha[:, [0, -1]].any() or alpha[:, :, [0, -1]].any():
            leaving.append(item.id)
        yield sample


# --- Making parts --------------------------------------------------------------------------------


@dataclass(frozen=True)
class _Job:
    """What a worker needs besides the object."""

    source: MeshSource
    renderer: ObjectRenderer
    parts: _Parts

    def __call__(self, item: MeshObject) -> str | None:
        """Make the part of one object; return why that was not possible, or None.

        Whatever is wrong with a model is its own affair; what goes wrong in writing is fatal.
        """
        try:
            sample = self.renderer(self.source.load(item))
        except Exception as error:
            return str(error) or type(error).__name__
        self.parts.write(item, sample)
        return None


def _make_parts(
    source: MeshSource,
    renderer: ObjectRenderer,
    objects: list[MeshObject],
    parts: _Parts,
    workers: int,
) -> dict[str, str]:
    """Make the parts that are missing; return the reasons of those that cannot be made."""
    missing = [item for item in objects if parts.read(item) is None]
    if len(missing) < len(objects):
        log.info("%d of %d objects are done already", len(objects) - len(missing), len(objects))
    job = _Job(source, renderer, parts)
    reasons: dict[str, str] = {}
    results = _in_turn(job, missing) if workers == 1 else _in_parallel(job, missing, workers)
    with tqdm(total=len(objects), initial=len(objects) - len(missing), unit="object") as bar:
        for item, reason in results:
            if reason is not None:
                reasons[item.id] = reason
                bar.set_postfix(failed=len(reasons))
            bar.update()
    # In the order of the objects, whichever worker was first.
    return {item.id: reasons[item.id] for item in objects if item.id in reasons}


Result = tuple[MeshObject, str | None]


def _in_turn(job: _Job, items: list[MeshObject]) -> Iterator[Result]:
    for item in items:
        yield item, job(item)


def _in_parallel(job: _Job, items: list[MeshObject], workers: int) -> Iterator[Result]:
    threads = max(1, (os.cpu_count() or 1) // workers)
    pool = ProcessPoolExecutor(
        workers, multiprocessing.get_context("spawn"), _start_worker, (job, threads)
    )
    try:
        pending: dict[Future[str | None], MeshObject] = {
            pool.submit(_work, item): item for item in items
        }
        while pending:
            done, _ = wait(pending, return_when=FIRST_COMPLETED)
            for future in done:
                yield pending.pop(future), future.result()
    except BrokenProcessPool as error:
        raise OSError(
            "a worker process died, perhaps for lack of memory; run again with fewer workers"
        ) from error
    finally:
        pool.shutdown(wait=True, cancel_futures=True)


_job: _Job | None = None  # of this worker process


def _start_worker(job: _Job, threads: int) -> None:
    global _job
    _job = job
    torch.set_num_threads(threads)


def _work(item: MeshObject) -> str | None:
    assert _job is not None
    return _job(item)
