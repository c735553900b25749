"""An object without any symmetry, drawn by means which share nothing with the renderer."""

from __future__ import annotations

import io
from functools import cache

import numpy as np
import torch
from numpy.typing import NDArray
from PIL import Image
from scipy.spatial import ConvexHull

from recon.geometry.cameras import Cameras
from recon.geometry.frames import world_vertices
from recon.rendering.renderer import SoftRenderer

# Boxes (low, high) in the ShapeNetCore v1 frame: a body, a nose in front, a tower, a wing. Together
# their bounding box is centred and its longest side is 1.
BOXES = np.array(
    [
        [[-0.5, -0.3, -0.15], [0.2, 0.0, 0.15]],
        [[0.2, -0.3, -0.05], [0.5, -0.18, 0.15]],
        [[-0.5, 0.0, -0.25], [-0.3, 0.3, -0.05]],
        [[-0.1, -0.12, 0.15], [0.1, -0.04, 0.25]],
    ]
)
COLOR = (200, 120, 40)
SUBSAMPLES = 4
# Two triangles for each side of a box whose corner (i, j, k) is number 4 i + 2 j + k.
TRIANGLES = np.array(
    [
        [0, 1, 3], [0, 3, 2], [4, 6, 7], [4, 7, 5], [0, 4, 5], [0, 5, 1],
        [2, 3, 7], [2, 7, 6], [0, 2, 6], [0, 6, 4], [1, 5, 7], [1, 7, 3],
    ]
)  # fmt: skip


def corners() -> NDArray[np.float64]:
    """The corners [4, 8, 3] of the boxes."""
    choices = np.array([[i, j, k] for i in (0, 1) for j in (0, 1) for k in (0, 1)])
    return np.stack([box[choices, np.arange(3)] for box in BOXES])


def faces() -> torch.Tensor:
    return torch.from_numpy(np.concatenate([TRIANGLES + 8 * k for k in range(len(BOXES))]))


def inside(points: NDArray[np.floating]) -> NDArray[np.bool_]:
    """Which points [..., 3] lie in the object."""
    each = [((points > low) & (points < high)).all(-1) for low, high in BOXES]
    return np.any(each, axis=0)


def silhouette(matrix: NDArray[np.float64], size: tuple[int, int]) -> NDArray[np.uint8]:
    """Draw the object as [H, W] coverage of 255, by the convex hulls of its boxes.

    Args:
        matrix: [3, 4] from positions to (column, row) in pixels with centres at integers.
        size: (H, W).
    """
    height, width = size
    fine = np.zeros((height * SUBSAMPLES, width * SUBSAMPLES), bool)
    for box in corners():
        projected = np.concatenate([box, np.ones((8, 1))], 1) @ matrix.T
        # In samples, of which a pixel has SUBSAMPLES each way, centres at integers.
        outline = (projected[:, :2] / projected[:, 2:] + 0.5) * SUBSAMPLES - 0.5
        low = np.floor(outline.min(0)).astype(int).clip(0)
        high = np.ceil(outline.max(0)).astype(int) + 1
        y, x = np.mgrid[low[1] : min(high[1], len(fine)), low[0] : min(high[0], fine.shape[1])]
        hull = ConvexHull(outline).equations
        points = np.stack([x, y], -1)
        fine[y, x] |= (points @ hull[:, :2].T + hull[:, 2] < 0).all(-1)
    blocks = fine.reshape(height, SUBSAMPLES, width, SUBSAMPLES)
    return np.rint(255 * blocks.mean((1, 3))).astype(np.uint8)


def rgba(matrix: NDArray[np.float64], size: tuple[int, int]) -> NDArray[np.uint8]:
    """Draw the object as [H, W, 4], black where it is not."""
    alpha = silhouette(matrix, size)
    color = np.where(alpha[..., None] > 0, np.array(COLOR, np.uint8), np.uint8(0))
    return np.concatenate([color, alpha[..., None]], -1)


def encoded(image: NDArray[np.uint8], form: str = "PNG", **options: object) -> bytes:
    buffer = io.BytesIO()
    Image.fromarray(image).save(buffer, form, **options)
    return buffer.getvalue()


def rendered(
    cameras: Cameras, size: tuple[int, int], vertices: torch.Tensor | None = None
) -> NDArray[np.bool_]:
    """Render the silhouettes [K, H, W] of the object in the world of the renderings.

    Args:
        cameras: Of the world.
        size: (H, W).
        vertices: [32, 3] in the world, if they are not those of the normalised object.
    """
    if vertices is None:
        vertices = world_vertices(torch.from_numpy(corners().reshape(-1, 3)))
    renderer = SoftRenderer(size, sigma=1e-8)
    batch = vertices.float().expand(len(cameras), -1, -1)
    return renderer.silhouette(batch, faces(), cameras).numpy() > 0.5


def worst_iou(one: NDArray[np.bool_], other: NDArray[np.bool_]) -> float:
    """The least intersection over union of pairs of silhouettes [K, H, W]."""
    both, any_ = (one & other).sum((1, 2)), (one | other).sum((1, 2))
    return float((both / any_).min())


def voxels(resolution: int) -> NDArray[np.bool_]:
    """The voxels [x, y, z] in v1 axes whose centres lie in the object, outermost ones at +-0.5."""
    centres = (np.arange(resolution) + 0.5 - resolution / 2) / (resolution - 1)
    return inside(np.stack(np.meshgrid(centres, centres, centres, indexing="ij"), -1))


# The camera of view 0 as the file cameras.npz of the public NMR_Dataset has it: from v1 positions
# to x right, y down, z forward. That of view k looks at the object turned by 15 k degrees.
PUBLIC_WORLD_MAT_0 = np.array(
    [
        [0.0, 0.0, -1.0, 0.0],
        [0.5, -0.86602539, 0.0, 0.0],
        [-0.86602539, -0.49999997, 0.0, 2.73199987],
        [0.0, 0.0, 0.0, 1.0],
    ]
)
PUBLIC_FOCAL = 3.7320509


def public_world_mat(view: int) -> NDArray[np.float64]:
    angle = np.deg2rad(15 * view)
    turn = np.eye(4)
    turn[[0, 0, 2, 2], [0, 2, 0, 2]] = np.cos(angle), np.sin(angle), -np.sin(angle), np.cos(angle)
    return PUBLIC_WORLD_MAT_0 @ turn


def pixel_matrix(ndc: NDArray[np.float64], size: tuple[int, int]) -> NDArray[np.float64]:
    """From a matrix [3, 4] to [-1, 1] across the image's borders to one to its pixels."""
    height, width = size
    to_pixels = np.array(
        [[width / 2, 0, width / 2 - 0.5], [0, height / 2, height / 2 - 0.5], [0, 0, 1]]
    )
    return to_pixels @ ndc


def public_matrix(view: int, size: tuple[int, int]) -> NDArray[np.float64]:
    """From v1 positions to the pixels of a standard view."""
    focal = np.diag([PUBLIC_FOCAL, PUBLIC_FOCAL, 1])
    return pixel_matrix(focal @ public_world_mat(view)[:3], size)


@cache
def public_images(size: int) -> NDArray[np.uint8]:
    """The 24 standard views [24, H, W, 4] as straight RGBA; not to be written to."""
    drawn = np.stack([rgba(public_matrix(k, (size, size)), (size, size)) for k in range(24)])
    drawn.flags.writeable = False
    return drawn


def binvox_grid(resolution: int = 32) -> NDArray[np.bool_]:
    """The voxels [x, y, z] of a cube around the object as long as its longest side."""
    centres = (np.arange(resolution) + 0.5) / resolution - 0.5
    return inside(np.stack(np.meshgrid(centres, centres, centres, indexing="ij"), -1))


def binvox_header(side: float, resolution: int = 32) -> bytes:
    """As in ShapeNetVox32: `translate` is the least corner of the bounding box."""
    x, y, z = side * corners().reshape(-1, 3).min(0)
    lines = (
        f"dim {resolution} {resolution} {resolution}",
        f"translate {x} {y} {z}",
        f"scale {side}",
    )
    return "\n".join(["#binvox 1", *lines, "data", ""]).encode()


def runs(grid: NDArray[np.bool_]) -> bytes:
    """The runs of a grid [x, y, z], whose y is to run fastest, then z."""
    flat = grid.transpose(0, 2, 1).ravel().astype(np.uint8)
    data = bytearray()
    start = 0
    for k in range(1, len(flat) + 1):
        if k == len(flat) or flat[k] != flat[start] or k - start == 255:
            data += bytes([flat[start], k - start])
            start = k
    return bytes(data)
