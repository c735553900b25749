"""The rasterizer with the partial gradient: the same image, a gradient without barycentrics."""

from __future__ import annotations

import sys
from pathlib import Path
from typing import Any

import torch
from torch import Tensor

from recon.geometry.cameras import shapenet_cameras
from recon.geometry.meshes import icosphere
from renderer_cuda import gather_faces, soft_rasterize, soft_rasterize_reference

sys.path.insert(0, str(Path(__file__).parents[3] / "scripts" / "benchmarks"))
from partial_gradient import rasterize_with_partial_gradient

SPHERE = icosphere(1)
SIZE = (12, 15)


def rough_corners() -> Tensor:
    generator = torch.Generator().manual_seed(2)
    bumps = 0.03 * torch.randn(SPHERE.vertices.shape, generator=generator)
    vertices = (SPHERE.vertices * 0.3 + bumps).expand(2, -1, -1)
    return gather_faces(shapenet_cameras([1, 8]).project(vertices, SIZE), SPHERE.faces).double()


def random(*shape: int) -> Tensor:
    return torch.rand(shape, generator=torch.Generator().manual_seed(0), dtype=torch.float64)


def test_it_renders_what_the_rasterizer_renders() -> None:
    corners, colors, background = rough_corners(), random(2, 80, 3, 3), random(2, 3, *SIZE)
    for sigma, gamma in ((1e-3, 1e-4), (1e-2, 3e-2)):
        made = rasterize_with_partial_gradient(
            corners, colors, SIZE, sigma=sigma, gamma=gamma, background=background
        )
        expected = soft_rasterize(
            corners, colors, SIZE, sigma=sigma, gamma=gamma, background=background
        )
        torch.testing.assert_close(made, expected)


def gradients(colors: Tensor, near_equal_depths: bool) -> tuple[Tensor, Tensor]:
    """The partial and the exact gradient of a weighted sum of an image."""
    corners, background, weights = rough_corners(), random(2, 3, *SIZE), random(2, 4, *SIZE)
    if near_equal_depths:  # so that depth does not depend on the place on a face
        corners[..., 2] = 2 + 0.01 * torch.arange(80, dtype=torch.float64)[:, None]
    found = []
    for rasterize in (rasterize_with_partial_gradient, soft_rasterize):
        inputs = corners.clone().requires_grad_()
        rgba = rasterize(inputs, colors, SIZE, sigma=3e-3, gamma=1e-2, background=background)  # type: ignore[operator]
        found.append(torch.autograd.grad((rgba * weights).sum(), inputs)[0])
    return found[0], found[1]


def test_the_gradient_is_exact_where_nothing_changes_over_a_face() -> None:
    flat = random(2, 80, 1, 3).expand(-1, -1, 3, -1)
    partial, exact = gradients(flat, near_equal_depths=True)
    torch.testing.assert_close(partial[..., :2], exact[..., :2])


def test_the_gradient_leaves_out_how_colors_move_over_a_face() -> None:
    partial, exact = gradients(random(2, 80, 3, 3), near_equal_depths=False)
    torch.testing.assert_close(partial[..., 2], exact[..., 2])  # of the depths it is all there
    missing = (partial - exact)[..., :2]
    assert missing.abs().max() > 0.1 * exact[..., :2].abs().max()


def test_the_gradient_is_that_of_the_reference_with_constant_barycentric_coordinates() -> None:
    corners, background, weights = rough_corners(), random(2, 3, *SIZE), random(2, 4, *SIZE)
    colors = random(2, 80, 3, 3)
    found = []
    for reference in (False, True):
        inputs = corners.clone().requires_grad_()
        options: dict[str, Any] = {"sigma": 3e-3, "gamma": 1e-2, "background": background}
        if reference:
            rgba = soft_rasterize_reference(
                inputs, colors, SIZE, detach_barycentric=True, **options
            )
        else:
            rgba = rasterize_with_partial_gradient(inputs, colors, SIZE, **options)
        found.append(torch.autograd.grad((rgba * weights).sum(), inputs)[0])
    torch.testing.assert_close(found[0], found[1])
