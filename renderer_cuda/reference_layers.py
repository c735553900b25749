"""The oracle's layers (color "over"): windows of faces, and their composition front to back.

Shapes: P pixels, F faces of one image, in float64. The formulas are those of csrc/layers.h.
"""

from __future__ import annotations

import math

import torch
from torch import Tensor

from renderer_cuda import reference_modes as modes
from renderer_cuda.reference_family import Family

# The ratios that the windows "incenter" and "compact" are powers of are cut to this, as where they
# vanish the derivative of the power may be infinite.
LEAST_RATIO = 1e-7


def window_at(
    window: str,
    distance: str,
    family: Family,
    pixels: Tensor,
    face_vertices: Tensor,
    barycentric: Tensor,
    sigma: Tensor,
    dist_eps: float,
) -> tuple[Tensor, Tensor]:
    """Return the windows W of faces at pixels [P, F], and where they have a part in them (bool).

    Args:
        window: "distribution": D(x) with the exponent x of `reference_modes.exponent`;
            "exp_clipped": exp(min(x, 0)); "incenter": (d / inradius)^sigma inside, with the
            distance d to the nearest edge; "compact": exp(-e^(2 sigma) / 2) with the eccentricity
            e = 1 - 3 min_k(w_k) of the barycentric coordinates w.
        distance: See `reference_modes.exponent`; for the first two windows.
        family: The distribution D, for the first window.
        pixels: [P, 2] NDC.
        face_vertices: [F, 3, 3].
        barycentric: [P, F, 3].
        sigma: [F].
        dist_eps: Windows count down to this value, outside of the face.
    """
    if window == "incenter":
        inside = (barycentric > 0).all(-1)
        squared = modes.squared_distance(pixels, face_vertices) / inradius(face_vertices).square()
        ratio = squared.clamp(min=LEAST_RATIO**2, max=1)
        return ratio.pow(sigma / 2), inside
    if window == "compact":
        eccentricity = 1 - 3 * barycentric.amin(-1)
        bound = torch.exp(math.log(2 * math.log(1 / dist_eps)) / (2 * sigma))
        within = eccentricity < bound
        ratio = eccentricity.where(within, 0.5).clamp(min=LEAST_RATIO)
        return torch.exp(-ratio.pow(2 * sigma) / 2), within
    return _window_of_exponent(
        window, distance, family, pixels, face_vertices, barycentric, sigma, dist_eps
    )


def _window_of_exponent(
    window: str,
    distance: str,
    family: Family,
    pixels: Tensor,
    face_vertices: Tensor,
    barycentric: Tensor,
    sigma: Tensor,
    dist_eps: float,
) -> tuple[Tensor, Tensor]:
    plain = modes.exponent(distance, pixels, face_vertices, barycentric, 1.0, family.squared)
    x = plain / (sigma if family.squared else sigma.sqrt())
    clipped = window == "exp_clipped"
    threshold = math.log(1 / dist_eps) if clipped else family.reach(dist_eps)
    within = x > -threshold
    if distance == "barycentric":
        radius = (sigma * threshold).sqrt() if family.squared else sigma.sqrt() * threshold
        within &= modes.in_box(pixels, face_vertices, radius[:, None])
    safe = x.where(within & torch.isfinite(x), 0.0)
    value = torch.exp(safe.clamp(max=0)) if clipped else family.coverage(safe)[0]
    return value.where(torch.isfinite(x), (x > 0).to(x)), within


def inradius(face_vertices: Tensor) -> Tensor:
    """Return the radius [F] of the circle in the image that touches all edges of [F, 3, 3]."""
    corners = face_vertices[..., :2]
    edges = corners[:, [1, 2, 0]] - corners
    return modes.doubled_area(face_vertices).abs() / edges.norm(dim=-1).sum(-1)


def compose(
    opacity: Tensor,
    color: Tensor,
    visible: Tensor,
    key: Tensor,
    background: Tensor,
    stop_transmittance: float,
) -> Tensor:
    """Return RGBA [P, 4] of layers over one another and over the background.

    With the layers sorted by their key, equals as they come, and T_i = prod_{j<i} (1 - a_j),
    C = sum_i T_i a_i c_i + T_end background and alpha = 1 - T_end.

    Args:
        opacity: [P, F], a_i.
        color: [P, F, 3], c_i.
        visible: [P, F] bool, the layers there are.
        key: [P, F], what layers are sorted by.
        background: [P, 3].
        stop_transmittance: Layers with T_i below it are left out.
    """
    order = key.detach().where(visible, math.inf).argsort(dim=-1, stable=True)
    shown = opacity.where(visible, 0.0).gather(1, order)
    ones = shown.new_ones(len(shown), 1)
    before = torch.cat([ones, torch.cumprod(1 - shown, dim=-1)], dim=-1)
    if stop_transmittance > 0:
        shown = shown.where(before[:, :-1] >= stop_transmittance, 0.0)
        before = torch.cat([ones, torch.cumprod(1 - shown, dim=-1)], dim=-1)
    colors = color.where(visible[..., None], 0.0)
    sorted_colors = colors.gather(1, order[..., None].expand(-1, -1, 3))
    rgb = torch.einsum("pf,pfc->pc", before[:, :-1] * shown, sorted_colors)
    rgb = rgb + before[:, -1:] * background
    return torch.cat([rgb, 1 - before[:, -1:]], dim=-1)
