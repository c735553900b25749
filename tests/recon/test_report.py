"""Tables: what they show, what they note, and that their three forms agree."""

from __future__ import annotations

import csv
import json
import math
from pathlib import Path

import pytest

from recon.color_evaluation import ColorScore
from recon.datasets.categories import CATEGORIES
from recon.evaluation import ObjectScore
from recon.report import ScoreTable, write_report

CHAIR, TABLE = "03001627", "04379243"


def column(shift: float = 0.0) -> list[ObjectScore]:
    rows = [("a", CHAIR, 0.5), ("b", CHAIR, 0.25), ("c", CHAIR, 0.0), ("d", TABLE, 0.125)]
    return [
        ObjectScore(name, f"{name}, the best", synset, (0, 1), (iou + shift, iou + shift))
        for name, synset, iou in rows
    ]


SCORES = {"model": column(), "retrieval": column(0.125)}


def test_every_category_has_a_row_and_empty_ones_a_dash() -> None:
    rows = ScoreTable(SCORES, "title").rows()
    assert [row[0] for row in rows] == [c.name for c in CATEGORIES] + ["mean"]
    by_name = {row[0]: row[1:] for row in rows}
    assert by_name["chair"] == ["3", "25.00", "37.50"]
    assert by_name["table"] == ["1", "12.50", "25.00"]
    assert by_name["lamp"] == ["0", "-", "-"]
    assert by_name["mean"] == ["4", "18.75", "31.25"]


def test_the_notes_say_what_the_mean_is_over_and_where_objects_are_few() -> None:
    notes = ScoreTable(SCORES, "title", ["retrieval: nearest picture"]).notes()
    assert notes[0] == "mean: unweighted over the 2 categories with objects"
    assert notes[1] == "fewer than 3 objects: table"
    assert notes[2] == "retrieval: nearest picture"


def test_columns_of_the_text_are_aligned() -> None:
    lines = ScoreTable(SCORES, "title").text().splitlines()
    table = lines[2:19]
    assert {len(line) for line in table} == {len(table[0])}
    assert lines[0] == "title"


def test_the_files_agree(tmp_path: Path) -> None:
    folder = tmp_path / "new" / "report"
    table = write_report(folder, SCORES, "title", {"checkpoint": "best.pt"})
    assert (folder / "table.txt").read_text() == table.text()
    with open(folder / "table.csv", newline="") as file:
        assert list(csv.reader(file))[1:] == table.rows()
    result = json.loads((folder / "result.json").read_text())
    assert result["checkpoint"] == "best.pt"
    assert result["iou"]["model"] == pytest.approx({"chair": 0.25, "table": 0.125, "mean": 0.1875})
    assert result["objects"] == {"chair": 3, "table": 1}
    assert result["rows"]["retrieval"][3]["iou"] == pytest.approx(0.25)
    with open(folder / "objects.csv", newline="") as file:
        rows = list(csv.DictReader(file))
    assert [row["id"] for row in rows] == ["a", "b", "c", "d"]
    assert rows[0]["name"] == "a, the best"  # a comma in a name is quoted
    assert float(rows[0]["retrieval"]) == 0.625
    assert sorted(path.name for path in folder.iterdir()) == [
        "objects.csv",
        "result.json",
        "table.csv",
        "table.txt",
    ]


def colors(l1: float) -> list[ColorScore]:
    """The last object is never seen."""
    synsets = (CHAIR, CHAIR, CHAIR, TABLE)
    values = (l1, l1, 2.5 * l1, math.nan)
    return [
        ColorScore(name, synset, {"color_l1": value, "color_psnr": 20 * value, "color_ssim": value})
        for name, synset, value in zip("abcd", synsets, values, strict=True)
    ]


def test_colors_stand_beside_the_iou(tmp_path: Path) -> None:
    measured = {"model": colors(0.1), "mean colour": colors(0.2)}
    table = write_report(tmp_path, SCORES, "title", {}, colors=measured)
    names = ["model L1", "mean colour L1", "model PSNR", "mean colour PSNR"]
    assert table.color_columns() == [*names, "model SSIM", "mean colour SSIM"]
    with open(tmp_path / "table.csv", newline="") as file:
        rows = {row["category"]: row for row in csv.DictReader(file)}
    figures = ["0.1500", "0.3000", "3.00", "6.00"]
    assert [rows["chair"][name] for name in names] == figures
    assert [rows["mean"][name] for name in names] == figures
    assert [rows["table"][name] for name in names] == ["-"] * 4
    assert rows["chair"]["model"] == "25.00"
    result = json.loads((tmp_path / "result.json").read_text(), parse_constant=pytest.fail)
    expected = {"chair": pytest.approx(0.15), "table": None, "mean": pytest.approx(0.15)}
    assert result["colors"]["model"]["color_l1"] == expected
    assert result["color_rows"]["model"][3]["values"]["color_ssim"] is None
    with open(tmp_path / "objects.csv", newline="") as file:
        objects = list(csv.DictReader(file))
    assert [row["mean colour L1"] for row in objects] == ["0.200000", "0.200000", "0.500000", ""]
    lines = table.text().splitlines()
    block = lines[lines.index(next(line for line in lines if "model L1" in line)) :][:6]
    assert [line.split()[0] for line in block[2:4]] == ["chair", "table"]
    assert block[5].split() == ["mean", "4", *figures, "0.1500", "0.3000"]
    assert len({len(line) for line in block}) == 1


def test_a_table_of_nothing_or_of_different_objects_is_refused() -> None:
    for scores in ({}, {"model": []}):
        with pytest.raises(ValueError, match="at least one"):
            ScoreTable(scores, "title")
    with pytest.raises(ValueError, match="same objects"):
        ScoreTable({"model": column(), "other": column()[:2]}, "title")
    with pytest.raises(ValueError, match="same objects"):
        ScoreTable(SCORES, "title", colors={"model": colors(0.1)[:2]})
