"""Visual hulls of masks, and how well voxels agree with the masks of the same object.

Voxels are bool [R, R, R], indexed [x, y, z] in world axes, with the centres of the outermost ones
at -0.5 and 0.5: the placement of stored grids.
"""

from __future__ import annotations

import math
from collections.abc import Sequence
from itertools import permutations, product

import numpy as np
import torch
import torch.nn.functional as F
from scipy.ndimage import distance_transform_edt
from torch import Tensor

from recon.geometry.cameras import Cameras, as_image_size
from recon.rendering.renderer import SoftRenderer

# The sigma of silhouettes in squared NDC units: edges of 1e-4 are hard at every image size in use.
HARD_SIGMA = 1e-8
# Nothing is nearer to an eye than this (object units), so that no face is cut away in front.
NEAR = 1e-3
# The centre of a voxel that touches something is this near to it, in voxel sides: sqrt(3) / 2.
HALF_DIAGONAL = 0.8661
# Faces of all views drawn at once: about 150 MB of corners.
FACES_AT_ONCE = 2_000_000
# The 48 ways to name the axes of a cube and their directions, the stored one first.
AXIS_ORDERS = tuple(product(permutations((0, 1, 2)), product((1, -1), repeat=3)))


def voxel_centers(resolution: int) -> Tensor:
    """Returns the centres [R, R, R, 3] of a grid's voxels, float32 world coordinates."""
    side = torch.linspace(-0.5, 0.5, resolution) if resolution > 1 else torch.zeros(1)
    return torch.stack(torch.meshgrid(side, side, side, indexing="ij"), dim=-1)


def visual_hull(
    masks: Tensor,
    cameras: Cameras,
    resolution: int,
    reach: float = 0.0,
    least_seen: float = 0.0,
) -> Tensor:
    """Returns the visual hull: the voxels inside the masks of all views that see them.

    It is the largest shape with these masks, so an upper bound of the object: hollows which no
    silhouette shows are filled. A voxel which no view sees is not part of it.

    Args:
        masks: [K, H, W] bool.
        cameras: The K cameras.
        resolution: The number R of voxels along each side.
        reach: A centre is inside a mask up to this distance from its border, in voxel sides as
            that view sees them. At 0 a voxel is its centre; 0.5 keeps what is thinner than a voxel.
        least_seen: The share of the views that must see a voxel. What few views see is not carved
            by the others, such as the space right before a camera.

    Returns:
        [R, R, R] bool.

    Raises:
        ValueError: If the masks do not fit the cameras or an argument is out of range.
    """
    _require_masks(masks, len(cameras))
    if resolution < 1 or reach < 0:
        raise ValueError(f"resolution must be >= 1 and reach >= 0, got {resolution} and {reach}")
    centers = voxel_centers(resolution).reshape(-1, 3)
    kept = torch.ones(len(centers), dtype=torch.bool)
    seen = torch.zeros(len(centers), dtype=torch.int32)
    for view, mask in enumerate(masks):
        left = torch.nonzero(kept).squeeze(1)
        inside, visible = _within(centers[left], mask, cameras[view], reach, resolution)
        kept[left] = inside | ~visible
        seen[left] += visible
    kept &= seen >= max(1, math.ceil(least_seen * len(cameras)))
    return kept.reshape(resolution, resolution, resolution)


def _within(
    points: Tensor, mask: Tensor, camera: Cameras, reach: float, resolution: int
) -> tuple[Tensor, Tensor]:
    """Returns which points [N, 3] are within reach of the mask [H, W], and which the view sees.

    The reach is in voxel sides of a grid, as the view sees them at each point.
    """
    row, column, depth, visible = _pixels(points, camera, mask.shape)
    pixels_per_unit = camera.focal[0, 1] * mask.shape[0] / 2 / depth
    radius = reach / max(1, resolution - 1) * pixels_per_unit
    return _distances(mask)[row, column] <= radius + 0.5, visible


def _distances(mask: Tensor) -> Tensor:
    """Returns the distance [H, W] of every pixel to the nearest one of the mask, in pixels.

    Distances are from centre to centre, so the border of a mask is half a pixel nearer.
    """
    if not bool(mask.any()):
        return torch.full(mask.shape, torch.inf)
    return torch.from_numpy(distance_transform_edt(~mask.numpy()).astype(np.float32))


def _pixels(
    points: Tensor, camera: Cameras, size: Sequence[int]
) -> tuple[Tensor, Tensor, Tensor, Tensor]:
    """Returns row, column, depth of the pixel at each point [N, 3], and whether the view sees it.

    Points which it does not see get pixel (0, 0) and depth 1.
    """
    height, width = size
    x, y, depth = camera.project(points[None], (height, width))[0].unbind(-1)
    shorter = min(height, width)
    column = ((x * shorter + width - 1) / 2).round()
    row = ((height - 1 - y * shorter) / 2).round()
    visible = (depth > 0) & (column >= 0) & (column < width) & (row >= 0) & (row < height)
    row, column = (torch.where(visible, value, 0).long() for value in (row, column))
    return row, column, torch.where(visible, depth, 1.0), visible


def voxel_silhouettes(voxels: Tensor, cameras: Cameras, image_size: int | Sequence[int]) -> Tensor:
    """Returns the pixels [K, H, W] bool which the cubes of occupied voxels cover in each view.

    Args:
        voxels: [R, R, R] bool.
        cameras: The K cameras.
        image_size: (height, width) in pixels, an int for square images.

    Raises:
        ValueError: If `voxels` is not a cubic bool grid.
    """
    height, width = as_image_size(image_size)
    vertices, faces = voxel_surface(voxels)
    if not len(faces):
        return torch.zeros(len(cameras), height, width, dtype=torch.bool)
    renderer = SoftRenderer((height, width), sigma=HARD_SIGMA, alpha="hard", near=NEAR)
    at_once = max(1, FACES_AT_ONCE // len(faces))
    views = [
        renderer.silhouette(vertices.expand(len(some), -1, -1), faces, some)
        for some in (cameras[start : start + at_once] for start in range(0, len(cameras), at_once))
    ]
    return torch.cat(views) > 0.5


def voxel_surface(voxels: Tensor) -> tuple[Tensor, Tensor]:
    """Returns the sides of occupied voxels next to free ones, as triangles.

    Args:
        voxels: [R, R, R] bool.

    Returns:
        vertices [V, 3] float32 world coordinates and faces [F, 3] int64.

    Raises:
        ValueError: If `voxels` is not a cubic bool grid.
    """
    _require_grid(voxels)
    resolution = len(voxels)
    padded = F.pad(voxels, (1,) * 6)
    quads = []
    for axis, step in product(range(3), (0, 1)):
        beyond = padded.roll(-1 if step else 1, axis)[1:-1, 1:-1, 1:-1]
        corner = torch.nonzero(voxels & ~beyond)
        u, w = (torch.eye(3, dtype=torch.int64)[(axis + k) % 3] for k in (1, 2))
        corner[:, axis] += step
        quads.append(torch.stack([corner, corner + u, corner + u + w, corner + w], dim=1))
    corners = torch.cat(quads)  # [Q, 4, 3] lattice points 0..R
    side = resolution + 1
    index = (corners[..., 0] * side + corners[..., 1]) * side + corners[..., 2]
    used, quad = torch.unique(index, return_inverse=True)
    lattice = torch.stack([used // side**2, used // side % side, used % side], dim=1)
    vertices = (lattice - 0.5) / max(1, resolution - 1) - 0.5
    faces = torch.cat([quad[:, [0, 1, 2]], quad[:, [0, 2, 3]]])
    return vertices.float(), faces


def boundaries(masks: Tensor) -> Tensor:
    """Returns the pixels [K, H, W] bool of masks that touch a pixel outside, or the border."""
    inside = F.pad(masks, (1, 1, 1, 1))
    whole = inside[:, 1:-1, :-2] & inside[:, 1:-1, 2:] & inside[:, :-2, 1:-1] & inside[:, 2:, 1:-1]
    return masks & ~whole


def agreement(voxels: Tensor, masks: Tensor, cameras: Cameras) -> Tensor:
    """Returns how well voxels agree with the mask of each view, as an IoU [K] in [0, 1].

    It forgives the coarseness of the grid: a voxel counts as inside a mask within `HALF_DIAGONAL`
    of it, a mask as covered where the cube of a voxel is. So the voxels which an object touches
    reach 1, however thin it is. It is the IoU of the precision and the recall so counted.

    Args:
        voxels: [R, R, R] bool in world axes.
        masks: [K, H, W] bool.
        cameras: The K cameras.

    Raises:
        ValueError: If a shape or type is wrong.
    """
    _require_masks(masks, len(cameras))
    covered = voxel_silhouettes(voxels, cameras, masks.shape[1:]) & masks
    recall = covered.sum(dim=(1, 2)) / masks.sum(dim=(1, 2)).clamp(min=1)
    centers = voxel_centers(len(voxels))[voxels]
    inside = []
    for view, mask in enumerate(masks):
        hit, visible = _within(centers, mask, cameras[view], HALF_DIAGONAL, len(voxels))
        inside.append((hit & visible).sum() / visible.sum().clamp(min=1))
    precision = torch.stack(inside)
    # The IoU is 1 / (1 / precision + 1 / recall - 1), written so that only the division below meets
    # a 0.
    product = precision * recall
    return product / (precision + recall - product).clamp(min=torch.finfo(torch.float32).tiny)


def axis_order_scores(voxels: Tensor, hull: Tensor) -> Tensor:
    """Returns how well a grid fits a visual hull under each of `AXIS_ORDERS`, as IoU [48].

    Args:
        voxels: [R, R, R] bool, read as [x, y, z].
        hull: [R, R, R] bool in world axes.

    Raises:
        ValueError: If the grids differ in shape.
    """
    if voxels.shape != hull.shape:
        raise ValueError(f"voxels {tuple(voxels.shape)} and hull {tuple(hull.shape)} must agree")
    return torch.stack([_grid_iou(_reordered(voxels, *order), hull) for order in AXIS_ORDERS])


def axis_order_text(index: int) -> str:
    """Returns the axes of a grid which fits under `AXIS_ORDERS[index]`, as '[z, y, -x]'."""
    axes, signs = AXIS_ORDERS[index]
    # Axis k of the reordered grid is axis axes[k] of the stored one.
    words = {axes[k]: ("" if signs[k] > 0 else "-") + "xyz"[k] for k in range(3)}
    return f"[{', '.join(words[k] for k in range(3))}]"


def _reordered(voxels: Tensor, axes: Sequence[int], signs: Sequence[int]) -> Tensor:
    return voxels.permute(*axes).flip([k for k in range(3) if signs[k] < 0])


def _grid_iou(first: Tensor, second: Tensor) -> Tensor:
    return (first & second).sum() / (first | second).sum().clamp(min=1)


def _require_grid(voxels: Tensor) -> None:
    if voxels.dim() != 3 or len(set(voxels.shape)) != 1 or voxels.dtype != torch.bool:
        raise ValueError(f"voxels must be bool [R, R, R], got {voxels.dtype} {tuple(voxels.shape)}")


def _require_masks(masks: Tensor, views: int) -> None:
    if masks.dim() != 3 or len(masks) != views or masks.dtype != torch.bool:
        raise ValueError(
            f"masks must be bool [K, H, W] for {views} cameras,"
            f" got {masks.dtype} {tuple(masks.shape)}"
        )
