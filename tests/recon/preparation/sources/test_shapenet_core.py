from __future__ import annotations

import io
import logging
import os
import pickle
from pathlib import Path

import numpy as np
import pytest
from PIL import Image

from recon.geometry.voxels import unpack_voxels
from recon.preparation.rendering.objects import ObjectRenderer, RenderedSource
from recon.preparation.sources.interface import MeshSource, TruthSource
from recon.preparation.sources.shapenet_core import ShapeNetCoreSource
from recon.preparation.sources.splits import split_of_id
from tests.recon.preparation.known_object import BOXES, TRIANGLES, corners, inside

CHAIR, CAR, MUG = "03001627", "02958343", "03797390"
# A point (x, y, z) of version 1 is (z, y, -x) in version 2, whose fronts are at -Z.
TO_VERSION_2 = np.array([[0, 0, 1], [0, 1, 0], [-1, 0, 0]], np.float64)


def png() -> bytes:
    """Four colours, so that a turned image would be noticed."""
    colors = [[(255, 0, 0), (0, 255, 0)], [(0, 0, 255), (255, 255, 0)]]
    stream = io.BytesIO()
    Image.fromarray(np.array(colors, np.uint8)).save(stream, "PNG")
    return stream.getvalue()


def obj(vertices: np.ndarray, mtl: str) -> str:
    """The known object: its nose and tower textured, the other boxes red."""
    lines = [f"mtllib {mtl}", "vt 0.1 0.1", "vt 0.9 0.1", "vt 0.1 0.9"]
    lines += [f"v {x:.6f} {y:.6f} {z:.6f}" for x, y, z in vertices]
    for box in range(len(BOXES)):
        lines.append(f"usemtl {'wood' if box in (1, 2) else 'red'}")
        for face in TRIANGLES + 8 * box + 1:
            lines.append("f " + " ".join(f"{v}/{t}" for t, v in enumerate(face, start=1)))
    return "\n".join(lines) + "\n"


def mtl(image: str) -> str:
    return f"newmtl red\nKd 1 0 0\nnewmtl wood\nKd 1 1 1\nmap_Kd {image}\n"


def write(root: Path, files: dict[str, str | bytes]) -> Path:
    for name, content in files.items():
        path = root / name
        path.parent.mkdir(parents=True, exist_ok=True)
        path.write_bytes(content.encode() if isinstance(content, str) else content)
    return root


def model(version: int, image: str = "") -> dict[str, str | bytes]:
    """The files of one model; the two versions place and scale it differently."""
    points = corners().reshape(-1, 3)
    if version == 1:
        return {
            "model.obj": obj(points * 0.8 + [0.01, 0.2, 0], "model.mtl"),
            "model.mtl": mtl(image or "./images/wood.png"),
            "images/wood.png": png(),
        }
    return {
        "models/model_normalized.obj": obj(
            points @ TO_VERSION_2.T * 0.55 - [0.1, 0, 0.3], "model_normalized.mtl"
        ),
        "models/model_normalized.mtl": mtl(image or "../images/wood.png"),
        "images/wood.png": png(),
    }


def tree(root: Path, version: int, *places: str) -> Path:
    for place in places or (f"{CHAIR}/abc", f"{CAR}/abc", f"{CAR}/def", f"{MUG}/ghi"):
        write(root / place, model(version))
    return root


@pytest.mark.parametrize("version", [1, 2])
def test_models_of_the_thirteen_categories(tmp_path: Path, version: int) -> None:
    source = ShapeNetCoreSource(tree(tmp_path / "s", version))
    assert isinstance(source, MeshSource)
    items = source.objects()
    assert [entry.id for entry in items] == [f"{CAR}-abc", f"{CAR}-def", f"{CHAIR}-abc"]
    assert [entry.split for entry in items] == [split_of_id(i) for i in ("abc", "def", "abc")]
    assert items[0].group == items[2].group == "abc"  # one model in two categories is one family
    assert items[0].licence == "ShapeNet terms of use"
    assert source.config()["shapenet_version"] == version
    assert [i.synset for i in ShapeNetCoreSource(tmp_path / "s", None, ["car"]).objects()] == [
        CAR,
        CAR,
    ]
    assert [i.id for i in ShapeNetCoreSource(tmp_path / "s", version, [MUG]).objects()] == [
        f"{MUG}-ghi"
    ]


def test_both_versions_give_the_same_surface(tmp_path: Path) -> None:
    surfaces = []
    for version in (1, 2):
        source = ShapeNetCoreSource(tree(tmp_path / str(version), version))
        surfaces.append(source.load(source.objects()[2]))
    one, two = surfaces
    triangles = one.vertices[one.faces]
    assert np.abs(triangles - two.vertices[two.faces]).max() < 1e-5
    assert (one.face_rgba == two.face_rgba).all()
    assert one.uvs is not None
    assert two.uvs is not None
    assert np.array_equal(one.uvs, two.uvs, equal_nan=True)
    assert one.textured.tolist() == [False] * 12 + [True] * 24 + [False] * 12
    assert one.textures[0].tolist() == two.textures[0].tolist()
    # The known object is given in the frame of models, normalised already.
    wanted = corners()[:, TRIANGLES].reshape(-1, 3, 3)
    assert np.abs(triangles - wanted).max() < 1e-5
    assert one.face_rgba[0].tolist() == [1, 0, 0, 1]


@pytest.mark.parametrize("image", ["wood.png", "/home/a/b/WOOD.PNG", "..\\other\\wood.png"])
def test_images_are_found_by_their_last_name(tmp_path: Path, image: str) -> None:
    write(tmp_path / CHAIR / "abc", model(1, image))
    source = ShapeNetCoreSource(tmp_path)
    assert source.load(source.objects()[0]).textured.any()


def test_split_files(tmp_path: Path, caplog: pytest.LogCaptureFixture) -> None:
    root = tree(tmp_path / "s", 2)
    (tmp_path / "all.csv").write_text(
        "id,synsetId,subSynsetId,modelId,split\n"
        f"1,{CAR},{CAR},abc,val\n2,{CHAIR},{CHAIR},abc,test\n3,{MUG},{MUG},ghi,train\n"
    )
    with caplog.at_level(logging.INFO):
        items = ShapeNetCoreSource(root, split_file=tmp_path / "all.csv").objects()
    assert [(entry.id, entry.split) for entry in items] == [
        (f"{CAR}-abc", "val"),
        (f"{CHAIR}-abc", "test"),
    ]
    assert "1 of 3 objects are not listed in" in caplog.text
    write(tmp_path / "lists", {f"{CAR}/softras_test.lst": "def\n"})
    (entry,) = ShapeNetCoreSource(root, None, ["car"], tmp_path / "lists").objects()
    assert (entry.id, entry.split) == (f"{CAR}-def", "test")


def test_fingerprints_follow_meshes_materials_and_images(tmp_path: Path) -> None:
    root = tree(tmp_path / "s", 2)
    first = ShapeNetCoreSource(root)
    prints = {entry.id: entry.fingerprint for entry in first.objects()}
    for name in ("models/model_normalized.obj", "models/model_normalized.mtl", "images/wood.png"):
        os.utime(root / CAR / "abc" / name, ns=(1, 1))
        other = ShapeNetCoreSource(root)
        changed = [i.id for i in other.objects() if i.fingerprint != prints[i.id]]
        assert changed == [f"{CAR}-abc"]
        assert other.config() != first.config()
        first, prints = other, {entry.id: entry.fingerprint for entry in other.objects()}
    moved = root.rename(tmp_path / "moved")
    assert ShapeNetCoreSource(moved).config() == first.config()


def test_broken_models_are_their_own_errors(tmp_path: Path) -> None:
    root = tree(tmp_path / "s", 1)
    (root / CAR / "abc" / "model.obj").unlink()
    (root / CAR / "def" / "model.obj").write_text("v 0 0 0\nf 1 2 3\n")
    (root / CAR / "empty").mkdir()
    (tmp_path / "secret").mkdir()
    (tmp_path / "secret/model.obj").write_text("secret")
    (root / CAR / "link").symlink_to(tmp_path / "secret")
    (root / CAR / "file").mkdir()
    (root / CAR / "file/model.obj").symlink_to(tmp_path / "secret/model.obj")
    (root / CAR / "notes.txt").write_text("no folder")
    source = ShapeNetCoreSource(root)
    reasons = {
        f"{CAR}-abc": r"abc has no file model\.obj",
        f"{CAR}-def": rf"{CAR}/def: model\.obj: a face names vertex 3 of 1",
        f"{CAR}-empty": r"empty has no file model\.obj",
        f"{CAR}-file": r"file: model\.obj is a link that leads out of the folder",
        f"{CAR}-link": r"link leads out of",
    }
    items = source.objects()
    assert [entry.id for entry in items] == [*reasons, f"{CHAIR}-abc"]
    for entry, message in zip(items, reasons.values(), strict=False):
        with pytest.raises((ValueError, OSError), match=message):
            source.load(entry)
    assert source.load(items[-1]).num_faces == 48


def test_unusable_sources(tmp_path: Path) -> None:
    with pytest.raises(FileNotFoundError, match="nowhere"):
        ShapeNetCoreSource(tmp_path / "nowhere")
    with pytest.raises(ValueError, match="version must be 1, 2 or null, got 3"):
        ShapeNetCoreSource(tmp_path, version=3)
    with pytest.raises(ValueError, match=r"no folder of the thirteen categories, such as 02691156"):
        ShapeNetCoreSource(tmp_path).objects()
    (tmp_path / CHAIR).mkdir()
    with pytest.raises(ValueError, match="has no models"):
        ShapeNetCoreSource(tmp_path).objects()
    (tmp_path / CHAIR / "abc").mkdir()
    with pytest.raises(ValueError, match=r"none of the 1 models .* has model\.obj or models/"):
        ShapeNetCoreSource(tmp_path).objects()
    with pytest.raises(ValueError, match="has no category 02691156"):
        ShapeNetCoreSource(tmp_path, 1, ["airplane"]).objects()
    with pytest.raises(ValueError, match="need points_folder"):
        ShapeNetCoreSource(tmp_path, num_points=5)


def write_points(folder: Path) -> None:
    points = ((np.random.default_rng(0).random((400, 3)) - 0.5) * 1.05).astype(np.float16)
    frame = {"loc": np.zeros(3), "scale": np.array(1.0)}
    folder.mkdir(parents=True)
    occupancies = np.packbits(inside(points.astype(np.float64)))
    np.savez(folder / "points.npz", points=points, occupancies=occupancies, **frame)
    normals = np.tile(np.array([1, 0, 0], np.float32), (400, 1))
    np.savez(folder / "pointcloud.npz", points=points, normals=normals, **frame)


def test_points_of_the_same_objects_agree_with_the_voxels(tmp_path: Path) -> None:
    root = tree(tmp_path / "s", 2, f"{CHAIR}/abc", f"{CHAIR}/def")
    write_points(tmp_path / "p" / CHAIR / "abc")
    meshes = ShapeNetCoreSource(root, points_folder=tmp_path / "p", num_points=300)
    assert isinstance(meshes, TruthSource)
    renderer = ObjectRenderer(8, supersample=1, voxel_resolutions=[64], voxel_mode="solid")
    source = pickle.loads(pickle.dumps(RenderedSource(meshes, renderer)))
    first, second = source.objects()
    assert (source.layout().num_points, source.layout().num_surface_points) == (300, 0)
    arrays = source.arrays(first)
    source.layout().check(arrays)
    grid = unpack_voxels(arrays["voxels_64"], 64).numpy()
    cells = ((arrays["points"].astype(np.float64) * 63 / 64 + 0.5) * 64).astype(int)
    occupied = np.unpackbits(arrays["occupancies"], count=300).astype(bool)
    within = ((cells >= 0) & (cells < 64)).all(axis=1)
    agree = grid[tuple(cells[within].T)] == occupied[within]
    assert agree.mean() > 0.95  # but for points in the voxels of the surface
    assert 20 < occupied.sum() < 150
    with pytest.raises(FileNotFoundError, match="def"):
        source.arrays(second)


def test_points_and_shrinking_exclude_each_other(tmp_path: Path) -> None:
    root = tree(tmp_path / "s", 1)
    (tmp_path / "p").mkdir()
    meshes = ShapeNetCoreSource(root, points_folder=tmp_path / "p", num_surface_points=10)
    with pytest.raises(ValueError, match="fit=true would shrink the objects of shapenet_core"):
        RenderedSource(meshes, ObjectRenderer(8, fit=True))
    RenderedSource(ShapeNetCoreSource(root), ObjectRenderer(8, fit=True))
