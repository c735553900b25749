"""Results as tables: text to read, CSV and JSON to compute with."""

from __future__ import annotations

import math
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any

from recon.color_evaluation import MEASURES, ColorScore, color_means
from recon.datasets.categories import CATEGORIES
from recon.evaluation import ObjectScore, category_means, count_objects, macro_mean
from recon.runs import write_json
from recon.tables import csv_text, write_text

# Below this many objects the mean of a category says more about its objects than about the model.
FEW_OBJECTS = 3


class ScoreTable:
    """Voxel IoU in percent: a row for each of the 13 categories and their mean, a column for each
    predictor; beside it, where they were measured, the colours.

    Args:
        scores: by predictor, over the same objects.
        title: what was measured, on which split and by which protocol.
        remarks: lines which explain the predictors.
        colors: by predictor, over the same objects; empty where there are none.

    Raises:
        ValueError: there is no predictor or no object, or the predictors saw different objects.
    """

    def __init__(
        self,
        scores: Mapping[str, Sequence[ObjectScore]],
        title: str,
        remarks: Sequence[str] = (),
        colors: Mapping[str, Sequence[ColorScore]] | None = None,
    ) -> None:
        colors = colors or {}
        if not scores or not all(scores.values()):
            raise ValueError("a table needs at least one predictor and one object")
        ids = {tuple(score.id for score in column) for column in scores.values()}
        ids |= {tuple(score.id for score in column) for column in colors.values()}
        if len(ids) > 1:
            raise ValueError("the predictors of one table must have seen the same objects")
        self.title = title
        self.remarks = tuple(remarks)
        self.columns = list(scores)
        self.counts = count_objects(next(iter(scores.values())))
        self.means = {name: category_means(column) for name, column in scores.items()}
        self.macro = {name: macro_mean(column) for name, column in scores.items()}
        self.colors = {name: color_means(column) for name, column in colors.items()}

    def rows(self) -> list[list[str]]:
        """Category, number of objects and percentages: the thirteen, others, and then the mean."""
        rows = [
            [name, str(self.counts.get(name, 0)), *self._cells(name)]
            for name in dict.fromkeys([*(category.name for category in CATEGORIES), *self.counts])
        ]
        means = [f"{100 * self.macro[name]:.2f}" for name in self.columns]
        return [*rows, ["mean", str(sum(self.counts.values())), *means]]

    def color_columns(self) -> list[str]:
        """What `color_rows` holds: each measure of all predictors, as 'model L1'."""
        return [f"{name} {label}" for label in MEASURES.values() for name in self.colors]

    def color_rows(self) -> list[list[str]]:
        """The colours of the category of each of `rows`."""
        return [self._color_cells(row[0]) for row in self.rows()]

    def _color_cells(self, category: str) -> list[str]:
        return [
            _figure(self.colors[name][measure].get(category, math.nan), measure)
            for measure in MEASURES
            for name in self.colors
        ]

    def _cells(self, category: str) -> list[str]:
        return [
            f"{100 * self.means[name][category]:.2f}" if category in self.counts else "-"
            for name in self.columns
        ]

    def notes(self) -> list[str]:
        """What a reader must know about the means."""
        notes = [f"mean: unweighted over the {len(self.counts)} categories with objects"]
        few = [name for name, count in self.counts.items() if count < FEW_OBJECTS]
        if few:
            notes.append(f"fewer than {FEW_OBJECTS} objects: {', '.join(few)}")
        return [*notes, *self.remarks]

    def text(self) -> str:
        """The table for a terminal; colours stand below, as one line would be too long."""
        rows = self.rows()
        parts = [_block([["category", "objects", *self.columns], *rows])]
        if self.colors:
            pairs = zip(rows, self.color_rows(), strict=True)
            shown = [[*row[:2], *cells] for row, cells in pairs if row[1] != "0"]
            parts.append(_block([["category", "objects", *self.color_columns()], *shown]))
        parts.append("\n".join(self.notes()))
        return "\n\n".join([self.title, *parts]) + "\n"

    def csv(self) -> str:
        """The table as CSV, with the header of `text`; colours are further columns."""
        header = ["category", "objects", *self.columns, *self.color_columns()]
        pairs = zip(self.rows(), self.color_rows(), strict=True)
        return csv_text([header, *([*row, *cells] for row, cells in pairs)])

    def json(self) -> dict[str, Any]:
        """The table as plain data, IoU as fractions; `colors` by predictor, measure, category."""
        table: dict[str, Any] = {
            "title": self.title,
            "objects": self.counts,
            "iou": {name: {**self.means[name], "mean": self.macro[name]} for name in self.columns},
        }
        if self.colors:
            table["colors"] = _plain(self.colors)
        return {**table, "notes": self.notes()}


def _figure(value: float, measure: str) -> str:
    """A figure with two decimals for decibels, else four; a dash where nothing was measured."""
    return "-" if math.isnan(value) else f"{value:.{2 if measure == 'color_psnr' else 4}f}"


def _plain(content: Any) -> Any:
    """Plain data with None in place of NaN, which JSON does not know."""
    if isinstance(content, Mapping):
        return {key: _plain(value) for key, value in content.items()}
    return None if isinstance(content, float) and math.isnan(content) else content


def _block(table: Sequence[Sequence[str]]) -> str:
    """Aligned lines with a rule below the header and above the last."""
    widths = [max(map(len, column)) for column in zip(*table, strict=True)]
    lines = [_aligned(row, widths) for row in table]
    rule = "-" * len(lines[0])
    return "\n".join([lines[0], rule, *lines[1:-1], rule, lines[-1]])


def _aligned(row: Sequence[str], widths: Sequence[int]) -> str:
    """The first cell to the left, all others to the right."""
    cells = [cell.rjust(width) for cell, width in zip(row, widths, strict=True)]
    return "  ".join([row[0].ljust(widths[0]), *cells[1:]])


def object_rows(
    scores: Mapping[str, Sequence[ObjectScore]],
    colors: Mapping[str, Sequence[ColorScore]] | None = None,
) -> list[list[object]]:
    """One row per object, its mean IoU over the views for each predictor, below a header.

    Colours follow, each measure of all predictors, in columns such as 'model L1'.
    """
    colors = colors or {}
    names = [f"{name} {label}" for label in MEASURES.values() for name in colors]
    rows: list[list[object]] = [["id", "name", "synset", "views", *scores, *names]]
    for index, of_object in enumerate(zip(*scores.values(), strict=True)):
        first = of_object[0]
        ious = [f"{score.iou:.6f}" for score in of_object]
        values = [column[index].values[key] for key in MEASURES for column in colors.values()]
        cells = ["" if math.isnan(value) else f"{value:.6f}" for value in values]
        rows.append([first.id, first.name, first.synset, len(first.views), *ious, *cells])
    return rows


def write_report(
    folder: Path,
    scores: Mapping[str, Sequence[ObjectScore]],
    title: str,
    about: Mapping[str, Any],
    remarks: Sequence[str] = (),
    colors: Mapping[str, Sequence[ColorScore]] | None = None,
) -> ScoreTable:
    """Write `table.txt`, `table.csv`, `objects.csv` and `result.json`.

    Args:
        folder: where; made when it is not there.
        scores: by predictor, over the same objects.
        title: what was measured, on which split and by which protocol.
        about: plain data which goes into `result.json` as it is: where model and data come from.
        remarks: lines below the table which explain the predictors.
        colors: by predictor, over the same objects; empty or None where there are none.

    Raises:
        OSError: a file could not be written; nothing half-written keeps its final name.
    """
    folder.mkdir(parents=True, exist_ok=True)
    table = ScoreTable(scores, title, remarks, colors)
    write_text(folder / "table.txt", table.text())
    write_text(folder / "table.csv", table.csv())
    write_text(folder / "objects.csv", csv_text(object_rows(scores, colors)))
    objects = {
        name: [{**vars(score), "iou": score.iou} for score in column]
        for name, column in scores.items()
    }
    content = {**about, **table.json(), "rows": objects}
    if colors:
        content["color_rows"] = {
            name: [_plain(vars(score)) for score in column] for name, column in colors.items()
        }
    write_json(folder / "result.json", content)
    return table
