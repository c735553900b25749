from __future__ import annotations

from dataclasses import replace

import numpy as np
import pytest
import torch
from torch import Tensor

from recon.formats.meshes.reading.textured_mesh import TexturedMesh
from recon.geometry.frames import world_vertices
from recon.preparation.rendering.points import occupied_points, surface_points
from tests.recon.preparation.known_surfaces import joined, mesh

COUNT = 4000


def world(surface: TexturedMesh) -> tuple[Tensor, Tensor]:
    """Vertices and faces as the renderer hands them over."""
    vertices = torch.from_numpy(surface.vertices).float()
    return world_vertices(vertices), torch.from_numpy(surface.faces.copy())


def occupancies(surface: TexturedMesh) -> tuple[np.ndarray, np.ndarray]:
    """Points [P, 3] in the model frame and which are inside."""
    arrays = occupied_points(*world(surface), COUNT, "a")
    points = world_vertices(torch.from_numpy(arrays["points"].astype(np.float64))).numpy()
    return points, np.unpackbits(arrays["occupancies"], count=COUNT) > 0


def within(points: np.ndarray, size, center=(0.0, 0.0, 0.0)) -> np.ndarray:
    return (np.abs(points - np.array(center)) < np.array(size) / 2).all(axis=1)


def test_surface_points_lie_evenly_on_the_surface_and_normals_point_out() -> None:
    size = np.array([0.9, 0.5, 0.3])
    arrays = surface_points(*world(mesh(tuple(size))), COUNT, "a")
    points, normals = arrays["pointcloud"], arrays["pointcloud_normals"]
    half = world_vertices(torch.from_numpy(size)).abs().numpy() / 2
    sides = np.abs(points / half)
    np.testing.assert_allclose(sides.max(axis=1), 1, atol=1e-6)
    axis = sides.argmax(axis=1)
    outward = np.sign(points[np.arange(COUNT), axis])
    np.testing.assert_allclose(normals[np.arange(COUNT), axis], outward, atol=1e-6)
    shares = np.bincount(axis, minlength=3) / COUNT
    areas = np.array([half[1] * half[2], half[0] * half[2], half[0] * half[1]])
    # Four standard deviations of a share of 4000 points.
    np.testing.assert_allclose(shares, areas / areas.sum(), atol=4 * 0.5 / COUNT**0.5)


def test_occupancies_of_parts_that_overlap_are_those_of_their_union() -> None:
    one, other, shift = (0.6, 0.51, 0.53), (0.33, 0.97, 0.31), (0.1, 0.0, 0.02)
    points, inside = occupancies(joined(mesh(one), mesh(other, shift)))
    expected = within(points, one) | within(points, other, shift)
    assert np.array_equal(inside, expected)
    assert np.abs(points).max() <= 0.55
    assert expected.mean() * 1.1**3 == pytest.approx(0.6 * 0.51 * 0.53 + 0.047, abs=0.02)


def test_occupancies_do_not_depend_on_how_faces_are_wound() -> None:
    box = mesh((0.6, 0.51, 0.53))
    turned = replace(box, faces=box.faces[:, [0, 2, 1]])
    assert np.array_equal(occupancies(box)[1], occupancies(turned)[1])


def test_a_small_hole_lets_nothing_out() -> None:
    # The corner of a side is missing, 0.004 wide: the voxels are 0.0086.
    size = np.array([0.6, 0.52, 0.54])
    box = mesh(tuple(size))
    corners = box.vertices[box.faces]
    keep = np.ones(len(box.faces), bool)
    keep[0] = False
    a, b, c = corners[0]
    inner = b + 0.004 * (a - b) / np.linalg.norm(a - b), b + 0.004 * (c - b) / np.linalg.norm(c - b)
    added = np.array([a, inner[0], c, inner[0], inner[1], c], np.float32)
    count = len(box.vertices)
    faces = np.concatenate([box.faces[keep], count + np.arange(6).reshape(2, 3)])
    holed = TexturedMesh(
        np.concatenate([box.vertices, added]),
        faces,
        np.ones((len(faces), 4), np.float32),
        np.zeros(len(faces), np.int64),
    )
    points, inside = occupancies(holed)
    assert (inside != within(points, size)).mean() < 1e-3


def test_an_open_sheet_has_no_inside() -> None:
    box = mesh((0.8, 0.01, 0.7))
    flat = replace(box, vertices=box.vertices * [1, 0, 1] + [0, 0.1, 0])
    assert not occupancies(flat)[1].any()


def test_points_are_a_function_of_the_object() -> None:
    box = world(mesh((0.6, 0.51, 0.53)))
    for draw, name in ((surface_points, "pointcloud"), (occupied_points, "points")):
        first, again, other = (draw(*box, 50, key)[name] for key in ("a", "a", "b"))
        assert np.array_equal(first, again)
        assert not np.array_equal(first, other)


def test_a_surface_without_area_is_refused() -> None:
    with pytest.raises(ValueError, match="no face has an area"):
        surface_points(torch.zeros(3, 3), torch.tensor([[0, 1, 2]]), 10, "a")
