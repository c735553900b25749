"""Animations: images one after another in a GIF that repeats."""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path

import numpy as np
from numpy.typing import NDArray
from PIL import Image

from recon.files import atomic_file

_COLORS = 64
# Viewers show frames of less time more slowly, milliseconds.
_LEAST_DURATION = 20


def save_animation(
    path: Path, frames: Sequence[NDArray[np.uint8]], seconds: float = 6.0, rest: float = 1.5
) -> None:
    """Writes frames of equal size as a GIF that repeats; nothing where there is no frame.

    Args:
        path: The path of the file, which ends in .gif.
        frames: The images [H, W, 3] in their order.
        seconds: The duration of the animation in seconds.
        rest: The seconds for which the last frame stays.

    Raises:
        OSError: The file could not be written.
    """
    if not frames:
        return
    each = max(_LEAST_DURATION, round(1000 * seconds / len(frames)))
    durations = [each] * (len(frames) - 1) + [round(1000 * rest)]
    # One palette for all and no dithering: what does not move stays the same, and takes no bytes.
    some = np.concatenate((frames[0], frames[len(frames) // 2], frames[-1]))
    palette = Image.fromarray(some).quantize(_COLORS)
    images = [
        Image.fromarray(frame).quantize(palette=palette, dither=Image.Dither.NONE)
        for frame in frames
    ]
    with atomic_file(path) as file:
        images[0].save(
            file,
            format="GIF",
            save_all=True,
            append_images=images[1:],
            duration=durations,
            loop=0,
        )
