from __future__ import annotations

import io
import struct

import pytest
from PIL import Image

from recon.formats.meshes import read_textured_mesh
from recon.formats.meshes.reading.md3 import FILE_HEADER, SURFACE_HEADER, read_md3


def part(name: str, shader: str, triangle: tuple[int, ...] = (0, 1, 2)) -> bytes:
    shaders = struct.pack("<64si", shader.encode(), 0)
    triangles = struct.pack("<3i", *triangle)
    uvs = struct.pack("<6f", 0, 0, 1, 0, 0, 1)
    vertices = struct.pack("<12h", 0, 0, 0, 0, 64, 0, 0, 0, 0, 128, 0, 0)
    at = [SURFACE_HEADER.size]
    for block in (shaders, triangles, uvs, vertices):
        at.append(at[-1] + len(block))
    header = SURFACE_HEADER.pack(
        b"IDP3", name.encode(), 0, 1, 1, 3, 1, at[1], at[0], at[2], at[3], at[4]
    )
    return header + shaders + triangles + uvs + vertices


def md3(*parts: bytes, count: int | None = None) -> bytes:
    start = FILE_HEADER.size
    number = len(parts) if count is None else count
    size = start + sum(map(len, parts))
    header = FILE_HEADER.pack(b"IDP3", 15, b"m", 0, 1, 0, number, 0, start, start, start, size)
    return header + b"".join(parts)


def png(color: tuple[int, int, int]) -> bytes:
    stream = io.BytesIO()
    Image.new("RGB", (2, 2), color).save(stream, "PNG")
    return stream.getvalue()


def test_parts_are_joined_with_their_names_and_shaders(folder) -> None:
    data = md3(part("body", "models\\x\\red.tga"), part("tip", "none"))
    store = folder({"m.md3": data, "models/x/red.png": png((255, 0, 0))})
    surface = read_md3(store, "m.md3")
    assert surface.vertices[:3].tolist() == [[0, 0, 0], [1, 0, 0], [0, 2, 0]]
    assert surface.faces.tolist() == [[2, 1, 0], [5, 4, 3]]
    assert surface.object_names == ("body", "tip")
    assert surface.face_rgba[0].tolist() == [1, 0, 0, 1]
    assert surface.face_rgba[1].tolist() == [0.5, 0.5, 0.5, 1]


GOOD = md3(part("body", "x"))


@pytest.mark.parametrize(
    ("data", "message"),
    [
        (b"", "not an MD3"),
        (b"IDP3", "not an MD3"),
        (GOOD[:200], "outside the file"),
        (GOOD[:-10], "m.md3"),
        (md3(part("b", "x"), count=2), "surface 1 of 2 lies outside"),
        (md3(count=0), "no surfaces"),
        (md3(part("b", "x", (0, 1, 3))), "vertex 3 of 3"),
        (md3(part("b", "x", (0, 1, -1))), "vertices"),
    ],
)
def test_bad_files_are_refused_with_their_name(folder, data: bytes, message: str) -> None:
    with pytest.raises(ValueError, match=message) as caught:
        read_textured_mesh(folder({"m.md3": data}), "m.md3")
    assert str(caught.value).startswith("m.md3: ")
