"""Keeping two processes from writing into the same folder."""

from __future__ import annotations

import fcntl
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path


@contextmanager
def locked(folder: Path, doing: str) -> Iterator[None]:
    """Keep other processes out of a folder during the block; the lock ends with the process.

    Args:
        folder: made when it is not there; the lock is its file `.lock`, which stays.
        doing: what this process does in it, for the message of the others.

    Raises:
        ValueError: another process holds the lock.
        OSError: the folder is not writable.
    """
    folder.mkdir(parents=True, exist_ok=True)
    with open(folder / ".lock", "w") as lock:
        try:
            fcntl.lockf(lock, fcntl.LOCK_EX | fcntl.LOCK_NB)
        except BlockingIOError as error:
            raise ValueError(
                f"{folder}: another process is {doing} here; wait for it or choose another "
                "output_dir"
            ) from error
        yield
