"""Placement of meshes in the grid and the packed form of voxels."""

from __future__ import annotations

from itertools import product

import numpy as np
import pytest
import torch
from torch import Tensor

from recon.geometry.voxels import leaves_grid, pack_voxels, unpack_voxels, voxelize_mesh
from renderer_cuda import voxelize

BOX_FACES = torch.tensor(
    [
        face
        for a, b, c, d in [
            (0, 1, 3, 2),
            (4, 5, 7, 6),
            (0, 1, 5, 4),
            (2, 3, 7, 6),
            (0, 2, 6, 4),
            (1, 3, 7, 5),
        ]
        for face in ((a, b, c), (a, c, d))
    ]
)


def box_vertices(low: tuple[float, ...], high: tuple[float, ...]) -> Tensor:
    return torch.tensor(list(product(*zip(low, high, strict=True))))[None]


# ---- voxelize_mesh -------------------------------------------------------------------------------


@pytest.mark.parametrize("mode", ["softras", "solid"])
@pytest.mark.parametrize("resolution", [5, 32])
def test_outermost_voxel_centres_are_at_one_half(resolution: int, mode: str) -> None:
    def sides(half: float) -> list[int]:
        vertices = box_vertices((-half,) * 3, (half,) * 3)
        voxels = voxelize_mesh(vertices, BOX_FACES, resolution, mode)[0]
        return [int(voxels.any(d2).any(d1).sum()) for d1, d2 in ((1, 2), (0, 2), (0, 1))]

    # Voxel faces lie half a step of 1 / (R - 1) inside of the outermost centres.
    step = 1 / (resolution - 1)
    assert sides(0.5) == [resolution] * 3
    assert sides(0.5 - 0.49 * step) == [resolution] * 3
    assert sides(0.5 - 0.51 * step) == [resolution - 2] * 3


def test_at_32_the_placement_is_that_of_the_protocol() -> None:
    vertices = 0.15 * torch.randn(2, 8, 3, generator=torch.Generator().manual_seed(0))
    expected = voxelize((vertices * 31 / 32 + 0.5)[:, BOX_FACES], 32)
    assert torch.equal(voxelize_mesh(vertices, BOX_FACES), expected)


def test_axes_are_those_of_the_vertices() -> None:
    voxels = voxelize_mesh(box_vertices((-0.37, -0.1, 0.22), (0.39, 0.1, 0.3)), BOX_FACES, 16)[0]
    x, y, z = voxels.nonzero().unbind(1)
    # v * 15 + 8, rounded down.
    assert (x.min(), x.max()) == (2, 13)
    assert (y.min(), y.max()) == (6, 9)
    assert (z.min(), z.max()) == (11, 12)
    assert voxels.sum() == 12 * 4 * 2


def test_every_mesh_of_a_batch_is_its_own() -> None:
    small, large = box_vertices((-0.2,) * 3, (0.2,) * 3), box_vertices((-0.4,) * 3, (0.4,) * 3)
    both = voxelize_mesh(torch.cat([small, large]), BOX_FACES, 16)
    assert torch.equal(both[:1], voxelize_mesh(small, BOX_FACES, 16))
    assert torch.equal(both[1:], voxelize_mesh(large, BOX_FACES, 16))


def test_predictions_may_carry_gradients() -> None:
    vertices = box_vertices((-0.2,) * 3, (0.2,) * 3).requires_grad_()
    assert not voxelize_mesh(vertices, BOX_FACES, 8).requires_grad


@pytest.mark.parametrize(
    ("vertices", "faces", "message"),
    [
        (torch.zeros(8, 3), BOX_FACES, r"vertices must have shape \[B, V, 3\], got \(8, 3\)"),
        (torch.zeros(1, 8, 4), BOX_FACES, r"vertices must have shape .* got \(1, 8, 4\)"),
        (
            torch.zeros(1, 8, 3),
            BOX_FACES[:, :2],
            r"faces must be \[F, 3\] torch.int64, got \[12, 2\]",
        ),
        (
            torch.zeros(1, 8, 3).int(),
            BOX_FACES,
            "floating-point type, got torch.int32",
        ),
    ],
)
def test_bad_meshes_are_refused(vertices: Tensor, faces: Tensor, message: str) -> None:
    with pytest.raises(ValueError, match=message):
        voxelize_mesh(vertices, faces, 8)


@pytest.mark.parametrize("resolution", [0, -3, 4096])
def test_bad_resolution_is_refused(resolution: int) -> None:
    with pytest.raises(ValueError, match=f"resolution must be .* got {resolution}"):
        voxelize_mesh(torch.zeros(1, 8, 3), BOX_FACES, resolution)


# ---- pack_voxels, unpack_voxels ------------------------------------------------------------------


@pytest.mark.parametrize("resolution", [1, 3, 8, 32])
@pytest.mark.parametrize("leading", [(), (4,), (2, 3)])
def test_packing_is_undone(resolution: int, leading: tuple[int, ...]) -> None:
    generator = torch.Generator().manual_seed(resolution)
    voxels = torch.rand(*leading, *(resolution,) * 3, generator=generator) < 0.3
    packed = pack_voxels(voxels)
    assert packed.dtype == np.uint8
    assert packed.shape == (*leading, -(-(resolution**3) // 8))
    assert torch.equal(unpack_voxels(packed, resolution), voxels)
    assert np.array_equal(pack_voxels(voxels.numpy()), packed)


def test_z_runs_fastest_and_the_first_voxel_is_the_highest_bit() -> None:
    voxels = torch.zeros(4, 4, 4, dtype=torch.bool)
    voxels[0, 0, 1] = voxels[0, 2, 0] = voxels[1, 0, 0] = True  # places 1, 8 and 16
    assert pack_voxels(voxels).tolist() == [0b01000000, 0b10000000, 0b10000000, 0, 0, 0, 0, 0]


@pytest.mark.parametrize(
    ("voxels", "message"),
    [
        (torch.zeros(4, 4, 4), "voxels must be bool, got float32"),
        (torch.zeros(4, 4, dtype=torch.bool), r"\[..., R, R, R\], got \(4, 4\)"),
        (torch.zeros(4, 4, 5, dtype=torch.bool), r"\[..., R, R, R\], got \(4, 4, 5\)"),
    ],
)
def test_pack_refuses(voxels: Tensor, message: str) -> None:
    with pytest.raises(ValueError, match=message):
        pack_voxels(voxels)


@pytest.mark.parametrize(
    ("packed", "resolution", "message"),
    [
        (np.zeros(8, dtype=np.int64), 4, "packed must be uint8, got int64"),
        (np.zeros(9, dtype=np.uint8), 4, r"8 bytes .* resolution 4, got shape \(9,\)"),
        (np.zeros((), dtype=np.uint8), 1, r"1 bytes .* got shape \(\)"),
        (np.zeros(0, dtype=np.uint8), 0, "resolution must be at least 1, got 0"),
    ],
)
def test_unpack_refuses(packed: np.ndarray, resolution: int, message: str) -> None:
    with pytest.raises(ValueError, match=message):
        unpack_voxels(packed, resolution)


# ---- meshes which leave the grid -----------------------------------------------------------------


@pytest.mark.parametrize("mode", ["softras", "solid"])
def test_a_mesh_which_leaves_the_grid_is_not_hollow(mode: str) -> None:
    for shift, bounds in (((0.45, 0, 0), slice(21, 32)), ((-0.45, 0, 0), slice(0, 11))):
        shift_of_box = torch.tensor(shift)
        vertices = box_vertices((-0.25,) * 3, (0.25,) * 3) + shift_of_box
        (voxels,) = voxelize_mesh(vertices, BOX_FACES, 32, mode)
        inside = voxels[bounds, 10:22, 10:22]
        assert inside.float().mean() > 0.9
        assert bool(voxels[16 if shift[0] > 0 else 31].any()) is False
    (full,) = voxelize_mesh(box_vertices((-0.8,) * 3, (0.8,) * 3), BOX_FACES, 8, mode)
    assert bool(full.all())


def test_what_is_inside_of_the_grid_does_not_depend_on_meshes_beside_it() -> None:
    inner = 0.15 * torch.randn(1, 8, 3, generator=torch.Generator().manual_seed(0))
    outer = box_vertices((-0.3,) * 3, (0.9,) * 3)
    both = voxelize_mesh(torch.cat((inner, outer)), BOX_FACES, 32)
    assert torch.equal(both[:1], voxelize((inner * 31 / 32 + 0.5)[:, BOX_FACES], 32))
    assert leaves_grid(torch.cat((inner, outer)), 32).tolist() == [False, True]


def test_far_vertices_are_moved_to_the_reach_of_the_larger_grid() -> None:
    far, near = (box_vertices((-0.2,) * 3, (0.2, 0.2, high)) for high in (1e30, 1.4))
    assert torch.equal(voxelize_mesh(far, BOX_FACES, 16), voxelize_mesh(near, BOX_FACES, 16))
    broken = torch.cat((far, torch.full_like(far[:, :1], torch.nan)), dim=1)
    assert torch.equal(voxelize_mesh(broken, BOX_FACES, 16), voxelize_mesh(far, BOX_FACES, 16))


def test_the_border_of_the_grid_belongs_to_no_mesh_inside() -> None:
    # At R = 16 a coordinate c is placed at c * 15 / 16 + 0.5: 8 / 15 is the end of the grid.
    for high, leaves in ((8 / 15 - 1e-6, False), (8 / 15 + 1e-6, True)):
        vertices = box_vertices((-0.21,) * 3, (0.21, 0.21, high))
        assert leaves_grid(vertices, 16).tolist() == [leaves]
        assert torch.equal(
            voxelize_mesh(vertices, BOX_FACES, 16, "solid"),
            voxelize_mesh(box_vertices((-0.21,) * 3, (0.21, 0.21, 0.5)), BOX_FACES, 16, "solid"),
        )
