"""The contract of the rasterizer's ops: schema, validation, fake kernel, autograd, docstring.

Each op is defined here and implemented for the CPU and for CUDA by the libraries of
`renderer_cuda.build`. The public functions validate, make sure the kernels are loaded, and call the
op; where no kernels can be had they call the oracle of `renderer_cuda.reference` instead.
"""

from __future__ import annotations

from typing import Any

import torch
from torch import Tensor

from renderer_cuda import build
from renderer_cuda.reference import (
    count_skipped_faces_reference,
    soft_rasterize_reference,
    soft_silhouette_reference,
)
from renderer_cuda.validation import (
    MODES,
    Background,
    ImageSize,
    check_face_textures,
    check_face_vertices,
    check_modes,
    check_scalars,
    count_images,
    pack_faces,
    parse_background,
    parse_image_size,
)

_library = torch.library.Library("renderer_cuda", "FRAGMENT")
_ops = torch.ops.renderer_cuda


def count_skipped_faces(face_vertices: Tensor, *, first_face: Tensor | None = None) -> Tensor:
    """Count the faces which the renders leave out because they cannot be drawn.

    Those are faces with a coordinate that is not finite or whose squares overflow, with a corner
    not in front of the camera, with an edge too short to have a direction, or with an area that is
    zero to rounding.

    Args:
        face_vertices: [B, F, 3, 3] float32 or float64; NDC x, NDC y, view depth. Or packed
            [N, 3, 3] with first_face.
        first_face: [B + 1] int64, see `soft_silhouette`.

    Returns:
        [B] int64.

    Raises:
        ValueError: An argument has the wrong shape or dtype.
    """
    return count_skipped_faces_reference(face_vertices, first_face=first_face)


def _refuse_double_backward(ctx: Any, *grads: Tensor) -> None:
    raise NotImplementedError(
        "the soft rasterizer has no second derivative: call backward without create_graph"
    )


def _numbers(**chosen: str) -> tuple[int, ...]:
    """Return modes as the kernels number them; 0 is no colour (parameters.h)."""
    return tuple(MODES[name].index(mode) + (name == "color") for name, mode in chosen.items())


# ---- soft_silhouette -----------------------------------------------------------------------------

# face_vertices is [N, 3, 3]; first_face is [B + 1], or [0] when the N faces are B equal meshes.
_library.define(
    "soft_silhouette(Tensor face_vertices, Tensor first_face, int images, int height, int width,"
    " float sigma, float dist_eps, int distance, int alpha_mode)"
    " -> (Tensor alpha, Tensor transmittance)"
)
_library.define(
    "soft_silhouette_backward(Tensor grad_alpha, Tensor face_vertices, Tensor first_face,"
    " Tensor transmittance, float sigma, float dist_eps, int distance, int alpha_mode) -> Tensor"
)


def soft_silhouette(
    face_vertices: Tensor,
    image_size: ImageSize,
    *,
    first_face: Tensor | None = None,
    sigma: float = 1e-5,
    distance: str = "euclidean",
    alpha: str = "product",
    dist_eps: float = 1e-4,
) -> Tensor:
    """Render soft silhouettes: alpha from the coverages D of faces (arXiv 1904.01786, equation 5).

    D = sigmoid(+-d^2 / sigma) is the coverage of a pixel by a face, d the distance of the pixel
    centre to the outline of the face, positive inside (equation 1). Faces with a coordinate that is
    not finite, a depth <= 0 or an area of zero are left out (the released SoftRas lets one NaN
    poison the image, mirrors faces behind the camera and draws flat ones at one half).
    Differentiable once to face_vertices (x and y; depth has no part in it); deterministic.

    Args:
        face_vertices: [B, F, 3, 3] float32 or float64; NDC x (right), NDC y (up), view depth. Or
            [N, 3, 3], the faces of B different meshes one after the other, with first_face.
        image_size: (height, width) in pixels, an int means square.
        first_face: [B + 1] int64 on the device of face_vertices, for packed meshes: image b shows
            the faces first_face[b], ..., first_face[b + 1] - 1. Read by the host.
        sigma: Softness of the edges, in squared NDC units.
        distance: "euclidean" as above; "barycentric", where the least barycentric coordinate of
            the pixel takes the place of d; or "hard", where D is 1 within the outline and 0
            elsewhere.
        alpha: "product" is 1 - prod(1 - D), "sum" is sum(D) / F, and "hard" is 1 where any D is
            above one half and has no gradient.
        dist_eps: Coverage outside of the face counts down to this value and is zero below.

    Returns:
        Alpha [B, H, W] in [0, 1], row 0 on top.

    Raises:
        ValueError: An argument has the wrong shape, dtype or range.
        NotImplementedError: A second derivative is asked for.
    """
    check_face_vertices(face_vertices, first_face)
    check_modes(distance=distance, alpha=alpha)
    check_scalars(sigma=sigma, dist_eps=dist_eps)
    height, width = parse_image_size(image_size)
    if not build.available(face_vertices.device.type):
        return soft_silhouette_reference(
            face_vertices,
            image_size,
            first_face=first_face,
            sigma=sigma,
            distance=distance,
            alpha=alpha,
            dist_eps=dist_eps,
        )
    rendered: Tensor
    rendered, _ = _ops.soft_silhouette(
        *pack_faces(face_vertices, first_face),
        count_images(face_vertices, first_face),
        *(height, width, sigma, dist_eps),
        *_numbers(distance=distance, alpha=alpha),
    )
    return rendered


@torch.library.register_fake("renderer_cuda::soft_silhouette", lib=_library)
def _(
    face_vertices: Tensor,
    first_face: Tensor,
    images: int,
    height: int,
    width: int,
    sigma: float,
    dist_eps: float,
    distance: int,
    alpha_mode: int,
) -> tuple[Tensor, Tensor]:
    product = alpha_mode == MODES["alpha"].index("product")
    return (
        face_vertices.new_empty((images, height, width)),
        face_vertices.new_empty((images if product else 0, height, width)),
    )


@torch.library.register_fake("renderer_cuda::soft_silhouette_backward", lib=_library)
def _(grad_alpha: Tensor, face_vertices: Tensor, *_: Any) -> Tensor:
    return face_vertices.new_empty(face_vertices.shape)


def _save_silhouette(ctx: Any, inputs: tuple[Any, ...], output: tuple[Tensor, Tensor]) -> None:
    face_vertices, first_face = inputs[:2]
    ctx.settings = inputs[5:]
    ctx.save_for_backward(face_vertices, first_face, output[1])
    ctx.set_materialize_grads(False)


def _silhouette_backward(ctx: Any, grad_alpha: Tensor | None, _: Tensor | None) -> tuple[Any, ...]:
    if grad_alpha is None:
        return (None,) * 9
    grad = _ops.soft_silhouette_backward(grad_alpha, *ctx.saved_tensors, *ctx.settings)
    return (grad, *(None,) * 8)


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
    " int distance, int alpha_mode, int color, int texture, bool double_sided"
)
_library.define(
    "soft_rasterize(Tensor face_vertices, Tensor face_textures, Tensor background,"
    f" Tensor first_face, int images, int height, int width, {_SETTINGS}) -> (Tensor rgba,"
    " Tensor transmittance, Tensor peak, Tensor partition, Tensor nearest_face)"
)
_library.define(
    "soft_rasterize_backward(Tensor grad_rgba, Tensor face_vertices, Tensor face_textures,"
    " Tensor first_face, Tensor rgba, Tensor transmittance, Tensor peak, Tensor partition,"
    f" Tensor nearest_face, {_SETTINGS}) -> (Tensor, Tensor)"
)


def soft_rasterize(
    face_vertices: Tensor,
    face_textures: Tensor,
    image_size: ImageSize,
    *,
    first_face: Tensor | None = None,
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
    background: Background = (0.0, 0.0, 0.0),
    double_sided: bool = True,
) -> Tensor:
    """Render faces softly to colour and alpha (arXiv 1904.01786, section 3).

    Alpha is that of `soft_silhouette`. Colour "softmax" is sum_i w_i c_i + w_b background with
    w = softmax(log D_i + z'_i / gamma) and eps / gamma for the background, where
    z' = (far - z) / (far - near) is the normalised depth (equations 3 and 4). Colour "hard" is that
    of the nearest face which contains the pixel centre, the first of equals. Colours of corners and
    1 / depth are mixed by the barycentric coordinates of the pixel, cut to [0, 1] and divided by
    their sum; a texel is looked up by them.

    The backward is the exact gradient of this forward to corners (x, y, z), colours and the
    background; the released SoftRas holds the barycentric coordinates constant, drops the alpha
    gradient of faces outside [near, far], reads beyond the texels and has a gradient for alpha
    "hard". Differentiable once, to face_vertices, face_textures and a background that is a tensor;
    deterministic.

    Args:
        face_vertices: [B, F, 3, 3] float32 or float64; NDC x (right), NDC y (up), view depth. Or
            [N, 3, 3], the faces of B different meshes one after the other, with first_face.
        face_textures: [B, F, 3, 3] (packed [N, 3, 3]), RGB of the three corners; or, with texture
            "surface", [B, F, R*R, 3] (packed [N, R*R, 3]), RGB of R*R texels, R from 1 to 64: row
            j and column i hold the point with w_0 = i / R and w_1 = j / R where that is on the
            face, and the others the rest of it, turned.
        image_size: (height, width) in pixels, an int means square.
        first_face: [B + 1] int64, see `soft_silhouette`.
        sigma: Softness of the edges, in squared NDC units.
        gamma: Temperature of the softmax over depth, in units of normalised depth.
        distance: "euclidean", "barycentric" or "hard", see `soft_silhouette`.
        alpha: "product", "sum" or "hard", see `soft_silhouette`.
        color: "softmax" or "hard".
        texture: "vertex" or "surface".
        dist_eps: Coverage outside of the face counts down to this value and is zero below.
        eps: Normalised depth of the background.
        near: Faces nearer have no colour at that pixel (alpha has no such bound); view depth.
        far: Faces farther have no colour at that pixel; view depth.
        background: RGB: three numbers, a tensor [3], or one image for each mesh [B, 3, H, W].
        double_sided: Whether faces whose corners run counter-clockwise in the image have colour.

    Returns:
        RGBA [B, 4, H, W], row 0 on top.

    Raises:
        ValueError: An argument has the wrong shape, dtype, device or range.
        NotImplementedError: A second derivative is asked for.
    """
    check_face_vertices(face_vertices, first_face)
    check_modes(distance=distance, alpha=alpha, color=color, texture=texture)
    check_face_textures(face_textures, face_vertices, texture)
    check_scalars(sigma=sigma, dist_eps=dist_eps, gamma=gamma, eps=eps, near=near, far=far)
    height, width = parse_image_size(image_size)
    images = count_images(face_vertices, first_face)
    behind = parse_background(background, face_vertices, images, height, width)
    if not build.available(face_vertices.device.type):
        return soft_rasterize_reference(
            face_vertices,
            face_textures,
            image_size,
            first_face=first_face,
            sigma=sigma,
            gamma=gamma,
            distance=distance,
            alpha=alpha,
            color=color,
            texture=texture,
            dist_eps=dist_eps,
            eps=eps,
            near=near,
            far=far,
            background=behind,
            double_sided=double_sided,
        )
    faces, offsets = pack_faces(face_vertices, first_face)
    rgba: Tensor = _ops.soft_rasterize(
        faces,
        face_textures if first_face is not None else face_textures.flatten(0, 1),
        behind,
        offsets,
        *(images, height, width),
        *(sigma, dist_eps, gamma, eps, near, far),
        *_numbers(distance=distance, alpha=alpha, color=color, texture=texture),
        double_sided,
    )[0]
    return rgba


@torch.library.register_fake("renderer_cuda::soft_rasterize", lib=_library)
def _(
    face_vertices: Tensor,
    face_textures: Tensor,
    background: Tensor,
    first_face: Tensor,
    images: int,
    height: int,
    width: int,
    *settings: Any,
) -> tuple[Tensor, ...]:
    alpha_mode, color = settings[7:9]
    product = images if alpha_mode == MODES["alpha"].index("product") else 0
    soft = images if color == MODES["color"].index("softmax") + 1 else 0
    return (
        face_vertices.new_empty((images, 4, height, width)),
        face_vertices.new_empty((product, height, width)),
        face_vertices.new_empty((soft, height, width)),
        face_vertices.new_empty((soft, height, width)),
        face_vertices.new_empty((images - soft, height, width), dtype=torch.int32),
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
    face_vertices, face_textures, background, first_face = inputs[:4]
    ctx.background_shape = background.shape
    ctx.settings = inputs[7:]
    ctx.save_for_backward(face_vertices, face_textures, first_face, *output)
    ctx.set_materialize_grads(False)


def _background_share(ctx: Any) -> Tensor:
    """Return the weight [B, H, W] of the background in the colour of each pixel."""
    faces, textures, first_face, *_, peak, partition, nearest_face = ctx.saved_tensors
    if len(nearest_face) > 0 or len(peak) == 0:
        return nearest_face < 0
    # The weight as the kernels hold it, to the bit: a pixel that shows nothing else. At small gamma
    # the digits of the logit that decide its fraction depend on the processor's arithmetic.
    nothing = (faces[:0], textures[:0], faces.new_zeros(3), first_face.new_zeros(2), 1, 1, 1)
    _, _, exponent, fraction, _ = _ops.soft_rasterize(*nothing, *ctx.settings)
    behind = (exponent - peak).clamp(max=0)
    share = fraction * torch.exp2(behind) / partition
    return share.where(behind > -100, 0)  # no denormal number, as in the kernels


def _rasterize_backward(ctx: Any, grad_rgba: Tensor | None, *_: Any) -> tuple[Any, ...]:
    if grad_rgba is None:
        return (None,) * 18
    grads = _ops.soft_rasterize_backward(grad_rgba, *ctx.saved_tensors, *ctx.settings)
    grad_background = None
    if ctx.needs_input_grad[2]:
        grad_background = grad_rgba[:, :3] * _background_share(ctx)[:, None]
        if len(ctx.background_shape) == 1:
            grad_background = grad_background.sum((0, 2, 3))
    return (*grads, grad_background, *(None,) * 15)


torch.library.register_autograd(
    "renderer_cuda::soft_rasterize",
    _rasterize_backward,
    setup_context=_save_rasterize,
    lib=_library,
)
torch.library.register_autograd(
    "renderer_cuda::soft_rasterize_backward", _refuse_double_backward, lib=_library
)
