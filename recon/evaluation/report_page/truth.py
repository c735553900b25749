"""The true shape of an object, as far as a data set knows it.

Data sets of meshes keep coloured triangles. Others have voxels: their outer faces are shown, with
the colours of the images in which they are seen.
"""

from __future__ import annotations

import numpy as np
import torch
from numpy.typing import NDArray
from scipy.spatial import cKDTree
from torch import Tensor

from recon.datasets.multiview import MultiViewDataset
from recon.evaluation.report_page.shapes import Shape, to_bytes
from recon.geometry.cameras import Cameras
from renderer_cuda import gather_faces, visible_faces

# Corners of the square between a voxel and its neighbour along +x, as offsets in (x, y, z); those
# along y and z follow by turning the axes.
_SQUARE = np.array([[1, 0, 0], [1, 1, 0], [1, 1, 1], [1, 0, 1]])


def true_shape(data: MultiViewDataset, index: int) -> Shape | None:
    """Returns the true shape of an object; None where the data has neither triangles nor voxels."""
    if "triangles" in data.fields:
        return _kept_triangles(data, index)
    if not data.layout.voxel_resolutions:
        return None
    resolution = max(data.layout.voxel_resolutions)
    vertices, squares = voxel_surface(data.voxels(index, resolution).numpy())
    if not len(squares):
        return None
    images = data.images(index, range(data.num_views)).float() / 255
    cameras = Cameras.from_rows(data.cameras(index, range(data.num_views)))
    colors = image_colors(vertices, squares, images, cameras)
    triangles = squares[:, [0, 1, 2, 0, 2, 3]].reshape(-1, 3)
    painted = None if colors is None else colors.repeat(2, axis=0)
    return Shape(vertices, triangles, painted, "face", lit=colors is None)


def describe_truth(data: MultiViewDataset) -> str:
    """Returns one sentence about what `true_shape` shows."""
    if "triangles" in data.fields:
        return (
            f"The truth is the mesh the data was made from, simplified where it had more than "
            f"{data.layout.num_triangles:,} triangles, in its own colours and the "
            "standard light of prepared data."
        )
    if data.layout.voxel_resolutions:
        return (
            f"The data holds no meshes, so the truth is the surface of its voxels "
            f"({max(data.layout.voxel_resolutions)} along a side), coloured from the images in "
            "which it is seen."
        )
    return "The data holds neither meshes nor voxels, so no truth is shown."


def _kept_triangles(data: MultiViewDataset, index: int) -> Shape:
    triangles = data.field(index, "triangles").float().numpy()
    used = triangles.any(axis=(1, 2))
    colors = data.field(index, "triangle_colors").numpy()[used]
    return Shape(triangles[used].reshape(-1, 3), colors=colors.reshape(-1, 3))


def voxel_surface(
    occupied: NDArray[np.bool_],
) -> tuple[NDArray[np.float32], NDArray[np.int64]]:
    """Returns the squares between occupied and empty voxels, what is beyond the grid being empty.

    Args:
        occupied: [R, R, R] bool grid in world axes.

    Returns:
        vertices: [V, 3] world positions; the centres of the outermost voxels are at +-0.5.
        squares: [Q, 4] their corners in turn, wound outward.
    """
    resolution = len(occupied)
    corners = []
    for axis in range(3):
        square = np.roll(_SQUARE, axis, axis=1)
        beside = np.moveaxis(occupied, axis, 0)
        empty = np.zeros_like(beside[:1])
        ahead = beside & ~np.concatenate([beside[1:], empty])
        behind = beside & ~np.concatenate([empty, beside[:-1]])
        opposite = square[::-1].copy()
        opposite[:, axis] = 0
        for exposed, offsets in ((ahead, square), (behind, opposite)):
            cells = np.argwhere(np.moveaxis(exposed, 0, axis))
            corners.append(cells[:, None] + offsets)
    points, squares = np.unique(np.concatenate(corners).reshape(-1, 3), axis=0, return_inverse=True)
    placed = (points - resolution / 2) / max(resolution - 1, 1)
    return placed.astype(np.float32), squares.reshape(-1, 4)


def image_colors(
    vertices: NDArray[np.float32],
    squares: NDArray[np.int64],
    images: Tensor,
    cameras: Cameras,
) -> NDArray[np.uint8] | None:
    """Colours squares by the mean of the pixels in which they are seen.

    One that is seen nowhere has the colour of the nearest that is.

    Args:
        vertices: [V, 3] positions in world coordinates.
        squares: [Q, 4] indices of the corners of each square.
        images: [K, 4, H, W] RGBA in [0, 1].
        cameras: The K cameras of the images.

    Returns:
        [Q, 3] sRGB, or None if no square is seen at all.
    """
    size = (images.shape[2], images.shape[3])
    seen = _seen_squares(vertices, squares, cameras, size)
    weights = torch.where(seen >= 0, images[:, 3], 0.0).flatten()
    rows = seen.clamp(min=0).flatten().long()
    total = torch.zeros(len(squares)).index_add_(0, rows, weights)
    pixels = images[:, :3].movedim(1, -1).reshape(-1, 3) * weights[:, None]
    sums = torch.zeros(len(squares), 3).index_add_(0, rows, pixels)
    known = (total > 0).numpy()
    if not known.any():
        return None
    means = to_bytes(sums / total.clamp(min=torch.finfo(torch.float32).tiny)[:, None])
    centers = vertices[squares].mean(axis=1)
    _, nearest = cKDTree(centers[known]).query(centers)
    return means[known][nearest]


def _seen_squares(
    vertices: NDArray[np.float32],
    squares: NDArray[np.int64],
    cameras: Cameras,
    size: tuple[int, int],
) -> Tensor:
    """Returns the square [K, H, W] seen at every pixel, -1 where there is none."""
    triangles = torch.from_numpy(squares[:, [0, 1, 2, 0, 2, 3]].reshape(-1, 3))
    everywhere = torch.from_numpy(vertices).expand(len(cameras), -1, -1)
    projected = cameras.project(everywhere, size)
    faces = gather_faces(projected, triangles)
    far = 2 * float(projected[..., 2].max())
    # Whatever is in front of the eye.
    seen = visible_faces(faces, size, near=1e-6, far=max(far, 1.0))
    return torch.where(seen >= 0, seen // 2, -1)
