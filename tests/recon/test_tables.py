"""Rows as text and CSV."""

from __future__ import annotations

from pathlib import Path

from recon.tables import aligned, aligned_with_total, csv_text, write_text

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


def test_a_last_row_which_sums_up_stands_below_a_rule() -> None:
    rows = [["category", "iou"], ["chair", "1.00"], ["car", "10.00"], ["mean", "5.50"]]
    assert aligned_with_total(rows).splitlines() == [
        "category    iou",
        "---------------",
        "chair      1.00",
        "car       10.00",
        "---------------",
        "mean       5.50",
    ]
