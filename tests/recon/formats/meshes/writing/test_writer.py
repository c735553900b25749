"""Files of meshes: read back equal by our own readers and by trimesh, colours in their spaces."""

from __future__ import annotations

import json
import struct
from pathlib import Path

import numpy as np
import pytest
import torch
import trimesh
from PIL import Image
from torch import Tensor

from recon.formats.meshes import read_mesh, read_textured_mesh, save_mesh
from recon.formats.meshes.reading.textured_mesh import TexturedMesh
from recon.formats.meshes.writing.glb import srgb_to_linear
from recon.formats.meshes.writing.writer import WRITERS
from recon.formats.stores import FolderStore
from recon.geometry.meshes import Mesh, icosphere
from recon.geometry.texels import texel_centers


def sphere() -> Mesh:
    mesh = icosphere(1)
    return Mesh(mesh.vertices * 0.0123 + 0.3, mesh.faces)


def random_colors(*shape: int) -> Tensor:
    """Colours which 8 bits hold exactly."""
    generator = torch.Generator().manual_seed(0)
    return torch.randint(0, 256, shape, generator=generator) / 255


def read(path: Path) -> TexturedMesh:
    return read_textured_mesh(FolderStore(path.parent), path.name)


# --- Shapes ---------------------------------------------------------------------------------------


@pytest.mark.parametrize("suffix", WRITERS)
def test_files_round_trip_exactly(tmp_path: Path, suffix: str) -> None:
    mesh, path = sphere(), tmp_path / f"mesh{suffix}"
    save_mesh(path, mesh)
    loaded = read_mesh(path)
    # STL stores no shared vertices, so compare the corners of the triangles.
    assert torch.equal(loaded.vertices[loaded.faces], mesh.vertices[mesh.faces])
    if suffix != ".stl":
        assert torch.equal(loaded.faces, mesh.faces)
    ours = read(path)
    corners = mesh.vertices[mesh.faces].numpy()
    np.testing.assert_array_equal(ours.vertices[ours.faces].astype(np.float32), corners)
    assert [entry.name for entry in tmp_path.iterdir()] == [path.name]


@pytest.mark.parametrize("suffix", [".OBJ", ".Glb"])
def test_suffixes_may_be_written_large(tmp_path: Path, suffix: str) -> None:
    save_mesh(tmp_path / f"mesh{suffix}", sphere())
    assert read_mesh(tmp_path / f"mesh{suffix}").num_faces == 80


# --- Colours of vertices --------------------------------------------------------------------------


@pytest.mark.parametrize("suffix", [".obj", ".ply"])
def test_srgb_formats_keep_colors_of_vertices(tmp_path: Path, suffix: str) -> None:
    mesh, colors = sphere(), random_colors(42, 3)
    path = tmp_path / f"mesh{suffix}"
    save_mesh(path, mesh, colors)
    by_trimesh = trimesh.load(path, force="mesh", process=False).visual.vertex_colors[:, :3]
    np.testing.assert_array_equal(by_trimesh, np.round(colors.numpy() * 255))
    of_faces = colors[mesh.faces].mean(dim=1).numpy()
    np.testing.assert_allclose(read(path).face_rgba[:, :3], of_faces, atol=1e-6)


def test_glb_keeps_colors_of_vertices_as_linear_light(tmp_path: Path) -> None:
    mesh = sphere()
    grey = torch.tensor([0.0, 0.02, 0.5, 188 / 255, 1.0]).repeat(9)[:42, None].expand(-1, 3)
    path = tmp_path / "mesh.glb"
    save_mesh(path, mesh, grey.contiguous())
    document, buffer = glb_parts(path)
    accessor = document["accessors"][
        document["meshes"][0]["primitives"][0]["attributes"]["COLOR_0"]
    ]
    assert (accessor["componentType"], accessor["type"]) == (5126, "VEC3")
    start = document["bufferViews"][accessor["bufferView"]]["byteOffset"]
    stored = np.frombuffer(buffer, "<f4", 42 * 3, start).reshape(42, 3)
    # Known values of IEC 61966-2-1; 188 of 255 is half of the light.
    expected = [0.0, 0.02 / 12.92, 0.2140411, 0.5028865, 1.0]
    np.testing.assert_allclose(stored[:5, 0], expected, rtol=1e-5)
    # One colour for each face, so that the mean of linear light is the same as that of sRGB.
    single = grey[:1].expand(42, 3) + 0.37
    save_mesh(path, mesh, single)
    np.testing.assert_allclose(read(path).face_rgba[:, :3], single[:1].expand(80, 3), atol=1e-5)


def test_linear_light_is_the_inverse_of_srgb() -> None:
    from recon.formats.meshes.reading.gltf_materials import to_srgb

    colors = np.linspace(0, 1, 300, dtype=np.float32).reshape(100, 3)
    linear = np.concatenate((srgb_to_linear(colors), np.ones((100, 1))), axis=1)
    # 1e-4: the two branches of the standard do not meet exactly.
    np.testing.assert_allclose(to_srgb(linear)[:, :3], colors, atol=1e-4)


# --- Textures -------------------------------------------------------------------------------------


def texels_in(surface: TexturedMesh, side: int) -> np.ndarray:
    """Looks up every texel at its centre, without a filter, as a viewer would."""
    assert surface.uvs is not None
    assert surface.face_texture is not None
    (texture,) = surface.textures
    points = np.einsum("tk,fkc->ftc", texel_centers(side).numpy(), surface.uvs.astype(float))
    columns = (points[..., 0] * texture.shape[1]).astype(int)
    rows = ((1 - points[..., 1]) * texture.shape[0]).astype(int)
    return texture[rows, columns, :3]


@pytest.mark.parametrize("suffix", [".obj", ".glb"])
@pytest.mark.parametrize("side", [1, 2, 3, 5])
def test_textures_are_read_back_equal(tmp_path: Path, suffix: str, side: int) -> None:
    mesh, texels = sphere(), random_colors(80, side * side, 3)
    path = tmp_path / f"mesh{suffix}"
    save_mesh(path, mesh, texels)
    surface = read(path)
    assert surface.textured.all()
    corners = surface.vertices[surface.faces].astype(np.float32)
    np.testing.assert_array_equal(corners, mesh.vertices[mesh.faces].numpy())
    np.testing.assert_array_equal(texels_in(surface, side), np.round(texels.numpy() * 255))


@pytest.mark.parametrize("suffix", [".obj", ".glb"])
def test_textures_are_read_by_trimesh(tmp_path: Path, suffix: str) -> None:
    texels = random_colors(80, 1, 3)
    path = tmp_path / f"mesh{suffix}"
    save_mesh(path, sphere(), texels)
    solid = trimesh.load(path, force="mesh", process=False)
    material = solid.visual.material
    image = material.baseColorTexture if suffix == ".glb" else material.image
    centers = solid.visual.uv[solid.faces].mean(axis=1)
    pixels = np.asarray(image.convert("RGB"))
    columns = (centers[:, 0] * pixels.shape[1]).astype(int)
    rows = ((1 - centers[:, 1]) * pixels.shape[0]).astype(int)
    np.testing.assert_array_equal(pixels[rows, columns], np.round(texels[:, 0].numpy() * 255))


def test_a_textured_obj_brings_its_material_and_image(tmp_path: Path) -> None:
    save_mesh(tmp_path / "chair.obj", sphere(), random_colors(80, 4, 3))
    assert sorted(entry.name for entry in tmp_path.iterdir()) == [
        "chair.mtl", "chair.obj", "chair.png",
    ]  # fmt: skip
    assert (tmp_path / "chair.obj").read_text().startswith("mtllib chair.mtl\n")
    assert "map_Kd chair.png" in (tmp_path / "chair.mtl").read_text()
    with Image.open(tmp_path / "chair.png") as image:
        assert image.mode == "RGB"


def test_files_from_elsewhere_are_left_alone(tmp_path: Path) -> None:
    photo, library = tmp_path / "chair.png", tmp_path / "chair.mtl"
    photo.write_bytes(b"a photo")
    library.write_text("newmtl textured\nmap_Kd chair.png\n")
    for grey in (0.25, 0.5):  # what was written here before is written over
        save_mesh(tmp_path / "chair.obj", sphere(), torch.full((80, 1, 3), grey))
        surface = read(tmp_path / "chair.obj")
        assert set(surface.textures[0].reshape(-1, 4)[0].tolist()) == {round(255 * grey), 255}
    assert (photo.read_bytes(), library.stat().st_size) == (b"a photo", 33)
    assert sorted(entry.name for entry in tmp_path.iterdir()) == [
        "chair.mtl", "chair.obj", "chair.png", "chair_texture.mtl", "chair_texture.png",
    ]  # fmt: skip
    (tmp_path / "chair_texture.mtl").write_text("newmtl a\n")
    save_mesh(tmp_path / "chair.obj", sphere(), torch.zeros(80, 1, 3))
    assert read(tmp_path / "chair.obj").textured.all()
    assert (tmp_path / "chair_texture_2.mtl").exists()
    assert (tmp_path / "chair_texture_2.png").exists()


# --- MeshArrays -----------------------------------------------------------------------------------


@pytest.mark.parametrize("whole", [np.int16, np.uint32, np.int64])
@pytest.mark.parametrize("floating", [np.float32, np.float64])
def test_arrays_are_written_as_tensors_are(tmp_path: Path, whole: type, floating: type) -> None:
    mesh, colors = sphere(), random_colors(42, 3)
    save_mesh(tmp_path / "a.ply", mesh, colors)
    arrays = (mesh.vertices.numpy().astype(floating), mesh.faces.numpy().astype(whole))
    save_mesh(tmp_path / "b.ply", arrays, colors.numpy().astype(floating))
    assert (tmp_path / "a.ply").read_bytes() == (tmp_path / "b.ply").read_bytes()


# --- The container --------------------------------------------------------------------------------


def glb_parts(path: Path) -> tuple[dict, bytes]:
    data = path.read_bytes()
    magic, version, length, json_length, kind = struct.unpack("<4sIII4s", data[:20])
    assert (magic, version, length, kind) == (b"glTF", 2, len(data), b"JSON")
    rest = data[20 + json_length :]
    buffer_length, kind = struct.unpack("<I4s", rest[:8])
    assert kind == b"BIN\0"
    assert buffer_length == len(rest) - 8
    return json.loads(data[20 : 20 + json_length]), rest[8:]


@pytest.mark.parametrize("colors", [None, random_colors(42, 3), random_colors(80, 4, 3)])
def test_glb_keeps_the_rules_of_the_container(tmp_path: Path, colors: Tensor | None) -> None:
    path = tmp_path / "mesh.glb"
    save_mesh(path, sphere(), colors)
    document, buffer = glb_parts(path)
    assert document["buffers"] == [{"byteLength": len(buffer)}]
    sizes = {"SCALAR": 4, "VEC2": 8, "VEC3": 12}
    for accessor in document["accessors"]:
        view = document["bufferViews"][accessor["bufferView"]]
        assert view["byteLength"] == accessor["count"] * sizes[accessor["type"]]
    for view in document["bufferViews"]:
        assert view["byteOffset"] % 4 == 0
        assert view["byteOffset"] + view["byteLength"] <= len(buffer)
    (primitive,) = document["meshes"][0]["primitives"]
    counts = {document["accessors"][i]["count"] for i in primitive["attributes"].values()}
    assert len(counts) == 1
    position = document["accessors"][primitive["attributes"]["POSITION"]]
    stored = np.frombuffer(buffer, "<f4", position["count"] * 3).reshape(-1, 3)
    assert position["min"] == stored.min(axis=0).tolist()
    material = document["materials"][primitive["material"]]
    assert material["pbrMetallicRoughness"]["metallicFactor"] == 0


# --- Refusals -------------------------------------------------------------------------------------


def test_what_a_format_cannot_hold_is_refused(tmp_path: Path) -> None:
    mesh = sphere()
    with pytest.raises(ValueError, match=r"mesh\.stl: only .* hold colours of vertices"):
        save_mesh(tmp_path / "mesh.stl", mesh, torch.zeros(42, 3))
    with pytest.raises(ValueError, match=r"mesh\.ply: only .obj, .glb hold colours of texels"):
        save_mesh(tmp_path / "mesh.ply", mesh, torch.zeros(80, 4, 3))
    with pytest.raises(ValueError, match=r"colors must be \[42, 3\] or \[80, R \* R, 3\]"):
        save_mesh(tmp_path / "mesh.ply", mesh, torch.zeros(80, 3))
    with pytest.raises(ValueError, match=r"colors must be floating numbers .* got uint8"):
        save_mesh(tmp_path / "mesh.ply", mesh, np.full((42, 3), 200, np.uint8))
    with pytest.raises(ValueError, match="colors must be finite, got NaN"):
        save_mesh(tmp_path / "mesh.ply", mesh, torch.full((42, 3), torch.nan))
    with pytest.raises(ValueError, match="R \\* R with R >= 1, got 2"):
        save_mesh(tmp_path / "mesh.obj", mesh, torch.zeros(80, 2, 3))
    with pytest.raises(ValueError, match=r"must end in .*got mesh.txt"):
        save_mesh(tmp_path / "mesh.txt", mesh)
    with pytest.raises(FileNotFoundError, match=r"folder .*absent does not exist"):
        save_mesh(tmp_path / "absent" / "mesh.obj", mesh)
    assert list(tmp_path.iterdir()) == []


@pytest.mark.parametrize(
    ("vertices", "faces", "message"),
    [
        (np.zeros((3, 2)), [[0, 1, 2]], r"vertices must be \[N, 3\] .* got \[3, 2\]"),
        (np.zeros((3, 3), int), [[0, 1, 2]], "vertices must be floating, got int64"),
        (np.full((3, 3), np.nan), [[0, 1, 2]], "vertices must be finite"),
        (np.full((3, 3), 1e39), [[0, 1, 2]], "vertices must be finite numbers of 32 bits"),
        (np.zeros((3, 3)), [[0, 1, 3]], r"indices in \[0, 2\], got 0 to 3"),
        (np.zeros((3, 3)), [[0.0, 1, 2]], "faces must be whole numbers, got float64"),
        (np.zeros((3, 3)), np.zeros((0, 3), int), "faces must be .* N >= 1"),
    ],
)
def test_useless_arrays_are_refused(tmp_path: Path, vertices, faces, message: str) -> None:
    with pytest.raises(ValueError, match=message):
        save_mesh(tmp_path / "mesh.ply", (vertices, np.array(faces)))


@pytest.mark.parametrize("suffix", WRITERS)
def test_a_failed_save_leaves_what_was_there(
    tmp_path: Path, suffix: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    path = tmp_path / f"mesh{suffix}"
    path.write_text("an older file")

    def full_disk(*arguments: object) -> None:
        raise OSError(28, "no space left on device")

    monkeypatch.setattr("recon.files.os.replace", full_disk)
    with pytest.raises(OSError, match="no space left"):
        save_mesh(path, sphere())
    assert [entry.name for entry in tmp_path.iterdir()] == [path.name]
    assert path.read_text() == "an older file"
