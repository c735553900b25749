"""The face seen at each pixel, against hard renders whose colours tell the index of a face."""

from __future__ import annotations

from typing import Any

import pytest
import torch
from scenes import DEVICES, DTYPES, mesh, require_kernels, scene, uniform
from torch import Tensor

from renderer_cuda import (
    build,
    gather_faces,
    soft_rasterize,
    visible_faces,
    visible_faces_reference,
)
from renderer_cuda.visibility import _visible_in_render

NAN, INF = float("nan"), float("inf")
BAD_CORNERS = [
    (0, NAN), (0, INF), (1, -INF), (2, NAN), (2, INF), (2, 0.0), (2, -1.0), (0, 3e38), (2, 1e-40),
]  # fmt: skip


def shown(
    face_vertices: Tensor, image_size: tuple[int, int] | int, *, offset: int = 0, **options: Any
) -> Tensor:
    """Which face a hard render shows: [B, H, W] int32, -1 where it shows none.

    A face is coloured by its index, the colours of all faces `offset` further on.
    """
    faces = face_vertices.shape[-3]
    index = torch.arange(faces, device=face_vertices.device) + offset
    colors = torch.stack([index & 0xFFFF, index >> 16, 0 * index], dim=-1).to(face_vertices)
    textures = colors[:, None].expand(*face_vertices.shape[:-2], 1, 3)
    modes = {"distance": "hard", "color": "hard", "texture": "surface"} | options
    image = soft_rasterize(
        face_vertices, textures, image_size, background=(-1.0, 0.0, 0.0), **modes
    )
    low, high = image[:, :2].to(torch.int64).unbind(1)
    return torch.where(low < 0, -1, low + (high << 16) - offset).int()


def assert_shown(face_vertices: Tensor, image_size: tuple[int, int] | int, **options: Any) -> None:
    """What is seen is what is shown, to the pixel, and something is."""
    seen = visible_faces(face_vertices, image_size, **options)
    assert seen.dtype == torch.int32
    assert seen.is_contiguous()
    assert torch.equal(seen, shown(face_vertices, image_size, **options))
    assert (seen >= 0).any()


def sphere(dtype: torch.dtype, views: int = 2) -> Tensor:
    """A closed mesh of 8 x 16 x 2 faces seen from all around: [views, F, 3, 3]."""
    polar = torch.linspace(0.01, torch.pi - 0.01, 9, dtype=torch.float64)[:, None]
    azimuth = torch.arange(16, dtype=torch.float64) * (torch.pi / 8)
    azimuth = azimuth + torch.arange(views)[:, None, None] * 0.37
    x, z = polar.sin() * azimuth.cos(), polar.sin() * azimuth.sin()
    points = torch.stack(torch.broadcast_tensors(x, polar.cos(), z), dim=-1).flatten(1, 2)
    depth = 3 + points[..., 2:]
    grid = torch.arange(9 * 16).view(9, 16)
    here, right = grid, grid.roll(-1, 1)
    quads = torch.stack([here[:-1], right[:-1], right[1:], here[1:]], dim=-1).flatten(0, 1)
    faces = torch.cat([quads[:, [0, 1, 2]], quads[:, [0, 2, 3]]])
    corners = gather_faces(torch.cat([2.2 * points[..., :2] / depth, depth], dim=-1), faces)
    return corners.to(dtype)


# ---- what is seen --------------------------------------------------------------------------------


@pytest.mark.parametrize("dtype", DTYPES, ids=str)
@pytest.mark.parametrize("device", DEVICES)
@pytest.mark.parametrize(
    "image_size", [(1, 1), (1, 40), (40, 1), (7, 9), (33, 64), (61, 17)], ids=str
)
def test_random_faces(image_size: tuple[int, int], device: str, dtype: torch.dtype) -> None:
    for seed in range(4):
        faces, _ = scene(images=3, faces=11, seed=seed, dtype=dtype, device=device)
        seen = visible_faces(faces, image_size)
        assert torch.equal(seen, shown(faces, image_size))


@pytest.mark.parametrize("dtype", DTYPES, ids=str)
@pytest.mark.parametrize("size", [0.01, 0.06, 0.3, 3.0, 1e3], ids=str)
def test_many_faces_of_all_sizes(size: float, dtype: torch.dtype) -> None:
    assert_shown(mesh(1500, size=size, dtype=dtype), (70, 95))


@pytest.mark.parametrize(
    "options", [{}, {"double_sided": False}, {"near": 2.8, "far": 3.4}], ids=str
)
@pytest.mark.parametrize("dtype", DTYPES, ids=str)
@pytest.mark.parametrize("device", DEVICES)
def test_a_sphere(device: str, dtype: torch.dtype, options: dict[str, Any]) -> None:
    faces = sphere(dtype).to(device)
    assert_shown(faces, (96, 80), **options)
    assert_shown(
        faces[:, torch.randperm(256, generator=torch.Generator().manual_seed(0))], 64, **options
    )
    if not options:  # what is far is hidden, and there are no holes
        seen = visible_faces(faces, 200)[:, 50:150, 50:150]
        assert (seen >= 0).all()
        depth = faces[..., 2].mean(-1).gather(1, seen.flatten(1).long())
        assert (depth < 3).all()


@pytest.mark.parametrize("dtype", DTYPES, ids=str)
def test_soft_edges_of_almost_no_width_show_the_same(dtype: torch.dtype) -> None:
    faces = mesh(500, size=0.2, dtype=dtype)
    expected = shown(faces, 64, distance="euclidean", sigma=1e-12, alpha="hard")
    assert torch.equal(visible_faces(faces, 64), expected)


@pytest.mark.parametrize("dtype", DTYPES, ids=str)
def test_of_equals_the_first_is_seen(dtype: torch.dtype) -> None:
    once = mesh(40, size=0.5, dtype=dtype)
    seen = visible_faces(once, 50)
    assert torch.equal(visible_faces(torch.cat([once, once, once], dim=1), 50), seen)
    flat = once.clone()
    flat[..., 2] = 2.5
    assert_shown(flat, 50)
    # Behind another face in the order of depth, and at the same depth where it is seen.
    wall = torch.tensor([[[-3.0, -3, 2], [3, -3, 2], [0, 3, 2]]])
    floor = torch.tensor([[[-3.0, -3, 2], [3, -3, 2], [0, 3, 1.5]]])
    both = torch.stack([torch.cat([wall, floor]), torch.cat([floor, wall])]).to(dtype)
    assert_shown(both, 33)


@pytest.mark.parametrize("dtype", DTYPES, ids=str)
@pytest.mark.parametrize("seed", range(3))
def test_no_hole_on_a_shared_diagonal(seed: int, dtype: torch.dtype) -> None:
    """A square has no hole on its diagonal, where pixel centres lie, whatever its size."""
    for side in (0.2 + uniform(20, seed=seed)).tolist():
        a, b = [-side, -side, 2.0], [side, -side, 2.0]
        c, d = [side, side, 2.0], [-side, side, 2.0]
        square = torch.tensor([[[a, b, c], [a, c, d]]], dtype=dtype)
        position = (2 * torch.arange(60) + 1 - 60) / 60
        within = position.abs() <= side - 1e-5
        seen = visible_faces(square, 60)[0]
        assert (seen[within][:, within] >= 0).all()
        assert torch.equal(seen, shown(square, 60)[0])


@pytest.mark.parametrize("dtype", DTYPES, ids=str)
def test_bad_faces_are_not_seen(dtype: torch.dtype) -> None:
    good = mesh(60, size=0.4, dtype=dtype)
    expected = visible_faces(good, 40)
    for axis, value in BAD_CORNERS:
        bad = good[:, :9].clone()
        bad[..., 2] = 1.1  # in front of the others
        assert not torch.equal(visible_faces(torch.cat([good, bad], dim=1), 40), expected)
        bad[:, :, 1, axis] = value
        assert torch.equal(shown(torch.cat([good, bad], dim=1), 40), expected)
        assert torch.equal(visible_faces(torch.cat([good, bad], dim=1), 40), expected)


@pytest.mark.parametrize("dtype", DTYPES, ids=str)
def test_degenerate_and_huge_faces(dtype: torch.dtype) -> None:
    epsilon = torch.finfo(dtype).eps
    faces = mesh(400, size=0.5, dtype=dtype)
    line = faces.clone()
    line[:, :, 2] = 0.5 * (line[:, :, 0] + line[:, :, 1])
    point = faces[:, :, :1].expand(-1, -1, 3, -1)
    slivers = [line.clone() for _ in range(4)]
    for sliver, width in zip(slivers, (1, 3, 10, 100), strict=True):
        sliver[:, :, 2, 0] += width * epsilon
    for degenerate in (line, point, *slivers):
        assert torch.equal(visible_faces(degenerate, (70, 150)), shown(degenerate, (70, 150)))
    for scale in (1e2, 1e6, 1e9, 1e12):
        huge = faces[:, :50].clone()
        huge[..., :2] *= scale
        assert torch.equal(visible_faces(huge, (30, 41)), shown(huge, (30, 41)))
    deep = faces[:, :50].clone()
    deep[..., 2] *= 1e30
    assert torch.equal(visible_faces(deep, 30, far=1e37), shown(deep, 30, far=1e37))
    assert (visible_faces(deep, 30, far=1e37) >= 0).any()


def test_indices_beyond_16_bits() -> None:
    faces = mesh(70_000, size=0.01, dtype=torch.float32)
    assert_shown(faces, 64)
    assert torch.equal(_visible_in_render(*_arguments(faces, 64)), visible_faces(faces, 64))
    assert visible_faces(faces, 64).max() >= 1 << 16
    assert torch.equal(shown(faces[:, :9], 16, offset=2**31 - 10), shown(faces[:, :9], 16))


@pytest.mark.parametrize("dtype", DTYPES, ids=str)
@pytest.mark.parametrize("device", DEVICES)
def test_the_reference_sees_the_same(device: str, dtype: torch.dtype) -> None:
    options: dict[str, Any] = {"near": 2.0, "double_sided": False}
    for faces in (mesh(100, size=0.3, dtype=dtype, device=device), sphere(dtype).to(device)):
        for some in ({}, options):
            expected = visible_faces_reference(faces, (31, 40), **some)
            # The oracle computes in float64: a pixel within rounding of an edge may differ.
            wrong = (visible_faces(faces, (31, 40), **some) != expected).sum()
            assert wrong <= (2 if dtype == torch.float32 else 0)


# ---- how it is called ----------------------------------------------------------------------------


def _arguments(faces: Tensor, size: int) -> tuple[Any, ...]:
    """The arguments of the op."""
    return (
        faces.flatten(0, 1),
        torch.empty(0, dtype=torch.int64),
        len(faces),
        size,
        size,
        1.0,
        100.0,
        True,
    )


@pytest.mark.parametrize("dtype", DTYPES, ids=str)
@pytest.mark.parametrize("device", DEVICES)
def test_packed_meshes(device: str, dtype: torch.dtype) -> None:
    faces = mesh(90, size=0.5, dtype=dtype, device=device)[0]
    first_face = torch.tensor([0, 20, 20, 81, 90], device=device)
    seen = visible_faces(faces, (20, 30), first_face=first_face)
    reference = visible_faces_reference(faces, (20, 30), first_face=first_face)
    assert (seen != reference).sum() <= 2
    for image, (start, end) in enumerate([(0, 20), (20, 20), (20, 81), (81, 90)]):
        assert torch.equal(seen[image], visible_faces(faces[None, start:end], (20, 30))[0])


def test_strides_and_gradients_do_not_matter() -> None:
    faces, _ = scene(images=3, faces=8, dtype=torch.float32)
    expected = visible_faces(faces, 21)
    shuffled = faces.permute(3, 1, 2, 0).contiguous().permute(3, 1, 2, 0)
    assert not shuffled.is_contiguous()
    assert torch.equal(visible_faces(shuffled.requires_grad_(), 21), expected)
    every_other = torch.stack([faces, faces + 9], dim=2).flatten(1, 2)[:, ::2]
    assert torch.equal(visible_faces(every_other, 21), expected)
    assert not visible_faces(shuffled, 21).requires_grad


@pytest.mark.parametrize("device", DEVICES)
@pytest.mark.parametrize(("images", "faces"), [(0, 0), (0, 5), (2, 0)])
def test_nothing_to_see(images: int, faces: int, device: str) -> None:
    corners = torch.zeros(images, faces, 3, 3, device=device)
    for function in (visible_faces, visible_faces_reference):
        seen = function(corners, (4, 5))
        assert seen.dtype == torch.int32
        assert torch.equal(seen.cpu(), torch.full((images, 4, 5), -1, dtype=torch.int32))


def test_threads_do_not_change_a_bit() -> None:
    faces = torch.cat([mesh(300, seed=seed, size=0.4, dtype=torch.float32) for seed in range(7)])
    threads = torch.get_num_threads()
    try:
        seen = []
        for count in (1, 2, 3):
            torch.set_num_threads(count)
            seen.append(visible_faces(faces, 50))
    finally:
        torch.set_num_threads(threads)
    assert torch.equal(seen[0], seen[1])
    assert torch.equal(seen[0], seen[2])
    assert torch.equal(seen[0][3:4], visible_faces(faces[3:4], 50))


@pytest.mark.parametrize("dtype", DTYPES, ids=str)
def test_threads_that_share_an_image_do_not_change_a_bit(dtype: torch.dtype) -> None:
    """In bands of rows; with faces that cross all of them, are not finite or far outside."""
    faces = torch.cat([mesh(400, size=0.2, dtype=dtype), mesh(8, seed=1, size=50, dtype=dtype)], 1)
    odd = faces[:, :6].clone()
    odd[:, 0] = torch.nan
    odd[:, 1, 0, 1] = torch.inf
    odd[:, 2:, :, 1] += torch.tensor([1e7, -1e7, 1.5, -1.5], dtype=dtype)[:, None]
    faces = torch.cat([odd, faces], 1)
    threads = torch.get_num_threads()
    try:
        torch.set_num_threads(1)
        expected = visible_faces(faces, (215, 60))
        for count in (2, 3, 5):
            torch.set_num_threads(count)
            assert torch.equal(visible_faces(faces, (215, 60)), expected)
    finally:
        torch.set_num_threads(threads)
    assert (expected >= 0).any((1, 2)).all()
    assert (visible_faces_reference(faces, (215, 60)) != expected).sum() <= 4


def test_passes_opcheck_and_compiles() -> None:
    faces, _ = scene(dtype=torch.float32)
    build.available("cpu")
    torch.library.opcheck(torch.ops.renderer_cuda.visible_faces.default, _arguments(faces, 12))
    compiled = torch.compile(visible_faces, fullgraph=True, backend="aot_eager")
    assert torch.equal(compiled(faces, (9, 12)), visible_faces(faces, (9, 12)))
    assert visible_faces(faces.to("meta"), (9, 12)).shape == (2, 9, 12)


def test_without_kernels_colours_are_read(monkeypatch: pytest.MonkeyPatch) -> None:
    faces = mesh(30, size=0.4, dtype=torch.float32)
    monkeypatch.setattr(build, "available", lambda device: False)
    assert torch.equal(
        _visible_in_render(*_arguments(faces, 20)), visible_faces_reference(faces, 20)
    )


@pytest.mark.parametrize(
    ("change", "message"),
    [
        ({"face_vertices": torch.zeros(2, 3, 3)}, r"face_vertices must have shape \[B, F, 3, 3\]"),
        ({"face_vertices": torch.zeros(1, 2, 3, 3).long()}, "face_vertices must be float32 or"),
        ({"face_vertices": [[1.0]]}, "face_vertices must be a torch.Tensor, got list"),
        ({"image_size": 0}, "image_size must be an int or"),
        ({"image_size": (4, 5, 6)}, "image_size must be an int or"),
        ({"near": 0.0}, "near must be positive and finite, got 0.0"),
        ({"far": 0.5}, r"far must be finite and greater than near \(1.0\), got 0.5"),
        ({"far": NAN}, "far must be finite"),
        ({"double_sided": 1}, "double_sided must be a bool, got 1"),
        ({"first_face": torch.tensor([0, 2])}, r"face_vertices must have shape \[N, 3, 3\]"),
    ],
    ids=str,
)
def test_bad_arguments_are_named(change: dict[str, Any], message: str) -> None:
    arguments = {"face_vertices": torch.zeros(1, 2, 3, 3), "image_size": 4} | change
    for function in (visible_faces, visible_faces_reference):
        with pytest.raises(ValueError, match=message):
            function(**arguments)


# Wrappers validate; whoever calls the op itself still gets an error rather than a crash.
def test_the_op_refuses_bad_input() -> None:
    require_kernels("cpu")
    faces, none, *rest = _arguments(torch.zeros(2, 3, 3, 3), 4)
    op = torch.ops.renderer_cuda.visible_faces
    with pytest.raises(RuntimeError, match="face_vertices must have shape"):
        op(faces[0], none, *rest)
    with pytest.raises(RuntimeError, match="float32 or float64"):
        op(faces.half(), none, *rest)
    with pytest.raises(RuntimeError, match="cannot be shared out evenly"):
        op(faces, none, 4, *rest[1:])
    with pytest.raises(RuntimeError, match="first_face must hold"):
        op(faces, torch.tensor([0, 3, 7]), *rest)
    for size in ((0, 4), (4, -1), (1 << 16, 4)):
        with pytest.raises(RuntimeError, match="height and width must be in"):
            op(faces, none, 2, *size, *rest[3:])
