"""Known directions from which meshes fit outlines."""

from __future__ import annotations

import pytest
import torch

from recon.geometry.cameras import Cameras, shapenet_cameras
from recon.geometry.meshes import Mesh, icosphere
from recon.inference.viewpoint_search import align_to_masks, find_directions
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
    assert found.index.tolist() == views.tolist()
    assert bool((found.iou > 0.9).all())


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
