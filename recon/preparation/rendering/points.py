"""Points of a surface, and points with occupancies, of the mesh that is rendered."""

from __future__ import annotations

import hashlib

import numpy as np
import torch.nn.functional as F
from numpy.typing import NDArray
from torch import Tensor

from recon.datasets.storage.layout import ObjectArrays
from recon.geometry.containment import ray_windings
from recon.geometry.surface_sampling import sample_surface
from renderer_cuda import gather_faces, voxelize

# Points are drawn from the cube of this side, as those of Occupancy Networks are.
CUBE = 1.1
RESOLUTION = 128
# The surface passes through a voxel that has an empty one at most this many voxels away.
LAYER = 2
# A point of that layer is inside if this many of six rays say so.
MAJORITY = 4


def surface_points(vertices: Tensor, faces: Tensor, count: int, object_id: str) -> ObjectArrays:
    """Draws points evenly from a surface in the world.

    Args:
        vertices: [V, 3] in world coordinates, which mirror those of the model.
        faces: [F, 3], whose outside is that of the model.
        count: The number M of points.
        object_id: The id of the object, on which the choice depends.

    Returns:
        The fields pointcloud and pointcloud_normals.

    Raises:
        ValueError: If no face has an area.
    """
    outward = faces[:, [0, 2, 1]].numpy()
    samples = sample_surface(vertices.numpy(), outward, count, _generator(object_id, "surface"))
    if len(samples.points) < count:
        raise ValueError("no face has an area, so that there are no points of the surface")
    return {
        "pointcloud": samples.points.astype(np.float32),
        "pointcloud_normals": samples.normals.astype(np.float32),
    }


def occupied_points(vertices: Tensor, faces: Tensor, count: int, object_id: str) -> ObjectArrays:
    """Draws points evenly from the cube [-0.55, 0.55]^3 and tells which are inside.

    Inside is what the outside cannot reach through voxels of 1.1 / 128, which also says it of
    meshes with small holes and with parts that overlap. Near the surface, where a voxel is too
    coarse, rays along the three axes decide by the majority of those which leave the mesh more
    often than they enter it, or less often; for closed meshes that is exact.

    Args:
        vertices: [V, 3] in the world.
        faces: [F, 3].
        count: The number P of points.
        object_id: The id of the object, on which the choice depends.

    Returns:
        The fields points and occupancies.
    """
    drawn = _generator(object_id, "points").random((count, 3))
    points = ((drawn - 0.5) * CUBE).astype(np.float16)
    inside = encloses(points, vertices, faces)
    return {"points": points, "occupancies": np.packbits(inside)}


def encloses(points: NDArray[np.float16], vertices: Tensor, faces: Tensor) -> NDArray[np.bool_]:
    """Tells which points [P, 3] of the cube are inside, see `occupied_points`."""
    placed = vertices[None].double() / CUBE + 0.5
    solid = voxelize(gather_faces(placed, faces), RESOLUTION, mode="solid")
    size = 2 * LAYER + 1
    empty = (~solid).half()[:, None]
    for axis in range(3):  # the largest of a cube is that of lines, of lines, of lines
        kernel = [size if k == axis else 1 for k in range(3)]
        empty = F.max_pool3d(empty, kernel, 1, [side // 2 for side in kernel])
    deep = empty[0, 0] == 0
    positions = points.astype(np.float64)
    inside = _look_up(deep.numpy(), positions)
    doubtful = np.flatnonzero(_look_up(solid[0].numpy(), positions) & ~inside)
    single = _single_sides(vertices.numpy(), faces.numpy(), solid[0].numpy())
    inside[doubtful] = _majority(points[doubtful], vertices.numpy(), single)
    return inside


def _single_sides(
    vertices: NDArray[np.float32], faces: NDArray[np.int64], solid: NDArray[np.bool_]
) -> NDArray[np.int64]:
    """Returns the faces without one side of those that are there twice, once for each side.

    A ray would leave and enter such a surface at once. Of two that bound nothing both stay.

    Args:
        vertices: [V, 3].
        faces: [F, 3].
        solid: [R, R, R] bool, the voxels of the cube that the outside does not reach.
    """
    _, welded = np.unique(vertices + np.float32(0), axis=0, return_inverse=True)
    x, y, z = welded.reshape(-1)[faces].T
    reversed_ = (x > y) ^ (y > z) ^ (x > z)
    triples = np.sort(np.stack([x, y, z], axis=1), axis=1)
    _, same = np.unique(triples, axis=0, return_inverse=True)
    sides = np.zeros((int(same.max()) + 1, 2), np.bool_)
    sides[same.reshape(-1), reversed_.astype(int)] = True
    both: NDArray[np.bool_] = sides[:, 0] & sides[:, 1]
    twice = np.flatnonzero(both[same.reshape(-1)])
    if not len(twice):
        return faces
    a, b, c = vertices[faces[twice]].astype(np.float64).transpose(1, 0, 2)
    normals = np.cross(b - a, c - a)
    length: NDArray[np.float64] = np.linalg.norm(normals, axis=1, keepdims=True)
    # Two voxels off the surface, which fills those that it passes through.
    step = 2 * CUBE / RESOLUTION * normals / np.where(length > 0, length, 1)
    middle = (a + b + c) / 3
    filled = [_look_up(solid, middle + sign * step) for sign in (1, -1)]
    # Which of the two goes does not matter, if it is the one of the same side everywhere.
    kept = np.ones(len(faces), np.bool_)
    kept[twice[filled[1] & ~filled[0]]] = False
    return faces[kept]


def _look_up(solid: NDArray[np.bool_], points: NDArray[np.float64]) -> NDArray[np.bool_]:
    """Tells which points [P, 3] of the cube lie in voxels [R, R, R] that are set."""
    cells = ((points / CUBE + 0.5) * len(solid)).astype(np.int64)
    return solid[tuple(np.clip(cells, 0, len(solid) - 1).T)]


def _majority(
    points: NDArray[np.float16], vertices: NDArray[np.float32], faces: NDArray[np.int64]
) -> NDArray[np.bool_]:
    """Tells for which points most of six rays have a winding number."""
    votes = np.zeros(len(points), np.int64)
    for axis in range(3):
        turned = [np.roll(array, axis, axis=1) for array in (points, vertices)]
        votes += (ray_windings(turned[0], turned[1], faces) != 0).sum(0)
    return votes >= MAJORITY


def _generator(object_id: str, purpose: str) -> np.random.Generator:
    digest = hashlib.sha256(f"{purpose}/{object_id}".encode("utf-8", "surrogateescape")).digest()
    return np.random.default_rng(int.from_bytes(digest[:16], "big"))
