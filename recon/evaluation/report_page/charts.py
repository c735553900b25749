"""Bars with intervals, and histograms, of the values of an evaluation: what the templates draw."""

from __future__ import annotations

import math
from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np

from recon.evaluation.corruption_table import CorruptionRow, CorruptionTable
from recon.evaluation.result import MACRO, Estimate, EvaluationResult
from recon.evaluation.tables import unit_label, value_text
from recon.metrics import Metric

BINS = 20
_STEPS = (1, 1.5, 2, 3, 4, 5, 6, 8, 10)


@dataclass(frozen=True)
class Mark:
    """A place along a track.

    Args:
        left: The position along the track as a CSS length.
        title: The text that appears under the mouse pointer.
        width: The width as a CSS length.
        color: The number of its colour, see `key_color`.
    """

    left: str
    title: str
    width: str = "0"
    color: int = 0


@dataclass(frozen=True)
class Bar:
    """The mean of the model in one category or of one kind of images, beside others.

    Args:
        name: The name of the category or of the images, or `MACRO`.
        value: The mean as a text.
        width: The length of the bar as a CSS length.
        marks: The means of the baselines, or of the images that these are compared with.
        interval: The mark of the interval of the model; None where there is no interval.
    """

    name: str
    value: str
    width: str
    marks: tuple[Mark, ...]
    interval: Mark | None

    @property
    def is_mean(self) -> bool:
        """Whether it is the mean over the categories."""
        return self.name == MACRO


def bars(result: EvaluationResult, metric: Metric) -> list[Bar]:
    """Returns a bar per category for the model, its interval, and a mark for each baseline."""
    names = [*(category.name for category in result.categories), MACRO]
    predictors = result.predictors_of(metric.key)
    table = {
        name: [estimate_of(result, predictor, metric, name) for predictor in predictors]
        for name in names
    }
    ends = [end for row in table.values() for one in row for end in vars(one).values()]
    top = round_up(max((end for end in ends if not math.isnan(end)), default=1.0))
    return [_bar(name, row, predictors, metric, top) for name, row in table.items()]


def _bar(
    name: str, row: Sequence[Estimate], predictors: Sequence[str], metric: Metric, top: float
) -> Bar:
    model = row[0]
    marks = tuple(
        Mark(
            _share(one.mean, top),
            f"{predictors[index]} {value_text(one.mean, metric)}",
            color=key_color(index),
        )
        for index, one in enumerate(row)
        if index > 0 and not math.isnan(one.mean)
    )
    interval = None
    if not math.isnan(model.low):
        low, high = value_text(model.low, metric), value_text(model.high, metric)
        width = _share(max(model.high, 0) - max(model.low, 0), top)
        interval = Mark(_share(model.low, top), f"95 % interval {low} to {high}", width)
    return Bar(name, value_text(model.mean, metric), _share(model.mean, top), marks, interval)


def corruption_bars(table: CorruptionTable) -> list[Bar]:
    """Returns a bar for each kind of images, with a mark where those it is compared with are."""
    known = {row.corruption: row.value for row in table.rows}
    top = round_up(max((value for value in known.values() if not math.isnan(value)), default=1.0))
    return [_corruption_bar(row, known, table.metric, top) for row in table.rows]


def _corruption_bar(row: CorruptionRow, known: dict[str, float], metric: Metric, top: float) -> Bar:
    if math.isnan(row.value):
        return Bar(row.corruption, "-", "0", (), None)
    reference = known[row.reference]
    mark = Mark(_share(reference, top), f"{row.reference} {value_text(reference, metric)}", color=1)
    marks = () if row.corruption == row.reference else (mark,)
    return Bar(row.corruption, value_text(row.value, metric), _share(row.value, top), marks, None)


def estimate_of(
    result: EvaluationResult, predictor: str, metric: Metric, category: str
) -> Estimate:
    """Returns the mean of a predictor in a category, NaN where it does not have the metric."""
    return result.means[predictor].get(metric.key, {}).get(category, Estimate(math.nan))


def best_mean(result: EvaluationResult, metric: Metric) -> float:
    """Returns the best mean over the categories of all predictors, NaN of none."""
    means = [estimate_of(result, name, metric, MACRO).mean for name in result.predictors]
    known = [mean for mean in means if not math.isnan(mean)]
    return (max if metric.higher_is_better else min)(known, default=math.nan)


def key_color(index: int) -> int:
    """Returns which of the colours of marks a predictor has: 0 for the model, then four others."""
    return (index - 1) % 4 + 1 if index else 0


def _share(value: float, top: float) -> str:
    """Returns how far along the track a value is; negative ones stay at its beginning."""
    return "0" if math.isnan(value) else f"{100 * min(max(value / top, 0), 1):.2f}%"


def round_up(value: float) -> float:
    """Returns the least of 1, 1.5, 2, 3, 4, 5, 6, 8, 10 times a power of ten that is not less."""
    if not value > 0:
        return 1.0
    power = 10.0 ** math.floor(math.log10(value))
    # Rounding must not lift a value above the step it is on.
    return next(step * power for step in _STEPS if step * power >= value * (1 - 1e-9))


@dataclass(frozen=True)
class Column:
    """A column of a histogram: its height as style sheets write it, and what it counts."""

    height: str
    title: str


@dataclass(frozen=True)
class HistogramMark:
    """The mean or the median in a histogram; its name may stand on its left."""

    name: str
    left: str
    on_left: bool


@dataclass(frozen=True)
class Histogram:
    """A histogram of the values of objects.

    Args:
        caption: The sentence that says what the histogram shows.
        highest: The number of objects of the highest column.
        columns: The columns, `BINS` of them.
        marks: The marks of mean and median.
        ticks: The numbers below the columns, evenly spread.
    """

    caption: str
    highest: int
    columns: tuple[Column, ...]
    marks: tuple[HistogramMark, ...]
    ticks: tuple[str, ...]


def histogram(result: EvaluationResult, metric: Metric) -> Histogram | None:
    """Returns how many objects have which value of the model; None if none has one."""
    model = result.predictors[0]
    if metric.key not in result.means[model]:
        return None
    values = np.array([v for v in result.values(model, metric.key) if math.isfinite(v)])
    if not len(values):
        return None
    top = 1.0 if metric.percent else round_up(float(values.max()))
    # What is negative, as a normal consistency may be, counts to the first bin.
    counts = np.histogram(values.clip(0, top), BINS, (0, top))[0].tolist()
    mean, median = float(values.mean()), float(np.median(values))
    return Histogram(
        f"{unit_label(metric)} of {len(values)} objects, {model}: "
        f"mean of objects {value_text(mean, metric)}, median {value_text(median, metric)}",
        max(counts),
        tuple(_column(index, counts, top, metric) for index in range(len(counts))),
        _histogram_marks({"mean": mean, "median": median}, top),
        tuple(_tick(top * k / 4, metric) for k in range(5)),
    )


def _column(index: int, counts: Sequence[int], top: float, metric: Metric) -> Column:
    low, high = (_tick(top * (index + k) / len(counts), metric) for k in (0, 1))
    objects = "object" if counts[index] == 1 else "objects"
    height = f"{100 * counts[index] / max(counts):.1f}%"
    return Column(height, f"{low} to {high}: {counts[index]} {objects}")


def _histogram_marks(values: dict[str, float], top: float) -> tuple[HistogramMark, ...]:
    """Returns marks of which the lesser one has its name on its left, where there is room."""
    least = min(values, key=lambda name: values[name])
    return tuple(
        HistogramMark(name, _share(value, top), name == least and value > 0.2 * top)
        for name, value in values.items()
    )


def _tick(value: float, metric: Metric) -> str:
    return f"{100 * value if metric.percent else value:.4g}"
