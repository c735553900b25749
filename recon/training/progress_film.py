"""The film of a training run: its predictions of the same objects at every validation."""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path

import numpy as np
import torch
from numpy.typing import NDArray
from PIL import Image, ImageDraw, ImageFont
from torch import Tensor

from recon.runs.directory import read_validations
from recon.training.tracked_images import over_white
from recon.training.tracked_objects import TrackedPredictions, read_tracked, step_files
from recon.visualization.animation import save_animation
from recon.visualization.draw import draw_mesh, to_pixels

CELL, GAP = 96, 4  # pixels
LINE = 16  # pixels of height for a line of text
TITLES = ("input", "prediction", "other view", "truth there")
MOST_FRAMES = 100


def film(run: Path, target: Path, seconds: float = 8.0, rest: float = 2.0) -> int:
    """Writes the film of a run directory as a GIF that repeats; the same files give the same film.

    Each frame has a row for every object: input, prediction in the same view, and prediction
    and truth a quarter of a turn on; the step and its validation IoU stand above.

    Args:
        run: The directory of a training run with validations.
        target: The path of the film, which ends in .gif.
        seconds: The duration of the film.
        rest: The seconds for which the last frame stays.

    Returns:
        The number of frames: all steps, or `MOST_FRAMES` of them evenly spread.

    Raises:
        FileNotFoundError: The run has kept no objects.
        ValueError: A file is damaged, or `target` does not end in .gif.
        OSError: The film could not be written.
    """
    if target.suffix.lower() != ".gif":
        raise ValueError(f"the film must end in .gif, got {target.name}")
    folder = run / "progress"
    steps = step_files(folder)
    if not steps:
        raise FileNotFoundError(
            f"{run} shows no objects (no {folder.name}/step_N.npz): it has not been validated, or"
            " trainer.show_objects was 0"
        )
    ious = {int(row["step"]): row.get("iou") for row in read_validations(run / "validation.csv")}
    frames = [
        draw_frame(read_tracked(folder, path), caption(step, ious.get(step)))
        for step, path in thinned(steps, MOST_FRAMES)
    ]
    save_animation(target, frames, seconds, rest)
    return len(frames)


def thinned(steps: Sequence[tuple[int, Path]], most: int) -> list[tuple[int, Path]]:
    """Returns at most so many of the steps, evenly spread, the first and the last among them."""
    if len(steps) <= most:
        return list(steps)
    places = np.linspace(0, len(steps) - 1, most).round().astype(int)
    return [steps[place] for place in places]


def caption(step: int, iou: float | None) -> str:
    """Returns what stands above a frame."""
    return f"step {step}" + ("" if iou is None else f"   validation IoU {100 * iou:.1f} %")


def draw_frame(tracked: TrackedPredictions, text: str) -> NDArray[np.uint8]:
    """Draws the objects of a step.

    Returns:
        [H, W, 3].
    """
    width = len(TITLES) * (CELL + GAP) + GAP
    height = 2 * LINE + len(tracked.ids) * (CELL + GAP) + GAP
    sheet = Image.new("RGB", (width, height), "white")
    draw, font = ImageDraw.Draw(sheet), ImageFont.load_default(11)
    draw.text((GAP, 1), text, "black", font)
    for column, title in enumerate(TITLES):
        draw.text((GAP + column * (CELL + GAP), LINE), title, (110, 110, 110), font)
    for row in range(len(tracked.ids)):
        for column, cell in enumerate(_cells(tracked, row)):
            place = (GAP + column * (CELL + GAP), 2 * LINE + GAP + row * (CELL + GAP))
            sheet.paste(_square(cell), place)
    return np.array(sheet)


def _cells(tracked: TrackedPredictions, index: int) -> list[Tensor]:
    """Returns the images [3, h, w] of a row."""
    truth = [over_white(image.float() / 255) for image in tracked.truth[index]]
    drawn = draw_mesh(tracked.mesh(index), tracked.views(index), CELL, tracked.mesh_colors(index))
    return [truth[0], drawn[0], drawn[1], truth[1]]


def _square(image_rgb: Tensor) -> Image.Image:
    with torch.no_grad():
        image = Image.fromarray(to_pixels(image_rgb))
    return image.resize((CELL, CELL), Image.Resampling.BICUBIC)
