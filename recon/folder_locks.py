"""Keeping two processes from writing into the same folder."""

from __future__ import annotations

import fcntl
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path


@contextmanager
def locked(folder: Path, doing: str, refused_as: type[ValueError] = ValueError) -> Iterator[None]:
    """Keep other processes out of a folder during the block; the lock ends with the process.

    Args:
        folder: made when it is not there; the lock is its file `.lock`, which stays.
        doing: what this process does in it, for the message of the others.
        refused_as: what is raised when another process holds the lock.

    Raises:
        ValueError: another process holds the lock; a `refused_as`.
        OSError: the folder is not writable.
    """
    folder.mkdir(parents=True, exist_ok=True)
    with open(folder / ".lock", "w") as lock:
        try:
            # Record locks end with the process and are not inherited by its data workers.
            fcntl.lockf(lock, fcntl.LOCK_EX | fcntl.LOCK_NB)
        except BlockingIOError as error:
            raise refused_as(
                f"{folder}: another process is {doing} here; wait for it or choose another "
                "output_dir"
            ) from error
        yield
