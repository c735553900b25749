"""Points drawn evenly from the surface of a mesh."""

from __future__ import annotations

from typing import Any, NamedTuple

import numpy as np
from numpy.typing import NDArray


class SurfaceSamples(NamedTuple):
    """Points of a surface.

    Attributes:
        points: [N, 3] float64 positions.
        normals: [N, 3] float64 unit normals, of cross(v_b - v_a, v_c - v_a) of a face (a, b, c).
    """

    points: NDArray[np.float64]
    normals: NDArray[np.float64]


def sample_surface(
    vertices: NDArray[Any], faces: NDArray[np.int64], count: int, rng: np.random.Generator
) -> SurfaceSamples:
    """Draws points independently and evenly over the area of the faces.

    In a face (a, b, c) it is p = (1 - s) a + s (1 - t) b + s t c with s the square root of a
    uniform number and t uniform (Osada et al., Shape distributions, ACM TOG 2002).
    Faces come in ascending order. Those without area are never drawn, nor are those with a vertex
    that is not finite.

    Args:
        vertices: [V, 3].
        faces: [F, 3], F may be 0.
        count: The number N of points.
        rng: The generator of random numbers.

    Returns:
        N points with normals; none when no face has an area.

    Raises:
        ValueError: If a shape is wrong or `count` is < 0.
    """
    if vertices.ndim != 2 or vertices.shape[1] != 3 or faces.ndim != 2 or faces.shape[1] != 3:
        raise ValueError(
            f"vertices must be [V, 3] and faces [F, 3], got {vertices.shape} and {faces.shape}"
        )
    if count < 0:
        raise ValueError(f"count must be >= 0, got {count}")
    corners = vertices.astype(np.float64)[faces]
    with np.errstate(invalid="ignore", over="ignore"):
        crosses = np.cross(corners[:, 1] - corners[:, 0], corners[:, 2] - corners[:, 0])
        doubled = np.linalg.norm(crosses, axis=1)
    drawable = np.flatnonzero(np.isfinite(doubled) & (doubled > 0))
    if not len(drawable):
        return SurfaceSamples(np.empty((0, 3)), np.empty((0, 3)))
    areas = doubled[drawable] / doubled[drawable].max()  # no sum of them overflows
    numbers = rng.multinomial(count, areas / areas.sum())
    drawn = np.repeat(drawable, numbers)
    s, t = np.sqrt(rng.random((count, 1))), rng.random((count, 1))
    a, b, c = corners[drawn].transpose(1, 0, 2)
    points = (1 - s) * a + s * (1 - t) * b + s * t * c
    return SurfaceSamples(points, crosses[drawn] / doubled[drawn, None])
