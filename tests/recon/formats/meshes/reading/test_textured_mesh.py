from __future__ import annotations

from typing import Any

import numpy as np
import pytest

from recon.formats.meshes.reading.textured_mesh import (
    CLAMP,
    MIRROR,
    REPEAT,
    TexturedMesh,
    concatenate,
)


def surface(**changes: Any) -> TexturedMesh:
    fields: dict[str, Any] = {
        "vertices": np.array([[0.0, 0, 0], [1, 0, 0], [0, 1, 0], [9, 9, 9]]),
        "faces": np.array([[0, 1, 2], [0, 2, 1], [0, 0, 1]]),
        "face_rgba": np.array([[1, 0, 0, 1], [0, 1, 0, 0.01], [0, 0, 1, 1]], np.float32),
        "face_objects": np.array([0, 1, 1]),
        "object_names": ("a", "b"),
    }
    return TexturedMesh(**{**fields, **changes})


def textured(**changes: Any) -> TexturedMesh:
    """The same with two textures, the first face and the last one textured."""
    uvs = np.full((3, 3, 2), np.nan, np.float32)
    uvs[0], uvs[2] = 0.25, 0.75
    fields: dict[str, Any] = {
        "uvs": uvs,
        "face_texture": np.array([1, -1, 0]),
        "textures": (np.zeros((2, 3, 4), np.uint8), np.ones((1, 1, 4), np.uint8)),
    }
    return surface(**{**fields, **changes})


def test_cleaning_drops_faint_and_flat_faces_and_unused_vertices() -> None:
    clean = surface().cleaned()
    assert clean.faces.tolist() == [[0, 1, 2]]
    assert len(clean.vertices) == 3


def test_mesh_keeps_colours() -> None:
    mesh = surface().mesh()
    assert mesh.faces.shape == (3, 3)
    assert mesh.face_colors is not None
    assert mesh.face_colors[1].tolist() == [0, 1, 0]


def test_selecting_and_joining_keep_faces_with_their_objects() -> None:
    both = concatenate([surface().select(np.array([True, False, False])), surface()])
    assert both.faces.tolist() == [[0, 1, 2], [4, 5, 6], [4, 6, 5], [4, 4, 5]]
    assert [both.object_names[k] for k in both.face_objects] == ["a", "a", "b", "b"]


def test_transform_is_matrix_then_shift() -> None:
    moved = surface().transformed(np.array([[0.0, -1, 0], [1, 0, 0], [0, 0, 1]]), np.ones(3))
    assert moved.vertices[1].tolist() == [1, 2, 1]


@pytest.mark.parametrize("index", [-1, 4])
def test_index_out_of_range_is_named(index: int) -> None:
    with pytest.raises(ValueError, match=f"vertex {index} .* of 4"):
        surface(faces=np.array([[0, 1, index], [0, 1, 2], [0, 1, 2]]))


@pytest.mark.parametrize("value", [np.nan, np.inf])
def test_non_finite_vertices_matter_only_when_used(value: float) -> None:
    vertices = np.array([[0.0, 0, 0], [1, 0, 0], [0, 1, 0], [value, 0, 0]])
    surface(vertices=vertices)
    with pytest.raises(ValueError, match="not a finite number"):
        surface(vertices=vertices, faces=np.array([[0, 1, 3]]))


def test_nothing_visible_is_an_error() -> None:
    with pytest.raises(ValueError, match="no visible faces"):
        surface().select(np.zeros(3, bool)).mesh()


def test_normalised_is_the_box_of_the_faces_alone() -> None:
    tall = surface(vertices=np.array([[0.0, 0, 0], [1, 0, 0], [0, 4, 0], [9, 9, 9]])).normalized()
    corners = tall.vertices[tall.faces]
    assert corners.min(axis=(0, 1)).tolist() == [-0.125, -0.5, 0]
    assert corners.max(axis=(0, 1)).tolist() == [0.125, 0.5, 0]


@pytest.mark.parametrize("scale", [0.0, 1e308, 1e-310])
def test_a_box_without_a_size_cannot_be_normalised(scale: float) -> None:
    points = np.array([[-1.0, 0, 0], [1, 0, 0], [0, 1, 0], [0, 0, 0]]) * scale
    with pytest.raises(ValueError, match="must span a finite box"):
        surface(vertices=points).normalized()
    with pytest.raises(ValueError, match="no visible faces"):
        surface().select(np.zeros(3, bool)).normalized()


def test_textures_stay_with_their_faces() -> None:
    joined = concatenate([textured(), surface(), textured().cleaned()])
    assert joined.face_texture is not None
    assert joined.face_texture.tolist() == [1, -1, 0, -1, -1, -1, 3]
    assert joined.textured.tolist() == [True, False, True, False, False, False, True]
    assert joined.uvs is not None
    assert joined.uvs[:, 0, 0][joined.textured].tolist() == [0.25, 0.75, 0.25]
    assert len(joined.textures) == 4
    last = joined.select(np.arange(7) == 2).transformed(np.eye(3), np.ones(3)).normalized()
    assert last.face_texture is not None
    assert last.face_texture.tolist() == [0]


@pytest.mark.parametrize(
    ("changes", "message"),
    [
        ({"uvs": None}, "together"),
        ({"face_texture": np.array([2, -1, 0])}, "texture 2 .* of 2"),
        ({"face_texture": np.array([0, -2, 0])}, "texture -2 .* of 2"),
        ({"face_texture": np.array([0, 0, 0])}, "not a finite number"),
        ({"face_texture": np.array([0, 0])}, "3 faces need uvs"),
        ({"textures": (np.zeros((2, 3, 3), np.uint8),) * 2}, r"uint8 \[H, W, 4\]"),
        ({"textures": (np.zeros((2, 3, 4)),) * 2}, r"got float64 \(2, 3, 4\)"),
        ({"textures": (np.zeros((0, 3, 4), np.uint8),) * 2}, "must have pixels"),
    ],
)
def test_bad_textures(changes: dict[str, Any], message: str) -> None:
    with pytest.raises(ValueError, match=message):
        textured(**changes)


def test_mirroring_turns_faces_and_their_texture_coordinates() -> None:
    uvs = np.arange(18, dtype=np.float32).reshape(3, 3, 2)
    given = textured(uvs=uvs, face_texture=np.zeros(3, np.int64))
    mirrored = given.transformed(np.diag([1.0, -2, 1]), np.array([1.0, 0, 0]))
    assert mirrored.vertices[2].tolist() == [1, -2, 0]
    assert mirrored.faces.tolist() == given.faces[:, ::-1].tolist()
    assert mirrored.uvs is not None
    assert np.array_equal(mirrored.uvs, uvs[:, ::-1])
    turned = given.transformed(np.diag([-1.0, -1, 1]), np.zeros(3))
    assert np.array_equal(turned.faces, given.faces)


def test_joining_keeps_how_textures_go_on() -> None:
    clamped = textured(texture_wraps=((CLAMP, MIRROR), (REPEAT, CLAMP)))
    joined = concatenate([textured(), clamped, surface()])
    assert joined.texture_wraps == ((REPEAT,) * 2, (REPEAT,) * 2, (CLAMP, MIRROR), (REPEAT, CLAMP))
    assert concatenate([textured(), surface()]).texture_wraps == ()
    with pytest.raises(ValueError, match="2 textures need as many texture_wraps"):
        textured(texture_wraps=((CLAMP, CLAMP),))


def test_opaque_surfaces_have_opaque_textures() -> None:
    opaque = textured().opaque()
    assert (opaque.face_rgba[:, 3] == 1).all()
    assert all((texture[..., 3] == 255).all() for texture in opaque.textures)
    assert not textured().textures[0].any()
