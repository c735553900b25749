"""Images with the object's outline drawn through the stored cameras, for a person to look at."""

from __future__ import annotations

import logging
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path

import numpy as np
import torch
from numpy.typing import NDArray
from PIL import Image, ImageDraw, ImageFont
from torch import Tensor

from recon.datasets.categories import category_of
from recon.datasets.storage.hdf5 import open_dataset, read_texts
from recon.files import atomic_file
from recon.geometry.cameras import Cameras
from recon.preparation.checks.cameras import (
    LEAST_AGREEMENT,
    CameraCheck,
    check_object,
    complaints,
    mean_agreement,
)
from recon.preparation.checks.carving import outlines, silhouettes
from recon.preparation.checks.preview import spread

log = logging.getLogger(__name__)

OBJECTS, VIEWS = 6, 8
TILE = 128  # pixels which the shorter side of an image has at least
CAPTION = 16  # pixels of height for one line of text
GAP = 2
OUTLINE = (255, 0, 200)  # a colour which few objects have


@dataclass(frozen=True)
class _Row:
    """What the sheet shows of one object: n views [n, H, W, 3] and their agreement."""

    title: str
    tiles: NDArray[np.uint8]
    views: list[int]
    agreement: list[float]


def camera_sheet_path(path: str | Path) -> Path:
    """Return the name of a file's sheet of cameras."""
    return Path(f"{path}.cameras.png")


def write_camera_sheet(path: str | Path, output: str | Path | None = None) -> Path:
    """Draw the outlines of some objects of a file over their images; warn of what looks wrong.

    The outline is that of the stored voxels, or of the masks' visual hull where there are none.
    Where a camera is right it follows the outline in the image.

    Args:
        path: the file.
        output: the sheet; None writes `PATH.cameras.png`.

    Raises:
        FileNotFoundError, ValueError: if `path` is not a valid file.
        OSError: naming the sheet, if it cannot be written.
    """
    checks, rows = [], []
    with open_dataset(path) as file:
        ids, synsets = read_texts(file, "ids"), read_texts(file, "synsets")
        for row in spread(len(ids), OBJECTS):
            check = check_object(file, row)
            views = spread(len(check.hull_agreement), VIEWS)
            cameras = Cameras.from_rows(torch.from_numpy(file["cameras"][row]))[views]
            images = np.stack([file["images"][row, view] for view in views])
            title = f"{category_of(synsets[row]).name}: {ids[row]}, {_summary(check)}"
            shown = check.voxel_agreement
            values = check.hull_agreement[views] if shown is None else shown[views]
            rows.append(_Row(title, _tiles(images, cameras, check), views, values.tolist()))
            checks.append(check)
    sheet = camera_sheet_path(path) if output is None else Path(output)
    with atomic_file(sheet) as stream:
        _paste(rows).save(stream, format="PNG")
    for complaint in complaints(checks):
        log.warning("%s: %s; look at %s", path, complaint, sheet)
    return sheet


def _summary(check: CameraCheck) -> str:
    """Return what the outline is and the mean agreements."""
    hull = f"{mean_agreement([check], 'hull_agreement'):.2f}"
    if check.voxel_agreement is None:
        return f"outline: visual hull of the masks, agreement {hull}"
    voxels = f"{mean_agreement([check], 'voxel_agreement'):.2f}"
    return f"outline: voxels, agreement {voxels}; that of the masks' visual hull {hull}"


def _tiles(images: NDArray[np.uint8], cameras: Cameras, check: CameraCheck) -> NDArray[np.uint8]:
    """Return the images [n, H, W, 3] of some views, enlarged, on white, with outlines."""
    times = -(-TILE // min(images.shape[2:]))
    large = images.repeat(times, axis=2).repeat(times, axis=3)
    alpha = large[:, 3:].astype(np.float32) / 255
    flat = (large[:, :3] * alpha + 255 * (1 - alpha)).round().astype(np.uint8)
    tiles = np.ascontiguousarray(flat.transpose(0, 2, 3, 1))
    shape: Tensor = check.hull if check.voxels is None else check.voxels
    tiles[outlines(silhouettes(shape, cameras, large.shape[2:])).numpy()] = OUTLINE
    return tiles


def _paste(rows: Sequence[_Row]) -> Image.Image:
    """Lay out a title, tiles side by side and their captions for every object."""
    height, width = rows[0].tiles.shape[1:3]
    step, columns = height + 2 * CAPTION, max(len(row.tiles) for row in rows)
    sheet = Image.new("RGB", (max(columns * (width + GAP), 600), len(rows) * step), "white")
    draw, font = ImageDraw.Draw(sheet), ImageFont.load_default(11)
    for index, row in enumerate(rows):
        top = index * step
        draw.text((2, top + 1), row.title, "black", font)
        for column, tile in enumerate(row.tiles):
            left, value = column * (width + GAP), row.agreement[column]
            sheet.paste(Image.fromarray(tile), (left, top + CAPTION))
            color = "black" if value >= LEAST_AGREEMENT else "red"
            text = f"view {row.views[column]}: {value:.2f}"
            draw.text((left + 2, top + CAPTION + height + 1), text, color, font)
    return sheet
