"""The soft rasterizer with the gradient of the released SoftRas code, in torch.

The released code holds the barycentric coordinates of a pixel in a face constant: where a face
moves, its coverage and the depths of its corners change, but not the place on the face that the
pixel shows. Colours that change over a face give its corners no gradient in x and y.
"""

from __future__ import annotations

import math

import torch
from torch import Tensor
from torch.nn.functional import logsigmoid

from recon.rendering.visible_surface import (
    SumByIndex,
    barycentric_at,
    corners_of,
    faces_near_pixels,
    squared_edge_distance,
)
from renderer_cuda.reference import drawable_faces, pixel_centers


def rasterize_with_partial_gradient(
    corners: Tensor,
    colors: Tensor,
    image_size: tuple[int, int],
    *,
    sigma: float,
    gamma: float,
    background: Tensor,
    dist_eps: float = 1e-4,
    eps: float = 1e-3,
    near: float = 1.0,
    far: float = 100.0,
) -> Tensor:
    """Renders what `renderer_cuda.soft_rasterize` renders by default, with a partial gradient.

    Args:
        corners: [B, F, 3, 3] corners of faces; NDC x, NDC y, view depth between near and far.
        colors: [B, F, 3, 3] colours of the corners.
        image_size: The height and the width in pixels.
        sigma: The softness of edges in squared NDC units.
        gamma: The temperature of the softmax over normalised depth.
        background: [B, 3, H, W] colours behind everything.
        dist_eps: The coverage below which a face does not reach a pixel.
        eps: The weight of the background, as exp(eps / gamma).
        near: The nearest view depth.
        far: The farthest view depth.

    Returns:
        rgba [B, 4, H, W].
    """
    height, width = image_size
    centers = pixel_centers(height, width, dtype=corners.dtype, device=corners.device)
    faces, pixels = _pairs(corners, image_size, centers, sigma * math.log(1 / dist_eps - 1))
    own, points = corners_of(corners, faces), centers[pixels % len(centers)]
    weights = barycentric_at(points, own.detach()).detach()
    sign = torch.where((weights >= 0).all(-1), 1, -1)
    exponent = sign * squared_edge_distance(points, own) / sigma
    inside = weights.clamp(0, 1)
    inside = inside / inside.sum(-1, keepdim=True)
    depth = 1 / (inside / own[..., 2]).sum(-1)
    # As in the rasterizer, one is taken from the normalised depth and from eps alike.
    logits = logsigmoid(exponent) - (depth - near) / (far - near) / gamma
    mixed = (inside[..., None] * corners_of(colors, faces)).sum(1)
    rows = background.movedim(1, -1).reshape(-1, 3)
    rgb = _softmax(logits, mixed, pixels, rows, (eps - 1) / gamma)
    log_free: Tensor = SumByIndex.apply(logsigmoid(-exponent)[:, None], pixels, len(rows))
    alpha = -torch.expm1(log_free)
    image = torch.cat([rgb, alpha], 1).reshape(len(corners), height, width, 4)
    return image.movedim(-1, 1)


def _pairs(
    corners: Tensor, image_size: tuple[int, int], centers: Tensor, limit: float
) -> tuple[Tensor, Tensor]:
    """Lists faces and the pixels in their support, whose squared distance is at most `limit`."""
    fixed = corners.detach()
    everywhere = torch.ones(len(corners), *image_size, dtype=torch.bool, device=corners.device)
    radius = math.sqrt(limit)
    faces, pixels = faces_near_pixels(fixed, everywhere, drawable_faces(fixed), radius)
    own, points = corners_of(fixed, faces), centers[pixels % len(centers)]
    inside = (barycentric_at(points, own) >= 0).all(-1)
    reached = inside | (squared_edge_distance(points, own) <= limit)
    return faces[reached], pixels[reached]


def _softmax(
    logits: Tensor, colors: Tensor, pixels: Tensor, background: Tensor, last: float
) -> Tensor:
    """Blends the colours [N, 3] of pairs in each pixel [P, 3] by the softmax of their logits."""
    highest = torch.full_like(background[:, 0], last)
    highest = highest.scatter_reduce(0, pixels, logits.detach(), "amax")
    shares = (logits - highest[pixels]).exp()[:, None]
    rest = (last - highest).exp()[:, None]
    rows = torch.cat([shares * colors, shares], 1)
    sums: Tensor = SumByIndex.apply(rows, pixels, len(background))
    return (sums[:, :3] + rest * background) / (sums[:, 3:] + rest)
