"""The contract of the rasterizer's ops: schema, validation, fake kernel, autograd, docstring.

Each op is defined here and implemented for the CPU and for CUDA by the libraries of
`renderer_cuda.build`. The public functions validate, make sure the kernels are loaded, and call the
op; where no kernels can be had they call the oracle of `renderer_cuda.reference` instead.
"""

from __future__ import annotations

import functools
from collections.abc import Callable
from typing import Any

import torch
from torch import Tensor

from renderer_cuda import build, transforms
from renderer_cuda.layers import layered_rasterize
from renderer_cuda.reference import (
    count_skipped_faces_reference,
    soft_rasterize_reference,
    soft_silhouette_reference,
)
from renderer_cuda.validation import (
    COLORS,
    LAYER_MODES,
    MODES,
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
    pack_faces,
    pack_scalars,
    parse_background,
    parse_family,
    parse_image_size,
    widen,
)

_library = torch.library.Library("renderer_cuda", "FRAGMENT")
_ops = torch.ops.renderer_cuda


def count_skipped_faces(
    face_vertices: Tensor,
    face_textures: Tensor | None = None,
    *,
    first_face: Tensor | None = None,
) -> Tensor:
    """Count the faces which the renders leave out because they cannot be drawn.

    Those are faces with a coordinate that is not finite or whose squares overflow, with a corner
    not in front of the camera, with an edge too short to have a direction, or with an area that is
    zero to rounding; and, where colours are given, faces with a colour that is not finite.

    Args:
        face_vertices: [B, F, 3, 3] float32 or float64; NDC x, NDC y, view depth. Or packed
            [N, 3, 3] with first_face.
        face_textures: Colours of the faces as `soft_rasterize` takes them, or None for silhouettes.
        first_face: [B + 1] int64, see `soft_silhouette`.

    Returns:
        [B] int64.

    Raises:
        ValueError: An argument has the wrong shape or dtype.
    """
    return count_skipped_faces_reference(face_vertices, face_textures, first_face=first_face)


def _keeps_state(alpha_mode: int) -> bool:
    """Return whether the backward reads what the forward writes of alpha at each pixel."""
    return MODES["alpha"][alpha_mode] not in ("sum", "hard")


def _numbers(**chosen: str) -> tuple[int, ...]:
    """Return modes as the kernels number them; 0 is no colour (parameters.h)."""
    known = MODES | LAYER_MODES | {"color": COLORS}
    return tuple(known[name].index(mode) + (name == "color") for name, mode in chosen.items())


def _flat(numbers: Tensor | None, faces: Tensor) -> Tensor:
    """Return a number for each face of the batch as [N], or nothing as [0]."""
    return faces.new_empty(0) if numbers is None else numbers.flatten()


# ---- soft_silhouette -----------------------------------------------------------------------------

# face_vertices is [N, 3, 3]; first_face is [B + 1], or [0] when the N faces are B equal meshes;
# scalars is sigma, dist_eps, dist_shape, dist_shift and alpha_parameter, float64 on the host.
_library.define(
    "soft_silhouette(Tensor face_vertices, Tensor first_face, int images, int height, int width,"
    " Tensor scalars, int distance, int alpha_mode, int distribution, bool squared)"
    " -> (Tensor alpha, Tensor transmittance)"
)
_library.define(
    "soft_silhouette_backward(Tensor grad_alpha, Tensor face_vertices, Tensor first_face,"
    " Tensor transmittance, Tensor scalars, int distance, int alpha_mode, int distribution,"
    " bool squared) -> Tensor"
)


def soft_silhouette(
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
    """Render soft silhouettes: alpha from the coverages D of faces (arXiv 1904.01786, equation 5).

    D = sigmoid(+-d^2 / sigma) is the coverage of a pixel by a face, d the distance of the pixel
    centre to the outline of the face, positive inside (equation 1). Other distributions and
    t-conorms are those of GenDR (arXiv 2204.13845); docs/soft_rasterizers.md has their formulas.
    Faces with a coordinate that is not finite, a depth <= 0 or an area of zero are left out (the
    released SoftRas lets one NaN poison the image, mirrors faces behind the camera and draws flat
    ones at one half).
    Differentiable once to face_vertices (x and y; depth has no part in it), face_opacity and
    face_sigma; deterministic.

    Args:
        face_vertices: [B, F, 3, 3] float32 or float64; NDC x (right), NDC y (up), view depth. Or
            [N, 3, 3], the faces of B different meshes one after the other, with first_face. float16
            and bfloat16 are taken, too, and computed in float32.
        image_size: (height, width) in pixels, an int means square.
        first_face: [B + 1] int64, for packed meshes: image b shows the faces first_face[b], ...,
            first_face[b + 1] - 1. Either on the CPU, where its values are checked; or on the device
            of face_vertices, where they are taken to rise from 0 to N, as a look would wait.
        sigma: Softness of the edges, in squared NDC units. A tensor [] changes without a new
            compilation; compiled code does not read it (the op does, so it should be on the CPU).
        distance: "euclidean" as above; "barycentric", where the least barycentric coordinate of
            the pixel takes the place of d; or "hard", where D is 1 within the outline and 0
            elsewhere.
        distribution: The cumulative function that makes D of the distance: "logistic" as above, or
            "uniform", "cubic_hermite", "wigner_semicircle", "gaussian", "laplace", "gudermannian",
            "cauchy", "reciprocal", "gumbel_max", "gumbel_min", "exponential", "exponential_rev",
            "gamma", "gamma_rev", "levy" or "levy_rev".
        squared: Whether that is a function of the signed square of the distance, +-d^2 / sigma;
            or else of the signed distance, +-d / sqrt(sigma).
        dist_shape: The shape of "gamma" and "gamma_rev", from 0.01 to 100; None is 2.
        dist_shift: By how much +-d^2 / sigma is increased for the distributions "exponential",
            "gamma" and "levy", and decreased for those that end in "_rev"; None is 0.
        alpha: "product" is 1 - prod(1 - D), "sum" is sum(D) / F, and "hard" is 1 where any D is
            above one half and has no gradient. Other t-conorms: "maximum", whose gradient goes to
            the first of the faces of the greatest D, "einstein", "hamacher", "frank", "yager",
            "aczel_alsina", "dombi" and "schweizer_sklar".
        alpha_parameter: The parameter p of the t-conorm: of "hamacher" from 0 (the default), of
            "frank" positive and not 1 (2), of "yager", "aczel_alsina" and "dombi" from 0.1 to 100
            (2), and of "schweizer_sklar" from -100 to -0.01 (-2).
        dist_eps: Coverage outside of the face counts down to this value and is zero below.
        face_opacity: [B, F] (packed [N]) in [0, 1]: the opacity o of each face, whose product o D
            takes the place of D in alpha. None stands for 1.
        face_sigma: [B, F] (packed [N]) > 0: sigma of each face in place of that of all.

    Returns:
        Alpha [B, H, W] in [0, 1], row 0 on top.

    Raises:
        ValueError: An argument has the wrong shape, dtype or range.
        NotImplementedError: A second derivative is asked for.
    """
    face_vertices = widen(face_vertices)
    check_face_vertices(face_vertices, first_face)
    check_modes(distance=distance, distribution=distribution, alpha=alpha)
    check_flags(squared=squared)
    check_scalars(sigma=sigma, dist_eps=dist_eps)
    face_opacity, face_sigma = widen(face_opacity), widen(face_sigma)
    check_numbers_of_faces(face_vertices, face_opacity, face_sigma)
    family = parse_family(distribution, alpha, dist_shape, dist_shift, alpha_parameter)
    height, width = parse_image_size(image_size)
    if not build.available(face_vertices.device.type):
        return soft_silhouette_reference(
            face_vertices,
            image_size,
            first_face=first_face,
            sigma=sigma,
            distance=distance,
            distribution=distribution,
            squared=squared,
            dist_shape=dist_shape,
            dist_shift=dist_shift,
            alpha=alpha,
            alpha_parameter=alpha_parameter,
            dist_eps=dist_eps,
            face_opacity=face_opacity,
            face_sigma=face_sigma,
        )
    if face_opacity is not None or face_sigma is not None:
        faces, offsets = pack_faces(face_vertices, first_face)
        return layered_rasterize(
            *(faces, torch.zeros_like(faces)),
            *(_flat(face_opacity, faces), _flat(face_sigma, faces), faces.new_zeros(3)),
            *(offsets, count_images(face_vertices, first_face), height, width),
            pack_scalars(sigma, dist_eps, *family, 1.0, 0.0, 1.0, 2.0, 0.0),
            *_numbers(distance=distance, alpha=alpha, distribution=distribution),
            *(squared, 0, 0, 0, 0, True, False, False),
        )[:, 3]
    rendered: Tensor
    rendered, _ = transforms.call(
        _Silhouette,
        _ops.soft_silhouette,
        *pack_faces(face_vertices, first_face),
        count_images(face_vertices, first_face),
        *(height, width, pack_scalars(sigma, dist_eps, *family)),
        *_numbers(distance=distance, alpha=alpha, distribution=distribution),
        squared,
    )
    return rendered


@torch.library.register_fake("renderer_cuda::soft_silhouette", lib=_library)
def _(
    face_vertices: Tensor,
    first_face: Tensor,
    images: int,
    height: int,
    width: int,
    scalars: Tensor,
    distance: int,
    alpha_mode: int,
    *_: Any,
) -> tuple[Tensor, Tensor]:
    return (
        face_vertices.new_empty((images, height, width)),
        face_vertices.new_empty((images if _keeps_state(alpha_mode) else 0, height, width)),
    )


@torch.library.register_fake("renderer_cuda::soft_silhouette_backward", lib=_library)
def _(grad_alpha: Tensor, face_vertices: Tensor, *_: Any) -> Tensor:
    return face_vertices.new_empty(face_vertices.shape)


def _save_silhouette(ctx: Any, inputs: tuple[Any, ...], output: tuple[Tensor, Tensor]) -> None:
    face_vertices, first_face, _, _, _, scalars, *modes = inputs
    ctx.modes = modes
    ctx.save_for_backward(face_vertices, first_face, output[1], scalars)
    ctx.set_materialize_grads(False)


def _silhouette_gradient(
    gradient: Callable[..., Tensor], ctx: Any, grad_alpha: Tensor | None, _: Tensor | None
) -> tuple[Any, ...]:
    """Return the gradient of every input by the op, or Function, that computes it."""
    if grad_alpha is None:
        return (None,) * 10
    return (gradient(grad_alpha, *ctx.saved_tensors, *ctx.modes), *(None,) * 9)


class _Silhouette(torch.autograd.Function):
    """The op soft_silhouette with the rules of torch.func."""

    jvp = staticmethod(transforms.refuse_forward_mode)

    @staticmethod
    def forward(*inputs: Any) -> tuple[Tensor, Tensor]:
        """Call the op."""
        outputs: tuple[Tensor, Tensor] = _ops.soft_silhouette(*inputs)
        return outputs

    @staticmethod
    def setup_context(ctx: Any, inputs: tuple[Any, ...], output: tuple[Tensor, Tensor]) -> None:
        """Save what the backward reads."""
        _save_silhouette(ctx, inputs, output)
        ctx.mark_non_differentiable(output[1])

    @staticmethod
    def backward(ctx: Any, *grads: Any) -> tuple[Any, ...]:
        """Call the op of the backward."""
        return _silhouette_gradient(_SilhouetteBackward.apply, ctx, *grads)

    @staticmethod
    def vmap(info: Any, in_dims: tuple[Any, ...], *inputs: Any) -> tuple[Any, ...]:
        """Render all batches as one."""
        size, (faces, first_face, images, height, width, scalars, *modes) = info.batch_size, inputs
        transforms.refuse_batched("first_face", in_dims[1])
        transforms.refuse_batched("sigma", in_dims[5])
        folded = transforms.fold(faces, in_dims[0], size)
        offsets = transforms.fold_offsets(first_face, len(folded) // size, size)
        batch = (folded, offsets, images * size, height, width, scalars)
        outputs = _Silhouette.apply(*batch, *modes)
        return tuple(transforms.unfold(output, size) for output in outputs), (0, 0)


class _SilhouetteBackward(torch.autograd.Function):
    """The op soft_silhouette_backward with the rules of torch.func."""

    jvp = staticmethod(transforms.refuse_forward_mode)
    backward = staticmethod(transforms.refuse_double_backward)

    @staticmethod
    def forward(*inputs: Any) -> Tensor:
        """Call the op."""
        grad: Tensor = _ops.soft_silhouette_backward(*inputs)
        return grad

    @staticmethod
    def setup_context(ctx: Any, inputs: tuple[Any, ...], output: Tensor) -> None:
        """Save nothing: there is no second derivative."""

    @staticmethod
    def vmap(info: Any, in_dims: tuple[Any, ...], *inputs: Any) -> tuple[Tensor, int]:
        """Gather the gradients of all batches as one."""
        size, (grad_alpha, faces, first_face, transmittance, *settings) = info.batch_size, inputs
        folded = [
            transforms.fold(tensor, dim, size)
            for tensor, dim in ((grad_alpha, in_dims[0]), (faces, in_dims[1]))
        ]
        offsets = transforms.fold_offsets(first_face, len(folded[1]) // size, size)
        through = transforms.fold(transmittance, in_dims[3], size)
        grad = _SilhouetteBackward.apply(*folded, offsets, through, *settings)
        return transforms.unfold(grad, size), 0


torch.library.register_autograd(
    "renderer_cuda::soft_silhouette",
    functools.partial(_silhouette_gradient, _ops.soft_silhouette_backward),
    setup_context=_save_silhouette,
    lib=_library,
)
torch.library.register_autograd(
    "renderer_cuda::soft_silhouette_backward", transforms.refuse_double_backward, lib=_library
)


# ---- soft_rasterize ------------------------------------------------------------------------------

# scalars is that of soft_silhouette, then gamma, eps, near and far, float64 on the host.
_SETTINGS = (
    "Tensor scalars, int distance, int alpha_mode, int distribution, bool squared, int color,"
    " int texture, bool double_sided, bool perspective_correct, bool detach_barycentric"
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
    """Render faces softly to colour and alpha (arXiv 1904.01786, section 3).

    Alpha is that of `soft_silhouette`, but a face with a colour that is not finite is left out,
    from alpha, too. Colour "softmax" is sum_i w_i c_i + w_b background with
    w = softmax(log D_i + z'_i / gamma) and eps / gamma for the background, where
    z' = (far - z) / (far - near) is the normalised depth (equations 3 and 4). Colour "hard" is that
    of the nearest face which contains the pixel centre, the first of equals. Colours of corners and
    1 / depth are mixed by the barycentric coordinates of the pixel, cut to [0, 1] and divided by
    their sum; a texel is looked up by them (see perspective_correct).

    Colour "over" composes the faces that have colour at a pixel front to back. With their opacities
    a_i = face_opacity_i W_i there, where the window W_i is the coverage D_i by default, sorted by
    depth, and T_i = prod_{j<i} (1 - a_j), colour is sum_i T_i a_i c_i + T_end background and alpha
    is 1 - T_end, of the same faces (Porter and Duff 1984). Depth decides the order and has no
    gradient from it. The fragments, the pairs of a face and a pixel that shows it, are held while
    they are sorted and again in the backward, some 40 bytes each in float32 and as many as there
    are; nothing of them is kept between the two. On CUDA the host waits for their number.

    The backward is the exact gradient of this forward to corners (x, y, z), colours and the
    background, unless detach_barycentric is set; the released SoftRas holds the barycentric
    coordinates constant, drops the alpha gradient of faces outside [near, far], reads beyond the
    texels and has a gradient for alpha "hard". Differentiable once, to face_vertices, face_textures
    and a background that is a tensor; deterministic.

    Args:
        face_vertices: [B, F, 3, 3] float32 or float64; NDC x (right), NDC y (up), view depth. Or
            [N, 3, 3], the faces of B different meshes one after the other, with first_face. float16
            and bfloat16 are taken, too, here and for colours, and computed in float32.
        face_textures: [B, F, 3, 3] (packed [N, 3, 3]), RGB of the three corners; or, with texture
            "surface", [B, F, R*R, 3] (packed [N, R*R, 3]), RGB of R*R texels, R from 1 to 64: row
            j and column i hold the point with w_0 = i / R and w_1 = j / R where that is on the
            face, and the others the rest of it, turned.
        image_size: (height, width) in pixels, an int means square.
        first_face: [B + 1] int64, see `soft_silhouette`.
        sigma: Softness of the edges, in squared NDC units. It may be a tensor [], see
            `soft_silhouette`.
        gamma: Temperature of the softmax over depth, in units of normalised depth. It may be a
            tensor [].
        distance: "euclidean", "barycentric" or "hard", see `soft_silhouette`.
        distribution: The cumulative function that makes coverage of the distance, see
            `soft_silhouette`.
        squared: Whether it is a function of the square of the distance, see `soft_silhouette`.
        dist_shape: The shape of the distribution, see `soft_silhouette`.
        dist_shift: The shift of the distribution, see `soft_silhouette`.
        alpha: "product", "sum", "hard" or another t-conorm, see `soft_silhouette`.
        alpha_parameter: The parameter of the t-conorm, see `soft_silhouette`.
        color: "softmax", "hard" or "over". With "over" alpha has to be "product", and gamma and eps
            have no part.
        texture: "vertex" or "surface".
        dist_eps: Coverage outside of the face counts down to this value and is zero below.
        eps: Normalised depth of the background.
        near: Faces nearer have no colour at that pixel (alpha has no such bound); view depth.
        far: Faces farther have no colour at that pixel; view depth.
        background: RGB: three numbers, a tensor [3], or one image for each mesh [B, 3, H, W].
        double_sided: Whether faces whose corners run counter-clockwise in the image have colour.
        perspective_correct: Whether colours and texels are those of the point of the face which the
            pixel shows: barycentric coordinates w_j / z_j, divided by their sum. The paper, and the
            default, mix by those of the image, w_j, which is off where depth varies within a face.
        face_opacity: [B, F] (packed [N]) in [0, 1]: the opacity o_i of each face, with a gradient.
            o_i D_i takes the place of D_i in alpha and in the weights of the softmax; in "hard"
            colours, where coverage has no part, the nearest face hides the others whatever its
            opacity. None stands for 1.
        face_sigma: [B, F] (packed [N]) > 0: sigma of each face in place of that of all, with a
            gradient.
        window: How the opacity of a face falls off, for color "over". "distribution" is the
            coverage D; the others have no part of the distribution, which has to be the default
            then. With x = +-d^2 / sigma "exp_clipped" is exp(min(x, 0)), which is 1 inside, so that
            neighbours leave no seam. In the other two sigma is a power, without a unit: "incenter"
            is (d / r)^sigma inside and 0 outside, with the distance d to the nearest edge and the
            radius r of the incircle (Held et al. 2025, "Triangle Splatting"); "compact" is
            exp(-e^(2 sigma) / 2) with e = 1 - 3 min_k w_k of the barycentric coordinates (Sheng et
            al. 2025, "2D Triangle Splatting").
        order: Faces are sorted, for color "over", by their depth at the "pixel", or by the mean
            depth of their corners ("centroid"); of equals the first is in front.
        stop_transmittance: Faces behind a transmittance T_i below this are left out, for color
            "over"; 0 leaves out none.
        detach_barycentric: Whether the backward holds the barycentric coordinates constant from
            which depth and colour at the pixel are mixed, as that of the released SoftRas does: a
            face that moves changes its coverage and the depths of its corners, but not the place on
            it that a pixel shows. The image is the same. Coverage by distance "barycentric" and the
            windows of "over" keep their gradients.

    Returns:
        RGBA [B, 4, H, W], row 0 on top.

    Raises:
        ValueError: An argument has the wrong shape, dtype, device or range.
        NotImplementedError: A second derivative is asked for.
    """
    face_vertices, face_textures = widen(face_vertices), widen(face_textures)
    background = widen(background)
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
    face_opacity, face_sigma = widen(face_opacity), widen(face_sigma)
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
    family = parse_family(distribution, alpha, dist_shape, dist_shift, alpha_parameter)
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
            distribution=distribution,
            squared=squared,
            dist_shape=dist_shape,
            dist_shift=dist_shift,
            alpha=alpha,
            alpha_parameter=alpha_parameter,
            color=color,
            texture=texture,
            dist_eps=dist_eps,
            eps=eps,
            near=near,
            far=far,
            background=behind,
            double_sided=double_sided,
            perspective_correct=perspective_correct,
            face_opacity=face_opacity,
            face_sigma=face_sigma,
            window=window,
            order=order,
            stop_transmittance=stop_transmittance,
            detach_barycentric=detach_barycentric,
        )
    faces, offsets = pack_faces(face_vertices, first_face)
    textures = face_textures if first_face is not None else face_textures.flatten(0, 1)
    if color == "over" or face_opacity is not None or face_sigma is not None:
        return layered_rasterize(
            *(faces, textures, _flat(face_opacity, faces), _flat(face_sigma, faces), behind),
            *(offsets, images, height, width),
            pack_scalars(sigma, dist_eps, *family, gamma, eps, near, far, stop_transmittance),
            *_numbers(distance=distance, alpha=alpha, distribution=distribution),
            squared,
            *_numbers(color=color, texture=texture, window=window, order=order),
            *(double_sided, perspective_correct, detach_barycentric),
        )
    rgba: Tensor = transforms.call(
        _Rasterize,
        _ops.soft_rasterize,
        faces,
        textures,
        behind,
        offsets,
        *(images, height, width),
        pack_scalars(sigma, dist_eps, *family, gamma, eps, near, far),
        *_numbers(distance=distance, alpha=alpha, distribution=distribution),
        squared,
        *_numbers(color=color, texture=texture),
        *(double_sided, perspective_correct, detach_barycentric),
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
    alpha_mode, color = settings[2], settings[5]
    kept = images if _keeps_state(alpha_mode) else 0
    soft = images if color == MODES["color"].index("softmax") + 1 else 0
    return (
        face_vertices.new_empty((images, 4, height, width)),
        face_vertices.new_empty((kept, height, width)),
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
    face_vertices, face_textures, background, first_face, _, _, _, scalars, *modes = inputs
    ctx.background_shape = background.shape
    ctx.modes = modes
    ctx.save_for_backward(face_vertices, face_textures, first_face, *output, scalars)
    ctx.set_materialize_grads(False)


def _background_share(ctx: Any) -> Tensor:
    """Return the weight [B, H, W] of the background in the colour of each pixel."""
    faces, textures, _, *_, peak, partition, nearest_face, scalars = ctx.saved_tensors
    if len(nearest_face) > 0 or len(peak) == 0:
        return nearest_face < 0
    # The weight as the kernels hold it, to the bit: a pixel that shows nothing else. At small gamma
    # the digits of the logit that decide its fraction depend on the processor's arithmetic.
    options: dict[str, Any] = {"dtype": faces.dtype, "device": faces.device}
    nothing = (
        torch.zeros(0, 3, 3, **options),
        torch.zeros(0, textures.shape[1], 3, **options),
        torch.zeros(3, **options),
        torch.zeros(2, dtype=torch.int64),
    )
    _, _, exponent, fraction, _ = _ops.soft_rasterize(*nothing, 1, 1, 1, scalars, *ctx.modes)
    behind = (exponent - peak).clamp(max=0)
    share = fraction * torch.exp2(behind) / partition
    return share.where(behind > -100, 0)  # no denormal number, as in the kernels


def _rasterize_gradient(
    gradient: Callable[..., tuple[Tensor, Tensor]], ctx: Any, grad_rgba: Tensor | None, *_: Any
) -> tuple[Any, ...]:
    """Return the gradient of every input by the op, or Function, that computes it."""
    if grad_rgba is None:
        return (None,) * 17
    grads = gradient(grad_rgba, *ctx.saved_tensors, *ctx.modes)
    grad_background = None
    if ctx.needs_input_grad[2]:
        grad_background = grad_rgba[:, :3] * _background_share(ctx)[:, None]
        if len(ctx.background_shape) == 1:
            grad_background = grad_background.sum((0, 2, 3))
    return (*grads, grad_background, *(None,) * 14)


class _Rasterize(torch.autograd.Function):
    """The op soft_rasterize with the rules of torch.func."""

    jvp = staticmethod(transforms.refuse_forward_mode)

    @staticmethod
    def forward(*inputs: Any) -> tuple[Tensor, ...]:
        """Call the op."""
        outputs: tuple[Tensor, ...] = _ops.soft_rasterize(*inputs)
        return outputs

    @staticmethod
    def setup_context(ctx: Any, inputs: tuple[Any, ...], output: tuple[Tensor, ...]) -> None:
        """Save what the backward reads."""
        _save_rasterize(ctx, inputs, output)
        ctx.mark_non_differentiable(*output[1:])

    @staticmethod
    def backward(ctx: Any, *grads: Any) -> tuple[Any, ...]:
        """Call the op of the backward."""
        return _rasterize_gradient(_RasterizeBackward.apply, ctx, *grads)

    @staticmethod
    def vmap(info: Any, in_dims: tuple[Any, ...], *inputs: Any) -> tuple[Any, ...]:
        """Render all batches as one."""
        faces, textures, background, first_face, images, height, width, *settings = inputs
        size = info.batch_size
        transforms.refuse_batched("first_face", in_dims[3])
        transforms.refuse_batched("sigma and gamma", in_dims[7])
        folded = transforms.fold(faces, in_dims[0], size)
        outputs = _Rasterize.apply(
            folded,
            transforms.fold(textures, in_dims[1], size),
            transforms.fold_background(background, in_dims[2], size, images, height, width),
            transforms.fold_offsets(first_face, len(folded) // size, size),
            *(images * size, height, width),
            *settings,
        )
        return tuple(transforms.unfold(output, size) for output in outputs), (0,) * len(outputs)


class _RasterizeBackward(torch.autograd.Function):
    """The op soft_rasterize_backward with the rules of torch.func."""

    jvp = staticmethod(transforms.refuse_forward_mode)
    backward = staticmethod(transforms.refuse_double_backward)

    @staticmethod
    def forward(*inputs: Any) -> tuple[Tensor, Tensor]:
        """Call the op."""
        grads: tuple[Tensor, Tensor] = _ops.soft_rasterize_backward(*inputs)
        return grads

    @staticmethod
    def setup_context(ctx: Any, inputs: tuple[Any, ...], output: tuple[Tensor, Tensor]) -> None:
        """Save nothing: there is no second derivative."""

    @staticmethod
    def vmap(info: Any, in_dims: tuple[Any, ...], *inputs: Any) -> tuple[Any, ...]:
        """Gather the gradients of all batches as one."""
        size, first_face, settings = info.batch_size, inputs[3], inputs[9:]
        fold = transforms.fold
        before = [fold(*each, size) for each in zip(inputs[:3], in_dims[:3], strict=True)]
        after = [fold(*each, size) for each in zip(inputs[4:9], in_dims[4:9], strict=True)]
        offsets = transforms.fold_offsets(first_face, len(before[1]) // size, size)
        grads = _RasterizeBackward.apply(*before, offsets, *after, *settings)
        return tuple(transforms.unfold(grad, size) for grad in grads), (0, 0)


torch.library.register_autograd(
    "renderer_cuda::soft_rasterize",
    functools.partial(_rasterize_gradient, _ops.soft_rasterize_backward),
    setup_context=_save_rasterize,
    lib=_library,
)
torch.library.register_autograd(
    "renderer_cuda::soft_rasterize_backward", transforms.refuse_double_backward, lib=_library
)
