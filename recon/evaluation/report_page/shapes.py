"""Coloured triangle meshes as the page holds them: few bytes, as text.

Positions are 16 bits per coordinate, of a cube around the origin: an error of 1 / 65,535 of its
half side. Colours are 8 bits, as sRGB is shown.
"""

from __future__ import annotations

import base64
from dataclasses import dataclass
from typing import Any

import numpy as np
import torch
from numpy.typing import NDArray
from torch import Tensor

from recon.geometry.texels import texel_corners, texel_faces, texture_side

# What a colour belongs to.
VERTEX, FACE = "vertex", "face"
_LEVELS = 65_535


@dataclass(frozen=True, eq=False)
class Shape:
    """A mesh to be shown.

    Attributes:
        vertices: [V, 3] float32 positions in world coordinates.
        faces: [F, 3] int64 indices of vertices; None where every three vertices make a triangle.
        colors: [V, 3] or [F, 3] uint8 sRGB colours; None draws the mesh in grey.
        colors_of: What a colour belongs to, `VERTEX` or `FACE`.
        lit: Whether the viewer adds light, because the colours contain none.
    """

    vertices: NDArray[np.float32]
    faces: NDArray[np.int64] | None = None
    colors: NDArray[np.uint8] | None = None
    colors_of: str = VERTEX
    lit: bool = True

    @property
    def corners(self) -> NDArray[np.float32]:
        """The corners [F, 3, 3] of the triangles."""
        faces = self.faces
        return self.vertices.reshape(-1, 3, 3) if faces is None else self.vertices[faces]


def predicted_shape(vertices: Tensor, faces: Tensor, colors: Tensor | None) -> Shape:
    """Makes a shape of a prediction, whose colours were learned from images, light and all.

    Args:
        vertices: [V, 3] positions in world coordinates.
        faces: [F, 3] indices of vertices; a face with a vertex that is not finite is left out.
        colors: sRGB colours in [0, 1] of vertices [V, 3] or of texels [F, R * R, 3], or None.
    """
    vertices, faces = vertices.detach().float().cpu(), faces.cpu()
    sound = torch.isfinite(vertices).all(1)
    if not bool(sound.all()):  # of a network that broke: what it cannot place is not shown
        kept = sound[faces].all(1)
        faces, vertices = faces[kept], torch.where(sound[:, None], vertices, 0.0)
        if colors is not None and colors.dim() == 3:
            colors = colors[kept.to(colors.device)]
    if colors is None or not len(faces):
        return Shape(vertices.numpy(), faces.numpy())
    painted = to_bytes(colors.detach().float().cpu())
    if colors.dim() == 2:
        return Shape(vertices.numpy(), faces.numpy(), painted, VERTEX, lit=False)
    fine, places = _texel_mesh(vertices, faces, texture_side(colors.shape[1]))
    return Shape(fine, places, painted.reshape(-1, 3), FACE, lit=False)


def to_bytes(colors: Tensor) -> NDArray[np.uint8]:
    """Rounds colours in [0, 1] to 8 bits."""
    return (colors.clamp(0, 1) * 255).round().byte().numpy()


def _texel_mesh(
    vertices: Tensor, faces: Tensor, side: int
) -> tuple[NDArray[np.float32], NDArray[np.int64]]:
    """Returns vertices and faces of the mesh whose faces are the texels of another one."""
    places = texel_faces(faces, side)
    weights = texel_corners(side) / side
    points = torch.einsum("tck,fkx->ftcx", weights, vertices[faces]).reshape(-1, 3)
    fine = vertices.new_empty(int(places.max()) + 1, 3)
    fine[places.reshape(-1)] = points
    return fine.numpy(), places.numpy()


def encode(shape: Shape, shared: list[NDArray[np.int64]]) -> dict[str, Any]:
    """Returns a shape as JSON holds it.

    Args:
        shape: The mesh to encode.
        shared: The arrays of faces that the page already holds; new ones are appended.

    Returns:
        extent: half the side of the cube.
        positions: base64 of uint16 [V, 3], 0 being -extent and 65,535 being extent.
        faces: its place in `shared`, or None.
        colors: base64 of uint8 [V, 3] or [F, 3], or None; colorsOf: 'vertex' or 'face'; lit.
    """
    extent = float(np.abs(shape.vertices).max(initial=0.5))
    places = np.rint((shape.vertices / extent + 1) * (_LEVELS / 2)).astype("<u2")
    return {
        "extent": extent,
        "positions": to_base64(places),
        "faces": None if shape.faces is None else _place(shape.faces, shared),
        "colors": None if shape.colors is None else to_base64(shape.colors),
        "colorsOf": shape.colors_of,
        "lit": shape.lit,
    }


def _place(faces: NDArray[np.int64], shared: list[NDArray[np.int64]]) -> int:
    """Returns where faces are in a list, to which they are appended if they are new."""
    for index, known in enumerate(shared):
        if known is faces or np.array_equal(known, faces):
            return index
    shared.append(faces)
    return len(shared) - 1


def encode_faces(faces: NDArray[np.int64]) -> dict[str, Any]:
    """Returns faces [F, 3] as JSON holds them: base64 of uint16 or uint32 and how many bytes."""
    size = 2 if faces.max(initial=0) <= _LEVELS else 4
    return {"bytes": size, "indices": to_base64(faces.astype(f"<u{size}"))}


def to_base64(array: NDArray[Any]) -> str:
    """Returns the bytes of an array as base64."""
    return base64.b64encode(np.ascontiguousarray(array).tobytes()).decode("ascii")
