from __future__ import annotations

import io

import numpy as np
import pytest
from PIL import Image

from recon.formats.meshes.reading.polygon_meshes import PolygonTextures, mesh_of_polygons

SQUARE = np.array([[0, 0, 0], [1, 0, 0], [1, 1, 0], [0, 1, 0]], np.float64)
CORNERS, COUNTS = np.array([0, 1, 2, 3, 0, 1, 3, 2, 1]), np.array([4, 3, 2])


def png(color: tuple[int, int, int]) -> bytes:
    stream = io.BytesIO()
    Image.new("RGB", (2, 2), color).save(stream, "PNG")
    return stream.getvalue()


def test_polygons_become_triangles_in_their_order() -> None:
    surface = mesh_of_polygons(SQUARE, CORNERS, COUNTS)
    assert surface.faces.tolist() == [[0, 1, 2], [0, 2, 3], [0, 1, 3]]
    assert surface.face_objects.tolist() == [0, 0, 0]


def test_colours_of_polygons_go_before_those_of_vertices() -> None:
    vertex = np.array([[0.9, 0, 0, 1], [0, 0.9, 0, 1], [0, 0, 0.9, 1], [2, -1, np.nan, 0.5]])
    polygon = np.array([[1, 0, 0, 1], [0, 1, 0, 0.5], [0, 0, 1, 1]])
    means = mesh_of_polygons(SQUARE, CORNERS, COUNTS, vertex).face_rgba
    assert means[0].tolist() == pytest.approx([0.3, 0.3, 0.3, 1])
    assert np.isfinite(means).all()
    assert means.min() >= 0
    own = mesh_of_polygons(SQUARE, CORNERS, COUNTS, vertex, polygon).face_rgba
    assert own.tolist() == polygon[[0, 0, 1]].tolist()


def test_textures_go_before_colours_where_they_are_readable(folder) -> None:
    store = folder({"red.png": png((255, 0, 0)), "bad.png": b"?"})
    uvs = np.tile([[0.2, 0.3], [0.8, 0.3], [0.4, 0.9]], (3, 1))
    polygon = np.tile([0.0, 0, 1, 1], (3, 1))
    chosen = np.array([0, 1, 7])
    textures = PolygonTextures(store, ["red.png", "bad.png"], chosen, uvs)
    with pytest.warns(UserWarning, match=r"bad\.png is not a"):
        surface = mesh_of_polygons(SQUARE, CORNERS, COUNTS, None, polygon, textures)
    assert surface.textured.tolist() == [True, True, False]
    assert surface.face_rgba.tolist() == [[1, 0, 0, 1], [1, 0, 0, 1], [0, 0, 1, 1]]
    none = PolygonTextures(store, ["bad.png"], chosen, uvs)
    with pytest.warns(UserWarning, match=r"bad\.png is not a"):
        surface = mesh_of_polygons(SQUARE, CORNERS, COUNTS, None, polygon, none)
    assert surface.face_rgba.tolist() == [[0, 0, 1, 1]] * 3


@pytest.mark.parametrize(("corner", "named"), [(4, 4), (-1, -1)])
def test_missing_vertices_are_named(corner: int, named: int) -> None:
    with pytest.raises(ValueError, match=f"names vertex {named} .* of 4 vertices"):
        mesh_of_polygons(SQUARE, np.array([0, 1, corner]), np.array([3]))


def test_only_used_vertices_must_be_finite() -> None:
    vertices = np.concatenate([SQUARE, [[np.nan, 0, 0]]])
    assert mesh_of_polygons(vertices, CORNERS, COUNTS).num_faces == 3
    with pytest.raises(ValueError, match="not a finite number"):
        mesh_of_polygons(vertices, np.array([0, 1, 4]), np.array([3]))
