"""The result of an evaluation: it comes back from its file as it was, and refuses what is odd."""

from __future__ import annotations

import json
import math
from collections.abc import Iterator
from dataclasses import replace
from pathlib import Path
from typing import Any

import pytest

from recon.evaluation.comparison import compare
from recon.evaluation.result import (
    CategoryCount,
    Estimate,
    EvaluationResult,
    Metric,
    ObjectResult,
)
from recon.evaluation.tables import result_text

CHAIR, TABLE = "03001627", "04379243"
METRICS = (
    Metric("iou", "voxel IoU", "softras", percent=True),
    Metric("color_l1", "L1", "colors", higher_is_better=False),
)


def row(name: str, synset: str, iou: float, l1: float) -> ObjectResult:
    scores = {"model": {"iou": iou, "color_l1": l1}, "retrieval": {"iou": iou / 2}}
    return ObjectResult(name, f"the {name}", synset, (0, 5), scores, {"iou": (iou, iou)})


def means(table: float) -> dict[str, dict[str, dict[str, Estimate]]]:
    cells = {"chair": Estimate(0.25, 0.125, 0.375), "table": Estimate(table), "mean": Estimate(0.5)}
    return {"model": {"iou": cells, "color_l1": cells}, "retrieval": {"iou": cells}}


def result(**changes: Any) -> EvaluationResult:
    parts: dict[str, Any] = {
        "about": {"checkpoint": "best.pt", "views": [0, 5]},
        "protocols": {"softras": "IoU", "colors": "colours"},
        "metrics": METRICS,
        "predictors": ("model", "retrieval"),
        "objects": (row("a", CHAIR, 0.1, math.nan), row("b", TABLE, 0.3, 0.2)),
        "categories": (CategoryCount("chair", CHAIR, 1), CategoryCount("table", TABLE, 1)),
        "means": means(0.75),
        "notes": ("a note",),
    }
    return EvaluationResult(**{**parts, **changes})


def test_a_result_comes_back_from_its_file(tmp_path: Path) -> None:
    path = tmp_path / "result.json"
    result().write(path)
    text = path.read_text()
    plain = json.loads(text, parse_constant=pytest.fail)  # no NaN, which others cannot read
    assert plain["version"] == 2
    assert plain["means"]["model"]["iou"]["table"] == {"mean": 0.75, "low": None, "high": None}
    assert plain["objects"][0]["scores"]["model"] == {"iou": 0.1, "color_l1": None}
    assert plain["objects"][1]["per_view"] == {"iou": [0.3, 0.3]}
    again = EvaluationResult.read(path)
    again.write(path)
    assert path.read_text() == text
    assert again.objects[1] == result().objects[1]
    assert math.isnan(again.objects[0].scores["model"]["color_l1"])
    assert again.means["model"]["iou"]["chair"] == Estimate(0.25, 0.125, 0.375)
    assert (again.metrics, again.categories) == (METRICS, result().categories)


def test_metrics_and_values_are_found_by_name() -> None:
    assert result().metric("color_l1").label == "L1"
    assert [metric.key for metric in result().metrics_of("retrieval")] == ["iou"]
    assert result().values("retrieval", "iou") == [0.05, 0.15]
    with pytest.raises(KeyError):
        result().metric("l1")


def test_a_file_of_something_else_is_refused_by_name(tmp_path: Path) -> None:
    path = tmp_path / "result.json"
    for text, message in (
        ("{", "not readable as JSON"),
        ('{"iou": {}}', "no result of an evaluation of version 2, its version is None"),
        ('{"version": 2}', "a damaged result of an evaluation"),
    ):
        path.write_text(text)
        with pytest.raises(ValueError, match=message) as caught:
            EvaluationResult.read(path)
        assert str(path) in str(caught.value)
    with pytest.raises(OSError, match=r"none\.json"):
        EvaluationResult.read(tmp_path / "none.json")


def test_the_file_has_the_names_it_always_had() -> None:
    assert result().json()["measures"][0] == {
        "key": "iou",
        "label": "voxel IoU",
        "preset": "softras",
        "higher_is_better": True,
        "percent": True,
    }


@pytest.mark.parametrize("value", [None, True, -1, 1e400, "x", [], {}, [1], {"a": 1}])
def test_an_edited_file_is_read_or_refused_in_one_line(tmp_path: Path, value: Any) -> None:
    path = tmp_path / "result.json"
    result().write(path)
    content = json.loads(path.read_text())
    refused = 0
    for place in places(content):
        edited = json.loads(path.read_text())
        parent = edited
        for key in place[:-1]:
            parent = parent[key]
        parent[place[-1]] = value
        other = tmp_path / "edited.json"
        other.write_text(json.dumps(edited))
        message = refusal(other)
        if message is None:  # then everything that is made of a result can be made of it
            read = EvaluationResult.read(other)
            result_text(read)
            compare(read, read, ("a", "b"))
        else:
            assert str(other) in message
            assert "\n" not in message
            refused += 1
    assert refused > 40


def refusal(path: Path) -> str | None:
    """Returns why a file is not read, None if it is."""
    try:
        EvaluationResult.read(path)
    except ValueError as error:
        return str(error)
    return None


def places(content: Any, prefix: tuple[Any, ...] = ()) -> Iterator[tuple[Any, ...]]:
    """Every key and index of plain data."""
    items = content.items() if isinstance(content, dict) else enumerate(content)
    for key, value in items:
        yield (*prefix, key)
        if isinstance(value, dict | list):
            yield from places(value, (*prefix, key))


def test_parts_which_do_not_fit_are_refused() -> None:
    first, second = result().objects
    one_view = {"iou": (0.1,)}
    no_mean = {key: {"chair": Estimate(0.5)} for key in ("iou", "color_l1")}
    cases: list[tuple[dict[str, Any], str]] = [
        ({"objects": ()}, "at least one"),
        ({"metrics": (METRICS[0], METRICS[0])}, "keys of metrics must differ"),
        ({"protocols": {"softras": "IoU"}}, "metric color_l1: no protocol 'colors'"),
        ({"objects": (first, first)}, "ids of objects must differ"),
        ({"objects": (first,)}, "numbers of objects"),
        ({"objects": (first, replace(second, synset="x"))}, "object b: no category 'x'"),
        ({"objects": (first, replace(second, scores={}))}, "object b: scores of model must be"),
        ({"objects": (first, replace(second, per_view=one_view))}, "one value per view"),
        ({"predictors": ("model",)}, "means must be of"),
        ({"means": {**means(0.0), "retrieval": {}}}, "scores of retrieval must be"),
        ({"means": {**means(0.0), "model": no_mean}}, "means of model, iou must be of"),
        ({"categories": (CategoryCount("mean", CHAIR, 2),)}, "no category may be called 'mean'"),
    ]
    for changes, message in cases:
        with pytest.raises(ValueError, match=message):
            result(**changes)
