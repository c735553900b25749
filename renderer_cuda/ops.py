"""The contract of the rasterizer's ops: schema, validation, fake kernel, autograd, docstring.

Each op is defined here and implemented for the CPU and for CUDA by the libraries of
`renderer_cuda.build`. The public functions validate, make sure the kernels are loaded, and call the
op; where no kernels can be had they call the oracle of `renderer_cuda.reference` instead.
"""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

import torch
from torch import Tensor

from renderer_cuda import build
from renderer_cuda.reference import (
    drawable_faces,
    soft_rasterize_reference,
    soft_silhouette_reference,
)
from renderer_cuda.validation import (
    ImageSize,
    check_face_textures,
    check_face_vertices,
    check_modes,
    check_scalars,
    parse_background,
    parse_image_size,
)

_library = torch.library.Library("renderer_cuda", "FRAGMENT")
_ops = torch.ops.renderer_cuda


def count_skipped_faces(face_vertices: Tensor) -> Tensor:
    """Count the faces which the renders leave out because they cannot be drawn.

    Those are faces with a coordinate that is not finite or whose squares overflow, with a corner
    not in front of the camera, or with an area that is zero to rounding.

    Args:
        face_vertices: [B, F, 3, 3] float32 or float64; NDC x, NDC y, view depth.

    Returns:
        [B] int64.

    Raises:
        ValueError: The argument has the wrong shape or dtype.
    """
    check_face_vertices(face_vertices)
    return (~drawable_faces(face_vertices)).sum(dim=1)


def _refuse_double_backward(ctx: Any, *grads: Tensor) -> None:
    raise NotImplementedError(
        "the soft rasterizer has no second derivative: call backward without create_graph"
    )


# ---- soft_silhouette -----------------------------------------------------------------------------

_library.define(
    "soft_silhouette(Tensor face_vertices, int height, int width, float sigma, float dist_eps)"
    " -> (Tensor alpha, Tensor transmittance)"
)
_library.define(
    "soft_silhouette_backward(Tensor grad_alpha, Tensor face_vertices, Tensor transmittance,"
    " float sigma, float dist_eps) -> Tensor"
)


def soft_silhouette(
    face_vertices: Tensor,
    image_size: ImageSize,
    *,
    sigma: float = 1e-5,
    distance: str = "euclidean",
    alpha: str = "product",
    dist_eps: float = 1e-4,
) -> Tensor:
    """Render soft silhouettes: alpha = 1 - prod(1 - D) over faces (arXiv 1904.01786, equation 5).

    D = sigmoid(+-d^2 / sigma) is the coverage of a pixel by a face, d the distance of the pixel
    centre to the outline of the face, positive inside (equation 1). Faces with a coordinate that is
    not finite, a depth <= 0 or an area of zero are left out (the released SoftRas lets one NaN
    poison the image, mirrors faces behind the camera and draws flat ones at one half).
    Differentiable once to face_vertices (x and y; depth has no part in it); deterministic.

    Args:
        face_vertices: [B, F, 3, 3] float32 or float64; NDC x (right), NDC y (up), view depth.
        image_size: (height, width) in pixels, an int means square.
        sigma: Softness of the edges, in squared NDC units.
        distance: "euclidean".
        alpha: "product".
        dist_eps: Coverage outside of the face counts down to this value and is zero below.

    Returns:
        Alpha [B, H, W] in [0, 1], row 0 on top.

    Raises:
        ValueError: An argument has the wrong shape, dtype or range.
        NotImplementedError: A second derivative is asked for.
    """
    check_face_vertices(face_vertices)
    check_modes(distance=distance, alpha=alpha)
    check_scalars(sigma=sigma, dist_eps=dist_eps)
    height, width = parse_image_size(image_size)
    if not build.available(face_vertices.device.type):
        return soft_silhouette_reference(face_vertices, image_size, sigma=sigma, dist_eps=dist_eps)
    rendered: Tensor
    rendered, _ = _ops.soft_silhouette(face_vertices, height, width, sigma, dist_eps)
    return rendered


@torch.library.register_fake("renderer_cuda::soft_silhouette", lib=_library)
def _(
    face_vertices: Tensor, height: int, width: int, sigma: float, dist_eps: float
) -> tuple[Tensor, Tensor]:
    shape = (face_vertices.shape[0], height, width)
    return face_vertices.new_empty(shape), face_vertices.new_empty(shape)


@torch.library.register_fake("renderer_cuda::soft_silhouette_backward", lib=_library)
def _(
    grad_alpha: Tensor, face_vertices: Tensor, transmittance: Tensor, sigma: float, dist_eps: float
) -> Tensor:
    return face_vertices.new_empty(face_vertices.shape)


def _save_silhouette(ctx: Any, inputs: tuple[Any, ...], output: tuple[Tensor, Tensor]) -> None:
    face_vertices, _, _, ctx.sigma, ctx.dist_eps = inputs
    ctx.save_for_backward(face_vertices, output[1])
    ctx.set_materialize_grads(False)


def _silhouette_backward(ctx: Any, grad_alpha: Tensor | None, _: Tensor | None) -> tuple[Any, ...]:
    if grad_alpha is None:
        return (None,) * 5
    face_vertices, transmittance = ctx.saved_tensors
    grad = _ops.soft_silhouette_backward(
        grad_alpha, face_vertices, transmittance, ctx.sigma, ctx.dist_eps
    )
    return grad, None, None, None, None


torch.library.register_autograd(
    "renderer_cuda::soft_silhouette",
    _silhouette_backward,
    setup_context=_save_silhouette,
    lib=_library,
)
torch.library.register_autograd(
    "renderer_cuda::soft_silhouette_backward", _refuse_double_backward, lib=_library
)


# ---- soft_rasterize ------------------------------------------------------------------------------

_SETTINGS = (
    "float sigma, float dist_eps, float gamma, float eps, float near, float far,"
    " bool hard_color, bool double_sided"
)
_library.define(
    "soft_rasterize(Tensor face_vertices, Tensor face_textures, Tensor background, int height,"
    f" int width, {_SETTINGS}) -> (Tensor rgba, Tensor transmittance, Tensor peak,"
    " Tensor partition, Tensor nearest_face)"
)
_library.define(
    "soft_rasterize_backward(Tensor grad_rgba, Tensor face_vertices, Tensor face_textures,"
    " Tensor rgba, Tensor transmittance, Tensor peak, Tensor partition, Tensor nearest_face,"
    f" {_SETTINGS}) -> (Tensor, Tensor)"
)


def soft_rasterize(
    face_vertices: Tensor,
    face_textures: Tensor,
    image_size: ImageSize,
    *,
    sigma: float = 1e-5,
    gamma: float = 1e-4,
    distance: str = "euclidean",
    alpha: str = "product",
    color: str = "softmax",
    texture: str = "vertex",
    dist_eps: float = 1e-4,
    eps: float = 1e-3,
    near: float = 1.0,
    far: float = 100.0,
    background: Sequence[float] = (0.0, 0.0, 0.0),
    double_sided: bool = True,
) -> Tensor:
    """Render faces softly to colour and alpha (arXiv 1904.01786, section 3).

    Alpha is that of `soft_silhouette`. Colour "softmax" is sum_i w_i c_i + w_b background with
    w = softmax(log D_i + z'_i / gamma) and eps / gamma for the background, where
    z' = (far - z) / (far - near) is the normalised depth (equations 3 and 4). Colour "hard" is that
    of the nearest face which contains the pixel centre, the first of equals. Colour and 1 / depth
    are mixed by the barycentric coordinates of the pixel, cut to [0, 1] and divided by their sum.

    The backward is the exact gradient of this forward to corners (x, y, z) and colours; the
    released SoftRas holds the barycentric coordinates constant and drops the alpha gradient of
    faces outside [near, far]. Differentiable once, to face_vertices and face_textures;
    deterministic.

    Args:
        face_vertices: [B, F, 3, 3] float32 or float64; NDC x (right), NDC y (up), view depth.
        face_textures: [B, F, 3, 3], RGB of the three corners.
        image_size: (height, width) in pixels, an int means square.
        sigma: Softness of the edges, in squared NDC units.
        gamma: Temperature of the softmax over depth, in units of normalised depth.
        distance: "euclidean".
        alpha: "product".
        color: "softmax" or "hard".
        texture: "vertex".
        dist_eps: Coverage outside of the face counts down to this value and is zero below.
        eps: Normalised depth of the background.
        near: Faces nearer have no colour at that pixel (alpha has no such bound); view depth.
        far: Faces farther have no colour at that pixel; view depth.
        background: RGB.
        double_sided: Whether faces whose corners run counter-clockwise on the picture have colour.

    Returns:
        RGBA [B, 4, H, W], row 0 on top.

    Raises:
        ValueError: An argument has the wrong shape, dtype, device or range.
        NotImplementedError: A second derivative is asked for.
    """
    check_face_vertices(face_vertices)
    check_face_textures(face_textures, face_vertices)
    check_modes(distance=distance, alpha=alpha, color=color, texture=texture)
    check_scalars(sigma=sigma, dist_eps=dist_eps, gamma=gamma, eps=eps, near=near, far=far)
    height, width = parse_image_size(image_size)
    if not build.available(face_vertices.device.type):
        return soft_rasterize_reference(
            face_vertices,
            face_textures,
            image_size,
            sigma=sigma,
            gamma=gamma,
            color=color,
            dist_eps=dist_eps,
            eps=eps,
            near=near,
            far=far,
            background=background,
            double_sided=double_sided,
        )
    behind = face_vertices.new_tensor(parse_background(background))
    settings = (sigma, dist_eps, gamma, eps, near, far, color == "hard", double_sided)
    rgba: Tensor = _ops.soft_rasterize(
        face_vertices, face_textures, behind, height, width, *settings
    )[0]
    return rgba


@torch.library.register_fake("renderer_cuda::soft_rasterize", lib=_library)
def _(
    face_vertices: Tensor,
    face_textures: Tensor,
    background: Tensor,
    height: int,
    width: int,
    sigma: float,
    dist_eps: float,
    gamma: float,
    eps: float,
    near: float,
    far: float,
    hard_color: bool,
    double_sided: bool,
) -> tuple[Tensor, ...]:
    images = face_vertices.shape[0]
    soft, hard = (0, images) if hard_color else (images, 0)
    return (
        face_vertices.new_empty((images, 4, height, width)),
        face_vertices.new_empty((images, height, width)),
        face_vertices.new_empty((soft, height, width)),
        face_vertices.new_empty((soft, height, width)),
        face_vertices.new_empty((hard, height, width), dtype=torch.int32),
    )


@torch.library.register_fake("renderer_cuda::soft_rasterize_backward", lib=_library)
def _(
    grad_rgba: Tensor, face_vertices: Tensor, face_textures: Tensor, *_: Any
) -> tuple[Tensor, Tensor]:
    return (
        face_vertices.new_empty(face_vertices.shape),
        face_textures.new_empty(face_textures.shape),
    )


def _save_rasterize(ctx: Any, inputs: tuple[Any, ...], output: tuple[Tensor, ...]) -> None:
    face_vertices, face_textures = inputs[:2]
    ctx.settings = inputs[5:]
    ctx.save_for_backward(face_vertices, face_textures, *output)
    ctx.set_materialize_grads(False)


def _rasterize_backward(ctx: Any, grad_rgba: Tensor | None, *_: Any) -> tuple[Any, ...]:
    if grad_rgba is None:
        return (None,) * 13
    grads = _ops.soft_rasterize_backward(grad_rgba, *ctx.saved_tensors, *ctx.settings)
    return (*grads, *(None,) * 11)


torch.library.register_autograd(
    "renderer_cuda::soft_rasterize",
    _rasterize_backward,
    setup_context=_save_rasterize,
    lib=_library,
)
torch.library.register_autograd(
    "renderer_cuda::soft_rasterize_backward", _refuse_double_backward, lib=_library
)
