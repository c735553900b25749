from __future__ import annotations

import zipfile
from pathlib import Path

import numpy as np
import pytest
import torch
import trimesh

from recon.formats.meshes import MESH_FORMATS, read_mesh, read_textured_mesh

TRIANGLE = "v 0 0 0\nv 1 0 0\nv 0 1 0\nf 1 2 3\n"


def test_polygons_are_triangulated_and_objects_joined(tmp_path: Path) -> None:
    path = tmp_path / "quads.obj"
    path.write_text(
        "o a\nv 9 9 9\nv 0 0 0\nv 1 0 0\nv 1 1 0\nv 0 1 0\nf 2 3 4 5\nf 2 3 3\n"
        "o b\nv 0 0 1\nv 1 0 1\nv 1 1 1\nf 6 7 8\n"
    )
    mesh = read_mesh(path)
    assert (mesh.num_vertices, mesh.num_faces) == (7, 3)  # no vertex without faces, no flat face
    corners = mesh.vertices[mesh.faces]
    area = torch.linalg.cross(corners[:, 1] - corners[:, 0], corners[:, 2] - corners[:, 0], dim=1)
    assert float(area.norm(dim=1).sum() / 2) == pytest.approx(1.5)
    assert mesh.face_colors is not None
    assert mesh.face_colors.tolist() == [pytest.approx([0.7] * 3)] * 3


def test_a_mesh_is_read_with_what_lies_around_it(tmp_path: Path, monkeypatch) -> None:
    (tmp_path / "models").mkdir()
    (tmp_path / "Materials").mkdir()
    (tmp_path / "models" / "m.obj").write_text(f"mtllib ../materials/M.mtl\nusemtl red\n{TRIANGLE}")
    (tmp_path / "Materials" / "m.MTL").write_text("newmtl red\nKd 1 0 0\n")
    monkeypatch.chdir(tmp_path / "models")
    for path in (tmp_path / "models" / "m.obj", "m.obj", "../models/m.obj"):
        mesh = read_mesh(path)
        assert mesh.face_colors is not None
        assert mesh.face_colors.tolist() == [[1, 0, 0]]


def test_a_mesh_may_lie_in_an_archive_or_have_an_exclamation_mark(tmp_path: Path) -> None:
    with zipfile.ZipFile(tmp_path / "a.zip", "w") as archive:
        archive.writestr("folder/a.obj", TRIANGLE)
    assert read_mesh(f"{tmp_path / 'a.zip'}!folder/a.obj").num_faces == 1
    (tmp_path / "ah!.obj").write_text(TRIANGLE)
    assert read_mesh(tmp_path / "ah!.obj").num_faces == 1


def test_missing_and_useless_files_are_named(tmp_path: Path) -> None:
    with pytest.raises(FileNotFoundError, match=r"no mesh file .*absent\.obj"):
        read_mesh(tmp_path / "absent.obj")
    with pytest.raises(FileNotFoundError, match=r"no archive .*absent\.zip"):
        read_mesh(tmp_path / "absent.zip!a.obj")
    (tmp_path / "a.xyz").touch()
    with pytest.raises(ValueError, match=r"a\.xyz: suffix '\.xyz' is not one of"):
        read_mesh(tmp_path / "a.xyz")
    (tmp_path / "flat.obj").write_text("v 0 0 0\nv 1 0 0\nv 2 0 0\nf 1 2 3\n")
    with pytest.raises(ValueError, match=r"flat\.obj: the model has no visible faces"):
        read_mesh(tmp_path / "flat.obj")


@pytest.mark.parametrize("suffix", MESH_FORMATS)
@pytest.mark.parametrize("content", [b"", b"garbage \x00\xff", b"v 0 0 0\nv 1 0 0\n"])
def test_damaged_files_are_refused_by_name(tmp_path: Path, suffix: str, content: bytes) -> None:
    path = tmp_path / f"damaged{suffix}"
    path.write_bytes(content)
    with pytest.raises(ValueError, match=rf"damaged{suffix}: "):
        read_mesh(path)


def test_suffix_chooses_the_reader_whatever_its_case(folder) -> None:
    store = folder({"M.OBJ": "v 0 0 0\nv 1 0 0\nv 0 1 0\nf 1 2 3\n"})
    assert len(read_textured_mesh(store, "M.OBJ").faces) == 1


def test_unknown_suffix_is_named(folder) -> None:
    with pytest.raises(ValueError, match=r"m\.blend: suffix '\.blend' is not one of \.3ds"):
        read_textured_mesh(folder({"m.blend": ""}), "m.blend")


def test_missing_file_is_named(folder) -> None:
    with pytest.raises(FileNotFoundError, match=r"m\.obj"):
        read_textured_mesh(folder({"n.obj": ""}), "m.obj")


def lopsided() -> trimesh.Trimesh:
    """A mesh without any symmetry, a colour of its own at each corner of each face."""
    mesh = trimesh.creation.icosphere(subdivisions=1)
    mesh.apply_scale([1, 2, 3])
    mesh.vertices[:, 0] += 0.3 * mesh.vertices[:, 1] ** 2
    mesh.unmerge_vertices()
    rng = np.random.default_rng(0)
    colors = np.repeat(rng.integers(60, 256, (len(mesh.faces), 3)), 3, axis=0)
    mesh.visual.vertex_colors = np.pad(colors, ((0, 0), (0, 1)), constant_values=255)
    return mesh


def linear(mesh: trimesh.Trimesh) -> trimesh.Trimesh:
    """The mesh with its colours as linear light, as glTF wants them."""
    srgb = mesh.visual.vertex_colors / 255
    light = np.where(srgb <= 0.04045, srgb / 12.92, ((srgb + 0.055) / 1.055) ** 2.4)
    other = mesh.copy()
    other.visual.vertex_colors = np.rint(light * 255).astype(np.uint8)
    return other


@pytest.mark.parametrize("suffix", ["ply", "ply ascii", "glb", "obj", "coff", "off", "stl"])
def test_one_mesh_written_in_every_format(folder, suffix: str) -> None:
    mesh = lopsided()
    kind, _, encoding = suffix.partition(" ")
    if kind == "coff":
        text = mesh.export(None, "off").splitlines()
        rows = [
            f"{row} {red} {green} {blue} 255"
            for row, (red, green, blue, _) in zip(text[2:], mesh.visual.vertex_colors, strict=False)
        ]
        content: str | bytes = "\n".join(["COFF", text[1], *rows, *text[2 + len(rows) :]])
    elif kind == "glb":
        content = linear(mesh).export(None, kind)
    else:
        content = mesh.export(None, kind, **({"encoding": encoding} if encoding else {}))
    name = f"m.{kind.replace('coff', 'off')}"
    surface = read_textured_mesh(folder({name: content}), name)
    assert np.abs(surface.vertices[surface.faces] - mesh.triangles).max() < 1e-6
    wanted = mesh.visual.vertex_colors[mesh.faces[:, 0]] / 255
    if suffix in ("off", "stl"):  # without colours
        wanted = np.tile([0.7, 0.7, 0.7, 1], (len(wanted), 1))
    # A step of a byte of linear light is at most 0.01 for colours from 60 up.
    assert np.abs(surface.face_rgba - wanted).max() < (0.01 if kind == "glb" else 1e-6)


@pytest.mark.parametrize("kind", ["ply", "glb", "obj", "off", "stl"])
def test_damaged_files_raise_nothing_but_value_errors_of_their_name(folder, kind: str) -> None:
    content = lopsided().export(None, kind)
    whole = content.encode() if isinstance(content, str) else content
    rng = np.random.default_rng(0)
    for trial in range(30):
        damaged = bytearray(whole[: rng.integers(len(whole))] if trial % 3 == 0 else whole)
        for place in rng.integers(min(len(damaged), 400), size=trial % 3 * 4):
            damaged[place] = rng.integers(256)
        store = folder({f"m.{kind}": bytes(damaged)})
        try:
            read_textured_mesh(store, f"m.{kind}")
        except ValueError as error:
            assert str(error).startswith(f"m.{kind}: ")  # noqa: PT017
