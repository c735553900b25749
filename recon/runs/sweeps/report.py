"""A sweep as a table: the differences between its runs, their metrics, and means over seeds."""

from __future__ import annotations

import statistics
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path

from recon.files import csv_text, text_table, write_text
from recon.runs.sweeps.plots import curves_plot, parameters_plot
from recon.runs.sweeps.runs import SweptRun

SEED = "seed"
Value = str | float | None


@dataclass(frozen=True)
class Group:
    """Runs which differ in nothing but their seed.

    Args:
        values: The values of the swept parameters that the runs share, in the parameters' order.
        runs: All runs of the group.
        finished: The values of the metric of the finished runs.
    """

    values: tuple[Value, ...]
    runs: tuple[SweptRun, ...]
    finished: tuple[float, ...]

    @property
    def mean(self) -> float | None:
        """Returns the mean over the finished runs; None when there is none."""
        return statistics.fmean(self.finished) if self.finished else None

    @property
    def std(self) -> float | None:
        """Returns the sample standard deviation; None for fewer than two runs."""
        return statistics.stdev(self.finished) if len(self.finished) > 1 else None


class SweepReport:
    """Compares runs.

    Args:
        runs: The runs of one sweep.
        metric: The name of the metric that decides: `iou` or `iou_CATEGORY`.

    Raises:
        ValueError: No run has this metric, though some have others.
    """

    def __init__(self, runs: Sequence[SweptRun], metric: str = "iou") -> None:
        names = sorted({name for run in runs for name in run.metrics})
        if names and metric not in names:
            raise ValueError(f"no run has the metric {metric!r}; there are {', '.join(names)}")
        self.metric = metric
        self.metrics = [metric, *(name for name in names if name != metric)]
        self.swept = differing(runs)
        self.parameters = [key for key in self.swept if key != SEED]
        self.runs = sorted(runs, key=lambda run: (-run.metrics.get(metric, -1.0), run.name))
        self.groups = self._groups()
        self.best = next((run for run in self.runs if run.is_finished), None)

    def _groups(self) -> list[Group]:
        members: dict[tuple[Value, ...], list[SweptRun]] = {}
        for run in self.runs:
            members.setdefault(tuple(run.value(key) for key in self.parameters), []).append(run)
        groups = []
        for values, runs in members.items():
            counted = (run.metrics.get(self.metric) for run in runs if run.is_finished)
            groups.append(Group(values, tuple(runs), tuple(v for v in counted if v is not None)))
        return sorted(groups, key=lambda g: -1.0 if g.mean is None else g.mean, reverse=True)

    def group_rows(self) -> list[list[str]]:
        """Returns a row per group below a header: parameters, mean and deviation in percent."""
        header = ["", *self.parameters, f"{self.metric} mean", "std", "seconds", "finished"]
        rows = [header]
        for index, group in enumerate(self.groups):
            mark = "*" if index == 0 and group.mean is not None else ""
            seconds = [run.seconds for run in group.runs if run.seconds is not None]
            spent = f"{statistics.fmean(seconds):.0f}" if seconds else "-"
            counted = f"{len(group.finished)} of {len(group.runs)}"
            spread = [_percent(group.mean), _percent(group.std)]
            rows.append([mark, *map(show, group.values), *spread, spent, counted])
        return rows

    def run_rows(self) -> list[list[str]]:
        """Returns a row per run below a header: what differs, metrics in percent, time, status."""
        rows = [["", *self.swept, *self.metrics, "seconds", "status", ""]]
        for run in self.runs:
            values = [show(run.value(key)) for key in self.swept]
            metrics = [_percent(run.metrics.get(name)) for name in self.metrics]
            seconds = "-" if run.seconds is None else f"{run.seconds:.0f}"
            mark = "*" if run is self.best else ""
            rows.append([mark, *values, *metrics, seconds, run.status, _one_line(run.message)])
        return rows

    def text(self, bad: Mapping[str, str]) -> str:
        """Returns the tables for a terminal, and what was left out."""
        parts = []
        if any(len(group.runs) > 1 for group in self.groups):
            parts.append(
                f"{self.metric} in percent over seeds\n\n{text_table(self.group_rows(), left=-1)}"
            )
        best = f"\n\n* best: {self.best.name}" if self.best else "\n\nno run is finished"
        table = text_table(self.run_rows(), left=-1)
        parts.append(f"best validation of every run in percent\n\n{table}{best}")
        if bad:
            parts.append("\n".join(["left out:", *(f"  {k}: {v}" for k, v in bad.items())]))
        return "\n\n".join(parts) + "\n"

    def csv(self) -> str:
        """Returns a row per run, metrics as fractions."""
        rows: list[list[object]] = [
            [*self.swept, *self.metrics, "seconds", "status", "message", "folder"]
        ]
        for run in self.runs:
            values = [show(run.value(key)) for key in self.swept]
            metrics = [run.metrics.get(name, "") for name in self.metrics]
            seconds = "" if run.seconds is None else run.seconds
            rows.append([*values, *metrics, seconds, run.status, run.message, run.name])
        return csv_text(rows)

    def write(self, folder: Path, bad: Mapping[str, str]) -> list[Path]:
        """Writes `comparison.txt` and `.csv`, and images of what there is to draw.

        Returns:
            The files.

        Raises:
            OSError: A file could not be written.
        """
        folder.mkdir(parents=True, exist_ok=True)
        files = [folder / "comparison.txt", folder / "comparison.csv"]
        write_text(files[0], self.text(bad))
        write_text(files[1], self.csv())
        groups = [(self.label(group), group.runs) for group in self.groups]
        finished = [run for run in self.runs if run.is_finished and self.metric in run.metrics]
        images = {
            "comparison_parameters.png": parameters_plot(finished, self.parameters, self.metric),
            "comparison_curves.png": curves_plot(groups, self.metric),
        }
        for name, image in images.items():
            if image is not None:
                image.save(folder / name)
                files.append(folder / name)
        return files

    def label(self, group: Group) -> str:
        """Returns a group's parameters in words."""
        words = zip(self.parameters, group.values, strict=True)
        return ", ".join(f"{key}={show(value)}" for key, value in words) or "all runs"


def differing(runs: Sequence[SweptRun]) -> list[str]:
    """Returns the keys of overrides whose values differ between runs, in alphabetical order."""
    keys = sorted({key for run in runs for key in run.overrides})
    return [key for key in keys if len({run.value(key) for run in runs}) > 1]


def show(value: Value) -> str:
    """Returns a value as it stands in a table; `-` for one which is not known."""
    if value is None:
        return "-"
    return f"{value:g}" if isinstance(value, float) else value


def _percent(value: float | None) -> str:
    return "-" if value is None else f"{100 * value:.2f}"


def _one_line(message: str, longest: int = 80) -> str:
    line = " ".join(message.split())
    return line if len(line) <= longest else f"{line[: longest - 3]}..."
