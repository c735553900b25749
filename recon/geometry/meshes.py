"""Triangle meshes: the value type, topology tables, deterministic gathers, the icosphere.

A face (a, b, c) faces outward when cross(v_b - v_a, v_c - v_a) points away from the inside.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any

import numpy as np
import torch
from scipy.sparse import coo_matrix
from scipy.sparse.csgraph import connected_components
from torch import Tensor

from renderer_cuda.gathering import sum_by_place as sum_by_place  # for losses, too


@dataclass(frozen=True, eq=False)
class Mesh:
    """A triangle mesh with an optional colour per face.

    Args:
        vertices: [V, 3] float32, object units.
        faces: [F, 3] int64, indices into `vertices`.
        face_colors: [F, 3] float32 sRGB in [0, 1], or None.

    Raises:
        ValueError: If a shape or dtype is wrong, there is no face, a vertex is not finite, an index
            is out of range, or a colour is outside [0, 1].
    """

    vertices: Tensor
    faces: Tensor
    face_colors: Tensor | None = None

    def __post_init__(self) -> None:
        _require_rows("vertices", self.vertices, torch.float32)
        _require_rows("faces", self.faces, torch.int64)
        if not bool(torch.isfinite(self.vertices).all()):
            raise ValueError("vertices must be finite, got NaN or infinity")
        _require_indices(self.faces, len(self.vertices))
        if self.face_colors is not None:
            _require_face_colors(self.face_colors, len(self.faces))

    @property
    def num_vertices(self) -> int:
        """V, the number of vertices."""
        return len(self.vertices)

    @property
    def num_faces(self) -> int:
        """F, the number of faces."""
        return len(self.faces)

    def to(self, device: torch.device | str) -> Mesh:
        """Returns the same mesh on another device."""
        colors = None if self.face_colors is None else self.face_colors.to(device)
        return Mesh(self.vertices.to(device), self.faces.to(device), colors)


def _require_rows(name: str, value: Tensor, dtype: torch.dtype) -> None:
    if not isinstance(value, Tensor) or value.dim() != 2 or value.shape[1] != 3:
        actual = tuple(value.shape) if isinstance(value, Tensor) else type(value).__name__
        raise ValueError(f"{name} must be a tensor of shape [N, 3], got {actual}")
    if value.dtype != dtype:
        raise ValueError(f"{name} must have dtype {dtype}, got {value.dtype}")
    if len(value) == 0:
        raise ValueError(f"{name} must have at least one row, got {tuple(value.shape)}")


def _require_indices(faces: Tensor, num_vertices: int) -> None:
    low, high = int(faces.min()), int(faces.max())
    if low < 0 or high >= num_vertices:
        raise ValueError(f"faces must hold indices in [0, {num_vertices - 1}], got {low} to {high}")


def _require_face_colors(colors: Tensor, num_faces: int) -> None:
    _require_rows("face_colors", colors, torch.float32)
    if len(colors) != num_faces:
        raise ValueError(f"face_colors must have one row per face ({num_faces}), got {len(colors)}")
    if not bool(((colors >= 0) & (colors <= 1)).all()):  # also refuses NaN
        raise ValueError("face_colors must lie in [0, 1]")


# --- Gathering: from vertices to faces and back ---------------------------------------------------


def gather_rows(values: Tensor, index: Tensor) -> Tensor:
    """Takes rows by index; their gradients are summed in a fixed order.

    The backward of plain indexing adds in an arbitrary order on several CPU threads, and that of
    `index_select` does on CUDA.

    Args:
        values: [N, C].
        index: [...] int64 in [0, N).

    Returns:
        [..., C].

    Raises:
        ValueError: If a shape or dtype is wrong.
    """
    if values.dim() != 2:
        raise ValueError(f"values must have shape [N, C], got {tuple(values.shape)}")
    _require_index(index)
    if index.dim() == 1:
        # The very tensor: what `sum_by_place` makes of it is kept for the next step.
        return _GatherRows.apply(values, index)
    rows = _GatherRows.apply(values, index.reshape(-1))
    return rows.reshape(*index.shape, values.shape[1])


def scatter_rows(rows: Tensor, index: Tensor, size: int) -> Tensor:
    """Sums rows which share an index, in a fixed order: the transpose of `gather_rows`.

    Args:
        rows: [M, C].
        index: [M] int64 in [0, size).
        size: The number N of rows of the result.

    Returns:
        [N, C], where row n is the sum of rows[m] over index[m] == n.

    Raises:
        ValueError: If a shape or dtype is wrong.
    """
    if rows.dim() != 2 or index.shape != rows.shape[:1]:
        raise ValueError(
            f"rows must have shape [M, C] and index [M], got {tuple(rows.shape)} "
            f"and {tuple(index.shape)}"
        )
    _require_index(index)
    return _ScatterRows.apply(rows, index, size)


def _require_index(index: Tensor) -> None:
    if index.dtype != torch.int64:
        raise ValueError(f"index must have dtype torch.int64, got {index.dtype}")


class _GatherRows(torch.autograd.Function):
    @staticmethod
    def forward(ctx: Any, values: Tensor, index: Tensor) -> Tensor:
        ctx.save_for_backward(index)
        ctx.size = len(values)
        return values.index_select(0, index)

    @staticmethod
    def backward(ctx: Any, *grads: Tensor) -> tuple[Tensor, None]:
        (index,) = ctx.saved_tensors
        return _ScatterRows.apply(grads[0], index, ctx.size), None


class _ScatterRows(torch.autograd.Function):
    @staticmethod
    def forward(ctx: Any, rows: Tensor, index: Tensor, size: int) -> Tensor:
        ctx.save_for_backward(index)
        return _sum_rows(rows, index, size)

    @staticmethod
    def backward(ctx: Any, *grads: Tensor) -> tuple[Tensor, None, None]:
        (index,) = ctx.saved_tensors
        return _GatherRows.apply(grads[0], index), None, None


def _sum_rows(rows: Tensor, index: Tensor, size: int) -> Tensor:
    if rows.is_cuda:
        return sum_by_place(rows, index, size)
    # On CUDA it is atomic; on the CPU it adds in order.
    return rows.new_zeros(size, rows.shape[1]).index_add_(0, index, rows)


# --- Normals --------------------------------------------------------------------------------------


def face_normals(face_vertices: Tensor) -> Tensor:
    """Computes the unit normal of every face; outward for faces wound as this module says.

    Args:
        face_vertices: [..., 3, 3] corners of triangles.

    Returns:
        [..., 3], unit length; zero, with a zero gradient, for a triangle without area.
    """
    return _unit_or_zero(_cross(face_vertices))


def vertex_normals(vertices: Tensor, faces: Tensor) -> Tensor:
    """Computes the unit normal of every vertex: the mean of those of its faces, by their area.

    Args:
        vertices: [B, V, 3].
        faces: [F, 3] int64.

    Returns:
        [B, V, 3], unit length; zero, with a zero gradient, where a vertex has no face or the
        normals of its faces cancel each other.
    """
    batch, count = vertices.shape[:2]
    rows = vertices.transpose(0, 1).reshape(count, batch * 3)
    corners = gather_rows(rows, faces).unflatten(2, (batch, 3))  # [F, 3, B, 3]
    normals = _cross(corners.transpose(1, 2)).flatten(1)  # their length is twice the area
    sums = scatter_rows(normals.repeat_interleave(3, 0), faces.reshape(-1), count)
    return _unit_or_zero(sums.unflatten(1, (batch, 3)).transpose(0, 1))


def _cross(face_vertices: Tensor) -> Tensor:
    """Returns [..., 3] normals of triangles [..., 3, 3], as long as twice their area."""
    a, b, c = face_vertices.unbind(-2)
    return torch.linalg.cross(b - a, c - a, dim=-1)


def _unit_or_zero(vectors: Tensor) -> Tensor:
    squared = vectors.square().sum(-1, keepdim=True)
    # Not an epsilon in the root, which would shorten the normals of small faces: only where the
    # square underflows is there no direction left.
    has_length = squared > torch.finfo(squared.dtype).tiny
    return torch.where(has_length, vectors * torch.where(has_length, squared, 1.0).rsqrt(), 0.0)


# --- Topology -------------------------------------------------------------------------------------


def edges(faces: Tensor) -> Tensor:
    """Lists every undirected edge once.

    Args:
        faces: [F, 3] int64. A face which names a vertex twice adds no edge from it to itself.

    Returns:
        [E, 2] int64 with the smaller index first, in lexicographic order.
    """
    pairs = torch.unique(_half_edges(faces), dim=0)
    return pairs[pairs[:, 0] != pairs[:, 1]]


def _half_edges(faces: Tensor) -> Tensor:
    """Returns [3F, 2] sorted pairs; row 3f + k is the edge of face f opposite to its corner k."""
    pairs = torch.stack((faces[:, [1, 2]], faces[:, [2, 0]], faces[:, [0, 1]]), dim=1)
    return pairs.reshape(-1, 2).sort(dim=1).values


def face_pairs_of_edges(faces: Tensor) -> tuple[Tensor, Tensor]:
    """Pairs the two faces, and their two opposite vertices, which meet at every interior edge.

    Only edges of exactly two faces count: a boundary edge has no pair, an edge of three faces or
    more has no unique one, and a face which names a vertex twice is no neighbour of itself.

    Args:
        faces: [F, 3] int64.

    Returns:
        pairs: [E, 2] int64, the indices of the two faces, the smaller one first.
        quads: [E, 4] int64, vertices (v0, v1, v2, v3): the edge v0 < v1, then the vertex of the
            first and of the second face which is not on the edge. Rows ascend by (v0, v1).
    """
    unique, inverse, counts = torch.unique(
        _half_edges(faces), dim=0, return_inverse=True, return_counts=True
    )
    order = torch.argsort(inverse, stable=True)  # half edges grouped by edge, faces ascending
    first = (counts.cumsum(0) - counts)[counts == 2]
    halves = torch.stack((order[first], order[first + 1]), dim=1)
    quads = torch.cat((unique[counts == 2], faces.reshape(-1)[halves]), dim=1)
    pairs = halves // 3
    distinct = pairs[:, 0] != pairs[:, 1]
    return pairs[distinct], quads[distinct]


def welded(mesh: Mesh) -> Mesh:
    """Merges the vertices at exactly equal positions; faces that lose an edge by it are left out.

    Files without shared vertices (STL), or with seams of textures, fall apart without it.

    Args:
        mesh: The mesh.

    Returns:
        The mesh, its vertices in the order of their first appearance.

    Raises:
        ValueError: If no face is left.
    """
    # Adding 0 turns -0 into 0, which is at the same place.
    unique, inverse = torch.unique(mesh.vertices + 0.0, dim=0, return_inverse=True)
    rows = torch.arange(len(inverse), device=inverse.device)
    first = rows.new_full((len(unique),), len(rows)).scatter_reduce(0, inverse, rows, "amin")
    order = first.argsort()
    rank = torch.empty_like(order).scatter(0, order, torch.arange(len(order), device=order.device))
    faces = rank[inverse][mesh.faces]
    a, b, c = faces.unbind(1)
    whole = (a != b) & (b != c) & (c != a)
    colors = None if mesh.face_colors is None else mesh.face_colors[whole]
    return Mesh(mesh.vertices[first[order]], faces[whole], colors)


def count_components(faces: Tensor) -> int:
    """Counts the parts of a mesh that share no vertex.

    Args:
        faces: [F, 3] int64.
    """
    corners = faces.cpu().numpy()
    starts, ends = np.concatenate((corners[:, :2], corners[:, 1:])).T
    size = int(corners.max()) + 1
    graph = coo_matrix((np.ones(len(starts), np.int8), (starts, ends)), shape=(size, size))
    _, labels = connected_components(graph, directed=False)
    return len(np.unique(labels[corners[:, 0]]))  # vertices of no face are no parts


# --- Shapes ---------------------------------------------------------------------------------------


def icosphere(subdivisions: int = 3) -> Mesh:
    """Builds the unit sphere by splitting every triangle of an icosahedron into four.

    The icosahedron is (0, +-1, +-phi) and its cyclic permutations, normalised. Vertices are shared
    by index, never by distance, so the welding is exact and the result deterministic.

    Args:
        subdivisions: The number n of times that every face is split into four; V = 10 * 4^n + 2 and
            F = 20 * 4^n (n=3: 642 and 1280).

    Returns:
        A closed mesh of radius 1 with outward-facing triangles.

    Raises:
        ValueError: If `subdivisions` is outside [0, 7].
    """
    if not 0 <= subdivisions <= 7:  # 7 is 163,842 vertices; more is surely a mistake
        raise ValueError(f"subdivisions must lie in [0, 7], got {subdivisions}")
    vertices, faces = _icosahedron()
    for _ in range(subdivisions):
        vertices, faces = subdivide(vertices, faces)
        vertices = vertices / vertices.norm(dim=1, keepdim=True)
    return Mesh(vertices.float(), faces)


def _icosahedron() -> tuple[Tensor, Tensor]:
    phi = (1 + 5**0.5) / 2
    signs = [(s, t) for s in (-1.0, 1.0) for t in (-1.0, 1.0)]
    rows = [(0.0, s, t * phi) for s, t in signs]
    rows += [(s, t * phi, 0.0) for s, t in signs]
    rows += [(t * phi, 0.0, s) for s, t in signs]
    vertices = torch.tensor(rows, dtype=torch.float64)
    # Corners of a face are mutual neighbours, at distance 2; a < b < c lists each face once.
    near = (torch.cdist(vertices, vertices) - 2).abs() < 0.1
    faces = torch.tensor(
        [
            (a, b, c)
            for a in range(12)
            for b in range(a + 1, 12)
            for c in range(b + 1, 12)
            if near[a, b] and near[b, c] and near[a, c]
        ]
    )
    inward = torch.linalg.det(vertices[faces]) < 0  # det(a, b, c) > 0 when wound outward
    faces[inward] = faces[inward].flip(1)
    return vertices / vertices.norm(dim=1, keepdim=True), faces


def subdivide(vertices: Tensor, faces: Tensor) -> tuple[Tensor, Tensor]:
    """Puts one vertex on the middle of every edge and replaces each face by four of its winding.

    Args:
        vertices: [V, C], positions or other values of the vertices, such as colours.
        faces: [F, 3] int64.

    Returns:
        vertices: [V + E, C], the old ones first, then the means of the two ends of each edge.
        faces: [4 F, 3] int64, those of face f in the rows 4 f to 4 f + 3.
    """
    unique, inverse = torch.unique(_half_edges(faces), dim=0, return_inverse=True)
    middles = vertices[unique].mean(dim=1)
    a, b, c = faces.unbind(1)
    bc, ca, ab = (inverse.reshape(-1, 3) + len(vertices)).unbind(1)
    quarters = [(a, ab, ca), (b, bc, ab), (c, ca, bc), (ab, bc, ca)]
    split = torch.stack([torch.stack(quarter, dim=1) for quarter in quarters], dim=1)
    return torch.cat((vertices, middles)), split.reshape(-1, 3)
