"""Mesh files: the one way to read them (`read_mesh`) and the one way to write them (`save_mesh`).

`read_textured_mesh` returns all that a file holds (textures, opacity, objects), be it in a folder
or an archive.
"""

from recon.formats.meshes.reading.reader import MESH_FORMATS, read_mesh, read_textured_mesh
from recon.formats.meshes.writing.writer import COLORED_FORMATS, TEXTURED_FORMATS, save_mesh

__all__ = [
    "COLORED_FORMATS",
    "MESH_FORMATS",
    "TEXTURED_FORMATS",
    "read_mesh",
    "read_textured_mesh",
    "save_mesh",
]
