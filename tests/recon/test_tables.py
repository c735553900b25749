"""Rows of cells as text and CSV."""

from __future__ import annotations

from pathlib import Path

from recon.tables import aligned, csv_text, write_text


def test_columns_are_aligned() -> None:
    rows = [["", "value", "note"], ["*", "1", "a long one"], ["", "22", ""]]
    assert aligned(rows).splitlines() == [
        "   value  note",
        "--------------------",
        "*      1  a long one",
        "      22",
    ]


def test_cells_with_commas_are_quoted(tmp_path: Path) -> None:
    write_text(tmp_path / "a.csv", csv_text([["a", "b"], ["x,y", 0.5]]))
    assert (tmp_path / "a.csv").read_text() == 'a,b\n"x,y",0.5\n'
