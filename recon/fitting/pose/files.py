"""Files of pose estimation: an image of an object with its mask, and a coloured mesh of it."""

from __future__ import annotations

import math
from dataclasses import dataclass, replace
from pathlib import Path

import numpy as np
import torch
from numpy.typing import NDArray
from torch import Tensor

from recon.formats.images import OPAQUE
from recon.formats.meshes import read_mesh
from recon.formats.resampling import fit_image
from recon.formats.views import read_masked_image
from recon.geometry.cameras import Cameras
from recon.geometry.meshes import Mesh


@dataclass(frozen=True, eq=False)
class CameraImage:
    """An image of one object, cut out around it, and where it was in the whole.

    Args:
        image: [4, S, S] float32 sRGB and alpha in [0, 1], not premultiplied.
        intrinsics: [3, 3] float64 matrix from camera coordinates (x right, y down, z forward) to
            pixels of `image`, whose centres are at integers.
        whole: [4, H, W] uint8, the image as it was read.
        whole_intrinsics: [3, 3] float64 matrix from camera coordinates to pixels of `whole`.
    """

    image: Tensor
    intrinsics: NDArray[np.float64]
    whole: NDArray[np.uint8]
    whole_intrinsics: NDArray[np.float64]

    def cameras(self, number: int) -> Cameras:
        """Returns copies of the camera of `image`; camera coordinates are its world."""
        size = self.image.shape[1:]
        one = Cameras.from_opencv(
            torch.from_numpy(self.intrinsics).float()[None],
            torch.eye(3)[None],
            torch.zeros(1, 3),
            tuple(size),
        )
        return one[[0] * number]


@dataclass(frozen=True, eq=False)
class ScaledMesh:
    """A mesh of side 1 around the origin, and what it was in its file.

    Args:
        mesh: The mesh with vertices (file - center) / side and colours of faces.
        center: [3] centre of the bounding box, in the units of the file.
        side: The longest side of the bounding box, in the units of the file.
    """

    mesh: Mesh
    center: Tensor
    side: float

    def file_pose(self, rotation: Tensor, translation: Tensor) -> tuple[Tensor, Tensor]:
        """Turns a pose of `mesh` into one of the mesh as it is in the file.

        Args:
            rotation: [3, 3] rotation matrix of `mesh`.
            translation: [3] translation of `mesh`, in sides of the bounding box.

        Returns:
            The rotation, and the translation in units of the file.
        """
        return rotation, self.side * translation - rotation @ self.center


def read_camera_image(
    image: str | Path,
    mask: str | Path | None,
    fov: float,
    intrinsics: list[float] | None = None,
    size: int = 128,
    margin: float = 1.5,
) -> CameraImage:
    """Reads an image and cuts out a square around its object.

    Args:
        image: The path of the image file.
        mask: The path of a mask of the same size; None uses the alpha channel of the image, and
            "plain" estimates the mask from a plain background where there is no alpha channel.
        fov: The full vertical angle of view in degrees, of the image turned upright.
        intrinsics: Focal lengths x, y and principal point x, y in pixels of the image as it is
            stored, instead of `fov`.
        size: The number of pixels along each side of the cut-out image.
        margin: The side of the cut-out square, as a multiple of the longest side of the object.

    Raises:
        FileNotFoundError: A file does not exist.
        ValueError: A file cannot be read, has no mask, or shows no object; or a number is out of
            range.
    """
    if not (size >= 1 and margin >= 1 and math.isfinite(margin)):
        raise ValueError(f"size and margin must be >= 1, got {size} and {margin}")
    # Intrinsics in pixels belong to the pixels as they are stored, an angle to the image as seen.
    rgba = read_masked_image(image, mask, upright=intrinsics is None).rgba
    rows, columns = (np.flatnonzero((rgba[3] >= OPAQUE).any(axis)) for axis in (1, 0))
    whole = _intrinsics(rgba.shape[1], rgba.shape[2], fov, intrinsics)
    side = math.ceil(margin * max(np.ptp(rows), np.ptp(columns)) + 1)
    top, left = (round((span[0] + span[-1] + 1 - side) / 2) for span in (rows, columns))
    cut, scaled = fit_image(_window(rgba, top, left, side), (size, size))
    shift = np.array([[1.0, 0, -left], [0, 1, -top], [0, 0, 1]])
    return CameraImage(
        image=torch.from_numpy(cut.copy()).float() / 255,
        intrinsics=scaled.intrinsics(shift @ whole),
        whole=rgba,
        whole_intrinsics=whole,
    )


def read_colored_mesh(path: str | Path) -> ScaledMesh:
    """Reads a mesh with colours of faces; textures count by their mean colour on each face.

    Args:
        path: The path of a mesh file in a format of `recon.formats.meshes.read_mesh`.

    Raises:
        FileNotFoundError: A file does not exist.
        ValueError: The file cannot be read as a mesh.
    """
    mesh = read_mesh(path)
    low, high = mesh.vertices.amin(0), mesh.vertices.amax(0)
    center, side = (low + high) / 2, float((high - low).max())
    return ScaledMesh(replace(mesh, vertices=(mesh.vertices - center) / side), center, side)


def _intrinsics(
    height: int, width: int, fov: float, given: list[float] | None
) -> NDArray[np.float64]:
    """Returns the matrix K of an image."""
    if given is None:
        if not 0 < fov < 180:
            raise ValueError(f"fov must lie in (0, 180) degrees, got {fov}")
        focal = height / 2 / math.tan(math.radians(fov) / 2)
        given = [focal, focal, (width - 1) / 2, (height - 1) / 2]
    if len(given) != 4 or not all(map(math.isfinite, given)) or min(given[:2]) <= 0:
        raise ValueError(
            "intrinsics must be focal lengths x, y > 0 and principal point x, y in pixels,"
            f" got {list(given)}"
        )
    return np.array([[given[0], 0, given[2]], [0, given[1], given[3]], [0, 0, 1]], np.float64)


def _window(rgba: NDArray[np.uint8], top: int, left: int, side: int) -> NDArray[np.uint8]:
    """Returns a square of an image, transparent where it reaches out of it."""
    height, width = rgba.shape[1:]
    window = np.zeros((4, side, side), np.uint8)
    rows = slice(max(top, 0), min(top + side, height))
    columns = slice(max(left, 0), min(left + side, width))
    window[:, rows.start - top : rows.stop - top, columns.start - left : columns.stop - left] = (
        rgba[:, rows, columns]
    )
    return window
