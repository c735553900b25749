"""3D Studio files (.3ds): a tree of chunks, each a 16-bit kind and a 32-bit length."""

from __future__ import annotations

import posixpath
import struct
from collections.abc import Iterator
from dataclasses import dataclass, field

import numpy as np
from numpy.typing import NDArray

from recon.formats.meshes.reading.companions import FOLDERS, find_companion
from recon.formats.meshes.reading.materials import Material, paint_faces
from recon.formats.meshes.reading.textured_mesh import TexturedMesh
from recon.formats.stores import Store

CHUNK = struct.Struct("<HI")
MAIN, EDITOR, OBJECT, TRIANGLES = 0x4D4D, 0x3D3D, 0x4000, 0x4100
VERTICES, FACES, FACE_MATERIAL, UVS = 0x4110, 0x4120, 0x4130, 0x4140
MATERIAL, MATERIAL_NAME, DIFFUSE, TEXTURE_MAP, TEXTURE_FILE = 0xAFFF, 0xA000, 0xA020, 0xA200, 0xA300
SISTER = "../textures"  # where games keep the images of models
FLOAT_COLORS, BYTE_COLORS = (0x0010, 0x0013), (0x0011, 0x0012)


@dataclass
class _Mesh:
    """One triangle mesh of the file."""

    name: str
    vertices: NDArray[np.float64] = field(default_factory=lambda: np.zeros((0, 3)))
    uvs: NDArray[np.float64] = field(default_factory=lambda: np.zeros((0, 2)))
    faces: NDArray[np.int64] = field(default_factory=lambda: np.zeros((0, 3), np.int64))
    groups: list[tuple[str, NDArray[np.int64]]] = field(default_factory=list)


def read_3ds(store: Store, name: str) -> TexturedMesh:
    """Reads all meshes and materials of a 3DS file.

    Raises:
        ValueError: If it is not 3DS, is cut short, or a face names a missing vertex.
    """
    data = store.read(name)
    if len(data) < CHUNK.size or CHUNK.unpack_from(data)[0] != MAIN:
        raise ValueError("not a 3DS file: it must begin with the main chunk 0x4D4D")
    materials: dict[str, Material] = {}
    meshes: list[_Mesh] = []
    for _, low, high in _chunks(data, 0, len(data), (MAIN,)):
        for _, first, last in _chunks(data, low, high, (EDITOR,)):
            for kind, start, end in _chunks(data, first, last, (OBJECT, MATERIAL)):
                if kind == OBJECT:
                    meshes += _read_object(data, start, end)
                else:
                    material = _read_material(store, name, data, start, end)
                    materials[material.name] = material
    return _assemble(store, materials, [mesh for mesh in meshes if len(mesh.vertices)])


def _chunks(
    data: bytes, start: int, end: int, kinds: tuple[int, ...] = ()
) -> Iterator[tuple[int, int, int]]:
    """Yields kind, first content byte and end of the chunks (of some kinds) in a stretch."""
    while start + CHUNK.size <= end:
        kind, length = CHUNK.unpack_from(data, start)
        if length < CHUNK.size:
            return
        if kind in kinds or not kinds:
            yield kind, start + CHUNK.size, min(start + length, end)
        start += length


def _text(data: bytes, start: int, end: int) -> tuple[str, int]:
    """Returns the zero-terminated text at `start` and where it ends."""
    stop = data.find(b"\0", start, end)
    if stop < 0:
        raise ValueError("a name is not terminated")
    return data[start:stop].decode("latin-1"), stop + 1


def _counted(data: bytes, start: int, dtype: str, width: int) -> NDArray[np.generic]:
    """Returns the [n, width] table which follows its 16-bit count."""
    (count,) = struct.unpack_from("<H", data, start)
    return np.frombuffer(data, dtype, count * width, start + 2).reshape(count, width)


def _read_object(data: bytes, start: int, end: int) -> list[_Mesh]:
    name, start = _text(data, start, end)
    meshes = []
    for _, inner, stop in _chunks(data, start, end, (TRIANGLES,)):
        mesh = _Mesh(name)
        for chunk in _chunks(data, inner, stop):
            _read_mesh_chunk(mesh, data, *chunk)
        meshes.append(mesh)
    return meshes


def _read_mesh_chunk(mesh: _Mesh, data: bytes, kind: int, start: int, end: int) -> None:
    if kind == VERTICES:
        mesh.vertices = _counted(data, start, "<f4", 3).astype(np.float64)
    elif kind == UVS:
        mesh.uvs = _counted(data, start, "<f4", 2).astype(np.float64)
    elif kind == FACES:
        table = _counted(data, start, "<u2", 4)
        mesh.faces = table[:, :3].astype(np.int64)
        for _, inner, stop in _chunks(data, start + 2 + 8 * len(table), end, (FACE_MATERIAL,)):
            name, inner = _text(data, inner, stop)
            mesh.groups.append((name, _counted(data, inner, "<u2", 1)[:, 0].astype(np.int64)))


def _read_material(store: Store, name: str, data: bytes, start: int, end: int) -> Material:
    label, written, color = "", "", Material().color
    for kind, inner, stop in _chunks(data, start, end):
        if kind == MATERIAL_NAME:
            label = _text(data, inner, stop)[0]
        elif kind == DIFFUSE:
            color = _read_color(data, inner, stop) or color
        elif kind == TEXTURE_MAP:
            for _, begin, last in _chunks(data, inner, stop, (TEXTURE_FILE,)):
                written = _text(data, begin, last)[0]
    texture = _find_texture(store, name, written) if written else None
    missing = (f"no file {written} (of material {label})",) if written and not texture else ()
    return Material(label, color, texture=texture, missing=missing)


def _read_color(data: bytes, start: int, end: int) -> tuple[float, float, float] | None:
    for kind, inner, _ in _chunks(data, start, end):
        if kind in BYTE_COLORS:
            red, green, blue = struct.unpack_from("<3B", data, inner)
            return red / 255, green / 255, blue / 255
        if kind in FLOAT_COLORS:
            return struct.unpack_from("<3f", data, inner)
    return None


def _find_texture(store: Store, name: str, file_name: str) -> str | None:
    """Looks for an image as written, and as .tga under the same name."""
    stem = posixpath.splitext(file_name)[0]
    names = (file_name, f"{stem}.tga")
    found = (find_companion(store, name, written, (*FOLDERS, SISTER)) for written in names)
    return next(filter(None, found), None)


def _assemble(store: Store, materials: dict[str, Material], meshes: list[_Mesh]) -> TexturedMesh:
    if not meshes:
        raise ValueError("the file holds no triangle mesh")
    names = ["", *materials]
    palette = [Material(), *materials.values()]
    vertices, faces, uvs, chosen, start = [], [], [], [], 0
    for mesh in meshes:
        if len(mesh.faces) and mesh.faces.max() >= len(mesh.vertices):
            raise ValueError(
                f"mesh {mesh.name!r}: a face names vertex {mesh.faces.max()} (counted from 0)"
                f" of {len(mesh.vertices)} vertices"
            )
        vertices.append(mesh.vertices)
        faces.append(mesh.faces + start)
        uvs.append(_face_uvs(mesh))
        chosen.append(_face_materials(mesh, names))
        start += len(mesh.vertices)
    all_uvs, all_chosen = np.concatenate(uvs), np.concatenate(chosen)
    return TexturedMesh(
        vertices=np.concatenate(vertices),
        faces=np.concatenate(faces),
        **paint_faces(store, palette, all_chosen, all_uvs),
        face_objects=np.repeat(np.arange(len(meshes)), [len(mesh.faces) for mesh in meshes]),
        object_names=tuple(mesh.name for mesh in meshes),
    )


def _face_uvs(mesh: _Mesh) -> NDArray[np.float64]:
    known = (mesh.faces < len(mesh.uvs)).all(axis=1)
    uvs = np.full((*mesh.faces.shape, 2), np.nan)
    uvs[known] = mesh.uvs[mesh.faces[known]]
    return uvs


def _face_materials(mesh: _Mesh, names: list[str]) -> NDArray[np.int64]:
    chosen = np.zeros(len(mesh.faces), np.int64)
    for name, members in mesh.groups:
        if len(members) and members.max() >= len(mesh.faces):
            raise ValueError(f"material {name!r} names face {members.max()} of {len(mesh.faces)}")
        chosen[members] = names.index(name) if name in names else 0
    return chosen
