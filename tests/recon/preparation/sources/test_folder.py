from __future__ import annotations

import io
import logging
import os
import pickle
import re
import struct
import zipfile
from pathlib import Path

import numpy as np
import pytest
import trimesh
from PIL import Image

from recon.formats.meshes import MESH_FORMATS
from recon.preparation.sources.folder import FolderSource
from recon.preparation.sources.interface import MeshSource

# 3 long to -z (the front of these files), 1 high, 2 wide.
BAR = (
    "mtllib bar.mtl\nv -1 0 0\nv 1 0 0\nv 1 1 0\nv -1 1 0\nv -1 0 -3\nv 1 0 -3\nv 1 1 -3\n"
    "v -1 1 -3\nvt 0 0\nusemtl red\nf 1 2 3 4\nf 1 2 6 5\nusemtl front\nf 5/1 6/1 7/1 8/1\n"
    "f 4 3 7 8\n"
)
MTL = "newmtl red\nKd 1 0 0\nnewmtl front\nKd 1 1 1\nmap_Kd ../textures/blue.png\n"
BOX = trimesh.creation.box((1, 2, 3))


def png(color: tuple[int, int, int]) -> bytes:
    stream = io.BytesIO()
    Image.new("RGB", (2, 2), color).save(stream, "PNG")
    return stream.getvalue()


def write(root: Path, files: dict[str, str | bytes]) -> Path:
    for name, content in files.items():
        path = root / name
        path.parent.mkdir(parents=True, exist_ok=True)
        path.write_bytes(content.encode() if isinstance(content, str) else content)
    return root


def pack(path: Path, files: dict[str, str | bytes]) -> Path:
    with zipfile.ZipFile(path, "w", zipfile.ZIP_DEFLATED) as archive:
        for name, content in files.items():
            archive.writestr(name, content)
    return path


TREE: dict[str, str | bytes] = {
    "chair/bar.obj": BAR,
    "chair/bar.mtl": MTL,
    "chair/box.stl": BOX.export(None, "stl"),
    "02958343/box.ply": BOX.export(None, "ply"),
    "02958343/wide/anything.glb": BOX.export(None, "glb"),
    "02958343/wide/notes.txt": "no mesh",
    "my mug/box.off": BOX.export(None, "off"),
    "my mug/box.blend": b"unknown",
    "textures/blue.png": png((0, 0, 255)),
    "lamp/readme.md": "no models here",
}


@pytest.fixture(params=["folder", "zip"])
def tree(request: pytest.FixtureRequest, tmp_path: Path) -> Path:
    return write(tmp_path / "m", TREE) if request.param == "folder" else pack(tmp_path / "m", TREE)


def test_models_of_a_tree(tree: Path) -> None:
    source = FolderSource(tree)
    assert isinstance(source, MeshSource)
    items = source.objects()
    assert [(i.synset, i.name) for i in items] == [
        ("02958343", "box"),
        ("02958343", "wide"),
        ("03001627", "bar"),
        ("03001627", "box"),
        ("my mug", "box"),
    ]
    assert len({entry.id for entry in items}) == 5
    for entry in items:
        surface = source.load(entry)
        size = np.ptp(surface.vertices, axis=0)
        wanted = (2 / 3, 1 / 3, 1) if entry.name == "bar" else (1 / 3, 2 / 3, 1)
        assert size.tolist() == pytest.approx(wanted)
        assert np.abs(surface.vertices.max(axis=0) + surface.vertices.min(axis=0)).max() < 1e-6


def test_colours_textures_and_axes(tree: Path) -> None:
    source = FolderSource(tree, categories=["chair"], axes="-z,+y", licence="CC0-1.0")
    bar = next(entry for entry in source.objects() if entry.name == "bar")
    assert bar.licence == "CC0-1.0"
    surface = source.load(bar)
    assert np.ptp(surface.vertices, axis=0).tolist() == pytest.approx([1, 1 / 3, 2 / 3])
    assert surface.textured.tolist() == [False] * 4 + [True] * 2 + [False] * 2
    front = surface.vertices[surface.faces[surface.textured]]
    assert front[..., 0].tolist() == [[0.5] * 3] * 2
    colors = [[1, 0, 0, 1]] * 4 + [[0, 0, 1, 1]] * 2 + [[1, 1, 1, 1]] * 2
    assert surface.face_rgba.tolist() == colors


def test_source_travels_to_workers(tree: Path) -> None:
    source = FolderSource(tree)
    entry = source.objects()[0]
    copy = pickle.loads(pickle.dumps(source))
    assert np.array_equal(copy.load(entry).vertices, source.load(entry).vertices)
    assert copy.objects() == source.objects()


def test_ids_are_safe_unique_and_the_same_in_any_company(tmp_path: Path) -> None:
    names = ["grüner Becher", "a b", "a-b", "...", "椅子", "x" * 180]
    ply = BOX.export(None, "ply")
    write(tmp_path / "m", {f"my mug/a{name}.ply": ply for name in names})
    write(tmp_path / "m", {"my mug/a b.obj": BAR, "my/mug-a-b.ply": ply})
    items = FolderSource(tmp_path / "m").objects()
    assert len({entry.id for entry in items}) == 8
    assert all(re.fullmatch(r"[A-Za-z0-9][A-Za-z0-9-]*", entry.id) for entry in items)
    assert {"agrüner Becher", "a椅子"} < {entry.name for entry in items}
    alone = FolderSource(write(tmp_path / "n", {"my mug/aa-b.ply": ply})).objects()
    assert alone[0].id in {entry.id for entry in items}


def test_two_formats_of_one_name_are_one_family(tmp_path: Path) -> None:
    files = {"mug/a.ply": BOX.export(None, "ply"), "mug/a.stl": BOX.export(None, "stl")}
    one, two = FolderSource(write(tmp_path, files)).objects()
    assert one.id != two.id
    assert (one.group, one.split) == (two.group, two.split) == ("mug/a", one.split)


def test_split_files_name_models_as_the_tree_does(
    tree: Path, tmp_path: Path, caplog: pytest.LogCaptureFixture
) -> None:
    path = tmp_path / "splits.csv"
    path.write_text("id,split\nchair/bar,test\ncar/box.ply,train\nmy mug/box,holdout\n")
    with caplog.at_level(logging.INFO):
        items = FolderSource(tree, split_file=path).objects()
    assert [(i.name, i.split) for i in items] == [
        ("box", "train"),
        ("bar", "test"),
        ("box", "holdout"),
    ]
    assert "2 of 5 objects are not listed" in caplog.text


def test_fingerprints_follow_files_and_configurations_follow_labels(tmp_path: Path) -> None:
    root = write(tmp_path / "m", TREE)
    before = {entry.id: entry.fingerprint for entry in FolderSource(root).objects()}
    config = FolderSource(root).config()
    root = root.rename(tmp_path / "elsewhere")
    assert config == FolderSource(root).config()
    assert config != FolderSource(root, licence="CC0-1.0").config()
    turned = FolderSource(root, axes="-z,+y").config()
    assert config != turned == FolderSource(root, axes=["-z", "+y"]).config()
    os.utime(root / "02958343/wide/anything.glb", ns=(1, 1))
    os.utime(root / "textures/blue.png", ns=(1, 1))
    items = FolderSource(root).objects()
    changed = [entry.name for entry in items if entry.fingerprint != before[entry.id]]
    assert changed == ["box", "wide", "bar", "box", "box"]  # a texture may be anybody's
    before = {entry.id: entry.fingerprint for entry in items}
    os.utime(root / "02958343/wide/anything.glb", ns=(2, 2))
    items = FolderSource(root).objects()
    assert [i.name for i in items if i.fingerprint != before[i.id]] == ["wide"]


def test_a_folder_of_ones_own_must_hold_one_mesh(tmp_path: Path) -> None:
    files = {"mug/a/x.ply": BOX.export(None, "ply"), "mug/a/x.glb": BOX.export(None, "glb"),
             "mug/b/x.obj": BAR, "mug/b/y.obj": BAR, "mug/b/y.ply": b""}  # fmt: skip
    source = FolderSource(write(tmp_path, files))
    first, second = source.objects()
    assert source.load(first).num_faces == 12  # of two formats the first
    with pytest.raises(ValueError, match=r"mug/b must hold one mesh, it has x\.obj, y\.obj"):
        source.load(second)


def test_meshes_without_category_hidden_ones_and_links_out_are_left_out(
    tmp_path: Path, caplog: pytest.LogCaptureFixture
) -> None:
    ply = BOX.export(None, "ply")
    write(tmp_path, {"secret/a.ply": ply, "m/mug/a.ply": ply, "m/stray.ply": ply})
    write(tmp_path, {"m/a/b/c/d.ply": ply, "m/__MACOSX/.x/a.ply": ply, "m/mug/._a.ply": ply})
    (tmp_path / "m/mug/link.ply").symlink_to(tmp_path / "secret/a.ply")
    (tmp_path / "m/linked").symlink_to(tmp_path / "secret")
    assert [entry.name for entry in FolderSource(tmp_path / "m").objects()] == ["a"]
    assert "links are not followed: linked, mug/link.ply" in caplog.text
    assert "2 meshes lie in no category, such as a/b/c/d.ply" in caplog.text


OBJ = "v 0 0 0\nv 1 0 0\nv 1 1 0\nv 0 1 0\n"


@pytest.mark.parametrize(
    ("leaf", "content", "message"),
    [
        ("x.obj", "", "no visible faces"),
        ("x.obj", OBJ, "no visible faces"),
        ("x.obj", f"{OBJ}f 1 1 1\n", "no visible faces"),
        ("x.obj", f"{OBJ}f 1 2 5\n", "names vertex 5 of 4"),
        ("x.obj", f"{OBJ}f 1 2 -5\n", "names vertex 0 of 4"),
        ("x.obj", f"{OBJ}f 0 1 2\n", "names vertex 0; OBJ counts from 1"),
        ("x.obj", f"{OBJ}f 1 2 x\n", "invalid literal"),
        ("x.obj", f"{OBJ.replace('1 1 0', 'nan 1 0')}f 1 2 3\n", "not a finite number"),
        ("x.obj", f"{OBJ.replace('1 1 0', '1 1')}f 1 2 3\n", "needs 3 numbers"),
        ("x.ply", BOX.export(None, "ply")[:-7], "claims|bytes are left|ends within"),
        ("x.ply", b"ply\nformat ascii 1.0\nelement vertex 999999999\n", "not a PLY file"),
        ("x.stl", b" " * 80 + b"\xff\xff\xff\xff", "claims 4294967295 triangles"),
        ("x.off", "OFF\n999999999 999999999 0\n", "claims 999999999 vertices"),
        ("x.glb", struct.pack("<4sII", b"glTF", 2, 2**31), "truncated: it claims 2147483648"),
        ("x.glb", BOX.export(None, "glb")[:-9], "truncated"),
    ],
)
def test_one_broken_model_is_its_own_error(
    tmp_path: Path, leaf: str, content: str | bytes, message: str
) -> None:
    source = FolderSource(write(tmp_path, {f"mug/{leaf}": content, "mug/y.obj": f"{OBJ}f 1 2 3"}))
    broken, fine = source.objects()
    with pytest.raises(ValueError, match=rf"(?s)mug/{re.escape(leaf)}: .*({message})"):
        source.load(broken)
    assert source.load(fine).num_faces == 1


@pytest.mark.parametrize(
    ("content", "faces"),
    [
        (f"{OBJ}f 1 2 3 4\n", 2),
        (f"{OBJ}v 0.5 2 0\nf 1 2 3 5 4\n", 3),
        (f"mtllib gone.mtl\n{OBJ}usemtl red\nf 1 2 3\n", 1),
        (f"mtllib m.mtl\n{OBJ}vt 0 0\nusemtl a\nf 1/1 2/1 3/1\n", 1),
    ],
)
def test_quads_polygons_and_missing_materials_or_textures(
    tmp_path: Path, content: str, faces: int
) -> None:
    mtl = "newmtl a\nKd 0 1 0\nmap_Kd gone.png\n"
    source = FolderSource(write(tmp_path, {"mug/x.obj": content, "mug/m.mtl": mtl}))
    surface = source.load(source.objects()[0])
    assert surface.num_faces == faces
    if "m.mtl" in content:
        assert surface.face_rgba.tolist() == [[0, 1, 0, 1]]


def test_a_file_that_vanishes_is_named(tmp_path: Path) -> None:
    source = FolderSource(write(tmp_path, {"mug/x.obj": f"{OBJ}f 1 2 3", "mug/y.obj": BAR}))
    items = source.objects()
    (tmp_path / "mug/x.obj").unlink()
    with pytest.raises(FileNotFoundError, match=r"x\.obj"):
        source.load(items[0])
    with pytest.raises(FileNotFoundError, match=r"x\.obj"):
        pickle.loads(pickle.dumps(source)).load(items[0])


CASES = Path(__file__).parents[2] / "formats" / "meshes" / "cases"


def test_folders_of_splits_in_categories() -> None:
    items = FolderSource(CASES / "modelnet_layout").objects()
    assert [(entry.synset, entry.name, entry.split) for entry in items] == [
        ("03001627", f"chair_{split}_{k}", split) for split in ("test", "train") for k in (1, 2)
    ]


@pytest.mark.parametrize(
    ("names", "found"),
    [
        (["mug/train/a", "mug/test/a"], ["mug/a train", "mug/a test"]),
        (["mug/Train/a", "mug/validation/b"], ["mug/a train", "mug/b val"]),
        (["train/mug/a", "test/mug/a", "val/cup/b/x"], ["mug/a train", "mug/a test", "cup/b val"]),
        (["mug/train/a/x", "mug/train/b/x"], ["mug/a train", "mug/b train"]),
        (["mug/test/x"], ["mug/test"]),  # a model called test
        (["train/a/x", "train/b/x"], ["train/a", "train/b"]),  # railway engines
        (["train/a", "test/a"], ["train/a", "test/a"]),
    ],
)
def test_which_folders_are_splits(tmp_path: Path, names: list[str], found: list[str]) -> None:
    ply = BOX.export(None, "ply")
    source = FolderSource(write(tmp_path / "m", {f"{name}.ply": ply for name in names}))
    items = source.objects()
    shown = {
        f"{entry.synset}/{entry.name}" + (f" {entry.split}" if entry.group.count("/") == 2 else "")
        for entry in items
    }
    assert shown == set(found)
    assert len({entry.id for entry in items}) == len({entry.group for entry in items}) == len(names)
    for entry in items:
        assert source.load(entry).num_faces == 12


def test_a_split_file_goes_before_folders_of_splits(tmp_path: Path) -> None:
    ply = BOX.export(None, "ply")
    write(tmp_path / "m", {"mug/train/a.ply": ply, "mug/test/b.ply": ply})
    (tmp_path / "s.csv").write_text("id,split\nmug/a,holdout\nmug/b,train\n")
    items = FolderSource(tmp_path / "m", split_file=tmp_path / "s.csv").objects()
    assert {entry.name: entry.split for entry in items} == {"a": "holdout", "b": "train"}


def test_every_format_with_a_reader_is_taken_and_the_rest_counted(tmp_path: Path, caplog) -> None:
    texts = {f"mug/{k}{suffix}": "" for k, suffix in enumerate(MESH_FORMATS)}
    others = ["mug/a.fbx", "mug/b.FBX", "mug/c.dae", "mug/notes", "mug/a.mtl", "mug/a.png"]
    items = FolderSource(write(tmp_path / "m", {**texts, **dict.fromkeys(others, "")})).objects()
    assert len(items) == len(MESH_FORMATS)
    (message,) = caplog.messages
    assert message.endswith(
        "passed over, as no mesh is read from them: 2 .fbx, 1 .dae, 1 no suffix"
    )
    write(tmp_path / "n", {"mug/a.fbx": "", "mug/b.fbx": ""})
    with pytest.raises(ValueError, match=r"n has no meshes .*; it has 2 \.fbx"):
        FolderSource(tmp_path / "n").objects()


def test_unusable_sources(tmp_path: Path) -> None:
    with pytest.raises(FileNotFoundError, match=r"folder or zip archive not found: .*nowhere"):
        FolderSource(tmp_path / "nowhere")
    (tmp_path / "empty").mkdir()
    with pytest.raises(ValueError, match=r"empty has no meshes category/name\{\.obj,"):
        FolderSource(tmp_path / "empty").objects()
    (tmp_path / "x.txt").write_text("x")
    with pytest.raises(ValueError, match=r"x\.txt is not a readable zip"):
        FolderSource(tmp_path / "x.txt")
    with pytest.raises(ValueError, match=r"evil\.zip is refused.*\.\./evil"):
        FolderSource(pack(tmp_path / "evil.zip", {"mug/a.obj": BAR, "../evil.obj": BAR}))
    root = write(tmp_path / "m", TREE)
    with pytest.raises(ValueError, match="no models of the category lamp, sofa"):
        FolderSource(root, categories=["lamp", "sofa", "chair"]).objects()
    with pytest.raises(ValueError, match="two different directions"):
        FolderSource(root, axes="+y,+y")
