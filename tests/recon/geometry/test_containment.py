from __future__ import annotations

import numpy as np
import pytest
import trimesh
from hypothesis import given, settings
from hypothesis import strategies as st

from recon.geometry import containment as inside
from recon.geometry.containment import points_inside, ray_windings
from tests.recon.metrics.solids import box, cube_points, sphere


def arrays(*meshes) -> tuple[np.ndarray, np.ndarray]:
    """Vertices and faces of several meshes as one."""
    start, vertices, faces = 0, [], []
    for points, triangles in meshes:
        vertices.append(points.numpy())
        faces.append(triangles.numpy() + start)
        start += len(points)
    return np.concatenate(vertices), np.concatenate(faces)


def points(count: int = 3000) -> np.ndarray:
    return cube_points(count).numpy()


def within(size, center=(0.0, 0.0, 0.0)) -> np.ndarray:
    return (np.abs(points() - np.array(center)) < np.array(size) / 2).all(1)


def test_a_box() -> None:
    mesh = arrays(box((0.5, 0.7, 0.9), (0.1, 0.05, -0.05)))
    expected = within((0.5, 0.7, 0.9), (0.1, 0.05, -0.05))
    assert 300 < expected.sum() < 1500
    assert np.array_equal(points_inside(points(), *mesh), expected)
    windings = ray_windings(points(), *mesh)
    assert np.array_equal(windings, np.stack([expected, expected]))
    assert np.array_equal(ray_windings(points(), mesh[0], mesh[1][:, [1, 0, 2]]), -windings)


def test_boxes_which_overlap() -> None:
    one, other = within((0.5, 0.7, 0.9)), within((0.7, 0.4, 0.3), (0.1, 0.0, 0.0))
    mesh = arrays(box((0.5, 0.7, 0.9)), box((0.7, 0.4, 0.3), (0.1, 0.0, 0.0)))
    assert np.array_equal(points_inside(points(), *mesh), one ^ other)
    assert np.array_equal(ray_windings(points(), *mesh)[0], one.astype(int) + other)


def test_a_ring_agrees_with_trimesh() -> None:
    pytest.importorskip("embreex")
    mesh = trimesh.creation.torus(0.35, 0.12, major_sections=24, minor_sections=12)
    mesh.apply_transform(trimesh.transformations.rotation_matrix(0.7, [1, 2, 3]))
    own = points_inside(points(), mesh.vertices, mesh.faces)
    assert np.array_equal(own, mesh.contains(points()))
    assert own.mean() * 1.1**3 == pytest.approx(mesh.volume, abs=0.02)


@settings(max_examples=25, deadline=None)
@given(seed=st.integers(0, 2**31))
def test_a_ray_through_an_edge_or_a_corner_crosses_once(seed: int) -> None:
    # Whole numbers: nearly every ray meets edges and corners, of a closed surface in any shape.
    rng = np.random.default_rng(seed)
    vertices, faces = sphere(1.0, level=1)
    shaken = rng.integers(-3, 4, vertices.shape).astype(float)
    grid = np.stack(np.meshgrid(*[np.arange(-4.0, 5.0)] * 3), -1).reshape(-1, 3)
    grid[:, 0] += 0.37 * rng.random(len(grid))
    ahead, behind = ray_windings(grid, shaken, faces.numpy())
    assert np.array_equal(ahead % 2, behind % 2)
    assert np.array_equal(ahead, behind)
    outer = np.abs(grid).max(1) > 3.5
    assert not ahead[outer].any()


def test_an_open_surface_has_no_inside_where_its_rays_disagree() -> None:
    vertices, faces = arrays(box((0.5, 0.7, 0.9)))
    open_box = vertices, faces[np.abs(vertices[faces, 0].sum(1)) < 0.7]  # no side at x = +-0.25
    assert len(open_box[1]) == 8
    assert not points_inside(points(), *open_box).any()
    lidless = vertices, faces[vertices[faces, 0].sum(1) < 0.7]
    assert len(lidless[1]) == 10
    assert not points_inside(points(), *lidless).any()
    ahead, behind = ray_windings(points(), *lidless)
    assert not ahead[within((0.5, 0.7, 0.9))].any()
    assert (behind[within((0.5, 0.7, 0.9))] == 1).all()


def test_faces_and_points_that_are_not_finite_do_not_matter() -> None:
    vertices, faces = arrays(box((0.5, 0.7, 0.9)))
    spoiled = np.concatenate([vertices, [[np.nan, 0, 0], [np.inf, 0, 0]]])
    more = np.concatenate([faces, [[0, 1, 8], [2, 9, 3], [4, 4, 5]]])
    places = np.concatenate([points(), [[np.nan, 0, 0], [0, np.inf, 0]]])
    found = points_inside(places, spoiled, more)
    assert np.array_equal(found[:-2], within((0.5, 0.7, 0.9)))
    assert not found[-2:].any()


def test_nothing_is_inside_of_nothing() -> None:
    vertices, faces = arrays(box((0.5, 0.7, 0.9)))
    assert not points_inside(points(), vertices, faces[:0]).any()
    assert points_inside(points()[:0], vertices, faces).shape == (0,)
    assert not points_inside(points(), vertices * [1, 1, 0], faces).any()
    assert not points_inside(points(), vertices * 0, faces).any()


@pytest.mark.parametrize(("cells", "pairs"), [(1, 1 << 19), (7, 100), (256, 1)])
def test_the_grid_and_the_blocks_do_not_matter(
    monkeypatch: pytest.MonkeyPatch, cells: int, pairs: int
) -> None:
    vertices, faces = sphere(0.4, level=1, center=(0.1, 0.0, 0.05))
    places = points(200)
    expected = points_inside(places, vertices.numpy(), faces.numpy())
    monkeypatch.setattr(inside, "MAX_CELLS", cells)
    monkeypatch.setattr(inside, "PAIRS_AT_ONCE", pairs)
    found = points_inside(places, vertices.numpy(), faces.numpy())
    assert 20 < expected.sum() < 180
    assert np.array_equal(found, expected)


def test_half_precision_points_are_taken_as_they_are() -> None:
    mesh = arrays(box((0.5, 0.7, 0.9)))
    half = points().astype(np.float16)
    assert np.array_equal(points_inside(half, *mesh), points_inside(half.astype(float), *mesh))


def test_bad_shapes_are_refused() -> None:
    mesh = arrays(box((0.5, 0.7, 0.9)))
    with pytest.raises(ValueError, match=r"points must have the shape \[P, 3\], got \(3000, 2\)"):
        points_inside(points()[:, :2], *mesh)
    with pytest.raises(ValueError, match=r"vertices must be \[V, 3\] and faces \[F, 3\], got"):
        points_inside(points(), mesh[0][:, :2], mesh[1])
