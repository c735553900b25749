"""Writers of the formats without textures: PLY, STL and OFF."""

from __future__ import annotations

from pathlib import Path

import numpy as np

from recon.files import atomic_file
from recon.formats.meshes.writing.mesh_arrays import MeshArrays, to_bytes


def write_ply(path: Path, mesh: MeshArrays) -> None:
    """Writes a binary PLY file, with colours of vertices if there are any.

    Raises:
        OSError: If the file could not be written.
    """
    fields = [("x", "<f4"), ("y", "<f4"), ("z", "<f4")]
    names = ["float x", "float y", "float z"]
    if mesh.colors is not None:
        fields += [("red", "u1"), ("green", "u1"), ("blue", "u1")]
        names += ["uchar red", "uchar green", "uchar blue"]
    vertices = np.zeros(len(mesh.vertices), fields)
    for column, axis in enumerate("xyz"):
        vertices[axis] = mesh.vertices[:, column]
    if mesh.colors is not None:
        for column, channel in enumerate(("red", "green", "blue")):
            vertices[channel] = to_bytes(mesh.colors)[:, column]
    faces = np.zeros(len(mesh.faces), [("count", "u1"), ("corners", "<i4", 3)])
    faces["count"], faces["corners"] = 3, mesh.faces
    header = [
        "ply",
        "format binary_little_endian 1.0",
        f"element vertex {len(vertices)}",
        *(f"property {name}" for name in names),
        f"element face {len(faces)}",
        "property list uchar int vertex_indices",
        "end_header",
    ]
    with atomic_file(path) as file:
        file.write("\n".join(header).encode() + b"\n" + vertices.tobytes() + faces.tobytes())


def write_stl(path: Path, mesh: MeshArrays) -> None:
    """Writes a binary STL file.

    Raises:
        OSError: If the file could not be written.
    """
    corners = mesh.vertices[mesh.faces].astype(np.float64)
    normals = np.cross(corners[:, 1] - corners[:, 0], corners[:, 2] - corners[:, 0])
    length = np.linalg.norm(normals, axis=1, keepdims=True)
    fields = [("normal", "<f4", 3), ("corners", "<f4", (3, 3)), ("attributes", "<u2")]
    triangles = np.zeros(len(corners), fields)
    triangles["normal"] = normals / np.where(length > 0, length, 1)
    triangles["corners"] = mesh.vertices[mesh.faces]
    # Not "solid": readers would take the file for the text form.
    header = b"binary STL".ljust(80) + np.uint32(len(triangles)).tobytes()
    with atomic_file(path) as file:
        file.write(header + triangles.tobytes())


def write_off(path: Path, mesh: MeshArrays) -> None:
    """Writes an OFF file.

    Raises:
        OSError: If the file could not be written.
    """
    vertices = ["{:.9g} {:.9g} {:.9g}".format(*row) for row in mesh.vertices.tolist()]
    faces = ["3 {} {} {}".format(*row) for row in mesh.faces.tolist()]
    lines = ["OFF", f"{len(vertices)} {len(faces)} 0", *vertices, *faces, ""]
    with atomic_file(path) as file:
        file.write("\n".join(lines).encode())
