"""Vertices to the corners of faces and back: the two linear maps between a mesh and its renders.

Plain indexing does the forward, but its backward adds in an arbitrary order on several threads, and
both are slow for rows of three numbers. These ops are deterministic; each is the other's gradient.
"""

from __future__ import annotations

import weakref
from collections import OrderedDict
from dataclasses import dataclass
from typing import Any

import torch
from torch import Tensor

from renderer_cuda import build, transforms
from renderer_cuda.validation import check_floating, widen

_library = torch.library.Library("renderer_cuda", "FRAGMENT")
_library.define("gather_faces(Tensor vertices, Tensor faces) -> Tensor")
_library.define("scatter_faces(Tensor corners, Tensor faces, int num_vertices) -> Tensor")
# Sums of rows [B, M, C] for places [B, N, C]: place n gets the rows order[first[n]:first[n + 1]].
_library.define("sum_rows(Tensor rows, Tensor order, Tensor first) -> Tensor")
_ops = torch.ops.renderer_cuda


def gather_faces(vertices: Tensor, faces: Tensor) -> Tensor:
    """Take the values of the three corners of every face; deterministic in both directions.

    Args:
        vertices: [B, V, C] float32 or float64, positions or any other value per vertex; float16 and
            bfloat16 become float32.
        faces: [F, 3] int64 in [0, V).

    Returns:
        [B, F, 3, C], where [b, f, k] is the value at corner k of face f.

    Raises:
        ValueError: An argument has the wrong shape or dtype.
        IndexError: A face names a vertex that is not there. On CUDA, where looking would wait for
            the device, such a corner is NaN instead, and no gradient comes from it.
    """
    vertices = widen(vertices)
    check_floating("vertices", vertices)
    if vertices.dim() != 3:
        raise ValueError(f"vertices must have shape [B, V, C], got {list(vertices.shape)}")
    if not isinstance(faces, Tensor):
        raise ValueError(f"faces must be a torch.Tensor, got {type(faces).__name__}")
    if faces.dim() != 2 or faces.shape[1] != 3 or faces.dtype != torch.int64:
        raise ValueError(f"faces must be [F, 3] torch.int64, got {list(faces.shape)} {faces.dtype}")
    if faces.device != vertices.device:
        raise ValueError(f"faces must be on {vertices.device} as vertices, got {faces.device}")
    build.available(vertices.device.type)
    corners: Tensor = transforms.call(_GatherFaces, _ops.gather_faces, vertices, faces)
    return corners


# ---- gather_faces ------------------------------------------------------------------------------


@torch.library.register_fake("renderer_cuda::gather_faces", lib=_library)
def _(vertices: Tensor, faces: Tensor) -> Tensor:
    return vertices.new_empty((vertices.shape[0], faces.shape[0], 3, vertices.shape[2]))


# The kernel of every device for which no native one is registered.
@torch.library.impl(_library, "gather_faces", "CompositeExplicitAutograd")
def _gather_in_torch(vertices: Tensor, faces: Tensor) -> Tensor:
    index, known = _known_vertices(faces, vertices.shape[1])
    return torch.where(known[..., None], vertices[:, index], torch.nan)


def _known_vertices(faces: Tensor, num_vertices: int) -> tuple[Tensor, Tensor]:
    """Return the vertex of each corner, 0 for one that does not exist, and whether it does.

    Raises:
        IndexError: One does not exist, and the faces are not on CUDA.
    """
    known = (faces >= 0) & (faces < num_vertices)
    if not faces.is_cuda and not known.all():
        wrong = faces[~known][0].item()
        raise IndexError(f"faces must index {num_vertices} vertices, got {wrong}")
    return faces.where(known, 0), known


def _save_gather(ctx: Any, inputs: tuple[Tensor, Tensor], output: Tensor) -> None:
    vertices, faces = inputs
    ctx.num_vertices = vertices.shape[1]
    ctx.save_for_backward(faces)


def _gather_backward(ctx: Any, grad: Tensor) -> tuple[Tensor, None]:
    (faces,) = ctx.saved_tensors
    return _ops.scatter_faces(grad, faces, ctx.num_vertices), None


class _GatherFaces(torch.autograd.Function):
    """The op gather_faces with the rules of torch.func; it is linear, so jvp is the op itself."""

    @staticmethod
    def forward(vertices: Tensor, faces: Tensor) -> Tensor:
        """Call the op."""
        corners: Tensor = _ops.gather_faces(vertices, faces)
        return corners

    @staticmethod
    def setup_context(ctx: Any, inputs: tuple[Tensor, Tensor], output: Tensor) -> None:
        """Save the faces for both derivatives."""
        _save_gather(ctx, inputs, output)
        ctx.save_for_forward(inputs[1])

    @staticmethod
    def backward(ctx: Any, grad: Tensor) -> tuple[Tensor, None]:
        """Add what comes to the corners of each vertex."""
        (faces,) = ctx.saved_tensors
        return _ScatterFaces.apply(grad, faces, ctx.num_vertices), None

    @staticmethod
    def jvp(ctx: Any, tangent: Tensor, _: None) -> Tensor:
        """Gather the tangent."""
        (faces,) = ctx.saved_tensors
        corners: Tensor = _GatherFaces.apply(tangent, faces)
        return corners

    @staticmethod
    def vmap(info: Any, in_dims: tuple[Any, ...], *inputs: Any) -> tuple[Tensor, int]:
        """Gather from all batches as one."""
        size, (vertices, faces) = info.batch_size, inputs
        transforms.refuse_batched("faces", in_dims[1])
        corners = _GatherFaces.apply(transforms.fold(vertices, in_dims[0], size), faces)
        return transforms.unfold(corners, size), 0


torch.library.register_autograd(
    "renderer_cuda::gather_faces", _gather_backward, setup_context=_save_gather, lib=_library
)


# ---- scatter_faces -----------------------------------------------------------------------------


@torch.library.register_fake("renderer_cuda::scatter_faces", lib=_library)
def _(corners: Tensor, faces: Tensor, num_vertices: int) -> Tensor:
    return corners.new_empty((corners.shape[0], num_vertices, corners.shape[3]))


# The kernel of every device for which no native one is registered, as of CUDA.
@torch.library.impl(_library, "scatter_faces", "CompositeExplicitAutograd")
def _scatter_by_order(corners: Tensor, faces: Tensor, num_vertices: int) -> Tensor:
    if not build.available(corners.device.type):
        return _scatter_in_torch(corners, faces, num_vertices)
    order, first = sorted_by_place(faces, num_vertices)
    sums: Tensor = _ops.sum_rows(corners.flatten(1, 2), order, first)
    return sums


def _scatter_in_torch(corners: Tensor, faces: Tensor, num_vertices: int) -> Tensor:
    batch, _, _, channels = corners.shape
    index, known = _known_vertices(faces.reshape(-1), num_vertices)
    rows = corners.reshape(batch, -1, channels).transpose(0, 1).reshape(-1, batch * channels)
    total = rows.new_zeros(num_vertices, batch * channels)
    if rows.is_cuda:
        # index_add on CUDA is atomic; an accumulating index_put sorts the indices and is not.
        rows = rows.where(known[:, None], 0)
        total.index_put_((index,), rows, accumulate=True)
    else:
        total.index_add_(0, index, rows)
    return total.reshape(num_vertices, batch, channels).transpose(0, 1).contiguous()


def _save_scatter(ctx: Any, inputs: tuple[Tensor, Tensor, int], output: Tensor) -> None:
    ctx.save_for_backward(inputs[1])


def _scatter_backward(ctx: Any, grad: Tensor) -> tuple[Tensor, None, None]:
    (faces,) = ctx.saved_tensors
    return _ops.gather_faces(grad, faces), None, None


class _ScatterFaces(torch.autograd.Function):
    """The op scatter_faces with the rules of torch.func; it is linear, so jvp is the op itself."""

    @staticmethod
    def forward(corners: Tensor, faces: Tensor, num_vertices: int) -> Tensor:
        """Call the op."""
        sums: Tensor = _ops.scatter_faces(corners, faces, num_vertices)
        return sums

    @staticmethod
    def setup_context(ctx: Any, inputs: tuple[Tensor, Tensor, int], output: Tensor) -> None:
        """Save the faces for both derivatives."""
        _save_scatter(ctx, inputs, output)
        ctx.save_for_forward(inputs[1])
        ctx.num_vertices = inputs[2]

    @staticmethod
    def backward(ctx: Any, grad: Tensor) -> tuple[Tensor, None, None]:
        """Take what comes to the vertex of each corner."""
        (faces,) = ctx.saved_tensors
        return _GatherFaces.apply(grad, faces), None, None

    @staticmethod
    def jvp(ctx: Any, tangent: Tensor, *_: None) -> Tensor:
        """Add up the tangent."""
        (faces,) = ctx.saved_tensors
        sums: Tensor = _ScatterFaces.apply(tangent, faces, ctx.num_vertices)
        return sums

    @staticmethod
    def vmap(info: Any, in_dims: tuple[Any, ...], *inputs: Any) -> tuple[Tensor, int]:
        """Scatter all batches as one."""
        size, (corners, faces, num_vertices) = info.batch_size, inputs
        transforms.refuse_batched("faces", in_dims[1])
        folded = transforms.fold(corners, in_dims[0], size)
        return transforms.unfold(_ScatterFaces.apply(folded, faces, num_vertices), size), 0


torch.library.register_autograd(
    "renderer_cuda::scatter_faces", _scatter_backward, setup_context=_save_scatter, lib=_library
)


# ---- sum_rows ----------------------------------------------------------------------------------


@torch.library.register_fake("renderer_cuda::sum_rows", lib=_library)
def _(rows: Tensor, order: Tensor, first: Tensor) -> Tensor:
    return rows.new_empty((rows.shape[0], first.shape[0] - 1, rows.shape[2]))


@dataclass
class _Sorted:
    """What `sorted_by_place` has made of a tensor, as long as that is there and unchanged."""

    index: weakref.ref[Tensor]
    version: int
    places: int
    order: Tensor
    first: Tensor


# Topologies stay the same from step to step, and few are in use at a time.
_MOST_SORTED = 16
_sorted: OrderedDict[int, _Sorted] = OrderedDict()


def sorted_by_place(index: Tensor, places: int) -> tuple[Tensor, Tensor]:
    """Return the rows that belong to each place, for the op `sum_rows`; kept for the next call.

    Nothing waits for the device. What is made of a tensor is used again as long as the tensor lives
    and is not changed in place (but by way of `.data` or of memory it shares, which torch does not
    notice).

    Args:
        index: [...] int64, M elements: the place of each row; rows of a place that does not exist
            are left out.
        places: The number N of places.

    Returns:
        order: [M] int32, rows by their places, ascending within each.
        first: [N + 1] int32, where the rows of each place begin in `order`.

    Raises:
        IndexError: A place does not exist, and the index is not on CUDA.
    """
    found = _sorted.get(id(index))
    version = None if index.is_inference() else index._version
    if found and found.index() is index and (found.version, found.places) == (version, places):
        return found.order, found.first
    order, first = _sort_by_place(index.reshape(-1), places)
    # What is made within a capture is there when the graph is replayed, and no earlier.
    captured = index.is_cuda and torch.cuda.is_current_stream_capturing()
    if version is not None and not captured:
        key = id(index)
        alive = weakref.ref(index, lambda _: _sorted.pop(key, None))
        _sorted[key] = _Sorted(alive, version, places, order, first)
        while len(_sorted) > _MOST_SORTED:
            _sorted.popitem(last=False)
    return order, first


def sum_by_place(rows: Tensor, index: Tensor, places: int) -> Tensor:
    """Return the sums [N, C] of the rows [M, C] of each place, added in ascending order.

    Args:
        rows: [M, C] float32 or float64, without a gradient.
        index: [M] int64 in [0, N), the place of each row; see `sorted_by_place`.
        places: The number N of places.
    """
    order, first = sorted_by_place(index, places)
    sums: Tensor = torch.embedding_bag(rows, order, first, include_last_offset=True)[0]
    return sums


def _sort_by_place(index: Tensor, places: int) -> tuple[Tensor, Tensor]:
    where, known = _known_vertices(index, places)
    where, order = where.where(known, places).sort(stable=True)
    first = torch.searchsorted(where, torch.arange(places + 1, device=index.device))
    return order.int(), first.int()
