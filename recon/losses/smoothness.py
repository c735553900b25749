"""Losses of smoothness: the Laplacian and flatten regularisers of SoftRas.

All are deterministic in both directions: everything is gathered and summed in a fixed order.
"""

from __future__ import annotations

import torch
from torch import Tensor, nn

from recon.arguments import PositiveInt
from recon.compute import at_least_float32
from recon.geometry.meshes import edges, face_pairs_of_edges, gather_rows, scatter_rows

# In squared object units: triangles lower than 1e-3 lose their say in the flatten loss, instead of
# a gradient of 1 / height that grows without bound. The released code damps at the same size.
_FLATTEN_EPS = 1e-6


class UniformLaplacian(nn.Module):
    """Computes how much values on a graph differ from the mean of their neighbours.

    O(edges) time and memory, no matrix.

    Args:
        pairs: [E, 2] int64, the two ends of every edge; each edge once.
        count: The number N of nodes.

    Raises:
        ValueError: `pairs` is not [E, 2] int64 with indices in [0, N).
    """

    sources: Tensor
    targets: Tensor
    neighbours: Tensor
    lonely: Tensor

    def __init__(self, pairs: Tensor, count: int) -> None:
        super().__init__()
        if pairs.dim() != 2 or pairs.shape[1] != 2 or pairs.dtype != torch.int64:
            raise ValueError(f"pairs must be [E, 2] int64, got {list(pairs.shape)} {pairs.dtype}")
        if pairs.numel() and not 0 <= int(pairs.min()) <= int(pairs.max()) < count:
            raise ValueError(f"pairs must name nodes in [0, {count}), got {int(pairs.max())}")
        both = torch.cat((pairs, pairs.flip(1)))
        self.count = count
        # Not in checkpoints: they follow from the constructor's arguments.
        self.register_buffer("targets", both[:, 0].contiguous(), persistent=False)
        self.register_buffer("sources", both[:, 1].contiguous(), persistent=False)
        degrees = torch.bincount(self.targets, minlength=count)[:, None]
        self.all_have_neighbours = bool((degrees > 0).all())
        # At least one, as they divide.
        self.register_buffer("neighbours", degrees.clamp(min=1), persistent=False)
        self.register_buffer("lonely", degrees == 0, persistent=False)

    def forward(self, values: Tensor) -> Tensor:
        """Returns [B, N, 3], values minus the means of their neighbours; 0 without neighbours.

        Args:
            values: [B, N, 3] values of the nodes.

        Raises:
            ValueError: `values` has another shape.
        """
        if values.shape[1:] != (self.count, 3) or len(values) == 0:
            raise ValueError(
                f"vertices must have shape [B, {self.count}, 3], got {tuple(values.shape)}"
            )
        rows = _batch_last(values).flatten(1)
        sums = scatter_rows(gather_rows(rows, self.sources), self.targets, self.count)
        difference = rows - sums / self.neighbours
        if not self.all_have_neighbours:
            difference = difference.masked_fill(self.lonely, 0.0)
        return difference.unflatten(1, (3, len(values))).permute(2, 0, 1)


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
        self.laplacian = UniformLaplacian(edges(faces), num_vertices)

    def forward(self, vertices: Tensor) -> Tensor:
        """Computes the loss.

        Args:
            vertices: [B, V, 3] positions of the vertices, object units.

        Returns:
            A scalar >= 0.

        Raises:
            ValueError: `vertices` is not [B, V, 3].
        """
        return self.laplacian(vertices).square().sum(dim=(1, 2)).mean()


class FlattenLoss(nn.Module):
    """Penalises dihedral angles: neighbouring faces should continue each other flatly.

    For an edge (v0, v1) with the opposite vertices v2 and v3 of its two faces, let h2 and h3 be the
    components of v2 - v0 and v3 - v0 across the edge, and theta their angle, which is pi when flat.

    loss = mean over the batch of  sum over edges of (cos theta + 1)^2

    The sum over edges makes its size, and so its weight, depend on the template. Edges which do not
    belong to exactly two faces add nothing. Smooth everywhere: where a triangle is degenerate the
    cosine fades to 0 (see `_FLATTEN_EPS`). O(edges) time and memory.

    Args:
        faces: [F, 3] int64 faces of the mesh.

    Raises:
        ValueError: `faces` is not [F, 3] int64 with F >= 1 and indices >= 0.
    """

    quads: Tensor

    def __init__(self, faces: Tensor) -> None:
        super().__init__()
        _require_faces(faces)
        self.min_vertices = int(faces.max()) + 1
        _, quads = face_pairs_of_edges(faces)
        self.register_buffer("quads", quads.T.flatten(), persistent=False)  # flat: see gather_rows

    def forward(self, vertices: Tensor) -> Tensor:
        """Computes the loss.

        Args:
            vertices: [B, V, 3] positions of the vertices, object units.

        Returns:
            A scalar >= 0.

        Raises:
            ValueError: `vertices` is not [B, V, 3] with every vertex of `faces`.
        """
        return (self.cosines(vertices) + 1).square().sum(dim=1).mean()

    def cosines(self, vertices: Tensor) -> Tensor:
        """Returns [B, E], the cosine of the angle between the two faces at every interior edge."""
        if vertices.dim() != 3 or vertices.shape[2] != 3 or len(vertices) == 0:
            raise ValueError(f"vertices must have shape [B, V, 3], got {tuple(vertices.shape)}")
        if vertices.shape[1] < self.min_vertices:
            raise ValueError(
                f"vertices must hold at least {self.min_vertices}, got {tuple(vertices.shape)}"
            )
        corners = gather_rows(_batch_last(vertices).flatten(1), self.quads)
        corners = corners.view(4, -1, 3, len(vertices))
        start, ends = corners.split((1, 3))
        along, sides = (ends - start).split((1, 2))
        heights = _across(sides, along)  # [2, E, 3, B], of either face
        one, other = (_dot(heights, heights) + _FLATTEN_EPS).unbind()
        return (_dot(*heights.unbind()) * (one * other).rsqrt()).squeeze(1).T


def _batch_last(vertices: Tensor) -> Tensor:
    """Returns [V, 3, B] in at least float32: rows of a vertex are long, and so fast to gather."""
    return at_least_float32(vertices).permute(1, 2, 0).contiguous()


def _across(side: Tensor, along: Tensor) -> Tensor:
    """Returns the component of `side` orthogonal to `along`, or `side` where `along` vanishes."""
    return side - _dot(side, along) / (_dot(along, along) + _FLATTEN_EPS) * along


def _dot(left: Tensor, right: Tensor) -> Tensor:
    """Returns the scalar products [..., E, 1, B] of vectors [..., E, 3, B]."""
    return (left * right).sum(dim=-2, keepdim=True)


def _require_faces(faces: Tensor) -> None:
    if faces.dim() != 2 or faces.shape[1] != 3 or faces.dtype != torch.int64 or not len(faces):
        raise ValueError(f"faces must be [F, 3] int64, got {tuple(faces.shape)} {faces.dtype}")
    if int(faces.min()) < 0:
        raise ValueError(f"faces must hold indices >= 0, got {int(faces.min())}")
