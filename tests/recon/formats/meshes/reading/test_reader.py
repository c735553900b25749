from __future__ import annotations

import numpy as np
import pytest
import trimesh

from recon.formats.meshes.reading.reader import read_surface


def test_suffix_chooses_the_reader_whatever_its_case(folder) -> None:
    store = folder({"M.OBJ": "v 0 0 0\nv 1 0 0\nv 0 1 0\nf 1 2 3\n"})
    assert len(read_surface(store, "M.OBJ").faces) == 1


def test_unknown_suffix_is_named(folder) -> None:
    with pytest.raises(ValueError, match=r"m\.blend: suffix '\.blend' is not one of \.3ds"):
        read_surface(folder({"m.blend": ""}), "m.blend")


def test_missing_file_is_named(folder) -> None:
    with pytest.raises(FileNotFoundError, match=r"m\.obj"):
        read_surface(folder({"n.obj": ""}), "m.obj")


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
    surface = read_surface(folder({name: content}), name)
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
            read_surface(store, f"m.{kind}")
        except ValueError as error:
            assert str(error).startswith(f"m.{kind}: ")  # noqa: PT017
