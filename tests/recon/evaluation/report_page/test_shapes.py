from __future__ import annotations

import base64

import numpy as np
import pytest
import torch

from recon.evaluation.report_page.shapes import (
    FACE,
    VERTEX,
    Shape,
    encode,
    encode_faces,
    predicted_shape,
)
from recon.geometry.meshes import face_normals, icosphere


def decoded(content: dict) -> np.ndarray:
    """The positions of an encoded shape, by the words of `encode` alone."""
    levels = np.frombuffer(base64.b64decode(content["positions"]), "<u2").astype(float)
    return ((levels / 65535 * 2 - 1) * content["extent"]).reshape(-1, 3)


@pytest.mark.parametrize("scale", [0.01, 0.5, 3.0])
def test_positions_come_back_to_sixteen_bits(scale: float) -> None:
    vertices = (icosphere(2).vertices * scale).numpy()
    content = encode(Shape(vertices), [])
    assert content["extent"] == pytest.approx(max(scale, 0.5), rel=0.02)
    assert np.abs(decoded(content) - vertices).max() <= content["extent"] / 65535


def test_faces_and_colours_come_back() -> None:
    sphere = icosphere(1)
    colors = np.random.default_rng(0).integers(0, 256, (sphere.num_vertices, 3), np.uint8)
    shared: list[np.ndarray] = []
    shape = Shape(sphere.vertices.numpy(), sphere.faces.numpy(), colors, VERTEX, lit=False)
    first, second = encode(shape, shared), encode(shape, shared)
    assert first == second
    assert (first["faces"], len(shared), first["colorsOf"], first["lit"]) == (0, 1, "vertex", False)
    assert base64.b64decode(first["colors"]) == colors.tobytes()
    for size, faces in ((2, sphere.faces.numpy()), (4, sphere.faces.numpy() + 70_000)):
        content = encode_faces(faces)
        assert content["bytes"] == size
        back = np.frombuffer(base64.b64decode(content["indices"]), f"<u{size}").reshape(-1, 3)
        assert np.array_equal(back, faces)


def test_other_faces_are_kept_beside_the_shared_ones() -> None:
    shared: list[np.ndarray] = []
    one, other = icosphere(0), icosphere(1)
    places = [
        encode(Shape(mesh.vertices.numpy(), mesh.faces.numpy()), shared)["faces"]
        for mesh in (one, other, one)
    ]
    assert places == [0, 1, 0]
    assert encode(Shape(np.zeros((3, 3), np.float32)), shared)["faces"] is None


def test_a_prediction_without_colours_is_grey_and_lit() -> None:
    sphere = icosphere(1)
    shape = predicted_shape(sphere.vertices, sphere.faces, None)
    assert (shape.colors, shape.lit) == (None, True)
    assert np.array_equal(shape.corners, sphere.vertices[sphere.faces].numpy())


def test_vertex_colours_keep_the_light_that_was_learned() -> None:
    sphere = icosphere(1)
    shape = predicted_shape(sphere.vertices, sphere.faces, (sphere.vertices + 1) / 2)
    assert (shape.colors_of, shape.lit) == (VERTEX, False)
    assert shape.colors is not None
    expected = (sphere.vertices.numpy() + 1) / 2 * 255
    assert np.abs(shape.colors - expected).max() <= 0.501


@pytest.mark.parametrize("side", [1, 2, 3])
def test_texels_become_faces_of_a_finer_mesh(side: int) -> None:
    sphere = icosphere(1)
    colors = torch.rand(sphere.num_faces, side * side, 3)
    shape = predicted_shape(sphere.vertices, sphere.faces, colors)
    assert shape.colors_of == FACE
    assert shape.colors is not None
    corners = torch.from_numpy(shape.corners).reshape(sphere.num_faces, side * side, 3, 3)
    assert np.abs(shape.colors.reshape(colors.shape) - colors.numpy() * 255).max() <= 0.501
    # All texels lie in the plane of their face, wound as it is, and cover it.
    whole = face_normals(sphere.vertices[sphere.faces])[:, None].expand(-1, side * side, -1)
    assert torch.allclose(face_normals(corners), whole, atol=1e-4)

    def area(triangles: torch.Tensor) -> torch.Tensor:
        a, b, c = triangles.unbind(-2)
        return torch.linalg.cross(b - a, c - a, dim=-1).norm(dim=-1)

    parts, faces = area(corners), area(sphere.vertices[sphere.faces])
    assert torch.allclose(parts, (faces / side**2)[:, None].expand_as(parts), rtol=1e-4)


def test_what_a_broken_network_cannot_place_is_left_out() -> None:
    sphere = icosphere(1)
    vertices = sphere.vertices.clone()
    vertices[0] = torch.nan
    touching = (sphere.faces == 0).any(1)
    colors = torch.rand(sphere.num_faces, 4, 3)
    shape = predicted_shape(vertices, sphere.faces, colors)
    assert len(shape.corners) == 4 * int((~touching).sum())
    assert np.isfinite(shape.vertices).all()
    kept = (colors[~touching] * 255).round().byte().reshape(-1, 3)
    assert shape.colors is not None
    assert np.array_equal(shape.colors, kept.numpy())
    lost = predicted_shape(torch.full_like(vertices, torch.inf), sphere.faces, None)
    content = encode(lost, shared := [])
    assert (content["extent"], len(shared[0])) == (0.5, 0)
