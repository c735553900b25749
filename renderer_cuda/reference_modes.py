"""The oracle's modes: what a face does to a pixel (distance, texture) and how faces add up (alpha,
color).

Shapes: P pixels, F faces of one image. `x` [P, F] is the exponent of the coverage D = sigmoid(x),
or of another distribution, see `renderer_cuda.reference_family`; `support` [P, F] holds the pairs
in which the face has a part in the pixel.
"""

from __future__ import annotations

import math

import torch
from torch import Tensor
from torch.nn.functional import logsigmoid

from renderer_cuda.reference_family import Family, log_coverage, t_conorm

# ---- distance: the coverage of a pixel by a face -------------------------------------------------


def doubled_area(face_vertices: Tensor) -> Tensor:
    """Return twice the signed area [...] in the image, positive for counter-clockwise corners."""
    first, second = (face_vertices[..., k, :2] - face_vertices[..., 0, :2] for k in (1, 2))
    return first[..., 0] * second[..., 1] - first[..., 1] * second[..., 0]


def squared_distance(pixels: Tensor, face_vertices: Tensor) -> Tensor:
    """Return the squared distance [P, F] of pixels [P, 2] to the outlines of faces [F, 3, 3]."""
    start = face_vertices[None, :, :, :2]
    edge = face_vertices[None, :, [1, 2, 0], :2] - start
    offset = pixels[:, None, None, :] - start
    t = ((offset * edge).sum(-1) / edge.square().sum(-1)).clamp(0, 1)
    return (offset - t[..., None] * edge).square().sum(-1).amin(-1)


def signed_distance(pixels: Tensor, face_vertices: Tensor, barycentric: Tensor) -> Tensor:
    """Return the distance [P, F] of pixels to the outlines of faces, positive inside.

    Where the nearest point lies within an edge it is the distance to the line through that edge,
    whose derivative exists on the outline, too.
    """
    start = face_vertices[None, :, :, :2]
    edge = face_vertices[None, :, [1, 2, 0], :2] - start
    offset = pixels[:, None, None, :] - start
    t = ((offset * edge).sum(-1) / edge.square().sum(-1)).clamp(0, 1)
    squared = (offset - t[..., None] * edge).square().sum(-1)
    nearest = squared.detach().argmin(-1, keepdim=True)
    across = edge[..., 0] * offset[..., 1] - edge[..., 1] * offset[..., 0]
    to_line = across / edge.square().sum(-1).sqrt() * doubled_area(face_vertices).sign()[:, None]
    t, squared, to_line = (each.gather(-1, nearest)[..., 0] for each in (t, squared, to_line))
    away = squared > 0
    distance = squared.where(away, 1.0).sqrt().where(away, 0.0)
    inside = (barycentric > 0).all(-1)
    return to_line.where((t > 0) & (t < 1), torch.where(inside, distance, -distance))


def contains(barycentric: Tensor) -> Tensor:
    """Return whether the faces contain the pixel centres, outline included, as bool [P, F]."""
    return (barycentric >= 0).all(-1) & (barycentric <= 1).all(-1)


def exponent(
    distance: str,
    pixels: Tensor,
    face_vertices: Tensor,
    barycentric: Tensor,
    sigma: float | Tensor,
    squared: bool = True,
) -> Tensor:
    """Return x of the coverage D(x) (equation 1), positive inside the face, as [P, F].

    euclidean: +-d^2 / sigma with the distance d to the outline; barycentric: +-min_k(w_k)^2 /
    sigma; hard: infinite, + where the face contains the pixel centre. Without `squared` the first
    two are +-d / sqrt(sigma) and min_k(w_k) / sqrt(sigma). sigma is one number, or [F].
    """
    if distance == "hard":
        return torch.where(contains(barycentric), math.inf, -math.inf).to(barycentric)
    inside = (barycentric > 0).all(-1)
    if distance == "barycentric":
        least = barycentric.amin(-1)
        if not squared:
            return least / sigma**0.5
        square = least.square()
    elif not squared:
        return signed_distance(pixels, face_vertices, barycentric) / sigma**0.5
    else:
        square = squared_distance(pixels, face_vertices)
    return torch.where(inside, square, -square) / sigma


def reach(
    distance: str,
    x: Tensor,
    pixels: Tensor,
    face_vertices: Tensor,
    sigma: float | Tensor,
    dist_eps: float,
    family: Family,
) -> Tensor:
    """Return the pairs [P, F] inside of a face, or in which the coverage passes dist_eps outside.

    D = sigmoid(x) does where x > -r with r = log(1 / dist_eps - 1). A barycentric coordinate hardly
    changes along a sliver, so "barycentric" also wants the pixel in the face's bounding box grown
    by the radius sqrt(sigma r), or sqrt(sigma) r where x is no square; for the other distances that
    follows from x.
    """
    threshold = family.reach(dist_eps)
    within = x > -threshold
    if distance == "barycentric":
        radius = (sigma * threshold) ** 0.5 if family.squared else sigma**0.5 * threshold
        if isinstance(radius, Tensor):
            radius = radius[:, None]
        within &= in_box(pixels, face_vertices, radius)
    return within


def in_box(pixels: Tensor, face_vertices: Tensor, radius: float | Tensor) -> Tensor:
    """Return which pixels lie in the bounding boxes of faces, as bool [P, F].

    Args:
        pixels: [P, 2] NDC.
        face_vertices: [F, 3, 3].
        radius: By how much boxes are grown; a number, or [F, 1].
    """
    corners = face_vertices[None, :, :, :2]
    position = pixels[:, None, :]
    above = (position >= corners.amin(2) - radius).all(-1)
    return above & (position <= corners.amax(2) + radius).all(-1)


# ---- alpha: coverages of many faces --------------------------------------------------------------


def opacity(family: Family, x: Tensor, support: Tensor, shown: Tensor | None = None) -> Tensor:
    """Return the alpha [P] of the faces.

    1 - prod(1 - D), sum(D) / F, whether any D > 1/2, or that of another t-conorm. With opacities
    `shown` [F] they are those of the products shown * D in place of D.
    """
    if shown is not None:
        covered, complement = family.coverage(x.where(support, 0.0))
        covered, complement = shown * covered, complement + covered * (1 - shown)
        return alpha_of(family, covered.where(support, 0.0), complement.where(support, 1.0))
    logistic = family.distribution == "logistic"
    if family.alpha == "hard" and logistic:
        return (support & (x > 0)).any(-1).to(x)
    safe = x.where(support, 0.0)  # a pair that takes no part must not send inf * 0 backward
    if family.alpha == "product" and logistic:
        log_transmittance = logsigmoid(-safe).where(support, 0.0).sum(-1)  # log prod(1 - D)
        return -torch.expm1(log_transmittance)
    covered, complement = family.coverage(safe)
    return alpha_of(family, covered.where(support, 0.0), complement.where(support, 1.0))


def alpha_of(family: Family, covered: Tensor, complement: Tensor) -> Tensor:
    """Return the alpha [P] of coverages [P, F] and 1 minus these."""
    if family.alpha == "hard":
        return (covered > 0.5).any(-1).to(covered)
    if family.alpha == "sum":
        return covered.sum(-1) / max(1, covered.shape[-1])
    return t_conorm(family.alpha, covered, complement, family.parameter)


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
    family: Family,
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
    shown: Tensor | None = None,
) -> Tensor:
    """Return the depth-weighted softmax of colours and background, [P, 3] (equations 3 and 4).

    A face weighs D exp(z' / gamma) with its normalised depth z' = (far - z) / (far - near), the
    background exp(eps / gamma). One is taken from z' and eps alike: the weights are the same and
    the digits which tell faces apart are kept. With opacities `shown` [F] a face weighs as much
    times its opacity.
    """
    log_covered = log_coverage(family, x.where(visible, 0.0))
    behind_near = (depth - near) / (far - near)  # 1 - z'
    logits = (log_covered - behind_near / gamma).where(visible, -math.inf)
    last = logits.new_full((len(logits), 1), (eps - 1) / gamma)
    weights = torch.softmax(torch.cat([logits, last], dim=-1), dim=-1)
    if shown is not None:  # their logarithms would have no gradient where they are zero
        weights = weights * torch.cat([shown, shown.new_ones(1)])
        weights = weights / weights.sum(-1, keepdim=True)
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
