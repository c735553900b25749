"""Binary glTF 2.0, with colours of vertices (linear light) or a texture (sRGB).

Source: Khronos Group, glTF 2.0 specification, sections 3.7.2.1, 3.9.2 and 4.4.
"""

from __future__ import annotations

import io
import json
import struct
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray
from PIL import Image

from recon.files import atomic_file
from recon.formats.meshes.writing.mesh_arrays import MeshArrays

FLOAT, UNSIGNED_INT = 5126, 5125
VERTICES, INDICES = 34962, 34963  # targets of buffer views
LINEAR, CLAMP = 9729, 33071


def srgb_to_linear(colors: NDArray[np.float32]) -> NDArray[np.float32]:
    """Returns sRGB colours in [0, 1] as linear light (IEC 61966-2-1)."""
    values = colors.astype(np.float64)
    curve = ((values + 0.055) / 1.055) ** 2.4
    return np.where(values <= 0.04045, values / 12.92, curve).astype(np.float32)


def write_glb(path: Path, mesh: MeshArrays) -> None:
    """Writes a .glb file of one mesh with a dull material that shows both sides.

    A texture needs corners of its own for every face, so vertices are then repeated.

    Raises:
        OSError: If the file could not be written.
    """
    document = _Document()
    if mesh.texture is None or mesh.uvs is None:
        vertices, faces = mesh.vertices, mesh.faces
    else:
        vertices = mesh.vertices[mesh.faces].reshape(-1, 3)
        faces = np.arange(len(vertices)).reshape(-1, 3)
    attributes = {"POSITION": document.add_positions(vertices)}
    if mesh.colors is not None:
        attributes["COLOR_0"] = document.add_vectors(srgb_to_linear(mesh.colors))
    material: dict[str, Any] = {
        # The defaults are those of polished metal, which is black where nothing is mirrored in it.
        "pbrMetallicRoughness": {"metallicFactor": 0.0, "roughnessFactor": 1.0},
        "doubleSided": True,
    }
    if mesh.texture is not None and mesh.uvs is not None:
        places = mesh.uvs.reshape(-1, 2).copy()
        places[:, 1] = 1 - places[:, 1]  # glTF counts from the top
        attributes["TEXCOORD_0"] = document.add_vectors(places)
        document.add_texture(mesh.texture)
        material["pbrMetallicRoughness"]["baseColorTexture"] = {"index": 0}
    indices = document.add_indices(faces)
    primitive = {"attributes": attributes, "indices": indices, "material": 0}
    document.json |= {
        "meshes": [{"primitives": [primitive]}],
        "materials": [material],
    }
    with atomic_file(path) as file:
        file.write(document.content())


class _Document:
    """A glTF document whose one buffer grows."""

    def __init__(self) -> None:
        self.json: dict[str, Any] = {
            "asset": {"version": "2.0"},
            "scene": 0,
            "scenes": [{"nodes": [0]}],
            "nodes": [{"mesh": 0}],
            "accessors": [],
            "bufferViews": [],
        }
        self._buffer = b""

    def add_positions(self, values: NDArray[np.float32]) -> int:
        """Adds vectors with their bounds, which the specification asks of positions."""
        accessor = self.add_vectors(values)
        bounds = {"min": values.min(axis=0).tolist(), "max": values.max(axis=0).tolist()}
        self.json["accessors"][accessor] |= bounds
        return accessor

    def add_vectors(self, values: NDArray[np.float32]) -> int:
        """Adds rows of 2 or 3 numbers and returns their accessor."""
        view = self._view(values.astype("<f4").tobytes(), VERTICES)
        kind = f"VEC{values.shape[1]}"
        return self._accessor(view, FLOAT, len(values), kind)

    def add_indices(self, faces: NDArray[np.int64]) -> int:
        """Adds the corners of triangles and returns their accessor."""
        view = self._view(faces.astype("<u4").tobytes(), INDICES)
        return self._accessor(view, UNSIGNED_INT, faces.size, "SCALAR")

    def add_texture(self, image: NDArray[np.uint8]) -> None:
        """Adds an image as PNG, as texture 0; smaller copies of it would mix faces."""
        png = io.BytesIO()
        Image.fromarray(image).save(png, format="PNG")
        view = self._view(png.getvalue(), None)
        sampler = {"magFilter": LINEAR, "minFilter": LINEAR, "wrapS": CLAMP, "wrapT": CLAMP}
        self.json |= {
            "images": [{"bufferView": view, "mimeType": "image/png"}],
            "samplers": [sampler],
            "textures": [{"source": 0, "sampler": 0}],
        }

    def content(self) -> bytes:
        """Returns the whole file."""
        self.json["buffers"] = [{"byteLength": len(self._buffer)}]
        text = json.dumps(self.json, separators=(",", ":")).encode()
        text += b" " * (-len(text) % 4)
        chunks = _chunk(b"JSON", text) + _chunk(b"BIN\0", self._buffer)
        return b"glTF" + struct.pack("<II", 2, 12 + len(chunks)) + chunks

    def _view(self, data: bytes, target: int | None) -> int:
        view = {"buffer": 0, "byteOffset": len(self._buffer), "byteLength": len(data)}
        if target is not None:
            view["target"] = target
        self.json["bufferViews"].append(view)
        self._buffer += data + b"\0" * (-len(data) % 4)  # views start at multiples of four
        return len(self.json["bufferViews"]) - 1

    def _accessor(self, view: int, kind: int, count: int, shape: str) -> int:
        accessor = {"bufferView": view, "componentType": kind, "count": count, "type": shape}
        self.json["accessors"].append(accessor)
        return len(self.json["accessors"]) - 1


def _chunk(kind: bytes, data: bytes) -> bytes:
    return struct.pack("<I", len(data)) + kind + data
