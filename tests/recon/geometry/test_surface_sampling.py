from __future__ import annotations

import numpy as np
import pytest
import trimesh

from recon.geometry.surface_sampling import sample_surface

COUNT = 20_000
TRIANGLE = np.array([[0.0, 0, 0], [2, 0, 0], [0, 1, 0]])
INFINITE = np.where(TRIANGLE == 1, np.inf, TRIANGLE)
FACE = np.array([[0, 1, 2]])


def rng() -> np.random.Generator:
    return np.random.default_rng(0)


def test_moments_within_a_triangle_are_those_of_an_even_spread() -> None:
    points, normals = sample_surface(TRIANGLE, FACE, COUNT, rng())
    assert points.shape == normals.shape == (COUNT, 3)
    # Barycentric coordinates of an even spread: mean 1/3, E[w_i^2] = 1/6, E[w_i w_j] = 1/12.
    weights = np.stack([1 - points[:, 0] / 2 - points[:, 1], points[:, 0] / 2, points[:, 1]], 1)
    assert weights.min() >= -1e-12
    np.testing.assert_allclose(weights.mean(0), 1 / 3, atol=4 * 0.24 / COUNT**0.5)
    second = weights.T @ weights / COUNT
    np.testing.assert_allclose(second, (1 + np.eye(3)) / 12, atol=4 * 0.2 / COUNT**0.5)
    assert np.array_equal(normals, np.tile([0.0, 0, 1], (COUNT, 1)))


def test_faces_are_drawn_by_their_areas() -> None:
    # Three triangles of areas 1, 3 and 0 with different normals.
    vertices = np.concatenate([TRIANGLE, TRIANGLE[:, [1, 2, 0]] * 3**0.5, np.zeros((3, 3))])
    faces = np.arange(9).reshape(3, 3)
    _, normals = sample_surface(vertices, faces, COUNT, rng())
    assert np.isin(np.abs(normals), (0, 1)).all()
    share = np.abs(normals).mean(0)
    assert share[2] == pytest.approx(0.25, abs=4 * 0.43 / COUNT**0.5)
    assert share.sum() == 1


def test_a_sphere_is_sampled_as_trimesh_does() -> None:
    mesh = trimesh.creation.icosphere(2, radius=0.5)
    mesh.apply_scale([1.0, 0.6, 0.3])
    points, normals = sample_surface(mesh.vertices, mesh.faces, COUNT, rng())
    other, index = trimesh.sample.sample_surface(mesh, COUNT, seed=1)
    for own, theirs in ((points, other), (normals, mesh.face_normals[index])):
        # Six standard deviations of the difference of two means of numbers in [-1, 1].
        limit = 6 * (2 / COUNT) ** 0.5 * max(own.std(), theirs.std())
        np.testing.assert_allclose(own.mean(0), theirs.mean(0), atol=limit)
        np.testing.assert_allclose(own.T @ own / COUNT, theirs.T @ theirs / COUNT, atol=limit)
    some = np.repeat(points[:200], len(mesh.faces), axis=0)
    nearest = trimesh.triangles.closest_point(np.tile(mesh.triangles, (200, 1, 1)), some)
    distances = np.linalg.norm(nearest - some, axis=1).reshape(200, -1).min(1)
    assert distances.max() < 1e-9


def test_the_generator_alone_decides() -> None:
    first = sample_surface(TRIANGLE, FACE, 50, np.random.default_rng(3)).points
    again = sample_surface(TRIANGLE, FACE, 50, np.random.default_rng(3)).points
    other = sample_surface(TRIANGLE, FACE, 50, np.random.default_rng(4)).points
    assert np.array_equal(first, again)
    assert not np.array_equal(first, other)


@pytest.mark.parametrize(
    "vertices",
    [np.zeros((3, 3)), TRIANGLE * [1, 0, 1], np.full((3, 3), np.nan), INFINITE],
    ids=["one point", "a line", "NaN", "infinity"],
)
def test_faces_without_area_give_no_points(vertices: np.ndarray) -> None:
    assert sample_surface(vertices, FACE, 10, rng()).points.shape == (0, 3)
    both = np.concatenate([vertices, TRIANGLE])
    points = sample_surface(both, np.array([[0, 1, 2], [3, 4, 5]]), 10, rng()).points
    assert np.array_equal(points, sample_surface(TRIANGLE, FACE, 10, rng()).points)


def test_no_faces_no_points() -> None:
    assert sample_surface(TRIANGLE, FACE[:0], 10, rng()).normals.shape == (0, 3)
    assert sample_surface(TRIANGLE, FACE, 0, rng()).points.shape == (0, 3)


def test_huge_and_tiny_meshes_are_sampled() -> None:
    reference = sample_surface(TRIANGLE, FACE, 10, rng()).points
    for scale in (1e-30, 1e30):
        points = sample_surface((TRIANGLE * scale).astype(np.float32), FACE, 10, rng()).points
        np.testing.assert_allclose(points / scale, reference, rtol=1e-6)


def test_bad_arguments_are_refused() -> None:
    with pytest.raises(ValueError, match=r"vertices must be \[V, 3\] and faces .*, got \(3, 2\)"):
        sample_surface(TRIANGLE[:, :2], FACE, 10, rng())
    with pytest.raises(ValueError, match="count must be >= 0, got -1"):
        sample_surface(TRIANGLE, FACE, -1, rng())
