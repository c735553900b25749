from __future__ import annotations

import numpy as np
import pytest
from scipy.spatial.distance import cdist

from recon.geometry.surface_sampling import SurfaceSamples
from recon.metrics.distances import Matches, SearchedSurface, SurfacePair


def directions(count: int, seed: int = 0) -> np.ndarray:
    drawn = np.random.default_rng(seed).normal(size=(count, 3))
    return drawn / np.linalg.norm(drawn, axis=1, keepdims=True)


def ball(radius: float, count: int = 300, seed: int = 0) -> SurfaceSamples:
    units = directions(count, seed)
    return SurfaceSamples(radius * units, units)


def pair(prediction: SurfaceSamples, truth: SurfaceSamples) -> SurfacePair:
    return SurfacePair.of(SearchedSurface(prediction), SearchedSurface(truth))


def test_a_surface_agrees_with_itself() -> None:
    same = pair(ball(0.5), ball(0.5))
    for matches in (same.accuracy, same.completeness):
        assert matches.mean_distance() == matches.mean_squared_distance() == 0
        assert matches.mean_cosine() == pytest.approx(1, abs=1e-12)
    assert same.f_score(1e-9) == 1


def test_concentric_spheres_are_as_far_apart_as_their_radii() -> None:
    # The same directions: the nearest point lies on the same ray.
    apart = pair(ball(0.3), ball(0.5))
    for matches in (apart.accuracy, apart.completeness):
        np.testing.assert_allclose(matches.distances, 0.2, rtol=1e-9)
        assert matches.mean_squared_distance() == pytest.approx(0.04, rel=1e-9)
    assert apart.f_score(0.2001) == 1
    assert apart.f_score(0.1999) == 0


def test_a_copy_shifted_along_the_normal_of_a_plane() -> None:
    x, y = np.meshgrid(np.arange(10.0), np.arange(10.0))
    points = np.stack([x.ravel(), y.ravel(), np.zeros(100)], 1)
    normals = np.tile([0.0, 0, 1], (100, 1))
    above = np.stack([x.ravel(), y.ravel(), np.full(100, 0.25)], 1)
    shifted = pair(SurfaceSamples(above, normals), SurfaceSamples(points, -normals))
    assert np.array_equal(shifted.accuracy.distances, np.full(100, 0.25))
    assert shifted.accuracy.mean_cosine() == -1
    assert shifted.accuracy.mean_absolute_cosine() == 1
    # Nearer than the threshold, not as near.
    assert shifted.accuracy.share_within(0.25) == 0
    assert shifted.accuracy.share_within(0.2500001) == 1


def test_all_distances_are_those_of_every_pair_of_points() -> None:
    rng = np.random.default_rng(4)
    one = SurfaceSamples(rng.random((400, 3)), directions(400, 1) * rng.random((400, 1)))
    other = SurfaceSamples(rng.random((150, 3)), directions(150, 2))
    table = cdist(one.points, other.points)
    units = one.normals / np.linalg.norm(one.normals, axis=1, keepdims=True)
    cosines = (units * other.normals[table.argmin(1)]).sum(1)
    back = (other.normals * units[table.argmin(0)]).sum(1)
    found = pair(one, other)
    assert sorted(found.accuracy.distances) == pytest.approx(sorted(table.min(1)))
    assert sorted(found.completeness.distances) == pytest.approx(sorted(table.min(0)))
    assert found.accuracy.mean_absolute_cosine() == pytest.approx(np.abs(cosines).mean())
    assert found.completeness.mean_cosine() == pytest.approx(back.mean())


def test_the_order_of_the_points_does_not_matter() -> None:
    one, other = ball(0.4, 500, 1), ball(0.5, 700, 2)
    order = np.random.default_rng(0).permutation(500)
    shuffled = SurfaceSamples(one.points[order], one.normals[order])
    first, second = pair(one, other), pair(shuffled, other)
    assert first.accuracy.mean_distance() == pytest.approx(second.accuracy.mean_distance())
    assert first.completeness.mean_cosine() == pytest.approx(second.completeness.mean_cosine())


def test_turning_round_exchanges_the_directions() -> None:
    one, other = ball(0.4, 500, 1), ball(0.5, 700, 2)
    there, back = pair(one, other), pair(other, one)
    assert there.accuracy.mean_distance() == back.completeness.mean_distance()
    assert there.completeness.mean_cosine() == back.accuracy.mean_cosine()
    assert there.f_score(0.11) == back.f_score(0.11)


def test_scaling_multiplies_distances_alone() -> None:
    apart = pair(ball(0.3), ball(0.5)).scaled(10)
    assert apart.accuracy.mean_distance() == pytest.approx(2)
    assert apart.completeness.mean_squared_distance() == pytest.approx(4)
    assert apart.accuracy.mean_cosine() == pytest.approx(1)


def test_f_score_is_the_harmonic_mean() -> None:
    near = Matches(np.array([0.0, 0, 0, 1]), np.zeros(4))
    far = Matches(np.array([0.0, 1, 1, 1, 1]), np.zeros(5))
    assert SurfacePair(near, far).f_score(0.5) == pytest.approx(2 * 0.75 * 0.2 / 0.95)
    assert SurfacePair(far, far).f_score(1e-3) == pytest.approx(0.2)
    nothing = Matches(np.ones(3), np.zeros(3))
    assert SurfacePair(nothing, nothing).f_score(0.5) == 0


def test_a_normal_without_direction_agrees_with_nothing() -> None:
    flat = SurfaceSamples(np.zeros((1, 3)), np.zeros((1, 3)))
    assert pair(flat, ball(0.5)).accuracy.mean_absolute_cosine() == 0


def test_a_thousand_points_at_one_place() -> None:
    heap = SurfaceSamples(np.zeros((1000, 3)), directions(1000))
    assert pair(heap, ball(0.5)).accuracy.mean_distance() == pytest.approx(0.5)


@pytest.mark.parametrize(
    ("points", "normals", "message"),
    [
        (np.zeros((0, 3)), np.zeros((0, 3)), r"N >= 1, got \(0, 3\) and \(0, 3\)"),
        (np.zeros((2, 3)), np.zeros((1, 3)), r"one shape .* got \(2, 3\) and \(1, 3\)"),
        (np.zeros((2, 2)), np.zeros((2, 2)), r"one shape \[N, 3\]"),
        (np.full((2, 3), np.nan), np.zeros((2, 3)), "must be finite"),
        (np.zeros((2, 3)), np.full((2, 3), np.inf), "must be finite"),
    ],
)
def test_bad_samples_are_refused(points: np.ndarray, normals: np.ndarray, message: str) -> None:
    with pytest.raises(ValueError, match=message):
        SearchedSurface(SurfaceSamples(points, normals))
