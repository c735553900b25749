"""Brings cameras of any coordinates into the frame of models, and the object into its unit cube.

A camera file has a world of its own: its up axis, its origin and its unit. Up is the direction to
which the horizontal axes of the images are most nearly perpendicular, as cameras are seldom tilted
sideways. The middle of the object is first the point that is closest to all optical axes, and then
the middle of the masks' visual hull, whose longest side becomes 1.
"""

from __future__ import annotations

import logging
from collections.abc import Sequence
from dataclasses import dataclass, replace

import numpy as np
import torch
from numpy.typing import NDArray
from torch import Tensor

from recon.formats.cameras.frame import Frame
from recon.geometry.cameras import Cameras
from recon.geometry.frames import world_vertices
from recon.preparation.checks.visual_hull import visual_hull, voxel_centers
from recon.preparation.sources.axes import orientation

log = logging.getLogger(__name__)

Matrix = NDArray[np.float64]

CENTERS = ("auto", "hull", "cameras", "none")
# An up axis found within this angle of one of the file's axes is that axis, degrees.
SNAP = 3.0
# The front of a file's frame by its up axis: that of Blender, of glTF, and, where up is -y, the
# side which the first camera of a reconstruction looks at.
FRONTS = {"+z": "-y", "+y": "+z", "-y": "-z", "-z": "+y", "+x": "+z", "-x": "+z"}
# Voxels along a side of the hulls that tell where the object is, one after the other. The last
# leaves 1 % of the longest side unknown.
RESOLUTIONS = (48, 96)
# Shares of the views that must see a voxel, the first that leaves anything: few views see what is
# right before a camera, and not all see the whole of an object that is cut off.
LEAST_SEEN = (0.75, 0.5, 0.25)
# The cube is larger than the estimated object by these factors, so that the hull is not cut off.
MARGINS = (1.5, 1.1)


@dataclass(frozen=True)
class Normalization:
    """A similarity between the coordinates of a camera file and the frame of models.

    Attributes:
        rotation: [3, 3] the rotation from the axes of the file to those of models.
        center: [3] the middle of the cube, in coordinates of the file.
        side: The side of the cube in units of the file.
    """

    rotation: Matrix
    center: Matrix
    side: float

    def apply(self, frame: Frame) -> Frame:
        """Returns a frame whose camera sees the frame of models as before that of the file.

        Depths are divided by the side, which changes no projection.
        """
        rotation, shift = frame.pose["R"], frame.pose["t"]
        moved = {
            "R": rotation @ self.rotation.T,
            "t": (shift + rotation @ self.center) / self.side,
        }
        return replace(frame, pose=moved)

    def to_file(self) -> Matrix:
        """Returns the matrix [4, 4] from the frame of models to the coordinates of the file."""
        matrix = np.eye(4)
        matrix[:3, :3], matrix[:3, 3] = self.side * self.rotation.T, self.center
        return matrix

    def __str__(self) -> str:
        front, up = (", ".join(f"{x:.3g}" for x in row) for row in self.rotation[:2])
        center = ", ".join(f"{x:.4g}" for x in self.center)
        return f"center ({center}), side {self.side:.4g}, front ({front}), up ({up})"


IDENTITY = Normalization(np.eye(3), np.zeros(3), 1.0)


def require_normalization(frame: str | Sequence[str], center: str, scale: str | float) -> None:
    """Refuses words and numbers that mean nothing.

    Args:
        frame, center, scale: The arguments of the same names of `find_normalization`.

    Raises:
        ValueError: If an argument is out of range; the message names it.
    """
    if center not in CENTERS:
        raise ValueError(f"center must be one of {', '.join(CENTERS)}, got {center!r}")
    number = isinstance(scale, int | float) and not isinstance(scale, bool)
    if scale not in ("auto", "none") and not (number and 0 < float(scale) < float("inf")):
        raise ValueError(f"scale must be auto, none or a number > 0, got {scale!r}")
    if frame != "auto":
        orientation(_axes(frame))


def _axes(frame: str | Sequence[str]) -> str:
    return frame if isinstance(frame, str) else ",".join(map(str, frame))


def find_normalization(
    frames: Sequence[Frame],
    masks: Sequence[NDArray[np.bool_]],
    frame: str | Sequence[str] = "auto",
    center: str = "auto",
    scale: str | float = "auto",
    in_model_frame: bool = False,
) -> Normalization:
    """Finds the similarity which brings an object into [-0.5, 0.5]^3.

    Args:
        frames: The cameras of the views, with R and t.
        masks: The mask [H, W] of each view.
        frame: The front and up directions in the file's coordinates, such as "-y,+z"; "auto" finds
            up from the cameras, and takes the usual front of files with such an up axis.
        center: The middle of the cube: "hull" takes the middle of the masks' visual hull; "cameras"
            the point that is closest to the optical axes; "none" the file's origin; "auto" means
            "hull".
        scale: The number of cube sides per unit of the file; "auto" makes the longest side of the
            hull 1, or, where center is "none", keeps the file's unit; "none" keeps it always.
        in_model_frame: Whether the file's format promises the frame of models, so that "auto"
            changes nothing.

    Raises:
        ValueError: If an argument is out of range, or nothing is inside all masks.
    """
    require_normalization(frame, center, scale)
    if in_model_frame:
        center = "none" if center == "auto" else center
        frame = "+x,+y" if frame == "auto" else frame
    center = "hull" if center == "auto" else center
    keeps_unit = scale == "none" or (scale == "auto" and center == "none")
    asked = (center, scale, _axes(frame) if frame != "auto" else "auto")
    if center == "none" and keeps_unit and asked[2] == "+x,+y":
        return IDENTITY
    if any("R" not in one.pose for one in frames):
        raise ValueError(
            "cameras by azimuth and elevation are in the frame of models already: leave frame,"
            " center and scale at auto"
        )
    rotation = _up_rotation(frames) if frame == "auto" else orientation(_axes(frame))
    middle, side = np.zeros(3), 1.0
    if center != "none" or (scale == "auto" and not keeps_unit):
        axes_middle = _nearest_point(frames)
        low, high = _hull_box(frames, masks, rotation, axes_middle)
        middle = {"hull": rotation.T @ (low + high) / 2, "cameras": axes_middle}.get(center, middle)
        around = rotation @ middle
        side = 2 * float(max((high - around).max(), (around - low).max()))
    if scale != "auto":
        side = 1.0 if scale == "none" else 1 / float(scale)
    elif keeps_unit:
        side = 1.0
    return Normalization(rotation, middle, side)


def _up_rotation(frames: Sequence[Frame]) -> Matrix:
    """Returns the rotation [3, 3] from the file's axes to the frame of models."""
    rights = np.stack([one.pose["R"][0] for one in frames])
    ups = -np.stack([one.pose["R"][1] for one in frames])
    mean = ups.mean(0)
    _, spread, rows = np.linalg.svd(rights)
    up = rows[2] if len(frames) > 2 and spread[1] > 0.05 * spread[0] else mean
    up = up * (1 if up @ mean >= 0 else -1) / np.linalg.norm(up)
    axis = int(np.abs(up).argmax())
    if np.degrees(np.arccos(min(1.0, abs(up[axis])))) < SNAP:
        name = f"{'+' if up[axis] > 0 else '-'}{'xyz'[axis]}"
        return orientation(f"{FRONTS[name]},{name}")
    # The first image sees the front.
    back = frames[0].pose["R"][2]
    front = -(back - up * (back @ up))
    if np.linalg.norm(front) < 1e-3:  # it looks straight down
        front = ups[0] - up * (ups[0] @ up)
    front = front / np.linalg.norm(front)
    return np.stack((front, up, np.cross(front, up)))


def _nearest_point(frames: Sequence[Frame]) -> Matrix:
    """Returns the point [3] with the least sum of squared distances from the optical axes."""
    total, right = np.zeros((3, 3)), np.zeros(3)
    for one in frames:
        rotation, shift = one.pose["R"], one.pose["t"]
        across = np.eye(3) - np.outer(rotation[2], rotation[2])
        total += across
        right += across @ (-rotation.T @ shift)
    if np.linalg.cond(total) > 1e6:
        raise ValueError(
            "the optical axes are parallel, so they do not tell where the object is: give"
            " center=none and scale=NUMBER"
        )
    return np.asarray(np.linalg.solve(total, right), np.float64)


def _hull_box(
    frames: Sequence[Frame], masks: Sequence[NDArray[np.bool_]], rotation: Matrix, middle: Matrix
) -> tuple[Matrix, Matrix]:
    """Returns the least and greatest corner of the hull, in the file's units and axes of models."""
    side = 2 * _radius(frames, masks, middle)
    for margin, resolution in zip(MARGINS, RESOLUTIONS, strict=True):
        cube = Normalization(rotation, middle, margin * side)
        low, high = _hull_box_in_cube([cube.apply(one) for one in frames], masks, resolution)
        low, high = (rotation @ middle + margin * side * corner for corner in (low, high))
        middle, side = rotation.T @ (low + high) / 2, float((high - low).max())
    return low, high


def _radius(frames: Sequence[Frame], masks: Sequence[NDArray[np.bool_]], middle: Matrix) -> float:
    """Returns how far the masks reach from the middle, at its depth, as the median over the views.

    The median is robust against single views that cut the object off or have a wrong mask.
    """
    reaches = []
    for one, mask in zip(frames, masks, strict=True):
        point = one.pose["R"] @ middle + one.pose["t"]
        rows, columns = np.nonzero(mask)
        if point[2] <= 0 or not len(rows):
            continue
        matrix = one.matrix((mask.shape[0], mask.shape[1]))
        x, y, _ = matrix @ (point / point[2])
        offsets = np.stack(((columns - x) / matrix[0, 0], (rows - y) / matrix[1, 1]))
        reaches.append(float(np.hypot(*offsets).max()) * point[2])
    if not reaches:
        raise ValueError("no camera has the object in front of it; is camera_format right?")
    return float(np.median(reaches))


def _hull_box_in_cube(
    frames: Sequence[Frame], masks: Sequence[NDArray[np.bool_]], resolution: int
) -> tuple[Matrix, Matrix]:
    """Returns the corners of the hull in the frame of models."""
    # All views are drawn to one size, so that one call of `visual_hull` counts who sees a voxel.
    height, width = (max(mask.shape[axis] for mask in masks) for axis in (0, 1))
    stack = np.zeros((len(masks), height, width), bool)
    rows = []
    for index, (one, mask) in enumerate(zip(frames, masks, strict=True)):
        stack[index, : mask.shape[0], : mask.shape[1]] = mask
        matrix = one.matrix((mask.shape[0], mask.shape[1]))
        rows.append(one.camera(matrix, (height, width)).rows())
    cameras = Cameras.from_rows(torch.cat(rows))
    for share in LEAST_SEEN:
        hull = visual_hull(torch.from_numpy(stack), cameras, resolution, 0.5, share)
        if hull.any():
            break
    else:
        raise ValueError("no point is inside all masks, so images and cameras disagree")
    # The reach of half a voxel stands for the half voxels beyond the outermost centres.
    points: Tensor = world_vertices(voxel_centers(resolution)[hull]).double()
    return points.amin(0).numpy(), points.amax(0).numpy()
