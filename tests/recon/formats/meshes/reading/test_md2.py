from __future__ import annotations

import io
import struct

import pytest
from PIL import Image

from recon.formats.meshes import read_textured_mesh
from recon.formats.meshes.reading.md2 import HEADER, read_md2


def md2(triangle: tuple[int, ...] = (0, 1, 2, 0, 1, 2), skin: str = "models/x/skin.pcx") -> bytes:
    skins = skin.encode().ljust(64, b"\0")
    corners = struct.pack("<6h", 0, 0, 8, 0, 0, 8)
    triangles = struct.pack("<6H", *triangle)
    frame = struct.pack("<6f16s", 2, 1, 1, 10, 0, 0, b"frame")
    frame += bytes([0, 0, 0, 0, 5, 0, 0, 0, 0, 7, 0, 0])
    at = [HEADER.size]
    for block in (skins, corners, triangles, frame):
        at.append(at[-1] + len(block))
    header = HEADER.pack(
        844121161, 8, 8, 8, len(frame), 1, 3, 3, 1, 0, 1, at[0], at[1], at[2], at[3], at[4], at[4]
    )
    return header + skins + corners + triangles + frame


def png(color: tuple[int, int, int]) -> bytes:
    stream = io.BytesIO()
    Image.new("RGB", (2, 2), color).save(stream, "PNG")
    return stream.getvalue()


def test_frame_is_scaled_and_shifted_and_turned_outward(folder) -> None:
    surface = read_md2(folder({"m.md2": md2()}), "m.md2")
    assert surface.vertices.tolist() == [[10, 0, 0], [20, 0, 0], [10, 7, 0]]
    assert surface.faces.tolist() == [[2, 1, 0]]
    assert surface.face_rgba[0] == pytest.approx([0.6, 0.6, 0.6, 1])


@pytest.mark.parametrize(
    ("skin", "place"),
    [
        ("models/x/skin.pcx", "models/x/skin.png"),
        ("models/x/skin.pcx", "a/skin.jpg"),
        (".other", "a/other.png"),
        ("", "a/m.png"),
    ],
)
def test_skins_are_found_where_the_games_look(folder, skin: str, place: str) -> None:
    store = folder({"a/m.md2": md2(skin=skin), place: png((0, 0, 255))})
    surface = read_md2(store, "a/m.md2")
    assert surface.textured.all()
    assert surface.face_rgba[0] == pytest.approx([0, 0, 1, 1], abs=0.02)


@pytest.mark.parametrize("size", [0, 10, 68, 130, 150, 170, 190])
def test_cut_files_are_refused(folder, size: int) -> None:
    with pytest.raises(ValueError, match=r"^m\.md2: "):
        read_textured_mesh(folder({"m.md2": md2()[:size]}), "m.md2")


@pytest.mark.parametrize(
    ("data", "message"),
    [
        (b"IDPO" + md2()[4:], "not MD2"),
        (md2((0, 1, 3, 0, 1, 2)), "vertex 3"),
        (md2((0, 1, 2, 0, 1, 9)), "texture corner 9"),
        (md2()[:24] + struct.pack("<i", 2**31 - 1) + md2()[28:], "m.md2"),
        (md2()[:32] + struct.pack("<i", -5) + md2()[36:], "m.md2"),
    ],
)
def test_lying_files_are_refused(folder, data: bytes, message: str) -> None:
    with pytest.raises(ValueError, match=message):
        read_textured_mesh(folder({"m.md2": data}), "m.md2")
