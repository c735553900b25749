"""Quake III models (.md3): several textured meshes, of which the first frame is read."""

from __future__ import annotations

import struct

import numpy as np

from recon.formats.meshes.reading.materials import Material, find_image, paint_faces
from recon.formats.meshes.reading.textured_mesh import TexturedMesh, concatenate
from recon.formats.stores import Store, join_name

FILE_HEADER = struct.Struct("<4si64s9i")
SURFACE_HEADER = struct.Struct("<4s64s10i")
SHADER_BYTES = 68  # a 64-byte name and a number
UNITS = 1 / 64  # of the packed 16-bit coordinates
UNTEXTURED = (0.5, 0.5, 0.5)
SKIN_SUFFIXES = (".tga", ".jpg", ".png")


def read_md3(store: Store, name: str) -> TexturedMesh:
    """Reads the first frame of all surfaces of an MD3 file.

    Raises:
        ValueError: If it is not MD3, is cut short, or a triangle names a missing vertex.
    """
    data = store.read(name)
    if len(data) < FILE_HEADER.size or data[:4] != b"IDP3":
        raise ValueError("not an MD3 file: it must begin with 'IDP3' and a full header")
    surfaces, start = FILE_HEADER.unpack_from(data)[6], FILE_HEADER.unpack_from(data)[10]
    parts = []
    for index in range(surfaces):
        if not 0 < start <= len(data) - SURFACE_HEADER.size:
            raise ValueError(f"surface {index} of {surfaces} lies outside the file")
        part, size = _read_surface(store, name, data, start)
        parts.append(part)
        if size <= 0:
            raise ValueError(f"surface {index} of {surfaces} has size {size}")
        start += size
    if not parts:
        raise ValueError("the file holds no surfaces")
    return concatenate(parts)


def _read_surface(store: Store, name: str, data: bytes, start: int) -> tuple[TexturedMesh, int]:
    """Returns one surface and its length in bytes."""
    (_, label, _, _, shaders, vertices, triangles, triangle_at, shader_at, uv_at,
     vertex_at, size) = SURFACE_HEADER.unpack_from(data, start)  # fmt: skip
    faces = np.frombuffer(data, "<i4", 3 * triangles, start + triangle_at).reshape(-1, 3)[:, ::-1]
    uvs = np.frombuffer(data, "<f4", 2 * vertices, start + uv_at).reshape(-1, 2).astype(np.float64)
    uvs[:, 1] = 1 - uvs[:, 1]
    packed = np.frombuffer(data, "<i2", 4 * vertices, start + vertex_at).reshape(-1, 4)
    if len(faces) and (faces.min() < 0 or faces.max() >= vertices):
        raise ValueError(f"a triangle names vertex {faces.max()} of {vertices} vertices")
    texture, named = None, ""
    for index in range(min(shaders, 32)):
        at = start + shader_at + SHADER_BYTES * index
        shader = _text(data[at : at + 64]).replace("\\", "/")
        stems = [shader, join_name(name, shader.rsplit("/", 1)[-1])]
        texture, named = texture or find_image(store, stems, SKIN_SUFFIXES), named or shader
    missing = (f"no file {named} (its skin)",) if named and not texture else ()
    color = (1.0, 1.0, 1.0) if texture else UNTEXTURED
    material = Material("", color, texture=texture, missing=missing)
    zeros = np.zeros(len(faces), np.int64)
    surface = TexturedMesh(
        vertices=packed[:, :3] * UNITS,
        faces=faces.astype(np.int64),
        **paint_faces(store, [material], zeros, uvs[faces]),
        face_objects=zeros,
        object_names=(_text(label),),
    )
    return surface, size


def _text(data: bytes) -> str:
    return data.split(b"\0")[0].decode("latin-1")
