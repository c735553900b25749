from __future__ import annotations

import numpy as np
import pytest
import trimesh

from recon.formats.meshes.reading.stl import read_stl

TEXT = """solid cube
facet normal 0 0 1
  outer loop
    vertex 0 0 0
    VERTEX 1e0 0 0
    vertex 0 1.5 -2
  endloop
endfacet
endsolid cube
"""


@pytest.mark.parametrize("kind", ["stl", "stl_ascii"])
def test_files_of_another_writer(folder, kind: str) -> None:
    mesh = trimesh.creation.icosphere(subdivisions=1)
    surface = read_stl(folder({"m.stl": mesh.export(None, kind)}), "m.stl")
    corners = surface.vertices[surface.faces]
    assert np.abs(corners - mesh.triangles).max() < 1e-6
    assert np.unique(surface.face_rgba, axis=0).tolist() == pytest.approx(
        np.array([[0.7, 0.7, 0.7, 1]])
    )


def test_text(folder) -> None:
    surface = read_stl(folder({"m.stl": TEXT}), "m.stl")
    assert surface.vertices.tolist() == [[0, 0, 0], [1, 0, 0], [0, 1.5, -2]]
    assert surface.faces.tolist() == [[0, 1, 2]]


def test_binary_file_whose_header_says_solid(folder) -> None:
    content = trimesh.creation.box().export(None, "stl")
    content = b"solid exported by x" + content[19:]
    assert read_stl(folder({"m.stl": content}), "m.stl").num_faces == 12


@pytest.mark.parametrize(
    ("content", "message"),
    [
        (b"", "at least 84 bytes, got 0"),
        (b"x" * 83, "at least 84 bytes, got 83"),
        (b" " * 80 + b"\xff\xff\xff\x7f" + b"\0" * 99, "claims 2147483647 triangles.*allows 1"),
        (trimesh.creation.box().export(None, "stl")[:-1], "claims 12 triangles, .* allows 11"),
        (TEXT.replace("VERTEX", "vertexes"), "2 vertices do not make 1 complete"),
        (TEXT[: TEXT.index("endfacet")], "3 vertices do not make 0 complete"),
        (TEXT.replace("1.5", "1,5"), "a number is required, got '1,5'"),
        (TEXT.replace("1.5", "nan"), "not a finite number"),
    ],
)
def test_malformed_files(folder, content: str | bytes, message: str) -> None:
    with pytest.raises(ValueError, match=message):
        read_stl(folder({"m.stl": content}), "m.stl")


def test_no_triangles(folder) -> None:
    assert read_stl(folder({"m.stl": "solid\nendsolid\n"}), "m.stl").num_faces == 0


def test_text_in_other_encodings_and_with_other_ends(folder) -> None:
    contents = [
        TEXT.replace("\n", "\r").encode(),
        b"\xef\xbb\xbf" + TEXT.encode(),
        TEXT.encode("utf-16"),
        TEXT.replace("solid cube", "solid w\u00fcrfel").encode("latin-1"),
        TEXT.replace("0 0 1", "-nan(ind) 0 0").encode(),
    ]
    for content in contents:
        surface = read_stl(folder({"m.stl": content}), "m.stl")
        assert surface.vertices.tolist() == [[0, 0, 0], [1, 0, 0], [0, 1.5, -2]]


@pytest.mark.parametrize("more", [0, 1, 2, 49, 51])
def test_bytes_after_the_last_triangle_do_not_count(folder, more: int) -> None:
    binary = trimesh.creation.box().export(None, "stl")
    for header in (b"solid facet vertex".ljust(80), b"\0" * 80):
        content = header + binary[80:] + b"x" * more
        assert read_stl(folder({"m.stl": content}), "m.stl").num_faces == 12
