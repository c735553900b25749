from __future__ import annotations

import io
import struct

import numpy as np
import pytest
import trimesh
from PIL import Image

from recon.formats.meshes.reading.ply import read_ply

HEADER = """ply
format {format} 1.0
comment made by hand
element vertex 4
property float x
property float y
property float z
property uchar red
property uchar green
property uchar blue
element face {faces}
property list uchar int vertex_indices
end_header
"""
VERTICES = [(0, 0, 0, 255, 0, 0), (1, 0, 0, 255, 0, 0), (1, 1, 0, 255, 0, 0), (0, 1, 0, 0, 0, 255)]


def text(*faces: str, vertices=VERTICES) -> str:
    rows = [" ".join(map(str, row)) for row in vertices]
    return HEADER.format(format="ascii", faces=len(faces)) + "\n".join([*rows, *faces]) + "\n"


def binary(order: str, *faces: tuple[int, ...]) -> bytes:
    name = "binary_little_endian" if order == "<" else "binary_big_endian"
    rows = [struct.pack(order + "3f3B", *row) for row in VERTICES]
    rows += [struct.pack(f"{order}B{len(face)}i", len(face), *face) for face in faces]
    return HEADER.format(format=name, faces=len(faces)).encode() + b"".join(rows)


def image() -> bytes:
    """Left half green, right half blue."""
    pixels = np.zeros((2, 4, 3), np.uint8)
    pixels[:, :2, 1] = pixels[:, 2:, 2] = 255
    stream = io.BytesIO()
    Image.fromarray(pixels).save(stream, "PNG")
    return stream.getvalue()


@pytest.mark.parametrize(
    "content",
    [
        text("3 0 1 2", "3 0 2 3"),
        text("3 0 1 2", "3 0 2 3").replace("\n", "\r\n"),
        text("4 0 1 2 3"),
        text("4 0 1 2 3", "2 0 1"),
        binary("<", (0, 1, 2), (0, 2, 3)),
        binary(">", (0, 1, 2), (0, 2, 3)),
        binary("<", (0, 1, 2, 3)),
        binary(">", (0, 1, 2, 3), (0, 1)),
    ],
)
def test_every_form_gives_the_same_triangles_and_colours(folder, content: str | bytes) -> None:
    surface = read_ply(folder({"m.ply": content}), "m.ply")
    assert surface.vertices.tolist() == [[0, 0, 0], [1, 0, 0], [1, 1, 0], [0, 1, 0]]
    assert surface.faces.tolist() == [[0, 1, 2], [0, 2, 3]]
    mixed = [2 / 3, 0, 1 / 3, 1]
    assert surface.face_rgba.ravel().tolist() == pytest.approx([1, 0, 0, 1, *mixed])


def test_concave_polygon_keeps_its_notch(folder) -> None:
    notch = [(0, 0, 0), (2, 0, 0), (2, 2, 0), (1, 0.2, 0), (0, 2, 0)]
    header = HEADER.format(format="ascii", faces=1).replace("vertex 4", "vertex 5")
    header = header.replace("property uchar red\nproperty uchar green\nproperty uchar blue\n", "")
    rows = "".join(f"{x} {y} {z}\n" for x, y, z in notch)
    surface = read_ply(folder({"m.ply": f"{header}{rows}5 0 1 2 3 4\n"}), "m.ply")
    a, b, c = (surface.vertices[surface.faces[:, k]] for k in range(3))
    assert np.cross(b - a, c - a)[:, 2].sum() / 2 == pytest.approx(2.2)
    assert surface.face_rgba[0].tolist() == pytest.approx([0.7, 0.7, 0.7, 1])  # no colours: grey


@pytest.mark.parametrize("encoding", ["ascii", "binary"])
@pytest.mark.parametrize("colored", ["vertex", "face"])
def test_files_of_another_writer(folder, encoding: str, colored: str) -> None:
    mesh = trimesh.creation.icosphere(subdivisions=1)
    rng = np.random.default_rng(0)
    count = len(mesh.vertices) if colored == "vertex" else len(mesh.faces)
    rgba = rng.integers(0, 256, (count, 4), np.uint8)
    setattr(mesh.visual, f"{colored}_colors", rgba)
    surface = read_ply(folder({"m.ply": mesh.export(None, "ply", encoding=encoding)}), "m.ply")
    assert np.abs(surface.vertices - mesh.vertices).max() < 1e-6
    assert surface.faces.tolist() == mesh.faces.tolist()
    wanted = rgba[mesh.faces].mean(axis=1) if colored == "vertex" else rgba
    assert np.abs(surface.face_rgba - wanted / 255).max() < 1e-6


def test_polygons_keep_the_colour_of_their_face(folder) -> None:
    content = """ply
format ascii 1.0
element vertex 4
property double x
property double y
property double z
element face 2
property list uint8 uint32 vertex_index
property float red
property float green
property float blue
property float alpha
end_header
0 0 0
1 0 0
1 1 0
0 1 0
4 0 1 2 3 1 0.5 0 1
3 0 1 3 0 0 1 0.25
"""
    surface = read_ply(folder({"m.ply": content}), "m.ply")
    rgba = [[1, 0.5, 0, 1], [1, 0.5, 0, 1], [0, 0, 1, 0.25]]
    assert surface.face_rgba.tolist() == rgba


@pytest.mark.parametrize("place", ["vertex", "face"])
def test_textures(folder, place: str) -> None:
    uvs = [(0.1, 0), (0.2, 0), (0.2, 0.1), (0.1, 0.1)]
    vertex = "property float s\nproperty float t\n" if place == "vertex" else ""
    face = "property list uchar float texcoord\n" if place == "face" else ""
    rows = [
        f"{x} {y} {z}" + (f" {u} {v}" if vertex else "")
        for (x, y, z, *_), (u, v) in zip(VERTICES, uvs, strict=True)
    ]
    corners = "4 0 1 2 3" + (" 8 " + " ".join(f"{u} {v}" for u, v in uvs) if face else "")
    content = (
        "ply\nformat ascii 1.0\ncomment TextureFile my wood.png\nelement vertex 4\n"
        f"property float x\nproperty float y\nproperty float z\n{vertex}"
        f"element face 1\nproperty list uchar int vertex_indices\n{face}end_header\n"
        + "\n".join([*rows, corners])
    )
    store = folder({"a/m.ply": content, "a/my wood.png": image()})
    surface = read_ply(store, "a/m.ply")
    assert surface.textured.all()
    assert surface.textures[0].shape == (2, 4, 4)
    assert surface.face_rgba[0].tolist() == pytest.approx([0, 1, 0, 1])
    assert np.sort(surface.uvs[..., 0], axis=None)[[0, -1]].tolist() == pytest.approx([0.1, 0.2])
    alone = read_ply(folder({"b/m.ply": content}), "b/m.ply")  # without its image
    assert not alone.textured.any()


@pytest.mark.parametrize(
    ("content", "message"),
    [
        ("", "not a PLY file"),
        ("ply\nformat ascii 1.0\n", "not a PLY file"),
        ("ply\nformat morse 1.0\nend_header\n", "the format must be one of ascii"),
        ("ply\nformat ascii 1.0\nelement vertex -5\nend_header\n", "a name and a count"),
        ("ply\nformat ascii 1.0\nproperty int x\nend_header\n", "property before any element"),
        (text("3 0 1 2").replace("float x", "quad x"), "unknown property 'property quad x'"),
        (text("3 0 1 2").replace("float x", "float w"), "must have a number x"),
        (text("3 0 1 2").replace("vertex_indices", "strips"), "has no faces"),
        (text(), "has no faces"),
        (text("3 0 1 4"), "names vertex 4 .* of 4 vertices"),
        (text("3 0 1 -1"), "names vertex -1"),
        (text("3 0 1 0.5"), "not whole"),
        (text("3 0 1 nan"), "not whole"),
        (text("-3 0 1 2"), "a list claims -3 entries"),
        (text("3 0 1 x"), "not made of numbers"),
        (text("3 0 1 2", vertices=[("nan", *row[1:]) for row in VERTICES]), "not a finite"),
        (text("3 0 1 2").replace("vertex 4", "vertex 2000000000"), "claims 2000000000 rows"),
        (text("3 0 1 2").replace("face 1", "face 2000000000"), "claims 2000000000 rows of face"),
        (text("3 0 1 2").replace("face 1", "face 2"), "rows of face|claims 2 rows"),
        (text("2000000000 0 1 2"), "a list claims 2e.09 entries"),
        (binary("<", (0, 1, 2))[:-1], "a list claims 3 entries of 4 bytes, 11 bytes are left"),
        (binary("<", (0, 1, 2), (0, 1, 2, 3))[:-2], "a list claims 4 entries"),
        (binary("<", (0, 1, 2), (0, 1, 2))[:-13], "claims 2 rows of face|ends within"),
    ],
)
def test_malformed_files(folder, content: str | bytes, message: str) -> None:
    with pytest.raises(ValueError, match=message):
        read_ply(folder({"m.ply": content}), "m.ply")


def test_elements_without_properties_or_of_other_kinds_are_passed_over(folder) -> None:
    more = "element camera 1\nproperty float fov\nelement void 4000000000\nend_header"
    content = text("3 0 1 2").replace("end_header", more) + "35\n"
    assert read_ply(folder({"m.ply": content}), "m.ply").num_faces == 1


@pytest.mark.parametrize("end", ["\r", "\r\n"])
@pytest.mark.parametrize("first", [0.0, struct.unpack("<f", b"\n\0\0\0")[0]])
def test_binary_rows_after_headers_of_other_ends(folder, end: str, first: float) -> None:
    """A row may begin with the byte of a line feed, which is no part of the header's last line."""
    data = binary("<", (0, 1, 2))
    split = data.index(b"end_header\n") + len(b"end_header\n")
    rows = struct.pack("<f", first) + data[split + 4 :]
    surface = read_ply(folder({"m.ply": data[:split].replace(b"\n", end.encode()) + rows}), "m.ply")
    assert surface.faces.tolist() == [[0, 1, 2]]
    assert surface.vertices[0, 0] == first


@pytest.mark.parametrize(
    "content",
    [
        "\ufeff" + text("4 0 1 2 3"),
        text("4 0 1 2 3").encode("utf-16"),
        text("4 0 1 2 3").replace("\n", "\r"),
        text("4 0 1 2 3").replace("made by hand", "before end_header comes"),
        text("4 0 1 2 3").replace("made by hand", "w\u00fcrfel").encode("latin-1"),
    ],
)
def test_texts_of_other_programs(folder, content: str | bytes) -> None:
    surface = read_ply(folder({"m.ply": content}), "m.ply")
    assert surface.faces.tolist() == [[0, 1, 2], [0, 2, 3]]


def test_what_is_no_number_may_stand_where_it_does_not_count(folder) -> None:
    content = text("3 0 1 2", vertices=[*VERTICES[:3], ("-nan(ind)", 0, 0, 0, 0, 0)])
    assert read_ply(folder({"m.ply": content}), "m.ply").faces.tolist() == [[0, 1, 2]]


def strips(*lists: str, faces: str = "") -> str:
    header = text(vertices=VERTICES).partition("element face")[0]
    rows = text(vertices=VERTICES).partition("end_header\n")[2]
    element = f"element tristrips {len(lists)}\nproperty list int int vertex_indices\n"
    polygons = "element face 1\nproperty list uchar int vertex_indices\n" if faces else ""
    return f"{header}{polygons}{element}end_header\n{rows}{faces}" + "\n".join(lists) + "\n"


@pytest.mark.parametrize(
    ("content", "faces"),
    [
        (strips("4 0 1 2 3"), [[0, 1, 2], [3, 2, 1]]),
        (strips("8 0 1 2 -1 1 2 3 -1"), [[0, 1, 2], [1, 2, 3]]),
        (strips("3 0 1 2", "3 1 2 3"), [[0, 1, 2], [1, 2, 3]]),
        (strips("7 0 1 2 2 3 3 1"), [[0, 1, 2]]),  # corners named twice join two strips
        (strips("2 0 1", "0", "3 3 2 1"), [[3, 2, 1]]),
        (strips("3 0 1 2", faces="3 1 2 3\n"), [[1, 2, 3], [0, 1, 2]]),
    ],
)
def test_strips(folder, content: str, faces: list[list[int]]) -> None:
    surface = read_ply(folder({"m.ply": content}), "m.ply")
    assert surface.faces.tolist() == faces
    assert surface.face_rgba[:, 3].tolist() == [1] * len(faces)


def test_strips_of_nothing_are_refused(folder) -> None:
    with pytest.raises(ValueError, match=r"no faces .* or tristrips"):
        read_ply(folder({"m.ply": strips("2 0 1")}), "m.ply")
