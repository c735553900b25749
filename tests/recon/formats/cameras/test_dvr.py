from __future__ import annotations

import io

import numpy as np
import pytest
import torch

from recon.formats.cameras.dvr import read_cameras
from recon.geometry.cameras import shapenet_cameras
from recon.preparation.sources.model_frame import NORMALISED
from tests.recon.preparation.known_object import (
    PUBLIC_FOCAL,
    corners,
    pixel_matrix,
    public_world_mat,
)

SIZE = (48, 64)
NDC = np.diag([PUBLIC_FOCAL, PUBLIC_FOCAL, 1, 1])


def stored(views: int = 24, **changes: object) -> bytes:
    arrays: dict[str, object] = {}
    for k in range(views):
        arrays[f"world_mat_{k}"] = public_world_mat(k).astype(np.float32)
        arrays[f"camera_mat_{k}"] = NDC.astype(np.float32)
    buffer = io.BytesIO()
    np.savez(buffer, **{**arrays, **changes})
    return buffer.getvalue()


def pixels(cameras, points: np.ndarray) -> np.ndarray:
    """Where positions are in the images, as columns and rows."""
    height, width = SIZE
    batch = torch.from_numpy(points).expand(len(cameras), -1, -1)
    ndc = cameras.project(batch, SIZE).numpy()
    half = min(SIZE) / 2
    return np.stack(
        [ndc[..., 0] * half + (width - 1) / 2, (height - 1) / 2 - ndc[..., 1] * half], -1
    )


def expected(ndc: np.ndarray, points: np.ndarray) -> np.ndarray:
    projected = np.concatenate([points, np.ones((len(points), 1))], 1) @ pixel_matrix(ndc, SIZE).T
    return projected[:, :2] / projected[:, 2:]


def test_the_public_cameras_are_the_standard_views(folder) -> None:
    store = folder({"cameras.npz": stored()})
    own = read_cameras(store, "cameras.npz", 24, (-1, 1), (64, 64))
    found, wanted = NORMALISED.cameras(own), shapenet_cameras(range(24))
    assert torch.allclose(found.rows().float(), wanted.rows(), atol=1e-5)


@pytest.mark.parametrize("borders", [(-1.0, 1.0), (0.0, 137.0)])
def test_projections_are_those_of_the_matrices(folder, borders: tuple[float, float]) -> None:
    low, high = borders
    scale = (high - low) / 2
    to_borders = np.array([[scale, 0, low + scale], [0, scale, low + scale], [0, 0, 1]])
    intrinsics = np.array([[3.0, 0, 0.1], [0, 2.5, -0.2], [0, 0, 1]])
    name, points = "cameras.npz", corners().reshape(-1, 3)
    content = stored(
        2,
        camera_mat_0=to_borders @ NDC[:3, :3],
        camera_mat_1=to_borders @ intrinsics,
        world_mat_1=public_world_mat(5)[:3],
        scale_mat_1=np.diag([2.0, 2, 2, 1]) + np.eye(4, k=3) * 0.3,
    )
    cameras = read_cameras(folder({name: content}), name, 2, borders, SIZE)
    found = pixels(cameras, points)
    assert found[0] == pytest.approx(
        expected(NDC[:3, :3] @ public_world_mat(0)[:3], points), abs=1e-4
    )
    moved = points * 2 + [0.3, 0, 0]
    assert found[1] == pytest.approx(
        expected(intrinsics @ public_world_mat(5)[:3], moved), abs=1e-4
    )


@pytest.mark.parametrize("signs", [(1, 1, -1), (-1, 1, 1), (-1, -1, 1), (-1, -1, -1)])
def test_cameras_which_look_backwards_see_the_same(folder, signs: tuple[int, int, int]) -> None:
    turned = np.diag([*signs, 1.0])
    content = stored(1, camera_mat_0=NDC @ turned, world_mat_0=turned @ public_world_mat(0))
    cameras = read_cameras(folder({"c.npz": content}), "c.npz", 1, (-1, 1), SIZE)
    points = corners().reshape(-1, 3)
    wanted = expected(NDC[:3, :3] @ public_world_mat(0)[:3], points)
    assert pixels(cameras, points)[0] == pytest.approx(wanted, abs=1e-4)
    assert bool((cameras.project(torch.from_numpy(points)[None], SIZE)[..., 2] > 0).all())


BENT = public_world_mat(3)
BENT[0, :3] *= 1.1
SKEWED = NDC.copy()
SKEWED[0, 1] = 0.2


@pytest.mark.parametrize(
    ("changes", "message"),
    [
        ({"world_mat_1": np.full((4, 4), np.nan)}, "view 1: world_mat_1 is not finite"),
        ({"world_mat_1": np.zeros((4, 4))}, "view 1: the last row"),
        ({"world_mat_1": np.zeros((3, 4))}, "view 1: world_mat must have an inverse"),
        ({"world_mat_1": BENT}, r"view 1: world_mat must be a rotation.* differs from 1 by"),
        ({"world_mat_1": np.zeros((2, 4))}, r"view 1: world_mat_1 must have one of .*got .2, 4."),
        ({"world_mat_1": np.array([None], object)}, "view 1: .*array world_mat_1"),
        ({"camera_mat_1": np.diag([3.0, 0, 1, 1])}, "view 1: camera_mat must have a diagonal"),
        ({"camera_mat_1": np.zeros(3)}, "view 1: .*array camera_mat_1"),
        ({"camera_mat_1": SKEWED}, "without skew"),
    ],
)
def test_matrices_of_no_camera_are_named(folder, changes, message: str) -> None:
    store = folder({"m/cameras.npz": stored(2, **changes)})
    with pytest.raises(ValueError, match=rf"m/cameras\.npz.*{message}"):
        read_cameras(store, "m/cameras.npz", 2, (-1, 1), SIZE)


def test_missing_views_and_damaged_files_are_named(folder) -> None:
    store = folder({"a.npz": stored(23), "b.npz": stored()[:900]})
    with pytest.raises(ValueError, match=r"a\.npz, view 23: .*camera_mat_23 is missing"):
        read_cameras(store, "a.npz", 24, (-1, 1), SIZE)
    with pytest.raises(ValueError, match=r"b\.npz: File is not a zip file"):
        read_cameras(store, "b.npz", 24, (-1, 1), SIZE)
