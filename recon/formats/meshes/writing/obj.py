"""Wavefront OBJ, with colours of vertices or with a material library and a texture."""

from __future__ import annotations

import itertools
from collections.abc import Iterator
from pathlib import Path

import numpy as np
from PIL import Image

from recon.files import atomic_file
from recon.formats.meshes.writing.mesh_arrays import MeshArrays

MATERIAL = "textured"


def write_obj(path: Path, mesh: MeshArrays) -> None:
    """Writes FILE.obj, and for a texture FILE.mtl and FILE.png beside it, the OBJ last.

    Colours follow the coordinates of a vertex, as most programs read them. A .mtl or .png of that
    name which was not written here is left alone: FILE_texture takes its place.

    Raises:
        OSError: If a file could not be written.
    """
    lines = [_rows("v", _vertex_rows(mesh))]
    if mesh.texture is None or mesh.uvs is None:
        lines.append(_rows("f", mesh.faces + 1))
    else:
        lines.insert(0, f"mtllib {_write_material(path, mesh.texture).name}\n")
        lines.append(_rows("vt", mesh.uvs.reshape(-1, 2)))
        lines.append(f"usemtl {MATERIAL}\n")
        places = np.arange(mesh.faces.size).reshape(-1, 3) + 1
        corners = np.stack((mesh.faces + 1, places), axis=-1).reshape(-1, 6)
        lines.extend("f {}/{} {}/{} {}/{}\n".format(*row) for row in corners.tolist())
    with atomic_file(path) as file:
        file.write("".join(lines).encode())


def _vertex_rows(mesh: MeshArrays) -> np.ndarray:
    if mesh.colors is None:
        return mesh.vertices
    return np.concatenate((mesh.vertices, mesh.colors), axis=1)


def _rows(keyword: str, rows: np.ndarray) -> str:
    """Returns one line per row; nine digits tell all float32 numbers apart."""
    line = f"{keyword} " + " ".join(["%.9g"] * rows.shape[1]) + "\n"
    return (line * len(rows)) % tuple(rows.reshape(-1).tolist())


def _write_material(path: Path, texture: np.ndarray) -> Path:
    """Writes the image and the library that names it, and returns the library."""
    library = next(p for p in _companions(path, ".mtl") if not p.exists() or _written_here(p))
    own = _named_image(library)
    image = next(p for p in _companions(path, ".png") if not p.exists() or p.name == own)
    with atomic_file(image) as file:
        Image.fromarray(texture).save(file, format="PNG")
    with atomic_file(library) as file:
        file.write(_library(image.name).encode())
    return library


def _companions(path: Path, suffix: str) -> Iterator[Path]:
    """Yields the names that a file of a mesh may have, without end."""
    yield path.with_suffix(suffix)
    yield path.with_name(f"{path.stem}_texture{suffix}")
    yield from (path.with_name(f"{path.stem}_texture_{k}{suffix}") for k in itertools.count(2))


def _library(image: str) -> str:
    return f"newmtl {MATERIAL}\nKa 0 0 0\nKd 1 1 1\nKs 0 0 0\nmap_Kd {image}\n"


def _written_here(library: Path) -> bool:
    """Tells whether a library has the very words that are written here."""
    return library.read_bytes() == _library(_named_image(library)).encode()


def _named_image(library: Path) -> str:
    """Returns the image that a library of one texture names, '' without one."""
    text = library.read_bytes().decode("utf-8", "replace") if library.is_file() else ""
    return text.partition("map_Kd ")[2].removesuffix("\n")
