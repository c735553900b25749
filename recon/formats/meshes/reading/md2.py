"""Quake II models (.md2): one skinned mesh, of which the first frame is read."""

from __future__ import annotations

import posixpath
import struct

import numpy as np

from recon.formats.meshes.reading.materials import Material, find_image, paint_faces
from recon.formats.meshes.reading.textured_mesh import TexturedMesh
from recon.formats.stores import Store, join_name

HEADER = struct.Struct("<17i")
MAGIC, VERSION = 844121161, 8  # 'IDP2'
SKIN_BYTES = 64
UNTEXTURED = (0.6, 0.6, 0.6)
SKIN_SUFFIXES = (".png", ".jpg", ".tga", ".pcx")


def read_md2(store: Store, name: str) -> TexturedMesh:
    """Reads the first frame of an MD2 file.

    Raises:
        ValueError: If it is not MD2 version 8, is cut short, or a triangle names a missing vertex.
    """
    data = store.read(name)
    if len(data) < HEADER.size:
        raise ValueError(f"an MD2 header has {HEADER.size} bytes, the file {len(data)}")
    (magic, version, width, height, _, skins, vertices, corners, triangles, _, _,
     skin_at, corner_at, triangle_at, frame_at, _, _) = HEADER.unpack_from(data)  # fmt: skip
    if (magic, version) != (MAGIC, VERSION):
        raise ValueError(f"not MD2 version {VERSION}: magic {magic}, version {version}")
    scale = np.frombuffer(data, "<f4", 3, frame_at).astype(np.float64)
    shift = np.frombuffer(data, "<f4", 3, frame_at + 12)
    packed = np.frombuffer(data, "u1", 4 * vertices, frame_at + 40).reshape(-1, 4)
    table = np.frombuffer(data, "<u2", 6 * triangles, triangle_at).reshape(-1, 6).astype(np.int64)
    texels = np.frombuffer(data, "<i2", 2 * corners, corner_at).reshape(-1, 2)
    uvs = texels / np.array([max(width, 1), max(height, 1)], np.float64)
    uvs[:, 1] = 1 - uvs[:, 1]
    if len(table) and table[:, 3:].max() >= len(uvs):
        raise ValueError(f"a triangle names texture corner {table[:, 3:].max()} of {len(uvs)}")
    skin_names = [_text(data, skin_at + SKIN_BYTES * k) for k in range(min(skins, 32))]
    texture = _find_skin(store, name, skin_names)
    color = (1.0, 1.0, 1.0) if texture else UNTEXTURED
    named = next(filter(None, skin_names), "")
    missing = (f"no file {named} (its skin)",) if named and not texture else ()
    material = Material("skin", color, texture=texture, missing=missing)
    zeros = np.zeros(len(table), np.int64)
    return TexturedMesh(
        vertices=packed[:, :3] * scale + shift,
        faces=table[:, 2::-1].copy(),  # clockwise in the file
        **paint_faces(store, [material], zeros, uvs[table[:, :2:-1]]),
        face_objects=zeros,
    )


def _text(data: bytes, start: int) -> str:
    return data[start : start + SKIN_BYTES].split(b"\0")[0].decode("latin-1")


def _find_skin(store: Store, name: str, skin_names: list[str]) -> str | None:
    """Looks for the skins as written, beside the model, and under the model's own name.

    A skin that begins with a dot lies beside the model.
    """
    own = posixpath.splitext(posixpath.basename(name))[0]
    for skin in filter(None, [*skin_names, own]):
        bare = skin.removeprefix(".")
        stems = [
            join_name(name, bare),
            bare,
            join_name(name, posixpath.basename(bare)),
            f"models/{bare}",
        ]
        found = find_image(store, stems, SKIN_SUFFIXES)
        if found is not None:
            return found
    return None
