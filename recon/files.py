"""Files that appear under their name only when they are complete."""

from __future__ import annotations

import os
from collections.abc import Iterator
from contextlib import contextmanager
from contextvars import ContextVar
from pathlib import Path
from typing import BinaryIO

_syncing: ContextVar[bool] = ContextVar("syncing", default=True)

# Of the temporary files, so that those of a process which was killed can be found.
SUFFIX = ".unfinished"


@contextmanager
def unsynced() -> Iterator[None]:
    """Let the files of the block reach the disk in the system's own time.

    A process which is killed still leaves no half of a file; a power cut may. Waiting for the disk
    takes longer than making many small files.
    """
    token = _syncing.set(False)
    try:
        yield
    finally:
        _syncing.reset(token)


@contextmanager
def replacing(path: Path, durable: bool = True) -> Iterator[Path]:
    """Yield a temporary name beside `path`; the block's file takes the name `path` at its end.

    The temporary file lies in the same folder, as a rename is atomic only within one file system.
    When the block fails, the temporary file is removed and `path` is as it was.

    Args:
        path: the name.
        durable: whether file and folder are synced, so that the rename survives a power cut; never
            within `unsynced`.
    """
    durable = durable and _syncing.get()
    temporary = path.with_name(f".{path.name}.{os.getpid()}{SUFFIX}")
    try:
        yield temporary
        if durable:
            _sync(temporary)
        os.replace(temporary, path)
        if durable:
            _sync(path.parent)
    finally:
        temporary.unlink(missing_ok=True)


@contextmanager
def atomic_file(path: Path) -> Iterator[BinaryIO]:
    """Yield a binary file which takes the name `path` only when the block ends well.

    Raises:
        OSError: writing failed; the message names `path`, which is then as it was.
    """
    try:
        with replacing(path) as temporary, open(temporary, "wb") as file:
            yield file
    except (OSError, RuntimeError) as error:
        raise OSError(f"could not write {path}: {_write_failure(error)}") from error


def _write_failure(error: BaseException | None) -> str:
    """Why writing failed: torch.save hides the system's reason behind an error of its own."""
    link = error
    while link is not None:
        if isinstance(link, OSError):
            return link.strerror or str(link)
        link = link.__cause__ or link.__context__
    return f"{error} (is the disk full?)"


def _sync(path: Path) -> None:
    descriptor = os.open(path, os.O_RDONLY)
    try:
        os.fsync(descriptor)
    finally:
        os.close(descriptor)
