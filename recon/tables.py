"""Rows of cells as text, CSV and files."""

from __future__ import annotations

import csv
import io
from collections.abc import Sequence
from pathlib import Path

from recon.atomic_files import atomic_file


def csv_text(rows: Sequence[Sequence[object]]) -> str:
    """Return rows as CSV."""
    buffer = io.StringIO()
    csv.writer(buffer, lineterminator="\n").writerows(rows)
    return buffer.getvalue()


def aligned(rows: Sequence[Sequence[str]]) -> str:
    """Return rows in columns to the right, the last one to the left; a rule below the first row.

    Args:
        rows: of equally many cells.
    """
    widths = [max(map(len, column)) for column in zip(*rows, strict=True)]
    lines = []
    for row in rows:
        cells = [cell.rjust(width) for cell, width in zip(row[:-1], widths, strict=False)]
        lines.append("  ".join([*cells, row[-1]]).rstrip())
    return "\n".join([lines[0], "-" * max(map(len, lines)), *lines[1:]])


def aligned_with_total(rows: Sequence[Sequence[str]]) -> str:
    """Return rows in columns, the first one to the left; rules below the first row and above the
    last, which sums up the others.

    Args:
        rows: of equally many cells.
    """
    widths = [max(map(len, column)) for column in zip(*rows, strict=True)]
    lines = []
    for row in rows:
        cells = [cell.rjust(width) for cell, width in zip(row, widths, strict=True)]
        lines.append("  ".join([row[0].ljust(widths[0]), *cells[1:]]))
    rule = "-" * len(lines[0])
    return "\n".join([lines[0], rule, *lines[1:-1], rule, lines[-1]])


def write_text(path: Path, text: str) -> None:
    """Write a text file atomically.

    Raises:
        OSError: it could not be written; what was there is as it was.
    """
    with atomic_file(path) as file:
        file.write(text.encode())
