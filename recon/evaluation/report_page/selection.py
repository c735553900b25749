"""Selects the objects of an evaluation that the page shows: failures first."""

from __future__ import annotations

import math
from dataclasses import dataclass

from recon.evaluation.result import EvaluationResult, ObjectResult

WORST, MEDIAN, BEST = "worst", "median", "best"


@dataclass(frozen=True)
class Pick:
    """An object to be shown.

    Attributes:
        row: The values of the object.
        category: The name of its category.
        kind: The reason of the choice: `WORST`, `MEDIAN` or `BEST`.
        rank: The rank of the object in its category; 1 is the best.
        among: The number of objects of the category.
        view: The view whose score is nearest to the mean of the object.
        score: The score of this view; NaN where the metric has no value for a single view.
    """

    row: ObjectResult
    category: str
    kind: str
    rank: int
    among: int
    view: int
    score: float


def pick_objects(
    result: EvaluationResult, key: str, worst: int = 3, median: int = 1, best: int = 1
) -> list[Pick]:
    """Chooses objects of every category by a metric of the model.

    Args:
        result: The result of the evaluation.
        key: The key of the metric.
        worst: The number of the worst objects to choose.
        median: The number of objects in the middle to choose; an object among the worst is not
            chosen again.
        best: The number of the best objects to choose; an object that is chosen already is not
            chosen again.

    Returns:
        In the order of importance, so that any first part shows as many categories as it can: the
        worst of each category, then the median, the best, and the further ones in turn.
    """
    ordered = {
        category.name: ranked(result, key, category.synset) for category in result.categories
    }
    turns = _turns(worst, median, best)
    picks: list[Pick] = []
    for kind, turn in turns:
        for name, rows in ordered.items():
            place = _place(kind, turn, len(rows))
            chosen = {pick.row.id for pick in picks if pick.category == name}
            if 0 <= place < len(rows) and rows[place].id not in chosen:
                picks.append(_pick(rows[place], name, kind, place, len(rows), key))
    return picks


def _turns(worst: int, median: int, best: int) -> list[tuple[str, int]]:
    wanted = {WORST: worst, MEDIAN: median, BEST: best}
    last = max(wanted.values(), default=0)
    return [(kind, turn) for turn in range(last) for kind in wanted if turn < wanted[kind]]


def _place(kind: str, turn: int, count: int) -> int:
    """Returns the place from the best, 0, to the worst, count - 1; outside where there is none."""
    if kind == WORST:
        return count - 1 - turn
    if kind == BEST:
        return turn
    # The middle one, then those on both sides of it.
    side = (turn + 1) // 2
    return (count - 1) // 2 + (side if turn % 2 else -side)


def ranked(result: EvaluationResult, key: str, synset: str | None = None) -> list[ObjectResult]:
    """Returns the objects, of a category or of all, from the best to the worst for the model.

    Those without a value come last: they have failed altogether.
    """
    sign = -1 if result.metric(key).higher_is_better else 1
    model = result.predictors[0]

    def order(row: ObjectResult) -> tuple[bool, float, str]:
        value = row.scores[model][key]
        return math.isnan(value), 0.0 if math.isnan(value) else sign * value, row.id

    return sorted((row for row in result.objects if synset in (None, row.synset)), key=order)


def _pick(row: ObjectResult, category: str, kind: str, place: int, among: int, key: str) -> Pick:
    view, score = row.typical_view(key)
    return Pick(row, category, kind, place + 1, among, view, score)
