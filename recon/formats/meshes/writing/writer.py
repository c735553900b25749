"""Writes a mesh in the format that the file's suffix names."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray
from torch import Tensor

from recon.formats.meshes.writing.atlas import build_atlas
from recon.formats.meshes.writing.glb import write_glb
from recon.formats.meshes.writing.mesh_arrays import MeshArrays
from recon.formats.meshes.writing.obj import write_obj
from recon.formats.meshes.writing.ply_stl_off import write_off, write_ply, write_stl
from recon.geometry.meshes import Mesh

WRITERS: dict[str, Callable[[Path, MeshArrays], None]] = {
    ".obj": write_obj,
    ".ply": write_ply,
    ".stl": write_stl,
    ".glb": write_glb,
    ".off": write_off,
}
COLORED_FORMATS = (".obj", ".ply", ".glb")
TEXTURED_FORMATS = (".obj", ".glb")

Array = Tensor | NDArray[Any]


def save_mesh(
    path: str | Path, mesh: Mesh | tuple[Array, Array], colors: Array | None = None
) -> None:
    """Writes a mesh as OBJ, PLY, STL, GLB or OFF, chosen by the suffix of the name.

    Every file appears under its name only when it is complete; vertices keep their order. The
    colours of faces in `mesh` are not written: pass them as `face_colors[:, None]`.

    Args:
        path: The file to write; its folder must exist. A textured OBJ brings a .mtl and a .png of
            the same name, or of NAME_texture where a file of that name does not come from here.
        mesh: The mesh, or its vertices [V, 3] and faces [F, 3] as arrays or tensors of any floating
            and any integer type.
        colors: The colours as floating sRGB in [0, 1]; numbers beyond are clipped. Colours of
            vertices [V, 3], for OBJ, PLY and GLB; or R * R texels of every face [F, R * R, 3], for
            OBJ and GLB.

    Raises:
        ValueError: If the suffix is unknown or cannot hold such colours, an array has another shape
            or type, a number is not finite, or a face names a missing vertex.
        FileNotFoundError: If the folder does not exist.
        OSError: If a file could not be written.
    """
    path = Path(path)
    suffix = path.suffix.lower()
    if suffix not in WRITERS:
        raise ValueError(f"mesh file must end in {', '.join(WRITERS)}, got {path.name}")
    vertices, faces = _geometry(mesh)
    painted = None if colors is None else _colors(path, colors, len(vertices), len(faces))
    if not path.parent.is_dir():
        raise FileNotFoundError(f"cannot write {path}: folder {path.parent} does not exist")
    if painted is None or painted.ndim == 2:
        WRITERS[suffix](path, MeshArrays(vertices, faces, colors=painted))
    else:
        texture, uvs = build_atlas(painted)
        WRITERS[suffix](path, MeshArrays(vertices, faces, uvs=uvs, texture=texture))


def _geometry(mesh: Mesh | tuple[Array, Array]) -> tuple[NDArray[np.float32], NDArray[np.int64]]:
    """Returns vertices [V, 3] and faces [F, 3], checked unless a `Mesh` has done so."""
    if isinstance(mesh, Mesh):
        return _numpy(mesh.vertices).astype(np.float32), _numpy(mesh.faces)
    vertices, faces = _numpy(mesh[0]), _numpy(mesh[1])
    for name, rows, kind, words in (
        ("vertices", vertices, np.floating, "floating"),
        ("faces", faces, np.integer, "whole numbers"),
    ):
        if rows.ndim != 2 or rows.shape[1] != 3 or not len(rows):
            raise ValueError(f"{name} must be [N, 3] with N >= 1, got {list(rows.shape)}")
        if not np.issubdtype(rows.dtype, kind):
            raise ValueError(f"{name} must be {words}, got {rows.dtype}")
    with np.errstate(over="ignore"):  # what becomes infinity is refused
        vertices, faces = vertices.astype(np.float32), faces.astype(np.int64)
    if not np.isfinite(vertices).all():
        raise ValueError("vertices must be finite numbers of 32 bits, got NaN or infinity")
    if faces.min() < 0 or faces.max() >= len(vertices):
        raise ValueError(
            f"faces must hold indices in [0, {len(vertices) - 1}], got {faces.min()} to"
            f" {faces.max()}"
        )
    return vertices, faces


def _colors(path: Path, colors: Array, vertices: int, faces: int) -> NDArray[np.float32]:
    """Returns the colours, clipped to [0, 1], of a mesh of so many vertices and faces."""
    given = _numpy(colors)
    textured = given.ndim == 3 and given.shape[::2] == (faces, 3)
    if not textured and given.shape != (vertices, 3):
        raise ValueError(
            f"colors must be [{vertices}, 3] or [{faces}, R * R, 3], got {list(given.shape)}"
        )
    if not np.issubdtype(given.dtype, np.floating):
        raise ValueError(f"colors must be floating numbers in [0, 1], got {given.dtype}")
    if not np.isfinite(given).all():
        raise ValueError("colors must be finite, got NaN or infinity")
    formats, kind = (TEXTURED_FORMATS, "texels") if textured else (COLORED_FORMATS, "vertices")
    if path.suffix.lower() not in formats:
        raise ValueError(f"{path.name}: only {', '.join(formats)} hold colours of {kind}")
    return given.astype(np.float32).clip(0, 1)


def _numpy(values: Array) -> NDArray[Any]:
    return values.detach().cpu().numpy() if isinstance(values, Tensor) else np.asarray(values)
