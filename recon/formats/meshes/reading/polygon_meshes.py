"""Meshes of polygons whose corners or faces have colours, as several formats store them."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, replace

import numpy as np
from numpy.typing import NDArray

from recon.formats.meshes.reading.materials import (
    DEFAULT_COLOR,
    Material,
    Paint,
    paint_faces,
    plain_paint,
)
from recon.formats.meshes.reading.polygons import triangulate
from recon.formats.meshes.reading.textured_mesh import TexturedMesh
from recon.formats.stores import Store


@dataclass(frozen=True, eq=False)
class PolygonTextures:
    """Textures of polygons.

    Attributes:
        store: The store that has the images.
        names: The names of the images.
        chosen: [P] the row in `names` of each polygon's texture; other numbers mean no texture.
        uvs: [N, 2] the texture coordinates of the corners, v upwards.
    """

    store: Store
    names: Sequence[str]
    chosen: NDArray[np.int64]
    uvs: NDArray[np.float64]

    def extended(self, triangles: int) -> PolygonTextures:
        """Returns the textures of these polygons and of some triangles without a texture."""
        chosen = np.concatenate([self.chosen, np.full(triangles, -1)])
        uvs = np.concatenate([self.uvs, np.full((3 * triangles, 2), np.nan)])
        return replace(self, chosen=chosen, uvs=uvs)


def mesh_of_polygons(
    vertices: NDArray[np.float64],
    corners: NDArray[np.int64],
    counts: NDArray[np.int64],
    vertex_rgba: NDArray[np.float64] | None = None,
    polygon_rgba: NDArray[np.float64] | None = None,
    textures: PolygonTextures | None = None,
) -> TexturedMesh:
    """Returns the triangles of polygons with one colour or a texture each.

    Args:
        vertices: [V, 3] positions.
        corners: [N] rows of `vertices`, one polygon after another.
        counts: [P] number of corners of each polygon; fewer than 3 make nothing.
        vertex_rgba: [V, 4] sRGB and opacity in [0, 1]; a face has the mean of its corners.
        polygon_rgba: [P, 4] sRGB and opacity of the polygons, taken instead of `vertex_rgba`.
        textures: The textures, which are taken instead where a face has a readable one.

    Raises:
        ValueError: If a corner is not a vertex or not a finite position.
    """
    if len(corners) and (corners.min() < 0 or corners.max() >= len(vertices)):
        bad = corners.max() if corners.max() >= len(vertices) else corners.min()
        raise ValueError(f"a face names vertex {bad} (counted from 0) of {len(vertices)} vertices")
    points = vertices[corners]
    if not np.isfinite(points).all():
        raise ValueError("a vertex of a face is not a finite number")
    triangles, polygons = triangulate(points, counts)
    faces = corners[triangles]
    rgba = _colors(faces, polygons, vertex_rgba, polygon_rgba)
    paint = plain_paint(rgba)
    if textures is not None:
        paint = _textured(textures, rgba, polygons, triangles)
    return TexturedMesh(
        vertices=vertices,
        faces=faces,
        face_objects=np.zeros(len(faces), np.int64),
        **paint,
    )


def _colors(
    faces: NDArray[np.int64],
    polygons: NDArray[np.int64],
    vertex_rgba: NDArray[np.float64] | None,
    polygon_rgba: NDArray[np.float64] | None,
) -> NDArray[np.float32]:
    """Returns the colour [T, 4] of each triangle."""
    if polygon_rgba is not None:
        rgba = polygon_rgba[polygons]
    elif vertex_rgba is not None:
        rgba = vertex_rgba[faces].mean(axis=1)
    else:
        rgba = np.tile([*DEFAULT_COLOR, 1], (len(faces), 1))
    return np.clip(np.nan_to_num(rgba, nan=DEFAULT_COLOR[0]), 0, 1).astype(np.float32)


def _textured(
    textures: PolygonTextures,
    rgba: NDArray[np.float32],
    polygons: NDArray[np.int64],
    triangles: NDArray[np.int64],
) -> Paint:
    """Paints the triangles that have a readable texture; the others keep their colour `rgba`."""
    materials = [
        Material(name, (1, 1, 1), texture=name or None, opacity="guess") for name in textures.names
    ]
    known = (textures.chosen >= 0) & (textures.chosen < len(materials))
    chosen = np.where(known, textures.chosen, len(materials))[polygons]
    uvs = textures.uvs[triangles]
    paint = paint_faces(textures.store, [*materials, Material()], chosen, uvs)
    if paint["face_texture"] is None:
        paint["face_rgba"] = rgba
    else:
        plain = paint["face_texture"] < 0
        paint["face_rgba"] = np.where(plain[:, None], rgba, paint["face_rgba"])
    return paint
