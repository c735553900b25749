"""Rows as text and CSV."""

from __future__ import annotations

from pathlib import Path

from recon.tables import aligned, csv_text, write_text

ROWS = [["lr", "iou", "note"], ["0.001", "9.5", "best"], ["1", "10.25", ""]]


def test_columns_are_aligned() -> None:
    assert aligned(ROWS).splitlines() == [
        "   lr    iou  note",
        "------------------",
        "0.001    9.5  best",
        "    1  10.25",
    ]


def test_csv_quotes_what_it_must(tmp_path: Path) -> None:
    write_text(tmp_path / "a.csv", csv_text([["a", 1], ["b,c", None]]))
    assert (tmp_path / "a.csv").read_text() == 'a,1\n"b,c",\n'
