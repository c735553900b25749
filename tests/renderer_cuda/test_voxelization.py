"""The voxeliser against the published voxels, its oracle, exact arithmetic and closed forms."""

from __future__ import annotations

import math
from collections.abc import Callable
from fractions import Fraction
from itertools import product
from pathlib import Path

import numpy as np
import pytest
import torch
from hypothesis import given, settings
from hypothesis import strategies as st
from scipy import ndimage
from torch import Tensor

from renderer_cuda import build, voxelize, voxelize_reference

GOLDEN = sorted((Path(__file__).parent / "golden" / "vox").glob("*.npz"))
MODES = ("softras", "solid")
DTYPES = (torch.float32, torch.float64)
VOXELIZERS = (voxelize, voxelize_reference)


@pytest.fixture(scope="module")
def native() -> None:
    """Skips where there are no kernels: the op would be compared with itself."""
    reason = build.load("cpu")
    if reason:
        pytest.skip(reason)


# ---- scenes --------------------------------------------------------------------------------------


def box(low: float, high: float, dtype: torch.dtype = torch.float64) -> Tensor:
    """The twelve faces [1, 12, 3, 3] of the cube [low, high]^3, two for each side."""
    corners = torch.tensor(list(product((low, high), repeat=3)), dtype=dtype)
    sides = [(0, 1, 3, 2), (4, 5, 7, 6), (0, 1, 5, 4), (2, 3, 7, 6), (0, 2, 6, 4), (1, 3, 7, 5)]
    faces = [face for a, b, c, d in sides for face in ((a, b, c), (a, c, d))]
    return corners[torch.tensor(faces)][None]


def uv_sphere(radius: float, rings: int = 24) -> Tensor:
    """Faces [1, F, 3, 3] of a sphere of latitudes and longitudes around the centre of the grid."""
    polar = torch.linspace(0, math.pi, rings + 1, dtype=torch.float64)[:, None]
    around = torch.linspace(0, 2 * math.pi, 2 * rings + 1, dtype=torch.float64)[None, :]
    x, y = polar.sin() * around.cos(), polar.sin() * around.sin()
    grid = 0.5 + radius * torch.stack([x, y, polar.cos().expand_as(x)], dim=-1)
    a, b, c, d = grid[:-1, :-1], grid[1:, :-1], grid[1:, 1:], grid[:-1, 1:]
    lower, upper = torch.stack([a, b, c], dim=-2), torch.stack([a, c, d], dim=-2)
    return torch.cat([lower.flatten(0, 1), upper.flatten(0, 1)])[None]


MakeFaces = Callable[[torch.Generator, int, tuple[int, int]], Tensor]


def _soup(generator: torch.Generator, resolution: int, shape: tuple[int, int]) -> Tensor:
    size = 10 ** float(torch.empty(()).uniform_(-4, 1, generator=generator))
    middle = torch.rand(*shape, 1, 3, generator=generator, dtype=torch.float64)
    offsets = torch.randn(*shape, 3, 3, generator=generator, dtype=torch.float64)
    return middle + size * offsets


def _on_lattice(generator: torch.Generator, resolution: int, shape: tuple[int, int]) -> Tensor:
    return (_soup(generator, resolution, shape) * resolution).round() / resolution


def _edge_on(generator: torch.Generator, resolution: int, shape: tuple[int, int]) -> Tensor:
    """Faces seen edge-on along one axis, through lattice points: their determinant is rounding."""
    slope = torch.randint(-4, 5, (*shape, 1, 3), generator=generator)
    origin = torch.randint(0, resolution + 1, (*shape, 1, 3), generator=generator)
    along = 3 * torch.randn(*shape, 3, 1, generator=generator, dtype=torch.float64)
    faces = (origin + slope * along) / resolution
    axis = int(torch.randint(0, 3, (), generator=generator))
    faces[..., axis] = torch.rand(*shape, 3, generator=generator, dtype=torch.float64)
    return faces


def _slivers(generator: torch.Generator, resolution: int, shape: tuple[int, int]) -> Tensor:
    faces = _soup(generator, resolution, shape)
    where = torch.rand(*shape, 1, generator=generator, dtype=torch.float64)
    faces[:, :, 2] = faces[:, :, 0] + where * (faces[:, :, 1] - faces[:, :, 0])
    return faces


def _any_scale(generator: torch.Generator, resolution: int, shape: tuple[int, int]) -> Tensor:
    scale = 10 ** float(torch.empty(()).uniform_(-30, 30, generator=generator))
    return _soup(generator, resolution, shape) * scale


SCENES: dict[str, MakeFaces] = {
    "soup": _soup,
    "on_lattice": _on_lattice,
    "edge_on": _edge_on,
    "slivers": _slivers,
    "any_scale": _any_scale,
}


# ---- golden values and the oracle ----------------------------------------------------------------


def _golden(path: Path, dtype: torch.dtype) -> tuple[Tensor, Tensor]:
    data = np.load(path)
    corners = torch.from_numpy(data["vertices"][data["faces"].astype(np.int64)])[None]
    placed = (corners * 31 / 32 + 0.5).to(dtype)  # in float32, as the original places them
    bits = np.unpackbits(data["voxels" if dtype == torch.float32 else "voxels_f64"])
    return placed, torch.from_numpy(bits.reshape(1, 32, 32, 32).astype(bool))


def test_golden_files_are_there() -> None:
    assert len(GOLDEN) == 5


@pytest.mark.parametrize("path", GOLDEN, ids=lambda path: path.stem)
@pytest.mark.parametrize("dtype", DTYPES, ids=str)
@pytest.mark.parametrize("function", VOXELIZERS)
def test_softras_equals_the_original(
    path: Path, dtype: torch.dtype, function: Callable[..., Tensor]
) -> None:
    face_vertices, expected = _golden(path, dtype)
    assert torch.equal(function(face_vertices, 32), expected)


@pytest.mark.usefixtures("native")
@pytest.mark.parametrize("mode", MODES)
@pytest.mark.parametrize("dtype", DTYPES, ids=str)
@pytest.mark.parametrize("scene", SCENES)
@settings(max_examples=20, deadline=None)
@given(
    seed=st.integers(0, 2**31),
    resolution=st.integers(1, 20),
    faces=st.integers(0, 8),
)
def test_native_equals_reference(
    scene: str, dtype: torch.dtype, mode: str, seed: int, resolution: int, faces: int
) -> None:
    generator = torch.Generator().manual_seed(seed)
    face_vertices = SCENES[scene](generator, resolution, (2, faces)).to(dtype)
    expected = voxelize_reference(face_vertices, resolution, mode=mode)
    assert torch.equal(voxelize(face_vertices, resolution, mode=mode), expected)


# Rows of voxels are a part of a word of bits, one full word, a little more, or two words.
@pytest.mark.usefixtures("native")
@pytest.mark.parametrize("mode", MODES)
@pytest.mark.parametrize("resolution", [1, 2, 31, 33, 63, 64, 65, 128, 130])
def test_native_equals_reference_across_words(resolution: int, mode: str) -> None:
    rings = 6 if mode == "softras" else 3  # the reference takes its time for faces in mode solid
    face_vertices = torch.cat([uv_sphere(0.3, rings), uv_sphere(0.45, rings)], dim=1)
    face_vertices = face_vertices[:, torch.arange(face_vertices.shape[1]) % 72 != 3]  # holes
    expected = voxelize_reference(face_vertices, resolution, mode=mode)
    assert torch.equal(voxelize(face_vertices, resolution, mode=mode), expected)


def _clip(polygon: list[list[Fraction]], axis: int, bound: int, sign: int) -> list[list[Fraction]]:
    """The part of a convex polygon with sign * (p[axis] - bound) >= 0 (Sutherland and Hodgman)."""
    kept = []
    for here, there in zip(polygon, polygon[1:] + polygon[:1], strict=True):
        d, e = sign * (here[axis] - bound), sign * (there[axis] - bound)
        if d >= 0:
            kept.append(here)
        if d * e < 0:
            kept.append([p + (q - p) * d / (d - e) for p, q in zip(here, there, strict=True)])
    return kept


def _touches(triangle: list[list[Fraction]], cube: tuple[int, ...]) -> bool:
    polygon = triangle
    for axis, start in enumerate(cube):
        polygon = _clip(_clip(polygon, axis, start, 1), axis, start + 1, -1)
    return bool(polygon)


# Corners on a lattice of quarter voxels: most scenes have cubes which a face only touches.
@settings(max_examples=15, deadline=None)
@given(corners=st.lists(st.integers(-4, 20), min_size=9, max_size=9))
def test_solid_surface_is_exact(corners: list[int]) -> None:
    triangle = [[Fraction(c, 4) for c in corners[k : k + 3]] for k in (0, 3, 6)]
    expected = [_touches(triangle, cube) for cube in product(range(4), repeat=3)]
    face_vertices = torch.tensor(corners, dtype=torch.float32).reshape(1, 1, 3, 3) / 16
    # One flat face encloses nothing, so what is filled is its surface.
    assert voxelize(face_vertices, 4, mode="solid").flatten().tolist() == expected


# ---- closed forms --------------------------------------------------------------------------------


def _cube_of_voxels(resolution: int, first: int, last: int) -> Tensor:
    expected = torch.zeros((1,) + (resolution,) * 3, dtype=torch.bool)
    expected[:, first : last + 1, first : last + 1, first : last + 1] = True
    return expected


@pytest.mark.parametrize("mode", MODES)
@pytest.mark.parametrize("function", VOXELIZERS)
def test_box_fills_the_voxels_it_reaches(function: Callable[..., Tensor], mode: str) -> None:
    got = function(box(2.3 / 12, 9.6 / 12), 12, mode=mode)
    assert torch.equal(got, _cube_of_voxels(12, 2, 9))


def test_solid_counts_touching_voxels() -> None:
    assert torch.equal(voxelize(box(0.25, 0.75), 8, mode="solid"), _cube_of_voxels(8, 1, 6))
    assert torch.equal(voxelize(box(0.0, 1.0), 8, mode="solid"), _cube_of_voxels(8, 0, 7))


@pytest.mark.parametrize("mode", MODES)
def test_sphere_has_its_volume(mode: str) -> None:
    resolution, radius, rings = 64, 0.4, 32
    voxels = voxelize(uv_sphere(radius, rings), resolution, mode=mode)[0]
    centers = (torch.arange(resolution, dtype=torch.float64) + 0.5) / resolution - 0.5
    distance = torch.cartesian_prod(centers, centers, centers).norm(dim=1).view(voxels.shape)
    half_diagonal = math.sqrt(3) / 2 / resolution
    inscribed = radius * math.cos(math.pi / rings)  # of the polyhedron, from below
    assert voxels[distance < inscribed].all()
    assert not voxels[distance > radius + half_diagonal].any()
    volume = voxels.sum().item() / resolution**3
    # Every voxel met counts whole: the mean of that over directions is 3/4 of a voxel's side.
    assert volume == pytest.approx(4 / 3 * math.pi * (radius + 0.75 / resolution) ** 3, rel=0.02)


@pytest.mark.parametrize("mode", MODES)
def test_nested_shells_are_filled(mode: str) -> None:
    shells = torch.cat([box(0.13, 0.88), box(0.31, 0.66)], dim=1)
    assert torch.equal(voxelize(shells, 16, mode=mode), voxelize(shells[:, :12], 16, mode=mode))


@pytest.mark.parametrize("mode", MODES)
@pytest.mark.parametrize("missing", range(12))
def test_open_box_is_not_filled(mode: str, missing: int) -> None:
    closed = box(0.13, 0.88)
    hole = torch.cat([closed[:, :missing], closed[:, missing + 1 :]], dim=1)
    assert voxelize(closed, 16, mode=mode)[0, 8, 8, 8]
    assert not voxelize(hole, 16, mode=mode)[0, 8, 8, 8]


def _sheet(y: tuple[float, float], z: float) -> Tensor:
    """Two faces [1, 2, 3, 3] across the grid in x, from y[0] to y[1], at height z."""
    a, b, c, d = ([x, end, z] for x in (0.02, 0.98) for end in y)
    return torch.tensor([[[a, b, c], [b, c, d]]], dtype=torch.float64)


@pytest.mark.parametrize("function", VOXELIZERS)
@pytest.mark.parametrize("blocked", [None, 0, 4])
@pytest.mark.parametrize("upside_down", [False, True])
def test_outside_finds_its_way_through_a_maze(
    function: Callable[..., Tensor], upside_down: bool, blocked: int | None
) -> None:
    """A box open below, with seven sheets inside that leave a gap at alternating ends."""
    resolution = 70
    ends = [(0.02, 0.9), (0.1, 0.98)]
    heights = [0.12 * k + 0.14 for k in range(7)]
    walls = [box(0.02, 0.98)[:, [*range(8), 10, 11]]]
    walls += [_sheet(ends[k % 2], z) for k, z in enumerate(heights)]
    if blocked is not None:
        walls.append(_sheet((0.02, 0.98), heights[blocked]))
    faces = torch.cat(walls, dim=1)
    if upside_down:
        faces[..., 2] = 1 - faces[..., 2]
    middle = function(faces, resolution)[0, resolution // 2, resolution // 2]
    middle = middle.flip(0) if upside_down else middle
    corridors = [bool(middle[int((z + 0.06) * resolution)]) for z in [0.02, *heights]]
    reached = 8 if blocked is None else blocked + 1
    assert corridors == [False] * reached + [True] * (8 - reached)


# ---- the outside ---------------------------------------------------------------------------------


def _specks(walls: Tensor) -> Tensor:
    """Faces [1, N, 3, 3] whose surface is exactly the voxels of walls [R, R, R]: points inside."""
    centers = (walls.nonzero().double() + 0.5) / walls.shape[0]
    return centers[None, :, None, :].expand(1, -1, 3, 3)


def _fill(walls: Tensor) -> Tensor:
    """Everything that empty voxels do not join to the border, by the labels of scipy."""
    labels, _ = ndimage.label(np.pad(~walls.numpy(), 1, constant_values=True))
    return torch.from_numpy(labels != labels[0, 0, 0])[1:-1, 1:-1, 1:-1]


def _spiral(resolution: int) -> Tensor:
    """Walls [R, R, R] around a corridor that winds inwards, closed above and below."""
    walls = torch.zeros(resolution, resolution, dtype=torch.bool)
    x, y, dx, dy = 1, 0, 0, 1
    reach = [resolution - 1, resolution - 3]
    while reach[0] > 1:
        for _ in range(reach[0]):
            walls[x, y] = True
            x, y = x + dx, y + dy
        walls[x, y] = True
        dx, dy = dy, -dx
        reach = [reach[1], reach[0] - 2]
    prism = walls[:, :, None].repeat(1, 1, resolution)
    prism[:, :, [0, -1]] = True
    return prism


def _tube(stations: list[tuple[int, int, int]], resolution: int) -> tuple[Tensor, Tensor]:
    """Walls [R, R, R] around a straight-lined way from station to station, and the way [N, 3]."""
    way = [torch.tensor(stations[0])]
    for station in torch.tensor(stations[1:]):
        while not torch.equal(way[-1], station):
            way.append(way[-1] + (station - way[-1]).sign())
    inside = torch.zeros(3 * (resolution,), dtype=torch.bool)
    inside[tuple(torch.stack(way).T)] = True
    walls = ndimage.binary_dilation(inside.numpy(), np.ones((3, 3, 3))) & ~inside.numpy()
    return torch.from_numpy(walls), torch.stack(way)


@pytest.mark.parametrize("mode", MODES)
@pytest.mark.parametrize("share", [0.5, 0.66, 0.69, 0.8])
@pytest.mark.parametrize("resolution", [1, 2, 3, 17, 33])
def test_outside_of_random_walls(resolution: int, share: float, mode: str) -> None:
    """Near 0.69 the empty voxels just hang together: their ways are as winding as they get."""
    generator = torch.Generator().manual_seed(resolution)
    walls = torch.rand(3 * (resolution,), generator=generator) < share
    assert torch.equal(voxelize(_specks(walls), resolution, mode=mode)[0], _fill(walls))


@pytest.mark.parametrize("resolution", [24, 65])
@pytest.mark.parametrize("axis", [0, 1, 2])
def test_outside_winds_into_a_spiral(resolution: int, axis: int) -> None:
    walls = _spiral(resolution)
    assert 0.2 < (~walls).float().mean() < 0.6
    closed = walls.clone()
    closed[0, :] = True
    closed[:, 0] = True
    for some in (walls, closed):
        turned = some.transpose(axis, 2).contiguous()
        assert torch.equal(voxelize(_specks(turned), resolution)[0], _fill(turned))
    assert not torch.equal(_fill(walls), _fill(closed))


# In a grid of 5 x 5 x 2 tiles of the CUDA kernel: news comes late, and from one direction only.
@pytest.mark.parametrize("axis", [0, 1, 2])
@pytest.mark.parametrize("reverse", [False, True])
def test_outside_follows_a_tube(axis: int, reverse: bool) -> None:
    stations = [(0, 5, 67), (60, 5, 67), (60, 60, 67), (5, 60, 67), (5, 35, 67), (35, 35, 67)]
    walls, way = _tube([*stations, (35, 35, 2)], 70)
    blocked = walls.clone()
    blocked[tuple(way[len(way) // 2])] = True
    for some, share_of_way in ((walls, 0.0), (blocked, 0.5)):
        filled = _fill(some)
        assert filled[tuple(way.T)].float().mean() == pytest.approx(share_of_way, abs=0.01)
        turned = [grid.flip(2) if reverse else grid for grid in (some, filled)]
        turned = [grid.transpose(axis, 2).contiguous() for grid in turned]
        assert torch.equal(voxelize(_specks(turned[0]), 70)[0], turned[1])


# ---- properties ----------------------------------------------------------------------------------


def _random_faces(dtype: torch.dtype = torch.float32, batch: int = 3, faces: int = 30) -> Tensor:
    generator = torch.Generator().manual_seed(7)
    middle = torch.rand(batch, faces, 1, 3, generator=generator)
    return (middle + 0.2 * torch.randn(batch, faces, 3, 3, generator=generator)).to(dtype)


def test_index_order_is_x_y_z() -> None:
    corner = torch.tensor([0.15, 0.45, 0.85])
    expected = torch.zeros(1, 10, 10, 10, dtype=torch.bool)
    expected[0, 1, 4, 8] = True
    for mode in MODES:
        assert torch.equal(voxelize(corner.expand(1, 1, 3, 3), 10, mode=mode), expected)


@pytest.mark.parametrize("mode", MODES)
def test_softras_surface_is_part_of_solid(mode: str) -> None:
    faces = _random_faces(torch.float64, batch=8, faces=1)  # one face: nothing to fill
    assert not (voxelize(faces, 24) & ~voxelize(faces, 24, mode="solid")).any()


@pytest.mark.parametrize("mode", MODES)
@pytest.mark.parametrize("dtype", DTYPES, ids=str)
def test_images_of_a_batch_are_independent(mode: str, dtype: torch.dtype) -> None:
    faces = _random_faces(dtype)
    alone = torch.cat([voxelize(one[None], 12, mode=mode) for one in faces])
    assert torch.equal(voxelize(faces, 12, mode=mode), alone)


@pytest.mark.parametrize("mode", MODES)
@pytest.mark.parametrize("dtype", DTYPES, ids=str)
@pytest.mark.parametrize("function", VOXELIZERS)
@pytest.mark.parametrize("counts", [(30,), (7, 1, 22), (0, 0, 30), (9, 0, 21, 0), (0,), ()])
def test_packed_meshes_equal_separate_ones(
    function: Callable[..., Tensor], counts: tuple[int, ...], dtype: torch.dtype, mode: str
) -> None:
    packed = _random_faces(dtype, batch=1)[0, : sum(counts)]
    first_face = torch.tensor([0, *counts]).cumsum(0)
    got = function(packed, 12, first_face=first_face, mode=mode)
    assert got.shape == (len(counts), 12, 12, 12)
    assert got.dtype == torch.bool
    for faces, occupied in zip(packed.split(list(counts)), got, strict=True):
        assert torch.equal(function(faces[None], 12, mode=mode)[0], occupied)


def test_first_face_of_any_strides() -> None:
    packed, counts = _random_faces(batch=1)[0], torch.tensor([0, 12, 17, 30])
    strided = counts.repeat_interleave(2)[::2]
    assert not strided.is_contiguous()
    expected = voxelize(packed, 9, first_face=counts)
    assert torch.equal(voxelize(packed, 9, first_face=strided), expected)


@pytest.mark.parametrize("mode", MODES)
@pytest.mark.parametrize("images", [1, 2, 5])
def test_threads_do_not_change_bits(images: int, mode: str) -> None:
    faces = _random_faces(batch=images, faces=3000)
    threads = torch.get_num_threads()
    results = []
    try:
        for count in (1, 2, 4):
            torch.set_num_threads(count)
            results.append(voxelize(faces, 30, mode=mode))
    finally:
        torch.set_num_threads(threads)
    assert torch.equal(results[0], results[1])
    assert torch.equal(results[0], results[2])


@pytest.mark.parametrize("mode", MODES)
def test_order_of_faces_does_not_matter(mode: str) -> None:
    faces = _random_faces()
    shuffled = faces[:, torch.randperm(30, generator=torch.Generator().manual_seed(1))]
    assert torch.equal(voxelize(faces, 16, mode=mode), voxelize(shuffled, 16, mode=mode))


@pytest.mark.parametrize("mode", MODES)
def test_any_strides(mode: str) -> None:
    faces = _random_faces()
    strided = faces.permute(3, 2, 0, 1).contiguous().permute(2, 3, 1, 0)
    assert not strided.is_contiguous()
    assert torch.equal(voxelize(faces, 16, mode=mode), voxelize(strided, 16, mode=mode))


def test_solid_is_the_same_in_both_dtypes() -> None:
    faces = _random_faces()
    assert torch.equal(
        voxelize(faces, 31, mode="solid"), voxelize(faces.double(), 31, mode="solid")
    )


@pytest.mark.parametrize("mode", MODES)
@pytest.mark.parametrize("function", VOXELIZERS)
@pytest.mark.parametrize("bad", [math.nan, math.inf, -math.inf, 1e20])
def test_unusable_faces_are_skipped(function: Callable[..., Tensor], mode: str, bad: float) -> None:
    faces = _random_faces()
    spoiled = faces.clone()
    spoiled[0, 3, 1, 2] = bad
    clean = torch.cat([faces[:, :3], faces[:, 4:]], dim=1)
    got = function(spoiled, 16, mode=mode)
    assert torch.equal(got[0], function(clean, 16, mode=mode)[0])
    assert torch.equal(got[1:], function(faces, 16, mode=mode)[1:])


@pytest.mark.parametrize("mode", MODES)
@pytest.mark.parametrize("function", VOXELIZERS)
@pytest.mark.parametrize("shape", [(2, 0), (0, 4), (0, 0)])
def test_nothing_in_nothing_out(
    function: Callable[..., Tensor], mode: str, shape: tuple[int, int]
) -> None:
    voxels = function(torch.rand(*shape, 3, 3), 5, mode=mode)
    assert voxels.shape == (shape[0], 5, 5, 5)
    assert voxels.dtype == torch.bool
    assert not voxels.any()


@pytest.mark.parametrize("mode", MODES)
def test_faces_beside_the_grid_are_clipped(mode: str) -> None:
    assert not voxelize(box(1.2, 1.9), 8, mode=mode).any()
    assert not voxelize(box(-0.9, -0.2), 8, mode=mode).any()
    assert not voxelize(box(-0.5, 1.5), 8, mode=mode).any()  # around the grid: all is outside
    sheet = torch.tensor([[-3.0, -3.0, 0.55], [7.0, -3.0, 0.55], [-3.0, 7.0, 0.55]])
    voxels = voxelize(sheet[None, None], 8, mode=mode)[0]
    assert voxels[:, :, 4].all()
    assert voxels.sum() == 64


@pytest.mark.parametrize("mode", MODES)
def test_orientation_does_not_matter(mode: str) -> None:
    """Not even for faces that run through each other, half of them turned inside out."""
    boxes = torch.cat([box(0.2, 0.6), box(0.4, 0.9)], dim=1).float()
    expected = voxelize(boxes, 20, mode=mode)
    assert expected[0, 5, 5, 5]
    assert expected[0, 10, 10, 10]
    assert expected[0, 16, 16, 16]
    boxes[:, ::2] = boxes[:, ::2].flip(2)
    assert torch.equal(voxelize(boxes, 20, mode=mode), expected)


# ---- the op --------------------------------------------------------------------------------------


@pytest.mark.parametrize("mode", [0, 1])
@pytest.mark.parametrize("dtype", DTYPES, ids=str)
def test_opcheck(mode: int, dtype: torch.dtype) -> None:
    build.load("cpu")
    op, faces = torch.ops.renderer_cuda.voxelize.default, _random_faces(dtype)
    packed = faces.flatten(0, 1)
    torch.library.opcheck(op, (packed, torch.empty(0, dtype=torch.int64), 3, 6, mode))
    torch.library.opcheck(op, (packed, torch.tensor([0, 50, 90]), 2, 6, mode))


def test_compiles_into_one_graph() -> None:
    faces = _random_faces()
    compiled = torch.compile(
        lambda x: voxelize(x * 0.5, 8, mode="solid").float().sum(), fullgraph=True, backend="eager"
    )
    assert compiled(faces) == voxelize(faces * 0.5, 8, mode="solid").sum()


def test_packed_meshes_compile_into_one_graph() -> None:
    faces, first_face = _random_faces(batch=1)[0], torch.tensor([0, 12, 30])
    compiled = torch.compile(
        lambda x, first: voxelize(x * 0.5, 8, first_face=first), fullgraph=True, backend="eager"
    )
    expected = voxelize(faces * 0.5, 8, first_face=first_face)
    assert torch.equal(compiled(faces, first_face), expected)


def test_has_no_gradient() -> None:
    assert not voxelize(_random_faces().requires_grad_(), 8).requires_grad


EQUAL = torch.empty(0, dtype=torch.int64)  # first_face of meshes of one size
TWO_FACES = torch.zeros(2, 3, 3)


# Wrappers validate; whoever calls the op itself still gets an error rather than a crash.
@pytest.mark.usefixtures("native")
@pytest.mark.parametrize(
    ("face_vertices", "first_face", "images", "resolution", "mode"),
    [
        (TWO_FACES[None], EQUAL, 1, 8, 0),
        (TWO_FACES[:, :2], EQUAL, 1, 8, 0),
        (TWO_FACES[:, :, :2], EQUAL, 1, 8, 0),
        (torch.zeros(()), EQUAL, 1, 8, 0),
        (TWO_FACES.half(), EQUAL, 1, 8, 0),
        (TWO_FACES, EQUAL, 1, 0, 0),
        (TWO_FACES, EQUAL, 1, 1 << 40, 0),
        (TWO_FACES, EQUAL, 1, 8, 2),
        (TWO_FACES, EQUAL, 0, 8, 0),
        (TWO_FACES, EQUAL, 3, 8, 0),
        (TWO_FACES, EQUAL, -1, 8, 0),
        (TWO_FACES, torch.tensor([0, 3]), 1, 8, 0),
        (TWO_FACES, torch.tensor([1, 2]), 1, 8, 0),
        (TWO_FACES, torch.tensor([0, 2]), 2, 8, 0),
        (TWO_FACES, torch.tensor([0, 1 << 40, 2]), 2, 8, 0),
        (TWO_FACES, torch.tensor([0, -5, 2]), 2, 8, 0),
        (TWO_FACES, torch.tensor([0, 2]).int(), 1, 8, 0),
        (TWO_FACES, torch.tensor([[0, 2]]), 1, 8, 0),
        (TWO_FACES, torch.tensor([0, 9, 2])[::2], 1, 8, 0),
    ],
)
def test_op_refuses_bad_input(
    face_vertices: Tensor, first_face: Tensor, images: int, resolution: int, mode: int
) -> None:
    with pytest.raises(RuntimeError):
        torch.ops.renderer_cuda.voxelize(face_vertices, first_face, images, resolution, mode)


PACKED = {"face_vertices": torch.zeros(5, 3, 3)}


@pytest.mark.parametrize("function", VOXELIZERS)
@pytest.mark.parametrize(
    ("change", "message"),
    [
        ({"face_vertices": [[0.0]]}, "face_vertices must be a .*Tensor, got list"),
        ({"face_vertices": torch.zeros(5, 3, 3)}, r"\[B, F, 3, 3\].*, got \[5, 3, 3\]"),
        ({"face_vertices": torch.zeros(1, 5, 3, 2)}, r"\[B, F, 3, 3\].*, got \[1, 5, 3, 2\]"),
        ({"face_vertices": torch.zeros(1, 5, 3, 3).int()}, "float32 or float64, got torch.int32"),
        ({"face_vertices": torch.zeros(1, 5, 3, 3).half()}, "float32 or float64, got .*float16"),
        ({"first_face": torch.tensor([0, 5])}, r"\[N, 3, 3\].* first_face .*got \[1, 5, 3, 3\]"),
        (PACKED | {"first_face": [0, 5]}, "first_face must be a .*Tensor, got list"),
        (PACKED | {"first_face": torch.tensor([0, 5]).int()}, "first_face must be int64, got"),
        (PACKED | {"first_face": torch.tensor([[0, 5]])}, r"\[B \+ 1\], got \[1, 2\]"),
        (PACKED | {"first_face": torch.tensor([1, 5])}, "first_face must start at 0, got 1"),
        (PACKED | {"first_face": torch.tensor([0, 4])}, "first_face must end at .*5, got 4"),
        (PACKED | {"first_face": torch.tensor([0, 4, 3, 5])}, "must not decrease, got 4, 3"),
        ({"resolution": 0}, "resolution must be from 1 to 1024, got 0"),
        ({"resolution": 1025}, "resolution must be from 1 to 1024, got 1025"),
        ({"resolution": 8.0}, "resolution must be an int, got float"),
        ({"resolution": True}, "resolution must be an int, got bool"),
        ({"mode": "parity"}, "mode must be one of softras, solid, got 'parity'"),
    ],
)
def test_bad_input_is_named(
    function: Callable[..., Tensor], change: dict[str, object], message: str
) -> None:
    arguments = {"face_vertices": torch.zeros(1, 5, 3, 3), "resolution": 8, "mode": "softras"}
    with pytest.raises(ValueError, match=message):
        function(**{**arguments, **change})


# ---- CUDA ----------------------------------------------------------------------------------------


@pytest.mark.skipif(not torch.cuda.is_available(), reason="no CUDA device")
@pytest.mark.parametrize("mode", MODES)
@pytest.mark.parametrize("dtype", DTYPES, ids=str)
def test_cuda_equals_cpu(dtype: torch.dtype, mode: str) -> None:
    generator = torch.Generator().manual_seed(3)
    first_face = torch.tensor([0, 150, 150, 390, 400])
    for scene, resolution in product(SCENES.values(), (1, 31, 64, 65, 128)):
        packed = scene(generator, resolution, (1, 400))[0].to(dtype)
        expected = voxelize(packed, resolution, first_face=first_face, mode=mode)
        got = voxelize(packed.cuda(), resolution, first_face=first_face.cuda(), mode=mode)
        assert torch.equal(got.cpu(), expected)


@pytest.mark.skipif(not torch.cuda.is_available(), reason="no CUDA device")
def test_outside_winds_into_a_spiral_on_cuda() -> None:
    walls = _spiral(200)
    assert torch.equal(voxelize(_specks(walls).cuda(), 200)[0].cpu(), _fill(walls))
