"""The scenes of the rasterizer benchmark, with their pairs and counted operations."""

from __future__ import annotations

import math
from collections.abc import Iterator
from dataclasses import dataclass

import torch
from torch import Tensor

from recon.geometry.cameras import SHAPENET_VIEWS, Cameras, shapenet_cameras
from recon.geometry.meshes import Mesh, icosphere
from renderer_cuda import gather_faces
from renderer_cuda.reference import drawable_faces

# Spheres of this radius, object units, fill the view as objects of the training data do.
RADIUS = 0.55
DIST_EPS = 1e-4
DEFAULT_GAMMA = 1e-4
# Spheres of meridians and parallels for face counts which no icosphere has: (meridians, bands).
UV_SPHERES = {5856: (61, 49)}
# Candidate pixels looked at together when pairs are counted: about 150 MB of float64.
CANDIDATES_AT_ONCE = 1 << 20


@dataclass(frozen=True)
class Case:
    """A batch of jittered spheres in the 24 ShapeNet views, and how they are rendered.

    Args:
        kind: "silhouette", "rgb" (softmax over depth), "hard" (colour of the nearest face) or
            "visible" (index of the nearest face, as images for data sets are made); the last two
            forward only.
        images: The number B of images.
        image_size: The number of pixels along each side.
        faces: The number F of faces of each mesh: 20 * 4^k, or a key of `UV_SPHERES`.
        sigma: The softness of edges, squared NDC units.
        gamma: The temperature of the softmax over depth ("rgb"), units of normalised depth.
    """

    kind: str
    images: int
    image_size: int
    faces: int
    sigma: float = 1e-5
    gamma: float = DEFAULT_GAMMA

    @property
    def name(self) -> str:
        """The words by which the command line chooses cases."""
        gamma = "" if self.gamma == DEFAULT_GAMMA else f" gamma={self.gamma:.0e}"
        return (
            f"{self.kind} size={self.image_size} faces={self.faces} B={self.images} "
            f"sigma={self.sigma:.0e}{gamma}"
        )

    @property
    def pixels(self) -> int:
        """Pixels of one image."""
        return self.image_size**2


ICOSPHERES = tuple(20 * 4**level for level in range(3, 8))  # 1,280 to 327,680 faces

CASES = (
    Case("silhouette", 64, 64, 1280, 1e-4),
    Case("silhouette", 64, 64, 1280, 1e-5),
    Case("rgb", 64, 64, 1280, 1e-4),
    # Most weights of this one are denormal numbers, or would be where arithmetic keeps those.
    Case("rgb", 64, 64, 1280, 1e-4, gamma=1e-6),
    Case("silhouette", 1, 64, 1280, 1e-4),
    Case("rgb", 1, 64, 1280, 1e-4),
    Case("rgb", 64, 64, 5120),
    Case("rgb", 4, 256, 5120),
    Case("rgb", 4, 256, 5856),
    Case("rgb", 1, 256, 5856),
    Case("rgb", 1, 1024, 5120),
    *(
        Case(kind, 1, size, faces)
        for kind in ("silhouette", "rgb")
        for size in (256, 512)
        for faces in ICOSPHERES
    ),
    Case("hard", 24, 256, 5120, 1e-8),
    Case("visible", 24, 256, 5120, 1e-8),
)
QUICK_CASES = (
    Case("silhouette", 2, 16, 80, 1e-3),
    Case("silhouette", 2, 16, 320, 1e-3),
    Case("rgb", 1, 16, 80, 1e-3),
    Case("hard", 1, 16, 80, 1e-8),
    Case("visible", 1, 16, 80, 1e-8),
)
MEMORY_CASES = tuple(
    Case(kind, images, size, faces)
    for kind in ("silhouette", "rgb")
    for images, size, faces in ((1, 1024, 5120), (1, 256, 327680), (64, 64, 1280))
)


# ---- scenes --------------------------------------------------------------------------------------


def uv_sphere(meridians: int, bands: int) -> Mesh:
    """Returns a closed unit sphere of 2 * meridians * (bands - 1) faces, wound to face outward."""
    polar = torch.arange(1, bands)[:, None] * (math.pi / bands)
    azimuth = torch.arange(meridians)[None] * (2 * math.pi / meridians)
    rings = torch.stack(
        torch.broadcast_tensors(
            polar.sin() * azimuth.cos(), polar.cos(), polar.sin() * azimuth.sin()
        ),
        dim=-1,
    )
    vertices = torch.cat([rings.reshape(-1, 3), torch.tensor([[0.0, 1.0, 0.0], [0.0, -1.0, 0.0]])])
    ring = torch.arange(meridians * (bands - 1)).reshape(bands - 1, meridians)
    here, next_ = ring, ring.roll(-1, dims=1)
    north, south = (
        torch.full_like(ring[0], len(vertices) - 2),
        torch.full_like(ring[0], len(vertices) - 1),
    )
    faces = (
        (north, next_[0], here[0]),
        (here[:-1], next_[:-1], next_[1:]),
        (here[:-1], next_[1:], here[1:]),
        (south, here[-1], next_[-1]),
    )
    return Mesh(vertices, torch.cat([torch.stack(f, dim=-1).reshape(-1, 3) for f in faces]))


def sphere(faces: int) -> Mesh:
    """Returns the unit sphere with so many faces.

    Raises:
        ValueError: Neither an icosphere nor an entry of `UV_SPHERES` has that number of faces.
    """
    if faces in UV_SPHERES:
        return uv_sphere(*UV_SPHERES[faces])
    level = max(0, round(math.log(max(1, faces) / 20, 4)))
    if faces != 20 * 4**level:
        raise ValueError(f"faces must be 20 * 4^k or one of {list(UV_SPHERES)}, got {faces}")
    return icosphere(level)


def make_meshes(case: Case) -> tuple[Tensor, Tensor, Cameras]:
    """Returns vertices [B, V, 3] in object units, faces [F, 3] and the B cameras of the case."""
    mesh = sphere(case.faces)
    generator = torch.Generator().manual_seed(0)
    edge = math.sqrt(16 * math.pi / math.sqrt(3) / case.faces)  # of an equilateral face
    noise = torch.randn(case.images, *mesh.vertices.shape, generator=generator) * 0.1 * edge
    cameras = shapenet_cameras([index % SHAPENET_VIEWS for index in range(case.images)])
    return RADIUS * (mesh.vertices + noise), mesh.faces, cameras


def make_faces(case: Case) -> Tensor:
    """Returns face_vertices [B, F, 3, 3] of the case: NDC x, NDC y, view depth."""
    vertices, faces, cameras = make_meshes(case)
    return gather_faces(cameras.project(vertices, case.image_size), faces)


# ---- pairs ---------------------------------------------------------------------------------------


def support_radius(sigma: float, dist_eps: float = DIST_EPS) -> float:
    """Returns the distance, NDC units, beyond which a face has no part in a pixel."""
    return math.sqrt(sigma * math.log(1 / dist_eps - 1))


@dataclass(frozen=True)
class Rectangles:
    """The pixels in reach of each of N faces, inside the image; all [N] int64, ends exclusive."""

    first_column: Tensor
    end_column: Tensor
    first_row: Tensor
    end_row: Tensor

    @property
    def columns(self) -> Tensor:
        """Widths, zero for an empty rectangle."""
        return (self.end_column - self.first_column).clamp_min(0)

    @property
    def areas(self) -> Tensor:
        """Pixels of each rectangle."""
        return self.columns * (self.end_row - self.first_row).clamp_min(0)


def rectangles(corners: Tensor, image_size: int, reach: float) -> Rectangles:
    """Returns the bounding boxes of triangles [N, 3, 2], grown by reach, in pixels of an image."""
    half, middle = image_size / 2, (image_size - 1) / 2
    slack = 1e-6  # pixels; a candidate too many costs nothing, the exact test follows
    low, high = corners.amin(1) - reach, corners.amax(1) + reach
    first_x, last_x = low[:, 0] * half + middle, high[:, 0] * half + middle
    first_y, last_y = middle - high[:, 1] * half, middle - low[:, 1] * half

    def bounds(first: Tensor, last: Tensor) -> tuple[Tensor, Tensor]:
        begin, end = (first - slack).ceil(), (last + slack).floor() + 1
        return begin.clamp(0, image_size).long(), end.clamp(0, image_size).long()

    return Rectangles(*bounds(first_x, last_x), *bounds(first_y, last_y))


def in_support(corners: Tensor, pixels: Tensor, reach: float) -> Tensor:
    """Tells for N triangles [N, 3, 2] and pixel centres [N, 2] whether these are in the support.

    The support is the inside of the triangle, and what is nearer to its edges than `reach`.
    """
    nearest = torch.full_like(pixels[:, 0], math.inf)
    sides = []
    for k in range(3):
        start, edge = corners[:, k], corners[:, (k + 1) % 3] - corners[:, k]
        offset = pixels - start
        along = (offset * edge).sum(-1) / edge.square().sum(-1)
        away = offset - along.nan_to_num(0.0).clamp(0, 1)[:, None] * edge
        nearest = torch.minimum(nearest, away.square().sum(-1))
        sides.append(edge[:, 0] * offset[:, 1] - edge[:, 1] * offset[:, 0])
    inside = ((sides[0] > 0) & (sides[1] > 0) & (sides[2] > 0)) | (
        (sides[0] < 0) & (sides[1] < 0) & (sides[2] < 0)
    )
    return inside | (nearest < reach**2)


def pairs_of_support(
    corners: Tensor, image_size: int, reach: float
) -> Iterator[tuple[Tensor, Tensor, Tensor]]:
    """Yields the (face, row, column) of all pairs inside the support, some faces at a time.

    Args:
        corners: [N, 3, 2] float64 NDC x and y of the corners.
        image_size: The number of pixels along each side.
        reach: The `support_radius` in NDC units.
    """
    boxes = rectangles(corners, image_size, reach)
    areas, columns = boxes.areas, boxes.columns
    ends = areas.cumsum(0)
    begin = 0
    while begin < len(corners):
        done = int(ends[begin] - areas[begin])
        end = int(torch.searchsorted(ends, done + CANDIDATES_AT_ONCE, right=True))
        end = max(end, begin + 1)
        face = torch.arange(begin, end).repeat_interleave(areas[begin:end])
        index = torch.arange(done, done + len(face)) - (ends - areas)[face]  # within the rectangle
        column = boxes.first_column[face] + index % columns[face]
        row = boxes.first_row[face] + index // columns[face]
        pixels = torch.stack((2 * column + 1 - image_size, image_size - 1 - 2 * row), dim=-1)
        hit = in_support(corners[face], pixels.to(corners.dtype) / image_size, reach)
        yield face[hit], row[hit], column[hit]
        begin = end


def drawn_corners(face_vertices: Tensor) -> Tensor:
    """Returns NDC x and y, [N, 3, 2] float64, of the faces [..., 3, 3] that can be drawn."""
    return face_vertices[drawable_faces(face_vertices)][..., :2].double().cpu()


def count_pairs(
    face_vertices: Tensor, image_size: int, sigma: float, dist_eps: float = DIST_EPS
) -> int:
    """Counts the (pixel, face) pairs inside the support over a batch [B, F, 3, 3].

    A pair counts where the pixel centre is inside the face or nearer than
    sqrt(sigma * log(1 / dist_eps - 1)) to an edge; faces that cannot be drawn have none. In
    float64, so it may differ from float32 kernels by pixels within rounding of the border.
    """
    reach = support_radius(sigma, dist_eps)
    found = pairs_of_support(drawn_corners(face_vertices), image_size, reach)
    return sum(len(face) for face, _, _ in found)


# ---- counted operations --------------------------------------------------------------------------


@dataclass(frozen=True)
class Work:
    """The least work of one direction of a render.

    Args:
        pair, face, pixel: The floating-point operations for each pair, face and pixel.
        face_bytes, pixel_bytes: The compulsory traffic for each face and pixel, read once and
            written once.
    """

    pair: int
    face: int
    pixel: int
    face_bytes: int
    pixel_bytes: int

    def operations(self, pairs: float, faces: float, pixels: float) -> float:
        """Floating-point operations of a render."""
        return self.pair * pairs + self.face * faces + self.pixel * pixels

    def bytes(self, faces: float, pixels: float) -> float:
        """Bytes which a render has to read and write."""
        return self.face_bytes * faces + self.pixel_bytes * pixels


# Counted by hand from renderer_cuda/csrc (coverage.h, shading.h, fragment.h, face.h; exponentials
# as pack.h computes them). One each: add, subtract, multiply, divide, negate, absolute, minimum,
# maximum, comparison, select. Not counted: masks combined, integer arithmetic, loads. Only pairs
# inside the support count: what a kernel spends on other candidates is loss. Of a pair, forward /
# backward:
#   cover        three edges of 19, nearest edge 4 / 17 (its mixture of corners),
#                inside, support and exponent 8                                     69 /  82
#   attenuate    exponential 26, its argument 2                                     28 /  28
#   opacity      complement, cut, select, product 7 / opacity_vjp 5, cover_vjp 17    7 /  22
#   rgb          surface_at 20, visible_at 2, softmax_weight 33 (exponential 27), select 1,
#                colour 15; accumulate 19                                           90
#                / share_of 6, logit's gradient 18, color_vjp 36, surface_vjp 77         / 208
#   hard         surface_at 20, visible_at 2, within 6, nearer 2                    30
#   visible      weights 6 (the rest is shared by a row or a column), within 6,
#                hidden 1, surface_of 14, near 1, nearer 2, select 1                31
# A face: prepare 125 (corners 48, area 11, rectangle 66), once each way. A pixel: alpha 1, colours
# over the background 16 (hard: 3) / gradient of the opacity 1, mean and division 6.
# Bytes, float32: corners 36 and colours 36 a face, in and (backward) their gradients out; a pixel's
# alpha and transmittance, or rgba, transmittance, exponent and partition (hard: nearest face).
WORK = {
    ("silhouette", "forward"): Work(104, 125, 1, 36, 8),
    ("silhouette", "backward"): Work(132, 125, 1, 72, 8),
    ("rgb", "forward"): Work(194, 125, 17, 72, 28),
    ("rgb", "backward"): Work(340, 125, 7, 144, 44),
    ("hard", "forward"): Work(134, 125, 4, 72, 24),
    ("visible", "forward"): Work(31, 125, 0, 36, 4),
}
