"""Tables: what they show, what they note, and that their forms agree."""

from __future__ import annotations

import csv
import math
from dataclasses import replace
from pathlib import Path

import pytest

from recon.datasets.categories import CATEGORIES
from recon.evaluation.result import Estimate, EvaluationResult, Metric, ObjectResult
from recon.evaluation.statistics import summarize
from recon.evaluation.tables import (
    category_rows,
    column_names,
    estimate_text,
    object_rows,
    result_text,
    title,
    unit_label,
    value_text,
    write_tables,
)

CHAIR, TABLE = "03001627", "04379243"
IOU = Metric("softras_iou", "voxel IoU", "softras", percent=True)
COLORS = [
    Metric("color_l1", "L1", "color", higher_is_better=False),
    Metric("color_psnr", "PSNR", "color"),
]
ABOUT = {
    "checkpoint": "runs/best.pt",
    "settings": {"split": "val"},
    "checkpoint_fingerprint": "sha256:" + "c" * 64,
    "data_fingerprints": ["sampled:" + "d" * 64],
    "evaluation": "e" * 64,
}


def row(name: str, synset: str, iou: float, l1: float | None = None) -> ObjectResult:
    scores = {"model": {"softras_iou": iou}, "retrieval": {"softras_iou": iou + 0.125}}
    if l1 is not None:
        for table in scores.values():
            table |= {"color_l1": l1, "color_psnr": 50 * l1}
    return ObjectResult(name, f"{name}, the best", synset, (0, 1), scores, {})


def result(colors: bool = False) -> EvaluationResult:
    objects = [("a", CHAIR, 0.5, 0.1), ("b", CHAIR, 0.25, 0.3), ("c", CHAIR, 0.0, 0.2)]
    objects.append(("d", TABLE, 0.125, math.nan))
    rows = [row(*values) if colors else row(*values[:3]) for values in objects]
    protocols = {"softras": "softras: at 32^3", **({"color": "colours: so"} if colors else {})}
    metrics = [IOU, *(COLORS if colors else [])]
    return summarize(rows, metrics, ABOUT, protocols, ["retrieval: nearest"], seed=0)


def test_the_text_has_a_row_per_category_and_intervals_of_the_model() -> None:
    lines = result_text(result()).splitlines()
    assert title(result()) == "runs/best.pt: split val, 4 objects, 2 views of each one at a time"
    assert lines[0] == title(result())
    assert lines[2] == "softras: at 32^3"
    start = lines.index("voxel IoU % [95 % interval]") + 2
    block = lines[start : start + 6]
    assert len({len(line) for line in block}) == 1
    assert block[0].split() == ["category", "objects", "model", "retrieval"]
    assert block[2].split() == ["chair", "3", "25.00", "[0.00,", "50.00]", "37.50"]
    # One object has no interval, and gives that of the mean nothing.
    assert block[3].split() == ["table", "1", "12.50", "[", "-", "]", "25.00"]
    assert block[5].split() == ["mean", "4", "18.75", "[6.25,", "31.25]", "31.25"]
    assert lines[-4:] == list(result().notes)
    assert lines[-5] == "without objects: " + ", ".join(
        c.name for c in CATEGORIES if c.name not in ("chair", "table")
    )


def test_the_title_and_notes_say_what_was_chosen() -> None:
    one = result()
    some = {"checkpoint": "a.pt", "settings": {"split": None, "categories": ["chair", "table"]}}
    single = tuple(replace(row, views=(3,)) for row in one.objects)
    chosen = replace(one, about=some, objects=single)
    assert title(chosen) == "a.pt: all splits, 4 objects, 1 view of each"
    assert "without objects" in result_text(one)
    assert "without objects" not in result_text(chosen)


def test_several_metrics_are_a_table_for_each_predictor() -> None:
    text = result_text(result(colors=True))
    for name in ("model", "retrieval"):
        lines = text[text.index(f"color, {name} [95 % intervals]") :].splitlines()
        assert lines[2].split() == ["category", "objects", "L1", "PSNR"]
        assert lines[4].split()[:3] == ["chair", "3", "0.2000"]
        assert lines[5].split()[2] == "-"  # no view shows the table
        assert lines[7].split()[:3] == ["mean", "4", "0.2000"]
    assert "lower is better: L1; higher is better: all others" in text


def test_the_files_agree(tmp_path: Path) -> None:
    folder = tmp_path / "new" / "report"
    write_tables(folder, result(colors=True))
    assert sorted(path.name for path in folder.iterdir()) == [
        "objects.csv",
        "result.json",
        "table.csv",
        "table.txt",
    ]
    again = EvaluationResult.read(folder / "result.json")
    assert (folder / "table.txt").read_text() == result_text(again)
    with open(folder / "table.csv", newline="") as file:
        assert list(csv.reader(file)) == category_rows(again)
    with open(folder / "objects.csv", newline="") as file:
        assert list(csv.reader(file)) == object_rows(again)


def test_rows_of_categories_are_the_thirteen_and_their_mean() -> None:
    rows = category_rows(result(colors=True))
    assert [line[0] for line in rows[1:]] == [*(c.name for c in CATEGORIES), "mean"]
    assert rows[0][:5] == [
        "category",
        "objects",
        "model voxel IoU",
        "model voxel IoU low",
        "model voxel IoU high",
    ]
    tables = {line[0]: dict(zip(rows[0], line, strict=True)) for line in rows[1:]}
    assert tables["chair"]["objects"] == "3"
    assert tables["chair"]["retrieval voxel IoU"] == "37.5000"
    assert tables["lamp"]["objects"] == "0"
    assert tables["lamp"]["model voxel IoU"] == tables["table"]["model L1"] == "-"
    assert tables["mean"]["model voxel IoU low"] == "6.2500"
    assert tables["mean"]["model PSNR"] == "10.0000"


def test_rows_of_objects_say_where_they_come_from() -> None:
    header, *rows = object_rows(result(colors=True))
    first, last = (dict(zip(header, line, strict=True)) for line in (rows[0], rows[-1]))
    assert (first["id"], first["name"], first["views"]) == ("a", "a, the best", "2")
    assert (first["model voxel IoU"], first["retrieval voxel IoU"]) == ("0.500000", "0.625000")
    assert last["model L1"] == ""
    assert (first["checkpoint"], first["data"]) == ("c" * 16, "d" * 16)
    assert first["evaluation"] == "e" * 16


def test_columns_of_two_suites_are_told_apart() -> None:
    twice = [replace(IOU, key=f"{suite}_iou", suite=suite) for suite in ("softras", "onet")]
    assert column_names([*twice, *COLORS]) == {
        "softras_iou": "softras voxel IoU",
        "onet_iou": "onet voxel IoU",
        "color_l1": "L1",
        "color_psnr": "PSNR",
    }


def test_a_unit_is_not_taken_for_that_of_a_threshold() -> None:
    assert unit_label(IOU) == "voxel IoU %"
    assert unit_label(replace(IOU, label="F1 at 0.1")) == "F1 at 0.1 (%)"
    assert unit_label(COLORS[0]) == "L1"


@pytest.mark.parametrize(
    ("value", "metric", "text"),
    [
        (0.12345, IOU, "12.35"),
        (0.12345, COLORS[0], "0.1235"),
        (12.345678, COLORS[1], "12.35"),
        (math.nan, IOU, "-"),
    ],
)
def test_figures_have_the_decimals_that_say_something(
    value: float, metric: Metric, text: str
) -> None:
    assert value_text(value, metric) == text
    assert estimate_text(Estimate(value), metric, interval=False) == text
