"""Results as tables: text to read, CSV to compute with."""

from __future__ import annotations

import math
from collections.abc import Sequence
from pathlib import Path

from recon.datasets.categories import CATEGORIES
from recon.evaluation.result import MACRO, MODEL, Estimate, EvaluationResult, ResultMeasure
from recon.files import csv_text, text_table, write_text

# Characters of a fingerprint which tell one from another in a table.
_SHORT = 16


def write_tables(folder: Path, result: EvaluationResult) -> None:
    """Write `table.txt`, `table.csv`, `objects.csv` and `result.json`, the last one last.

    Args:
        folder: where; made when it is not there.
        result: what to write.

    Raises:
        OSError: a file could not be written; nothing half-written keeps its final name.
    """
    folder.mkdir(parents=True, exist_ok=True)
    write_text(folder / "table.txt", result_text(result))
    write_text(folder / "table.csv", csv_text(category_rows(result)))
    write_text(folder / "objects.csv", csv_text(object_rows(result)))
    result.write(folder / "result.json")


def result_text(result: EvaluationResult) -> str:
    """Return all tables for a terminal, and what a reader must know of them."""
    blocks = [
        block
        for preset in result.protocols
        for block in _preset_blocks(result, [m for m in result.measures if m.preset == preset])
    ]
    notes = [*_reading_notes(result), *result.notes]
    statements = list(result.protocols.values())
    return "\n\n".join([title(result), "\n".join(statements), *blocks, "\n".join(notes)]) + "\n"


def title(result: EvaluationResult) -> str:
    """Return one line which says what was evaluated: on which split and from how many views."""
    split = result.about.get("settings", {}).get("split")
    views = len(result.objects[0].views)
    return (
        f"{result.about.get('checkpoint', MODEL)}: {f'split {split}' if split else 'all splits'}, "
        f"{len(result.objects)} object{'s' * (len(result.objects) > 1)}, "
        f"{views} view{'s' * (views > 1)} of each{' one at a time' * (views > 1)}"
    )


def _preset_blocks(result: EvaluationResult, measures: Sequence[ResultMeasure]) -> list[str]:
    """The tables of one preset: all predictors side by side where it has a single measure."""
    own = {measure.key for measure in measures}
    predictors = [name for name in result.predictors if own & set(result.means[name])]
    if len(measures) == 1:
        head = f"{unit_label(measures[0])} [95 % interval]"
        return [_block(result, head, [(name, measures[0]) for name in predictors], predictors)]
    return [
        _block(
            result,
            f"{measures[0].preset}, {name} [95 % intervals]",
            [(name, measure) for measure in result.measures_of(name) if measure.key in own],
            [unit_label(measure) for measure in result.measures_of(name) if measure.key in own],
        )
        for name in predictors
    ]


def _block(
    result: EvaluationResult,
    head: str,
    columns: Sequence[tuple[str, ResultMeasure]],
    labels: Sequence[str],
) -> str:
    """A table of the categories with objects; baselines beside a model are without intervals."""
    rows = [["category", "objects", *labels]]
    counts = {category.name: category.objects for category in result.categories}
    one_predictor = len({name for name, _ in columns}) == 1
    for category, count in {**counts, MACRO: len(result.objects)}.items():
        cells = [
            estimate_text(
                result.means[name][measure.key][category],
                measure,
                interval=one_predictor or name == MODEL,
            )
            for name, measure in columns
        ]
        rows.append([category, str(count), *cells])
    return f"{head}\n\n{text_table(rows, total=True)}"


def _reading_notes(result: EvaluationResult) -> list[str]:
    """What a reader of the tables must know beside the notes of the result."""
    notes = []
    labels = column_names(result.measures)
    lower = [labels[measure.key] for measure in result.measures if not measure.higher_is_better]
    if lower:
        notes.append(f"lower is better: {', '.join(lower)}; higher is better: all others")
    present = {category.synset for category in result.categories}
    missing = [category.name for category in CATEGORIES if category.synset not in present]
    chosen = result.about.get("settings", {}).get("categories")
    if chosen is None and 0 < len(missing) < len(CATEGORIES):
        notes.append(f"without objects: {', '.join(missing)}")
    return notes


def category_rows(result: EvaluationResult) -> list[list[str]]:
    """Return a header, the thirteen categories and others, and their mean, with all intervals.

    Shares are in percent, as in the text.
    """
    columns = _columns(result)
    labels = column_names(result.measures)
    names = [f"{name} {labels[measure.key]}" for name, measure in columns]
    header = ["category", "objects"] + [f"{n}{end}" for n in names for end in ("", " low", " high")]
    counts = {category.name: category.objects for category in result.categories}
    order = dict.fromkeys([*(category.name for category in CATEGORIES), *counts])
    rows = [header]
    for category in [*order, MACRO]:
        count = len(result.objects) if category == MACRO else counts.get(category, 0)
        row = [category, str(count)]
        for name, measure in columns:
            cell = result.means[name][measure.key].get(category, Estimate(math.nan))
            row += [figure(value, measure, 4) for value in (cell.mean, cell.low, cell.high)]
        rows.append(row)
    return rows


def object_rows(result: EvaluationResult) -> list[list[str]]:
    """Return a header and one row per object: its means over the views, and where they come from.

    Values are those of `result.json`: shares are in [0, 1]. The last columns are the beginnings of
    the fingerprints in its `about`, so that rows of several evaluations can lie in one table.
    """
    columns = _columns(result)
    labels = column_names(result.measures)
    names = [f"{name} {labels[measure.key]}" for name, measure in columns]
    source = {
        "checkpoint": _digest(result.about.get("checkpoint_fingerprint", "")),
        "data": " ".join(_digest(text) for text in result.about.get("data_fingerprints", ())),
        "evaluation": _digest(result.about.get("evaluation", "")),
    }
    rows = [["id", "name", "synset", "views", *names, *source]]
    for row in result.objects:
        values = [row.scores[name][measure.key] for name, measure in columns]
        cells = ["" if math.isnan(value) else f"{value:.6f}" for value in values]
        rows.append([row.id, row.name, row.synset, str(len(row.views)), *cells, *source.values()])
    return rows


def column_names(measures: Sequence[ResultMeasure]) -> dict[str, str]:
    """Return by key what to call each of some measures: its label, and where two measures have the
    same one, the preset as well.
    """
    labels = [measure.label for measure in measures]
    return {
        measure.key: measure.label
        if labels.count(measure.label) == 1
        else f"{measure.preset} {measure.label}"
        for measure in measures
    }


def _digest(fingerprint: str) -> str:
    return fingerprint.rpartition(":")[2][:_SHORT]


def unit_label(measure: ResultMeasure) -> str:
    """Return the label of a measure with its unit, which is set off where a number is before it."""
    if not measure.percent:
        return measure.label
    return f"{measure.label} (%)" if measure.label[-1:].isdigit() else f"{measure.label} %"


def decimals(measure: ResultMeasure) -> int:
    """Return how many decimals say something: two of percent and decibels, else four."""
    return 2 if measure.percent or measure.key.endswith("psnr") else 4


def figure(value: float, measure: ResultMeasure, digits: int | None = None) -> str:
    """Return a value as tables show it; a dash where there is none."""
    if math.isnan(value):
        return "-"
    digits = decimals(measure) if digits is None else digits
    return f"{100 * value if measure.percent else value:.{digits}f}"


def estimate_text(estimate: Estimate, measure: ResultMeasure, interval: bool = True) -> str:
    """Return a mean as tables show it, with its interval where it has one."""
    text = figure(estimate.mean, measure)
    if not interval:
        return text
    if math.isnan(estimate.low):
        return f"{text} [{'-':^{2 * len(text) + 2}}]"
    return f"{text} [{figure(estimate.low, measure)}, {figure(estimate.high, measure)}]"


def _columns(result: EvaluationResult) -> list[tuple[str, ResultMeasure]]:
    """Return each predictor with each measure it has, measure by measure."""
    return [
        (name, measure) for measure in result.measures for name in result.predictors_of(measure.key)
    ]
