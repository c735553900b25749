"""Contact sheets: images in rows and columns, with titles, captions and labels."""

from __future__ import annotations

import math
from collections.abc import Sequence

import numpy as np
from numpy.typing import NDArray
from PIL import Image, ImageDraw, ImageFont
from torch import Tensor

from recon.visualization.draw import to_pixels

FONT_SIZE = 11
LINE = 18  # pixels of height for one line of text
GAP = 6  # pixels between cells


def contact_sheet(
    rows: Sequence[Sequence[NDArray[np.uint8]]],
    titles: Sequence[str] = (),
    captions: Sequence[str] = (),
    labels: Sequence[Sequence[tuple[str, str]]] = (),
    header: str = "",
) -> Image.Image:
    """Lays images out in rows and columns on white.

    Args:
        rows: The images [h, w, 3] of each row; every cell of the sheet has the size of the largest
            image.
        titles: The titles of the columns, at the top.
        captions: One line above each row; the sheet is at least as wide as the longest.
        labels: The text below each image and its colour, as PIL names colours.
        header: The line above all rows.
    """
    images = [image for row in rows for image in row]
    height, width = (max((image.shape[axis] for image in images), default=0) for axis in (0, 1))
    columns = max([len(titles), *map(len, rows)])
    above, below = LINE * bool(captions), LINE * bool(labels)
    step, head = above + height + below + GAP, LINE * (bool(header) + bool(titles))
    font = ImageFont.load_default(FONT_SIZE)
    words = max(math.ceil(font.getlength(line)) for line in (header, *captions))
    across = max(columns * (width + GAP), words + GAP) + GAP
    sheet = Image.new("RGB", (across, (head or GAP) + len(rows) * step), "white")
    draw = ImageDraw.Draw(sheet)
    lefts = [GAP + column * (width + GAP) for column in range(columns)]
    draw.text((GAP, 2), header, "black", font)
    for left, title in zip(lefts, titles, strict=False):
        draw.text((left, LINE * bool(header) + 2), title, "black", font)
    for index, row in enumerate(rows):
        top = (head or GAP) + index * step
        if captions:
            draw.text((GAP, top + 2), captions[index], "black", font)
        for left, image in zip(lefts, row, strict=False):
            sheet.paste(Image.fromarray(image), (left, top + above))
        for left, (text, color) in zip(lefts, labels[index] if labels else (), strict=False):
            draw.text((left, top + above + height + 2), text, color, font)
    return sheet


def sheet_cell(rgb: Tensor, size: int | tuple[int, int]) -> NDArray[np.uint8]:
    """Returns an image in the size of a cell.

    Args:
        rgb: [3, H, W] image in [0, 1].
        size: (height, width) in pixels; an int means square.

    Returns:
        [height, width, 3].
    """
    height, width = (size, size) if isinstance(size, int) else size
    image = Image.fromarray(to_pixels(rgb))
    return np.asarray(image.resize((width, height), Image.Resampling.BICUBIC))
