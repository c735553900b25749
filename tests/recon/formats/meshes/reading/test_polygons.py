from __future__ import annotations

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from recon.formats.meshes.reading.polygons import triangulate

L_SHAPE = [(0, 0), (2, 0), (2, 1), (1, 1), (1, 2), (0, 2)]
ARROW = [(0, 0), (2, 1), (0, 2), (0.5, 1)]  # its first corner is no ear's neighbour
COMB = [(0, 0), (7, 0), (7, 3), (6, 3), (6, 1), (5, 1), (5, 3), (4, 3), (4, 1), (3, 1), (3, 3),
        (0, 3)]  # fmt: skip


def area(outline: np.ndarray) -> float:
    x, y = outline.T
    return abs((x * np.roll(y, -1) - np.roll(x, -1) * y).sum()) / 2


def signed_areas(points: np.ndarray, corners: np.ndarray) -> np.ndarray:
    a, b, c = (points[corners[:, k], :2] for k in range(3))
    return ((b - a)[:, 0] * (c - a)[:, 1] - (b - a)[:, 1] * (c - a)[:, 0]) / 2


def lifted(outline: list[tuple[float, float]]) -> np.ndarray:
    flat = np.array(outline, float)
    return np.c_[flat, 0.3 * flat[:, 0] + 0.2 * flat[:, 1] + 5]


@pytest.mark.parametrize("outline", [L_SHAPE, ARROW, COMB])
@pytest.mark.parametrize("start", range(4))
@pytest.mark.parametrize("step", [1, -1])
def test_concave_polygons_are_covered_exactly(outline, start: int, step: int) -> None:
    points = lifted(np.roll(outline, start, axis=0)[::step].tolist())
    corners, _ = triangulate(points, np.array([len(points)]))
    signed = signed_areas(points, corners)
    assert len(corners) == len(points) - 2
    assert (signed * step >= 0).all()  # the winding is kept, nothing overlaps
    assert np.isclose(abs(signed).sum(), area(np.array(outline, float)))


@given(st.integers(3, 24), st.integers(0, 2**32 - 1))
def test_star_shaped_polygons_keep_their_area(count: int, seed: int) -> None:
    rng = np.random.default_rng(seed)
    angles = (np.arange(count) + rng.uniform(0.1, 0.9, count)) * 2 * np.pi / count
    radii = rng.uniform(0.3, 1.0, count)
    flat = np.c_[radii * np.cos(angles), radii * np.sin(angles)]
    if count == 3 and signed_areas(flat, np.array([[0, 1, 2]]))[0] < 0:
        return  # with three corners the middle may lie outside
    corners, _ = triangulate(lifted(flat.tolist()), np.array([count]))
    assert np.isclose(abs(signed_areas(flat, corners)).sum(), area(flat))


def test_polygons_of_all_sizes_stay_in_order() -> None:
    square = [(0, 0), (1, 0), (1, 1), (0, 1)]
    points = np.concatenate([lifted(p) for p in (square, square[:2], L_SHAPE, square[:3], square)])
    corners, polygons = triangulate(points, np.array([4, 2, 6, 3, 4]))
    assert polygons.tolist() == [0, 0, 2, 2, 2, 2, 3, 4, 4]
    assert corners[:2].tolist() == [[0, 1, 2], [0, 2, 3]]
    assert corners[6].tolist() == [12, 13, 14]


def test_degenerate_polygons_do_not_fail() -> None:
    corners, _ = triangulate(np.zeros((7, 3)), np.array([7]))
    assert len(corners) == 5
    corners, polygons = triangulate(np.zeros((0, 3)), np.zeros(0, np.int64))
    assert corners.shape == (0, 3)
    assert polygons.shape == (0,)
