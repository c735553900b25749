"""Layered colours, and faces with numbers of their own: schema, fake kernel, autograd, and call.

Color "over" of `soft_rasterize`, and any other mode with `face_opacity` or `face_sigma`.
"""

from __future__ import annotations

import functools
from collections.abc import Callable
from typing import Any

import torch
from torch import Tensor

from renderer_cuda import transforms
from renderer_cuda.validation import COLORS

_library = torch.library.Library("renderer_cuda", "FRAGMENT")
_ops = torch.ops.renderer_cuda

# face_vertices is [N, 3, 3]; face_opacity and face_sigma are [N] or [0]; first_face is [B + 1], or
# [0] when the N faces are B equal meshes; scalars is sigma, dist_eps, dist_shape, dist_shift,
# alpha_parameter, gamma, eps, near, far and stop_transmittance, float64 on the host. color is 0 for
# silhouettes, and from 1 on that of a mode. The second output is the share of the background in
# the colour; the third, empty for "over", is what the backward has to know of each pixel.
_INPUTS = (
    "Tensor face_vertices, Tensor face_textures, Tensor face_opacity, Tensor face_sigma,"
    " Tensor background, Tensor first_face"
)
_SETTINGS = (
    "Tensor scalars, int distance, int alpha_mode, int distribution, bool squared, int color,"
    " int texture, int window, int order, bool double_sided, bool perspective_correct,"
    " bool detach_barycentric"
)
_OVER = len(COLORS)  # the last colour, of which nothing is kept
_library.define(
    f"layered_rasterize({_INPUTS}, int images, int height, int width, {_SETTINGS}) -> (Tensor rgba,"
    " Tensor transmittance, Tensor kept)"
)
_library.define(
    f"layered_rasterize_backward(Tensor grad_rgba, {_INPUTS}, Tensor rgba, Tensor kept,"
    f" {_SETTINGS}) -> (Tensor, Tensor, Tensor, Tensor)"
)


def layered_rasterize(*inputs: Any) -> Tensor:
    """Call the op layered_rasterize, whose schema stands above, with checked inputs.

    Returns:
        RGBA [B, 4, H, W].
    """
    rgba: Tensor = transforms.call(_Layered, _ops.layered_rasterize, *inputs)[0]
    return rgba


@torch.library.register_fake("renderer_cuda::layered_rasterize", lib=_library)
def _(
    face_vertices: Tensor,
    face_textures: Tensor,
    face_opacity: Tensor,
    face_sigma: Tensor,
    background: Tensor,
    first_face: Tensor,
    images: int,
    height: int,
    width: int,
    *settings: Any,
) -> tuple[Tensor, Tensor, Tensor]:
    color = settings[5]
    kept, numbers = (0 if color == _OVER else images), (2 if color == 0 else 4)
    return (
        face_vertices.new_empty((images, 4, height, width)),
        face_vertices.new_empty((images, height, width)),
        face_vertices.new_empty((kept, height, width, numbers)),
    )


@torch.library.register_fake("renderer_cuda::layered_rasterize_backward", lib=_library)
def _(grad_rgba: Tensor, *inputs: Any) -> tuple[Tensor, ...]:
    return tuple(tensor.new_empty(tensor.shape) for tensor in inputs[:4])


def _save(ctx: Any, inputs: tuple[Any, ...], output: tuple[Tensor, ...]) -> None:
    *tensors, _, _, _, scalars = inputs[:10]
    rgba, transmittance, kept = output
    ctx.background_shape = inputs[4].shape
    ctx.modes = inputs[10:]
    ctx.save_for_backward(*tensors, rgba, kept, scalars, transmittance)
    ctx.set_materialize_grads(False)


def _gradient(
    gradient: Callable[..., tuple[Tensor, ...]], ctx: Any, grad_rgba: Tensor | None, *_: Any
) -> tuple[Any, ...]:
    """Return the gradient of every input by the op, or Function, that computes it."""
    if grad_rgba is None:
        return (None,) * 21
    *inputs, transmittance = ctx.saved_tensors
    grads = gradient(grad_rgba, *inputs, *ctx.modes)
    grad_background = None
    if ctx.needs_input_grad[4]:
        grad_background = grad_rgba[:, :3] * transmittance[:, None]
        if len(ctx.background_shape) == 1:
            grad_background = grad_background.sum((0, 2, 3))
    return (*grads, grad_background, *(None,) * 16)


def _fold_inputs(
    inputs: tuple[Any, ...], in_dims: tuple[Any, ...], size: int, images: int, *image_size: int
) -> list[Tensor]:
    """Return the first six inputs of size batches as those of one."""
    *per_face, background, first_face = inputs
    transforms.refuse_batched("first_face", in_dims[5])
    folded = [transforms.fold(*each, size) for each in zip(per_face, in_dims[:4], strict=True)]
    behind = transforms.fold_background(background, in_dims[4], size, images, *image_size)
    offsets = transforms.fold_offsets(first_face, len(folded[0]) // size, size)
    return [*folded, behind, offsets]


class _Layered(torch.autograd.Function):
    """The op layered_rasterize with the rules of torch.func."""

    jvp = staticmethod(transforms.refuse_forward_mode)

    @staticmethod
    def forward(*inputs: Any) -> tuple[Tensor, ...]:
        """Call the op."""
        outputs: tuple[Tensor, ...] = _ops.layered_rasterize(*inputs)
        return outputs

    @staticmethod
    def setup_context(ctx: Any, inputs: tuple[Any, ...], output: tuple[Tensor, ...]) -> None:
        """Save what the backward reads."""
        _save(ctx, inputs, output)
        ctx.mark_non_differentiable(*output[1:])

    @staticmethod
    def backward(ctx: Any, *grads: Any) -> tuple[Any, ...]:
        """Call the op of the backward."""
        return _gradient(_LayeredBackward.apply, ctx, *grads)

    @staticmethod
    def vmap(info: Any, in_dims: tuple[Any, ...], *inputs: Any) -> tuple[Any, ...]:
        """Render all batches as one."""
        size, (images, height, width, scalars) = info.batch_size, inputs[6:10]
        transforms.refuse_batched("sigma", in_dims[9])
        folded = _fold_inputs(inputs[:6], in_dims[:6], size, images, height, width)
        settings = (images * size, height, width, scalars, *inputs[10:])
        outputs = _Layered.apply(*folded, *settings)
        return tuple(transforms.unfold(output, size) for output in outputs), (0,) * len(outputs)


class _LayeredBackward(torch.autograd.Function):
    """The op layered_rasterize_backward with the rules of torch.func."""

    jvp = staticmethod(transforms.refuse_forward_mode)
    backward = staticmethod(transforms.refuse_double_backward)

    @staticmethod
    def forward(*inputs: Any) -> tuple[Tensor, ...]:
        """Call the op."""
        grads: tuple[Tensor, ...] = _ops.layered_rasterize_backward(*inputs)
        return grads

    @staticmethod
    def setup_context(ctx: Any, inputs: tuple[Any, ...], output: tuple[Tensor, ...]) -> None:
        """Save nothing: there is no second derivative."""

    @staticmethod
    def vmap(info: Any, in_dims: tuple[Any, ...], *inputs: Any) -> tuple[Any, ...]:
        """Gather the gradients of all batches as one."""
        size = info.batch_size
        grad = transforms.fold(inputs[0], in_dims[0], size)
        image_size = (len(grad) // size, *grad.shape[2:])
        folded = _fold_inputs(inputs[1:7], in_dims[1:7], size, *image_size)
        kept = [
            transforms.fold(*each, size) for each in zip(inputs[7:9], in_dims[7:9], strict=True)
        ]
        grads = _LayeredBackward.apply(grad, *folded, *kept, *inputs[9:])
        return tuple(transforms.unfold(each, size) for each in grads), (0,) * len(grads)


torch.library.register_autograd(
    "renderer_cuda::layered_rasterize",
    functools.partial(_gradient, _ops.layered_rasterize_backward),
    setup_context=_save,
    lib=_library,
)
torch.library.register_autograd(
    "renderer_cuda::layered_rasterize_backward", transforms.refuse_double_backward, lib=_library
)
