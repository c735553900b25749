"""Results as tables: text to read on a screen or in a file, CSV to compute with."""

from __future__ import annotations

import math
from collections.abc import Sequence
from pathlib import Path

from recon.datasets.categories import CATEGORIES
from recon.evaluation.result import MACRO, MODEL, Estimate, EvaluationResult, Metric
from recon.files import csv_text, text_table, write_text

# Characters of a fingerprint which tell one from another in a table.
_SHORT = 16


def write_tables(folder: Path, result: EvaluationResult) -> None:
    """Writes `table.txt`, `table.csv`, `objects.csv` and `result.json`, the last one last.

    Args:
        folder: The folder of the files; it is created if it does not exist.
        result: The result that is written.

    Raises:
        OSError: A file could not be written; nothing half-written keeps its final name.
    """
    folder.mkdir(parents=True, exist_ok=True)
    write_text(folder / "table.txt", result_text(result))
    write_text(folder / "table.csv", csv_text(category_rows(result)))
    write_text(folder / "objects.csv", csv_text(object_rows(result)))
    result.write(folder / "result.json")


def result_text(result: EvaluationResult) -> str:
    """Returns all tables for a terminal, and what a reader must know of them."""
    blocks = [
        block
        for suite in result.protocols
        for block in _suite_blocks(result, [m for m in result.metrics if m.suite == suite])
    ]
    notes = [*_reading_notes(result), *result.notes]
    statements = list(result.protocols.values())
    return "\n\n".join([title(result), "\n".join(statements), *blocks, "\n".join(notes)]) + "\n"


def summary_text(result: EvaluationResult) -> str:
    """Returns one table for a terminal: the first metric of each suite, of the model alone.

    Its last row is the mean over the categories.
    """
    metrics = {metric.suite: metric for metric in reversed(result.metrics_of(MODEL))}
    chosen = [metric for metric in result.metrics_of(MODEL) if metric in metrics.values()]
    main, *others = chosen
    heads = [f"{unit_label(main)} [95 % interval]", *map(unit_label, others)]
    rows = [["category", "objects", *heads]]
    for category, count in _object_counts(result).items():
        means = {metric.key: result.means[MODEL][metric.key][category] for metric in chosen}
        cells = [value_text(means[metric.key].mean, metric) for metric in others]
        rows.append([category, str(count), estimate_text(means[main.key], main), *cells])
    return f"{title(result)}\n\n{text_table(rows, total=True)}"


def main_result(result: EvaluationResult) -> str:
    """Returns one line with the macro mean of the most important metric, of all predictors."""
    metric = result.metrics[0]
    model, *baselines = result.predictors_of(metric.key)
    means = {name: result.means[name][metric.key][MACRO] for name in (model, *baselines)}
    others = ", ".join(f"{name} {value_text(means[name].mean, metric)}" for name in baselines)
    return (
        f"{unit_label(metric)}, mean over {len(result.categories)} categories: "
        f"{estimate_text(means[model], metric)}" + (f" ({others})" if others else "")
    )


def _object_counts(result: EvaluationResult) -> dict[str, int]:
    """Returns how many objects each row of a table is over: the categories, then their mean."""
    counts = {category.name: category.objects for category in result.categories}
    return {**counts, MACRO: len(result.objects)}


def title(result: EvaluationResult) -> str:
    """Returns one line which says what was evaluated: on which split and from how many views."""
    split = result.about.get("settings", {}).get("split")
    views = len(result.objects[0].views)
    return (
        f"{result.about.get('checkpoint', MODEL)}: {f'split {split}' if split else 'all splits'}, "
        f"{len(result.objects)} object{'s' * (len(result.objects) > 1)}, "
        f"{views} view{'s' * (views > 1)} of each{' one at a time' * (views > 1)}"
    )


def _suite_blocks(result: EvaluationResult, metrics: Sequence[Metric]) -> list[str]:
    """Returns the tables of one suite: all predictors side by side where it has a single metric."""
    own = {metric.key for metric in metrics}
    predictors = [name for name in result.predictors if own & set(result.means[name])]
    if len(metrics) == 1:
        head = f"{unit_label(metrics[0])} [95 % interval]"
        return [_block(result, head, [(name, metrics[0]) for name in predictors], predictors)]
    return [
        _block(
            result,
            f"{metrics[0].suite}, {name} [95 % intervals]",
            [(name, metric) for metric in result.metrics_of(name) if metric.key in own],
            [unit_label(metric) for metric in result.metrics_of(name) if metric.key in own],
        )
        for name in predictors
    ]


def _block(
    result: EvaluationResult,
    head: str,
    columns: Sequence[tuple[str, Metric]],
    labels: Sequence[str],
) -> str:
    """Returns a table of the categories; baselines beside a model are without intervals."""
    rows = [["category", "objects", *labels]]
    one_predictor = len({name for name, _ in columns}) == 1
    for category, count in _object_counts(result).items():
        cells = [
            estimate_text(
                result.means[name][metric.key][category],
                metric,
                interval=one_predictor or name == MODEL,
            )
            for name, metric in columns
        ]
        rows.append([category, str(count), *cells])
    return f"{head}\n\n{text_table(rows, total=True)}"


def _reading_notes(result: EvaluationResult) -> list[str]:
    """Returns what a reader of the tables must know beside the notes of the result."""
    notes = []
    labels = column_names(result.metrics)
    lower = [labels[metric.key] for metric in result.metrics if not metric.higher_is_better]
    if lower:
        notes.append(f"lower is better: {', '.join(lower)}; higher is better: all others")
    present = {category.synset for category in result.categories}
    missing = [category.name for category in CATEGORIES if category.synset not in present]
    chosen = result.about.get("settings", {}).get("categories")
    if chosen is None and 0 < len(missing) < len(CATEGORIES):
        notes.append(f"without objects: {', '.join(missing)}")
    return notes


def category_rows(result: EvaluationResult) -> list[list[str]]:
    """Returns a header, the thirteen categories and others, and their mean, with all intervals.

    Shares are in percent, as in the text.
    """
    columns = _columns(result)
    labels = column_names(result.metrics)
    names = [f"{name} {labels[metric.key]}" for name, metric in columns]
    header = ["category", "objects"] + [f"{n}{end}" for n in names for end in ("", " low", " high")]
    counts = dict.fromkeys((category.name for category in CATEGORIES), 0) | _object_counts(result)
    rows = [header]
    for category, count in counts.items():
        row = [category, str(count)]
        for name, metric in columns:
            cell = result.means[name][metric.key].get(category, Estimate(math.nan))
            row += [value_text(value, metric, 4) for value in (cell.mean, cell.low, cell.high)]
        rows.append(row)
    return rows


def object_rows(result: EvaluationResult) -> list[list[str]]:
    """Returns a header and one row per object: its means over the views, and where they come from.

    Values are those of `result.json`: shares are in [0, 1]. The last columns are the beginnings of
    the fingerprints in its `about`, so that rows of several evaluations can lie in one table.
    """
    columns = _columns(result)
    labels = column_names(result.metrics)
    names = [f"{name} {labels[metric.key]}" for name, metric in columns]
    source = {
        "checkpoint": _digest(result.about.get("checkpoint_fingerprint", "")),
        "data": " ".join(_digest(text) for text in result.about.get("data_fingerprints", ())),
        "evaluation": _digest(result.about.get("evaluation", "")),
    }
    rows = [["id", "name", "synset", "views", *names, *source]]
    for row in result.objects:
        values = [row.scores[name][metric.key] for name, metric in columns]
        cells = ["" if math.isnan(value) else f"{value:.6f}" for value in values]
        rows.append([row.id, row.name, row.synset, str(len(row.views)), *cells, *source.values()])
    return rows


def column_names(metrics: Sequence[Metric]) -> dict[str, str]:
    """Returns the names of some metrics by key: the label, after the suite where two are equal."""
    labels = [metric.label for metric in metrics]
    return {
        metric.key: metric.label
        if labels.count(metric.label) == 1
        else f"{metric.suite} {metric.label}"
        for metric in metrics
    }


def _digest(fingerprint: str) -> str:
    return fingerprint.rpartition(":")[2][:_SHORT]


def unit_label(metric: Metric) -> str:
    """Returns the label of a metric with its unit, which is set off where a number is before it."""
    if not metric.percent:
        return metric.label
    return f"{metric.label} (%)" if metric.label[-1:].isdigit() else f"{metric.label} %"


def decimals(metric: Metric) -> int:
    """Returns how many decimals say something: two of percent and decibels, else four."""
    return 2 if metric.percent or metric.key.endswith("psnr") else 4


def value_text(value: float, metric: Metric, digits: int | None = None) -> str:
    """Returns a value as tables show it; a dash where there is none."""
    if math.isnan(value):
        return "-"
    digits = decimals(metric) if digits is None else digits
    return f"{100 * value if metric.percent else value:.{digits}f}"


def estimate_text(estimate: Estimate, metric: Metric, interval: bool = True) -> str:
    """Returns a mean as tables show it, with its interval where it has one."""
    text = value_text(estimate.mean, metric)
    if not interval:
        return text
    if math.isnan(estimate.low):
        return f"{text} [{'-':^{2 * len(text) + 2}}]"
    return f"{text} [{value_text(estimate.low, metric)}, {value_text(estimate.high, metric)}]"


def _columns(result: EvaluationResult) -> list[tuple[str, Metric]]:
    """Returns each predictor with each metric it has, metric by metric."""
    return [
        (name, metric) for metric in result.metrics for name in result.predictors_of(metric.key)
    ]
