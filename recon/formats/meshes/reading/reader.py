"""Reading a mesh file by its suffix."""

from __future__ import annotations

import posixpath
import struct
from collections.abc import Callable
from typing import Any

from recon.formats.meshes.reading.ac3d import read_ac3d
from recon.formats.meshes.reading.gltf import read_gltf
from recon.formats.meshes.reading.md2 import read_md2
from recon.formats.meshes.reading.md3 import read_md3
from recon.formats.meshes.reading.obj import read_obj
from recon.formats.meshes.reading.off import read_off
from recon.formats.meshes.reading.ply import read_ply
from recon.formats.meshes.reading.stl import read_stl
from recon.formats.meshes.reading.surfaces import Surface
from recon.formats.meshes.reading.threeds import read_3ds
from recon.formats.stores import Store

READERS: dict[str, Callable[..., Surface]] = {
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


def read_surface(store: Store, name: str, **options: Any) -> Surface:
    """Read the mesh file `name` of `store` with the reader for its suffix.

    Args:
        store: the folder or archive.
        name: the file.
        options: what the format's reader takes besides (`tiles` for OBJ, `skip` and
            `texture_folder` for AC3D).

    Raises:
        ValueError: naming the file, whatever is wrong inside it, or if its suffix is unknown.
        FileNotFoundError: if the store has no such file.
    """
    suffix = posixpath.splitext(name)[1].lower()
    reader = READERS.get(suffix)
    if reader is None:
        raise ValueError(f"{name}: suffix {suffix!r} is not one of {', '.join(sorted(READERS))}")
    try:
        return reader(store, name, **options)
    except (ValueError, IndexError, OverflowError, struct.error) as error:
        raise ValueError(f"{name}: {error}") from error
