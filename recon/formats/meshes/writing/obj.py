"""Wavefront OBJ, with colours of vertices or with a material library and a texture."""

from __future__ import annotations

from pathlib import Path

import numpy as np
from PIL import Image

from recon.files import atomic_file
from recon.formats.meshes.writing.arrays import Arrays

MATERIAL = "textured"


def write_obj(path: Path, mesh: Arrays) -> None:
    """Writes FILE.obj, and for a texture FILE.mtl and FILE.png beside it, the OBJ last.

    Colours follow the coordinates of a vertex, as most programs read them.

    Raises:
        OSError: a file could not be written.
    """
    lines = [_rows("v", _vertex_rows(mesh))]
    if mesh.texture is None or mesh.uvs is None:
        lines.append(_rows("f", mesh.faces + 1))
    else:
        _write_material(path, mesh.texture)
        lines.insert(0, f"mtllib {path.with_suffix('.mtl').name}\n")
        lines.append(_rows("vt", mesh.uvs.reshape(-1, 2)))
        lines.append(f"usemtl {MATERIAL}\n")
        places = np.arange(mesh.faces.size).reshape(-1, 3) + 1
        corners = np.stack((mesh.faces + 1, places), axis=-1).reshape(-1, 6)
        lines.extend("f {}/{} {}/{} {}/{}\n".format(*row) for row in corners.tolist())
    with atomic_file(path) as file:
        file.write("".join(lines).encode())


def _vertex_rows(mesh: Arrays) -> np.ndarray:
    if mesh.colors is None:
        return mesh.vertices
    return np.concatenate((mesh.vertices, mesh.colors), axis=1)


def _rows(keyword: str, rows: np.ndarray) -> str:
    """Returns one line per row; nine digits tell all float32 numbers apart."""
    line = f"{keyword} " + " ".join(["%.9g"] * rows.shape[1]) + "\n"
    return (line * len(rows)) % tuple(rows.reshape(-1).tolist())


def _write_material(path: Path, texture: np.ndarray) -> None:
    image = path.with_suffix(".png")
    with atomic_file(image) as file:
        Image.fromarray(texture).save(file, format="PNG")
    with atomic_file(path.with_suffix(".mtl")) as file:
        text = f"newmtl {MATERIAL}\nKa 0 0 0\nKd 1 1 1\nKs 0 0 0\nmap_Kd {image.name}\n"
        file.write(text.encode())
