"""Pictures with the object's outline drawn through the stored cameras, for a person to look at."""

from __future__ import annotations

import logging
from collections.abc import Sequence
from pathlib import Path

import numpy as np
import torch
from numpy.typing import NDArray
from PIL import Image, ImageDraw, ImageFont
from torch import Tensor

from recon.atomic_files import replacing
from recon.cameras import Cameras
from recon.datasets.camera_checks import CameraCheck, check_object, complaints, mean_agreement
from recon.datasets.carving import outlines, silhouettes
from recon.datasets.categories import category_of
from recon.datasets.hdf5 import open_dataset, read_texts

log = logging.getLogger(__name__)

OBJECTS, VIEWS = 6, 8
TILE = 128  # pixels which the shorter side of a picture has at least
CAPTION = 16  # pixels of height for one line of text
OUTLINE = (255, 0, 200)  # a colour which few objects have


def camera_sheet_path(path: str | Path) -> Path:
    """Return the name of a file's sheet of cameras."""
    return Path(f"{path}.cameras.png")


def write_camera_sheet(path: str | Path, output: str | Path | None = None) -> Path:
    """Draw the outlines of some objects of a file over their pictures; warn of what looks wrong.

    The outline is that of the stored voxels, or of the masks' visual hull where there are none.
    Where a camera is right it follows the outline in the picture.

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
            cameras = Cameras.from_rows(torch.from_numpy(file["cameras"][row]))
            images = np.stack([file["images"][row, view] for view in views])
            title = f"{category_of(synsets[row]).name}: {ids[row]}   {_summary(check)}"
            rows.append((title, _tiles(images, cameras[views], check), _captions(check, views)))
            checks.append(check)
    sheet = camera_sheet_path(path) if output is None else Path(output)
    try:
        with replacing(sheet) as temporary:
            _paste(rows).save(temporary, format="PNG")
    except OSError as error:
        raise OSError(f"cannot write {sheet}: {error}") from error
    for complaint in complaints(checks):
        log.warning("%s: %s; look at %s", path, complaint, sheet)
    return sheet


def spread(count: int, wanted: int) -> list[int]:
    """Return up to `wanted` of the numbers 0..count - 1, evenly spread, the first one included."""
    step = max(1.0, count / wanted)
    return [int(index * step) for index in range(min(count, wanted))]


def _summary(check: CameraCheck) -> str:
    """Return what the outline is and its mean agreements."""
    hull = f"visual hull {mean_agreement([check], 'hull_agreement'):.2f}"
    if check.voxel_agreement is None:
        return f"outline: {hull}"
    return f"outline: voxels {mean_agreement([check], 'voxel_agreement'):.2f} ({hull})"


def _captions(check: CameraCheck, views: Sequence[int]) -> list[str]:
    shown = check.hull_agreement if check.voxel_agreement is None else check.voxel_agreement
    return [f"view {view}: {shown[view]:.2f}" for view in views]


def _tiles(images: NDArray[np.uint8], cameras: Cameras, check: CameraCheck) -> NDArray[np.uint8]:
    """Return the pictures [n, H, W, 3] of some views, enlarged, on white, with outlines."""
    times = -(-TILE // min(images.shape[2:]))
    large = images.repeat(times, axis=2).repeat(times, axis=3)
    alpha = large[:, 3:].astype(np.float32) / 255
    flat = (large[:, :3] * alpha + 255 * (1 - alpha)).round().astype(np.uint8)
    tiles = np.ascontiguousarray(flat.transpose(0, 2, 3, 1))
    shape: Tensor = check.hull if check.voxels is None else check.voxels
    tiles[outlines(silhouettes(shape, cameras, large.shape[2:])).numpy()] = OUTLINE
    return tiles


def _paste(rows: Sequence[tuple[str, NDArray[np.uint8], list[str]]]) -> Image.Image:
    """Lay out a title, tiles side by side and their captions for every object."""
    count, height, width = max(len(tiles) for _, tiles, _ in rows), *rows[0][1].shape[1:3]
    step = height + 2 * CAPTION
    sheet = Image.new("RGB", (max(count * (width + 2), 480), len(rows) * step), "white")
    draw, font = ImageDraw.Draw(sheet), ImageFont.load_default(11)
    for index, (title, tiles, captions) in enumerate(rows):
        top = index * step
        draw.text((2, top + 1), title, "black", font)
        for column, (tile, caption) in enumerate(zip(tiles, captions, strict=True)):
            left = column * (width + 2)
            sheet.paste(Image.fromarray(tile), (left, top + CAPTION))
            draw.text((left + 2, top + CAPTION + height + 1), caption, "black", font)
    return sheet
