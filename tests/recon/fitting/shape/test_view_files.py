"""Images and cameras in every form they may have, and what is said of broken ones."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import torch
from PIL import Image

from recon.datasets.multiview import MultiViewDataset
from recon.fitting.shape.view_files import Views, read_views, views_of_object
from recon.geometry.cameras import Cameras
from recon.preparation.calibrated_views import Placement
from recon.preparation.sources.axes import orientation
from tests.recon.formats.cameras.exported import CENTERED, FORMATS, Similarity, export

TABLE = np.array([[2.5, 10.0, 0.0], [3.0, -20.0, 50.0], [2.0, 0.0, -170.0]])


def random_images(count: int = 3) -> np.ndarray:
    """[N, 4, 6, 8] uint8."""
    return np.random.default_rng(0).integers(0, 256, (count, 4, 6, 8), dtype=np.uint8)


def write_folder(folder: Path, images: np.ndarray, mode: str = "RGBA") -> Path:
    folder.mkdir(exist_ok=True)
    for index, image in enumerate(images):
        file = Image.fromarray(image.transpose(1, 2, 0), "RGBA").convert(mode)
        file.save(folder / f"{index:03d}.png")
    return folder


@pytest.fixture
def table(tmp_path: Path) -> Path:
    np.save(tmp_path / "cameras.npy", TABLE)
    return tmp_path / "cameras.npy"


def test_images_read_alike_in_every_form(tmp_path: Path, table: Path) -> None:
    images = random_images()
    np.save(tmp_path / "first.npy", images)
    np.save(tmp_path / "last.npy", images.transpose(0, 2, 3, 1))
    np.save(tmp_path / "float.npy", images / 255)
    np.savez(tmp_path / "named.npz", images=images, other=TABLE)
    np.savez_compressed(tmp_path / "only.npz", images)
    folder = write_folder(tmp_path / "images", images)
    (folder / "notes.txt").write_text("not an image")
    names = ["first.npy", "last.npy", "float.npy", "named.npz", "only.npz", "images"]
    for name in names:
        views = read_views(tmp_path / name, table)
        assert torch.allclose(views.images, torch.from_numpy(images).float() / 255), name
        assert views.image_size == (6, 8)
    assert torch.equal(views.masks, views.images[:, 3])
    np.save(tmp_path / "masks.npy", images[:, 3] > 127)
    masks = read_views(tmp_path / "masks.npy", table)
    assert torch.equal(masks.masks, (views.masks > 0.5).float())


def test_cameras_read_alike_in_every_form(tmp_path: Path, table: Path) -> None:
    np.save(tmp_path / "images.npy", random_images())
    distance, elevation, azimuth = torch.from_numpy(TABLE).float().unbind(1)
    expected = Cameras.orbit(azimuth, elevation, distance, torch.full((3,), 40.0)).rows()
    np.save(tmp_path / "rows.npy", expected.numpy())
    np.savez(tmp_path / "cameras.npz", cameras=TABLE)
    lines = [",".join(map(str, row)) for row in TABLE]
    (tmp_path / "plain.csv").write_text("\n".join(lines))
    turned = [f"{a}, {d}, {e}" for d, e, a in TABLE]
    (tmp_path / "named.csv").write_text("\n".join(["Azimuth, distance, elevation", *turned, ""]))
    frames = [
        {"file": f"{i}.png", "distance": d, "elevation": e, "azimuth": a}
        for i, (d, e, a) in enumerate(TABLE.tolist())
    ]
    (tmp_path / "cameras.json").write_text(json.dumps({"fov": 40, "frames": frames}))
    for name in (
        "cameras.npy",
        "rows.npy",
        "cameras.npz",
        "plain.csv",
        "named.csv",
        "cameras.json",
    ):
        views = read_views(tmp_path / "images.npy", tmp_path / name, fov=40.0)
        assert torch.allclose(views.cameras.rows(), expected, atol=1e-5), name
    assert len(views[[2, 0]]) == 2
    assert torch.equal(views[[2, 0]].images[0], views.images[2])


def test_frames_choose_images_and_masks_by_name(tmp_path: Path) -> None:
    images = random_images()
    folder = write_folder(tmp_path / "images", images)
    Image.fromarray(images[0, 3]).save(folder / "mask.png")
    Image.fromarray(images[1, :3].transpose(1, 2, 0), "RGB").save(folder / "image.jpg")
    pose = {"azimuth": 0, "elevation": 0, "distance": 2}
    frames = [{"file": "002.png", **pose}, {"file": "image.jpg", "mask": "mask.png", **pose}]
    (tmp_path / "cameras.json").write_text(json.dumps({"fov": 40, "frames": frames}))
    views = read_views(folder, tmp_path / "cameras.json")
    assert torch.allclose(views.images[0] * 255, torch.from_numpy(images[2]).float())
    assert torch.allclose(views.masks[1] * 255, torch.from_numpy(images[0, 3]).float())


def test_views_of_prepared_files(shapes_file: Path) -> None:
    data = MultiViewDataset(shapes_file)
    views = views_of_object(data, data.ids[4])
    assert torch.equal((views.images * 255).round().to(torch.uint8), data.images(4, range(24)))
    with pytest.raises(ValueError, match="no object 'nothing'; its ids are like train-"):
        views_of_object(data, "nothing")


BAD_IMAGES: list[tuple[Any, str]] = [
    (random_images()[:, :3], "images with alpha"),
    (random_images(2), "has 2 images, but"),
    (random_images(0), "images with alpha"),
    (random_images().astype(np.uint16), "8 bits"),
    (random_images().astype(np.float32), r"\[0, 1\]"),
    (np.full((3, 4, 6, 8), np.nan), r"\[0, 1\]"),
    (np.array(["a", "b", "c"]), "uint8, bool or"),
    (np.array([None, 3, "c"], object), "cannot read"),
]


@pytest.mark.parametrize(("array", "match"), BAD_IMAGES)
def test_bad_arrays_of_images(tmp_path: Path, table: Path, array: Any, match: str) -> None:
    np.save(tmp_path / "images.npy", array, allow_pickle=True)
    with pytest.raises(ValueError, match=match) as caught:
        read_views(tmp_path / "images.npy", table)
    assert "images.npy" in str(caught.value)


BAD_TABLES: list[tuple[Any, str]] = [
    (TABLE[:, :2], "3 numbers"),
    (TABLE[:2], "has 3 images, but .* has 2 cameras"),
    (np.where(TABLE == 50, np.nan, TABLE), "row 1 is not finite"),
    (TABLE * [-1, 1, 1], "distance must be > 0"),
    (np.zeros((3, 16)), "focal must be > 0"),
]


@pytest.mark.parametrize(("array", "match"), BAD_TABLES)
def test_bad_tables_of_cameras(tmp_path: Path, array: Any, match: str) -> None:
    np.save(tmp_path / "images.npy", random_images())
    np.save(tmp_path / "cameras.npy", array)
    with pytest.raises(ValueError, match=match) as caught:
        read_views(tmp_path / "images.npy", tmp_path / "cameras.npy")
    assert "cameras.npy" in str(caught.value)


@pytest.mark.parametrize(
    ("name", "content", "match"),
    [
        ("cameras.csv", b"", "is empty"),
        ("cameras.csv", b"distance,azimuth\n1,2\n", "no column elevation"),
        ("cameras.csv", b"1,2,3\n1,x,3\n", "3 numbers in every line"),
        ("cameras.csv", b"1,2,3\n1,2\n", "3 numbers in every line"),
        ("cameras.csv", b"\xff\xfe\x00", "UTF-8"),
        ("cameras.npy", b"\x93NUMPY not really", "cannot read"),
        ("cameras.npz", b"no archive", "cannot read"),
        ("cameras.json", b'{"frames": []}', "at least one frame"),
        ("cameras.txt", b"1 2 3", "must end in"),
    ],
)
def test_damaged_camera_files(tmp_path: Path, name: str, content: bytes, match: str) -> None:
    np.save(tmp_path / "images.npy", random_images())
    (tmp_path / name).write_bytes(content)
    with pytest.raises(ValueError, match=match) as caught:
        read_views(tmp_path / "images.npy", tmp_path / name)
    assert name in str(caught.value)


def test_a_header_which_claims_more_than_there_is(tmp_path: Path, table: Path) -> None:
    np.save(tmp_path / "images.npy", random_images())
    data = (tmp_path / "images.npy").read_bytes()
    (tmp_path / "images.npy").write_bytes(data.replace(b"(3, 4, 6, 8)", b"(3, 4, 6, 8000000000)"))
    with pytest.raises(ValueError, match=r"images\.npy"):
        read_views(tmp_path / "images.npy", table)


def test_bad_folders(tmp_path: Path, table: Path) -> None:
    with pytest.raises(FileNotFoundError, match=r"no images .*absent"):
        read_views(tmp_path / "absent", table)
    with pytest.raises(FileNotFoundError, match=r"no cameras .*absent"):
        read_views(tmp_path, tmp_path / "absent.npy")
    (tmp_path / "empty").mkdir()
    with pytest.raises(ValueError, match="empty has no images"):
        read_views(tmp_path / "empty", table)
    folder = write_folder(tmp_path / "opaque", random_images(), "RGB")
    with pytest.raises(ValueError, match=r"000\.png: there is neither a mask nor transparency"):
        read_views(folder, table)
    folder = write_folder(tmp_path / "sizes", random_images())
    small = np.array([[[9, 9, 9, 255]] * 3 + [[9, 9, 9, 0]] * 2] * 5, np.uint8)
    Image.fromarray(small).save(folder / "001.png")
    with pytest.raises(ValueError, match=r"001\.png has 5 x 5 pixels, but 000\.png 8 x 6"):
        read_views(folder, table)


def test_views_refuse_what_does_not_fit() -> None:
    cameras = Cameras.orbit(*torch.tensor([[0.0], [0.0], [2.0], [30.0]]))
    with pytest.raises(ValueError, match="2 images but 1 cameras"):
        Views(torch.zeros(2, 4, 3, 3), cameras)
    with pytest.raises(ValueError, match="float32"):
        Views(torch.zeros(1, 3, 3, 3), cameras)


@pytest.mark.parametrize("form", FORMATS)
def test_cameras_of_every_format_are_read_with_their_images(tmp_path: Path, form: str) -> None:
    """Placed as asked, they are those of the frame of models, whatever the format."""
    blender = Similarity(orientation("-y,+z").T, np.zeros(3), 2.0)
    export(tmp_path / "scene", form, blender)
    export(tmp_path / "models", "json", Similarity(np.eye(3), np.zeros(3), 1.0))
    folder = tmp_path / "scene"
    placement = Placement("-y,+z", "none", 0.5)
    views = read_views(folder, folder, placement=placement)
    expected = read_views(tmp_path / "models", tmp_path / "models" / "cameras.json")
    assert expected.to_file is None
    rotation = expected.cameras.rotation
    assert torch.allclose(views.cameras.rotation, rotation, atol=1e-4)
    assert torch.allclose(views.cameras.translation, expected.cameras.translation, atol=1e-4)
    if form not in CENTERED:
        assert torch.allclose(views.cameras.rows(), expected.cameras.rows(), atol=1e-4)
        assert torch.equal(views.images, expected.images)
    assert views.to_file is not None
    np.testing.assert_allclose(views.to_file, np.diag([2, 2, 2, 1]) @ _full(blender), atol=1e-9)
    assert views[[1, 0]].to_file is views.to_file


def _full(similarity: Similarity) -> np.ndarray:
    matrix = np.eye(4)
    matrix[:3, :3] = similarity.rotation
    return matrix
