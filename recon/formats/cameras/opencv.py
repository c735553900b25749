"""Converts matrices of other conventions to that of OpenCV, for the readers of camera files."""

from __future__ import annotations

import posixpath

import numpy as np
from numpy.typing import NDArray

from recon.formats.images import SUFFIXES
from recon.formats.stores import NamedStore
from recon.formats.views import is_mask_name

Matrix = NDArray[np.float64]

# Poses are written with few digits, and estimated ones are rotations only up to rounding.
TOLERANCE = 2e-3
IMAGE_FOLDERS = ("images", "image", "rgb")


def intrinsics(fx: float, fy: float, cx: float, cy: float) -> Matrix:
    """Returns K [3, 3] with pixel centres at integers.

    Args:
        fx, fy: The focal lengths in pixels.
        cx, cy: The principal point from the image's upper left corner, whose pixel has its centre
            at (0.5, 0.5), in pixels.

    Raises:
        ValueError: If a number is not finite or a focal length not > 0.
    """
    matrix = np.array([[fx, 0, cx - 0.5], [0, fy, cy - 0.5], [0, 0, 1]])
    if not np.isfinite(matrix).all() or min(fx, fy) <= 0:
        raise ValueError(f"focal lengths must be > 0 and all finite, got {fx}, {fy}, {cx}, {cy}")
    return matrix


def pose(world_to_camera: Matrix) -> dict[str, Matrix]:
    """Returns R and t of a matrix [3, 4] or [4, 4] from world to OpenCV's camera coordinates.

    Raises:
        ValueError: If it is not finite or its left part not a rotation.
    """
    rotation, shift = world_to_camera[:3, :3], world_to_camera[:3, 3]
    error = np.abs(rotation @ rotation.T - np.eye(3)).max()
    if not (np.isfinite(world_to_camera).all() and error < TOLERANCE):
        raise ValueError(
            "its pose must be a finite rotation and translation; R R^T differs from 1 by"
            f" {error:.3g}"
        )
    if np.linalg.det(rotation) < 0:
        raise ValueError("its rotation has the determinant -1: an axis is mirrored")
    left, _, right = np.linalg.svd(rotation)
    return {"R": left @ right, "t": np.array(shift)}


def pose_of_camera(camera_to_world: Matrix, flip: bool) -> dict[str, Matrix]:
    """Returns R and t of a matrix [3, 4] or [4, 4] from camera to world coordinates.

    Args:
        camera_to_world: The matrix whose columns are the camera's axes and its position.
        flip: Whether the camera is that of OpenGL and Blender, y up and z backwards.

    Raises:
        ValueError: If `pose` raises it.
    """
    axes = camera_to_world[:3, :3] * (np.array([1.0, -1.0, -1.0]) if flip else 1.0)
    rotation = axes.T
    return pose(np.concatenate((rotation, -rotation @ camera_to_world[:3, 3:4]), axis=1))


def find_image(images: NamedStore, name: str) -> str:
    """Returns the stored name of an image that a camera file names, perhaps without its suffix.

    It is looked for as named, in the folders images, image and rgb, and by its last component.

    Raises:
        ValueError: If there is none.
    """
    plain = posixpath.normpath(name.replace("\\", "/").strip())
    leaf = posixpath.basename(plain)
    places = [plain, *(f"{folder}/{plain}" for folder in IMAGE_FOLDERS)]
    places += [f"{folder}/{leaf}" for folder in IMAGE_FOLDERS] + [leaf]
    for place in places:
        for suffix in ("", *SUFFIXES):
            found = images.find(place + suffix)
            if found is not None:
                return found
    raise ValueError(f"{images.label} has no image {name}")


def images_in_order(images: NamedStore, count: int) -> list[str]:
    """Returns the images of a folder in the order of their names.

    They lie in a folder images, image or rgb, else in the folder itself, else in one such as
    images_4.

    Raises:
        ValueError: If no such folder has so many images.
    """
    by_folder: dict[str, list[str]] = {}
    for name in images.names:
        if posixpath.splitext(name)[1].lower() in SUFFIXES and not is_mask_name(name):
            by_folder.setdefault(posixpath.dirname(name), []).append(name)
    preferred = [*IMAGE_FOLDERS, "", *sorted(f for f in by_folder if f.startswith("images_"))]
    for folder in preferred:
        if len(by_folder.get(folder, ())) == count:
            return by_folder[folder]
    found = ", ".join(f"{len(names)} in {f or '.'}" for f, names in by_folder.items()) or "none"
    raise ValueError(f"{images.label} must have {count} images, one per camera, got {found}")
