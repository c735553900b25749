from __future__ import annotations

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
from recon.preparation.sources.r2n2 import R2N2Source
from tests.recon.preparation.known_object import (
    COLOR,
    binvox_grid,
    binvox_header,
    corners,
    encoded,
    faces,
    rendered,
    rgba,
    runs,
    worst_iou,
)

CHAIR, CAR = "03001627", "02958343"
CONFIGS = Path(__file__).resolve().parents[4] / "configs"
SIDE = 0.83  # longest side of the model in its own units
# Azimuth, elevation, in-plane rotation, distance ratio and an angle of view to be ignored.
METADATA = np.stack(
    [
        np.linspace(3, 351, 24),
        np.linspace(25, 30, 24),
        np.where(np.arange(24) % 3 == 1, 17.0, 0.0),
        np.linspace(0.7, 0.95, 24),
        np.full(24, 25.0),
    ],
    1,
)


def turn(axis: int, degrees: float) -> np.ndarray:
    """A right-handed rotation about a coordinate axis."""
    matrix, angle = np.eye(3), np.deg2rad(degrees)
    one, two = (axis + 1) % 3, (axis + 2) % 3
    matrix[[one, one, two, two], [one, two, one, two]] = (
        np.cos(angle), -np.sin(angle), np.sin(angle), np.cos(angle),
    )  # fmt: skip
    return matrix


def blender_matrix(row: np.ndarray) -> np.ndarray:
    """From the model's own coordinates to pixels, as the scene of the renderer has it.

    An empty at the origin has the Euler angles (-yaw, -altitude, -azimuth); its child, the camera,
    is on its x axis, looks at the origin, and has the empty's z axis upwards. Blender's importer of
    OBJ files turns (x, y, z) into (x, -z, y).
    """
    azimuth, altitude, yaw, ratio, _ = row
    empty = turn(2, -azimuth) @ turn(1, -altitude) @ turn(0, -yaw)
    right, down, forward = empty @ [0, 1, 0], empty @ [0, 0, -1], empty @ [-1, 0, 0]
    rotation = np.stack([right, down, forward])
    eye = empty @ [1.75 * ratio, 0, 0]
    imported = np.array([[1, 0, 0], [0, 0, -1], [0, 1, 0]])
    focal = 35 / 32 * 137
    intrinsics = np.array([[focal, 0, 68], [0, focal, 68], [0, 0, 1]])
    return intrinsics @ np.concatenate([rotation @ imported, -rotation @ eye[:, None]], 1)


def lines(metadata: np.ndarray) -> str:
    return "".join(" ".join(f"{value:.10g}" for value in row) + "\n" for row in metadata)


@pytest.fixture(scope="module")
def files() -> dict[str, bytes]:
    """The files of one object, below ShapeNetRendering and ShapeNetVox32."""
    scaled = np.diag([SIDE, SIDE, SIDE, 1])
    images = {
        f"ShapeNetRendering/rendering/{k:02d}.png": encoded(
            rgba(blender_matrix(row) @ scaled, (137, 137))
        )
        for k, row in enumerate(METADATA)
    }
    return {
        **images,
        "ShapeNetRendering/rendering/rendering_metadata.txt": lines(METADATA).encode(),
        "ShapeNetVox32/model.binvox": binvox_header(SIDE) + runs(binvox_grid()),
    }


@pytest.fixture
def root(tmp_path: Path, files: dict[str, bytes]) -> Path:
    add(tmp_path / "data", files, "abc")
    return tmp_path / "data"


def add(root: Path, files: dict[str, bytes], model: str, synset: str = CHAIR) -> None:
    for name, content in files.items():
        part, _, rest = name.partition("/")
        path = root / part / synset / model / rest
        path.parent.mkdir(parents=True, exist_ok=True)
        path.write_bytes(content)


def vertices() -> torch.Tensor:
    """The mesh in the world, in which the voxels' centres are at +-0.5."""
    return world_vertices(torch.from_numpy(corners().reshape(-1, 3))) * 32 / 31


@pytest.mark.parametrize(
    ("size", "aspect"), [(None, "pad"), (64, "pad"), ((48, 80), "pad"), ((80, 48), "crop")]
)
def test_images_cameras_and_voxels_agree_in_the_world(root: Path, size, aspect: str) -> None:
    source = R2N2Source(root, image_size=size, aspect=aspect)
    arrays = source.arrays(source.objects()[0])
    source.layout().check(arrays)
    pair = source.layout().image_size
    cameras = Cameras.from_rows(torch.from_numpy(arrays["cameras"]))
    seen = arrays["images"][:, 3] > 127
    assert worst_iou(rendered(cameras, pair, vertices()), seen) > 0.93
    for wrong in ([-1, 1, 1], [1, 1, -1], [-1, 1, -1]):
        assert worst_iou(rendered(cameras, pair, vertices() * torch.tensor(wrong)), seen) < 0.8
    assert (arrays["images"][0, :3, seen[0]] == np.array(COLOR)).all()


@pytest.mark.parametrize("place", ["ShapeNetRendering", "."])
def test_renderings_without_voxels(root: Path, place: str, caplog) -> None:
    """Cameras see the model at its own scale, so the object has the side SIDE."""
    shutil.rmtree(root / "ShapeNetVox32")
    caplog.set_level("INFO")
    source = R2N2Source(root / ("ShapeNetRendering" if place == "." else "."), voxels="auto")
    assert "no voxels: objects in" in caplog.text
    assert source.layout().voxel_resolutions == ()
    arrays = source.arrays(source.objects()[0])
    source.layout().check(arrays)
    cameras = Cameras.from_rows(torch.from_numpy(arrays["cameras"]))
    own = world_vertices(torch.from_numpy(corners().reshape(-1, 3))) * SIDE
    seen = arrays["images"][:, 3] > 127
    assert worst_iou(rendered(cameras, (137, 137), own), seen) > 0.93
    with pytest.raises(FileNotFoundError, match="ShapeNetVox32"):
        R2N2Source(root, voxels="required")
    with pytest.raises(ValueError, match="voxels must be one of"):
        R2N2Source(root, voxels="yes")


def test_voxels_agree_with_the_mesh(root: Path) -> None:
    source = R2N2Source(root)
    read = unpack_voxels(source.arrays(source.objects()[0])["voxels_32"], 32)
    inner = 0.998 * vertices()  # what lies in the grid's very border is clipped
    mesh = voxelize_mesh(inner[None].float(), faces(), 32)[0]
    assert int((read & mesh).sum()) == int(read.sum()) > 0.5 * int(mesh.sum())
    for wrong in (read.flip(0), read.flip(2), read.transpose(0, 2)):
        assert int((wrong & mesh).sum()) < 0.9 * int(read.sum())


def test_points_of_the_same_object_are_moved_along(root: Path, tmp_path: Path) -> None:
    model = tmp_path / "points" / CHAIR / "abc"
    model.mkdir(parents=True)
    surface = np.concatenate(corners())  # in the normalised model
    transform = {"loc": np.zeros(3), "scale": np.array(SIDE)}
    normals = np.tile(np.array([1, 0, 0], np.float32), (len(surface), 1))
    np.savez(
        model / "pointcloud.npz", points=surface.astype(np.float32), normals=normals, **transform
    )
    source = R2N2Source(root, points_folder=tmp_path / "points", num_surface_points=len(surface))
    arrays = source.arrays(source.objects()[0])
    source.layout().check(arrays)
    assert torch.allclose(torch.from_numpy(arrays["pointcloud"]), vertices().float(), atol=1e-5)
    assert (arrays["pointcloud_normals"] == [0, 0, -1]).all()


def test_objects_are_found_split_and_fingerprinted(root: Path, files, tmp_path: Path) -> None:
    add(root, files, "def", CAR)
    source = R2N2Source(root)
    assert isinstance(source, ImageSource)
    items = source.objects()
    assert [(entry.id, entry.synset) for entry in items] == [
        (f"{CAR}-def", CAR),
        (f"{CHAIR}-abc", CHAIR),
    ]
    copy = pickle.loads(pickle.dumps(source))
    one, other = (s.arrays(items[0]) for s in (source, copy))
    assert all((one[key] == other[key]).all() for key in one)
    (tmp_path / "splits.csv").write_text("modelId,split\ndef,test\n")
    chosen = R2N2Source(root, split_file=tmp_path / "splits.csv").objects()
    assert [(entry.id, entry.split) for entry in chosen] == [(f"{CAR}-def", "test")]
    assert [entry.synset for entry in R2N2Source(root, ["chair"]).objects()] == [CHAIR]
    assert source.config() == R2N2Source(root).config() != R2N2Source(root, image_size=64).config()
    (root / "ShapeNetRendering" / CHAIR / "abc" / "rendering" / "05.png").write_bytes(b"changed")
    changed = R2N2Source(root).objects()
    assert changed[0] == items[0]
    assert changed[1].fingerprint != items[1].fingerprint


RENDERING = f"ShapeNetRendering/{CHAIR}/abc/rendering"
GRID = f"ShapeNetVox32/{CHAIR}/abc/model.binvox"
NAN = METADATA.copy()
NAN[4, 1] = np.nan
ABOVE = METADATA.copy()
ABOVE[4, 1] = 91
OTHER_WAY = METADATA * [-1, 1, 1, 1, 1]
BROKEN = {
    "size": (
        f"{RENDERING}/07.png",
        encoded(np.zeros((137, 136, 4), np.uint8)),
        "must be 137 pixels",
    ),
    "alpha": (
        f"{RENDERING}/07.png",
        encoded(np.zeros((137, 137, 3), np.uint8)),
        "no transparent pixels",
    ),
    "damage": (f"{RENDERING}/07.png", b"\x89PNG\r\n\x1a\n" + b"0" * 99, r"07\.png"),
    "short": (f"{RENDERING}/rendering_metadata.txt", lines(METADATA[:, :4]), "line 1: azimuth, el"),
    "lines": (f"{RENDERING}/rendering_metadata.txt", lines(METADATA[:23]), "24 lines.*got 23"),
    "nan": (f"{RENDERING}/rendering_metadata.txt", lines(NAN), "line 5: azimuth, elevation"),
    "above": (f"{RENDERING}/rendering_metadata.txt", lines(ABOVE), "line 5: the elevation must"),
    "way": (
        f"{RENDERING}/rendering_metadata.txt",
        lines(OTHER_WAY),
        "voxels and images disagree",
    ),
    "binvox": (GRID, b"#binvox 2\n", r"model\.binvox is no usable binvox file"),
    "cube": (
        GRID,
        b"#binvox 1\ndim 32 32 32\ndata\n" + b"\x01\xff" * 128 + b"\x01\x80",
        "translate",
    ),
}


@pytest.mark.parametrize("case", BROKEN)
def test_a_broken_object_is_named(root: Path, case: str) -> None:
    name, content, message = BROKEN[case]
    (root / name).write_bytes(content.encode() if isinstance(content, str) else content)
    source = R2N2Source(root)
    with pytest.raises(ValueError, match=rf"{CHAIR}/abc.*{message}"):
        source.arrays(source.objects()[0])


@pytest.mark.parametrize(
    "name", [f"{RENDERING}/23.png", f"{RENDERING}/rendering_metadata.txt", GRID]
)
def test_a_missing_or_linked_file_is_named(root: Path, tmp_path: Path, name: str) -> None:
    shutil.move(root / name, tmp_path / "moved")
    for link in (False, True):
        if link:
            (root / name).symlink_to(tmp_path / "moved")
        source = R2N2Source(root)
        with pytest.raises(FileNotFoundError, match=Path(name).name):
            source.arrays(source.objects()[0])


def test_a_linked_model_is_refused(root: Path, tmp_path: Path) -> None:
    folder = root / "ShapeNetRendering" / CHAIR / "abc"
    shutil.move(folder, tmp_path / "moved")
    folder.symlink_to(tmp_path / "moved")
    source = R2N2Source(root)
    with pytest.raises(ValueError, match=r"abc leads out of"):
        source.arrays(source.objects()[0])


def test_missing_folders_and_bad_settings_are_named(root: Path) -> None:
    with pytest.raises(FileNotFoundError, match=r"folder not found: .*nowhere"):
        R2N2Source(root / "nowhere")
    with pytest.raises(ValueError, match="aspect must be one of"):
        R2N2Source(root, aspect="stretch")
    with pytest.raises(ValueError, match="need points_folder"):
        R2N2Source(root, num_points=5)
    with pytest.raises(ValueError, match="has no category 02691156"):
        R2N2Source(root, ["airplane"]).objects()


def test_the_configuration_is_built(root: Path) -> None:
    with initialize_config_dir(str(CONFIGS), version_base="1.3"):
        overrides = ["source=r2n2", f"source.folder={root}", "source.image_size=[48,64]"]
        cfg = compose("prepare_data", overrides)
    assert instantiate(cfg.source).layout().image_size == (48, 64)
