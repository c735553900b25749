"""The oracle of the soft rasterizer: slow, obvious, pure torch, differentiated by autograd.

Every line follows one equation of Liu et al., "Soft Rasterizer" (arXiv 1904.01786), section 3, in
log space; the modes are in `renderer_cuda.reference_modes`, and the distributions and t-conorms of
GenDR in `renderer_cuda.reference_family`. The native kernels are tested against
these functions; where no compiler is found they serve in place of the kernels. Whatever the dtype
of the inputs, the arithmetic is float64: the oracle of float32 kernels should be better than they
are, and no square of a float32 leaves its range.
"""

from __future__ import annotations

import itertools
from collections.abc import Callable
from typing import Any

import torch
from torch import Tensor
from torch.utils.checkpoint import checkpoint

from renderer_cuda import reference_layers as layers
from renderer_cuda import reference_modes as modes
from renderer_cuda.reference_family import Family
from renderer_cuda.validation import (
    Background,
    ImageSize,
    check_face_textures,
    check_face_vertices,
    check_flags,
    check_layers,
    check_modes,
    check_numbers_of_faces,
    check_scalars,
    count_images,
    parse_background,
    parse_family,
    parse_image_size,
    texture_resolution,
    widen,
)

# Pairs of a pixel and a face held at once. Each pair costs about 50 numbers, so 2^19 pairs of
# float64 are some 200 MB; larger scenes are cut into blocks of pixels recomputed in the backward.
MAX_PAIRS = 1 << 19


# ---- pixels and faces ----------------------------------------------------------------------------


def pixel_centers(
    height: int, width: int, *, dtype: torch.dtype, device: torch.device | str | None = None
) -> Tensor:
    """Return the NDC position (x right, y up) of every pixel centre, row 0 on top, as [H*W, 2].

    Column i lies at (2i + 1 - W) / min(H, W); the shorter side of the image spans [-1, 1].
    """
    shorter = min(height, width)
    x = (2 * torch.arange(width, device=device) + 1 - width).to(dtype) / shorter
    y = (height - 1 - 2 * torch.arange(height, device=device)).to(dtype) / shorter
    return torch.stack(torch.broadcast_tensors(x[None, :], y[:, None]), dim=-1).reshape(-1, 2)


def drawable_faces(face_vertices: Tensor, face_textures: Tensor | None = None) -> Tensor:
    """Return which faces [..., 3, 3] can be drawn at all, as a bool tensor [...].

    A face is left out when a coordinate is not finite, when a corner is not in front of the camera
    (its depth is not a positive normal number), when its squares overflow, when an edge is so short
    that its square is below the smallest normal number, or when its area in the image is zero to
    rounding: two epsilons of the square of its longest edge, below which even the sign of the area
    is noise, or four of the smallest normal number. With textures [..., K, 3] it is left out, too,
    when a colour of its own is not finite.
    """
    corners = face_vertices.detach()
    squares = (corners[..., [1, 2, 0], :2] - corners[..., :2]).square().sum(-1)
    shortest, longest = squares.amin(-1), squares.amax(-1)
    area = modes.doubled_area(corners).abs()
    number = torch.finfo(corners.dtype)
    finite = torch.isfinite(corners).flatten(-2).all(-1) & torch.isfinite(longest * longest)
    in_front = (corners[..., 2] >= number.tiny).all(-1)
    noise = (2 * number.eps * longest).clamp(min=4 * number.tiny)
    has_area = (shortest >= number.tiny) & (area > noise)
    drawable = finite & in_front & has_area
    if face_textures is not None:
        drawable = drawable & torch.isfinite(face_textures.detach()).flatten(-2).all(-1)
    return drawable


def barycentric(pixels: Tensor, face_vertices: Tensor) -> Tensor:
    """Return the barycentric coordinates [P, F, 3] of pixels [P, 2] in faces [F, 3, 3]."""
    offset = face_vertices[None, :, :, :2] - pixels[:, None, None, :]  # corner minus pixel
    following, opposite = offset[:, :, [1, 2, 0]], offset[:, :, [2, 0, 1]]
    part = following[..., 0] * opposite[..., 1] - following[..., 1] * opposite[..., 0]
    return part / modes.doubled_area(face_vertices)[None, :, None]


def _with_dummies(face_vertices: Tensor, drawable: Tensor) -> Tensor:
    """Return faces in float64; those not drawn get harmless corners, so that no NaN enters."""
    dummy = face_vertices.new_tensor([[0.0, 0.0, 1.0], [1.0, 0.0, 1.0], [0.0, 1.0, 1.0]])
    return torch.where(drawable[..., None, None], face_vertices, dummy).double()


def _pairs(
    pixels: Tensor,
    face_vertices: Tensor,
    drawable: Tensor,
    *,
    distance: str,
    family: Family,
    sigma: float | Tensor,
    dist_eps: float,
) -> tuple[Tensor, Tensor, Tensor]:
    """Return barycentric coordinates [P, F, 3], exponent x [P, F] and support [P, F]."""
    weights = barycentric(pixels, face_vertices)
    x = modes.exponent(distance, pixels, face_vertices, weights, sigma, family.squared)
    reached = modes.reach(distance, x, pixels, face_vertices, sigma, dist_eps, family)
    return weights, x, drawable & reached


# ---- images --------------------------------------------------------------------------------------


def split_images(tensor: Tensor, first_face: Tensor | None) -> list[Tensor]:
    """Cut a batch [B, F, ...], or packed faces [N, ...] at first_face [B + 1], into its images."""
    if first_face is None:
        return list(tensor.unbind(0))
    return [tensor[start:end] for start, end in itertools.pairwise(first_face.tolist())]


def count_skipped_faces_reference(
    face_vertices: Tensor,
    face_textures: Tensor | None = None,
    *,
    first_face: Tensor | None = None,
) -> Tensor:
    """Compute what `count_skipped_faces` computes; same arguments and errors."""
    face_vertices, face_textures = widen(face_vertices), widen(face_textures)
    check_face_vertices(face_vertices, first_face)
    if face_textures is not None:
        of_corners = face_textures.shape == face_vertices.shape
        check_face_textures(face_textures, face_vertices, "vertex" if of_corners else "surface")
    drawable = drawable_faces(face_vertices, face_textures)
    if first_face is None:
        return (~drawable).sum(dim=1)
    before = torch.nn.functional.pad((~drawable).cumsum(0), (1, 0))
    return before[first_face.to(before.device)].diff()


def _apply_in_blocks(function: Callable[..., Tensor], num_faces: int, *per_pixel: Tensor) -> Tensor:
    """Concatenate function(*block) over blocks of at most MAX_PAIRS pairs of pixels and faces.

    The tensors [P, ...] are cut along their pixels; several blocks are recomputed in the backward.
    """
    size = max(1, MAX_PAIRS // max(1, num_faces))
    blocks = list(zip(*(tensor.split(size) for tensor in per_pixel), strict=True))
    if len(blocks) == 1:
        return function(*blocks[0])
    return torch.cat([checkpoint(function, *block, use_reentrant=False) for block in blocks])


def _stack(images: list[Tensor], face_vertices: Tensor, *shape: int) -> Tensor:
    """Stack images of a shape, of which there may be none, in the dtype of face_vertices.

    The sum of no faces, zero, ties them to face_vertices: a gradient exists where all is hard.
    """
    zero = face_vertices[:0].sum()
    if not images:
        return zero.expand(0, *shape)
    return torch.stack(images).view(-1, *shape).to(face_vertices.dtype) + zero


# ---- the ops -------------------------------------------------------------------------------------


def soft_silhouette_reference(
    face_vertices: Tensor,
    image_size: ImageSize,
    *,
    first_face: Tensor | None = None,
    sigma: float | Tensor = 1e-5,
    distance: str = "euclidean",
    distribution: str = "logistic",
    squared: bool = True,
    dist_shape: float | None = None,
    dist_shift: float | None = None,
    alpha: str = "product",
    alpha_parameter: float | None = None,
    dist_eps: float = 1e-4,
    face_opacity: Tensor | None = None,
    face_sigma: Tensor | None = None,
) -> Tensor:
    """Compute what `soft_silhouette` computes, in plain torch; same arguments and errors."""
    face_vertices = widen(face_vertices)
    check_face_vertices(face_vertices, first_face)
    check_modes(distance=distance, distribution=distribution, alpha=alpha)
    check_flags(squared=squared)
    check_scalars(sigma=sigma, dist_eps=dist_eps)
    face_opacity, face_sigma = widen(face_opacity), widen(face_sigma)
    check_numbers_of_faces(face_vertices, face_opacity, face_sigma)
    numbers = parse_family(distribution, alpha, dist_shape, dist_shift, alpha_parameter)
    family = Family(distribution, squared, alpha, *numbers)
    height, width = parse_image_size(image_size)
    pixels = pixel_centers(height, width, dtype=torch.float64, device=face_vertices.device)
    coverage: dict[str, Any] = {"distance": distance, "family": family, "dist_eps": dist_eps}
    opacities = _per_face(face_opacity, 1.0, face_vertices)
    sigmas = _per_face(face_sigma, float(sigma), face_vertices)

    def one_image(corners: Tensor, shown: Tensor, sigmas: Tensor) -> Tensor:
        drawable = drawable_faces(corners)
        faces = _with_dummies(corners, drawable)
        own_sigmas = float(sigma) if face_sigma is None else sigmas
        own_opacities = None if face_opacity is None else shown

        def block(part: Tensor) -> Tensor:
            _, x, support = _pairs(part, faces, drawable, sigma=own_sigmas, **coverage)
            return modes.opacity(family, x, support, own_opacities)

        return _apply_in_blocks(block, len(faces), pixels)

    per_face = (face_vertices, opacities, sigmas)
    inputs = (split_images(tensor, first_face) for tensor in per_face)
    images = [one_image(*each) for each in zip(*inputs, strict=True)]
    return _stack(images, face_vertices, height, width)


def _per_face(numbers: Tensor | None, default: float, face_vertices: Tensor) -> Tensor:
    """Return a number for each face, [B, F] or [N] in float64: a default, if none are given."""
    if numbers is None:
        return face_vertices.new_full(face_vertices.shape[:-2], default, dtype=torch.float64)
    return numbers.double()


def soft_rasterize_reference(
    face_vertices: Tensor,
    face_textures: Tensor,
    image_size: ImageSize,
    *,
    first_face: Tensor | None = None,
    sigma: float | Tensor = 1e-5,
    gamma: float | Tensor = 1e-4,
    distance: str = "euclidean",
    distribution: str = "logistic",
    squared: bool = True,
    dist_shape: float | None = None,
    dist_shift: float | None = None,
    alpha: str = "product",
    alpha_parameter: float | None = None,
    color: str = "softmax",
    texture: str = "vertex",
    dist_eps: float = 1e-4,
    eps: float = 1e-3,
    near: float = 1.0,
    far: float = 100.0,
    background: Background = (0.0, 0.0, 0.0),
    double_sided: bool = True,
    perspective_correct: bool = False,
    face_opacity: Tensor | None = None,
    face_sigma: Tensor | None = None,
    window: str = "distribution",
    order: str = "pixel",
    stop_transmittance: float = 0.0,
    detach_barycentric: bool = False,
) -> Tensor:
    """Compute what `soft_rasterize` computes, in plain torch; same arguments and errors."""
    face_vertices, face_textures = widen(face_vertices), widen(face_textures)
    background = widen(background)
    face_opacity, face_sigma = widen(face_opacity), widen(face_sigma)
    check_face_vertices(face_vertices, first_face)
    check_modes(
        distance=distance, distribution=distribution, alpha=alpha, color=color, texture=texture
    )
    check_flags(
        squared=squared,
        double_sided=double_sided,
        perspective_correct=perspective_correct,
        detach_barycentric=detach_barycentric,
    )
    check_face_textures(face_textures, face_vertices, texture)
    check_scalars(sigma=sigma, dist_eps=dist_eps, gamma=gamma, eps=eps, near=near, far=far)
    check_layers(
        face_vertices,
        face_opacity,
        face_sigma,
        color=color,
        alpha=alpha,
        distance=distance,
        distribution=distribution,
        squared=squared,
        window=window,
        order=order,
        stop_transmittance=stop_transmittance,
    )
    numbers = parse_family(distribution, alpha, dist_shape, dist_shift, alpha_parameter)
    family = Family(distribution, squared, alpha, *numbers)
    height, width = parse_image_size(image_size)
    images = count_images(face_vertices, first_face)
    behind = parse_background(background, face_vertices, images, height, width).double()
    backgrounds = (
        behind.expand(images, height, width, 3) if behind.dim() == 1 else behind.movedim(1, 3)
    )
    pixels = pixel_centers(height, width, dtype=torch.float64, device=face_vertices.device)
    resolution = texture_resolution(face_textures)
    coverage: dict[str, Any] = {"distance": distance, "family": family, "dist_eps": dist_eps}
    depths: dict[str, float] = {"gamma": float(gamma), "eps": eps, "near": near, "far": far}
    opacities = _per_face(face_opacity, 1.0, face_vertices)
    sigmas = _per_face(face_sigma, float(sigma), face_vertices)

    def one_image(
        corners: Tensor, textures: Tensor, shown: Tensor, sigmas: Tensor, background: Tensor
    ) -> Tensor:
        drawable = drawable_faces(corners, textures)
        faces = _with_dummies(corners, drawable)
        textures = textures.where(drawable[:, None, None], 0.0).double()
        facing = (modes.doubled_area(faces) < 0) | double_sided
        own_sigmas = float(sigma) if face_sigma is None or color == "over" else sigmas
        own_opacities = None if face_opacity is None else shown

        def block(part: Tensor, behind: Tensor) -> Tensor:
            weights, x, support = _pairs(part, faces, drawable, sigma=own_sigmas, **coverage)
            clipped = modes.clip(weights.detach() if detach_barycentric else weights)
            depth = modes.depth_at(clipped, faces)
            mixing = modes.correct_perspective(clipped, faces) if perspective_correct else clipped
            colors = modes.color_at(texture, mixing, textures, resolution)
            in_range = facing & (depth >= near) & (depth <= far)
            if color == "over":
                value, reached = layers.window_at(
                    window, distance, family, part, faces, weights, sigmas, dist_eps
                )
                visible = drawable & reached & in_range
                key = depth if order == "pixel" else faces[..., 2].mean(-1).expand_as(depth)
                return layers.compose(
                    value * shown, colors, visible, key, behind, stop_transmittance
                )
            visible = support & in_range
            if color == "hard":
                rgb = modes.hard_color(visible, weights, depth, colors, behind)
            else:
                rgb = modes.softmax_color(
                    family, x, visible, depth, colors, behind, shown=own_opacities, **depths
                )
            opacity = modes.opacity(family, x, support, own_opacities)
            return torch.cat([rgb, opacity[:, None]], dim=-1)

        rgba = _apply_in_blocks(block, len(faces), pixels, background.reshape(-1, 3))
        return rgba.view(height, width, 4).permute(2, 0, 1)

    per_face = (face_vertices, face_textures, opacities, sigmas)
    inputs = (split_images(tensor, first_face) for tensor in per_face)
    rendered = [one_image(*each) for each in zip(*inputs, backgrounds, strict=True)]
    return _stack(rendered, face_vertices, 4, height, width)
