from __future__ import annotations

import io

import pytest
from PIL import Image

from recon.formats.meshes import read_textured_mesh
from recon.formats.meshes.reading.ac3d import read_ac3d

MATERIALS = """MATERIAL "red" rgb 1 0 0  amb 0 0 0  emis 0 0 0  spec 0 0 0  shi 1  trans 0
MATERIAL "pane" rgb 0 0 1  amb 0 0 0  emis 0 0 0  spec 0 0 0  shi 1  trans 0.75
"""
TRIANGLE = """numvert 3
0 0 0
1 0 0
0 1 0
numsurf 1
SURF 0x20
mat {material}
refs 3
0 0 0
1 1 0
2 0 1
"""


def world(*objects: str) -> str:
    return f"AC3Db\n{MATERIALS}OBJECT world\nkids {len(objects)}\n" + "".join(objects)


def poly(name: str, head: str = "", material: int = 0, kids: str = "kids 0\n") -> str:
    return f'OBJECT poly\nname "{name}"\n{head}' + TRIANGLE.format(material=material) + kids


def png(color: tuple[int, int, int]) -> bytes:
    stream = io.BytesIO()
    Image.new("RGB", (2, 2), color).save(stream, "PNG")
    return stream.getvalue()


def test_materials_and_names(folder) -> None:
    surface = read_ac3d(folder({"m.ac": world(poly("a"), poly("b", material=1))}), "m.ac")
    assert surface.face_rgba.tolist() == [[1, 0, 0, 1], [0, 0, 1, 0.25]]
    assert surface.object_names == ("a", "b")
    assert surface.faces.tolist() == [[0, 1, 2], [3, 4, 5]]


def test_placement_is_inherited(folder) -> None:
    turn = "rot 0 1 0 -1 0 0 0 0 1\n"  # row vectors: x -> y, y -> -x
    child = poly("child", "loc 1 0 0\n")
    group = f"OBJECT group\n{turn}loc 0 0 5\nkids 1\n{child}"
    surface = read_ac3d(folder({"m.ac": world(group, poly("after"))}), "m.ac")
    assert surface.vertices[:3].tolist() == [[0, 1, 5], [0, 2, 5], [-1, 1, 5]]
    assert surface.vertices[3:].tolist() == [[0, 0, 0], [1, 0, 0], [0, 1, 0]]


def test_skipped_objects_take_their_children_along(folder) -> None:
    text = world(poly("Prop Blur", kids="kids 1\n" + poly("child")), poly("body"))
    surface = read_ac3d(folder({"m.ac": text}), "m.ac", skip="blur")
    assert surface.object_names == ("body",)


def test_strips_polygons_and_lines(folder) -> None:
    corners = "0 0 0\n1 0 0\n2 0 0\n3 0 0\n"
    surfaces = "".join(f"SURF {flags}\nmat 0\nrefs 4\n{corners}" for flags in ("0x14", "0", "0x2"))
    text = world(
        f"OBJECT poly\nnumvert 4\n0 0 0\n1 0 0\n0 1 0\n1 1 0\nnumsurf 3\n{surfaces}kids 0\n"
    )
    faces = read_ac3d(folder({"m.acc": text}), "m.acc").faces.tolist()
    assert faces[:2] == [[0, 1, 2], [2, 1, 3]]
    assert len(faces) == 4


def test_textures_repeat_offset_and_folders(folder) -> None:
    store = folder(
        {
            "a/m.ac": world(poly("x", 'texture "C:\\art\\skin.png"\ntexrep 2 2\ntexoff 0.5 0\n')),
            "a/skin.png": png((0, 255, 0)),
            "b/Skin.png": png((255, 255, 255)),
            "a/base.png": png((255, 255, 255)),
            "t.ac": world(poly("x", 'texture "a/base.png" base\ntexture "a/skin.png" skids\n')),
        }
    )
    surface = read_ac3d(store, "a/m.ac")
    assert surface.face_rgba[0].tolist() == [0, 0, 0, 1]  # red times green
    assert surface.textures[0][0, 0].tolist() == [0, 0, 0, 255]
    assert surface.uvs is not None
    assert surface.uvs[0].tolist() == [[0.5, 0.0], [2.5, 0.0], [0.5, 2.0]]
    kept = read_ac3d(store, "a/m.ac", texture_folder="../b").face_rgba[0]
    assert kept.tolist() == [1, 0, 0, 1]
    assert read_ac3d(store, "t.ac").face_rgba[0].tolist() == [1, 0, 0, 1]


def test_text_data_is_not_parsed(folder) -> None:
    data = "data 25\nOBJECT poly\nnumvert 99\nxx\n"
    surface = read_ac3d(folder({"m.ac": world(poly("x", data))}), "m.ac")
    assert len(surface.faces) == 1


def test_fewer_surfaces_than_announced(folder) -> None:
    text = world(poly("x").replace("numsurf 1", "numsurf 3"), poly("y"))
    assert read_ac3d(folder({"m.ac": text}), "m.ac").object_names == ("x", "y")


@pytest.mark.parametrize(
    ("text", "message"),
    [
        ("hello", "not an AC3D file"),
        ("", "not an AC3D file"),
        (world(poly("x")).replace("2 0 1\n", "3 0 1\n"), "'x': a surface names vertex 3"),
        (world(poly("x")).replace("numvert 3", "numvert 99999999999"), "file ends after"),
        (world(poly("x")).replace("0 1 0\nnums", "0 nan 0\nnums"), "not a finite"),
        (world(poly("x")).replace("numvert 3", "numvert many"), "many"),
        (world(poly("x")).split("1 1 0")[0], "file ends after 1 of 3 surface corners"),
    ],
)
def test_bad_files_are_refused_with_their_name(folder, text: str, message: str) -> None:
    with pytest.raises(ValueError, match=message) as caught:
        read_textured_mesh(folder({"m.ac": text}), "m.ac")
    assert str(caught.value).startswith("m.ac: ")


def test_deep_nesting_is_no_recursion(folder) -> None:
    text = "AC3Db\n" + "OBJECT group\nloc 1 0 0\nkids 1\n" * 5000 + poly("x")
    assert read_ac3d(folder({"m.ac": text}), "m.ac").vertices[0].tolist() == [5000, 0, 0]


def test_subdivision_surfaces_are_refused(folder) -> None:
    assert read_ac3d(folder({"m.ac": world(poly("a", "subdiv 0\n"))}), "m.ac").num_faces == 1
    with pytest.raises(ValueError, match=r"object 'a' is a subdivision surface \(subdiv 2\)"):
        read_ac3d(folder({"m.ac": world(poly("a", "subdiv 2\n"))}), "m.ac")


def test_mirrored_objects_are_turned_round(folder) -> None:
    text = world(poly("a", "rot -1 0 0 0 1 0 0 0 1\n"), poly("b"))
    surface = read_ac3d(folder({"m.ac": text}), "m.ac")
    assert surface.vertices[:3].tolist() == [[0, 0, 0], [-1, 0, 0], [0, 1, 0]]
    assert surface.faces.tolist() == [[2, 1, 0], [3, 4, 5]]


@pytest.mark.parametrize("encoding", ["utf-8", "utf-8-sig", "latin-1"])
@pytest.mark.parametrize("end", ["\n", "\r"])
def test_names_and_data_in_every_encoding(folder, encoding: str, end: str) -> None:
    note = "gr\u00f8n\nsecond line"
    length = len(note.encode(encoding.removesuffix("-sig")))
    text = world(poly("gr\u00f8n", f"data {length}\n{note}\n")).replace("\n", end)
    surface = read_ac3d(folder({"m.ac": text.encode(encoding)}), "m.ac")
    assert surface.object_names == ("gr\u00f8n",)
    assert surface.num_faces == 1


def test_missing_textures_are_named_once(folder) -> None:
    text = world(*[poly(name, 'texture "C:\\gone.rgb"\n') for name in "ab"])
    with pytest.warns(UserWarning, match=r"m\.ac: no file C:\\gone\.rgb \(a texture\)$"):
        surface = read_textured_mesh(folder({"m.ac": text}), "m.ac")
    assert surface.face_rgba.tolist() == [[1, 0, 0, 1]] * 2
