"""The table of what a model reaches on corrupted images."""

from __future__ import annotations

import math
from dataclasses import dataclass
from pathlib import Path

from recon.evaluation.corruptions import ORIGINAL, RENDERED
from recon.evaluation.tables import unit_label, value_text
from recon.files import csv_text, text_table, write_text
from recon.metrics import Metric


@dataclass(frozen=True)
class CorruptionRow:
    """What a model reaches on corrupted images.

    Args:
        corruption: The name and the level of the corruption.
        reference: Which images it is compared with, `ORIGINAL` or `RENDERED`.
        value: The mean over the categories; NaN where the images cannot be made.
        change: The value minus that of the reference.
        note: What there is to know about the images.
    """

    corruption: str
    reference: str
    value: float
    change: float
    note: str = ""


@dataclass(frozen=True)
class CorruptionTable:
    """The rows of all corruptions, by one metric.

    Args:
        metric: The metric.
        rows: The rows; those of the references come first.
    """

    metric: Metric
    rows: tuple[CorruptionRow, ...]

    @property
    def mean_change(self) -> float:
        """The mean change over all corruptions that could be made; NaN where there is none."""
        changes = [row.change for row in self.corrupted if not math.isnan(row.change)]
        return sum(changes) / len(changes) if changes else math.nan

    @property
    def corrupted(self) -> tuple[CorruptionRow, ...]:
        """The rows that are not references."""
        return tuple(row for row in self.rows if row.corruption not in (ORIGINAL, RENDERED))

    def table(self) -> list[list[str]]:
        """Returns the rows as texts, the names of the columns first and the mean change last."""
        heads = ["images", unit_label(self.metric), "change", "compared with", "note"]
        lines = [
            [
                row.corruption,
                value_text(row.value, self.metric),
                value_text(row.change, self.metric),
                row.reference,
                row.note,
            ]
            for row in self.rows
        ]
        return [
            heads,
            *lines,
            ["mean change", "", value_text(self.mean_change, self.metric), "", ""],
        ]


def write_corruptions(folder: Path, table: CorruptionTable) -> None:
    """Writes `corruptions.txt` and `corruptions.csv`.

    Raises:
        OSError: A file could not be written; nothing half-written keeps its final name.
    """
    write_text(folder / "corruptions.txt", text_table(table.table(), total=True) + "\n")
    write_text(folder / "corruptions.csv", csv_text(table.table()))
