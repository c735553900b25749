"""Losses of smoothness: the Laplacian and flatten regularisers of SoftRas.

All are deterministic in both directions: everything is gathered and summed in a fixed order.
"""

from __future__ import annotations

from typing import Any

import torch
import torch.nn.functional as F
from torch import Tensor, nn
from torch.autograd.function import once_differentiable

from recon.arguments import PositiveInt
from recon.compute import at_least_float32
from recon.geometry.meshes import edges, face_pairs_of_edges, sum_by_place

# In squared object units: triangles lower than 1e-3 lose their say in the flatten loss, instead of
# a gradient of 1 / height that grows without bound. The released code damps at the same size.
_FLATTEN_EPS = 1e-6


class NeighbourMeans(nn.Module):
    """Computes the means of the neighbours of every node of a graph.

    O(edges) time and memory, no matrix.

    Args:
        pairs: [E, 2] int64, the two ends of every edge; each edge once.
        count: The number N of nodes.

    Raises:
        ValueError: `pairs` is not [E, 2] int64 with indices in [0, N).
    """

    neighbours: Tensor
    first: Tensor
    degrees: Tensor

    def __init__(self, pairs: Tensor, count: int) -> None:
        super().__init__()
        if pairs.dim() != 2 or pairs.shape[1] != 2 or pairs.dtype != torch.int64:
            raise ValueError(f"pairs must be [E, 2] int64, got {list(pairs.shape)} {pairs.dtype}")
        if pairs.numel() and not 0 <= int(pairs.min()) <= int(pairs.max()) < count:
            raise ValueError(f"pairs must name nodes in [0, {count}), got {int(pairs.max())}")
        nodes = torch.arange(count, device=pairs.device)
        lonely = nodes[torch.bincount(pairs.flatten(), minlength=count) == 0]
        # A node without neighbours is its own, so that it equals their mean.
        both = torch.cat((pairs, pairs.flip(1), lonely[:, None].expand(-1, 2)))
        nodes_of_ends, order = both[:, 0].sort(stable=True)
        degrees = torch.bincount(nodes_of_ends, minlength=count)
        self.count = count
        # Not in checkpoints: they follow from the constructor's arguments.
        self.register_buffer("neighbours", both[order, 1], persistent=False)
        self.register_buffer("first", degrees.cumsum(0) - degrees, persistent=False)
        self.register_buffer("degrees", degrees[:, None], persistent=False)

    def forward(self, values: Tensor) -> Tensor:
        """Returns [N, C], the means of the values of the neighbours; without any, the own value.

        Args:
            values: [N, C] float32 or float64 values of the nodes.
        """
        return _NeighbourSums.apply(values, self.neighbours, self.first) / self.degrees

    def squared_differences(self, values: Tensor) -> Tensor:
        """Returns sum_i |c_i - mean_{j next to i} c_j|^2, a scalar, summed over the batch too.

        Args:
            values: [B, N, 3] values c of the nodes.

        Raises:
            ValueError: `values` has another shape.
        """
        if values.dim() != 3 or values.shape[1:] != (self.count, 3) or len(values) == 0:
            raise ValueError(
                f"vertices must have shape [B, {self.count}, 3], got {tuple(values.shape)}"
            )
        rows = _batch_last(values)
        return F.mse_loss(rows, self(rows), reduction="sum")


class _NeighbourSums(torch.autograd.Function):
    """Sums the rows of the neighbours of every node, in a fixed order; its own transpose.

    The backward pass of `embedding_bag` itself would sort the neighbours again in every step.
    """

    @staticmethod
    def forward(ctx: Any, rows: Tensor, neighbours: Tensor, first: Tensor) -> Tensor:
        ctx.save_for_backward(neighbours, first)
        # Detached, or the op would prepare for a backward pass of its own. Its default mode sums.
        return torch.embedding_bag(rows.detach(), neighbours, first)[0]

    @staticmethod
    def backward(ctx: Any, *grads: Tensor) -> tuple[Tensor, None, None]:
        return _NeighbourSums.apply(grads[0], *ctx.saved_tensors), None, None


class LaplacianLoss(nn.Module):
    """Penalises vertices away from the mean of their neighbours (uniform Laplacian, squared).

    loss = mean over the batch of  sum_i |v_i - mean_{j in N(i)} v_j|^2

    The sum over vertices and coordinates makes its size, and so its weight, depend on the template.
    A vertex without neighbours adds nothing.

    Args:
        faces: [F, 3] int64 faces of the mesh.
        num_vertices: The number V of vertices.

    Raises:
        ValueError: `faces` is not [F, 3] int64 with F >= 1 and indices in [0, `num_vertices`).
    """

    def __init__(self, faces: Tensor, num_vertices: PositiveInt) -> None:
        super().__init__()
        _require_faces(faces)
        if int(faces.max()) >= num_vertices:
            raise ValueError(f"faces must index {num_vertices} vertices, got {int(faces.max())}")
        self.neighbour_means = NeighbourMeans(edges(faces), num_vertices)

    def forward(self, vertices: Tensor) -> Tensor:
        """Computes the loss.

        Args:
            vertices: [B, V, 3] positions of the vertices, object units.

        Returns:
            A scalar >= 0.

        Raises:
            ValueError: `vertices` is not [B, V, 3].
        """
        return self.neighbour_means.squared_differences(vertices) / len(vertices)


class FlattenLoss(nn.Module):
    """Penalises dihedral angles: neighbouring faces should continue each other flatly.

    For an edge (v0, v1) with the opposite vertices v2 and v3 of its two faces, let h2 and h3 be the
    components of v2 - v0 and v3 - v0 across the edge, and theta their angle, which is pi when flat.

    loss = mean over the batch of  sum over edges of (cos theta + 1)^2

    The sum over edges makes its size, and so its weight, depend on the template. Edges which do not
    belong to exactly two faces add nothing. Smooth everywhere: where a triangle is degenerate the
    cosine fades to 0 (see `_FLATTEN_EPS`). O(edges) time and memory. Differentiable once.

    Args:
        faces: [F, 3] int64 faces of the mesh.

    Raises:
        ValueError: `faces` is not [F, 3] int64 with F >= 1 and indices >= 0.
    """

    quads: Tensor
    flat: Tensor

    def __init__(self, faces: Tensor) -> None:
        super().__init__()
        _require_faces(faces)
        self.min_vertices = int(faces.max()) + 1
        _, quads = face_pairs_of_edges(faces)
        self.register_buffer("quads", quads.T.flatten(), persistent=False)
        self.register_buffer("flat", torch.tensor(-1.0), persistent=False)  # the cosine of pi

    def forward(self, vertices: Tensor) -> Tensor:
        """Computes the loss.

        Args:
            vertices: [B, V, 3] positions of the vertices, object units.

        Returns:
            A scalar >= 0.

        Raises:
            ValueError: `vertices` is not [B, V, 3] with every vertex of `faces`.
        """
        cosines = self._cosines(vertices)
        flat = self.flat.expand_as(cosines)
        return F.mse_loss(cosines, flat, reduction="sum") / len(vertices)

    def cosines(self, vertices: Tensor) -> Tensor:
        """Returns [B, E], the cosine of the angle between the two faces at every interior edge."""
        return self._cosines(vertices).squeeze(1).T

    def _cosines(self, vertices: Tensor) -> Tensor:
        """Returns the cosines as [E, 1, B]."""
        if vertices.dim() != 3 or vertices.shape[2] != 3 or len(vertices) == 0:
            raise ValueError(f"vertices must have shape [B, V, 3], got {tuple(vertices.shape)}")
        if vertices.shape[1] < self.min_vertices:
            raise ValueError(
                f"vertices must hold at least {self.min_vertices}, got {tuple(vertices.shape)}"
            )
        return _EdgeCosines.apply(_batch_last(vertices), self.quads, len(vertices))


class _EdgeCosines(torch.autograd.Function):
    """Computes the cosine of the angle between the two faces at an edge; see `FlattenLoss`.

    With the edge e = v1 - v0, the sides s_i = v_i - v0 of both faces and a small epsilon,

        t_i = s_i . e / (e . e + eps)      h_i = s_i - t_i e
        n_i = h_i . h_i + eps              cos = h_2 . h_3 / sqrt(n_2 n_3)

    The backward pass is written down, as it takes a third of the calls that autograd makes of it,
    and the host bounds a training step on a GPU:

        d cos / d h_2 = h_3 / sqrt(n_2 n_3) - cos h_2 / n_2, and with 2 and 3 exchanged;
        the map from s_i to h_i at fixed e is symmetric, so g_i at h_i is g_i - q_i e at s_i with
        q_i = g_i . e / (e . e + eps), and - sum_i (t_i (g_i - q_i e) + q_i h_i) at e.
    """

    @staticmethod
    def forward(ctx: Any, rows: Tensor, quads: Tensor, batch: int) -> Tensor:
        """Returns the cosines [E, 1, B] of vertices [V, 3 * B] and quads [4 * E] of their rows."""
        corners = rows.index_select(0, quads).view(4, -1, 3, batch)
        start, ends = corners.split((1, 3))
        along, sides = (ends - start).split((1, 2))
        length = _dot(along, along) + _FLATTEN_EPS  # squared
        shares = _dot(sides, along) / length
        heights = torch.addcmul(sides, shares, along, value=-1)  # [2, E, 3, B], of either face
        squares = _dot(heights, heights) + _FLATTEN_EPS
        product = heights.prod(0).sum(1, keepdim=True)
        scale = squares.prod(0).rsqrt()
        ctx.shape = rows.shape
        ctx.save_for_backward(along, length, shares, heights, squares, product, scale, quads)
        return product * scale

    @staticmethod
    @once_differentiable
    def backward(ctx: Any, *grads: Tensor) -> tuple[Tensor, None, None]:
        """Returns the gradient [V, 3 * B] of the vertices."""
        along, length, shares, heights, squares, product, scale, quads = ctx.saved_tensors
        ratios = product / squares  # cos / n_i over the scale
        to_heights = torch.addcmul(heights.flip(0), ratios, heights, value=-1) * (grads[0] * scale)
        across = _dot(to_heights, along) / length
        to_sides = torch.addcmul(to_heights, across, along, value=-1)
        parts = torch.addcmul(shares * to_sides, across, heights)
        to_along = parts.sum(0, keepdim=True).neg()
        to_start = (parts - to_sides).sum(0, keepdim=True)
        to_corners = torch.cat((to_start, to_along, to_sides)).view(len(quads), ctx.shape[1])
        return sum_by_place(to_corners, quads, ctx.shape[0]), None, None


def _batch_last(vertices: Tensor) -> Tensor:
    """Returns [V, 3 * B] in at least float32: long rows of vertices, which are fast to gather."""
    return at_least_float32(vertices).permute(1, 2, 0).flatten(1)


def _dot(left: Tensor, right: Tensor) -> Tensor:
    """Returns the scalar products [..., E, 1, B] of vectors [..., E, 3, B]."""
    return (left * right).sum(dim=-2, keepdim=True)


def _require_faces(faces: Tensor) -> None:
    if faces.dim() != 2 or faces.shape[1] != 3 or faces.dtype != torch.int64 or not len(faces):
        raise ValueError(f"faces must be [F, 3] int64, got {tuple(faces.shape)} {faces.dtype}")
    if int(faces.min()) < 0:
        raise ValueError(f"faces must hold indices >= 0, got {int(faces.min())}")
