"""A contact sheet of a prepared file, for a person to look at."""

from __future__ import annotations

from pathlib import Path

import numpy as np
from numpy.typing import NDArray
from PIL import Image, ImageDraw

from recon.datasets.categories import present_categories
from recon.datasets.storage.hdf5 import open_dataset, read_texts
from recon.files import atomic_file
from recon.geometry.cameras import SHAPENET_VIEWS

# Of the standard views: front, one side of the front, back and side.
STANDARD_VIEWS = (0, 3, 12, 18)
OBJECTS_PER_CATEGORY = 4
LARGEST = 128  # pixels along a side of an image on the sheet
BACKGROUND = 255
MARGIN = 80  # pixels to the left of each row, for the category's name


def preview_path(path: str | Path) -> Path:
    """Return the name of a file's contact sheet."""
    return Path(f"{path}.preview.png")


def write_preview(path: str | Path, output: str | Path | None = None) -> Path:
    """Write a contact sheet of a file: a row per category, some objects and views.

    Args:
        path: the file.
        output: the sheet; None writes `PATH.preview.png`.

    Returns:
        The sheet's path.

    Raises:
        FileNotFoundError, ValueError: if `path` is not a valid file.
        OSError: naming the sheet, if it cannot be written.
    """
    rows: list[tuple[str, NDArray[np.uint8]]] = []
    with open_dataset(path) as file:
        synsets = np.array(read_texts(file, "synsets"))
        count = file["images"].shape[1]
        views = STANDARD_VIEWS if count == SHAPENET_VIEWS else spread(count, len(STANDARD_VIEWS))
        for category in present_categories(synsets.tolist()):
            members = np.flatnonzero(synsets == category.synset)
            picked = np.linspace(0, len(members) - 1, OBJECTS_PER_CATEGORY).astype(int)
            indices = members[np.unique(picked)]
            tiles = [file["images"][index, view] for index in indices for view in views]
            rows.append((category.name, _over_background(np.stack(tiles))))
    sheet = preview_path(path) if output is None else Path(output)
    with atomic_file(sheet) as stream:
        _paste(rows).save(stream, format="PNG")
    return sheet


def spread(count: int, wanted: int) -> list[int]:
    """Return up to `wanted` of the numbers 0..count - 1, evenly spread, the first one included."""
    step = max(1.0, count / wanted)
    return [int(index * step) for index in range(min(count, wanted))]


def _over_background(images: NDArray[np.uint8]) -> NDArray[np.uint8]:
    """Lay [n, 4, H, W] images over the background, side by side: [h, n * w, 3]."""
    # Every so-many-th pixel of a large image is enough to look at.
    step = -(-max(images.shape[2:]) // LARGEST)
    images = images[:, :, ::step, ::step]
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
        draw.text((4, top + strip.shape[0] // 2 - 5), name[:12], fill=(0, 0, 0))
        top += strip.shape[0]
    return sheet
