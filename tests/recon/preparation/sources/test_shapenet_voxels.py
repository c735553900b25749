from __future__ import annotations

import numpy as np
import pytest
import torch

from recon.formats.binvox import Binvox
from recon.geometry.cameras import shapenet_cameras
from recon.geometry.voxels import voxelize_mesh
from recon.preparation.sources.shapenet_voxels import (
    read_voxels,
    require_agreement,
    voxel_frame,
    world_voxels,
)
from tests.recon.preparation.known_object import (
    binvox_grid,
    binvox_header,
    corners,
    faces,
    public_images,
    runs,
    voxels,
)

SIDE = 0.83  # of the longest side of the model in its own units


@pytest.mark.parametrize("shift", [(0.0, 0.0, 0.0), (0.3, -0.2, 0.5)])
def test_the_cube_is_centred_on_the_model(shift: tuple[float, float, float]) -> None:
    low = SIDE * corners().reshape(-1, 3).min(0) + shift
    file = Binvox(binvox_grid(), tuple(low), SIDE)
    frame = voxel_frame(file)
    assert frame.scale == pytest.approx(SIDE * 31 / 32)
    # Where the model is not at the origin its middle is known to half a voxel only.
    assert frame.center == pytest.approx(shift, abs=0 if not any(shift) else SIDE / 64)


def test_a_grid_which_begins_at_the_models_corner_is_where_its_header_says() -> None:
    grid = np.zeros((32, 32, 32), bool)
    grid[:20, :32, :10] = True
    frame = voxel_frame(Binvox(grid, (-0.3, 0.1, 0.2), 1.0))
    assert frame.center == pytest.approx((0.2, 0.6, 0.7))


def test_voxels_are_turned_into_the_world() -> None:
    world = torch.from_numpy(world_voxels(voxels(32)))
    turned = torch.from_numpy(
        np.stack([-corners()[..., 2], corners()[..., 1], -corners()[..., 0]], -1)
    )
    mesh = voxelize_mesh(turned.reshape(1, -1, 3).float(), faces(), 32)[0]
    assert int((world & mesh).sum()) == int(world.sum()) > 0.5 * int(mesh.sum())
    for wrong in (world.flip(0), world.flip(1), world.flip(2), world.transpose(0, 2)):
        assert int((wrong & mesh).sum()) < 0.9 * int(world.sum())


def test_voxels_elsewhere_than_in_the_images_are_noticed() -> None:
    cameras, alpha = shapenet_cameras(range(24)), public_images(64)[..., 3]
    world = world_voxels(voxels(32))
    require_agreement("chair", world, cameras, alpha)
    for wrong in (world[:, ::-1], world.transpose(0, 2, 1), world.transpose(2, 1, 0)):
        with pytest.raises(
            ValueError, match=r"chair: .* disagree: \d+% of the occupied voxels .* 90% must"
        ):
            require_agreement("chair", wrong, cameras, alpha)
    with pytest.raises(ValueError, match="disagree"):
        require_agreement("chair", world, cameras, np.roll(alpha, 12, 2))
    with pytest.raises(ValueError, match="disagree: 0%"):
        require_agreement("chair", world, cameras, np.zeros_like(alpha))


def test_unusable_grids_are_named(folder) -> None:
    full, empty = binvox_grid(), np.zeros((32, 32, 32), bool)
    store = folder(
        {
            "plain.binvox": b"#binvox 1\ndim 32 32 32\ndata\n" + runs(full),
            "empty.binvox": binvox_header(SIDE) + runs(empty),
            "small.binvox": b"#binvox 1\ndim 2 2 2\ndata\n\x01\x08",
            "fine.binvox": binvox_header(SIDE) + runs(full),
        }
    )
    frame, world = read_voxels(store, "fine.binvox", 32)
    assert frame.center == (0, 0, 0)
    assert (world == world_voxels(full)).all()
    for name, message in (
        ("plain", "must have the lines translate and scale"),
        ("empty", "none of its voxels is occupied"),
        ("small", r"must have 32\^3 voxels, got 2\^3"),
    ):
        with pytest.raises(ValueError, match=rf"{name}\.binvox: .*{message}"):
            read_voxels(store, f"{name}.binvox", 32)
