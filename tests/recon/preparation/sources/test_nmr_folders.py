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

from recon.geometry.cameras import Cameras, shapenet_cameras
from recon.geometry.frames import world_vertices
from recon.geometry.voxels import unpack_voxels, voxelize_mesh
from recon.preparation.sources.interface import ImageSource
from recon.preparation.sources.nmr_folders import NmrFoldersSource
from tests.recon.preparation.known_object import (
    COLOR,
    PUBLIC_FOCAL,
    binvox_grid,
    binvox_header,
    corners,
    encoded,
    faces,
    pixel_matrix,
    public_images,
    public_world_mat,
    rendered,
    rgba,
    runs,
    worst_iou,
)

CHAIR, CAR = "03001627", "02958343"
CONFIGS = Path(__file__).resolve().parents[4] / "configs"
NDC = np.diag([PUBLIC_FOCAL, PUBLIC_FOCAL, 1, 1])


def cameras_file(world_mats: list[np.ndarray], camera_mat: np.ndarray = NDC) -> bytes:
    arrays = {}
    for k, matrix in enumerate(world_mats):
        arrays[f"world_mat_{k}"] = matrix.astype(np.float32)
        arrays[f"world_mat_inv_{k}"] = np.linalg.inv(matrix).astype(np.float32)
        arrays[f"camera_mat_{k}"] = camera_mat.astype(np.float32)
        arrays[f"camera_mat_inv_{k}"] = np.linalg.inv(camera_mat).astype(np.float32)
    buffer = io.BytesIO()
    np.savez(buffer, **arrays)
    return buffer.getvalue()


def model_files(images: np.ndarray, cameras: bytes) -> dict[str, bytes]:
    """The files of one model, its images laid over white."""
    files = {"cameras.npz": cameras}
    for k, image in enumerate(images):
        alpha = image[..., 3:] / 255
        white = np.rint(image[..., :3] * alpha + 255 * (1 - alpha)).astype(np.uint8)
        files[f"image/{k:04d}.png"] = encoded(white)
        files[f"mask/{k:04d}.png"] = encoded(image[..., 3])
    return files


@pytest.fixture(scope="module")
def files() -> dict[str, bytes]:
    surface = np.concatenate(corners()).astype(np.float32)
    buffer = io.BytesIO()
    np.savez(
        buffer,
        points=surface,
        normals=np.tile(np.array([0, 1, 0], np.float32), (len(surface), 1)),
        loc=np.array([0.1, 0.2, 0.3]),
        scale=np.array(0.7),
    )
    return {
        **model_files(public_images(64), cameras_file([public_world_mat(k) for k in range(24)])),
        "pointcloud.npz": buffer.getvalue(),
        "model.binvox": binvox_header(0.7) + runs(binvox_grid()),
    }


def add(root: Path, files: dict[str, bytes], model: str, synset: str = CHAIR) -> None:
    for name, content in files.items():
        path = root / synset / model / name
        path.parent.mkdir(parents=True, exist_ok=True)
        path.write_bytes(content)


@pytest.fixture
def root(tmp_path: Path, files: dict[str, bytes]) -> Path:
    add(tmp_path / "data", files, "abc")
    (tmp_path / "data" / CHAIR / "softras_train.lst").write_text("abc\n")
    (tmp_path / "data" / CHAIR / "train.lst").write_text("other\n")
    return tmp_path / "data"


@pytest.mark.parametrize("kind", ["black", "inverted"])
def test_colours_over_black_and_inverted_ones(root: Path, kind: str, caplog) -> None:
    images = public_images(64)
    for k, image in enumerate(images):
        alpha = image[..., 3:] / 255
        laid = image[..., :3] * alpha
        laid = 255 - (laid + 255 * (1 - alpha)) if kind == "inverted" else laid
        path = root / CHAIR / "abc" / "image" / f"{k:04d}.png"
        path.write_bytes(encoded(np.rint(laid).astype(np.uint8)))
    caplog.set_level("INFO")
    source = NmrFoldersSource(root, colors="inverted" if kind == "inverted" else "auto")
    source.objects()
    found = pickle.loads(pickle.dumps(source)).arrays(source.objects()[0])["images"]
    inside = images[..., 3] > 127
    assert np.abs(found.transpose(0, 2, 3, 1)[inside][:, :3].astype(int) - COLOR).max() <= 3
    told = f"colours of images are taken as black in 1 ({CHAIR}/abc)"
    assert caplog.text.count(told) == (kind == "black")
    with pytest.raises(ValueError, match="colors must be auto or one of"):
        NmrFoldersSource(root, colors="blue")


def vertices() -> torch.Tensor:
    return world_vertices(torch.from_numpy(corners().reshape(-1, 3)))


def test_images_and_cameras_agree_in_the_world(root: Path) -> None:
    source = NmrFoldersSource(root)
    assert isinstance(source, ImageSource)
    arrays = source.arrays(source.objects()[0])
    source.layout().check(arrays)
    cameras = Cameras.from_rows(torch.from_numpy(arrays["cameras"]))
    assert torch.allclose(cameras.rows(), shapenet_cameras(range(24)).rows(), atol=1e-5)
    seen = arrays["images"][:, 3] > 127
    assert worst_iou(rendered(cameras, (64, 64)), seen) > 0.94
    for wrong in ([-1, 1, 1], [1, 1, -1], [-1, 1, -1]):
        assert worst_iou(rendered(cameras, (64, 64), vertices() * torch.tensor(wrong)), seen) < 0.75
    opaque = arrays["images"][0, 3] == 255
    assert (arrays["images"][0, :3, opaque] == np.array(COLOR)).all()
    assert not arrays["images"][0, :3, arrays["images"][0, 3] == 0].any()


@pytest.mark.parametrize(
    ("size", "aspect"), [((64, 64), "pad"), ((40, 72), "pad"), ((72, 40), "crop")]
)
def test_other_cameras_are_taken_as_the_file_says(tmp_path: Path, size, aspect: str) -> None:
    """Nearer, rolled eyes with another focal length and a principal point off the middle."""
    camera_mat = np.array([[3.1, 0, 0.12, 0], [0, 3.1, -0.08, 0], [0, 0, 1, 0], [0, 0, 0, 1]])
    world_mats = []
    for k in range(24):
        matrix = public_world_mat(k)
        roll = np.eye(4)
        roll[:2, :2] = [[np.cos(0.3), -np.sin(0.3)], [np.sin(0.3), np.cos(0.3)]]
        matrix = roll @ matrix
        matrix[2, 3] = 2.2 + 0.02 * k
        world_mats.append(matrix)
    images = np.stack(
        [rgba(pixel_matrix((camera_mat @ m)[:3], (80, 80)), (80, 80)) for m in world_mats]
    )
    add(tmp_path, model_files(images, cameras_file(world_mats, camera_mat)), "abc")
    source = NmrFoldersSource(tmp_path, image_size=size, aspect=aspect)
    arrays = source.arrays(source.objects()[0])
    cameras = Cameras.from_rows(torch.from_numpy(arrays["cameras"]))
    seen = arrays["images"][:, 3] > 127
    assert worst_iou(rendered(cameras, size), seen) > 0.92
    assert worst_iou(rendered(shapenet_cameras(range(24)), size), seen) < 0.8


def test_voxels_and_points_agree_with_the_mesh(root: Path) -> None:
    source = NmrFoldersSource(root, voxels=True, points_folder=root, num_surface_points=32)
    arrays = source.arrays(source.objects()[0])
    source.layout().check(arrays)
    scaled = vertices() * 32 / 31
    cameras = Cameras.from_rows(torch.from_numpy(arrays["cameras"]))
    seen = arrays["images"][:, 3] > 127
    assert worst_iou(rendered(cameras, (64, 64), scaled), seen) > 0.94
    assert torch.allclose(torch.from_numpy(arrays["pointcloud"]), scaled.float(), atol=1e-5)
    read = unpack_voxels(arrays["voxels_32"], 32)
    mesh = voxelize_mesh(0.998 * scaled[None].float(), faces(), 32)[0]
    assert int((read & mesh).sum()) == int(read.sum()) > 0.5 * int(mesh.sum())


def test_points_alone_leave_the_world_as_it_is(root: Path) -> None:
    source = NmrFoldersSource(root, points_folder=root, num_surface_points=32)
    arrays = source.arrays(source.objects()[0])
    assert torch.allclose(torch.from_numpy(arrays["pointcloud"]), vertices().float(), atol=1e-6)
    assert (arrays["pointcloud_normals"] == [0, 1, 0]).all()


def test_the_lists_of_softras_tell_objects_and_splits(root: Path, files) -> None:
    (root / CHAIR / "softras_test.lst").write_text("gone\n")
    source = NmrFoldersSource(root)
    items = source.objects()
    assert [(i.id, i.split) for i in items] == [
        (f"{CHAIR}-abc", "train"),
        (f"{CHAIR}-gone", "test"),
    ]
    with pytest.raises(FileNotFoundError, match="gone"):
        source.arrays(items[1])
    copy = pickle.loads(pickle.dumps(source))
    assert (copy.arrays(items[0])["images"] == source.arrays(items[0])["images"]).all()
    assert source.config() == NmrFoldersSource(root).config()
    assert source.config() != NmrFoldersSource(root, image_size=32).config()
    (root / CHAIR / "abc" / "mask" / "0003.png").write_bytes(b"changed")
    changed = NmrFoldersSource(root).objects()
    assert changed[0].fingerprint != items[0].fingerprint
    with pytest.raises(ValueError, match="has no category 02691156"):
        NmrFoldersSource(root, ["airplane"]).objects()


def test_lines_which_lead_out_are_refused(root: Path) -> None:
    (root / CHAIR / "softras_train.lst").write_text("abc\n..\n")
    source = NmrFoldersSource(root)
    outside = next(entry for entry in source.objects() if entry.id.endswith(".."))
    with pytest.raises(ValueError, match="leads out of"):
        source.arrays(outside)
    (root / CHAIR / "softras_train.lst").write_text("../../etc\n")
    with pytest.raises(ValueError, match=r"softras_train\.lst, line 1"):
        NmrFoldersSource(root).objects()


BROKEN = {
    "size": ("image/0007.png", encoded(np.zeros((64, 60, 3), np.uint8)), r"0007\.png.*64 pixels"),
    "first": ("image/0000.png", encoded(np.zeros((64, 60, 3), np.uint8)), "must be square"),
    "mask": ("mask/0007.png", encoded(np.zeros((32, 32), np.uint8)), r"mask/0007\.png.*64 pixels"),
    "damage": ("mask/0007.png", b"\x89PNG\r\n\x1a\n" + b"0" * 99, r"mask/0007\.png"),
    "cameras": ("cameras.npz", b"PK\x03\x04", r"cameras\.npz: File is not a zip file"),
    "views": (
        "cameras.npz",
        cameras_file([public_world_mat(k) for k in range(20)]),
        r"cameras\.npz, view 20: .*camera_mat_20 is missing",
    ),
    "binvox": ("model.binvox", b"#binvox 1\ndim 9 9 9\n", r"model\.binvox is no usable"),
    "elsewhere": (
        "cameras.npz",
        cameras_file([public_world_mat(k + 6) for k in range(24)]),
        "voxels and images disagree",
    ),
}


@pytest.mark.parametrize("case", BROKEN)
def test_a_broken_object_is_named(root: Path, case: str) -> None:
    name, content, message = BROKEN[case]
    (root / CHAIR / "abc" / name).write_bytes(content)
    source = NmrFoldersSource(root, voxels=True)
    with pytest.raises(ValueError, match=rf"{CHAIR}/abc.*{message}"):
        source.arrays(source.objects()[0])


@pytest.mark.parametrize("name", ["image/0023.png", "mask/0000.png", "cameras.npz"])
def test_a_missing_or_linked_file_is_named(root: Path, tmp_path: Path, name: str) -> None:
    shutil.move(root / CHAIR / "abc" / name, tmp_path / "moved")
    for link in (False, True):
        if link:
            (root / CHAIR / "abc" / name).symlink_to(tmp_path / "moved")
        source = NmrFoldersSource(root)
        with pytest.raises(FileNotFoundError, match=name):
            source.arrays(source.objects()[0])


def test_bad_settings_are_refused(root: Path) -> None:
    with pytest.raises(FileNotFoundError, match="nowhere"):
        NmrFoldersSource(root / "nowhere")
    with pytest.raises(ValueError, match="aspect must be one of"):
        NmrFoldersSource(root, aspect="stretch")


def test_the_configuration_is_built(root: Path) -> None:
    with initialize_config_dir(str(CONFIGS), version_base="1.3"):
        cfg = compose("prepare_data", ["source=nmr_folders", f"source.folder={root}"])
    assert len(instantiate(cfg.source).objects()) == 1
