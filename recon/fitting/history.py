"""The course of a fit for its user: losses as CSV and curves, images as an animation."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from pathlib import Path

import numpy as np
import torch
from numpy.typing import NDArray
from PIL import Image
from torch import Tensor

from recon.files import atomic_file, csv_text, write_text
from recon.fitting.fit import TOTAL, Fit
from recon.visualization.plots import line_plot

GIF_COLORS = 64


def on_white(rgba: Tensor) -> NDArray[np.uint8]:
    """Lays an image over white.

    Args:
        rgba: [4, H, W] in [0, 1].

    Returns:
        [H, W, 3].
    """
    opaque = rgba[:3] * rgba[3:] + (1 - rgba[3:])
    pixels = (opaque.detach().clamp(0, 1) * 255).round().to(torch.uint8)
    return np.ascontiguousarray(pixels.permute(1, 2, 0).cpu().numpy())


class Animation:
    """Frames of equal size, written as a GIF that repeats.

    Args:
        every: steps from one frame to the next; `wants` tells when.
    """

    def __init__(self, every: int = 10) -> None:
        self.every = every
        self.frames: list[NDArray[np.uint8]] = []

    def wants(self, step: int) -> bool:
        """Whether a frame is due."""
        return step % self.every == 0

    def add(self, frame: NDArray[np.uint8]) -> None:
        """Appends a frame [H, W, 3]."""
        self.frames.append(frame)

    def save(self, path: Path, seconds: float = 6.0, rest: float = 1.5) -> None:
        """Writes the animation, unless it has no frame.

        Args:
            path: ends in .gif.
            seconds: how long it runs.
            rest: how long the last frame stays.

        Raises:
            OSError: it could not be written.
        """
        if not self.frames:
            return
        each = max(20, round(1000 * seconds / len(self.frames)))  # viewers slow shorter ones down
        durations = [each] * (len(self.frames) - 1) + [round(1000 * rest)]
        # One palette for all and no dithering: what does not move stays the same, and takes no
        # bytes.
        middle = self.frames[len(self.frames) // 2]
        some = np.concatenate((self.frames[0], middle, self.frames[-1]))
        palette = Image.fromarray(some).quantize(GIF_COLORS)
        frames = [
            Image.fromarray(frame).quantize(palette=palette, dither=Image.Dither.NONE)
            for frame in self.frames
        ]
        with atomic_file(path) as file:
            frames[0].save(
                file,
                format="GIF",
                save_all=True,
                append_images=frames[1:],
                duration=durations,
                loop=0,
            )


def write_history(folder: Path, history: Mapping[str, Tensor], name: str = "history") -> None:
    """Writes the losses of a fit as `NAME.csv`, and as curves over the step in `NAME.png`.

    Of many problems at once these are the means over the problems. NaN interrupts a curve.

    Args:
        folder: an existing one.
        history: by term, [T] or [T, N], see `recon.fitting.fit.Fit`.
        name: of the files.

    Raises:
        OSError: a file could not be written.
    """
    means = {term: loss.float().reshape(len(loss), -1).mean(1) for term, loss in history.items()}
    columns = [values.tolist() for values in means.values()]
    steps = list(range(len(columns[0])))
    rows = [
        [step, *(f"{value:.9g}" for value in row)]
        for step, *row in zip(steps, *columns, strict=True)
    ]
    write_text(folder / f"{name}.csv", csv_text([["step", *means], *rows]))
    curves = {term: (steps, values) for term, values in zip(means, columns, strict=True)}
    if any(value > 0 for values in columns for value in values):
        with atomic_file(folder / f"{name}.png") as file:
            line_plot(curves, "losses", "step", log_y=True).save(file, format="PNG")


def joined_history(fits: Sequence[Fit]) -> dict[str, Tensor]:
    """Returns the losses of several fits after each other, NaN where a fit has no such term."""
    names = list(dict.fromkeys(name for one in fits for name in one.history))
    missing = [torch.full_like(one.history[TOTAL], float("nan")) for one in fits]
    return {
        name: torch.cat(
            [one.history.get(name, nan) for one, nan in zip(fits, missing, strict=True)]
        )
        for name in names
    }
