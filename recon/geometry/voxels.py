"""Occupancy grids of predicted meshes, in the placement of the evaluation protocol."""

from __future__ import annotations

import math

import numpy as np
import numpy.typing as npt
import torch
from torch import Tensor

from renderer_cuda import gather_faces, voxelize

# Cubes beside the one in the middle, along every side, up to which the shape outside is followed.
_REACH = 1


def voxelize_mesh(
    vertices: Tensor, faces: Tensor, resolution: int = 32, mode: str = "softras"
) -> Tensor:
    """Fills the grid of voxels whose outermost centres are at object coordinates -0.5 and 0.5.

    A vertex v is placed at v * (R - 1) / R + 0.5 of the unit cube, the 31/32 of the Soft
    Rasterizer evaluation (arXiv 1904.01786) at R = 32. A mesh that leaves the grid is filled in a
    larger grid, of which the part in the cube is returned: cut open at the border it would be
    hollow. Vertices farther away than one side of the cube are moved to that distance.

    Args:
        vertices: [B, V, 3] float32 or float64, object units.
        faces: [F, 3] int64 vertex indices.
        resolution: The number R of voxels along each side.
        mode: "softras" (published voxel scores) or "solid" (exact surface), see
            :func:`renderer_cuda.voxelize`.

    Returns:
        [B, R, R, R] bool occupancy, indexed [image, x, y, z] in the axes of ``vertices``.

    Raises:
        ValueError: If an argument has the wrong rank, shape, dtype or range.
    """
    if vertices.ndim != 3 or vertices.shape[2] != 3:
        raise ValueError(f"vertices must have shape [B, V, 3], got {tuple(vertices.shape)}")
    if not vertices.is_floating_point():
        raise ValueError(f"vertices must be of a floating-point type, got {vertices.dtype}")
    vertices = vertices.detach()
    placed = vertices * (resolution - 1) / resolution + 0.5
    voxels = voxelize(gather_faces(placed, faces), resolution, mode=mode)
    for index in leaves_grid(vertices, resolution).nonzero().flatten().tolist():
        voxels[index] = _voxelize_beyond_grid(placed[index], faces, resolution, mode)
    return voxels


def leaves_grid(vertices: Tensor, resolution: int) -> Tensor:
    """Returns which meshes [B] have a finite vertex outside the grid of `voxelize_mesh`.

    Args:
        vertices: [B, V, 3], object units.
        resolution: The number R of voxels along each side.
    """
    # This is the arithmetic of the grid, so that a vertex on the border is on the same side in
    # both.
    placed = vertices * (resolution - 1) / resolution + 0.5
    outside = (placed < 0) | (placed >= 1)
    return (outside & torch.isfinite(vertices)).flatten(1).any(1)


def _voxelize_beyond_grid(placed: Tensor, faces: Tensor, resolution: int, mode: str) -> Tensor:
    """Returns the voxels [R, R, R] in the unit cube of a mesh [V, 3] which leaves it."""
    finite = torch.isfinite(placed)
    near = torch.where(finite, placed.clamp(-_REACH, 1 + _REACH), placed)
    distance = torch.where(finite, (near - 0.5).abs() - 0.5, 0.0).amax().item()
    margin = math.ceil(distance * resolution) + 1
    side = resolution + 2 * margin
    moved = (near * resolution + margin) / side
    voxels = voxelize(gather_faces(moved[None], faces), side, mode=mode)[0]
    inside = slice(margin, margin + resolution)
    return voxels[inside, inside, inside]


def pack_voxels(voxels: Tensor | npt.NDArray[np.bool_]) -> npt.NDArray[np.uint8]:
    """Packs eight voxels per byte in C order of [x, y, z], the first voxel in the highest bit.

    Args:
        voxels: [..., R, R, R] bool.

    Returns:
        [..., ceil(R^3 / 8)] uint8.

    Raises:
        ValueError: If ``voxels`` is not bool or its last three sides differ.
    """
    array = voxels.cpu().numpy() if isinstance(voxels, Tensor) else np.asarray(voxels)
    if array.dtype != np.bool_:
        raise ValueError(f"voxels must be bool, got {array.dtype}")
    if array.ndim < 3 or len(set(array.shape[-3:])) != 1:
        raise ValueError(f"voxels must have shape [..., R, R, R], got {array.shape}")
    return np.packbits(array.reshape(*array.shape[:-3], -1), axis=-1)


def unpack_voxels(packed: npt.NDArray[np.uint8], resolution: int) -> Tensor:
    """Undoes :func:`pack_voxels`.

    Args:
        packed: [..., ceil(R^3 / 8)] uint8.
        resolution: The number R of voxels along each side.

    Returns:
        [..., R, R, R] bool tensor.

    Raises:
        ValueError: If ``packed`` is not uint8 or has the wrong number of bytes for ``resolution``,
            or ``resolution`` is less than 1.
    """
    array = np.asarray(packed)
    if resolution < 1:
        raise ValueError(f"resolution must be at least 1, got {resolution}")
    count = resolution**3
    if array.dtype != np.uint8:
        raise ValueError(f"packed must be uint8, got {array.dtype}")
    if array.ndim < 1 or array.shape[-1] != (count + 7) // 8:
        raise ValueError(
            f"packed must have {(count + 7) // 8} bytes in its last axis for resolution "
            f"{resolution}, got shape {array.shape}"
        )
    bits = np.unpackbits(array, axis=-1, count=count)
    return torch.from_numpy(bits.astype(np.bool_).reshape(*array.shape[:-1], *(resolution,) * 3))
