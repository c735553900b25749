"""Paired comparisons: differences, wins, and what does not fit together."""

from __future__ import annotations

import json
import math
from collections.abc import Sequence
from dataclasses import replace

import numpy as np
import pytest

from recon.evaluation.comparison import compare
from recon.evaluation.result import EvaluationResult, Metric, ObjectResult
from recon.evaluation.statistics import summarize

CHAIR, TABLE = "03001627", "04379243"
IOU = Metric("softras_iou", "voxel IoU", "softras", percent=True)
L1 = Metric("color_l1", "L1", "color", higher_is_better=False)
NAMES = ("this.pt", "other.pt")


def result(
    rows: Sequence[tuple[str, str, float]],
    metric: Metric = IOU,
    views: tuple[int, ...] = (0, 1),
    protocol: str = "as published",
    data: str = "sha256:1",
) -> EvaluationResult:
    objects = [
        ObjectResult(name, name, synset, views, {"model": {metric.key: value}}, {})
        for name, synset, value in rows
    ]
    about = {"data_fingerprints": [data]}
    return summarize(objects, [metric], about, {metric.suite: protocol}, [], seed=0)


HERE = [("a", CHAIR, 0.5), ("b", CHAIR, 0.3), ("c", CHAIR, 0.4), ("d", TABLE, 0.9)]
THERE = [("d", TABLE, 0.6), ("a", CHAIR, 0.4), ("b", CHAIR, 0.3), ("c", CHAIR, 0.5)]


def test_objects_are_matched_by_id_and_counted() -> None:
    comparison = compare(result(HERE), result(THERE), NAMES)
    rows = comparison.rows["softras_iou"]
    assert list(rows) == ["chair", "table", "mean"]
    chair, table, mean = rows.values()
    assert (chair.objects, chair.wins, chair.ties, chair.losses) == (3, 1, 1, 1)
    assert (table.objects, table.wins, table.ties, table.losses) == (1, 1, 0, 0)
    assert (mean.objects, mean.wins, mean.ties, mean.losses) == (4, 2, 1, 1)
    assert chair.difference.mean == pytest.approx(0.0)
    assert (chair.difference.low, chair.difference.high) == pytest.approx((-0.1, 0.1))
    assert mean.difference.mean == pytest.approx((0.0 + 0.3) / 2)
    assert (mean.this, mean.other) == pytest.approx(((0.4 + 0.9) / 2, (0.4 + 0.6) / 2))
    assert math.isnan(table.difference.low)


def test_lower_may_be_better() -> None:
    rows = compare(result(HERE, L1), result(THERE, L1), NAMES).rows["color_l1"]
    assert (rows["mean"].wins, rows["mean"].losses) == (1, 2)
    assert rows["mean"].difference.mean == pytest.approx(0.15)


def test_pairs_have_a_narrower_interval_than_either_mean() -> None:
    generator = np.random.default_rng(0)
    hard = generator.uniform(0.1, 0.9, 200)
    noise = generator.normal(0.01, 0.01, 200)
    one = result([(str(k), CHAIR, value) for k, value in enumerate(hard + noise)])
    two = result([(str(k), CHAIR, value) for k, value in enumerate(hard)])
    change = compare(one, two, NAMES).rows["softras_iou"]["mean"].difference
    mean = one.means["model"]["softras_iou"]["mean"]
    assert change.low > 0  # seen, though the intervals of the means overlap almost wholly
    assert change.high - change.low < 0.1 * (mean.high - mean.low)


def test_objects_missing_on_one_side_are_named() -> None:
    extra = [(f"x{number}", TABLE, 0.5) for number in range(12)]
    comparison = compare(result([*HERE, *extra]), result(THERE[:3]), NAMES)
    assert comparison.missing_here == ()
    assert comparison.missing_there == ("c", *(name for name, _, _ in extra))
    assert comparison.rows["softras_iou"]["mean"].objects == 3
    listed = ", ".join(["c", *(f"x{number}" for number in range(9))])
    assert f"13 objects missing in other: {listed} and 3 more" in comparison.notes
    back = compare(result(THERE[:3]), result(HERE), NAMES)
    assert back.missing_here == ("c",)
    assert "1 objects missing in this: c" in back.notes


def test_an_object_without_a_figure_on_one_side_is_in_no_mean() -> None:
    there = [(name, synset, math.nan if name == "a" else value) for name, synset, value in THERE]
    chair = compare(result(HERE), result(there), NAMES).rows["softras_iou"]["chair"]
    assert (chair.objects, chair.wins, chair.ties, chair.losses) == (2, 0, 1, 1)
    assert (chair.this, chair.other) == pytest.approx((0.35, 0.4))


def test_what_does_not_fit_together_is_refused() -> None:
    here = result(HERE)
    for other, message in (
        (result([("z", CHAIR, 0.5)]), r"this\.pt and other\.pt have no object in common"),
        (
            result(THERE, views=(0, 2)),
            r"from views \[0, 1\] in this\.pt, but from \[0, 2\]",
        ),
        (result(THERE, L1), "no metric of the same protocol in common: voxel IoU .*does not have"),
        (result(THERE, protocol="another"), "left out, as the protocols differ"),
    ):
        with pytest.raises(ValueError, match=message):
            compare(here, other, NAMES)


def test_a_metric_of_another_protocol_is_left_out_with_a_note() -> None:
    both = [
        replace(
            one,
            metrics=(IOU, L1),
            protocols={"softras": "as published", "color": str(number)},
            objects=tuple(
                replace(o, scores={"model": {**o.scores["model"], "color_l1": 0.1}})
                for o in one.objects
            ),
            means={"model": dict.fromkeys((IOU.key, L1.key), one.means["model"][IOU.key])},
        )
        for number, one in enumerate((result(HERE), result(THERE)))
    ]
    comparison = compare(*both, NAMES)
    assert [metric.key for metric in comparison.metrics] == ["softras_iou"]
    assert "L1 (color): left out, as the protocols differ" in comparison.notes


def test_other_data_is_noted() -> None:
    notes = compare(result(HERE), result(THERE, data="sha256:2"), NAMES).notes
    assert "the data files of the two differ: objects are matched by their ids alone" in notes
    assert not any("differ" in note for note in compare(result(HERE), result(THERE), NAMES).notes)


def test_text_table_and_json_agree() -> None:
    comparison = compare(result(HERE), result(THERE), NAMES)
    lines = comparison.text().splitlines()
    assert lines[:2] == ["this:  this.pt", "other: other.pt"]
    assert lines[3] == "softras, voxel IoU % (higher is better)"
    assert lines[7].split()[:5] == ["chair", "3", "40.00", "40.00", "0.00"]
    figures = "4 65.00 50.00 15.00 [10.00, 20.00] 2 1 1"
    assert lines[10].split() == ["mean", *figures.split()]
    summary = comparison.summary().splitlines()
    assert summary[3].split()[:3] == ["metric", "this", "other"]
    assert summary[5].split() == ["voxel", "IoU", "%", *figures.split()[1:]]
    header, *rows = comparison.table()
    mean = dict(zip(header, rows[-1], strict=True))
    assert (mean["category"], mean["difference"], mean["low"]) == ("mean", "15.0000", "10.0000")
    plain = json.loads(json.dumps(comparison.json()), parse_constant=pytest.fail)
    assert plain["rows"]["softras_iou"]["mean"]["difference"]["mean"] == pytest.approx(0.15)
    assert plain["rows"]["softras_iou"]["table"]["difference"]["low"] is None
