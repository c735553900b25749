"""One function which writes a mesh in the format of the file's name."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path

import numpy as np
from numpy.typing import NDArray
from torch import Tensor

from recon.formats.meshes.writing.arrays import Arrays
from recon.formats.meshes.writing.atlas import build_atlas
from recon.formats.meshes.writing.glb import write_glb
from recon.formats.meshes.writing.obj import write_obj
from recon.formats.meshes.writing.plain import write_off, write_ply, write_stl
from recon.geometry.meshes import Mesh

WRITERS: dict[str, Callable[[Path, Arrays], None]] = {
    ".obj": write_obj,
    ".ply": write_ply,
    ".stl": write_stl,
    ".glb": write_glb,
    ".off": write_off,
}
COLORED_FORMATS = (".obj", ".ply", ".glb")
TEXTURED_FORMATS = (".obj", ".glb")


def save_mesh(path: str | Path, mesh: Mesh, colors: Tensor | None = None) -> None:
    """Writes a mesh as OBJ, PLY, STL, GLB or OFF, chosen by the suffix of the name.

    Every file appears under its name only when it is complete; vertices keep their order. The
    colours of faces in `mesh` are not written: pass them as `face_colors[:, None]`.

    Args:
        path: file to write; its folder must exist. A textured OBJ brings a .mtl and a .png of the
            same name.
        mesh: the mesh.
        colors: sRGB in [0, 1]: of vertices [V, 3], for OBJ, PLY and GLB; or R * R texels of every
            face [F, R * R, 3], for OBJ and GLB.

    Raises:
        ValueError: another suffix, one which cannot hold such colours, or colours of other shape.
        FileNotFoundError: the folder does not exist.
        OSError: a file could not be written.
    """
    path = Path(path)
    suffix = path.suffix.lower()
    if suffix not in WRITERS:
        raise ValueError(f"mesh file must end in {', '.join(WRITERS)}, got {path.name}")
    if colors is not None:
        _require_colors(path, mesh, colors)
    if not path.parent.is_dir():
        raise FileNotFoundError(f"cannot write {path}: folder {path.parent} does not exist")
    vertices = mesh.vertices.detach().cpu().numpy()
    faces = mesh.faces.detach().cpu().numpy()
    if colors is None:
        WRITERS[suffix](path, Arrays(vertices, faces))
    elif colors.dim() == 2:
        WRITERS[suffix](path, Arrays(vertices, faces, colors=_clipped(colors)))
    else:
        texture, uvs = build_atlas(colors)
        WRITERS[suffix](path, Arrays(vertices, faces, uvs=uvs, texture=texture))


def _clipped(colors: Tensor) -> NDArray[np.float32]:
    return colors.detach().cpu().float().clamp(0, 1).numpy()


def _require_colors(path: Path, mesh: Mesh, colors: Tensor) -> None:
    vertices, faces = mesh.num_vertices, mesh.num_faces
    textured = colors.dim() == 3 and colors.shape[::2] == (faces, 3)
    if not textured and colors.shape != (vertices, 3):
        raise ValueError(
            f"colors must be [{vertices}, 3] or [{faces}, R * R, 3], got {list(colors.shape)}"
        )
    formats, kind = (TEXTURED_FORMATS, "texels") if textured else (COLORED_FORMATS, "vertices")
    if path.suffix.lower() not in formats:
        raise ValueError(f"{path.name}: only {', '.join(formats)} hold colours of {kind}")
