"""Images of a sweep: a metric against what was swept, and the validation curves."""

from __future__ import annotations

import statistics
from collections.abc import Sequence

import numpy as np
from PIL import Image

from recon.runs.sweeps.runs import SweptRun
from recon.visualization.contact_sheet import contact_sheet
from recon.visualization.plots import COLORS, Curve, line_plot, scatter_plot

SIZE = (720, 360)
CURVES_SIZE = (900, 520)
GREY = "#cccccc"
# From this ratio of the largest to the smallest value on, an axis is logarithmic.
LOG_RATIO = 5.0


def parameters_plot(
    runs: Sequence[SweptRun], parameters: Sequence[str], metric: str
) -> Image.Image | None:
    """Draws a metric against each parameter, one panel below the other.

    Args:
        runs: The finished runs that have the metric.
        parameters: The keys of the parameters.
        metric: The name of the metric.

    Returns:
        None when there is nothing to draw.
    """
    if not runs or not parameters:
        return None
    return contact_sheet([[np.asarray(_panel(runs, key, metric))] for key in parameters])


def _panel(runs: Sequence[SweptRun], key: str, metric: str) -> Image.Image:
    """Draws every run as a dot, and a line through the means of equal values."""
    values = [run.value(key) for run in runs]
    numbers = [value for value in values if isinstance(value, float)]
    names = None
    if len(numbers) < len(values):  # words: one place for each
        names = sorted({"-" if value is None else f"{value}" for value in values})
        numbers = [float(names.index("-" if v is None else f"{v}")) for v in values]
    metrics = [run.metrics[metric] for run in runs]
    by_value: dict[float, list[float]] = {}
    for number, reached in zip(numbers, metrics, strict=True):
        by_value.setdefault(number, []).append(reached)
    means = {number: statistics.fmean(by_value[number]) for number in sorted(by_value)}
    repeated = len(means) < len(runs)
    positive = names is None and min(numbers) > 0
    return scatter_plot(
        (numbers, metrics),
        (list(means), list(means.values())) if repeated else ([], []),
        title=f"{metric} of each run{', and means' if repeated else ''}",
        x_label=key,
        log_x=positive and max(numbers) / min(numbers) >= LOG_RATIO,
        x_names=names,
        size=SIZE,
    )


def curves_plot(
    groups: Sequence[tuple[str, Sequence[SweptRun]]], metric: str
) -> Image.Image | None:
    """Draws the validations of all runs; the first groups in colour, the others grey.

    Args:
        groups: The label of the legend and the runs of each colour, the best first.
        metric: The name of the metric.

    Returns:
        None when no run was validated.
    """
    curves: dict[str, Curve] = {}
    colors: dict[str, str] = {}
    for index, (label, runs) in reversed(list(enumerate(groups))):
        drawn = [run for run in runs if any(metric in row for row in run.validations)]
        for member, run in enumerate(drawn):
            shown = index < len(COLORS)
            name = label if shown and member == 0 else f"_{run.name}"
            curves[name] = _curve(run, metric)
            colors[name] = COLORS[index] if shown else GREY
    if not curves:
        return None
    drawn_last = {name: curves[name] for name in reversed(curves) if not name.startswith("_")}
    hidden = {name: curve for name, curve in curves.items() if name.startswith("_")}
    return line_plot(
        {**hidden, **drawn_last},  # the legend names the best first
        title=f"validation {metric}",
        x_label="step",
        size=CURVES_SIZE,
        colors=colors,
        legend_left=True,
    )


def _curve(run: SweptRun, metric: str) -> Curve:
    rows = [row for row in run.validations if metric in row]
    return [row["step"] for row in rows], [row[metric] for row in rows]
