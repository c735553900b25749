from __future__ import annotations

import json
import struct

import numpy as np
import pytest

from recon.formats.meshes.reading.gltf_container import Container

JSON = {"asset": {"version": "2.0"}, "buffers": [{"byteLength": 4}], "images": [{"uri": "a.png"}]}


def glb(text: bytes, total: int | None = None, length: int | None = None) -> bytes:
    chunk = struct.pack("<I4s", len(text) if length is None else length, b"JSON") + text
    return struct.pack("<4sII", b"glTF", 2, 12 + len(chunk) if total is None else total) + chunk


def test_chunks_and_lists(folder) -> None:
    store = folder({"a/m.glb": glb(json.dumps(JSON).encode()), "a/a.png": b"image"})
    container = Container(store, "a/m.glb")
    assert container.entries("images") == [{"uri": "a.png"}]
    assert container.entries("meshes") == []
    assert container.image(0) == b"image"
    with pytest.raises(ValueError, match="image 1 does not exist, there are 1"):
        container.image(1)


def test_normalised_integers(folder) -> None:
    values = np.array([-128, -127, 0, 127], np.int8)
    document = {
        **JSON,
        "buffers": [{"uri": "m.bin"}],
        "bufferViews": [{"buffer": 0, "byteLength": 4}],
        "accessors": [
            {"bufferView": 0, "componentType": 5120, "count": 4, "type": "SCALAR",
             "normalized": True},
            {"bufferView": 0, "componentType": 5121, "count": 2, "type": "VEC2"},
            {"bufferView": 0, "componentType": 5121, "count": 0, "type": "VEC2"},
        ],
    }  # fmt: skip
    store = folder({"m.gltf": json.dumps(document), "m.bin": values.tobytes()})
    container = Container(store, "m.gltf")
    assert container.accessor(0).ravel().tolist() == [-1, -1, 0, 1]
    assert container.accessor(1).tolist() == [[128, 129], [0, 127]]
    assert container.accessor(2).shape == (0, 2)
    with pytest.raises(ValueError, match="accessor 1 has VEC2 of 5121"):
        container.accessor(1, 3)


@pytest.mark.parametrize(
    ("content", "message"),
    [
        (b"", "not a glTF file"),
        (b"glTF", "the file is truncated"),
        (glb(b"{}", total=2**31), "truncated: it claims 2147483648 bytes and has 22"),
        (glb(b"{}", length=2**31), "a chunk claims 2147483648 bytes at byte 12"),
        (glb(b"{}")[:-1], "truncated: it claims 22 bytes and has 21"),
        (glb(b"{"), "not a glTF file"),
        (glb(b"[]"), "an object is required"),
        (glb(b"{}"), "only glTF 2 can be read"),
        (glb(b"\xff\xff"), "not a glTF file"),
        (b"[" * 100_000, "not a glTF file"),
        (glb(json.dumps({**JSON, "extensionsRequired": 1}).encode()), "a list is required"),
    ],
)
def test_malformed_files(folder, content: bytes, message: str) -> None:
    with pytest.raises(ValueError, match=message):
        Container(folder({"m.glb": content}), "m.glb")


def test_data_uris_must_be_base64(folder) -> None:
    document = {**JSON, "images": [{"uri": "data:image/png;base64,???"}]}
    container = Container(folder({"m.gltf": json.dumps(document)}), "m.gltf")
    with pytest.raises(ValueError, match="not base64"):
        container.image(0)
