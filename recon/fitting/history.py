"""The history of a fit: its losses as CSV and curves, and states that are evenly spread over it."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import TypeVar

import torch
from torch import Tensor

from recon.files import csv_text, write_text
from recon.fitting.fit import TOTAL, Fit
from recon.visualization.draw import save_png
from recon.visualization.plots import line_plot

State = TypeVar("State")


def write_history(folder: Path, history: Mapping[str, Tensor], name: str = "history") -> None:
    """Writes losses as `NAME.csv`, and as curves over the step in `NAME.png`.

    Args:
        folder: An existing folder for both files.
        history: The losses [T] by the name of the term; NaN interrupts a curve.
        name: The name of both files, without a suffix.

    Raises:
        OSError: A file could not be written.
    """
    columns = {term: values.tolist() for term, values in history.items()}
    steps = list(range(len(next(iter(columns.values())))))
    rows = [
        [step, *(f"{value:.9g}" for value in row)]
        for step, *row in zip(steps, *columns.values(), strict=True)
    ]
    write_text(folder / f"{name}.csv", csv_text([["step", *columns], *rows]))
    if any(value > 0 for values in columns.values() for value in values):
        curves = {term: (steps, values) for term, values in columns.items()}
        save_png(folder / f"{name}.png", line_plot(curves, "losses", "step", log_y=True))


def joined_history(fits: Sequence[Fit]) -> dict[str, Tensor]:
    """Joins the losses of fits which followed each other.

    Args:
        fits: The fits in their order, each of one problem or of many; of many the mean is used.

    Returns:
        [T] by term, NaN where a fit has no such term; T counts the steps of all fits.
    """
    names = list(dict.fromkeys(name for one in fits for name in one.history))
    missing = [torch.full((len(one.history[TOTAL]),), float("nan")) for one in fits]
    return {
        name: torch.cat(
            [
                _mean(one.history[name]) if name in one.history else nan
                for one, nan in zip(fits, missing, strict=True)
            ]
        )
        for name in names
    }


def _mean(losses: Tensor) -> Tensor:
    """Returns the means [T] over the problems of [T, N] or [T]."""
    return losses.float().reshape(len(losses), -1).mean(1)


def evenly_spread(states: Sequence[State], count: int) -> list[State]:
    """Returns at most `count` of the states, evenly spread; the last one is among them."""
    if count < 1 or not states:
        return []
    every = -(-len(states) // count)
    return list(states[(len(states) - 1) % every :: every])
