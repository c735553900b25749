from __future__ import annotations

import io
import struct

import pytest
from PIL import Image

from recon.formats.meshes import read_textured_mesh
from recon.formats.meshes.reading.threeds import read_3ds


def chunk(kind: int, *content: bytes) -> bytes:
    body = b"".join(content)
    return struct.pack("<HI", kind, len(body) + 6) + body


def part(name: str, material: str, face: tuple[int, int, int] = (0, 1, 2)) -> bytes:
    vertices = chunk(0x4110, struct.pack("<H9f", 3, 0, 0, 0, 1, 0, 0, 0, 1, 0))
    uvs = chunk(0x4140, struct.pack("<H6f", 3, 0, 0, 1, 0, 0, 1))
    group = chunk(0x4130, material.encode() + b"\0", struct.pack("<HH", 1, 0))
    faces = chunk(0x4120, struct.pack("<H4H", 1, *face, 0), group)
    return chunk(0x4000, name.encode() + b"\0", chunk(0x4100, vertices, uvs, faces))


def material(name: str, *content: bytes) -> bytes:
    return chunk(0xAFFF, chunk(0xA000, name.encode() + b"\0"), *content)


def file(*content: bytes) -> bytes:
    return chunk(0x4D4D, chunk(0x0002, b"\3\0\0\0"), chunk(0x3D3D, *content))


RED = material("red", chunk(0xA020, chunk(0x0011, bytes([255, 0, 51]))))
BLUE = material("blue", chunk(0xA020, chunk(0x0010, struct.pack("<3f", 0, 0.5, 1))))


def test_parts_and_materials_in_bytes_and_floats(folder) -> None:
    data = file(RED, BLUE, part("a", "red"), part("b", "blue"), part("c", "unknown"))
    surface = read_3ds(folder({"m.3ds": data}), "m.3ds")
    assert surface.faces.tolist() == [[0, 1, 2], [3, 4, 5], [6, 7, 8]]
    assert surface.face_rgba[0] == pytest.approx([1, 0, 0.2, 1])
    assert surface.face_rgba[1] == pytest.approx([0, 0.5, 1, 1])
    assert surface.face_rgba[2] == pytest.approx([0.7, 0.7, 0.7, 1])
    assert surface.object_names == ("a", "b", "c")


def test_texture_in_a_sister_folder(folder) -> None:
    stream = io.BytesIO()
    Image.new("RGB", (2, 2), (0, 255, 0)).save(stream, "PNG")
    texture = material("skin", chunk(0xA020, chunk(0x0011, bytes([255] * 3))),
                       chunk(0xA200, chunk(0xA300, b"SKIN.PNG\0")))  # fmt: skip
    store = folder(
        {"models/m.3ds": file(texture, part("a", "skin")), "textures/skin.png": stream.getvalue()}
    )
    surface = read_3ds(store, "models/m.3ds")
    assert surface.textured.all()
    assert surface.face_rgba[0].tolist() == [0, 1, 0, 1]


GOOD = file(RED, part("a", "red"))


@pytest.mark.parametrize(
    ("data", "message"),
    [
        (b"", "not a 3DS file"),
        (b"hello world", "not a 3DS file"),
        (GOOD[:60], "m.3ds"),
        (GOOD[:-20], "m.3ds"),
        (file(RED), "no triangle mesh"),
        (file(part("a", "red", (0, 1, 3))), "'a': a face names vertex 3"),
        (file(chunk(0x4000, b"unterminated")), "not terminated"),
        (GOOD.replace(struct.pack("<H9f", 3, 0, 0, 0, 1, 0, 0, 0, 1, 0)[:2], b"\xff\xff"), "m.3ds"),
    ],
)
def test_bad_files_are_refused_with_their_name(folder, data: bytes, message: str) -> None:
    with pytest.raises(ValueError, match=message) as caught:
        read_textured_mesh(folder({"m.3ds": data}), "m.3ds").mesh()
    assert str(caught.value).startswith("m.3ds: ")


def test_a_chunk_of_length_zero_does_not_loop(folder) -> None:
    data = file(RED, part("a", "red")) + struct.pack("<HI", 0x3D3D, 0)
    assert len(read_3ds(folder({"m.3ds": data}), "m.3ds").faces) == 1
