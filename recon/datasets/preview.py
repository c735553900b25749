"""A contact sheet of a prepared file, for a person to look at."""

from __future__ import annotations

from pathlib import Path

import numpy as np
from numpy.typing import NDArray
from PIL import Image, ImageDraw

from recon.atomic_files import replacing
from recon.datasets.categories import CATEGORIES
from recon.datasets.hdf5 import open_dataset, read_texts

VIEWS = (0, 3, 12, 18)  # front, one side of the front, back and side
OBJECTS_PER_CATEGORY = 4
BACKGROUND = 255
MARGIN = 80  # pixels to the left of each row, for the category's name


def preview_path(path: str | Path) -> Path:
    """Return the name of a file's contact sheet."""
    return Path(f"{path}.preview.png")


def write_preview(path: str | Path) -> Path:
    """Write the contact sheet of a file beside it: a row per category, some objects and views.

    Returns:
        The sheet's path.

    Raises:
        OSError: naming the sheet, if it cannot be written.
    """
    rows: list[tuple[str, NDArray[np.uint8]]] = []
    with open_dataset(path) as file:
        synsets = np.array(read_texts(file, "synsets"))
        views = [view for view in VIEWS if view < file["images"].shape[1]]
        for category in CATEGORIES:
            members = np.flatnonzero(synsets == category.synset)
            picked = members[np.linspace(0, len(members) - 1, OBJECTS_PER_CATEGORY).astype(int)] \
                if len(members) else members  # fmt: skip
            tiles = [file["images"][index, view] for index in np.unique(picked) for view in views]
            if tiles:
                rows.append((category.name, _over_background(np.stack(tiles))))
    sheet = preview_path(path)
    try:
        with replacing(sheet) as temporary:
            _paste(rows).save(temporary, format="PNG")
    except OSError as error:
        raise OSError(f"cannot write {sheet}: {error}") from error
    return sheet


def _over_background(images: NDArray[np.uint8]) -> NDArray[np.uint8]:
    """Lay [n, 4, H, W] pictures over the background, side by side: [H, n * W, 3]."""
    alpha = images[:, 3:].astype(np.float32) / 255
    flat = images[:, :3] * alpha + BACKGROUND * (1 - alpha)
    return np.concatenate(flat.transpose(0, 2, 3, 1), axis=1).round().astype(np.uint8)


def _paste(rows: list[tuple[str, NDArray[np.uint8]]]) -> Image.Image:
    width = MARGIN + max(strip.shape[1] for _, strip in rows)
    height = sum(strip.shape[0] for _, strip in rows)
    sheet = Image.new("RGB", (width, height), (BACKGROUND,) * 3)
    draw, top = ImageDraw.Draw(sheet), 0
    for name, strip in rows:
        sheet.paste(Image.fromarray(strip), (MARGIN, top))
        draw.text((4, top + strip.shape[0] // 2 - 5), name, fill=(0, 0, 0))
        top += strip.shape[0]
    return sheet
