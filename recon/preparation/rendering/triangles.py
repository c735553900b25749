"""A fixed number of coloured triangles which show a surface of any number of faces.

They are for looking at, not for measuring: a surface of more faces is simplified by clustering its
vertices, and of one with fewer the textured faces are split, since a triangle has colours at its
three corners alone.
"""

from __future__ import annotations

import numpy as np
import torch
from numpy.typing import NDArray
from torch import Tensor

from recon.datasets.storage.layout import ObjectArrays
from recon.preparation.rendering.deferred import Scene
from recon.preparation.rendering.texturing import FAINT, Hits, Textures

# Cells along the longest side of a surface; at the upper end nothing is simplified any more.
_COARSEST, _FINEST = 2, 4096
# A triangle which covers less of a texel than this gains nothing from being split: the border of
# two texels, blurred over one triangle, is then sharp enough.
_FEW_TEXELS = 0.1
# Halving every triangle this many times splits a face into a million.
_MOST_HALVINGS = 20
# Where the colour of a corner is looked up: shares of the three corners, the own one first. All lie
# inside, so that a corner on the seam of a palette has the colour of its own face.
_NEAR_CORNER = ((0.8, 0.1, 0.1), (0.6, 0.3, 0.1), (0.6, 0.1, 0.3), (0.5, 0.25, 0.25))


def coloured_triangles(scene: Scene, count: int) -> ObjectArrays:
    """Returns the fields `triangles` and `triangle_colors` of the layout.

    Colours are those of materials and textures without any light. Holes of textures are left out.

    Args:
        scene: The object.
        count: The number T of rows; those without a triangle are zero.
    """
    corners, faces = _simplified(scene, count)
    weights = np.broadcast_to(np.eye(3), (len(faces), 3, 3))
    if scene.textures is not None:
        corners, faces, weights = _split(corners, faces, weights, scene.textures, count)
    colors, solid = _corner_colors(scene, faces, weights)
    shown = int(solid.sum())
    positions = np.zeros((count, 3, 3), np.float16)
    painted = np.zeros((count, 3, 3), np.uint8)
    positions[:shown], painted[:shown] = corners[solid], colors[solid]
    return {"triangles": positions, "triangle_colors": painted}


def _simplified(scene: Scene, count: int) -> tuple[NDArray[np.float64], NDArray[np.int64]]:
    """Returns corners [n, 3, 3] of at most `count` triangles and the face [n] each comes from."""
    vertices, faces = scene.vertices.double().numpy(), scene.faces.numpy()
    if len(faces) <= count:
        return vertices[faces], np.arange(len(faces))
    a, b, c = vertices[faces].transpose(1, 0, 2)
    order = np.argsort(-np.linalg.norm(np.cross(b - a, c - a), axis=1), kind="stable")
    clusters, kept = _finest_clusters(vertices, faces[order], count, scene.two_sided)
    members = np.bincount(clusters)
    means = [np.bincount(clusters, axis) / members for axis in vertices.T]
    chosen = order[kept]
    return np.stack(means, axis=1)[clusters[faces[chosen]]], chosen


def _finest_clusters(
    vertices: NDArray[np.float64], faces: NDArray[np.int64], count: int, two_sided: bool
) -> tuple[NDArray[np.int64], NDArray[np.int64]]:
    """Returns the cluster [V] of every vertex and rows of `faces`, at most `count`, that are left.

    The number of faces hardly ever falls as cells become finer, so halving finds the finest.
    """
    low, high = _COARSEST, _FINEST
    while high - low > 1:
        middle = (low + high) // 2
        _, kept = _cluster(vertices, faces, middle, two_sided)
        low, high = (middle, high) if len(kept) <= count else (low, middle)
    clusters, kept = _cluster(vertices, faces, low, two_sided)
    return clusters, np.sort(kept)[:count]


def _cluster(
    vertices: NDArray[np.float64], faces: NDArray[np.int64], cells: int, two_sided: bool
) -> tuple[NDArray[np.int64], NDArray[np.int64]]:
    """Merges the vertices of each cell of a grid.

    Returns:
        clusters: [V] of the vertices.
        kept: rows of `faces` whose corners are in three clusters, the first one of each three; of a
            two-sided surface the first one of each side.
    """
    low = vertices.min(axis=0)
    places = (vertices - low) * (cells / (vertices.max(axis=0) - low).max())
    x, y, z = np.minimum(places.astype(np.int64), cells - 1).T
    _, clusters = np.unique((x * cells + y) * cells + z, return_inverse=True)
    clusters = clusters.reshape(-1)
    a, b, c = np.sort(clusters[faces], axis=1).T
    spread = np.flatnonzero((a < b) & (b < c))
    number = int(clusters.max()) + 1
    # The keys stay below 2^63 for two million clusters; beyond, two faces may be taken for one.
    keys = (a[spread] * number + b[spread]) * number + c[spread]
    if two_sided:
        x, y, z = clusters[faces[spread]].T
        keys = 2 * keys + ((x > y) ^ (y > z) ^ (x > z))  # whether the three run the other way
    _, first = np.unique(keys, return_index=True)
    return clusters, spread[first]


def _split(
    corners: NDArray[np.float64],
    faces: NDArray[np.int64],
    weights: NDArray[np.float64],
    textures: Textures,
    count: int,
) -> tuple[NDArray[np.float64], NDArray[np.int64], NDArray[np.float64]]:
    """Halves the largest textured triangles, at their longest edges, until there are `count`.

    Args:
        corners: [n, 3, 3], the corners of the triangles.
        faces: [n], the face that each triangle is a piece of.
        weights: [n, 3, 3], barycentric coordinates of the corners on these faces.
        textures: The textures of the faces.
        count: The greatest number of triangles.
    """
    for _ in range(_MOST_HALVINGS):
        room = count - len(faces)
        sizes = _sizes(corners, faces, weights, textures)
        chosen = np.argsort(-sizes, kind="stable")[:room]
        # Only the larger half is split now: the new triangles compete with the others in the next
        # turn.
        chosen = chosen[sizes[chosen] > 0.5 * sizes.max()]
        if not len(chosen):
            break
        one, other = _halves(corners[chosen], weights[chosen])
        corners = np.concatenate([np.delete(corners, chosen, axis=0), one[0], other[0]])
        weights = np.concatenate([np.delete(weights, chosen, axis=0), one[1], other[1]])
        faces = np.concatenate([np.delete(faces, chosen), faces[chosen], faces[chosen]])
    return corners, faces, weights


def _sizes(
    corners: NDArray[np.float64],
    faces: NDArray[np.int64],
    weights: NDArray[np.float64],
    textures: Textures,
) -> NDArray[np.float64]:
    """Returns the areas [n] of triangles; 0 for those whose texture tells no more when split."""
    a, b, c = corners.transpose(1, 0, 2)
    area = np.linalg.norm(np.cross(b - a, c - a), axis=1)
    few = textures.texels(torch.from_numpy(faces)).numpy() * np.linalg.det(weights) < _FEW_TEXELS
    return np.where(few, 0, area)


Halves = tuple[NDArray[np.float64], NDArray[np.float64]]


def _halves(corners: NDArray[np.float64], weights: NDArray[np.float64]) -> tuple[Halves, Halves]:
    """Returns corners and weights of the two halves of triangles, wound as these are."""
    lengths = np.linalg.norm(np.roll(corners, -1, axis=1) - corners, axis=2)
    first = lengths.argmax(axis=1)  # the longest edge is from this corner to the next
    turn = (first[:, None] + np.arange(3)) % 3
    both = np.concatenate([corners, weights], axis=2)
    a, b, c = np.take_along_axis(both, turn[..., None], axis=1).transpose(1, 0, 2)
    middle = (a + b) / 2
    one, other = np.stack([a, middle, c], axis=1), np.stack([middle, b, c], axis=1)
    return (one[..., :3], one[..., 3:]), (other[..., :3], other[..., 3:])


def _corner_colors(
    scene: Scene, faces: NDArray[np.int64], weights: NDArray[np.float64]
) -> tuple[NDArray[np.uint8], NDArray[np.bool_]]:
    """Returns the colours [n, 3, 3] of corners, and which triangles [n] are no holes."""
    chosen = torch.from_numpy(faces)
    plain = (scene.colors[chosen] * 255).round().byte().numpy()
    colors, solid = np.repeat(plain[:, None], 3, axis=1), np.ones(len(faces), np.bool_)
    if scene.textures is not None:
        rows = scene.textures.textured[chosen].nonzero().flatten().numpy()
        looked, seen = _textured_colors(scene.textures, chosen[rows], weights[rows])
        colors[rows], solid[rows] = looked, seen
    return colors, solid


def _textured_colors(
    textures: Textures, faces: Tensor, weights: NDArray[np.float64]
) -> tuple[NDArray[np.uint8], NDArray[np.bool_]]:
    """Returns the colours of corners as means of the texels near them which are no holes."""
    near = np.array([np.roll(_NEAR_CORNER, corner, axis=1) for corner in range(3)])
    places = torch.from_numpy(np.einsum("csk,nkw->ncsw", near, weights).reshape(-1, 3)).float()
    hits = Hits(faces.repeat_interleave(3 * len(_NEAR_CORNER)).int(), places.unbind(1))
    texels = textures.look_up(hits).numpy().reshape(len(faces), 3, -1, 4)
    solid = texels[..., 3:] >= FAINT
    number = solid.sum(axis=2)
    sums = (texels[..., :3] * solid).sum(axis=2, dtype=np.int64)
    of_triangle = sums.sum(axis=1, keepdims=True) / np.maximum(number.sum(axis=1, keepdims=True), 1)
    # A corner in a hole takes the colour of the others.
    colors = np.where(number > 0, sums / np.maximum(number, 1), of_triangle)
    return np.rint(colors).astype(np.uint8), 2 * number.sum(axis=(1, 2)) >= near.shape[1] * 3
