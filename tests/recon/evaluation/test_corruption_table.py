"""The table of corruptions as texts and in files."""

from __future__ import annotations

import csv
import math
from pathlib import Path

import pytest

from recon.evaluation.corruption_table import CorruptionRow, CorruptionTable, write_corruptions
from recon.evaluation.corruptions import ORIGINAL, RENDERED
from recon.metrics.softras import IOU


def test_missing_rows_do_not_count_and_references_neither(tmp_path: Path) -> None:
    table = CorruptionTable(
        IOU,
        (
            CorruptionRow(ORIGINAL, ORIGINAL, 0.5, 0.0),
            CorruptionRow(RENDERED, RENDERED, math.nan, math.nan, "no triangles"),
            CorruptionRow("blur", ORIGINAL, 0.4, -0.1),
            CorruptionRow("noise", ORIGINAL, 0.3, -0.2),
            CorruptionRow("distance", RENDERED, math.nan, math.nan, "no triangles"),
        ),
    )
    assert table.mean_change == pytest.approx(-0.15)
    write_corruptions(tmp_path, table)
    with open(tmp_path / "corruptions.csv", newline="") as file:
        rows = list(csv.reader(file))
    assert rows == table.table()
    assert rows[3] == ["blur", "40.00", "-10.00", ORIGINAL, ""]
    assert rows[5] == ["distance", "-", "-", RENDERED, "no triangles"]
    assert rows[6] == ["mean change", "", "-15.00", "", ""]
    text = (tmp_path / "corruptions.txt").read_text()
    assert "noise" in text
    assert "-15.00" in text


def test_a_table_without_corruptions_has_no_mean_change() -> None:
    table = CorruptionTable(IOU, (CorruptionRow(ORIGINAL, ORIGINAL, 0.5, 0.0),))
    assert math.isnan(table.mean_change)
    assert table.table()[-1] == ["mean change", "", "-", "", ""]
