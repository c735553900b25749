"""Simple closed solids: all are lofts, skins over a row of equally long outlines."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np
from numpy.typing import ArrayLike, NDArray

from recon.formats.meshes.reading.polygons import triangulate

SIDES = 16  # of round things


@dataclass(frozen=True)
class Solid:
    """A closed triangle mesh wound outward: vertices [V, 3] and faces [F, 3]."""

    vertices: NDArray[np.float64]
    faces: NDArray[np.int64]

    def moved(self, x: float = 0.0, y: float = 0.0, z: float = 0.0) -> Solid:
        """Returns the solid shifted by (x, y, z)."""
        return Solid(self.vertices + np.array([x, y, z]), self.faces)

    def turned(self, axis: str, degrees: float) -> Solid:
        """Returns the solid turned about an axis through the origin, right-handed."""
        k = "xyz".index(axis)
        i, j = (k + 1) % 3, (k + 2) % 3
        cos, sin = np.cos(np.radians(degrees)), np.sin(np.radians(degrees))
        matrix = np.eye(3)
        matrix[[i, i, j, j], [i, j, i, j]] = cos, -sin, sin, cos
        return Solid(self.vertices @ matrix.T, self.faces)

    def scaled(self, x: float = 1.0, y: float = 1.0, z: float = 1.0) -> Solid:
        """Returns the solid stretched along the axes by factors > 0."""
        return Solid(self.vertices * np.array([x, y, z]), self.faces)

    def mirrored(self) -> Solid:
        """Returns the mirror image at the plane z = 0."""
        return Solid(self.vertices * np.array([1.0, 1.0, -1.0]), self.faces[:, ::-1])


def loft(outlines: ArrayLike) -> Solid:
    """Joins outlines by bands of triangles and closes both ends.

    Args:
        outlines: [S, n, 3] corner positions, S >= 2 outlines of n corners each; the ends are
            planar, the corners of neighbouring outlines correspond.
    """
    sections = np.asarray(outlines, np.float64)
    count, size = sections.shape[:2]
    here = np.arange(size)
    ahead = np.roll(here, -1)
    bands = []
    for start in range(0, (count - 1) * size, size):
        bands.append(np.stack([here, ahead, ahead + size], axis=1) + start)
        bands.append(np.stack([here, ahead + size, here + size], axis=1) + start)
    ends, end = triangulate(sections[[0, -1]].reshape(-1, 3), np.array([size, size]))
    faces = np.concatenate([*bands, ends[end == 0, ::-1], ends[end == 1] + (count - 2) * size])
    vertices = sections.reshape(-1, 3)
    volume = np.linalg.det(vertices[faces]).sum()
    return Solid(vertices, faces if volume > 0 else faces[:, ::-1])


# Corner 4 i + 2 j + k is at the i-th end along x, the j-th along y and the k-th along z.
_BOX_CORNERS = np.array([(i, j, k) for i in (0, 1) for j in (0, 1) for k in (0, 1)])
_BOX_SIDES = ((0, 1, 3, 2), (4, 6, 7, 5), (0, 4, 5, 1), (2, 3, 7, 6), (0, 2, 6, 4), (1, 5, 7, 3))
_BOX_FACES = np.array([face for a, b, c, d in _BOX_SIDES for face in ((a, b, c), (a, c, d))])


def box(low: Sequence[float], high: Sequence[float]) -> Solid:
    """Returns the box between its least and its greatest corner."""
    ends = np.array([low, high], np.float64)
    return Solid(ends[_BOX_CORNERS, [0, 1, 2]], _BOX_FACES)


def block(center: Sequence[float], size: Sequence[float]) -> Solid:
    """Returns the box of some size about a centre."""
    middle, half = np.asarray(center, float), np.asarray(size, float) / 2
    return box((middle - half).tolist(), (middle + half).tolist())


def rod(
    start: Sequence[float],
    end: Sequence[float],
    radius: float,
    end_radius: float | None = None,
    sides: int = SIDES,
) -> Solid:
    """Returns a cylinder, or a cone's stump, between the centres of its two ends."""
    a, b = np.asarray(start, float), np.asarray(end, float)
    along = (b - a) / np.linalg.norm(b - a)
    side = np.cross(along, np.eye(3)[np.abs(along).argmin()])
    side /= np.linalg.norm(side)
    angles = (np.arange(sides) + 0.5) * 2 * np.pi / sides
    ring = np.cos(angles)[:, None] * side + np.sin(angles)[:, None] * np.cross(along, side)
    return loft([a + radius * ring, b + (radius if end_radius is None else end_radius) * ring])


def tube(
    points: Sequence[Sequence[float]], radius: float | Sequence[float], sides: int = 8
) -> Solid:
    """Returns a bent tube through the centres of its rings.

    Args:
        points: [S, 3], S >= 2; neighbouring points differ, and no bend is a full turn.
        radius: Of all rings, or of each.
        sides: Corners of the rings.
    """
    centers = np.asarray(points, float)
    steps = np.diff(centers, axis=0)
    steps /= np.linalg.norm(steps, axis=1, keepdims=True)
    tangents = np.concatenate([steps[:1], steps[:-1] + steps[1:], steps[-1:]])
    tangents /= np.linalg.norm(tangents, axis=1, keepdims=True)
    side = np.eye(3)[np.abs(tangents[0]).argmin()]
    angles = (np.arange(sides) + 0.5) * 2 * np.pi / sides
    rings = []
    for center, along, size in zip(
        centers, tangents, np.broadcast_to(radius, len(centers)), strict=True
    ):
        side = side - (side @ along) * along  # carried along the tube, so that it does not twist
        side = side / np.linalg.norm(side)
        ring = np.cos(angles)[:, None] * side + np.sin(angles)[:, None] * np.cross(along, side)
        rings.append(center + size * ring)
    return loft(rings)


def ribbon(
    points: Sequence[tuple[float, float]], half_width: float | Sequence[float], thickness: float
) -> Solid:
    """Returns a bent board: a line in the plane z = 0, widened along z and thickened.

    Args:
        points: [S] (x, y) along the middle of the board, S >= 2.
        half_width: From the middle to either edge, of all points or of each.
        thickness: Across the board.
    """
    line = np.asarray(points, float)
    steps = np.diff(line, axis=0)
    steps /= np.linalg.norm(steps, axis=1, keepdims=True)
    tangents = np.concatenate([steps[:1], steps[:-1] + steps[1:], steps[-1:]])
    tangents /= np.linalg.norm(tangents, axis=1, keepdims=True)
    normals = np.stack([-tangents[:, 1], tangents[:, 0]], axis=1) * thickness / 2
    half = np.broadcast_to(half_width, len(line))
    sections = np.zeros((len(line), 4, 3))
    for corner, (lift, side) in enumerate(((1, -1), (1, 1), (-1, 1), (-1, -1))):
        sections[:, corner, :2] = line + lift * normals
        sections[:, corner, 2] = side * half
    return loft(sections)


def cushion(low: Sequence[float], high: Sequence[float], radius: float) -> Solid:
    """Returns a box with round edges.

    Args:
        low, high: Opposite corners of the box.
        radius: Of the edges; at most half of the shortest side is used.
    """
    first, last = np.asarray(low, float), np.asarray(high, float)
    radius = min(radius, float((last - first).min()) * 0.49)
    sections = []
    for share in (0, 0.5, 1):
        angle = share * np.pi / 2
        sections.append((first[1] + radius * (1 - np.sin(angle)), radius * (1 - np.cos(angle))))
    rows = [*sections, *((first[1] + last[1] - y, inset) for y, inset in reversed(sections))]
    rows.sort()
    return loft([_rounded_outline(first, last, radius, y, inset) for y, inset in rows])


def _rounded_outline(
    low: NDArray[np.float64], high: NDArray[np.float64], radius: float, y: float, inset: float
) -> NDArray[np.float64]:
    """Returns the outline [12, 3] of a rectangle with round corners at a height."""
    angles = np.radians([0, 45, 90])
    corners = []
    for turn, (x, z) in enumerate(
        ((high[0], high[2]), (low[0], high[2]), (low[0], low[2]), (high[0], low[2]))
    ):
        middle_x = x - radius if turn in (0, 3) else x + radius
        middle_z = z - radius if turn in (0, 1) else z + radius
        # A circle of no size would be a point thrice.
        size = max(radius - inset, 0.02 * radius)
        for angle in angles + turn * np.pi / 2:
            corners.append((middle_x + size * np.cos(angle), y, middle_z + size * np.sin(angle)))
    return np.array(corners)


def lathe(profile: Sequence[tuple[float, float]], axis: str = "y", sides: int = SIDES) -> Solid:
    """Returns the body made by turning a profile about an axis.

    Args:
        profile: (position along the axis, radius > 0) pairs in order.
        axis: 'x', 'y' or 'z'.
        sides: Corners of the rings.
    """
    k = "xyz".index(axis)
    angles = np.arange(sides) * 2 * np.pi / sides
    sections = np.zeros((len(profile), sides, 3))
    for section, (position, radius) in zip(sections, profile, strict=True):
        section[:, k] = position
        section[:, (k + 1) % 3] = radius * np.cos(angles)
        section[:, (k + 2) % 3] = radius * np.sin(angles)
    return loft(sections)


def ball(center: Sequence[float], radii: Sequence[float], rings: int = 8) -> Solid:
    """Returns an ellipsoid of some radii along x, y and z."""
    # The poles are cut off at 2 % of the radius, so that the end caps are proper polygons.
    angles = np.linspace(np.arcsin(0.02), np.pi - np.arcsin(0.02), rings + 1)
    unit = lathe([(-np.cos(angle), np.sin(angle)) for angle in angles])
    return Solid(unit.vertices * np.asarray(radii) + np.asarray(center), unit.faces)


def prism(outline: Sequence[tuple[float, float]], axis: str, low: float, high: float) -> Solid:
    """Returns a plane outline pulled along an axis.

    Args:
        outline: Corners in the plane of the two other axes, in the order x before y before z.
        axis: 'x', 'y' or 'z'.
        low, high: Where it begins and ends on the axis.
    """
    k = "xyz".index(axis)
    others = [i for i in range(3) if i != k]
    sections = np.zeros((2, len(outline), 3))
    sections[:, :, others] = np.asarray(outline, float)
    sections[0, :, k], sections[1, :, k] = low, high
    return loft(sections)
