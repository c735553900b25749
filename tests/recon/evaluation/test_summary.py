"""Means of means: per object, then per category, then over categories."""

from __future__ import annotations

import math

import pytest

from recon.evaluation.result import ObjectResult, ResultMeasure
from recon.evaluation.summary import summarised

CHAIR, TABLE = "03001627", "04379243"
MEASURES = [ResultMeasure(key, key, "p", True, True) for key in ("iou", "color")]


def row(name: str, synset: str, iou: float, color: float = math.nan) -> ObjectResult:
    scores = {"model": {"iou": iou, "color": color}, "template": {"iou": iou / 2}}
    return ObjectResult(name, name, synset, (0,), scores, {"iou": (iou,)})


def test_means_are_per_category_and_then_over_categories() -> None:
    rows = [row("a", CHAIR, 0.3, 0.2), row("d", TABLE, 0.9), row("b", CHAIR, 0.7, 0.4)]
    rows += [row("c", CHAIR, 0.5), row("x", "own word", 0.4)]
    result = summarised(rows, MEASURES, {"seed": 0}, {"p": "protocol"}, ["own note"], seed=0)
    assert [(c.name, c.objects) for c in result.categories] == [
        ("chair", 3),
        ("table", 1),
        ("own word", 1),
    ]
    means = {name: cell.mean for name, cell in result.means["model"]["iou"].items()}
    # Not the mean over objects, 0.56.
    assert means == pytest.approx({"chair": 0.5, "table": 0.9, "own word": 0.4, "mean": 0.6})
    assert result.means["template"]["iou"]["mean"].mean == pytest.approx(0.3)
    assert result.means["model"]["color"]["chair"].mean == pytest.approx(0.3)
    assert math.isnan(result.means["model"]["color"]["table"].mean)
    assert result.predictors == ("model", "template")
    assert set(result.means["template"]) == {"iou"}
    chair = result.means["model"]["iou"]["chair"]
    assert (chair.low, chair.high) == pytest.approx((0.3, 0.7))


def test_notes_say_what_the_means_are_over() -> None:
    rows = [row(name, CHAIR, 0.5) for name in "abc"] + [row("d", TABLE, 0.5)]
    notes = summarised(rows, MEASURES, {}, {"p": ""}, ["own note"], seed=0).notes
    assert notes[0] == "mean: unweighted over the 2 categories with objects"
    assert notes[1].startswith("intervals: 95 percent, from 10000 bootstrap draws")
    assert notes[2:] == ("fewer than 3 objects: table", "own note")
