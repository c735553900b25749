"""Surfaces whose images are known, for the tests of rendering."""

from __future__ import annotations

import numpy as np

from recon.formats.meshes.reading.textured_mesh import TexturedMesh, concatenate
from recon.preparation.rendering.objects import ObjectRenderer
from recon.preparation.sources.solids import block


def mesh(
    size: tuple[float, float, float], center=(0.0, 0.0, 0.0), color=(1.0, 0.0, 0.0)
) -> TexturedMesh:
    solid = block(center, size)
    count = len(solid.faces)
    rgba = np.tile(np.array([*color, 1.0], np.float32), (count, 1))
    return TexturedMesh(solid.vertices, solid.faces, rgba, np.zeros(count, np.int64))


def joined(*surfaces: TexturedMesh) -> TexturedMesh:
    return concatenate(surfaces)


def images(renderer: ObjectRenderer, surface: TexturedMesh) -> np.ndarray:
    return renderer(surface, "a")["images"]


def same(one: dict[str, np.ndarray], other: dict[str, np.ndarray]) -> bool:
    return one.keys() == other.keys() and all(np.array_equal(one[k], other[k]) for k in one)


def random_texture(height: int = 5, width: int = 7) -> np.ndarray:
    texture = np.random.default_rng(0).integers(0, 256, (height, width, 4), np.uint8)
    texture[..., 3] = 255
    return texture


def textured_quad(texture: np.ndarray, side: float = 0.8, repeat: float = 1.0) -> TexturedMesh:
    """A square across the X axis, seen by view 0 with u to the right and v upwards."""
    # Seen from before the object, the right hand is at -Z.
    corners = np.array([[0, -1, 1], [0, -1, -1], [0, 1, -1], [0, 1, 1]]) * side / 2
    uvs = np.array([[0, 0], [1, 0], [1, 1], [0, 1]], np.float32) * repeat
    faces = np.array([[0, 1, 2], [0, 2, 3]])
    return TexturedMesh(
        corners, faces, np.full((2, 4), 0.5, np.float32), np.zeros(2, np.int64),
        uvs=uvs[faces], face_texture=np.zeros(2, np.int64), textures=(texture,),
    )  # fmt: skip
