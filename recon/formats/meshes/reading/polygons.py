"""Cuts polygons with any number of corners, convex or not, into triangles."""

from __future__ import annotations

import numpy as np
from numpy.typing import NDArray

# A cross product this small against the polygon's area counts as a straight corner: about a
# thousand times the rounding of float64, far under any corner that can be seen.
STRAIGHT = 1e-12


def triangulate(
    points: NDArray[np.float64], counts: NDArray[np.int64]
) -> tuple[NDArray[np.int64], NDArray[np.int64]]:
    """Cuts polygons into triangles: convex ones as fans, concave ones by ear clipping.

    Args:
        points: [N, 3] corner positions of all polygons, one polygon after another.
        counts: [P] number of corners of each polygon, summing to N; fewer than 3 make nothing.

    Returns:
        corners [T, 3]: rows of `points`, in the polygons' order and winding,
        polygons [T]: the polygon each triangle came from.
    """
    starts = np.cumsum(counts) - counts
    corner_parts = [np.zeros((0, 3), np.int64)]
    polygon_parts = [np.zeros(0, np.int64)]
    for count in np.unique(counts[counts >= 3]):
        members = np.flatnonzero(counts == count)
        local = _triangulate_equal(points[starts[members, None] + np.arange(count)])
        corner_parts.append((local + starts[members, None, None]).reshape(-1, 3))
        polygon_parts.append(np.repeat(members, count - 2))
    corners, polygons = np.concatenate(corner_parts), np.concatenate(polygon_parts)
    order = np.argsort(polygons, kind="stable")
    return corners[order], polygons[order]


def _triangulate_equal(points: NDArray[np.float64]) -> NDArray[np.int64]:
    """Cuts [P, n, 3] polygons of equal size into [P, n - 2, 3] triangles of local corners."""
    size = points.shape[1]
    fan = np.stack([np.zeros(size - 2, int), np.arange(1, size - 1), np.arange(2, size)], axis=1)
    triangles = np.repeat(fan[None], len(points), axis=0)
    if size > 3:
        flat, area = _flatten(points)
        back, ahead = np.roll(flat, 1, axis=1), np.roll(flat, -1, axis=1)
        turns = _cross(flat - back, ahead - flat)
        concave = (turns < -STRAIGHT * area[:, None]).any(axis=1) & (area > 0)
        for index in np.flatnonzero(concave):
            triangles[index] = _clip_ears(flat[index].tolist())
    return triangles


def _flatten(points: NDArray[np.float64]) -> tuple[NDArray[np.float64], NDArray[np.float64]]:
    """Projects polygons along the main axis of their Newell normals.

    Args:
        points: [P, n, 3] the corners of P polygons.

    Returns:
        [P, n, 2] counter-clockwise outlines and [P] twice their areas.
    """
    ahead = np.roll(points, -1, axis=1)
    centre = points[:, :1]  # differences from a corner keep the digits of far-away polygons
    normal = np.cross(points - centre, ahead - centre).sum(axis=1)
    axis = np.abs(normal).argmax(axis=1)
    rows = np.arange(len(points))
    first, second = (axis + 1) % 3, (axis + 2) % 3
    flat = np.stack([points[rows, :, first], points[rows, :, second]], axis=-1)
    signed = normal[rows, axis]
    flat[signed < 0, :, 1] *= -1
    return flat, np.abs(signed)


def _cross(first: NDArray[np.float64], second: NDArray[np.float64]) -> NDArray[np.float64]:
    return first[..., 0] * second[..., 1] - first[..., 1] * second[..., 0]


Point = list[float]


def _turn(a: Point, b: Point, c: Point) -> float:
    return (b[0] - a[0]) * (c[1] - a[1]) - (b[1] - a[1]) * (c[0] - a[0])


def _clip_ears(outline: list[Point]) -> list[tuple[int, int, int]]:
    """Cuts one counter-clockwise outline by ear clipping; a tangled rest becomes a fan."""
    left = list(range(len(outline)))
    triangles = []
    while len(left) > 3:
        ear = next((k for k in range(len(left)) if _is_ear(outline, left, k)), None)
        if ear is None:
            break
        triangles.append((left[ear - 1], left[ear], left[(ear + 1) % len(left)]))
        left.pop(ear)
    triangles += [(left[0], left[k], left[k + 1]) for k in range(1, len(left) - 1)]
    return triangles


def _is_ear(outline: list[Point], left: list[int], k: int) -> bool:
    """Tells whether the corner `left[k]` can be cut off without touching another corner."""
    tip = (outline[left[k - 1]], outline[left[k]], outline[left[(k + 1) % len(left)]])
    a, b, c = tip
    if _turn(a, b, c) <= 0:
        return False
    return not any(
        outline[other] not in tip  # bridges to holes repeat a corner's position
        and _turn(a, b, outline[other]) >= 0
        and _turn(b, c, outline[other]) >= 0
        and _turn(c, a, outline[other]) >= 0
        for other in left
    )
