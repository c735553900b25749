"""The result of an evaluation, as `result.json` holds it: figures per object, means, intervals.

Tables, comparisons and the report are made of nothing else. A value that is not defined (colours
of an object which no view shows, the interval of one object) is NaN here and null in the file.
"""

from __future__ import annotations

import json
import math
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any, TypeVar

from recon.files import write_text
from recon.runs.directory import read_json

VERSION = 2
# The key of the macro mean among the categories of `EvaluationResult.means`.
MACRO = "mean"
# The predictor which is evaluated; the others are baselines.
MODEL = "model"

T = TypeVar("T")


@dataclass(frozen=True)
class ResultMeasure:
    """One measure of a result.

    Args:
        key: its name in files, as 'chamfer_l1'.
        label: its name in tables, as 'Chamfer-L1'.
        preset: the protocol it belongs to, a key of `EvaluationResult.protocols`.
        higher_is_better: which way it improves.
        percent: whether tables show 100 times the value.
    """

    key: str
    label: str
    preset: str
    higher_is_better: bool
    percent: bool


@dataclass(frozen=True)
class ObjectResult:
    """What was measured of one object.

    Args:
        id: identifier of the object in its data set.
        name: what it is called.
        synset: of its category.
        views: which of its views were shown, one at a time.
        scores: by predictor and measure, the mean over the views.
        per_view: by measure, the values of the model, one for each of `views`; measures which are
            taken between views are not in it.
    """

    id: str
    name: str
    synset: str
    views: tuple[int, ...]
    scores: Mapping[str, Mapping[str, float]]
    per_view: Mapping[str, tuple[float, ...]]


@dataclass(frozen=True)
class CategoryCount:
    """A category with objects: its name, synset and number of objects."""

    name: str
    synset: str
    objects: int


@dataclass(frozen=True)
class Estimate:
    """A mean with the ends of its 95 percent bootstrap interval, NaN where it has none."""

    mean: float
    low: float = math.nan
    high: float = math.nan


@dataclass(frozen=True)
class EvaluationResult:
    """An evaluation of a model, and of baselines beside it.

    Args:
        about: plain data: what was evaluated, on what, how and by which versions.
        protocols: by preset, one line which says what its numbers mean.
        measures: in the order of the tables, the most important one first.
        predictors: the model first, then baselines.
        objects: in the order of the data.
        categories: those which have objects, in the order of the tables.
        means: by predictor, measure, and name of a category or `MACRO`; a measure which a
            predictor does not have is not there.
        notes: what a reader of the means must know.

    Raises:
        ValueError: the parts do not fit together.
    """

    about: Mapping[str, Any]
    protocols: Mapping[str, str]
    measures: tuple[ResultMeasure, ...]
    predictors: tuple[str, ...]
    objects: tuple[ObjectResult, ...]
    categories: tuple[CategoryCount, ...]
    means: Mapping[str, Mapping[str, Mapping[str, Estimate]]]
    notes: tuple[str, ...] = ()

    def __post_init__(self) -> None:
        _require_parts(self)
        _require_objects(self)
        _require_means(self)

    def measure(self, key: str) -> ResultMeasure:
        """Returns the measure of a key.

        Raises:
            KeyError: there is none.
        """
        for measure in self.measures:
            if measure.key == key:
                return measure
        raise KeyError(key)

    def measures_of(self, predictor: str) -> list[ResultMeasure]:
        """Returns the measures that a predictor has, in order."""
        return [measure for measure in self.measures if measure.key in self.means[predictor]]

    def predictors_of(self, key: str) -> list[str]:
        """Returns the predictors that have a measure, in order."""
        return [name for name in self.predictors if key in self.means[name]]

    def values(self, predictor: str, key: str) -> list[float]:
        """Returns a measure of a predictor for each of `objects`."""
        return [row.scores[predictor][key] for row in self.objects]

    def json(self) -> dict[str, Any]:
        """Returns plain data for `result.json`, None in place of NaN."""
        means = {
            predictor: {
                key: {name: vars(estimate) for name, estimate in row.items()}
                for key, row in table.items()
            }
            for predictor, table in self.means.items()
        }
        return {
            "version": VERSION,
            "about": plain(self.about),
            "protocols": dict(self.protocols),
            "measures": [vars(measure) for measure in self.measures],
            "predictors": list(self.predictors),
            "categories": [vars(category) for category in self.categories],
            "means": plain(means),
            "notes": list(self.notes),
            "objects": [plain(vars(row)) for row in self.objects],
        }

    def write(self, path: Path) -> None:
        """Writes `result.json` atomically, one line per object.

        Raises:
            OSError: it could not be written; what was there is as it was.
        """
        content = self.json()
        objects = content.pop("objects")
        head = json.dumps(content, indent=2).removesuffix("\n}")
        rows = ",\n".join(f"    {json.dumps(row)}" for row in objects)
        write_text(path, f'{head},\n  "objects": [\n{rows}\n  ]\n}}\n')

    @classmethod
    def read(cls, path: Path) -> EvaluationResult:
        """Reads what `write` wrote.

        Raises:
            OSError: there is no such file.
            ValueError: it is no result of this version; the message names it.
        """
        content = read_json(path)
        if content.get("version") != VERSION:
            raise ValueError(
                f"{path}: no result of an evaluation of version {VERSION}, its version is "
                f"{content.get('version')}; evaluate again with eval.py"
            )
        try:
            return cls(
                about=dict(content["about"]),
                protocols=dict(content["protocols"]),
                measures=_rows(content["measures"], lambda row: ResultMeasure(**row)),
                predictors=tuple(content["predictors"]),
                objects=_rows(content["objects"], object_from_json),
                categories=_rows(content["categories"], lambda row: CategoryCount(**row)),
                means=_estimates(content["means"]),
                notes=tuple(content.get("notes", ())),
            )
        except (KeyError, TypeError, ValueError, AttributeError) as error:
            raise ValueError(f"{path}: a damaged result of an evaluation ({error!r})") from error


def plain(content: Any) -> Any:
    """Returns plain data with lists for sequences and None for NaN, which JSON does not know."""
    if isinstance(content, Mapping):
        return {key: plain(value) for key, value in content.items()}
    if isinstance(content, list | tuple):
        return [plain(value) for value in content]
    return None if isinstance(content, float) and math.isnan(content) else content


def object_from_json(row: Mapping[str, Any]) -> ObjectResult:
    """Returns an object out of what `plain(vars(object))` gave.

    Raises:
        KeyError, TypeError, ValueError: the row is something else.
    """
    scores = {
        str(predictor): {str(key): _number(value) for key, value in values.items()}
        for predictor, values in row["scores"].items()
    }
    per_view = {
        str(key): tuple(_number(value) for value in values)
        for key, values in row["per_view"].items()
    }
    views = tuple(int(view) for view in row["views"])
    return ObjectResult(
        str(row["id"]), str(row["name"]), str(row["synset"]), views, scores, per_view
    )


def _number(value: float | None) -> float:
    return math.nan if value is None else float(value)


def _rows(rows: Sequence[Mapping[str, Any]], make: Callable[[Any], T]) -> tuple[T, ...]:
    return tuple(make(row) for row in rows)


def _estimates(means: Mapping[str, Any]) -> dict[str, dict[str, dict[str, Estimate]]]:
    return {
        predictor: {
            key: {
                name: Estimate(**{end: _number(value) for end, value in cell.items()})
                for name, cell in row.items()
            }
            for key, row in table.items()
        }
        for predictor, table in means.items()
    }


def _require_parts(result: EvaluationResult) -> None:
    if not result.predictors or not result.measures or not result.objects:
        raise ValueError("a result needs at least one predictor, one measure and one object")
    keys = [measure.key for measure in result.measures]
    if len(set(keys)) != len(keys):
        raise ValueError(f"keys of measures must differ, got {keys}")
    for measure in result.measures:
        if measure.preset not in result.protocols:
            raise ValueError(f"measure {measure.key}: no protocol {measure.preset!r}")
    if any(category.name == MACRO for category in result.categories):
        raise ValueError(f"no category may be called {MACRO!r}, the name of their mean")


def _require_objects(result: EvaluationResult) -> None:
    """Every object has each measure of each predictor, and a value per view."""
    ids = [row.id for row in result.objects]
    if len(set(ids)) != len(ids):
        raise ValueError("ids of objects must differ")
    counts = {category.synset: category.objects for category in result.categories}
    for row in result.objects:
        if row.synset not in counts:
            raise ValueError(f"object {row.id}: no category {row.synset!r}")
        counts[row.synset] -= 1
        for predictor, table in result.means.items():
            if set(row.scores.get(predictor, ())) != set(table):
                raise ValueError(f"object {row.id}: scores of {predictor} must be {sorted(table)}")
        for key, values in row.per_view.items():
            if len(values) != len(row.views):
                raise ValueError(f"object {row.id}: {key} must have one value per view")
    if any(counts.values()):
        raise ValueError("the numbers of objects of the categories are not those of the objects")


def _require_means(result: EvaluationResult) -> None:
    if set(result.means) != set(result.predictors):
        raise ValueError(
            f"means must be of {sorted(result.predictors)}, got {sorted(result.means)}"
        )
    keys = {measure.key for measure in result.measures}
    wanted = {*(category.name for category in result.categories), MACRO}
    for predictor, table in result.means.items():
        if not table or not set(table) <= keys:
            raise ValueError(f"means of {predictor} must be of some of {sorted(keys)}")
        for key, row in table.items():
            if set(row) != wanted:
                raise ValueError(f"means of {predictor}, {key} must be of {sorted(wanted)}")
