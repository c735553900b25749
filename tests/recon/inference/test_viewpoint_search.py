"""Known directions from which meshes fit outlines."""

from __future__ import annotations

import pytest
import torch

from recon.geometry.cameras import Cameras, shapenet_cameras
from recon.geometry.meshes import Mesh, icosphere
from recon.inference.viewpoint_search import (
    align_to_masks,
    cameras_in_directions,
    find_directions,
    nearest_cameras,
    predict_directions,
)
from recon.models import Prediction
from recon.models.directions import direction_grid
from recon.rendering.renderer import SoftRenderer

KNOWN = shapenet_cameras(range(24))


@pytest.fixture
def horn() -> Mesh:
    """A body without any symmetry."""
    sphere = icosphere(2)
    x, y, z = sphere.vertices.unbind(1)
    bent = torch.stack((0.45 * x, 0.15 * y + 0.25 * x.clamp(min=0) ** 2, 0.25 * z * (1 + x)), 1)
    return Mesh(bent, sphere.faces)


def outlines(mesh: Mesh, cameras: Cameras) -> torch.Tensor:
    many = mesh.vertices.expand(len(cameras), -1, -1)
    return (SoftRenderer(64, sigma=1e-7).silhouette(many, mesh.faces, cameras) * 255).byte()


def test_the_direction_of_a_rendering_is_found(horn: Mesh) -> None:
    views = torch.tensor([2, 9, 17])
    vertices = horn.vertices.expand(3, -1, -1)
    found = find_directions(vertices, horn.faces, outlines(horn, KNOWN[views]), KNOWN)
    assert torch.equal(found.cameras.rows(), KNOWN[views].rows())
    assert nearest_cameras(found.cameras, KNOWN).tolist() == views.tolist()
    assert bool((found.iou > 0.9).all())
    assert torch.equal(found.score, found.iou)


GRID = direction_grid(24, (0.0, 30.0))


def test_cameras_in_directions_are_where_the_directions_say() -> None:
    cameras = cameras_in_directions(GRID, 2.5, 40.0)
    torch.testing.assert_close(cameras.eye(), 2.5 * GRID, atol=1e-5, rtol=0)
    torch.testing.assert_close(cameras.fov(), torch.full((48,), 40.0))


def test_a_direction_that_the_head_is_sure_of_is_taken(horn: Mesh) -> None:
    logits = torch.zeros(2, 48)
    logits[0, 24 + 3] = logits[1, 17] = 60.0  # azimuths 45 and 255 degrees
    vertices = horn.vertices.expand(2, -1, -1)
    prediction = Prediction(vertices, None, logits, GRID)
    alpha = outlines(horn, KNOWN[[9, 9]])  # which silhouettes alone would find
    found = predict_directions(prediction, horn.faces, alpha, KNOWN)
    torch.testing.assert_close(found.cameras.eye(), 2.732 * GRID[[27, 17]], atol=1e-4, rtol=0)
    assert bool((found.iou < 0.9).all())
    # The logarithm of a probability of nearly 1 is nearly 0.
    torch.testing.assert_close(found.score, found.iou, atol=1e-4, rtol=0)
    assert nearest_cameras(found.cameras, KNOWN).tolist() == [21, 7]


def test_among_probable_directions_the_silhouette_decides(horn: Mesh) -> None:
    logits = torch.full((1, 48), -9.0)
    logits[0, 24 + 3], logits[0, 24 + 15] = 0.0, 0.2  # views 21 and 9
    prediction = Prediction(horn.vertices[None], None, logits, GRID)
    for view in (9, 21):
        alpha = outlines(horn, KNOWN[view])
        found = predict_directions(prediction, horn.faces, alpha, KNOWN)
        torch.testing.assert_close(found.cameras.eye(), KNOWN[view].eye(), atol=1e-4, rtol=0)
        assert float(found.iou) > 0.9
        assert float(found.score) < float(found.iou)


def test_prediction_of_a_direction_needs_a_camera_head(horn: Mesh) -> None:
    prediction = Prediction(horn.vertices[None])
    with pytest.raises(ValueError, match="need a model with a camera_head"):
        predict_directions(prediction, horn.faces, outlines(horn, KNOWN[0]), KNOWN)


def test_a_mesh_is_laid_over_an_outline_elsewhere_and_of_another_size(horn: Mesh) -> None:
    one = KNOWN[5]
    shifted = Cameras(one.rotation, one.translation, one.focal * 1.4, one.center + 0.2)
    alpha = outlines(horn, shifted)
    vertices = horn.vertices[None]
    apart = find_directions(vertices, horn.faces, alpha, one).iou
    cameras, iou = align_to_masks(vertices, horn.faces, alpha, one)
    assert float(apart) < 0.5
    assert float(iou) > 0.95
    assert torch.allclose(cameras.focal, shifted.focal, rtol=0.03)
    assert torch.allclose(cameras.center, shifted.center, atol=0.03)


def test_a_camera_that_fits_better_as_it_is_stays(horn: Mesh) -> None:
    alpha = outlines(horn, KNOWN[5])
    alpha[:, 40:42, :] = 255  # a bar across the image spoils the box
    cameras, _ = align_to_masks(horn.vertices[None], horn.faces, alpha, KNOWN[5])
    assert torch.equal(cameras.rows(), KNOWN[5].rows())


def test_outlines_must_be_square_and_as_many_as_meshes(horn: Mesh) -> None:
    for alpha in (torch.ones(1, 5, 6), torch.ones(2, 6, 6)):
        with pytest.raises(ValueError, match=r"alpha must be \[1, S, S\]"):
            find_directions(horn.vertices[None], horn.faces, alpha, KNOWN)
