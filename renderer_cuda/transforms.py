"""What the ops need to take part in the transforms of torch.func: batches folded into one another.

`torch.library.register_autograd` makes gradients for eager and compiled code, but not for
torch.func, which asks for a `torch.autograd.Function` with a rule for each transform. Within a
transform the public functions go through such a class, and otherwise call the ops themselves,
which costs half as much.
"""

from __future__ import annotations

from collections.abc import Callable
from typing import Any, NoReturn

import torch
from torch import Tensor
from torch.autograd import forward_ad


def call(function: type[torch.autograd.Function], op: Callable[..., Any], *inputs: Any) -> Any:
    """Call an op: by its autograd.Function within a transform of torch.func or a dual level."""
    return function.apply(*inputs) if transforming() else op(*inputs)


def transforming() -> bool:
    """Return whether a transform of torch.func or a dual level is active."""
    if torch.compiler.is_compiling():
        return False
    # Names of torch without a promise: where they are gone, the Functions serve always.
    active = getattr(torch._C, "_are_functorch_transforms_active", lambda: True)
    return bool(active()) or getattr(forward_ad, "_current_level", 0) >= 0


def refuse_forward_mode(ctx: Any, *tangents: Any) -> NoReturn:
    """Raise NotImplementedError: the rule for jvp of ops that have a gradient only."""
    raise NotImplementedError(
        "the soft rasterizer has no forward-mode derivative (torch.func.jvp, jacfwd, dual "
        "tensors): use reverse mode (backward, torch.func.grad, vjp, jacrev)"
    )


def refuse_double_backward(ctx: Any, *grads: Any) -> NoReturn:
    """Raise NotImplementedError: the gradient of ops that are a gradient themselves."""
    raise NotImplementedError(
        "the soft rasterizer has no second derivative: call backward without create_graph"
    )


def refuse_batched(name: str, dim: int | None) -> None:
    """Raise NotImplementedError when torch.func.vmap maps over an argument that has to be one."""
    if dim is not None:
        raise NotImplementedError(f"torch.func.vmap over {name} is not supported")


def fold(tensor: Tensor, dim: int | None, size: int) -> Tensor:
    """Return [size * N, ...] of a tensor [N, ...] that vmap maps over dim, or repeats."""
    batched = tensor.expand(size, *tensor.shape) if dim is None else tensor.movedim(dim, 0)
    return batched.flatten(0, 1)


def fold_background(
    background: Tensor, dim: int | None, size: int, images: int, *image_size: int
) -> Tensor:
    """Return the background [3] or [size * B, 3, H, W] of size batches of B images."""
    if dim is None and background.dim() == 1:
        return background
    if dim is not None and background.dim() == 2:
        colors = background.movedim(dim, 0)[:, None, :, None, None]
        return colors.expand(size, images, 3, *image_size).flatten(0, 1)
    return fold(background, dim, size)


def unfold(tensor: Tensor, size: int) -> Tensor:
    """Return [size, N, ...] of a tensor [size * N, ...]."""
    return tensor.unflatten(0, (size, tensor.shape[0] // size))


def fold_offsets(first_face: Tensor, num_faces: int, size: int) -> Tensor:
    """Return the offsets [size * B + 1] of packed batches of num_faces each, one after the other.

    The offsets [B + 1] of one batch may be empty, which stands for meshes of equal size.
    """
    if len(first_face) == 0:
        return first_face
    begin = num_faces * torch.arange(size, device=first_face.device)
    each = (begin[:, None] + first_face[:-1]).flatten()
    return torch.cat([each, first_face.new_full((1,), size * num_faces)])
