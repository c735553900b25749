"""Results as tables: text to read, CSV and JSON to compute with."""

from __future__ import annotations

import csv
import io
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any

from recon.atomic_files import atomic_file
from recon.datasets.categories import CATEGORIES
from recon.evaluation import ObjectScore, category_means, count_objects, macro_mean
from recon.runs import write_json

# Below this many objects the mean of a category says more about its objects than about the model.
FEW_OBJECTS = 3


class ScoreTable:
    """Voxel IoU in percent: a row for each of the 13 categories and their mean, a column for each
    predictor.

    Args:
        scores: by predictor, over the same objects.
        title: what was measured, on which split and by which protocol.
        remarks: lines which explain the predictors.

    Raises:
        ValueError: there is no predictor or no object, or the predictors saw different objects.
    """

    def __init__(
        self,
        scores: Mapping[str, Sequence[ObjectScore]],
        title: str,
        remarks: Sequence[str] = (),
    ) -> None:
        if not scores or not all(scores.values()):
            raise ValueError("a table needs at least one predictor and one object")
        ids = {tuple(score.id for score in column) for column in scores.values()}
        if len(ids) > 1:
            raise ValueError("the predictors of one table must have seen the same objects")
        self.title = title
        self.remarks = tuple(remarks)
        self.columns = list(scores)
        self.counts = count_objects(next(iter(scores.values())))
        self.means = {name: category_means(column) for name, column in scores.items()}
        self.macro = {name: macro_mean(column) for name, column in scores.items()}

    def rows(self) -> list[list[str]]:
        """Category, number of objects and percentages: the thirteen, others, and then the mean."""
        rows = [
            [name, str(self.counts.get(name, 0)), *self._cells(name)]
            for name in dict.fromkeys([*(category.name for category in CATEGORIES), *self.counts])
        ]
        means = [f"{100 * self.macro[name]:.2f}" for name in self.columns]
        return [*rows, ["mean", str(sum(self.counts.values())), *means]]

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
        """The table for a terminal."""
        table = [["category", "objects", *self.columns], *self.rows()]
        widths = [max(map(len, column)) for column in zip(*table, strict=True)]
        lines = [_aligned(row, widths) for row in table]
        rule = "-" * len(lines[0])
        body = [lines[0], rule, *lines[1:-1], rule, lines[-1]]
        return "\n".join([self.title, "", *body, "", *self.notes()]) + "\n"

    def csv(self) -> str:
        """The table as CSV, with the header of `text`."""
        return csv_text([["category", "objects", *self.columns], *self.rows()])

    def json(self) -> dict[str, Any]:
        """The table as plain data, IoU as fractions."""
        return {
            "title": self.title,
            "objects": self.counts,
            "iou": {name: {**self.means[name], "mean": self.macro[name]} for name in self.columns},
            "notes": self.notes(),
        }


def _aligned(row: Sequence[str], widths: Sequence[int]) -> str:
    """The first cell to the left, all others to the right."""
    cells = [cell.rjust(width) for cell, width in zip(row, widths, strict=True)]
    return "  ".join([row[0].ljust(widths[0]), *cells[1:]])


def csv_text(rows: Sequence[Sequence[object]]) -> str:
    """Rows as CSV."""
    buffer = io.StringIO()
    csv.writer(buffer, lineterminator="\n").writerows(rows)
    return buffer.getvalue()


def object_rows(scores: Mapping[str, Sequence[ObjectScore]]) -> list[list[object]]:
    """One row per object, its mean IoU over the views for each predictor, below a header."""
    header: list[object] = ["id", "name", "synset", "views", *scores]
    rows: list[list[object]] = [header]
    for of_object in zip(*scores.values(), strict=True):
        first = of_object[0]
        ious = [f"{score.iou:.6f}" for score in of_object]
        rows.append([first.id, first.name, first.synset, len(first.views), *ious])
    return rows


def write_report(
    folder: Path,
    scores: Mapping[str, Sequence[ObjectScore]],
    title: str,
    about: Mapping[str, Any],
    remarks: Sequence[str] = (),
) -> ScoreTable:
    """Write `table.txt`, `table.csv`, `objects.csv` and `result.json`.

    Args:
        folder: where; made when it is not there.
        scores: by predictor, over the same objects.
        title: what was measured, on which split and by which protocol.
        about: plain data which goes into `result.json` as it is: where model and data come from.
        remarks: lines below the table which explain the predictors.

    Raises:
        OSError: a file could not be written; nothing half-written keeps its final name.
    """
    folder.mkdir(parents=True, exist_ok=True)
    table = ScoreTable(scores, title, remarks)
    write_text(folder / "table.txt", table.text())
    write_text(folder / "table.csv", table.csv())
    write_text(folder / "objects.csv", csv_text(object_rows(scores)))
    objects = {
        name: [{**vars(score), "iou": score.iou} for score in column]
        for name, column in scores.items()
    }
    write_json(folder / "result.json", {**about, **table.json(), "rows": objects})
    return table


def write_text(path: Path, text: str) -> None:
    """Write a text file atomically."""
    with atomic_file(path) as file:
        file.write(text.encode())
