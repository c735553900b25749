from __future__ import annotations

import io
import pickle
import shutil
from pathlib import Path

import numpy as np
import pytest
import torch
from hydra import compose, initialize_config_dir
from hydra.utils import instantiate

from recon.geometry.cameras import Cameras
from recon.geometry.frames import world_vertices
from recon.geometry.voxels import unpack_voxels, voxelize_mesh
from recon.preparation.sources.interface import ImageSource
from recon.preparation.sources.occupancy_networks import OccupancyNetworksSource
from tests.recon.preparation.known_object import (
    COLOR,
    binvox_grid,
    binvox_header,
    corners,
    encoded,
    faces,
    inside,
    public_world_mat,
    rendered,
    rgba,
    runs,
    worst_iou,
)

CHAIR = "03001627"
CONFIGS = Path(__file__).resolve().parents[4] / "configs"
SIDE = 0.83  # longest side of the model in its own units
INTRINSICS = np.array([[149.84375, 0, 68.5], [0, 149.84375, 68.5], [0, 0, 1]])


def world_mat(view: int) -> np.ndarray:
    """An eye around the model's own origin, nearer than the standard ones, as in the files."""
    matrix = public_world_mat(view)[:3].copy()
    matrix[2, 3] = 1.3 + 0.01 * view
    return matrix


def npz(**arrays: object) -> bytes:
    buffer = io.BytesIO()
    np.savez(buffer, **arrays)
    return buffer.getvalue()


@pytest.fixture(scope="module")
def files() -> dict[str, bytes]:
    scaled, matrices, files = np.diag([SIDE, SIDE, SIDE, 1]), {}, {}
    # In the files 0 is the image's border; pixel centres are half a pixel from there.
    to_pixels = INTRINSICS - np.array([[0, 0, 0.5], [0, 0, 0.5], [0, 0, 0]])
    for k in range(24):
        image = rgba(to_pixels @ world_mat(k) @ scaled, (137, 137))
        alpha = image[..., 3:] / 255
        white = np.rint(image[..., :3] * alpha + 255 * (1 - alpha)).astype(np.uint8)
        files[f"img_choy2016/{k:03d}.jpg"] = encoded(white, "JPEG", quality=92)
        matrices |= {f"camera_mat_{k}": INTRINSICS, f"world_mat_{k}": world_mat(k)}
    points = ((np.random.default_rng(0).random((500, 3)) - 0.5) * 1.1).astype(np.float16)
    place = {"loc": np.zeros(3), "scale": np.array(SIDE)}
    occupancies = np.packbits(inside(points.astype(np.float64)))
    surface = np.concatenate(corners()).astype(np.float32)
    normals = np.tile(np.array([1, 0, 0], np.float32), (len(surface), 1))
    return {
        **files,
        "img_choy2016/cameras.npz": npz(**matrices),
        "points.npz": npz(points=points, occupancies=occupancies, **place),
        "pointcloud.npz": npz(points=surface, normals=normals, **place),
        "model.binvox": binvox_header(SIDE) + runs(binvox_grid()),
    }


@pytest.fixture
def root(tmp_path: Path, files: dict[str, bytes]) -> Path:
    for name, content in files.items():
        path = tmp_path / "data" / CHAIR / "abc" / name
        path.parent.mkdir(parents=True, exist_ok=True)
        path.write_bytes(content)
    (tmp_path / "data" / CHAIR / "val.lst").write_text("abc\n")
    return tmp_path / "data"


def source_of(root: Path, **settings: object) -> OccupancyNetworksSource:
    return OccupancyNetworksSource(
        root, **{"num_points": 500, "num_surface_points": 32, **settings}
    )


def vertices() -> torch.Tensor:
    return world_vertices(torch.from_numpy(corners().reshape(-1, 3)))


@pytest.mark.parametrize(("voxels", "size"), [(True, None), (False, None), (False, (64, 64))])
def test_everything_agrees_in_the_world(root: Path, voxels: bool, size) -> None:
    source = source_of(root, voxels=voxels, image_size=size)
    assert isinstance(source, ImageSource)
    arrays = source.arrays(source.objects()[0])
    source.layout().check(arrays)
    pair, scale = source.layout().image_size, 32 / 31 if voxels else 1
    cameras = Cameras.from_rows(torch.from_numpy(arrays["cameras"]))
    seen = arrays["images"][:, 3] > 127
    assert worst_iou(rendered(cameras, pair, vertices() * scale), seen) > 0.9
    for wrong in ([-1, 1, 1], [1, 1, -1], [-1, 1, -1]):
        turned = vertices() * scale * torch.tensor(wrong)
        assert worst_iou(rendered(cameras, pair, turned), seen) < 0.75
    x, y, z = arrays["points"].astype(np.float64).T / scale
    occupied = np.unpackbits(arrays["occupancies"], count=500).astype(bool)
    # Where the world is scaled its points are rounded anew, perhaps across the surface.
    agreement = (inside(np.stack([-z, y, -x], 1)) == occupied).mean()
    assert agreement > 0.99 if voxels else agreement == 1
    assert torch.allclose(
        torch.from_numpy(arrays["pointcloud"]), (vertices() * scale).float(), atol=1e-5
    )
    assert (arrays["pointcloud_normals"] == [0, 0, -1]).all()


def test_voxels_agree_with_the_mesh(root: Path) -> None:
    source = source_of(root)
    read = unpack_voxels(source.arrays(source.objects()[0])["voxels_32"], 32)
    mesh = voxelize_mesh(0.998 * 32 / 31 * vertices()[None].float(), faces(), 32)[0]
    assert int((read & mesh).sum()) == int(read.sum()) > 0.5 * int(mesh.sum())


def test_background_is_transparent_and_black_and_colours_stay(root: Path) -> None:
    source = source_of(root)
    images = source.arrays(source.objects()[0])["images"]
    assert set(np.unique(images[:, 3])) == {0, 255}
    assert not images[:, :3][np.repeat(images[:, 3:] == 0, 3, 1)].any()
    middle = np.median(images[0, :3, images[0, 3] == 255], axis=0)
    assert np.abs(middle - np.array(COLOR)).max() < 6


def test_objects_splits_and_fingerprints(root: Path) -> None:
    source = source_of(root)
    items = source.objects()
    assert [(entry.id, entry.split) for entry in items] == [(f"{CHAIR}-abc", "val")]
    one, other = (s.arrays(items[0]) for s in (source, pickle.loads(pickle.dumps(source))))
    assert all((one[key] == other[key]).all() for key in one)
    assert source.config() == source_of(root).config()
    assert source.config() != source_of(root, num_points=400).config()
    for name in ("points.npz", "img_choy2016/004.jpg", "model.binvox"):
        before = source_of(root).objects()[0].fingerprint
        path = root / CHAIR / "abc" / name
        path.write_bytes(path.read_bytes() + b"\0")
        assert source_of(root).objects()[0].fingerprint != before


BROKEN = {
    "size": (
        "img_choy2016/007.jpg",
        encoded(np.zeros((99, 137, 3), np.uint8), "JPEG"),
        "137 pixels",
    ),
    "damage": ("img_choy2016/007.jpg", b"\xff\xd8\xff\xe0" + b"0" * 99, r"007\.jpg"),
    "cameras": ("img_choy2016/cameras.npz", npz(world_mat_0=np.eye(4)), "camera_mat_0 is missing"),
    "pickle": ("points.npz", npz(points=np.array([{}], object)), r"points\.npz.*must hold numbers"),
    "points": ("points.npz", npz(points=np.zeros((9, 3))), "occupancies is missing"),
    "few": (
        "pointcloud.npz",
        npz(points=np.zeros((9, 3)), normals=np.ones((9, 3)), loc=np.zeros(3), scale=np.array(1.0)),
        r"pointcloud\.npz has 9 usable points, 32 are asked for",
    ),
    "binvox": ("model.binvox", b"", r"model\.binvox is no usable"),
}


@pytest.mark.parametrize("case", BROKEN)
def test_a_broken_object_is_named(root: Path, case: str) -> None:
    name, content, message = BROKEN[case]
    (root / CHAIR / "abc" / name).write_bytes(content)
    source = source_of(root)
    with pytest.raises(ValueError, match=rf"{CHAIR}/abc.*{message}"):
        source.arrays(source.objects()[0])


@pytest.mark.parametrize("name", ["img_choy2016/023.jpg", "points.npz", "model.binvox"])
def test_a_missing_or_linked_file_is_named(root: Path, tmp_path: Path, name: str) -> None:
    shutil.move(root / CHAIR / "abc" / name, tmp_path / "moved")
    for link in (False, True):
        if link:
            (root / CHAIR / "abc" / name).symlink_to(tmp_path / "moved")
        source = source_of(root)
        with pytest.raises(FileNotFoundError, match=name):
            source.arrays(source.objects()[0])


def test_bad_settings_are_refused(root: Path) -> None:
    with pytest.raises(FileNotFoundError, match="nowhere"):
        source_of(root / "nowhere")
    with pytest.raises(ValueError, match="not both 0"):
        source_of(root, num_points=0, num_surface_points=0)
    with pytest.raises(ValueError, match="aspect must be one of"):
        source_of(root, aspect="stretch")


def test_the_configuration_is_built(root: Path) -> None:
    with initialize_config_dir(str(CONFIGS), version_base="1.3"):
        cfg = compose("prepare_data", ["source=occupancy_networks", f"source.folder={root}"])
    assert instantiate(cfg.source).layout().num_points == 10_000
