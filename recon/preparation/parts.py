"""Finished objects of an unfinished file, made one by one or by several processes."""

from __future__ import annotations

import fcntl
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
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import TextIO

import numpy as np
import torch
from tqdm import tqdm

from recon.datasets.storage.layout import Layout, Sample
from recon.files import replacing
from recon.preparation.sources.interface import ImageSource, Item

log = logging.getLogger(__name__)

# Starting a worker (importing torch) takes as long as this many objects.
OBJECTS_PER_WORKER = 100


class Parts:
    """The finished objects of an unfinished file, each named by what it was made from."""

    def __init__(self, output: Path) -> None:
        """Names the folder `OUTPUT.parts`; `alone` makes it."""
        self.folder = output.with_name(output.name + ".parts")

    @contextmanager
    def alone(self) -> Iterator[None]:
        """Makes the folder, unless it is there, and waits until no other process works in it.

        Raises:
            OSError: if the folder cannot be made.
        """
        path = self.folder / ".lock"
        while True:
            try:
                self.folder.mkdir(parents=True, exist_ok=True)
                stream = path.open("w")
            except OSError as error:
                raise OSError(f"cannot make the folder {self.folder}: {error}") from error
            with stream:
                self._wait(stream)
                if _is_file(stream, path):
                    yield  # the lock ends with the process, whatever ends it
                    return
                # The process before this one has finished and removed the folder with its lock.

    def _wait(self, stream: TextIO) -> None:
        try:
            fcntl.lockf(stream, fcntl.LOCK_EX | fcntl.LOCK_NB)
        except BlockingIOError:
            log.info("waiting for another process, which works in %s", self.folder)
            fcntl.lockf(stream, fcntl.LOCK_EX)

    def _path(self, item: Item) -> Path:
        return self.folder / f"{item.id}-{item.fingerprint}.npz"

    def write(self, item: Item, sample: Sample) -> None:
        """Keeps the sample of an object.

        Raises:
            OSError: naming the part, if it cannot be written.
        """
        path = self._path(item)
        try:
            # A part that a power cut damages fails its checksum and is made again.
            with replacing(path, durable=False) as temporary:
                _save(temporary, sample)
        except OSError as error:
            raise OSError(f"cannot write {path}: {error}") from error

    def has(self, item: Item) -> bool:
        """Tells whether the part of an object is there and not damaged."""
        return self.read(item) is not None

    def read(self, item: Item) -> Sample | None:
        """Returns the sample of an object; None if it is not there or damaged."""
        try:
            with np.load(self._path(item), allow_pickle=False) as arrays:
                return {name: arrays[name] for name in arrays.files}
        except (FileNotFoundError, zipfile.BadZipFile, ValueError, KeyError, EOFError, zlib.error):
            return None

    def remove(self) -> None:
        """Removes the folder with all parts."""
        shutil.rmtree(self.folder, ignore_errors=True)


def _is_file(stream: TextIO, path: Path) -> bool:
    """Tells whether the open file is still the one of that name."""
    try:
        return os.path.samestat(os.fstat(stream.fileno()), path.stat())
    except FileNotFoundError:
        return False


def _save(path: Path, sample: Sample) -> None:
    """Writes an npz at the quickest compression: a tenth of the bytes in the same time."""
    with zipfile.ZipFile(path, "w", zipfile.ZIP_DEFLATED, compresslevel=1) as archive:
        for name, array in sample.items():
            with archive.open(f"{name}.npy", "w", force_zip64=True) as member:
                np.lib.format.write_array(member, np.ascontiguousarray(array))


@dataclass(frozen=True)
class _Job:
    """What a worker needs besides the object."""

    source: ImageSource
    layout: Layout
    parts: Parts

    def __call__(self, item: Item) -> str | None:
        """Makes the part of one object; return why that was not possible, or None.

        Whatever is wrong with an object is its own affair; what goes wrong in writing is fatal.
        """
        try:
            sample = self.source.sample(item)
            self.layout.check(sample)
        except Exception as error:
            return str(error) or type(error).__name__
        self.parts.write(item, sample)
        return None


def make_parts(
    source: ImageSource, objects: list[Item], parts: Parts, workers: int | None
) -> dict[str, str]:
    """Makes the parts that are missing, with a progress bar.

    Args:
        source: where the objects are.
        objects: what to make.
        parts: where finished objects are kept.
        workers: processes; 1 works in this one; None takes as many as is worth while.

    Returns:
        {id: reason} of the objects that cannot be made.

    Raises:
        OSError: if a part cannot be written or a worker process dies.
    """
    missing = [item for item in objects if not parts.has(item)]
    done = len(objects) - len(missing)
    if done:
        log.info("%d of %d objects are done already", done, len(objects))
    if workers is None:
        workers = max(1, min(len(os.sched_getaffinity(0)), len(missing) // OBJECTS_PER_WORKER))
    job = _Job(source, source.layout(), parts)
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


Result = tuple[Item, str | None]


def _in_turn(job: _Job, items: list[Item]) -> Iterator[Result]:
    for item in items:
        yield item, job(item)


def _in_parallel(job: _Job, items: list[Item], workers: int) -> Iterator[Result]:
    threads = max(1, len(os.sched_getaffinity(0)) // workers)
    pool = ProcessPoolExecutor(
        workers, multiprocessing.get_context("spawn"), _start_worker, (job, threads)
    )
    try:
        pending: dict[Future[str | None], Item] = {pool.submit(_work, item): item for item in items}
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
    """Ends this worker when the process that started it is killed; else it would wait for ever."""
    parent = multiprocessing.parent_process()
    assert parent is not None
    parent.join()
    os._exit(1)


def _work(item: Item) -> str | None:
    assert _job is not None
    return _job(item)
