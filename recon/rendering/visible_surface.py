"""The surface that a hard rasterization sees: faces, barycentric coordinates and colours at pixels.

Pixels are numbered through a batch, b * H * W + row * W + column, and so are faces, b * F + face.
"""

from __future__ import annotations

from typing import Any

import torch
from torch import Tensor

from renderer_cuda import gather_faces, visible_faces
from renderer_cuda.reference import pixel_centers


def seen_faces(
    face_vertices: Tensor,
    image_size: tuple[int, int],
    near: float,
    far: float,
    double_sided: bool,
) -> Tensor:
    """Finds the face that is seen at each pixel centre.

    Args:
        face_vertices: [B, F, 3, 3] corners; NDC x, NDC y, view depth.
        image_size: The height and the width in pixels.
        near: The nearest view depth that is seen, in object units.
        far: The farthest view depth that is seen, in object units.
        double_sided: Whether faces that turn their back to the camera are seen, too.

    Returns:
        [B, H, W] int64, the number of the face in the batch, -1 where there is none.
    """
    limits: dict[str, Any] = {"near": near, "far": far, "double_sided": double_sided}
    face = visible_faces(face_vertices.detach(), image_size, **limits).long()
    first = torch.arange(len(face), device=face.device) * face_vertices.shape[1]
    return torch.where(face >= 0, face + first[:, None, None], -1)


def centers_of_pixels(images: Tensor, like: Tensor) -> Tensor:
    """Returns the centres [B * H * W, 2] of the pixels of images [B, H, W], NDC, typed as like."""
    height, width = images.shape[1:]
    centers = pixel_centers(height, width, dtype=like.dtype, device=like.device)
    return centers.repeat(len(images), 1)


def corners_of(values: Tensor, faces: Tensor) -> Tensor:
    """Gathers the values at the corners of some faces; both directions are deterministic.

    Args:
        values: [B, F, 3, C] values at the corners of all faces of the batch.
        faces: [N] numbers of faces in the batch.

    Returns:
        [N, 3, C].
    """
    index = corner_numbers(faces)
    return gather_faces(values.reshape(1, -1, values.shape[-1]), index).squeeze(0)


def corner_numbers(faces: Tensor) -> Tensor:
    """Returns the numbers [N, 3] of the corners of faces [N] in a batch."""
    return faces[:, None] * 3 + torch.arange(3, device=faces.device)


def barycentric_at(points: Tensor, corners: Tensor) -> Tensor:
    """Computes the barycentric coordinates of points in the images of faces; differentiable.

    Args:
        points: [N, 2] NDC x and y, one for each face.
        corners: [N, 3, C] corners of faces that have an area in the image, C >= 2.

    Returns:
        [N, 3], negative beyond an edge.
    """
    offset = corners[..., :2] - points[:, None]
    following, opposite = offset[:, [1, 2, 0]], offset[:, [2, 0, 1]]
    parts = following[..., 0] * opposite[..., 1] - following[..., 1] * opposite[..., 0]
    return parts / parts.sum(-1, keepdim=True)


def perspective_weights(weights: Tensor, corners: Tensor) -> Tensor:
    """Turns weights [N, 3] in the image into those on the faces of corners [N, 3, 3]."""
    shares = weights / corners[..., 2]
    return shares / shares.sum(-1, keepdim=True)


def mix_colors(
    weights: Tensor, corners: Tensor, colors: Tensor, perspective_correct: bool
) -> Tensor:
    """Mixes the colours [N, 3, C] of the corners of faces by barycentric weights [N, 3].

    Args:
        weights: [N, 3] barycentric coordinates in the image.
        corners: [N, 3, 3] corners of the faces; NDC x, NDC y, view depth.
        colors: [N, 3, C] colours of the corners.
        perspective_correct: Whether colours are mixed on the face instead of in the image.

    Returns:
        [N, C].
    """
    if perspective_correct:
        weights = perspective_weights(weights, corners)
    return (weights[..., None] * colors).sum(1)


class SumByIndex(torch.autograd.Function):
    """Adds up rows by their index in a fixed order, so that the same inputs give the same bits."""

    @staticmethod
    def forward(ctx: Any, rows: Tensor, index: Tensor, count: int) -> Tensor:
        """Returns [count, C], the sums of the rows [N, C] of each index [N]."""
        ctx.save_for_backward(index)
        total = rows.new_zeros(count, rows.shape[1])
        if rows.is_cuda:
            # index_add on CUDA is atomic; an accumulating index_put sorts the indices and is not.
            return total.index_put_((index,), rows, accumulate=True)
        return total.index_add_(0, index, rows)

    @staticmethod
    def backward(ctx: Any, grad: Tensor) -> tuple[Tensor, None, None]:
        """Gives each row the gradient of its sum."""
        (index,) = ctx.saved_tensors
        return grad[index], None, None


def count_up(counts: Tensor) -> tuple[Tensor, Tensor]:
    """Lists what some owners have: counts (2, 0, 3) are owners 0 0 2 2 2 and numbers 0 1 0 1 2.

    Args:
        counts: [N] int64, how many entries each owner has.

    Returns:
        owners: [M] the owner of each entry.
        numbers: [M] the number of the entry among those of its owner.
    """
    owners = torch.arange(len(counts), device=counts.device).repeat_interleave(counts)
    first = counts.cumsum(0) - counts
    return owners, torch.arange(len(owners), device=counts.device) - first[owners]


def faces_near_pixels(
    corners: Tensor, wanted: Tensor, reaching: Tensor, radius: float
) -> tuple[Tensor, Tensor]:
    """Lists pairs of a face and a pixel in the face's bounding box, grown by a radius.

    Args:
        corners: [B, F, 3, 3] corners of faces; NDC x, NDC y, view depth.
        wanted: [B, H, W] bool, the pixels that are listed.
        reaching: [B, F] bool, the faces that are listed.
        radius: The radius in NDC.

    Returns:
        faces: [N] numbers of faces in the batch, in their order.
        pixels: [N] numbers of pixels in the batch.
    """
    height, width = wanted.shape[1:]
    rows, columns = _boxes(corners, height, width, radius)
    some = ((_count_in_boxes(wanted, rows, columns) > 0) & reaching).flatten().nonzero().squeeze(1)
    (top, bottom), (left, right) = (side.reshape(2, -1)[:, some] for side in (rows, columns))
    wide = right - left
    owners, numbers = count_up((bottom - top) * wide)
    row = top[owners] + numbers // wide[owners]
    column = left[owners] + numbers % wide[owners]
    faces = some[owners]
    image = faces // max(corners.shape[1], 1)
    pixels = image * (height * width) + row * width + column
    chosen = wanted.flatten()[pixels]
    return faces[chosen], pixels[chosen]


def _boxes(corners: Tensor, height: int, width: int, radius: float) -> tuple[Tensor, Tensor]:
    """Returns the first row and that after the last, and the columns, of boxes: [2, B, F] each."""
    half = min(height, width) / 2
    column = corners[..., 0] * half + (width - 1) / 2
    row = (height - 1) / 2 - corners[..., 1] * half
    sides = []
    for value, size in ((row, height), (column, width)):
        # Clamped as numbers: casting one that is not finite or too large is undefined.
        value = value.nan_to_num(0).clamp(-size, 2 * size)
        first = (value.amin(-1) - radius * half).ceil().clamp(0, size)
        after = (value.amax(-1) + radius * half).floor().clamp(-1, size - 1) + 1
        sides.append(torch.stack([first, after.clamp(min=first)]).long())
    return sides[0], sides[1]


def _count_in_boxes(where: Tensor, rows: Tensor, columns: Tensor) -> Tensor:
    """Counts the true pixels of [B, H, W] in boxes, [B, F], by sums over the image."""
    sums = torch.nn.functional.pad(where.int().cumsum(1).cumsum(2), (1, 0, 1, 0))
    image = torch.arange(len(where), device=where.device)[:, None]
    (top, bottom), (left, right) = rows, columns
    return (
        sums[image, bottom, right]
        - sums[image, top, right]
        - sums[image, bottom, left]
        + sums[image, top, left]
    )


def squared_edge_distance(points: Tensor, corners: Tensor) -> Tensor:
    """Computes the squared distances in the image of points to the edges of faces.

    Args:
        points: [N, 2] NDC x and y, one for each face.
        corners: [N, 3, C] corners of faces whose edges have a length in the image, C >= 2.

    Returns:
        [N], squared NDC units, inside a face as well as outside.
    """
    starts = corners[..., :2]
    edges = starts[:, [1, 2, 0]] - starts
    offset = points[:, None] - starts
    along = (offset * edges).sum(-1) / edges.square().sum(-1)
    nearest = offset - along.clamp(0, 1)[..., None] * edges
    return nearest.square().sum(-1).amin(-1)
