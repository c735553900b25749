"""The voxels of 3D-R2N2 (ShapeNetVox32) and where they lie in the coordinates of the models."""

from __future__ import annotations

import numpy as np
import torch
from numpy.typing import NDArray

from recon.formats.binvox import Binvox, read_binvox
from recon.formats.stores import Store
from recon.geometry.cameras import Cameras
from recon.preparation.sources.model_frame import ModelFrame

# This share of the occupied voxels must lie on the object in the images. For seven public objects
# 0.995 and more do; with azimuth the other way round 0.59 to 0.87 (a round lamp 1), with y and z
# exchanged 0.2 to 0.97, with the cube at the corner that its header seems to name 0.08 to 0.43.
LEAST_ON_OBJECT = 0.9
# A voxel's centre may lie outside of a thin part by half a voxel, which is this share of the width
# of the images there.
REACH = 0.02


def voxel_frame(file: Binvox) -> ModelFrame:
    """Returns the world's cube in the coordinates of the voxelised model.

    The header's `translate` is the least corner of the model's bounding box, which lies at the
    first occupied voxels: binvox has centred the box in the grid, without saying so in the header.
    That tells the cube's middle to within a voxel; where this is the origin, it is the origin, in
    which ShapeNetCore v1 centres its models. `scale` is the cube's side and the longest of the box.

    The world is scaled so that the voxels lie in it as the evaluation places predictions, with the
    centres of the outermost voxels at -0.5 and 0.5.

    Raises:
        ValueError: If no voxel is occupied or the file does not say where the grid lies.
    """
    if file.corner is None or file.side is None:
        raise ValueError("its header must have the lines translate and scale")
    if not file.voxels.any():
        raise ValueError("none of its voxels is occupied")
    resolution, side = len(file.voxels), file.side
    center = []
    for axis, corner in enumerate(file.corner):
        others = tuple({0, 1, 2} - {axis})
        first = int(np.flatnonzero(file.voxels.any(axis=others))[0])
        middle = corner + side * (0.5 - first / resolution)
        centred = first > 0 and abs(middle) < side / resolution
        center.append(0.0 if centred else middle)
    return ModelFrame((center[0], center[1], center[2]), side * (resolution - 1) / resolution)


def read_voxels(store: Store, name: str, resolution: int) -> tuple[ModelFrame, NDArray[np.bool_]]:
    """Reads a grid as the world's cube in the model's coordinates, and the voxels in the world.

    Args:
        store: The store that has the file.
        name: The name of the file.
        resolution: The number of voxels that it must have along each side.

    Raises:
        FileNotFoundError: If there is no such file.
        ValueError: If the file is not usable; the message names it.
    """
    file = read_binvox(store, name)
    try:
        if len(file.voxels) != resolution:
            raise ValueError(f"it must have {resolution}^3 voxels, got {len(file.voxels)}^3")
        return voxel_frame(file), world_voxels(file.voxels)
    except ValueError as error:
        raise ValueError(f"{store.label}: {name}: {error}") from error


def world_voxels(voxels: NDArray[np.bool_]) -> NDArray[np.bool_]:
    """Turns voxels [x, y, z] of the ShapeNetCore v1 frame into those of the world, (-z, y, -x)."""
    return np.ascontiguousarray(voxels.transpose(2, 1, 0)[::-1, :, ::-1])


def require_agreement(
    label: str, voxels: NDArray[np.bool_], cameras: Cameras, alpha: NDArray[np.uint8]
) -> None:
    """Refuses voxels which do not lie on the object in its images.

    Args:
        label: The name of the object in the error.
        voxels: [R, R, R] bool in world axes.
        cameras: The K cameras in the world.
        alpha: [K, H, W] uint8, the alpha of the images.

    Raises:
        ValueError: If voxels do not lie on the object; the message tells the share that does.
    """
    resolution = len(voxels)
    centres = (np.argwhere(voxels) + 0.5 - resolution / 2) / (resolution - 1)
    points = torch.from_numpy(centres).to(cameras.rotation.dtype).expand(len(cameras), -1, -1)
    height, width = alpha.shape[1:]
    projected = cameras.project(points, (height, width)).numpy()
    half = min(height, width) / 2
    columns = np.rint(projected[..., 0] * half + width / 2 - 0.5).astype(np.int64)
    rows = np.rint(height / 2 - 0.5 - projected[..., 1] * half).astype(np.int64)
    reach = max(1, round(REACH * width))
    grown = _grown(np.pad(alpha > 0, ((0, 0), (reach, reach), (reach, reach))), reach)
    views = np.arange(len(alpha))[:, None]
    # Voxels outside of an image are counted at its border.
    on_object = grown[
        views,
        (rows + reach).clip(0, height + 2 * reach - 1),
        (columns + reach).clip(0, width + 2 * reach - 1),
    ]
    share = float(on_object.mean())
    if share < LEAST_ON_OBJECT:
        raise ValueError(
            f"{label}: voxels and images disagree: {share:.0%} of the occupied voxels lie on"
            f" the object in the images, at least {LEAST_ON_OBJECT:.0%} must"
        )


def _grown(masks: NDArray[np.bool_], reach: int) -> NDArray[np.bool_]:
    """Returns masks [K, H, W] grown by `reach` pixels to all sides."""
    return (
        torch.nn.functional.max_pool2d(
            torch.from_numpy(masks).float(), 2 * reach + 1, stride=1, padding=reach
        )
        .numpy()
        .astype(np.bool_)
    )
