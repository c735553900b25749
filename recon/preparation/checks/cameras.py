"""Checks whether cameras, images and voxels of a data set agree in their conventions."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

import h5py
import numpy as np
import torch
from numpy.typing import NDArray
from torch import Tensor

from recon.datasets.storage.hdf5 import read_layout
from recon.geometry.cameras import Cameras
from recon.geometry.voxels import unpack_voxels
from recon.preparation.checks.visual_hull import (
    HALF_DIAGONAL,
    agreement,
    axis_order_scores,
    axis_order_text,
    visual_hull,
)

HULL_RESOLUTION = 64
OPAQUE = 128  # alpha from which on a pixel is inside a mask
# Means over objects below these are reported. On generated shapes of seven categories, in 4 to 24
# views of 64 x 64 pixels, right cameras gave 0.85 to 1.00 (thin things least); transposed, mirrored
# or flipped ones mostly 0.3 to 0.85, and more only for boxes and bodies of revolution.
LEAST_AGREEMENT = 0.85
# Objects span 1; a much smaller hull comes from a focal length or distance in other units.
LEAST_SPAN = 0.6
# Another axis order must fit better than the stored one by this much: symmetric objects fit
# equally.
AXIS_MARGIN = 0.02
# Coarser grids than this tell little; finer ones take long.
PREFERRED_RESOLUTION = 32


@dataclass(frozen=True)
class CameraCheck:
    """How cameras, images and voxels of one object agree.

    Attributes:
        hull: The visual hull of the masks, [64, 64, 64] bool.
        hull_agreement: The `agreement` of the hull with the mask of each view, [K] in [0, 1]. Every
            mask pixel is part of the object, so with right cameras the hull still covers all of
            each mask.
        voxels: The stored grid, [R, R, R] bool; None if there is none.
        voxel_agreement: The `agreement` of the grid with the mask of each view, [K]; None without
            voxels.
        axis_orders: The `axis_order_scores` of the grid, [48]; None without voxels.
    """

    hull: Tensor
    hull_agreement: Tensor
    voxels: Tensor | None = None
    voxel_agreement: Tensor | None = None
    axis_orders: Tensor | None = None

    @property
    def span(self) -> float:
        """The longest side of the hull's box in object units; 0 if the hull is empty."""
        index = torch.nonzero(self.hull)
        if not len(index):
            return 0.0
        return float((index.amax(0) - index.amin(0) + 1).max()) / len(self.hull)


def check_cameras(
    images: NDArray[np.uint8], cameras: Cameras, voxels: Tensor | None = None
) -> CameraCheck:
    """Compares the visual hull of an object's masks, and its voxels, with the masks.

    Args:
        images: [K, 4, H, W], whose alpha is the mask.
        cameras: The K cameras.
        voxels: [R, R, R] bool in world axes, if there are any.
    """
    masks = torch.from_numpy(images[:, 3] >= OPAQUE)
    hull = visual_hull(masks, cameras, HULL_RESOLUTION, HALF_DIAGONAL)
    hull_agreement = agreement(hull, masks, cameras)
    if voxels is None:
        return CameraCheck(hull, hull_agreement)
    coarse = visual_hull(masks, cameras, len(voxels), HALF_DIAGONAL)
    return CameraCheck(
        hull,
        hull_agreement,
        voxels,
        agreement(voxels, masks, cameras),
        axis_order_scores(voxels, coarse),
    )


def check_object(file: h5py.File, row: int) -> CameraCheck:
    """Checks one object of an open data set."""
    cameras = Cameras.from_rows(torch.from_numpy(file["cameras"][row]))
    resolution = _checked_resolution(read_layout(file).voxel_resolutions)
    voxels = unpack_voxels(file[f"voxels_{resolution}"][row], resolution) if resolution else None
    return check_cameras(file["images"][row], cameras, voxels)


def _checked_resolution(resolutions: Sequence[int]) -> int:
    """Returns the resolution of the grid to check, 0 if there is none."""
    fine = [resolution for resolution in resolutions if resolution >= PREFERRED_RESOLUTION]
    return min(fine, default=max(resolutions, default=0))


def camera_warnings(checks: Sequence[CameraCheck]) -> list[str]:
    """Returns what is suspicious about some objects of one source, as sentences."""
    found = []
    empty = sum(not check.hull.any() for check in checks)
    if empty:
        found.append(f"no point lies inside all masks of {empty} of {len(checks)} objects")
    hull = mean_agreement(checks, "hull_agreement")
    if hull < LEAST_AGREEMENT:
        found.append(
            f"masks and cameras agree only to {hull:.2f} (1 is best): is y up or down, is R"
            " transposed, is the world left-handed, does K belong to another image size?"
        )
    span = float(np.mean([check.span for check in checks]))
    if not empty and span < LEAST_SPAN:
        found.append(
            f"objects span only {span:.2f} of the unit cube: are focal lengths, distances or t in"
            " other units?"
        )
    with_voxels = [check for check in checks if check.voxels is not None]
    return found + _voxel_warnings(with_voxels, cameras_fit=hull >= LEAST_AGREEMENT)


def _voxel_warnings(checks: Sequence[CameraCheck], cameras_fit: bool) -> list[str]:
    """Returns what is suspicious about voxels; their axes can be told only by cameras that fit."""
    if not checks:
        return []
    found = []
    value = mean_agreement(checks, "voxel_agreement")
    if value < LEAST_AGREEMENT:
        found.append(f"voxels and masks agree only to {value:.2f} (1 is best)")
    text, best, stored = best_axis_order(checks)
    if cameras_fit and best > stored + AXIS_MARGIN:
        found.append(
            f"voxels fit the masks better when their axes are read as {text} instead of"
            f" [x, y, z]: {best:.2f} instead of {stored:.2f}"
        )
    return found


def mean_agreement(checks: Sequence[CameraCheck], name: str) -> float:
    """Returns the mean of `hull_agreement` or `voxel_agreement` over views and objects."""
    return float(torch.stack([getattr(check, name).mean() for check in checks]).mean())


def best_axis_order(checks: Sequence[CameraCheck]) -> tuple[str, float, float]:
    """Returns the axes under which voxels fit best, how well they do, and how well as stored."""
    scores = torch.stack([check.axis_orders for check in checks if check.axis_orders is not None])
    mean = scores.mean(dim=0)
    best = int(mean.argmax())
    return axis_order_text(best), float(mean[best]), float(mean[0])
