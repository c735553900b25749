"""Points of a surface, and points with occupancies, of the mesh that is rendered."""

from __future__ import annotations

import hashlib

import numpy as np
import torch.nn.functional as F
from numpy.typing import NDArray
from torch import Tensor

from recon.datasets.storage.layout import Sample
from recon.geometry.containment import ray_windings
from recon.geometry.surface_sampling import sample_surface
from renderer_cuda import gather_faces, voxelize

# Points are drawn from the cube of this side, as those of Occupancy Networks are.
CUBE = 1.1
RESOLUTION = 128
# Voxels with an empty one at most so many voxels away: the surface passes through one of them.
LAYER = 2
# Of six rays, from so many on a point of that layer is inside.
MAJORITY = 4


def surface_points(vertices: Tensor, faces: Tensor, count: int, object_id: str) -> Sample:
    """Draws points evenly from a surface in the world.

    Args:
        vertices: [V, 3] in the world, which mirrors the models.
        faces: [F, 3] whose outside is that of the model.
        count: number M of points.
        object_id: on which the choice depends.

    Returns:
        The fields pointcloud and pointcloud_normals.

    Raises:
        ValueError: no face has an area.
    """
    outward = faces[:, [0, 2, 1]].numpy()
    samples = sample_surface(vertices.numpy(), outward, count, _generator(object_id, "surface"))
    if len(samples.points) < count:
        raise ValueError("no face has an area, so that there are no points of the surface")
    return {
        "pointcloud": samples.points.astype(np.float32),
        "pointcloud_normals": samples.normals.astype(np.float32),
    }


def occupied_points(vertices: Tensor, faces: Tensor, count: int, object_id: str) -> Sample:
    """Draws points evenly from the cube [-0.55, 0.55]^3 and tells which are inside.

    Inside is what the outside cannot reach through voxels of 1.1 / 128, which also says it of
    meshes with small holes and with parts that overlap. Near the surface, where a voxel is too
    coarse, rays along the three axes decide by the majority of those which leave the mesh more
    often than they enter it, or less often; for closed meshes that is exact.

    Args:
        vertices: [V, 3] in the world.
        faces: [F, 3].
        count: number P of points.
        object_id: on which the choice depends.

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
    cells = ((points.astype(np.float64) / CUBE + 0.5) * RESOLUTION).astype(np.int64)
    cell = tuple(np.clip(cells, 0, RESOLUTION - 1).T)
    inside: NDArray[np.bool_] = deep.numpy()[cell]
    doubtful = np.flatnonzero(solid[0].numpy()[cell] & ~inside)
    inside[doubtful] = _majority(points[doubtful], vertices.numpy(), faces.numpy())
    return inside


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
