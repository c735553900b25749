"""Cameras of every format come back as they were exported, and mistakes are named."""

from __future__ import annotations

import json
import re
from pathlib import Path

import numpy as np
import pytest
from scipy.spatial.transform import Rotation

from recon.formats.cameras.reader import find_camera_files, open_cameras, read_frames
from recon.formats.stores import FolderStore
from tests.recon.formats.cameras.exported import FORMATS, KEYS, Similarity, export
from tests.recon.preparation.image_folders import SIZE

TURNED = Similarity(
    Rotation.from_rotvec([0.3, -0.5, 0.9]).as_matrix(), np.array([0.4, -0.3, 0.2]), 1.7
)


@pytest.mark.parametrize("form", FORMATS)
def test_cameras_come_back_exactly(tmp_path: Path, form: str) -> None:
    cameras = export(tmp_path, form, TURNED)
    store = FolderStore(tmp_path)
    files = find_camera_files(store)
    assert files is not None
    assert files.format == KEYS.get(form, form)
    assert find_camera_files(store, files.format) == files
    frames = read_frames(store, files, store)
    assert [Path(frame.file).stem for frame in frames] == [camera.name for camera in cameras]
    for frame, camera in zip(frames, cameras, strict=True):
        np.testing.assert_allclose(frame.matrix(SIZE), camera.k, atol=1e-4)
        np.testing.assert_allclose(frame.pose["R"], camera.rotation, atol=1e-4)
        np.testing.assert_allclose(frame.pose["t"], camera.shift, atol=1e-4)


def test_intrinsics_follow_images_of_another_scale(tmp_path: Path) -> None:
    (camera, *_) = export(tmp_path, "colmap_text", TURNED)
    store = FolderStore(tmp_path)
    files = find_camera_files(store)
    assert files is not None
    (frame, *_) = read_frames(store, files, store)
    half = frame.matrix((SIZE[0] // 2, SIZE[1] // 2))
    corner = np.array([-0.5, -0.5, 1.0])  # of an image, which stays a corner
    rays = np.linalg.solve(half, corner), np.linalg.solve(camera.k, corner)
    np.testing.assert_allclose(*rays, atol=1e-9)
    with pytest.raises(ValueError, match="belongs to images of 64 x 48 pixels, which one of 48 x"):
        frame.matrix((64, 48))


def test_paths_name_files_and_folders(tmp_path: Path) -> None:
    export(tmp_path, "colmap_text", TURNED)
    model = tmp_path / "sparse" / "0"
    for path in (tmp_path, model, model / "images.txt"):
        opened = open_cameras(path)
        assert opened is not None
        assert opened[1].format == "colmap"
        assert len(read_frames(*opened, FolderStore(tmp_path / "images"))) == 8
    np.save(tmp_path / "table.npy", np.zeros((3, 3)))
    assert open_cameras(tmp_path / "table.npy") is None
    with pytest.raises(FileNotFoundError, match=r"no cameras .*absent"):
        open_cameras(tmp_path / "absent")
    with pytest.raises(ValueError, match=r"images has no cameras of the formats json, nerf, colm"):
        open_cameras(tmp_path / "images")
    with pytest.raises(ValueError, match=r"camera_format must be one of auto, json, .*got 'blend'"):
        open_cameras(model, "blend")


def spoiled(folder: Path, form: str, spoil) -> str:
    """The message about a scene of which something is spoiled."""
    export(folder, form, TURNED, views=3)
    spoil(folder)
    store = FolderStore(folder)
    files = find_camera_files(store)
    assert files is not None
    with pytest.raises((ValueError, FileNotFoundError)) as caught:
        read_frames(store, files, store)
    message = str(caught.value)
    assert str(folder) in message
    assert "\n" not in message
    return message


def replace(name: str, old: str, new: str):
    def spoil(folder: Path) -> None:
        path = folder / name
        text = path.read_text()
        assert old in text
        path.write_text(text.replace(old, new, 1))

    return spoil


def cut(name: str, size: int):
    return lambda folder: (folder / name).write_bytes((folder / name).read_bytes()[:size])


def remove(name: str):
    return lambda folder: (folder / name).unlink()


def change_json(**changes: object):
    def spoil(folder: Path) -> None:
        document = json.loads((folder / "transforms.json").read_text())
        document["frames"][1] |= changes
        (folder / "transforms.json").write_text(json.dumps(document))

    return spoil


def change_array(name: str, key: str, value: np.ndarray):
    def spoil(folder: Path) -> None:
        with np.load(folder / name) as file:
            arrays = {**file, key: value}
        np.savez(folder / name, **arrays)

    return spoil


MODEL = "sparse/0"
MIRROR = np.diag([-1, 1, 1, 1]).tolist()
ZERO = np.zeros((4, 4))


@pytest.mark.parametrize(
    ("form", "spoil", "message"),
    [
        ("nerf", cut("transforms.json", 90), "transforms.json: it is not valid JSON"),
        ("nerf", remove("images/001.png"), "frame 1: .* has no image ./images/001.png"),
        ("nerf", change_json(transform_matrix=[[1]]), "frame 1: key transform_matrix must be 4 ro"),
        ("nerf", change_json(transform_matrix=(2 * np.eye(4)).tolist()), "must be a finite rota"),
        (
            "nerf",
            change_json(transform_matrix=MIRROR),
            "the determinant -1: an ax",
        ),
        ("nerf", change_json(fl_x="x"), "key fl_x must be a finite number, got 'x'"),
        ("nerf", change_json(fl_x=-3), "focal lengths must be > 0"),
        ("nerf", change_json(file_path=3), "key file_path must be the name"),
        (
            "colmap_text",
            replace(f"{MODEL}/cameras.txt", "PINHOLE", "FOV"),
            "camera model FOV is no",
        ),
        (
            "colmap_text",
            replace(f"{MODEL}/cameras.txt", "1 PIN", "9 PIN"),
            "camera 1, which is not",
        ),
        ("colmap_text", replace(f"{MODEL}/images.txt", "002.png", ""), "must have 10 words"),
        ("colmap_text", remove(f"{MODEL}/cameras.txt"), "no file sparse/0/cameras.txt"),
        ("colmap_binary", cut(f"{MODEL}/images.bin", 200), "images.bin: a name has no end"),
        ("colmap_binary", cut(f"{MODEL}/cameras.bin", 20), "ends too early or is damaged"),
        ("srn", cut("intrinsics.txt", 20), "intrinsics.txt: it must be a matrix of 4 x 4, or begi"),
        ("srn", cut("pose/001.txt", 30), "pose/001.txt must have 16 numbers"),
        ("srn", remove("rgb/001.png"), "has no image 001"),
        ("nsvf", cut("pose/002.txt", 0), "pose/002.txt must have 16 numbers, got 0"),
        ("neus", cut("cameras_sphere.npz", 90), "cameras_sphere.npz: .*zip"),
        ("neus", remove("image/002.png"), "must have 3 images, one per camera, got 2 in image"),
        (
            "neus",
            change_array("cameras_sphere.npz", "world_mat_1", np.zeros((4, 4))),
            "_1: it is no",
        ),
        ("llff", cut("poses_bounds.npy", 200), "poses_bounds.npy: it is no readable array"),
        ("llff", remove("images/000.png"), "must have 3 images"),
    ],
)
def test_mistakes_are_named(tmp_path: Path, form: str, spoil, message: str) -> None:
    assert re.search(message, spoiled(tmp_path, form, spoil))
