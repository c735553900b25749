"""The result of an evaluation, as `result.json` holds it: values per object, means, intervals.

Tables, comparisons and the report are made of nothing else. A value that is not defined (colours
of an object which no view shows, the interval of one object) is NaN here and null in the file.
The file calls metrics `measures` and their suites `preset`, as it did from the start.
"""

from __future__ import annotations

import json
import math
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any, TypeVar

from recon.files import write_text
from recon.metrics.metric_suite import Metric
from recon.runs.directory import read_json

VERSION = 2
# The key of the macro mean among the categories of `EvaluationResult.means`.
MACRO = "mean"
# The predictor which is evaluated; the others are baselines.
MODEL = "model"

T = TypeVar("T")


@dataclass(frozen=True)
class ObjectResult:
    """The values of one object.

    Args:
        id: The identifier of the object in its data set.
        name: The name of the object in tables.
        synset: The synset of its category.
        views: The views from which the object was predicted, one at a time.
        scores: The means over the views, by predictor and key of the metric.
        per_view: The values of the model for each of `views`, by the key of the metric; metrics
            between views are not in it.
    """

    id: str
    name: str
    synset: str
    views: tuple[int, ...]
    scores: Mapping[str, Mapping[str, float]]
    per_view: Mapping[str, tuple[float, ...]]

    def typical_view(self, key: str) -> tuple[int, float]:
        """Returns the view whose value of a metric is nearest to the mean, and this value.

        Without a value by view it is the first view, and NaN.
        """
        pairs = zip(self.views, self.per_view.get(key, ()), strict=False)
        known = [(view, value) for view, value in pairs if not math.isnan(value)]
        if not known:
            return self.views[0], math.nan
        mean = sum(value for _, value in known) / len(known)
        return min(known, key=lambda pair: (abs(pair[1] - mean), pair[0]))


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
        about: Plain data that say what was evaluated, on what, how and by which versions.
        protocols: For each metric suite a line that says what its numbers mean.
        metrics: The metrics in the order of the tables, the most important one first.
        predictors: The names of the predictors: the model first, then the baselines.
        objects: The values of the objects, in the order of the data.
        categories: The categories with objects, in the order of the tables.
        means: The means by predictor, key of the metric, and name of a category or `MACRO`; a
            metric that a predictor lacks is absent.
        notes: Sentences that a reader of the means must know.

    Raises:
        ValueError: The parts do not fit together.
    """

    about: Mapping[str, Any]
    protocols: Mapping[str, str]
    metrics: tuple[Metric, ...]
    predictors: tuple[str, ...]
    objects: tuple[ObjectResult, ...]
    categories: tuple[CategoryCount, ...]
    means: Mapping[str, Mapping[str, Mapping[str, Estimate]]]
    notes: tuple[str, ...] = ()

    def __post_init__(self) -> None:
        _require_parts(self)
        _require_objects(self)
        _require_means(self)

    def metric(self, key: str) -> Metric:
        """Returns the metric of a key.

        Raises:
            KeyError: There is no metric of that key.
        """
        for metric in self.metrics:
            if metric.key == key:
                return metric
        raise KeyError(key)

    def metrics_of(self, predictor: str) -> list[Metric]:
        """Returns the metrics that a predictor has, in order."""
        return [metric for metric in self.metrics if metric.key in self.means[predictor]]

    def predictors_of(self, key: str) -> list[str]:
        """Returns the predictors that have a metric, in order."""
        return [name for name in self.predictors if key in self.means[name]]

    def values(self, predictor: str, key: str) -> list[float]:
        """Returns the values of a predictor for each of `objects`."""
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
            "measures": [metric_json(metric) for metric in self.metrics],
            "predictors": list(self.predictors),
            "categories": [vars(category) for category in self.categories],
            "means": plain(means),
            "notes": list(self.notes),
            "objects": [plain(vars(row)) for row in self.objects],
        }

    def write(self, path: Path) -> None:
        """Writes `result.json` atomically, one line per object.

        Raises:
            OSError: The file could not be written; an existing file is unchanged.
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
            OSError: There is no such file.
            ValueError: The file is not a result of this version; the message names it.
        """
        content = read_json(path)
        if content.get("version") != VERSION:
            raise ValueError(
                f"{path}: no result of an evaluation of version {VERSION}, its version is "
                f"{content.get('version')}; evaluate again with eval.py"
            )
        try:
            return cls(
                about=_about(content["about"]),
                protocols=_texts(content["protocols"]),
                metrics=_rows(content["measures"], _metric),
                predictors=tuple(map(_text, content["predictors"])),
                objects=_rows(content["objects"], object_from_json),
                categories=_rows(content["categories"], _category),
                means=_estimates(content["means"]),
                notes=tuple(map(_text, content.get("notes", ()))),
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


def metric_json(metric: Metric) -> dict[str, Any]:
    """Returns a metric as `result.json` holds it."""
    row = vars(metric).copy()
    suite = row.pop("suite")
    return {"key": row.pop("key"), "label": row.pop("label"), "preset": suite, **row}


def object_from_json(row: Mapping[str, Any]) -> ObjectResult:
    """Returns an object out of what `plain(vars(object))` gave.

    Raises:
        KeyError, TypeError, ValueError, AttributeError: The row does not describe an object.
    """
    scores = {
        predictor: {key: _number(value) for key, value in values.items()}
        for predictor, values in row["scores"].items()
    }
    per_view = {key: tuple(map(_number, values)) for key, values in row["per_view"].items()}
    views = tuple(map(_whole, row["views"]))
    id_, name, synset = (_text(row[key]) for key in ("id", "name", "synset"))
    return ObjectResult(id_, name, synset, views, scores, per_view)


def _metric(row: Mapping[str, Any]) -> Metric:
    key, label, suite = (_text(row[name]) for name in ("key", "label", "preset"))
    return Metric(key, label, suite, _truth(row["higher_is_better"]), _truth(row["percent"]))


def _category(row: Mapping[str, Any]) -> CategoryCount:
    return CategoryCount(_text(row["name"]), _text(row["synset"]), _whole(row["objects"]))


def _about(content: Mapping[str, Any]) -> dict[str, Any]:
    about = dict(content)
    if not isinstance(about.get("settings", {}), dict):
        raise TypeError(f"settings must be an object, got {about['settings']!r}")
    return about


def _texts(content: Mapping[str, Any]) -> dict[str, str]:
    return {key: _text(value) for key, value in content.items()}


def _number(value: Any) -> float:
    if value is not None and (type(value) not in (int, float) or not math.isfinite(value)):
        raise TypeError(f"expected a finite number or null, got {value!r}")
    return math.nan if value is None else float(value)


def _text(value: Any) -> str:
    if not isinstance(value, str):
        raise TypeError(f"expected a text, got {value!r}")
    return value


def _whole(value: Any) -> int:
    if type(value) is not int:
        raise TypeError(f"expected a whole number, got {value!r}")
    return value


def _truth(value: Any) -> bool:
    if not isinstance(value, bool):
        raise TypeError(f"expected true or false, got {value!r}")
    return value


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
    if not result.predictors or not result.metrics or not result.objects:
        raise ValueError("a result needs at least one predictor, one metric and one object")
    keys = [metric.key for metric in result.metrics]
    if len(set(keys)) != len(keys):
        raise ValueError(f"keys of metrics must differ, got {keys}")
    for metric in result.metrics:
        if metric.suite not in result.protocols:
            raise ValueError(f"metric {metric.key}: no protocol {metric.suite!r}")
    if any(category.name == MACRO for category in result.categories):
        raise ValueError(f"no category may be called {MACRO!r}, the name of their mean")


def _require_objects(result: EvaluationResult) -> None:
    """Every object has each metric of each predictor, and a value per view."""
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
    keys = {metric.key for metric in result.metrics}
    wanted = {*(category.name for category in result.categories), MACRO}
    for predictor, table in result.means.items():
        if not table or not set(table) <= keys:
            raise ValueError(f"means of {predictor} must be of some of {sorted(keys)}")
        for key, row in table.items():
            if set(row) != wanted:
                raise ValueError(f"means of {predictor}, {key} must be of {sorted(wanted)}")
