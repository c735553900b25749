from __future__ import annotations

from typing import Any

import numpy as np
import pytest

from recon.datasets.surfaces import Surface, concatenate


def surface(**changes: Any) -> Surface:
    fields: dict[str, Any] = {
        "vertices": np.array([[0.0, 0, 0], [1, 0, 0], [0, 1, 0], [9, 9, 9]]),
        "faces": np.array([[0, 1, 2], [0, 2, 1], [0, 0, 1]]),
        "face_rgba": np.array([[1, 0, 0, 1], [0, 1, 0, 0.01], [0, 0, 1, 1]], np.float32),
        "face_objects": np.array([0, 1, 1]),
        "object_names": ("a", "b"),
    }
    return Surface(**{**fields, **changes})


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
