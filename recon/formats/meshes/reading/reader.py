"""Reading a mesh file by its suffix.

The readers are this project's own: trimesh loses colours of faces, materials and polygons of some
formats, has no reader for AC3D, MD2, MD3 and 3DS, and trusts the sizes that a header claims.
"""

from __future__ import annotations

import posixpath
import struct
import warnings
from collections.abc import Callable, Sequence
from pathlib import Path
from typing import Any

from recon.formats.meshes.reading.ac3d import read_ac3d
from recon.formats.meshes.reading.gltf import read_gltf
from recon.formats.meshes.reading.md2 import read_md2
from recon.formats.meshes.reading.md3 import read_md3
from recon.formats.meshes.reading.obj import read_obj
from recon.formats.meshes.reading.off import read_off
from recon.formats.meshes.reading.opacity import ensure_visible
from recon.formats.meshes.reading.ply import read_ply
from recon.formats.meshes.reading.stl import read_stl
from recon.formats.meshes.reading.textured_mesh import MeshWarning, TexturedMesh
from recon.formats.meshes.reading.threeds import read_3ds
from recon.formats.stores import DiskStore, Store, ZipStore, full_name
from recon.geometry.meshes import Mesh

READERS: dict[str, Callable[..., TexturedMesh]] = {
    ".obj": read_obj,
    ".ply": read_ply,
    ".stl": read_stl,
    ".off": read_off,
    ".glb": read_gltf,
    ".gltf": read_gltf,
    ".ac": read_ac3d,
    ".acc": read_ac3d,
    ".md2": read_md2,
    ".md3": read_md3,
    ".3ds": read_3ds,
}
MESH_FORMATS = tuple(READERS)
# Stands between an archive and the name of a file in it.
INSIDE = "!"
# The number of warnings about one file; a model may lack hundreds of textures.
MOST_NOTES = 6


def read_mesh(path: str | Path) -> Mesh:
    """Reads the visible triangles of a mesh file, with a colour per face.

    Polygons are triangulated, the objects of a scene are joined, and a face has the mean colour of
    its texture. Faces without area or without opacity and vertices of no face are left out; the
    other vertices are neither welded nor reordered.

    Args:
        path: A file with a suffix among `MESH_FORMATS`, or ARCHIVE!FILE for one in a zip archive.

    Returns:
        The mesh, in the units and axes of the file.

    Raises:
        FileNotFoundError: If there is no such file.
        ValueError: If the file is damaged, of another format, or has no visible faces; the message
            names it.
    """
    store, name = _located(path)
    surface = read_textured_mesh(store, name)
    try:
        return surface.cleaned().mesh()
    except ValueError as error:
        raise ValueError(f"{path}: {error}") from error


def _located(path: str | Path) -> tuple[Store, str]:
    """Returns where a file is to be read, and its name there."""
    archive, inside, name = str(path).partition(INSIDE)
    if not inside or Path(path).is_file():
        if not Path(path).is_file():
            raise FileNotFoundError(f"no mesh file {path}")
        return DiskStore(), Path(path).as_posix()
    if not Path(archive).is_file():
        raise FileNotFoundError(f"no archive {archive}")
    return ZipStore(archive), name


def read_textured_mesh(store: Store, name: str, **options: Any) -> TexturedMesh:
    """Reads the mesh file `name` of `store` with the reader for its suffix.

    Args:
        store: The folder or archive.
        name: The name of the file.
        options: The further arguments of the format's reader (`tiles` for OBJ, `skip` and
            `texture_folder` for AC3D).

    Warns:
        MeshWarning: once, naming the file and what it lacks or does not say clearly.

    Raises:
        ValueError: If the file is damaged, malformed or has an unknown suffix; the message names
            it.
        FileNotFoundError: If the store has no such file.
    """
    suffix = posixpath.splitext(name)[1].lower()
    reader = READERS.get(suffix)
    if reader is None:
        raise ValueError(f"{name}: suffix {suffix!r} is not one of {', '.join(sorted(READERS))}")
    with warnings.catch_warnings(record=True) as caught:
        warnings.simplefilter("always", MeshWarning)
        try:
            surface = ensure_visible(reader(store, name, **options), suffix)
        except (ValueError, IndexError, OverflowError, struct.error) as error:
            raise ValueError(f"{name}: {error}") from error
    _warn_once(full_name(store, name), caught)
    return surface


def _warn_once(name: str, caught: Sequence[warnings.WarningMessage]) -> None:
    """Passes on what readers had to say about a file as one warning that names it."""
    notes = dict.fromkeys(str(w.message) for w in caught if w.category is MeshWarning)
    more = f"; and {len(notes) - MOST_NOTES} more of the kind" if len(notes) > MOST_NOTES else ""
    if notes:
        words = "; ".join(list(notes)[:MOST_NOTES])
        warnings.warn(f"{name}: {words}{more}", MeshWarning, stacklevel=3)
    for other in caught:
        if other.category is not MeshWarning:
            warnings.warn_explicit(other.message, other.category, other.filename, other.lineno)
