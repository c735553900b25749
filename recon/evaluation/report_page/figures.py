"""The figures of an evaluation as HTML: tables, bars with intervals and histograms."""

from __future__ import annotations

import math
from collections.abc import Iterator, Sequence
from html import escape

import numpy as np

from recon.datasets.categories import category_of
from recon.evaluation.report_page.html import element, table
from recon.evaluation.report_page.selection import ranked
from recon.evaluation.result import MACRO, Estimate, EvaluationResult, Metric
from recon.evaluation.tables import unit_label, value_text

BINS = 20
# Browsers take seconds to lay out a table of some hundred thousand cells.
MOST_ROWS = 1000
_STEPS = (1, 1.5, 2, 3, 4, 5, 6, 8, 10)


def overview(result: EvaluationResult) -> str:
    """Returns the table of the means over the categories: metrics by predictors."""
    rows = []
    for preset, statement in result.protocols.items():
        metrics = [metric for metric in result.metrics if metric.suite == preset]
        if not metrics:
            continue
        columns, text = len(result.predictors) + 1, element("div", escape(statement))
        rows.append([element("th", text, colspan=columns, scope="rowgroup")])
        rows += [_overview_row(result, metric) for metric in metrics]
    return table(["metric", *result.predictors], rows, class_="overview")


def _overview_row(result: EvaluationResult, metric: Metric) -> list[str]:
    estimates = {name: _estimate(result, name, metric, MACRO) for name in result.predictors}
    sign = 1 if metric.higher_is_better else -1
    values = [sign * one.mean for one in estimates.values() if not math.isnan(one.mean)]
    best = max(values, default=math.nan)
    arrow = "↑" if metric.higher_is_better else "↓"
    head = element("th", f"{escape(unit_label(metric))} {arrow}", scope="row")
    cells = [_cell(one, metric, sign * one.mean == best) for one in estimates.values()]
    return [head, *cells]


def _estimate(result: EvaluationResult, predictor: str, metric: Metric, category: str) -> Estimate:
    return result.means[predictor].get(metric.key, {}).get(category, Estimate(math.nan))


def _cell(estimate: Estimate, metric: Metric, best: bool = False) -> str:
    mean = value_text(estimate.mean, metric)
    text = element("strong", mean) if best else mean
    if not math.isnan(estimate.low):
        low, high = value_text(estimate.low, metric), value_text(estimate.high, metric)
        text += " " + element("small", f"{low} to {high}")
    return element("td", text)


def metric_sections(result: EvaluationResult) -> str:
    """Returns a choice of metrics and, for each, bars, a histogram and the table of categories.

    All but the first are hidden, and shown by the script of the page.
    """
    options = "".join(
        element("option", escape(unit_label(metric)), value=metric.key) for metric in result.metrics
    )
    choice = element(
        "label", f"Metric {element('select', options, class_='metric')}", class_="choice"
    )
    sections = "".join(
        element("div", _metric_section(result, metric), data_metric=metric.key, hidden=index > 0)
        for index, metric in enumerate(result.metrics)
    )
    return choice + sections


def _metric_section(result: EvaluationResult, metric: Metric) -> str:
    direction = "Higher is better." if metric.higher_is_better else "Lower is better."
    statement = escape(f"{result.protocols[metric.suite].rstrip('.')}. {direction}")
    charts = element("div", bars(result, metric) + histogram(result, metric), class_="charts")
    return element("p", escape(statement), class_="protocol") + charts + _categories(result, metric)


def _categories(result: EvaluationResult, metric: Metric) -> str:
    predictors = result.predictors_of(metric.key)
    counts = {category.name: category.objects for category in result.categories}
    rows = [
        [
            element("th", escape(name), scope="row"),
            element("td", str(count)),
            *(_cell(_estimate(result, one, metric, name), metric) for one in predictors),
        ]
        for name, count in {**counts, MACRO: len(result.objects)}.items()
    ]
    heads = ["category", "objects", *(f"{name} {unit_label(metric)}" for name in predictors)]
    return table(heads, rows[:-1], foot=rows[-1], class_="sortable")


def bars(result: EvaluationResult, metric: Metric) -> str:
    """Returns a bar per category for the model, its interval, and a mark for each baseline."""
    model, *others = result.predictors_of(metric.key)
    names = [*(category.name for category in result.categories), MACRO]
    top = _upper_end(result, metric, names)
    legend = element("span", escape(model), class_="key key0") + "".join(
        element("span", escape(name), class_=f"key key{_color(index)}")
        for index, name in enumerate(others, 1)
    )
    rows = "".join(_bar(result, metric, name, [model, *others], top) for name in names)
    caption = element("figcaption", f"{escape(unit_label(metric))} by category {legend}")
    return element("figure", caption + rows, class_="bars")


def _color(index: int) -> int:
    """Returns which of the four colours of marks a baseline has."""
    return (index - 1) % 4 + 1


def _bar(
    result: EvaluationResult,
    metric: Metric,
    category: str,
    predictors: Sequence[str],
    top: float,
) -> str:
    estimates = [_estimate(result, name, metric, category) for name in predictors]
    own = estimates[0]
    track = element("span", "", class_="fill", style=f"width:{_share(own.mean, top)}")
    for index, one in enumerate(estimates[1:], 1):
        if not math.isnan(one.mean):
            title = f"{predictors[index]} {value_text(one.mean, metric)}"
            style = f"left:{_share(one.mean, top)}"
            track += element(
                "span", "", class_=f"mark key{_color(index)}", style=style, title=title
            )
    if not math.isnan(own.low):
        width = _share(max(own.high, 0) - max(own.low, 0), top)
        style = f"left:{_share(own.low, top)};width:{width}"
        title = f"95 % interval {value_text(own.low, metric)} to {value_text(own.high, metric)}"
        track += element("span", "", class_="interval", style=style, title=title)
    name = element("span", escape(category), class_="name")
    value = element("span", value_text(own.mean, metric), class_="value")
    class_ = "bar mean" if category == MACRO else "bar"
    return element("div", name + element("span", track, class_="track") + value, class_=class_)


def _share(value: float, top: float) -> str:
    """Returns how far along the track a value is; negative ones stay at its beginning."""
    return "0" if math.isnan(value) else f"{100 * min(max(value / top, 0), 1):.2f}%"


def _upper_end(result: EvaluationResult, metric: Metric, names: Sequence[str]) -> float:
    ends = [
        value
        for predictor in result.predictors
        for name in names
        for value in vars(_estimate(result, predictor, metric, name)).values()
        if not math.isnan(value)
    ]
    return round_up(max(ends, default=1.0))


def round_up(value: float) -> float:
    """Returns the least of 1, 1.5, 2, 3, 4, 5, 6, 8, 10 times a power of ten that is not less."""
    if not value > 0:
        return 1.0
    power = 10.0 ** math.floor(math.log10(value))
    # Rounding must not lift a value above the step it is on.
    return next(
        s * power for s in (1, 1.5, 2, 3, 4, 5, 6, 8, 10) if s * power >= value * (1 - 1e-9)
    )


def histogram(result: EvaluationResult, metric: Metric) -> str:
    """Returns how many objects have which value of the model."""
    model = result.predictors[0]
    if metric.key not in result.means[model]:
        return ""
    values = np.array([v for v in result.values(model, metric.key) if math.isfinite(v)])
    if not len(values):
        return ""
    top = 1.0 if metric.percent else round_up(float(values.max()))
    # What is negative, as a normal consistency may be, counts to the first bin.
    counts, _ = np.histogram(values.clip(0, top), BINS, (0, top))
    columns = "".join(_columns(counts.tolist(), top, metric))
    most = element("div", element("span", f"{counts.max()} objects"), class_="most")
    marks = _marks({"mean": float(values.mean()), "median": float(np.median(values))}, top)
    axis = "".join(element("span", _tick(top * k / 4, metric)) for k in range(5))
    caption = (
        f"{unit_label(metric)} of {len(values)} objects, {model}: "
        f"mean of objects {value_text(float(values.mean()), metric)}, "
        f"median {value_text(float(np.median(values)), metric)}"
    )
    inner = (
        element("figcaption", escape(caption))
        + element("div", most + columns + marks, class_="columns")
        + element("div", axis, class_="axis")
    )
    return element("figure", inner, class_="histogram")


def _marks(values: dict[str, float], top: float) -> str:
    """Returns lines with their names, the lesser one's on its left."""
    least = min(values, key=lambda name: values[name])
    return "".join(
        element(
            "span",
            name,
            class_=f"at {name} before" if name == least and value > 0.2 * top else f"at {name}",
            style=f"left:{_share(value, top)}",
        )
        for name, value in values.items()
    )


def _columns(counts: list[int], top: float, metric: Metric) -> Iterator[str]:
    highest = max(counts)
    for index, count in enumerate(counts):
        low, high = (_tick(top * (index + k) / len(counts), metric) for k in (0, 1))
        objects = "object" if count == 1 else "objects"
        style = f"height:{100 * count / highest:.1f}%"
        yield element("i", "", style=style, title=f"{low} to {high}: {count} {objects}")


def _tick(value: float, metric: Metric) -> str:
    return f"{100 * value if metric.percent else value:.4g}"


def all_objects(result: EvaluationResult, key: str) -> str:
    """Returns the table of all objects with the metrics of the model, to be sorted.

    Args:
        result: the evaluation.
        key: of the metric by which the worst come first; of more than `MOST_ROWS` objects only
            these are in the table.
    """
    model = result.predictors[0]
    metrics = result.metrics_of(model)
    rows = (
        [
            element("th", escape(row.name), scope="row"),
            element("td", escape(category_of(row.synset).name), class_="text"),
            element("td", escape(row.id), class_="text"),
            *(element("td", value_text(row.scores[model][m.key], m)) for m in metrics),
        ]
        for row in ranked(result, key)[::-1][:MOST_ROWS]
    )
    heads = ["object", "category", "id", *(unit_label(metric) for metric in metrics)]
    return table(heads, rows, class_="sortable", text_columns=3)
