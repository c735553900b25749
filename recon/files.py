"""Files which appear complete or not at all, folders with one writer, and tables as text."""

from __future__ import annotations

import csv
import fcntl
import io
import os
from collections.abc import Iterator, Sequence
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
    """Yield a binary file which takes the name `path` only when the block ends well.

    Raises:
        OSError: Writing failed; the message names `path`, which is then as it was.
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


@contextmanager
def locked(folder: Path, doing: str, refused_as: type[ValueError] = ValueError) -> Iterator[None]:
    """Keep other processes out of a folder during the block; the lock ends with the process.

    Args:
        folder: Made when it is not there; the lock is its file `.lock`, which stays.
        doing: What this process does in it, for the message of the others.
        refused_as: What is raised when another process holds the lock.

    Raises:
        ValueError: Another process holds the lock; a `refused_as`.
        OSError: The folder is not writable.
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


def csv_text(rows: Sequence[Sequence[object]]) -> str:
    """Return rows as CSV."""
    buffer = io.StringIO()
    csv.writer(buffer, lineterminator="\n").writerows(rows)
    return buffer.getvalue()


def text_table(rows: Sequence[Sequence[str]], left: int = 0, total: bool = False) -> str:
    """Return rows in columns, with a rule below the first row.

    Args:
        rows: The cells of each row, equally many in every row.
        left: The column whose text starts at its left edge, -1 for the last one; the text of all
            others ends at their right edge.
        total: Whether the last row sums up the others and stands below a rule of its own.
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
    rule = "-" * max(map(len, lines))
    body = [*lines[1:-1], rule, lines[-1]] if total else lines[1:]
    return "\n".join([lines[0], rule, *body])


def write_text(path: Path, text: str) -> None:
    """Write a text file atomically.

    Raises:
        OSError: It could not be written; what was there is as it was.
    """
    with atomic_file(path) as file:
        file.write(text.encode())
