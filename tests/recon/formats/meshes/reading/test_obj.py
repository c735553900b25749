from __future__ import annotations

import io

import numpy as np
import pytest
from PIL import Image

from recon.formats.meshes import read_textured_mesh
from recon.formats.meshes.reading.obj import read_obj

SQUARE = "v 0 0 0\nv 1 0 0\nv 1 1 0\nv 0 1 0\n"


def png(color: tuple[int, int, int]) -> bytes:
    stream = io.BytesIO()
    Image.new("RGB", (2, 2), color).save(stream, "PNG")
    return stream.getvalue()


@pytest.mark.parametrize(
    "face",
    ["1 2 3 4", "1/1 2/1 3/1 4/1", "1//7 2//7 3//7 4//7", "1/1/1 2/1/1 3/1/1 4/1/1",
     "-4 -3 -2 -1", "1/ 2/ 3/ 4/", "1 2/1 3//1 4", "1 2 3 4 # a comment"],
)  # fmt: skip
def test_every_way_to_write_a_quad(folder, face: str) -> None:
    surface = read_obj(folder({"m.obj": f"{SQUARE}vt 0 0\nf {face}\n"}), "m.obj")
    assert surface.faces.tolist() == [[0, 1, 2], [0, 2, 3]]


def test_negative_indices_count_back_from_the_face(folder) -> None:
    text = f"{SQUARE}f -4 -3 -2\nv 5 5 5\nv 6 5 5\nv 5 6 5\nf -3 -2 -1\n"
    assert read_obj(folder({"m.obj": text}), "m.obj").faces.tolist() == [[0, 1, 2], [4, 5, 6]]


def test_concave_polygon_is_not_filled_across_its_notch(folder) -> None:
    text = "v 0 0 0\nv 2 0 0\nv 2 2 0\nv 1 0.2 0\nv 0 2 0\nf 1 2 3 4 5\n"
    surface = read_obj(folder({"m.obj": text}), "m.obj")
    a, b, c = (surface.vertices[surface.faces[:, k]] for k in range(3))
    assert np.cross(b - a, c - a)[:, 2].sum() / 2 == pytest.approx(2.2)
    assert (np.cross(b - a, c - a)[:, 2] > 0).all()


def test_lines_with_comments_colours_and_continuations(folder) -> None:
    text = "v 0 0 0 1.0 0.5 0.5 # red\nv 1 0 0 1\nv \\\n1 1 0\nf 1 2 \\\n3\n"
    assert read_obj(folder({"m.obj": text}), "m.obj").vertices.tolist()[2] == [1, 1, 0]


def test_colours_of_vertices_serve_faces_without_a_material(folder) -> None:
    rows = ["0 0 0 1 0 0", "1 0 0 1 0 0", "1 1 0 1 0 0 # red", "0 1 0 0 0 2.5"]
    text = "".join(f"v {row}\n" for row in rows) + "f 1 2 3 4\nusemtl green\nf 1 2 3\n"
    rgba = read_obj(folder({"m.obj": text}), "m.obj").face_rgba
    wanted = [[1, 0, 0, 1], [2 / 3, 0, 1 / 3, 1], [0.1, 0.6, 0.1, 1]]
    assert rgba.ravel().tolist() == pytest.approx(np.ravel(wanted).tolist())
    short = text.replace("0 1 0 0 0 2.5", "0 1 0")
    rgba = read_obj(folder({"m.obj": short}), "m.obj").face_rgba
    assert rgba[0].tolist() == pytest.approx([0.7, 0.7, 0.7, 1])


def test_material_colours_opacity_and_textures(folder) -> None:
    mtl = (
        "newmtl red paint\nKd 0.9 0.1 0.1\nd 0.5\n"
        "newmtl glass\nkd 0.2 0.2 0.2\nTr 0.75\n"
        "newmtl wood\n\tKd 1 1 1\nmap_Kd -s 1 1 1 tex\\wood.png\n"
        "newmtl odd\nKd spectral x.rfl\n"
    )
    faces = "".join(
        f"usemtl {name}\nf 1/1 2/2 3/3\n" for name in ("red paint", "glass", "wood", "odd", "none")
    )
    obj = f"mtllib sub/my materials.mtl\n{SQUARE}vt 0 0\nvt 1 0\nvt 0 1\n{faces}"
    store = folder(
        {"m.obj": obj, "sub/my materials.mtl": mtl, "sub/tex/Wood.png": png((0, 51, 102))}
    )
    surface = read_obj(store, "m.obj")
    assert surface.textured.tolist() == [False, False, True, False, False]
    assert surface.uvs is not None
    assert surface.uvs[2].tolist() == [[0, 0], [1, 0], [0, 1]]
    assert surface.textures[0][0, 0].tolist() == [0, 51, 102, 255]
    rgba = surface.face_rgba
    assert rgba[0] == pytest.approx([0.9, 0.1, 0.1, 0.5])
    assert rgba[1] == pytest.approx([0.2, 0.2, 0.2, 0.25])
    assert rgba[2] == pytest.approx([0, 0.2, 0.4, 1])
    assert rgba[3] == pytest.approx([0.7, 0.7, 0.7, 1])
    assert rgba[4] == pytest.approx([0.7, 0.7, 0.7, 1])


def test_missing_library_falls_back_to_names_then_grey(folder) -> None:
    obj = f"mtllib gone.mtl\n{SQUARE}f 1 2 3\nusemtl Red\nf 1 2 3\nusemtl what\nf 1 3 4\n"
    rgba = read_obj(folder({"m.obj": obj}), "m.obj").face_rgba
    assert rgba[0] == pytest.approx([0.7, 0.7, 0.7, 1])
    assert rgba[2] == pytest.approx([0.7, 0.7, 0.7, 1])
    assert rgba[1] == pytest.approx([0.8, 0.1, 0.1, 1])


def test_library_beside_the_model_serves_a_wrong_name(folder) -> None:
    obj = f"mtllib C:\\export\\x.mtl\n{SQUARE}usemtl a\nf 1 2 3\n"
    store = folder({"m.obj": obj, "m.mtl": "newmtl a\nKd 0 0 1\nnewmtl b\n"})
    assert read_obj(store, "m.obj").face_rgba[0] == pytest.approx([0, 0, 1, 1])


def test_tiles_are_given_to_objects_in_order(folder) -> None:
    obj = f"{SQUARE}vt 0 0\n" + "".join(f"g {n}\nf 1/1 2/1 3/1\n" for n in "abc")
    store = folder({"m.obj": obj, "x/p.png": png((255, 0, 0)), "y/q.png": png((0, 255, 0))})
    surface = read_obj(store, "m.obj", tiles=["p.png", "q.png"])
    assert surface.face_rgba[:, :3].tolist() == [[1, 0, 0], [0, 1, 0], [0, 1, 0]]
    assert [surface.object_names[k] for k in surface.face_objects] == ["a", "b", "c"]


@pytest.mark.parametrize(
    ("text", "message"),
    [
        (SQUARE + "f 1 2 5\n", "vertex 5 of 4"),
        (SQUARE + "f 1 2 0\n", "vertex 0"),
        (SQUARE + "f -5 1 2\n", "of 4 vertices"),
        ("v 0 0 0\nv nan 0 0\nv 1 1 1\nf 1 2 3\n", "not a finite"),
        ("v 0 0 0\nv 1 0\nv 1 1 1\nf 1 2 3\n", "needs 3 numbers"),
        ("v 0 0 0\nv 1 zero 0\nv 1 1 1\nf 1 2 3\n", "zero"),
        (SQUARE + "f a b c\n", "m.obj"),
    ],
)
def test_bad_files_are_refused_with_their_name(folder, text: str, message: str) -> None:
    with pytest.raises(ValueError, match=message) as caught:
        read_textured_mesh(folder({"m.obj": text}), "m.obj")
    assert str(caught.value).startswith("m.obj: ")


@pytest.mark.parametrize("text", ["", "\x00\xff garbage", SQUARE, SQUARE + "f 1 2\nf\n"])
def test_no_faces_is_an_empty_surface(folder, text: str) -> None:
    surface = read_obj(folder({"m.obj": text}), "m.obj")
    assert len(surface.faces) == 0
    with pytest.raises(ValueError, match="no visible faces"):
        surface.mesh()
