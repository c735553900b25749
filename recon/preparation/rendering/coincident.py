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
# Corners are taken to be in one place if they round to it, in sides of the object: exporters round.
SAME_PLACE = 1e-5
# Colours that differ by less than this look the same from both sides.
SAME_COLOR = 2 / 255


def has_two_sided_faces(
    vertices: NDArray[np.float32],
    faces: NDArray[np.int64],
    colors: NDArray[np.float32],
    textured: NDArray[np.bool_],
) -> bool:
    """Tells whether some faces lie on others, turned to the other side and of another colour.

    Args:
        vertices: [V, 3] of an object whose longest side is about 1.
        faces: [F, 3].
        colors: [F, 3].
        textured: [F] bool, which faces have textures; their colours are taken to differ.
    """
    if not textured.any() and np.ptp(colors, axis=0).max(initial=0) <= SAME_COLOR:
        return False
    ends = _welded(vertices)[faces[:, [[1, 2], [2, 0], [0, 1]]]].reshape(-1, 2)
    keys = ends.min(axis=1) * len(vertices) + ends.max(axis=1)
    order = np.argsort(keys, kind="stable")  # half edge 3 f + k is opposite to corner k of face f
    keys = keys[order]
    normals = _unit(_cross(vertices[faces].astype(np.float64)))
    for step in range(1, MOST_AT_AN_EDGE):
        shared = np.flatnonzero(keys[step:] == keys[:-step])
        if not len(shared):
            return False
        pairs = np.stack([order[shared], order[shared + step]])
        one, other = pairs // 3
        differ = textured[one] | textured[other]
        differ |= np.abs(colors[one] - colors[other]).max(axis=1) > SAME_COLOR
        opposite = (normals[one] * normals[other]).sum(axis=1) < OPPOSITE
        if _on_one_side(vertices, faces, pairs[:, differ & opposite]).any():
            return True
    return False


def _welded(vertices: NDArray[np.float32]) -> NDArray[np.int64]:
    """Returns a number [V] for the place of each vertex."""
    places = np.round((vertices - vertices.min(axis=0)) / SAME_PLACE).astype(np.int64)
    x, y, z = places.clip(max=(1 << 21) - 1).T
    _, numbers = np.unique((x << 42) | (y << 21) | z, return_inverse=True)
    return numbers.reshape(-1)


def _on_one_side(
    vertices: NDArray[np.float32], faces: NDArray[np.int64], pairs: NDArray[np.int64]
) -> NDArray[np.bool_]:
    """Tells of which pairs [2, N] of half edges in one place the third corners are on one side."""
    start = vertices[faces[pairs[0] // 3, (pairs[0] + 1) % 3]].astype(np.float64)
    along = _unit(vertices[faces[pairs[0] // 3, (pairs[0] + 2) % 3]] - start)
    arms = [vertices[faces[half // 3, half % 3]] - start for half in pairs]
    sides = [arm - (arm * along).sum(axis=1, keepdims=True) * along for arm in arms]
    beside: NDArray[np.bool_] = (sides[0] * sides[1]).sum(axis=1) > 0
    return beside


def _cross(corners: NDArray[np.float64]) -> NDArray[np.float64]:
    a, b, c = corners.transpose(1, 0, 2)
    return np.cross(b - a, c - a)


def _unit(vectors: NDArray[np.float64]) -> NDArray[np.float64]:
    """Returns vectors [N, 3] of length 1; zeros stay."""
    length = np.linalg.norm(vectors, axis=1, keepdims=True)
    return vectors / np.where(length > 0, length, 1)
