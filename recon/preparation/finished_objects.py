"""Finished objects of an unfinished file, made one by one or by several processes."""

from __future__ import annotations

import logging
import multiprocessing
import os
import shutil
import sys
import threading
import zipfile
import zlib
from collections.abc import Iterator
from concurrent.futures import FIRST_COMPLETED, Future, ProcessPoolExecutor, wait
from concurrent.futures.process import BrokenProcessPool
from dataclasses import dataclass
from pathlib import Path

import numpy as np
import torch
from tqdm import tqdm

from recon.datasets.storage.layout import Layout, ObjectArrays
from recon.files import replacing
from recon.preparation.sources.interface import ImageSource, ObjectEntry
from recon.threads import available_cores

log = logging.getLogger(__name__)

# Starting a worker (importing torch) takes as long as preparing this many objects.
OBJECTS_PER_WORKER = 100


class FinishedObjects:
    """The folder of the finished objects of an unfinished file, named by their fingerprints."""

    def __init__(self, output: Path) -> None:
        """Names the folder `OUTPUT.parts`, which is not made yet."""
        self.folder = output.with_name(output.name + ".parts")

    def _path(self, entry: ObjectEntry) -> Path:
        return self.folder / f"{entry.id}-{entry.fingerprint}.npz"

    def write(self, entry: ObjectEntry, arrays: ObjectArrays) -> None:
        """Writes the arrays of an object.

        Raises:
            OSError: If the file cannot be written; the message names it.
        """
        path = self._path(entry)
        try:
            # A file that a power cut damages fails its checksum and is made again.
            with replacing(path, durable=False) as temporary:
                _save(temporary, arrays)
        except OSError as error:
            raise OSError(f"cannot write {path}: {error}") from error

    def has(self, entry: ObjectEntry) -> bool:
        """Tells whether the arrays of an object are there and not damaged."""
        return self.read(entry) is not None

    def read(self, entry: ObjectEntry) -> ObjectArrays | None:
        """Returns the arrays of an object; None if they are not there or damaged."""
        try:
            with np.load(self._path(entry), allow_pickle=False) as stored:
                return {name: stored[name] for name in stored.files}
        except (FileNotFoundError, zipfile.BadZipFile, ValueError, KeyError, EOFError, zlib.error):
            return None

    def remove(self) -> None:
        """Removes the folder with all finished objects."""
        shutil.rmtree(self.folder, ignore_errors=True)


def _save(path: Path, arrays: ObjectArrays) -> None:
    """Writes an npz at the quickest compression: a tenth of the bytes in the same time."""
    with zipfile.ZipFile(path, "w", zipfile.ZIP_DEFLATED, compresslevel=1) as archive:
        for name, array in arrays.items():
            with archive.open(f"{name}.npy", "w", force_zip64=True) as member:
                np.lib.format.write_array(member, np.ascontiguousarray(array))


@dataclass(frozen=True)
class _Job:
    """What a worker needs besides the object."""

    source: ImageSource
    layout: Layout
    finished: FinishedObjects

    def __call__(self, entry: ObjectEntry) -> str | None:
        """Makes the arrays of one object; returns why that was not possible, or None.

        An error of one object leaves out that object; an error in writing ends the preparation.
        """
        try:
            arrays = self.source.arrays(entry)
            self.layout.check(arrays)
        except Exception as error:
            return str(error) or type(error).__name__
        self.finished.write(entry, arrays)
        return None


def make_objects(
    source: ImageSource, objects: list[ObjectEntry], finished: FinishedObjects, workers: int | None
) -> dict[str, str]:
    """Makes the objects that are missing, with a progress bar.

    Args:
        source: The source of the objects.
        objects: The objects to make.
        finished: The store of finished objects.
        workers: The number of processes; 1 works in this process, None chooses a number by the
            objects and processors.

    Returns:
        {id: reason} of the objects that cannot be made.

    Raises:
        OSError: If an object cannot be written or a worker process dies.
    """
    missing = [entry for entry in objects if not finished.has(entry)]
    done = len(objects) - len(missing)
    if done:
        log.info("%d of %d objects are done already", done, len(objects))
    if workers is None:
        workers = max(1, min(available_cores(), len(missing) // OBJECTS_PER_WORKER))
    job = _Job(source, source.layout(), finished)
    reasons: dict[str, str] = {}
    results = _in_turn(job, missing) if workers == 1 else _in_parallel(job, missing, workers)
    pause = 0.1 if sys.stderr.isatty() else 10.0  # seconds between lines in a log
    with tqdm(total=len(objects), initial=done, unit="object", mininterval=pause) as bar:
        for entry, reason in results:
            if reason is not None:
                reasons[entry.id] = reason
                bar.set_postfix(failed=len(reasons))
            bar.update()
    # The order is that of the objects, whichever worker was first.
    return {entry.id: reasons[entry.id] for entry in objects if entry.id in reasons}


Result = tuple[ObjectEntry, str | None]


def _in_turn(job: _Job, entries: list[ObjectEntry]) -> Iterator[Result]:
    for entry in entries:
        yield entry, job(entry)


def _in_parallel(job: _Job, entries: list[ObjectEntry], workers: int) -> Iterator[Result]:
    threads = max(1, available_cores() // workers)
    pool = ProcessPoolExecutor(
        workers, multiprocessing.get_context("spawn"), _start_worker, (job, threads)
    )
    try:
        pending: dict[Future[str | None], ObjectEntry] = {
            pool.submit(_work, entry): entry for entry in entries
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


_job: _Job | None = None  # what this worker process was started with


def _start_worker(job: _Job, threads: int) -> None:
    global _job
    _job = job
    threading.Thread(target=_end_with_parent, daemon=True).start()
    torch.set_num_threads(threads)


def _end_with_parent() -> None:
    """Ends this worker when the process that started it is killed; it would else wait for ever."""
    parent = multiprocessing.parent_process()
    assert parent is not None
    parent.join()
    os._exit(1)


def _work(entry: ObjectEntry) -> str | None:
    assert _job is not None
    return _job(entry)
