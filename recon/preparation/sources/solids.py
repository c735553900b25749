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
    first, _ = triangulate(sections[0], np.array([size]))
    last, _ = triangulate(sections[-1], np.array([size]))
    faces = np.concatenate([*bands, first[:, ::-1], last + (count - 1) * size])
    vertices = sections.reshape(-1, 3)
    corners = vertices[faces]
    volume = np.einsum("fk,fk->", corners[:, 0], np.cross(corners[:, 1], corners[:, 2]))
    return Solid(vertices, faces if volume > 0 else faces[:, ::-1])


def box(low: Sequence[float], high: Sequence[float]) -> Solid:
    """Returns the box between two opposite corners."""
    (x0, y0, z0), (x1, y1, z1) = low, high
    return loft([[(x0, y, z), (x1, y, z), (x1, y, w), (x0, y, w)]
                 for y, z, w in ((y0, z0, z1), (y1, z0, z1))])  # fmt: skip


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
