from __future__ import annotations

from collections.abc import Callable

import pytest
import torch
from torch import Tensor

from recon.geometry.meshes import icosphere
from recon.rendering.edge import EdgeGradientRenderer

SPHERE = icosphere(2)


class IdentityCameras:
    """Stands in for cameras: vertices already are in NDC with view depths."""

    def project(self, vertices: Tensor, image_size: object) -> Tensor:
        return vertices


CAMERAS: object = IdentityCameras()


def two_spheres() -> tuple[Tensor, Tensor]:
    """A rough sphere in front of another one that it hides in part, in NDC."""
    generator = torch.Generator().manual_seed(1)
    bumps = 0.01 * torch.randn(2, *SPHERE.vertices.shape, generator=generator)
    front, back = (SPHERE.vertices * 0.4 + bumps).double()
    front = front + torch.tensor([0.15, 0.1, 3.0])
    back = back + torch.tensor([-0.2, -0.15, 4.0])
    return torch.cat([front, back])[None], torch.cat([SPHERE.faces, SPHERE.faces + len(front)])


def smooth_weights(height: int, width: int) -> Tensor:
    """Smooth functions [4, H, W] of the position in the image."""
    shorter = min(height, width)
    x = ((2 * torch.arange(width) + 1 - width) / shorter).double()[None, :]
    y = (-(2 * torch.arange(height) + 1 - height) / shorter).double()[:, None]
    return torch.stack([1 + x + 0 * y, torch.sin(2 * x + y), x * y, 1 - 0.5 * x + y.square()])


def motions(vertices: Tensor) -> dict[str, Tensor]:
    x, y, _ = vertices.unbind(-1)
    zero = torch.zeros_like(x)
    front = (torch.arange(vertices.shape[1]) < len(SPHERE.vertices)).to(x)
    return {
        "right": torch.stack([x * 0 + 1, zero, zero], -1),
        "up, front alone": torch.stack([zero, zero + front, zero], -1),
        "growing": torch.stack([x, y, zero], -1),
        "turning": torch.stack([-y, x, zero], -1),
        "bending": torch.stack([y.square(), x * y, zero], -1),
    }


def integral(render: Callable[[int], Tensor], size: int) -> Tensor:
    """The integral of the product of an image and weights, by pixels of NDC area (2 / size)^2."""
    image = render(size)
    height, width = image.shape[-2:]
    return (image[0] * smooth_weights(height, width)[-image.shape[1] :]).sum() * (2 / size) ** 2


def rectangle(size: int) -> tuple[int, int]:
    return size, size * 5 // 4


def check(render: Callable[[Tensor, int], Tensor], vertices: Tensor, tolerance: float) -> None:
    """Compares the gradient at 160 pixels with differences of integrals over 1280 pixels."""
    inputs = vertices.clone().requires_grad_()
    (grad,) = torch.autograd.grad(integral(lambda size: render(inputs, size), 160), inputs)
    step = 0.01
    errors, sizes = [], []
    for motion in motions(vertices).values():
        ends = [
            integral(lambda size, at=vertices + side * motion: render(at, size), 1280)  # type: ignore[misc]
            for side in (step, -step)
        ]
        expected = ((ends[0] - ends[1]) / (2 * step)).item()
        errors.append(abs((grad * motion).sum().item() - expected))
        sizes.append(abs(expected))
    assert max(sizes) > 0.3
    assert max(errors) < tolerance * max(sizes), (errors, sizes)


@pytest.mark.parametrize("shape", [lambda size: (size, size), rectangle])
def test_the_gradient_of_masks_is_that_of_the_integral(
    shape: Callable[[int], tuple[int, int]],
) -> None:
    vertices, faces = two_spheres()

    def render(vertices: Tensor, size: int) -> Tensor:
        renderer = EdgeGradientRenderer(shape(size))
        return renderer.silhouette(vertices, faces, CAMERAS)[:, None]  # type: ignore[arg-type]

    check(render, vertices, 0.02)


@pytest.mark.parametrize("flat", [True, False], ids=["colours of faces", "colours of vertices"])
def test_the_gradient_of_colors_is_that_of_the_integral(flat: bool) -> None:
    vertices, faces = two_spheres()
    if flat:
        generator = torch.Generator().manual_seed(4)
        textures = torch.rand(1, len(faces), 3, generator=generator, dtype=torch.float64)
    else:
        textures = 0.5 + 0.5 * torch.sin(3 * vertices)[:, faces]

    def render(vertices: Tensor, size: int) -> Tensor:
        renderer = EdgeGradientRenderer(size, background=(0.1, 0.7, 0.3))
        rgba: Tensor = renderer(vertices, faces, textures, CAMERAS)
        return rgba

    check(render, vertices, 0.03)


def test_a_smooth_surface_has_no_gradient_at_the_edges_of_its_faces() -> None:
    # A square of two triangles that fills the image; its colours are positions.
    square = torch.tensor([[-2.0, -2.1], [2.2, -2.0], [2.1, 2.3], [-2.0, 2.0]], dtype=torch.float64)
    vertices = torch.cat([square, torch.full((4, 1), 2.0)], 1)[None].requires_grad_()
    faces = torch.tensor([[0, 1, 2], [0, 2, 3]])
    textures = vertices.detach()[:, faces]
    rgba = EdgeGradientRenderer(16)(vertices, faces, textures, CAMERAS)
    weights = torch.rand(rgba.shape, generator=torch.Generator().manual_seed(0))
    (grad,) = torch.autograd.grad((rgba * weights).sum(), vertices)
    # What is left is that the colours move with the surface.
    moved = grad.sum((0, 1))
    expected = torch.stack([-weights[0, 0].sum(), -weights[0, 1].sum()]).double()
    torch.testing.assert_close(moved[:2], expected)
    assert EdgeGradientRenderer(16).silhouette(vertices, faces, CAMERAS).min() == 1  # type: ignore[arg-type]


def test_a_hidden_face_has_no_gradient() -> None:
    vertices = torch.tensor(
        [
            [[-0.8, -0.7, 2.0], [0.8, -0.7, 2.0], [0.0, 0.8, 2.0]],
            [[-0.2, -0.2, 3.0], [0.2, -0.2, 3.0], [0.0, 0.2, 3.0]],
        ]
    ).reshape(1, 6, 3)
    vertices.requires_grad_()
    faces = torch.tensor([[0, 1, 2], [3, 4, 5]])
    rgba = EdgeGradientRenderer(32)(vertices, faces, torch.rand(1, 2, 3), CAMERAS)
    (grad,) = torch.autograd.grad(rgba.sum(), vertices)
    assert not grad[0, 3:].any()
    assert grad[0, :3, :2].any()


def test_masks_are_not_dilated() -> None:
    # The silhouette of a fine sphere is a disc of its radius.
    sphere = icosphere(4)
    vertices = (sphere.vertices * 0.6 + torch.tensor([0.01, 0.02, 3.0]))[None]
    alpha = EdgeGradientRenderer(64).silhouette(vertices, sphere.faces, CAMERAS)  # type: ignore[arg-type]
    assert alpha.sum().item() == pytest.approx(torch.pi * (0.6 * 32) ** 2, rel=0.01)
