"""Faces that lie in the same place and are turned to opposite sides.

Modellers who want two sides of different colours write every face twice (SketchUp, and many models
of ShapeNet). Of the two the one turned towards the eye is seen; depths alone, which differ by no
more than rounding, would show speckles of both.
"""

from __future__ import annotations

import numpy as np
from numpy.typing import NDArray

# Cosine of the angle between normals from which on faces are taken to be turned to opposite sides.
OPPOSITE = -0.999
# Faces at one edge that are compared with each other; more share it only in broken models.
MOST_AT_AN_EDGE = 8
# Colours that differ by less than this look the same from both sides.
SAME_COLOR = 2 / 255


def has_two_sided_faces(
    vertices: NDArray[np.float32],
    faces: NDArray[np.int64],
    colors: NDArray[np.float32],
    textured: NDArray[np.bool_],
) -> bool:
    """Tell whether some faces lie on others, turned to the other side and of another colour.

    Args:
        vertices: [V, 3].
        faces: [F, 3].
        colors: [F, 3].
        textured: [F] which faces have textures; their colours are taken to differ.
    """
    _, welded = np.unique(vertices + np.float32(0), axis=0, return_inverse=True)
    ends = welded.reshape(-1)[faces[:, [[1, 2], [2, 0], [0, 1]]]].reshape(-1, 2)
    ends.sort(axis=1)
    keys = ends[:, 0] * len(vertices) + ends[:, 1]
    order = np.argsort(keys, kind="stable")  # half edge 3 f + k is opposite to corner k of face f
    keys = keys[order]
    for step in range(1, MOST_AT_AN_EDGE):
        shared = np.flatnonzero(keys[step:] == keys[:-step])
        if not len(shared):
            return False
        one, other = order[shared], order[shared + step]
        differ = textured[one // 3] | textured[other // 3]
        differ |= np.abs(colors[one // 3] - colors[other // 3]).max(axis=1) > SAME_COLOR
        one, other = one[differ], other[differ]
        if _lie_on_each_other(vertices, faces, one, other).any():
            return True
    return False


def _lie_on_each_other(
    vertices: NDArray[np.float32],
    faces: NDArray[np.int64],
    one: NDArray[np.int64],
    other: NDArray[np.int64],
) -> NDArray[np.bool_]:
    """Tell which pairs [N] of half edges at one place belong to faces that lie on each other.

    Their third corners are on the same side of the edge, and their normals opposite.
    """
    first, second = faces[one // 3], faces[other // 3]
    normals = [_unit(_cross(vertices[rows].astype(np.float64))) for rows in (first, second)]
    opposite = (normals[0] * normals[1]).sum(axis=1) < OPPOSITE
    rows = np.arange(len(one))
    start = vertices[first[rows, (one + 1) % 3]].astype(np.float64)
    along = _unit(vertices[first[rows, (one + 2) % 3]] - start)
    sides = []
    for corners, half_edge in ((first, one), (second, other)):
        arm = vertices[corners[rows, half_edge % 3]] - start
        sides.append(arm - (arm * along).sum(axis=1, keepdims=True) * along)
    return opposite & ((sides[0] * sides[1]).sum(axis=1) > 0)


def _cross(corners: NDArray[np.float64]) -> NDArray[np.float64]:
    a, b, c = corners.transpose(1, 0, 2)
    return np.cross(b - a, c - a)


def _unit(vectors: NDArray[np.float64]) -> NDArray[np.float64]:
    """Return vectors [N, 3] of length 1; zeros stay."""
    length = np.linalg.norm(vectors, axis=1, keepdims=True)
    return vectors / np.where(length > 0, length, 1)
