"""Two evaluations of the same objects, compared object by object.

The difference of two means over the same objects has a much narrower interval than either mean,
because what makes an object hard makes it hard for both.
"""

from __future__ import annotations

import math
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np

from recon.datasets.categories import category_of, present_categories
from recon.evaluation.result import (
    MACRO,
    MODEL,
    Estimate,
    EvaluationResult,
    Metric,
    ObjectResult,
    metric_json,
    plain,
)
from recon.evaluation.statistics import RESAMPLES, category_estimates
from recon.evaluation.tables import estimate_text, unit_label, value_text
from recon.files import text_table

# Means over the views of an object which differ by less are equal: rounding of their sums.
TIE = 1e-9
# Names of missing objects which the text lists; the JSON lists all.
_LISTED = 10


@dataclass(frozen=True)
class PairedRow:
    """The objects of one category, or of all.

    Args:
        objects: The number of objects with a value of the metric in both evaluations.
        this: The mean over these objects in this evaluation.
        other: The mean over these objects in the other evaluation.
        difference: The mean of the differences, this minus other, with its interval.
        wins: The number of objects with the better value in this evaluation, higher or lower as the
            metric says.
        ties: The number of objects with equal values.
        losses: The number of objects with the better value in the other evaluation.
    """

    objects: int
    this: float
    other: float
    difference: Estimate
    wins: int
    ties: int
    losses: int


@dataclass(frozen=True)
class Comparison:
    """One evaluation against another over the objects which both have.

    Args:
        this: The name of this evaluation.
        other: The name of the other evaluation.
        rows: The rows by metric and category, then `MACRO`; there objects, wins, ties and losses
            are those of all objects, and means and difference are unweighted over the categories.
        metrics: The metrics that both evaluations have.
        missing_here: The ids of objects that only the other evaluation has.
        missing_there: The ids of objects that only this evaluation has.
        notes: Sentences that a reader of the rows must know.
    """

    this: str
    other: str
    metrics: tuple[Metric, ...]
    rows: dict[str, dict[str, PairedRow]]
    missing_here: tuple[str, ...]
    missing_there: tuple[str, ...]
    notes: tuple[str, ...]

    def text(self) -> str:
        """Returns a table for each metric."""
        blocks = [self._block(metric) for metric in self.metrics]
        head = f"this:  {self.this}\nother: {self.other}"
        return "\n\n".join([head, *blocks, "\n".join(self.notes)]) + "\n"

    def _block(self, metric: Metric) -> str:
        better = "higher" if metric.higher_is_better else "lower"
        columns = ["this", "other", "this - other [95 % interval]", "wins", "ties", "losses"]
        rows = [["category", "objects", *columns]]
        for category, row in self.rows[metric.key].items():
            rows.append(
                [
                    category,
                    str(row.objects),
                    value_text(row.this, metric),
                    value_text(row.other, metric),
                    estimate_text(row.difference, metric),
                    *(str(count) for count in (row.wins, row.ties, row.losses)),
                ]
            )
        head = f"{metric.suite}, {unit_label(metric)} ({better} is better)"
        return f"{head}\n\n{text_table(rows, total=True)}"

    def summary(self) -> str:
        """Returns one table for a terminal: the means over the categories of every metric."""
        columns = ["this", "other", "this - other [95 % interval]", "wins", "ties", "losses"]
        rows = [["metric", *columns]]
        for metric in self.metrics:
            row = self.rows[metric.key][MACRO]
            values = value_text(row.this, metric), value_text(row.other, metric)
            counts = (str(count) for count in (row.wins, row.ties, row.losses))
            rows.append(
                [unit_label(metric), *values, estimate_text(row.difference, metric), *counts]
            )
        return f"this:  {self.this}\nother: {self.other}\n\n{text_table(rows)}"

    def table(self) -> list[list[str]]:
        """Returns a header and one row for each metric and category; shares are in percent."""
        names = ["this", "other", "difference", "low", "high"]
        rows = [["metric", "category", "objects", *names, "wins", "ties", "losses"]]
        for metric in self.metrics:
            for category, row in self.rows[metric.key].items():
                change = row.difference
                values = (row.this, row.other, change.mean, change.low, change.high)
                cells = [value_text(value, metric, 4) for value in values]
                counts = [str(count) for count in (row.wins, row.ties, row.losses)]
                rows.append([metric.key, category, str(row.objects), *cells, *counts])
        return rows

    def json(self) -> dict[str, Any]:
        """Returns plain data, None in place of NaN."""
        rows = {
            key: {
                category: {**vars(row), "difference": vars(row.difference)}
                for category, row in table.items()
            }
            for key, table in self.rows.items()
        }
        content = {**vars(self), "metrics": [metric_json(metric) for metric in self.metrics]}
        comparison: dict[str, Any] = plain({**content, "rows": rows})
        return comparison


def compare(
    this: EvaluationResult, other: EvaluationResult, names: tuple[str, str], seed: int = 0
) -> Comparison:
    """Compares the models of two evaluations.

    Args:
        this: One of the two evaluations.
        other: An evaluation of the same objects, from the same views and by the same protocols.
        names: The names of the two evaluations.
        seed: The seed of the bootstrap, which draws pairs.

    Raises:
        ValueError: The evaluations have no object or no metric in common, or used different views.
    """
    require_same_views({row.id: row.views for row in this.objects}, other, names)
    theirs = {row.id: row for row in other.objects}
    pairs = [(row, theirs[row.id]) for row in this.objects if row.id in theirs]
    metrics, notes = _shared_metrics(this, other, names)
    shared = {row.id for row, _ in pairs}
    missing_here = tuple(row.id for row in other.objects if row.id not in shared)
    missing_there = tuple(row.id for row in this.objects if row.id not in shared)
    if this.about.get("data_fingerprints") != other.about.get("data_fingerprints"):
        notes.append("the data files of the two differ: objects are matched by their ids alone")
    notes += _missing_notes(missing_here, "this") + _missing_notes(missing_there, "other")
    notes.append(
        f"{len(pairs)} objects on both sides; intervals: 95 percent, from {RESAMPLES} bootstrap "
        "draws of pairs within each category; wins, ties and losses of this, by objects"
    )
    rows = {metric.key: _paired_rows(pairs, metric, seed) for metric in metrics}
    return Comparison(*names, tuple(metrics), rows, missing_here, missing_there, tuple(notes))


def require_same_views(
    views: Mapping[str, Sequence[int]], other: EvaluationResult, names: tuple[str, str]
) -> None:
    """Refuses an evaluation that has no object in common with another, or was shown other views.

    Args:
        views: The views of the one evaluation, by the id of the object.
        other: The other evaluation.
        names: The names of the two evaluations.

    Raises:
        ValueError: There is no common object, or an object was predicted from different views.
    """
    pairs = [(row, views[row.id]) for row in other.objects if row.id in views]
    if not pairs:
        raise ValueError(f"{names[0]} and {names[1]} have no object in common")
    for row, own in pairs:
        if row.views != tuple(own):
            raise ValueError(
                f"object {row.id} is evaluated from views {list(own)} in {names[0]}, but from "
                f"{list(row.views)} in {names[1]}; evaluate both from the same views"
            )


def require_shared_protocol(
    protocols: Mapping[str, str], other: EvaluationResult, names: tuple[str, str]
) -> None:
    """Refuses an evaluation whose metric suites are all other ones than those of another.

    Args:
        protocols: The protocols of the one evaluation, by metric suite.
        other: The other evaluation.
        names: The names of the two evaluations.

    Raises:
        ValueError: No suite has the same protocol in both.
    """
    if not set(protocols.items()) & set(other.protocols.items()):
        raise ValueError(
            f"{names[0]} and {names[1]} have no metric of the same protocol in common: "
            f"{', '.join(protocols)} and {', '.join(other.protocols)}"
        )


def _shared_metrics(
    this: EvaluationResult, other: EvaluationResult, names: tuple[str, str]
) -> tuple[list[Metric], list[str]]:
    """Returns the metrics both models have by the same protocol, and notes on the others."""
    theirs = {metric.key for metric in other.metrics_of(MODEL)}
    shared, notes = [], []
    for metric in this.metrics_of(MODEL):
        if metric.key not in theirs:
            notes.append(f"{metric.label} ({metric.suite}): {names[1]} does not have it")
        elif this.protocols[metric.suite] != other.protocols.get(metric.suite):
            notes.append(f"{metric.label} ({metric.suite}): left out, as the protocols differ")
        else:
            shared.append(metric)
    if not shared:
        raise ValueError(
            f"{names[0]} and {names[1]} have no metric of the same protocol in common: "
            + "; ".join(notes)
        )
    return shared, notes


def _missing_notes(ids: Sequence[str], side: str) -> list[str]:
    if not ids:
        return []
    more = f" and {len(ids) - _LISTED} more" if len(ids) > _LISTED else ""
    return [f"{len(ids)} objects missing in {side}: {', '.join(ids[:_LISTED])}{more}"]


def _paired_rows(
    pairs: Sequence[tuple[ObjectResult, ObjectResult]], metric: Metric, seed: int
) -> dict[str, PairedRow]:
    values = np.array(
        [[row.scores[MODEL][metric.key] for row in pair] for pair in pairs], np.float64
    )
    values[np.isnan(values).any(axis=1)] = math.nan  # a mean is over what both sides have
    groups = [category_of(row.synset).name for row, _ in pairs]
    order = [category.name for category in present_categories(row.synset for row, _ in pairs)]
    columns = np.column_stack([values, values[:, 0] - values[:, 1]])
    this, other, change = category_estimates(columns, groups, order, seed)
    gains = columns[:, 2] if metric.higher_is_better else -columns[:, 2]
    labels = np.array(groups)
    rows = {}
    for name in (*order, MACRO):
        own = gains if name == MACRO else gains[labels == name]
        wins, losses = int((own > TIE).sum()), int((own < -TIE).sum())
        there = int((~np.isnan(own)).sum())
        rows[name] = PairedRow(
            there,
            this[name].mean,
            other[name].mean,
            change[name],
            wins,
            there - wins - losses,
            losses,
        )
    return rows
