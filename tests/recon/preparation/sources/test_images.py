from __future__ import annotations

import inspect
import json
import logging
import os
import pickle
import shutil
from collections.abc import Callable
from pathlib import Path

import numpy as np
import pytest
import torch
from hydra.utils import instantiate
from numpy.testing import assert_allclose
from omegaconf import OmegaConf
from PIL import Image

from recon.datasets.storage.layout import Layout
from recon.geometry.cameras import Cameras
from recon.geometry.voxels import unpack_voxels
from recon.preparation.checks.visual_hull import agreement
from recon.preparation.sources.axes import orientation
from recon.preparation.sources.images import ImagesSource
from recon.preparation.sources.interface import ImageSource
from tests.recon.formats.cameras.exported import KEYS, Similarity, export, opaque
from tests.recon.preparation.image_folders import (
    boxes,
    frame_records,
    look_at,
    matrix,
    write_cameras,
    write_mesh,
    write_object,
)

ROOT = Path(__file__).parents[4]


@pytest.fixture
def chair(tmp_path: Path) -> Path:
    """The folder of one object with four images with alpha, and a mesh."""
    write_object(tmp_path / "data" / "chair" / "one", views=4, mesh=True)
    return tmp_path / "data" / "chair" / "one"


def source(chair: Path, **settings: object) -> ImagesSource:
    return ImagesSource(chair.parents[1], **settings)  # type: ignore[arg-type]


def reason(chair: Path, **settings: object) -> str:
    """Why the only object cannot be read."""
    images = source(chair, **settings)
    with pytest.raises(ValueError) as caught:  # noqa: PT011
        images.arrays(images.objects()[0])
    return str(caught.value)


def copy(chair: Path, name: str, category: str = "chair") -> Path:
    return Path(shutil.copytree(chair, chair.parents[1] / category / name))


def test_images_cameras_and_voxels(chair: Path) -> None:
    images = source(chair, image_size=32)
    assert isinstance(images, ImageSource)
    (entry,) = images.objects()
    assert (entry.id, entry.name, entry.synset) == ("chair-one", "one", "03001627")
    assert images.layout() == Layout((32, 32), 4, (32,))
    arrays = pickle.loads(pickle.dumps(images)).arrays(entry)
    images.layout().check(arrays)
    cameras = Cameras.from_rows(torch.from_numpy(arrays["cameras"]))
    assert_allclose(cameras.orbit_parameters()[:, 0], [20, 110, -160, -70], atol=1e-3)
    assert_allclose(cameras.orbit_parameters()[:, 1], [25, -10, 50, 25], atol=1e-3)
    masks = torch.from_numpy(arrays["images"][:, 3] >= 128)
    assert not masks[:, [0, -1]].any()  # 48 x 64 pixels are padded above and below
    voxels = unpack_voxels(arrays["voxels_32"], 32)
    assert agreement(voxels, masks, cameras).min() > 0.97


def test_images_of_the_stored_size_are_kept_to_the_bit(chair: Path) -> None:
    arrays = source(chair, image_size=(48, 64)).arrays(source(chair).objects()[0])
    with Image.open(chair / "002.png") as image:
        assert np.array_equal(arrays["images"][2], np.asarray(image).transpose(2, 0, 1))


@pytest.mark.parametrize("size", [(48, 64), (64, 64), (30, 70), (21, 17)])
@pytest.mark.parametrize("aspect", ["pad", "crop"])
def test_cameras_follow_their_images(chair: Path, size: tuple[int, int], aspect: str) -> None:
    """The middle of the drawn pixels is where the new camera has that of the old ones."""
    arrays = source(chair, image_size=size, aspect=aspect, voxels="hull").arrays(
        source(chair).objects()[0]
    )
    cameras = Cameras.from_rows(torch.from_numpy(arrays["cameras"]))
    hull = unpack_voxels(arrays["voxels_32"], 32)
    masks = torch.from_numpy(arrays["images"][:, 3] >= 128)
    assert agreement(hull, masks, cameras).mean() > 0.96


def test_angles_stand_for_the_same_camera(chair: Path) -> None:
    expected = source(chair).arrays(source(chair).objects()[0])["cameras"]
    angles = [(20, 25), (110, -10), (200, 50), (290, 25)]
    records = [
        {"file": f"{k:03d}.png", "azimuth": a, "elevation": e} for k, (a, e) in enumerate(angles)
    ]
    write_cameras(chair, records, distance=2.0, K=matrix().tolist())
    found = source(chair).arrays(source(chair).objects()[0])["cameras"]
    assert_allclose(found, expected, atol=1e-5)


@pytest.mark.parametrize("place", ["named", "folder", "suffix"])
def test_masks_beside_opaque_images(chair: Path, place: str) -> None:
    images = source(chair, image_size=(48, 64))
    expected = images.arrays(images.objects()[0])["images"]
    records = json.loads((chair / "cameras.json").read_text())["frames"]
    names = {"named": "my masks/{}.png", "folder": "mask/{}.png", "suffix": "{}_mask.png"}
    for record in records:
        path = chair / record["file"]
        mask = chair / names[place].format(path.stem)
        mask.parent.mkdir(exist_ok=True)
        with Image.open(path) as image:
            image.getchannel("A").save(mask)
            image.convert("RGB").save(path.with_suffix(".webp"), lossless=True)
        path.unlink()
        record["file"] = path.with_suffix(".webp").name
        if place == "named":
            record["mask"] = mask.relative_to(chair).as_posix()
    write_cameras(chair, records)
    found = source(chair, image_size=(48, 64))
    assert np.array_equal(found.arrays(found.objects()[0])["images"], expected)


def test_one_file_of_cameras_serves_a_category_or_all(chair: Path) -> None:
    copy(chair, "two")
    table = copy(chair, "three", "table")
    records = json.loads((chair / "cameras.json").read_text())["frames"]
    for folder in chair.parents[1].glob("*/*"):
        (folder / "cameras.json").rename(chair.parents[1] / "cameras.json")
    write_cameras(chair.parent, records[:3])
    images = source(chair, num_views=3)
    one, two, three = (images.arrays(entry) for entry in images.objects())
    assert all(np.array_equal(one[name], two[name]) for name in one)
    assert np.array_equal(three["cameras"], one["cameras"])
    (table / "cameras.json").write_text("{}")
    with pytest.raises(ValueError, match=r"table/three/cameras.json: key frames"):
        source(chair).arrays(images.objects()[2])


def test_number_of_views_is_that_of_most(chair: Path, caplog: pytest.LogCaptureFixture) -> None:
    more, fewer, broken = (copy(chair, name) for name in ("more", "fewer", "broken"))
    copy(chair, "same")
    (broken / "cameras.json").write_text("{")
    write_object(chair.parents[1] / "lamp" / "six", views=6, mesh=True)
    shutil.rmtree(more)
    write_cameras(fewer, json.loads((fewer / "cameras.json").read_text())["frames"][:2])
    with caplog.at_level(logging.INFO):
        images = source(chair)
        assert images.layout().num_views == 4
    assert "1 objects have more than 4 views: the first ones are taken" in caplog.text
    assert "1 objects have fewer than 4 views: left out" in caplog.text
    items = {entry.id: entry for entry in images.objects()}
    assert len(images.arrays(items["lamp-six"])["images"]) == 4
    with pytest.raises(ValueError, match="chair/fewer has 2 frames, 4 are needed"):
        images.arrays(items["chair-fewer"])
    with pytest.raises(ValueError, match=r"broken/cameras.json: it is not valid JSON"):
        images.arrays(items["chair-broken"])
    assert source(chair, num_views=2).layout().num_views == 2


def test_equal_numbers_of_objects_take_the_smaller_number_of_views(chair: Path) -> None:
    write_object(chair.parent / "two", views=3)
    assert source(chair).layout().num_views == 3


def test_where_voxels_come_from(chair: Path, caplog: pytest.LogCaptureFixture) -> None:
    write_object(chair.parent / "two", views=4)
    with caplog.at_level(logging.INFO):
        assert source(chair).layout().voxel_resolutions == ()
    assert "no voxels: 1 of 2 objects have no mesh, such as chair/two" in caplog.text
    images = source(chair, voxels="mesh", voxel_resolution=16)
    one, two = images.objects()
    mesh = unpack_voxels(images.arrays(one)["voxels_16"], 16)
    with pytest.raises(ValueError, match=r"chair/two must have one mesh.*but has none"):
        images.arrays(two)
    with caplog.at_level(logging.INFO):
        images = source(chair, voxels="hull", voxel_resolution=16)
        assert images.layout().voxel_resolutions == (16,)
    assert "upper bounds of objects, not the truth" in caplog.text
    hull = unpack_voxels(images.arrays(images.objects()[1])["voxels_16"], 16)
    assert float((mesh & hull).sum() / mesh.sum()) > 0.9
    assert hull.sum() > mesh.sum()
    assert source(chair, voxels="none").layout().voxel_resolutions == ()


def test_a_mesh_in_another_frame_is_refused(chair: Path) -> None:
    lines = (chair / "mesh.obj").read_text().replace("0.5", "0.9")
    (chair / "mesh.obj").write_text(lines)
    assert "mesh.obj must lie within [-0.5, 0.5]^3" in reason(chair)
    write_mesh(chair / "mesh.obj")
    (chair / "mesh.off").write_text("OFF")
    (chair / "mesh.3ds").write_text("")
    assert "but has mesh.obj and mesh" in reason(chair, voxels="mesh")


def test_hull_of_images_and_cameras_that_disagree(chair: Path) -> None:
    mask = Image.new("L", (64, 48))
    mask.paste(255, (8, 20, 16, 28))  # to the left of the middle, from all sides
    for index in range(4):
        mask.save(chair / f"{index:03d}_mask.png")
    assert "chair/one: no voxel is inside all masks" in reason(chair, voxels="hull")


def spoil_missing(chair: Path) -> None:
    (chair / "001.png").unlink()


def spoil_damaged(chair: Path) -> None:
    data = (chair / "001.png").read_bytes()
    (chair / "001.png").write_bytes(data[: len(data) // 2])


def spoil_alpha(chair: Path) -> None:
    Image.new("RGB", (64, 48)).save(chair / "001.png")


def spoil_opaque(chair: Path) -> None:
    Image.new("RGBA", (64, 48), (1, 2, 3, 255)).save(chair / "001.png")


def spoil_mask(chair: Path) -> None:
    Image.new("L", (64, 47), 255).save(chair / "001_mask.png")


def spoil_empty(chair: Path) -> None:
    Image.new("L", (64, 48), 0).save(chair / "001_mask.png")


def spoil_link(chair: Path) -> None:
    shutil.move(chair / "001.png", chair.parents[2] / "outside.png")
    (chair / "001.png").symlink_to(chair.parents[2] / "outside.png")


def spoil_units(chair: Path) -> None:
    records = frame_records(4)
    records[1]["K"] = [[1.1, 0, 0.5], [0, 1.1, 0.5], [0, 0, 1]]
    write_cameras(chair, records)


@pytest.mark.parametrize(
    ("spoil", "message"),
    [
        (spoil_missing, "has no file 001.png"),
        (spoil_damaged, "001.png is unreadable"),
        (spoil_alpha, "neither a mask nor transparency in the image; add mask/001.png beside it"),
        (spoil_opaque, "neither a mask nor transparency"),
        (spoil_mask, "must have the size of its image, 64 x 48 pixels, got 64 x 47"),
        (spoil_empty, "the mask is empty"),
        (spoil_link, "001.png is a link that leads out of the folder"),
        (spoil_units, "key K has the focal length 1.1"),
    ],
)
def test_broken_frames_are_named(chair: Path, spoil: Callable[[Path], None], message: str) -> None:
    spoil(chair)
    assert reason(chair).startswith("chair/one: frame 1 (001.png): ")
    assert message in reason(chair)


def test_sources_that_are_not_usable(tmp_path: Path, chair: Path) -> None:
    root = chair.parents[1]
    with pytest.raises(FileNotFoundError, match=r"folder not found: .*gone"):
        ImagesSource(tmp_path / "gone")
    with pytest.raises(ValueError, match=r"has no objects; images belong into .*/CATEGORY/OBJ"):
        ImagesSource(chair).objects()
    with pytest.raises(ValueError, match=r"has no category spoon; it has 03001627"):
        ImagesSource(root, categories=["spoon"]).objects()
    with pytest.raises(ValueError, match="voxels must be one of auto, mesh, hull, none, got 'all'"):
        ImagesSource(root, voxels="all")
    with pytest.raises(ValueError, match="aspect must be one of"):
        ImagesSource(root, aspect="stretch")
    with pytest.raises(ValueError, match="num_views must be >= 1 or null, got 0"):
        ImagesSource(root, num_views=0)
    with pytest.raises(ValueError, match="voxel_resolution must be >= 1"):
        ImagesSource(root, voxel_resolution=0)
    (chair / "cameras.json").unlink()
    with pytest.raises(ValueError, match=r"none of the 1 objects .*one has no cameras.json"):
        ImagesSource(root).objects()


def test_categories_splits_and_licence(chair: Path, tmp_path: Path) -> None:
    for category, name in (("chair", "two"), ("my things", "a b"), ("my things", "é")):
        copy(chair, name, category)
    items = source(chair, licence="CC0-1.0").objects()
    assert [entry.name for entry in items] == ["one", "two", "a b", "é"]
    assert [entry.synset for entry in items] == ["03001627"] * 2 + ["my things"] * 2
    assert items[2].id.startswith("my_things-a_b-")
    assert {entry.licence for entry in items} == {"CC0-1.0"}
    assert {entry.split for entry in items} <= {"train", "val", "test"}
    assert len(source(chair, categories=["my things"]).objects()) == 2
    (tmp_path / "splits.json").write_text(json.dumps({"chair": {"mine": ["two"]}}))
    (entry,) = source(chair, split_file=tmp_path / "splits.json").objects()
    assert (entry.name, entry.split) == ("two", "mine")


def test_configuration_and_fingerprints_tell_changes_but_not_the_place(chair: Path) -> None:
    before, entry = source(chair).config(), source(chair).objects()[0]
    moved = chair.parents[2] / "moved"
    chair.parents[1].rename(moved)
    chair = moved / "chair" / "one"
    assert source(chair).config() == before
    assert source(chair).objects()[0] == entry
    assert source(chair, image_size=32).objects()[0].fingerprint != entry.fingerprint
    assert source(chair, licence="x").objects()[0].fingerprint == entry.fingerprint
    assert source(chair, licence="x").config() != before
    os.utime(chair / "001.png", ns=(0, 1))
    assert source(chair).objects()[0].fingerprint != entry.fingerprint
    assert json.loads(json.dumps(source(chair).config())) == source(chair).config()


def test_the_front_is_in_the_image_of_azimuth_0(chair: Path) -> None:
    rotation, shift = look_at(0, 0)
    front = rotation @ [0.5, 0, 0] + shift
    assert front[2] == pytest.approx(1.5)  # nearer than the origin


def test_the_configuration_has_every_setting_at_its_default(chair: Path) -> None:
    settings = OmegaConf.load(ROOT / "configs/source/images.yaml")
    settings.folder = str(chair.parents[1])
    assert instantiate(settings).config() == source(chair).config()
    wanted = set(inspect.signature(ImagesSource).parameters)
    assert {str(key) for key in settings} - {"_target_", "_convert_"} == wanted


@pytest.mark.parametrize("form", ["nerf", "colmap_binary", "neus"])
def test_cameras_of_other_formats_become_those_of_the_frame_of_models(
    tmp_path: Path, form: str, caplog: pytest.LogCaptureFixture
) -> None:
    """A scene in Blender's frame, moved and enlarged, with the mesh in the same coordinates."""
    moved = Similarity(orientation("-y,+z").T, np.array([3.0, -2.0, 1.0]), 2.5)
    folder = tmp_path / "data" / "chair" / "one"
    export(folder, form, moved)
    opaque(folder, "mask")
    vertices, faces = boxes()
    placed = vertices @ (moved.side * moved.rotation.T) + moved.center
    lines = [f"v {x} {y} {z}" for x, y, z in placed] + [f"f {a} {b} {c}" for a, b, c in faces + 1]
    (folder / "mesh.obj").write_text("\n".join(lines) + "\n")
    images = source(folder, image_size=64)
    (entry,) = images.objects()
    with caplog.at_level(logging.INFO):
        arrays = pickle.loads(pickle.dumps(images)).arrays(entry)
    images.layout().check(arrays)
    assert f"chair/one: 8 cameras ({KEYS.get(form, form)}) are placed by center (" in caplog.text
    np.testing.assert_allclose(arrays["transforms"][:3, 3], moved.center, atol=0.08)
    cameras = Cameras.from_rows(torch.from_numpy(arrays["cameras"]))
    assert_allclose(cameras.orbit_parameters()[:, 0], orbit_azimuths(8), atol=2)
    masks = torch.from_numpy(arrays["images"][:, 3] >= 128)
    assert agreement(unpack_voxels(arrays["voxels_32"], 32), masks, cameras).min() > 0.94


def orbit_azimuths(views: int) -> list[float]:
    return [(360 * k / views + 20 + 180) % 360 - 180 for k in range(views)]


def test_a_placement_is_part_of_the_configuration(chair: Path) -> None:
    before = source(chair).config()
    images = source(chair, center="hull", frame=["+x", "+y"])
    assert images.layout().transforms
    assert not source(chair).layout().transforms
    assert images.config() != before
    assert images.arrays(images.objects()[0])["transforms"].shape == (4, 4)
    with pytest.raises(ValueError, match="center must be one of"):
        source(chair, center="left")
    with pytest.raises(ValueError, match="camera_format must be one of"):
        source(chair, camera_format="blend")
    assert "has no cameras of the formats" not in reason_of_format(chair, "json")
    assert "chair/one has no cameras.json" in reason_of_format(chair, "colmap")


def reason_of_format(chair: Path, camera_format: str) -> str:
    try:
        source(chair, camera_format=camera_format).objects()
    except ValueError as error:
        return str(error)
    return ""


def test_masks_estimated_from_a_plain_background(chair: Path) -> None:
    expected = source(chair, image_size=(48, 64)).arrays(source(chair).objects()[0])["images"]
    for path in chair.glob("*.png"):
        grey = Image.new("RGBA", (64, 48), (30, 60, 200, 255))
        Image.alpha_composite(grey, Image.open(path)).convert("RGB").save(path)
    assert "estimate the mask from a plain background (mask=plain)" in reason(chair)
    images = source(chair, image_size=(48, 64), mask="plain")
    found = images.arrays(images.objects()[0])["images"]
    same = (found[:, 3] > 127) == (expected[:, 3] > 127)
    assert same.mean() > 0.99
    with pytest.raises(ValueError, match="mask must be one of given, plain, got 'none'"):
        source(chair, mask="none")
