"""The files `cameras.npz` of Occupancy Networks and of Differentiable Volumetric Rendering (DVR).

For every view i there are

    world_mat_i   [3, 4] or [4, 4]  from the model's coordinates to the camera's
    camera_mat_i  [3, 3] or [4, 4]  from these to the image
    scale_mat_i   [4, 4]            perhaps: from the model's coordinates to those of world_mat_i

and perhaps their inverses, which are not read. The camera is OpenCV's: x right, y down, z forward.
The image's borders are at -1 and 1 in the files of DVR, at 0 and 137 in those of Occupancy
Networks, its upper left corner being the least of both. Where camera_mat_i looks along -z (or
mirrors an axis) the axes of the camera are turned, so that focal lengths and depths are positive.
"""

from __future__ import annotations

import numpy as np
import torch
from numpy.typing import NDArray

from recon.formats.npz import Npz
from recon.formats.stores import Store
from recon.geometry.cameras import Cameras

# Files are float32, some of them written out of float32 sines.
TOLERANCE = 1e-3


def read_cameras(
    store: Store,
    name: str,
    views: int,
    borders: tuple[float, float],
    image_size: tuple[int, int],
) -> Cameras:
    """Reads the cameras of a model, in its own coordinates.

    Args:
        store: The store that has the file.
        name: The name of the file.
        views: The number of cameras that there must be; further ones are ignored.
        borders: The coordinates that camera_mat gives at the left and upper, and at the right and
            lower border.
        image_size: (height, width) of the images.

    Returns:
        Float64 cameras.

    Raises:
        FileNotFoundError: If there is no such file.
        ValueError: If a matrix is missing or is none of a camera; the message names the file and
            view.
    """
    file = Npz(store, name)
    parts = []
    for view in range(views):
        try:
            parts.append(_camera(file, view, borders, image_size))
        except ValueError as error:
            raise ValueError(f"{file.label}, view {view}: {error}") from error
    intrinsics, rotations, shifts = (
        torch.from_numpy(np.stack(part)) for part in zip(*parts, strict=True)
    )
    try:
        return Cameras.from_opencv(intrinsics, rotations, shifts, image_size)
    except ValueError as error:
        raise ValueError(f"{file.label}: {error}") from error


Matrix = NDArray[np.float64]


def _camera(
    file: Npz, view: int, borders: tuple[float, float], image_size: tuple[int, int]
) -> tuple[Matrix, Matrix, Matrix]:
    """Returns K [3, 3] in pixels with centres at integers, R [3, 3] and t [3]."""
    camera = _square(_read(file, f"camera_mat_{view}", ((3, 3), (4, 4))))[:3, :3]
    world = _square(_read(file, f"world_mat_{view}", ((3, 4), (4, 4))))
    if f"scale_mat_{view}" in file:
        world = world @ _square(_read(file, f"scale_mat_{view}", ((4, 4),)))
    signs = np.sign(camera.diagonal())
    if not signs.all():
        raise ValueError(f"camera_mat must have a diagonal without zeros, got {camera.tolist()}")
    camera, world = camera * signs, world[:3] * signs[:, None]
    rotation, shift = _rigid(world)
    (low, high), (height, width) = borders, image_size
    per_unit = np.array([width, height]) / (high - low)
    to_pixels = np.diag([*per_unit, 1.0])
    to_pixels[:2, 2] = -low * per_unit - 0.5
    return to_pixels @ (camera / camera[2, 2]), rotation, shift


def _read(file: Npz, key: str, shapes: tuple[tuple[int, int], ...]) -> Matrix:
    """Returns a finite matrix of one of the given shapes."""
    matrix = file.read(key, (None, None), "fiu").astype(np.float64)
    if matrix.shape not in shapes:
        raise ValueError(f"{key} must have one of the shapes {shapes}, got {matrix.shape}")
    if not np.isfinite(matrix).all():
        raise ValueError(f"{key} is not finite")
    return matrix


def _square(matrix: Matrix) -> Matrix:
    """Returns the matrix with the rows and columns of a homogeneous one."""
    full = np.eye(4)
    full[: matrix.shape[0], : matrix.shape[1]] = matrix
    if np.abs(full[3] - [0, 0, 0, 1]).max() > TOLERANCE:
        raise ValueError(f"the last row of a matrix must be 0, 0, 0, 1, got {full[3].tolist()}")
    return full


def _rigid(world: Matrix) -> tuple[Matrix, Matrix]:
    """Returns rotation and translation without the scale, by which depths are divided."""
    scale = np.cbrt(abs(np.linalg.det(world[:, :3])))
    if not scale > 0:
        raise ValueError(f"world_mat must have an inverse, got {world.tolist()}")
    rotation = world[:, :3] / scale
    error = np.abs(rotation @ rotation.T - np.eye(3)).max()
    if error > TOLERANCE:
        raise ValueError(
            f"world_mat must be a rotation with a translation and perhaps a scale, but R R^T"
            f" differs from 1 by {error:.3g}"
        )
    return rotation, world[:, 3] / scale
