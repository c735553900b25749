"""Files which appear complete or not at all, folders with one writer, and tables as text."""

from __future__ import annotations

import csv
import fcntl
import io
import logging
import os
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from contextvars import ContextVar
from pathlib import Path
from typing import BinaryIO, TextIO

log = logging.getLogger(__name__)

_syncing: ContextVar[bool] = ContextVar("syncing", default=True)

# Of the temporary files, so that those of a process which was killed can be found.
SUFFIX = ".unfinished"
LOCK_FILE = ".lock"


@contextmanager
def unsynced() -> Iterator[None]:
    """Lets the files of the block reach the disk in the system's own time.

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
    """Yields a temporary name beside `path`; the block's file takes the name `path` at its end.

    The temporary file lies in the same folder, as a rename is atomic only within one file system.
    When the block fails, the temporary file is removed and `path` is as it was.

    Args:
        path: The name.
        durable: Whether file and folder are synced, so that the rename survives a power cut; never
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
    """Yields a binary file which takes the name `path` only when the block ends well.

    Raises:
        OSError: Writing failed; the message names `path`, which is then as it was.
    """
    try:
        with replacing(path) as temporary, open(temporary, "wb") as file:
            yield file
    except (OSError, RuntimeError) as error:
        raise OSError(f"could not write {path}: {_write_failure(error)}") from error


def _write_failure(error: BaseException | None) -> str:
    """Returns why writing failed; torch.save hides the reason behind an error of its own."""
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


@contextmanager
def locked(
    folder: Path,
    doing: str,
    refused_as: type[ValueError] = ValueError,
    wait: bool = False,
) -> Iterator[None]:
    """Keeps other processes out of a folder during the block; the lock ends with the process.

    Args:
        folder: The folder, which is made when it is not there. The lock is its
            file `.lock`, which stays.
        doing: What this process does in the folder, for the message of the others.
        refused_as: The error that is raised when another process holds the lock.
        wait: Whether to wait for the other process instead of raising an error. That process may
            have removed the folder when it ends; the folder is then made again.

    Raises:
        ValueError: If another process holds the lock; the error is a `refused_as`.
        OSError: If the folder cannot be made or written.
    """
    path = folder / LOCK_FILE
    while True:
        try:
            folder.mkdir(parents=True, exist_ok=True)
            lock = open(path, "w")  # noqa: SIM115
        except OSError as error:
            raise OSError(f"cannot make the folder {folder}: {error}") from error
        with lock:
            if not _acquire(lock):
                if not wait:
                    raise refused_as(
                        f"{folder}: another process is {doing} here; wait for it or choose another "
                        "output_dir"
                    )
                log.info("waiting for another process, which is %s in %s", doing, folder)
                fcntl.lockf(lock, fcntl.LOCK_EX)
            if _is_file(lock, path):
                yield
                return


def is_locked(path: Path) -> bool:
    """Tells whether another process holds a lock file of `locked`."""
    if not path.exists():
        return False
    with open(path, "r+") as lock:
        return not _acquire(lock)


def _acquire(lock: TextIO) -> bool:
    """Takes the lock of an open file, or tells that another process holds it."""
    try:
        # Record locks end with the process and are not inherited by its data workers.
        fcntl.lockf(lock, fcntl.LOCK_EX | fcntl.LOCK_NB)
    except BlockingIOError:
        return False
    return True


def _is_file(stream: TextIO, path: Path) -> bool:
    """Tells whether the open file is still the one at `path`."""
    try:
        return os.path.samestat(os.fstat(stream.fileno()), path.stat())
    except FileNotFoundError:
        return False


def csv_text(rows: Sequence[Sequence[object]]) -> str:
    """Returns rows as CSV."""
    buffer = io.StringIO()
    csv.writer(buffer, lineterminator="\n").writerows(rows)
    return buffer.getvalue()


def text_table(
    rows: Sequence[Sequence[str]], left: int = 0, total: bool = False, rules: bool = True
) -> str:
    """Returns rows in columns, with a rule below the first row.

    Args:
        rows: The cells of each row, equally many in every row.
        left: The column whose text starts at its left edge, -1 for the last one; the text of all
            others ends at their right edge.
        total: Whether the last row sums up the others and stands below a rule of its own.
        rules: Whether there are rules at all.
    """
    columns = list(zip(*rows, strict=True))
    widths = [max(map(len, column)) for column in columns]
    left %= len(columns)
    lines = [
        "  ".join(
            cell.ljust(width) if column == left else cell.rjust(width)
            for column, (cell, width) in enumerate(zip(row, widths, strict=True))
        ).rstrip()
        for row in rows
    ]
    if not rules:
        return "\n".join(lines)
    rule = "-" * max(map(len, lines))
    body = [*lines[1:-1], rule, lines[-1]] if total else lines[1:]
    return "\n".join([lines[0], rule, *body])


def write_text(path: Path, text: str) -> None:
    """Writes a text file atomically.

    Raises:
        OSError: It could not be written; what was there is as it was.
    """
    with atomic_file(path) as file:
        file.write(text.encode())
