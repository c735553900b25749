"""Mesh files: the one way to read them (`read_mesh`) and the one way to write them (`save_mesh`).

`read_surface` gives all that a file says (textures, opacity, objects), for files in folders and
archives alike.
"""

from recon.formats.meshes.reading.reader import MESH_FORMATS, read_mesh, read_surface
from recon.formats.meshes.writing.writer import COLORED_FORMATS, TEXTURED_FORMATS, save_mesh

__all__ = [
    "COLORED_FORMATS",
    "MESH_FORMATS",
    "TEXTURED_FORMATS",
    "read_mesh",
    "read_surface",
    "save_mesh",
]
