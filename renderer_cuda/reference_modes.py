"""The oracle's modes: what a face does to a pixel (distance, texture) and how faces add up (alpha,
color).

Shapes: P pixels, F faces of one image. `x` [P, F] is the exponent of the coverage D = sigmoid(x),
`support` [P, F] holds the pairs in which the face has a part in the pixel.
"""

from __future__ import annotations

import math

import torch
from torch import Tensor
from torch.nn.functional import logsigmoid

# ---- distance: the coverage of a pixel by a face -------------------------------------------------


def squared_distance(pixels: Tensor, face_vertices: Tensor) -> Tensor:
    """Return the squared distance [P, F] of pixels [P, 2] to the outlines of faces [F, 3, 3]."""
    start = face_vertices[None, :, :, :2]
    edge = face_vertices[None, :, [1, 2, 0], :2] - start
    offset = pixels[:, None, None, :] - start
    t = ((offset * edge).sum(-1) / edge.square().sum(-1)).clamp(0, 1)
    return (offset - t[..., None] * edge).square().sum(-1).amin(-1)


def contains(barycentric: Tensor) -> Tensor:
    """Return whether the faces contain the pixel centres, outline included, as bool [P, F]."""
    return (barycentric >= 0).all(-1) & (barycentric <= 1).all(-1)


def exponent(
    distance: str, pixels: Tensor, face_vertices: Tensor, barycentric: Tensor, sigma: float
) -> Tensor:
    """Return x of the coverage sigmoid(x) (equation 1), positive inside the face, as [P, F].

    euclidean: +-d^2 / sigma with the distance d to the outline; barycentric: +-min_k(w_k)^2 /
    sigma; hard: infinite, + where the face contains the pixel centre.
    """
    if distance == "hard":
        return torch.where(contains(barycentric), math.inf, -math.inf).to(barycentric)
    if distance == "barycentric":
        squared = barycentric.amin(-1).square()
    else:
        squared = squared_distance(pixels, face_vertices)
    inside = (barycentric > 0).all(-1)
    return torch.where(inside, squared, -squared) / sigma


def reach(
    distance: str,
    x: Tensor,
    pixels: Tensor,
    face_vertices: Tensor,
    sigma: float,
    dist_eps: float,
) -> Tensor:
    """Return the pairs [P, F] in which the coverage passes dist_eps: x > -log(1 / dist_eps - 1).

    A barycentric coordinate hardly changes along a sliver, so "barycentric" also wants the pixel in
    the face's bounding box grown by the radius sqrt(sigma log(1 / dist_eps - 1)); for the other
    distances that follows from x.
    """
    threshold = math.log(1 / dist_eps - 1)
    within = x > -threshold
    if distance == "barycentric":
        radius = math.sqrt(sigma * threshold)
        corners = face_vertices[None, :, :, :2]
        position = pixels[:, None, :]
        within &= (position >= corners.amin(2) - radius).all(-1)
        within &= (position <= corners.amax(2) + radius).all(-1)
    return within


# ---- alpha: coverages of many faces --------------------------------------------------------------


def opacity(alpha: str, x: Tensor, support: Tensor) -> Tensor:
    """Return the alpha [P] of the faces: 1 - prod(1 - D), sum(D) / F, or whether any D > 1/2."""
    if alpha == "hard":
        return (support & (x > 0)).any(-1).to(x)
    safe = x.where(support, 0.0)  # a pair that takes no part must not send inf * 0 backward
    if alpha == "sum":
        return torch.sigmoid(safe).where(support, 0.0).sum(-1) / max(1, x.shape[-1])
    log_transmittance = logsigmoid(-safe).where(support, 0.0).sum(-1)  # log prod(1 - D)
    return -torch.expm1(log_transmittance)


# ---- texture: depth and colour of a face at a pixel ----------------------------------------------


def clip(barycentric: Tensor) -> Tensor:
    """Return barycentric coordinates cut to [0, 1] and divided by their sum."""
    clipped = barycentric.clamp(0, 1)
    return clipped / clipped.sum(-1, keepdim=True)  # at least one clipped weight is >= 1/3


def depth_at(weights: Tensor, face_vertices: Tensor) -> Tensor:
    """Return the view depth [P, F] at clipped weights [P, F, 3]: 1 / depth is linear in them."""
    return 1 / (weights / face_vertices[None, :, :, 2]).sum(-1)


def correct_perspective(weights: Tensor, face_vertices: Tensor) -> Tensor:
    """Return the weights [P, F, 3] of points of faces for the clipped ones of their images."""
    shares = weights / face_vertices[None, :, :, 2]
    return shares / shares.sum(-1, keepdim=True)


def texel(weights: Tensor, resolution: int) -> Tensor:
    """Return the index [...] of the texel of a surface texture at clipped weights [..., 3].

    The first two weights cut a face into a grid of R x R cells (i, j) of which i + j < R - 1 are
    whole and i + j = R - 1 are halves: a lower triangle, w_0 R + w_1 R - i - j <= 1, has texel
    j R + i, and an upper one the texel mirrored in the grid's centre. The test is written in w_2
    (the weights sum to one): beyond the edge opposite the third corner w_2 is exactly zero and the
    test exact, where the sum of the others would leave it to rounding. At a corner the cell number
    would be R, one too far, and is the last.
    """
    scaled = weights * resolution
    i, j = scaled[..., 0].long(), scaled[..., 1].long()
    last = resolution - 1
    lower = scaled[..., 2] >= last - i - j
    return torch.where(
        lower,
        j.clamp(max=last) * resolution + i.clamp(max=last),
        (last - j) * resolution + (last - i),
    )


def color_at(texture: str, weights: Tensor, face_textures: Tensor, resolution: int) -> Tensor:
    """Return the colour [P, F, 3] of faces at clipped weights [P, F, 3].

    vertex: the colours [F, 3, 3] of the corners mixed by the weights; surface: the texel of
    [F, R * R, 3] under the pixel, whose colour does not change with the weights.
    """
    if texture == "vertex":
        return torch.einsum("pfk,fkc->pfc", weights, face_textures)
    faces = torch.arange(len(face_textures), device=face_textures.device)
    return face_textures[faces, texel(weights.detach(), resolution)]


# ---- color: colours of many faces and of the background ------------------------------------------


def softmax_color(
    x: Tensor,
    visible: Tensor,
    depth: Tensor,
    color: Tensor,
    background: Tensor,
    *,
    gamma: float,
    eps: float,
    near: float,
    far: float,
) -> Tensor:
    """Return the depth-weighted softmax of colours and background, [P, 3] (equations 3 and 4).

    A face weighs D exp(z' / gamma) with its normalised depth z' = (far - z) / (far - near), the
    background exp(eps / gamma). One is taken from z' and eps alike: the weights are the same and
    the digits which tell faces apart are kept.
    """
    log_coverage = logsigmoid(x.where(visible, 0.0))
    behind_near = (depth - near) / (far - near)  # 1 - z'
    logits = (log_coverage - behind_near / gamma).where(visible, -math.inf)
    last = logits.new_full((len(logits), 1), (eps - 1) / gamma)
    weights = torch.softmax(torch.cat([logits, last], dim=-1), dim=-1)
    return torch.einsum("pf,pfc->pc", weights[:, :-1], color) + weights[:, -1:] * background


def hard_color(
    visible: Tensor, barycentric: Tensor, depth: Tensor, color: Tensor, background: Tensor
) -> Tensor:
    """Return the colour [P, 3] of the nearest face that contains the pixel, the first of equals."""
    if depth.shape[-1] == 0:
        return background
    candidates = depth.detach().where(visible & contains(barycentric), math.inf)
    nearest = candidates.min(-1)
    chosen = color.gather(1, nearest.indices[:, None, None].expand(-1, 1, 3))[:, 0]
    return torch.where(torch.isfinite(nearest.values)[:, None], chosen, background)
