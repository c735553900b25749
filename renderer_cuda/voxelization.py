"""Occupancy grids of triangle meshes: surface voxels, then everything the outside cannot reach.

Two definitions of a surface voxel are offered. ``"softras"`` is the one behind the published
voxel scores of Soft Rasterizer (arXiv 1904.01786) and neural mesh renderer: axis-parallel lines
through the voxel corners are intersected with every face. ``"solid"`` is exact: a voxel belongs
to the surface when its closed cube and a triangle overlap. Neither looks at orientation or
parity, so open, self-intersecting and wrongly oriented meshes are fine.

A grid of resolution R covers [0, 1]^3; voxel (x, y, z) is the cube [x, x+1] x [y, y+1] x [z, z+1]
divided by R.
"""

from __future__ import annotations

import torch
from torch import Tensor

from renderer_cuda import build
from renderer_cuda.validation import check_face_vertices, count_images, pack_faces

MODES = ("softras", "solid")
MAX_RESOLUTION = 1024  # 1 GiB per image as bool; more is a mistake rather than a wish

# In voxels. Beyond, a face is skipped, as one with a NaN or an infinity is: float32 has lost its
# place by far, and below no product of three coordinates overflows.
FARTHEST = 2.0**40

# A line parallel to axis d runs through the lattice points of the two other axes. The order of
# those two decides the order of the floating-point operations, hence the last bit of a hit.
_RAY_AXES = ((2, 1, 0), (0, 2, 1), (0, 1, 2))  # (first, second, depth) for depth x, y, z
_PAIRS_AT_ONCE = 1 << 21  # (face, line) pairs held in memory by the reference


_LIBRARY = torch.library.Library("renderer_cuda", "FRAGMENT")
# face_vertices is [N, 3, 3]; first_face is [B + 1], or [0] when the N faces are B equal meshes.
_LIBRARY.define(
    "voxelize(Tensor face_vertices, Tensor first_face, int images, int resolution, int mode)"
    " -> Tensor"
)


def voxelize(
    face_vertices: Tensor,
    resolution: int,
    *,
    first_face: Tensor | None = None,
    mode: str = "softras",
) -> Tensor:
    """Fill every voxel that is on the surface of the faces or that the outside cannot reach.

    The outside is what empty voxels joined by their faces connect to the border of the grid, so a
    closed surface cut open by the border of the grid is not filled. Parts of faces outside
    [0, 1]^3 are clipped. A face with a coordinate that is not finite, or beyond 2^40 voxels, is
    skipped. Not differentiable. The work is proportional to the faces' bounding boxes.

    Args:
        face_vertices: [B, F, 3, 3] float32 or float64, face corners in [0, 1]^3. F may be 0. Or
            [N, 3, 3], the faces of B different meshes one after the other, with first_face.
        resolution: Number R of voxels along each side, 1 to 1024.
        first_face: [B + 1] int64, for packed meshes: image b shows the faces first_face[b], ...,
            first_face[b + 1] - 1. Either on the CPU, where its values are checked; or on the device
            of face_vertices, where they are taken to rise from 0 to N, as a look would wait.
        mode: "softras" marks the voxel of every corner and the four around each hit of a lattice
            line, bit for bit what the Soft Rasterizer evaluation does (the dtype matters);
            "solid" marks each voxel whose closed cube overlaps a face (computed in float64).

    Returns:
        [B, R, R, R] bool, where occupied[b, x, y, z] is the cube [x, x+1] x [y, y+1] x [z, z+1]
        divided by R.

    Raises:
        ValueError: An argument has the wrong rank, shape, dtype or range.
    """
    _check(face_vertices, resolution, first_face, mode)
    build.available(face_vertices.device.type)
    faces, offsets = pack_faces(face_vertices.detach(), first_face)
    images = count_images(face_vertices, first_face)
    occupied: Tensor = torch.ops.renderer_cuda.voxelize(
        faces, offsets, images, resolution, MODES.index(mode)
    )
    return occupied


def voxelize_reference(
    face_vertices: Tensor,
    resolution: int,
    *,
    first_face: Tensor | None = None,
    mode: str = "softras",
) -> Tensor:
    """Compute what `voxelize` computes in plain torch: every line against every face."""
    _check(face_vertices, resolution, first_face, mode)
    faces, offsets = pack_faces(face_vertices.detach(), first_face)
    images = count_images(face_vertices, first_face)
    return _voxelize_in_torch(faces, offsets, images, resolution, MODES.index(mode))


@torch.library.register_fake("renderer_cuda::voxelize", lib=_LIBRARY)
def _voxelize_fake(
    face_vertices: Tensor, first_face: Tensor, images: int, resolution: int, mode: int
) -> Tensor:
    return _empty_grid(face_vertices, images, resolution)


# The kernel of every device for which no native one is registered.
@torch.library.impl(_LIBRARY, "voxelize", "CompositeExplicitAutograd")
def _voxelize_in_torch(
    face_vertices: Tensor, first_face: Tensor, images: int, resolution: int, mode: int
) -> Tensor:
    grid = _empty_grid(face_vertices, images, resolution)
    image = _image_of_each(face_vertices, first_face, images)
    surface = _softras_surface if MODES[mode] == "softras" else _solid_surface
    return ~_outside(surface(face_vertices, image, grid))


def _check(face_vertices: Tensor, resolution: int, first_face: Tensor | None, mode: str) -> None:
    check_face_vertices(face_vertices, first_face)
    if isinstance(resolution, bool) or not isinstance(resolution, int):
        raise ValueError(f"resolution must be an int, got {type(resolution).__name__}")
    if not 1 <= resolution <= MAX_RESOLUTION:
        raise ValueError(f"resolution must be from 1 to {MAX_RESOLUTION}, got {resolution}")
    if mode not in MODES:
        raise ValueError(f"mode must be one of {', '.join(MODES)}, got {mode!r}")


def _image_of_each(faces: Tensor, first_face: Tensor, images: int) -> Tensor:
    """Return the image [N] of each of the packed faces [N, 3, 3]."""
    each = torch.arange(images, device=faces.device)
    if len(first_face) == 0:
        return each.repeat_interleave(len(faces) // max(images, 1))
    return each.repeat_interleave(first_face.diff().to(faces.device))


def _empty_grid(like: Tensor, images: int, resolution: int) -> Tensor:
    return like.new_zeros((images, resolution, resolution, resolution), dtype=torch.bool)


def _usable_faces(faces: Tensor, image: Tensor, resolution: int) -> tuple[Tensor, Tensor]:
    """Return faces in voxel units, without those to be skipped, and the image [N] of each."""
    scaled = faces * resolution
    usable = (scaled.abs() <= FARTHEST).flatten(1).all(dim=1)  # false for NaN
    return scaled[usable], image[usable]


def _softras_surface(faces: Tensor, image: Tensor, grid: Tensor) -> Tensor:
    """Mark voxels of grid beside a hit of a lattice line, and those which hold a face corner."""
    resolution = grid.shape[1]
    faces, image = _usable_faces(faces, image, resolution)
    _mark(grid, image.repeat_interleave(3), faces.reshape(-1, 3).floor())
    step = max(1, _PAIRS_AT_ONCE // resolution**2)
    for some, where in zip(faces.split(step), image.split(step), strict=True):
        for axes in _RAY_AXES:
            _mark_line_hits(grid, where, some, axes)
    return grid


def _mark_line_hits(grid: Tensor, image: Tensor, faces: Tensor, axes: tuple[int, ...]) -> None:
    """Intersect the lines (i, j, *) with the faces and mark the four voxels around each hit.

    With p = v0 + s (v1 - v0) + t (v2 - v0) and the depth coordinate left out this is a 2x2 system
    for (s, t), solved by Cramer's rule; i and j are integers 0..R-1.
    """
    resolution = grid.shape[1]
    corner = faces[:, :, list(axes)]
    (ax, ay, az) = (corner[:, 1] - corner[:, 0])[:, :, None, None].unbind(1)
    (bx, by, bz) = (corner[:, 2] - corner[:, 0])[:, :, None, None].unbind(1)
    lattice = torch.arange(resolution, device=faces.device, dtype=faces.dtype)
    px = lattice[:, None] - corner[:, 0, 0, None, None]
    py = lattice[None, :] - corner[:, 0, 1, None, None]
    det = ay * bx - by * ax
    s = (bx * py - by * px) / det
    t = (ay * px - ax * py) / det
    depth = (s * az + t * bz + corner[:, 0, 2, None, None]).floor()
    inside = (s >= 0) & (t >= 0) & (s + t <= 1) & (det != 0)
    face, i, j = inside.nonzero(as_tuple=True)
    hit = torch.stack([i.to(depth), j.to(depth), depth[face, i, j]], dim=1)
    for back in ((0, 0), (1, 0), (0, 1), (1, 1)):
        voxel = torch.empty_like(hit)
        voxel[:, list(axes)] = hit - hit.new_tensor((*back, 0))
        _mark(grid, image[face], voxel)


def _mark(grid: Tensor, image: Tensor, voxel: Tensor) -> None:
    """Set grid[image, x, y, z] for the rows of voxel [N, 3] (whole numbers) inside the grid."""
    inside = ((voxel >= 0) & (voxel < grid.shape[1])).all(dim=1)
    x, y, z = voxel[inside].long().unbind(1)
    grid[image[inside], x, y, z] = True


def _solid_surface(faces: Tensor, image: Tensor, grid: Tensor) -> Tensor:
    """Mark voxels of grid [B, R, R, R] whose closed cube overlaps a face.

    In float64 whatever the input: cubes that merely touch a face count, so for vertices on a
    dyadic lattice the products must not round.
    """
    resolution = grid.shape[1]
    faces, image = _usable_faces(faces.double(), image, resolution)
    for where, face in zip(image.tolist(), faces, strict=True):
        low = (face.amin(dim=0).ceil() - 1).clamp(0, resolution).long().tolist()
        high = (face.amax(dim=0).floor() + 1).clamp(0, resolution).long().tolist()
        if all(a < b for a, b in zip(low, high, strict=True)):
            block = grid[where, low[0] : high[0], low[1] : high[1], low[2] : high[2]]
            block |= _triangle_meets_cubes(face, low, high)
    return grid


def _triangle_meets_cubes(face: Tensor, low: list[int], high: list[int]) -> Tensor:
    """Return which unit cubes at low <= corner < high meet a triangle [3, 3], by separating axes.

    Two convex bodies are disjoint exactly when one of 13 axes separates them: the three axes of
    the grid (which low and high took care of), the normal, and edge x grid axis.
    """
    ranges = (
        torch.arange(a, b, device=face.device, dtype=face.dtype)
        for a, b in zip(low, high, strict=True)
    )
    x, y, z = torch.meshgrid(*ranges, indexing="ij")
    meets = torch.ones(x.shape, dtype=torch.bool, device=face.device)
    for n in _separating_axes(face):
        shadow = (n[0] * face[:, 0] + n[1] * face[:, 1]) + n[2] * face[:, 2]
        at_corner = (n[0] * x + n[1] * y) + n[2] * z
        start = n.clamp(max=0)
        end = n.clamp(min=0)
        low_bound = shadow.min() - ((end[0] + end[1]) + end[2])
        high_bound = shadow.max() - ((start[0] + start[1]) + start[2])
        meets &= (low_bound <= at_corner) & (at_corner <= high_bound)
    return meets


def _separating_axes(face: Tensor) -> list[Tensor]:
    edges = [face[1] - face[0], face[2] - face[1], face[0] - face[2]]
    (ax, ay, az), (bx, by, bz) = edges[0].unbind(), edges[1].unbind()
    axes = [torch.stack([ay * bz - az * by, az * bx - ax * bz, ax * by - ay * bx])]
    for ex, ey, ez in edges:
        zero = torch.zeros_like(ex)
        axes += [
            torch.stack([zero, ez, -ey]),
            torch.stack([-ez, zero, ex]),
            torch.stack([ey, -ex, zero]),
        ]
    return axes


def _outside(surface: Tensor) -> Tensor:
    """Return the empty voxels joined to the border of the grid through faces of empty voxels."""
    empty = ~surface
    outside = empty.clone()
    outside[:, 1:-1, 1:-1, 1:-1] = False
    while True:
        grown = outside.clone()
        for dim in (1, 2, 3):
            length = outside.shape[dim] - 1
            ahead, behind = outside.narrow(dim, 1, length), outside.narrow(dim, 0, length)
            grown.narrow(dim, 1, length).logical_or_(behind)
            grown.narrow(dim, 0, length).logical_or_(ahead)
        grown &= empty
        if torch.equal(grown, outside):
            return outside
        outside = grown
