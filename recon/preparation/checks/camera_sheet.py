"""A contact sheet of images over which silhouettes are drawn through the stored cameras."""

from __future__ import annotations

import logging
from pathlib import Path

import numpy as np
import torch
from numpy.typing import NDArray
from torch import Tensor

from recon.datasets.categories import category_of
from recon.datasets.storage.hdf5 import open_dataset, read_texts
from recon.files import atomic_file
from recon.geometry.cameras import Cameras
from recon.preparation.checks.cameras import (
    LEAST_AGREEMENT,
    CameraCheck,
    camera_warnings,
    check_object,
    mean_agreement,
)
from recon.preparation.checks.preview import spread
from recon.preparation.checks.visual_hull import boundaries, voxel_silhouettes
from recon.rendering.compositing import over_white
from recon.visualization.contact_sheet import contact_sheet
from recon.visualization.draw import to_pixels

log = logging.getLogger(__name__)

OBJECTS, VIEWS = 6, 8
TILE = 128  # pixels which the shorter side of an image has at least
BORDER = (255, 0, 200)  # a colour which few objects have


def camera_sheet_path(path: str | Path) -> Path:
    """Returns the name of a file's sheet of cameras."""
    return Path(f"{path}.cameras.png")


def write_camera_sheet(path: str | Path, output: str | Path | None = None) -> Path:
    """Draws the silhouettes of some objects of a file over their images; warns of what looks wrong.

    The silhouette is that of the stored voxels, or of the masks' visual hull where there are none.
    Its border follows that of the object in the image where the camera is right.

    Args:
        path: The file of the prepared data set.
        output: The file of the contact sheet; None writes `PATH.cameras.png`.

    Raises:
        FileNotFoundError, ValueError: If `path` is not a valid file.
        OSError: If the sheet cannot be written; the message names it.
    """
    checks, rows, titles, labels = [], [], [], []
    with open_dataset(path) as file:
        ids, synsets = read_texts(file, "ids"), read_texts(file, "synsets")
        for row in spread(len(ids), OBJECTS):
            check = check_object(file, row)
            views = spread(len(check.hull_agreement), VIEWS)
            cameras = Cameras.from_rows(torch.from_numpy(file["cameras"][row]))[views]
            images = np.stack([file["images"][row, view] for view in views])
            titles.append(f"{category_of(synsets[row]).name}: {ids[row]}, {_summary(check)}")
            shown = check.hull_agreement if check.voxel_agreement is None else check.voxel_agreement
            rows.append(list(_tiles(images, cameras, check)))
            labels.append([_label(view, float(shown[view])) for view in views])
            checks.append(check)
    sheet = camera_sheet_path(path) if output is None else Path(output)
    with atomic_file(sheet) as stream:
        contact_sheet(rows, captions=titles, labels=labels).save(stream, format="PNG")
    for warning in camera_warnings(checks):
        log.warning("%s: %s; look at %s", path, warning, sheet)
    return sheet


def _summary(check: CameraCheck) -> str:
    """Returns what the silhouette is of and the mean agreements."""
    hull = f"{mean_agreement([check], 'hull_agreement'):.2f}"
    if check.voxel_agreement is None:
        return f"silhouette: visual hull of the masks, agreement {hull}"
    voxels = f"{mean_agreement([check], 'voxel_agreement'):.2f}"
    return f"silhouette: voxels, agreement {voxels}; that of the masks' visual hull {hull}"


def _tiles(images: NDArray[np.uint8], cameras: Cameras, check: CameraCheck) -> NDArray[np.uint8]:
    """Returns the images [n, H, W, 3] of some views, enlarged, on white, with silhouettes."""
    times = -(-TILE // min(images.shape[2:]))
    large = images.repeat(times, axis=2).repeat(times, axis=3)
    tiles = to_pixels(over_white(torch.from_numpy(large).float() / 255))
    shape: Tensor = check.hull if check.voxels is None else check.voxels
    tiles[boundaries(voxel_silhouettes(shape, cameras, large.shape[2:])).numpy()] = BORDER
    return tiles


def _label(view: int, agreement: float) -> tuple[str, str]:
    """Returns the text below the image of a view, and its colour."""
    return f"view {view}: {agreement:.2f}", "black" if agreement >= LEAST_AGREEMENT else "red"
