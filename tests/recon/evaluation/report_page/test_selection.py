from __future__ import annotations

import math
from collections.abc import Callable

import pytest

from recon.evaluation.report_page.selection import BEST, MEDIAN, WORST, pick_objects, ranked
from recon.evaluation.result import EvaluationResult

Make = Callable[..., EvaluationResult]


def test_objects_are_ranked_from_best_to_worst(make_result: Make) -> None:
    result = make_result()
    for category in result.categories:
        by_iou = ranked(result, "iou", category.synset)
        values = [row.scores["model"]["iou"] for row in by_iou]
        assert len(values) == 6
        assert values == sorted(values, reverse=True)
        # A higher IoU goes with a lower distance in the made-up result.
        assert ranked(result, "chamfer_l1", category.synset) == by_iou


def test_an_undefined_value_is_the_worst(make_result: Make) -> None:
    result = make_result(undefined=(17,))
    worst = result.objects[17]
    assert ranked(result, "iou", worst.synset)[-1] == worst
    pick = next(p for p in pick_objects(result, "iou") if p.row == worst)
    assert (pick.kind, pick.rank, pick.view) == (WORST, 6, 0)
    assert math.isnan(pick.score)


def test_each_category_shows_worst_median_and_best(make_result: Make) -> None:
    result = make_result()
    picks = pick_objects(result, "iou", worst=3, median=1, best=1)
    assert len({pick.row.id for pick in picks}) == len(picks) == 15
    for category in result.categories:
        rows = ranked(result, "iou", category.synset)
        own = {pick.row.id: pick for pick in picks if pick.category == category.name}
        places = {5: WORST, 4: WORST, 3: WORST, 2: MEDIAN, 0: BEST}
        assert {rows.index(pick.row): pick.kind for pick in own.values()} == places
        for place, kind in places.items():
            pick = own[rows[place].id]
            assert (pick.kind, pick.rank, pick.among) == (kind, place + 1, 6)


def test_the_first_picks_cover_the_categories(make_result: Make) -> None:
    picks = pick_objects(make_result(), "iou")
    assert [pick.kind for pick in picks[:9]] == [WORST] * 3 + [MEDIAN] * 3 + [BEST] * 3
    assert len({pick.category for pick in picks[:3]}) == 3


@pytest.mark.parametrize(
    ("numbers", "expected"),
    [((9, 0, 0), 18), ((0, 9, 0), 18), ((0, 0, 2), 6), ((0, 0, 0), 0), ((4, 4, 4), 18)],
)
def test_no_object_is_shown_twice(
    make_result: Make, numbers: tuple[int, int, int], expected: int
) -> None:
    picks = pick_objects(make_result(), "iou", *numbers)
    assert len({pick.row.id for pick in picks}) == len(picks) == expected


def test_the_view_is_the_one_nearest_to_the_mean(make_result: Make) -> None:
    # The values of the three views are v - 0.01, v and v + 0.01.
    result = make_result(views=(2, 7, 11))
    for pick in pick_objects(result, "iou"):
        assert pick.view == 7
        assert pick.score == pytest.approx(pick.row.scores["model"]["iou"])
    # What is not taken by view is shown from the first.
    by_distance = pick_objects(result, "chamfer_l1")
    assert {pick.view for pick in by_distance} == {2}
    assert all(math.isnan(pick.score) for pick in by_distance)
