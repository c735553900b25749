"""Bootstrap intervals: against the normal approximation, strata, and what has no interval."""

from __future__ import annotations

import math

import numpy as np
import pytest

from recon.evaluation.result import Estimate, ObjectResult
from recon.evaluation.statistics import category_estimates, summarize
from recon.metrics import Metric

CHAIR, TABLE = "03001627", "04379243"
METRICS = [Metric(key, key, "p", percent=True) for key in ("iou", "color")]
GENERATOR = np.random.default_rng(0)
CHAIRS, LAMPS = GENERATOR.normal(0.5, 0.1, 400), GENERATOR.normal(0.2, 0.02, 100)
VALUES = np.concatenate([CHAIRS, LAMPS])[:, None]
GROUPS = ["chair"] * 400 + ["lamp"] * 100


def test_intervals_are_those_of_the_normal_approximation() -> None:
    (table,) = category_estimates(VALUES, GROUPS, ["chair", "lamp"])
    errors = {"chair": CHAIRS.std() / 20, "lamp": LAMPS.std() / 10}
    # The macro mean is of independent strata: variances add, whatever the numbers of objects.
    errors["mean"] = math.hypot(*errors.values()) / 2
    means = {"chair": CHAIRS.mean(), "lamp": LAMPS.mean()}
    means["mean"] = (means["chair"] + means["lamp"]) / 2
    assert list(table) == ["chair", "lamp", "mean"]
    for name, error in errors.items():
        estimate = table[name]
        assert estimate.mean == pytest.approx(means[name], abs=1e-12)
        assert estimate.low == pytest.approx(means[name] - 1.96 * error, abs=0.1 * error)
        assert estimate.high == pytest.approx(means[name] + 1.96 * error, abs=0.1 * error)


def test_a_mean_of_two_objects_is_drawn_as_it_must_be() -> None:
    """Of two objects a draw has both means with chance 1/4 each, the middle with 1/2."""
    (table,) = category_estimates(np.array([[0.0], [1.0]]), ["a", "a"], ["a"])
    assert table["a"] == table["mean"] == Estimate(0.5, 0.0, 1.0)


def test_draws_depend_on_the_seed_and_the_category_alone() -> None:
    both = category_estimates(VALUES, GROUPS, ["chair", "lamp"], seed=3)[0]
    alone = category_estimates(LAMPS[:, None], ["lamp"] * 100, ["lamp"], seed=3)[0]
    assert both["lamp"] == alone["lamp"] == alone["mean"]
    other = category_estimates(LAMPS[:, None], ["lamp"] * 100, ["lamp"], seed=4)[0]
    assert other["lamp"].mean == alone["lamp"].mean
    assert other["lamp"].low != alone["lamp"].low


def test_columns_share_their_draws_and_chunks_do_not_matter(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    columns = np.concatenate([VALUES, 2 * VALUES + 1], axis=1)
    first, second = category_estimates(columns, GROUPS, ["chair", "lamp"], resamples=500)
    for name, estimate in first.items():
        assert second[name].low == pytest.approx(2 * estimate.low + 1)
        assert second[name].high == pytest.approx(2 * estimate.high + 1)
    monkeypatch.setattr("recon.evaluation.statistics._CELLS", 4_000)
    again = category_estimates(columns, GROUPS, ["chair", "lamp"], resamples=500)[0]
    for name, estimate in first.items():
        assert vars(again[name]) == pytest.approx(vars(estimate))


def test_what_is_not_defined_is_left_out() -> None:
    values = np.array([[0.25], [math.nan], [0.75], [math.nan], [0.0]])
    groups = ["a", "a", "a", "b", "c"]
    (table,) = category_estimates(values, groups, ["a", "b", "c"])
    assert (table["a"].mean, table["a"].low, table["a"].high) == (0.5, 0.25, 0.75)
    assert math.isnan(table["b"].mean)
    # One object has a mean and no interval; it is the constant half of the macro mean.
    assert table["c"].mean == 0.0
    assert math.isnan(table["c"].low)
    assert table["mean"] == Estimate(0.25, 0.125, 0.375)
    (lonely,) = category_estimates(values[4:], ["c"], ["c"])
    assert math.isnan(lonely["mean"].high)


def test_groups_which_do_not_fit_are_refused() -> None:
    for values, groups, order in (
        (VALUES, GROUPS[:-1], ["chair", "lamp"]),
        (VALUES[:, 0], GROUPS, ["chair", "lamp"]),
        (VALUES, GROUPS, ["chair"]),
        (VALUES, GROUPS, ["chair", "lamp", "sofa"]),
    ):
        with pytest.raises(ValueError, match=r"values must be \[N, M\]"):
            category_estimates(values, groups, order)


def row(name: str, synset: str, iou: float, color: float = math.nan) -> ObjectResult:
    scores = {"model": {"iou": iou, "color": color}, "template": {"iou": iou / 2}}
    return ObjectResult(name, name, synset, (0,), scores, {"iou": (iou,)})


def test_means_are_per_category_and_then_over_categories() -> None:
    rows = [row("a", CHAIR, 0.3, 0.2), row("d", TABLE, 0.9), row("b", CHAIR, 0.7, 0.4)]
    rows += [row("c", CHAIR, 0.5), row("x", "own word", 0.4)]
    result = summarize(rows, METRICS, {"seed": 0}, {"p": "protocol"}, ["own note"], seed=0)
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
    notes = summarize(rows, METRICS, {}, {"p": ""}, ["own note"], seed=0).notes
    assert notes[0] == "mean: unweighted over the 2 categories with objects"
    assert notes[1].startswith("intervals: 95 percent, from 10000 bootstrap draws")
    assert notes[2:] == ("fewer than 3 objects: table", "own note")
