"""Finished objects of an unfinished file, made one by one or by several processes."""

from __future__ import annotations

import logging
import multiprocessing
import os
import shutil
import sys
import threading
import zipfile
from collections.abc import Iterator
from concurrent.futures import FIRST_COMPLETED, Future, ProcessPoolExecutor, wait
from concurrent.futures.process import BrokenProcessPool
from dataclasses import dataclass
from pathlib import Path

import numpy as np
import torch
from tqdm import tqdm

from recon.atomic_files import replacing
from recon.datasets.hdf5 import Sample
from recon.datasets.rendering import ObjectRenderer
from recon.datasets.sources import MeshObject, MeshSource, fingerprint

log = logging.getLogger(__name__)

# Starting a worker (importing torch) takes as long as this many objects.
OBJECTS_PER_WORKER = 25


class Parts:
    """The finished objects of an unfinished file, each named by what it was made from."""

    def __init__(self, output: Path, renderer: ObjectRenderer) -> None:
        """Make the folder `OUTPUT.parts`, unless it is there.

        Raises:
            OSError: if that is not possible.
        """
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
        """Keep the sample of an object.

        Raises:
            OSError: naming the part, if it cannot be written.
        """
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
        """Remove the folder with all parts."""
        shutil.rmtree(self.folder, ignore_errors=True)


@dataclass(frozen=True)
class _Job:
    """What a worker needs besides the object."""

    source: MeshSource
    renderer: ObjectRenderer
    parts: Parts

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


def make_parts(
    source: MeshSource,
    renderer: ObjectRenderer,
    objects: list[MeshObject],
    parts: Parts,
    workers: int | None,
) -> dict[str, str]:
    """Make the parts that are missing, with a progress bar.

    Args:
        source: where the meshes are.
        renderer: makes pictures and voxels of a mesh.
        objects: what to make.
        parts: where finished objects are kept.
        workers: processes; 1 works in this one; None takes as many as is worth while.

    Returns:
        {id: reason} of the objects that cannot be made.

    Raises:
        OSError: if a part cannot be written or a worker process dies.
    """
    missing = [item for item in objects if parts.read(item) is None]
    done = len(objects) - len(missing)
    if done:
        log.info("%d of %d objects are done already", done, len(objects))
    if workers is None:
        workers = max(1, min(len(os.sched_getaffinity(0)), len(missing) // OBJECTS_PER_WORKER))
    job = _Job(source, renderer, parts)
    reasons: dict[str, str] = {}
    results = _in_turn(job, missing) if workers == 1 else _in_parallel(job, missing, workers)
    pause = 0.1 if sys.stderr.isatty() else 10.0  # seconds between lines in a log
    with tqdm(total=len(objects), initial=done, unit="object", mininterval=pause) as bar:
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
    threads = max(1, len(os.sched_getaffinity(0)) // workers)
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
    threading.Thread(target=_end_with_parent, daemon=True).start()
    torch.set_num_threads(threads)


def _end_with_parent() -> None:
    """End this worker when the process that started it is killed; else it would wait for ever."""
    parent = multiprocessing.parent_process()
    assert parent is not None
    parent.join()
    os._exit(1)


def _work(item: MeshObject) -> str | None:
    assert _job is not None
    return _job(item)
