from __future__ import annotations

import math

import pytest
import torch
from torch import Tensor

from recon.geometry.cameras import Cameras, shapenet_cameras
from recon.geometry.meshes import icosphere
from recon.rendering.dibr import DIBRenderer
from renderer_cuda import gather_faces, visible_faces
from renderer_cuda.reference import pixel_centers

SPHERE = icosphere(1)
FACES = SPHERE.faces


def rough_sphere(batch: int) -> Tensor:
    generator = torch.Generator().manual_seed(1)
    bumps = 0.02 * torch.randn(SPHERE.vertices.shape, generator=generator, dtype=torch.float64)
    return (SPHERE.vertices.double() * 0.3 + bumps).expand(batch, -1, -1).clone()


def cameras(*views: int) -> Cameras:
    return Cameras.from_rows(shapenet_cameras(views).rows().double())


def slow_alpha(corners: Tensor, size: tuple[int, int], sigma: float, dist_eps: float) -> Tensor:
    """Alpha after equation 4 of the paper, pixel by pixel and face by face."""
    height, width = size
    centers = pixel_centers(height, width, dtype=corners.dtype).tolist()
    alpha = (visible_faces(corners, size) >= 0).to(corners.dtype).flatten(1)
    for image, faces in enumerate(corners.tolist()):
        for pixel, (x, y) in enumerate(centers):
            if alpha[image, pixel] == 1:
                continue
            free = 1.0
            for face in faces:
                square = min(to_segment((x, y), face[k], face[(k + 1) % 3]) for k in range(3))
                covered = math.exp(-square / sigma)
                free *= 1 - covered if covered >= dist_eps else 1
            alpha[image, pixel] = 1 - free
    return alpha.reshape(-1, *size)


def to_segment(point: tuple[float, float], start: list[float], end: list[float]) -> float:
    edge = (end[0] - start[0], end[1] - start[1])
    offset = (point[0] - start[0], point[1] - start[1])
    along = (offset[0] * edge[0] + offset[1] * edge[1]) / (edge[0] ** 2 + edge[1] ** 2)
    along = min(1.0, max(0.0, along))
    return (offset[0] - along * edge[0]) ** 2 + (offset[1] - along * edge[1]) ** 2


@pytest.mark.parametrize(("sigma", "dist_eps"), [(1e-3, 1e-4), (2e-2, 1e-2)])
def test_alpha_is_that_of_the_paper(sigma: float, dist_eps: float) -> None:
    vertices, seen_by, size = rough_sphere(2), cameras(0, 5), (12, 15)
    renderer = DIBRenderer(size, sigma=sigma, dist_eps=dist_eps)
    alpha = renderer.silhouette(vertices, FACES, seen_by)
    corners = gather_faces(seen_by.project(vertices, size), FACES)
    expected = slow_alpha(corners, size, sigma, dist_eps)
    torch.testing.assert_close(alpha, expected)
    assert ((expected > 0.01) & (expected < 0.99)).sum() > 5


def test_the_gradient_is_exact() -> None:
    # Colours inside and alpha outside move smoothly as long as no pixel centre meets an edge.
    renderer = DIBRenderer(9, sigma=5e-3, dist_eps=1e-12)
    vertices, colors = rough_sphere(1), torch.rand(1, len(FACES), 3, 3, dtype=torch.float64)
    seen_by = cameras(2)

    def render(vertices: Tensor, colors: Tensor) -> Tensor:
        rgba: Tensor = renderer(vertices, FACES, colors, seen_by)
        return rgba

    inputs = (vertices.requires_grad_(), colors.requires_grad_())
    assert torch.autograd.gradcheck(render, inputs, eps=1e-7, atol=1e-5)


def test_perspective_has_an_exact_gradient() -> None:
    renderer = DIBRenderer(9, sigma=5e-3, dist_eps=1e-12, perspective_correct=True)
    colors = torch.rand(1, len(FACES), 3, 3, dtype=torch.float64)
    vertices = rough_sphere(1).requires_grad_()
    seen_by = cameras(2)
    assert torch.autograd.gradcheck(
        lambda x: renderer(x, FACES, colors, seen_by), vertices, eps=1e-7, atol=1e-5
    )


def test_sigma_of_a_call_replaces_that_of_the_renderer() -> None:
    vertices, seen_by = rough_sphere(1), cameras(0)
    sharp, soft = DIBRenderer(12, sigma=1e-5), DIBRenderer(12, sigma=1e-2)
    alpha = sharp.silhouette(vertices, FACES, seen_by, sigma=1e-2)
    assert torch.equal(alpha, soft.silhouette(vertices, FACES, seen_by))
    assert not torch.equal(alpha, sharp.silhouette(vertices, FACES, seen_by))


def test_faces_beyond_far_and_those_not_drawn_reach_no_pixel() -> None:
    vertices, seen_by = rough_sphere(1), cameras(0)
    assert not DIBRenderer(12, sigma=1e-2, far=1.5).silhouette(vertices, FACES, seen_by).any()
    # A sphere whose faces are turned over shows its back alone.
    one_sided = DIBRenderer(12, sigma=1e-2, double_sided=False)
    both = DIBRenderer(12, sigma=1e-2)
    alpha = one_sided.silhouette(vertices, FACES, seen_by)
    assert (alpha <= both.silhouette(vertices, FACES, seen_by) + 1e-12).all()
    flipped = one_sided.silhouette(vertices, FACES[:, [0, 2, 1]], seen_by)
    torch.testing.assert_close(flipped == 1, alpha == 1)


@pytest.mark.parametrize("sigma", [0.0, -1.0, math.nan, math.inf])
def test_a_bad_sigma_is_refused(sigma: float) -> None:
    with pytest.raises(ValueError, match="sigma must be a finite number above 0, got"):
        DIBRenderer(8, sigma=sigma)
    with pytest.raises(ValueError, match="sigma must be a finite number above 0, got"):
        DIBRenderer(8).silhouette(rough_sphere(1), FACES, cameras(0), sigma=sigma)


@pytest.mark.parametrize("dist_eps", [0.0, 1.0, math.nan])
def test_a_bad_dist_eps_is_refused(dist_eps: float) -> None:
    with pytest.raises(ValueError, match="dist_eps must be between 0 and 1, got"):
        DIBRenderer(8, dist_eps=dist_eps)
