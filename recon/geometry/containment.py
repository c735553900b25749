"""Finds the points inside a surface by the crossings of rays."""

from __future__ import annotations

from collections.abc import Iterator
from typing import Any

import numpy as np
from numpy.typing import NDArray

# Cells along a side of the grid which finds the faces above and below a point, at most.
MAX_CELLS = 256
# Pairs of a point and a face that are looked at together: about 100 MB.
PAIRS_AT_ONCE = 1 << 19


def points_inside(
    points: NDArray[Any], vertices: NDArray[Any], faces: NDArray[np.int64]
) -> NDArray[np.bool_]:
    """Tells which points a mesh encloses: rays along +x and along -x both cross it an odd number
    of times.

    A ray through an edge which two faces share crosses it once. For a closed mesh the two rays
    agree; where they do not, the mesh is open and the point counts as outside. Where a surface
    passes through itself, what it encloses twice is outside.

    Args:
        points: [P, 3]; one that is not finite is outside.
        vertices: [V, 3].
        faces: [F, 3]; one with a vertex that is not finite is left out.

    Returns:
        [P] bool.

    Raises:
        ValueError: If a shape is wrong.
    """
    ahead, behind = ray_windings(points, vertices, faces) % 2 == 1
    inside: NDArray[np.bool_] = ahead & behind
    return inside


def ray_windings(
    points: NDArray[Any], vertices: NDArray[Any], faces: NDArray[np.int64]
) -> NDArray[np.int64]:
    """Counts how often the rays along +x and along -x leave a mesh, less how often they enter it.

    A face (a, b, c) is left in the direction of cross(b - a, c - a). Inside of a closed mesh whose
    faces point outward both counts are the winding number, 1 per enclosing sheet.

    Args:
        points: [P, 3].
        vertices: [V, 3].
        faces: [F, 3]; one with a vertex that is not finite is left out.

    Returns:
        [2, P], along +x and along -x; 0 for points that are not finite.

    Raises:
        ValueError: If a shape is wrong.
    """
    if points.ndim != 2 or points.shape[1] != 3:
        raise ValueError(f"points must have the shape [P, 3], got {points.shape}")
    if vertices.ndim != 2 or vertices.shape[1] != 3 or faces.ndim != 2 or faces.shape[1] != 3:
        raise ValueError(
            f"vertices must be [V, 3] and faces [F, 3], got {vertices.shape} and {faces.shape}"
        )
    positions, corners = points.astype(np.float64), vertices.astype(np.float64)[faces]
    corners = corners[np.isfinite(corners).all(axis=(1, 2))]
    normals = np.cross(corners[:, 1] - corners[:, 0], corners[:, 2] - corners[:, 0])
    low, high = _sides(corners)
    counts = np.zeros((2, len(points)), np.int64)
    for point, face in _pairs(positions, corners):
        crossed = _covers(positions[point, 1:], low[face], high[face])
        point, face = point[crossed], face[crossed]
        height = ((positions[point] - corners[face, 0]) * normals[face]).sum(1)
        along = np.sign(normals[face, 0])
        ahead = height * along < 0
        for side, (chosen, sign) in enumerate(((ahead, along), (~ahead, -along))):
            weights = sign[chosen]
            counts[side] += np.bincount(point[chosen], weights, len(points)).astype(np.int64)
    return counts


def _sides(corners: NDArray[np.float64]) -> tuple[NDArray[np.float64], NDArray[np.float64]]:
    """Returns (y, z) [F, 3, 2] of the lower and of the higher end of every side, by z and then y.

    Faces which share a side get the same numbers for it.
    """
    one = corners[:, :, 1:]
    other = one[:, [1, 2, 0]]
    level = one[..., 1] == other[..., 1]
    first = np.where(level, one[..., 0] <= other[..., 0], one[..., 1] < other[..., 1])[..., None]
    return np.where(first, one, other), np.where(first, other, one)


def _covers(
    points: NDArray[np.float64], low: NDArray[np.float64], high: NDArray[np.float64]
) -> NDArray[np.bool_]:
    """Tells for N pairs whether the line through the point along x crosses the face.

    In the plane of y and z the ray along +y crosses the sides of the triangle an odd number of
    times. Faces which share a side agree about it to the last bit.

    Args:
        points: [N, 2] the projected points.
        low, high: [N, 3, 2] the ends of the edges, see `_sides`.
    """
    y, z = points[:, :1], points[:, 1:]
    (low_y, low_z), (high_y, high_z) = np.moveaxis(low, -1, 0), np.moveaxis(high, -1, 0)
    spans = (low_z <= z) & (z < high_z)
    left = (y - low_y) * (high_z - low_z) < (z - low_z) * (high_y - low_y)
    crossed: NDArray[np.bool_] = np.bitwise_xor.reduce(spans & left, axis=1)
    return crossed


def _pairs(
    points: NDArray[np.float64], corners: NDArray[np.float64]
) -> Iterator[tuple[NDArray[np.int64], NDArray[np.int64]]]:
    """Yields every pair of a point and a face whose box in y and z may hold it, some at a time."""
    low, high = corners[:, :, 1:].min(1), corners[:, :, 1:].max(1)
    if not len(corners):
        return
    origin, end = low.min(0), high.max(0)
    near = np.flatnonzero(((points[:, 1:] >= origin) & (points[:, 1:] <= end)).all(1))
    cells = int(np.clip(np.sqrt(len(near)), 1, MAX_CELLS))
    size = np.maximum((end - origin) / cells, np.finfo(np.float64).tiny)  # a flat mesh has none

    def cell_of(positions: NDArray[np.float64]) -> NDArray[np.int64]:
        return np.clip((positions - origin) / size, 0, cells - 1).astype(np.int64)

    numbers = cell_of(points[near, 1:]) @ np.array([cells, 1])
    order = near[np.argsort(numbers, kind="stable")]
    starts = np.concatenate([[0], np.bincount(numbers, minlength=cells**2).cumsum()])
    first, last = cell_of(low), cell_of(high)
    # Every face is paired with each row of its cells; the points of a row lie one after the other.
    face, row = _ranges(first[:, 0], last[:, 0] + 1)
    begin = starts[row * cells + first[face, 1]]
    stop = starts[row * cells + last[face, 1] + 1]
    yield from _in_blocks(face, begin, stop, order)


def _in_blocks(
    face: NDArray[np.int64],
    begin: NDArray[np.int64],
    stop: NDArray[np.int64],
    order: NDArray[np.int64],
) -> Iterator[tuple[NDArray[np.int64], NDArray[np.int64]]]:
    """Yields the points order[begin..stop - 1] with the face of each such range."""
    totals = (stop - begin).cumsum()
    at = 0
    while at < len(face):
        done = totals[at - 1] if at else 0
        next_at = max(at + 1, int(np.searchsorted(totals, done + PAIRS_AT_ONCE, side="right")))
        index, place = _ranges(begin[at:next_at], stop[at:next_at])
        yield order[place], face[at:next_at][index]
        at = next_at


def _ranges(
    begin: NDArray[np.int64], stop: NDArray[np.int64]
) -> tuple[NDArray[np.int64], NDArray[np.int64]]:
    """Returns all members of the ranges begin..stop - 1, and before them which range it is."""
    lengths = stop - begin
    index = np.repeat(np.arange(len(begin)), lengths)
    offsets = np.arange(len(index)) - np.repeat(lengths.cumsum() - lengths, lengths)
    return index, begin[index] + offsets
