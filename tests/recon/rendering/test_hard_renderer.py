"""What all renderers of visible surfaces have in common."""

from __future__ import annotations

from typing import Any

import pytest
import torch
from torch import Tensor

from recon.geometry.cameras import Cameras, shapenet_cameras
from recon.geometry.meshes import icosphere
from recon.losses.silhouette import silhouette_iou_loss
from recon.rendering.dibr import DIBRenderer
from recon.rendering.edge import EdgeGradientRenderer
from recon.rendering.hard_renderer import HardRenderer
from recon.rendering.nmr import NeuralMeshRenderer
from renderer_cuda import gather_faces, visible_faces

SPHERE = icosphere(2)
FACES = SPHERE.faces
RENDERERS = (DIBRenderer, EdgeGradientRenderer, NeuralMeshRenderer)
every_renderer = pytest.mark.parametrize("make", RENDERERS)


def sphere(batch: int = 2, shift: float = 0.0, dtype: torch.dtype = torch.float32) -> Tensor:
    generator = torch.Generator().manual_seed(3)
    bumps = 0.01 * torch.randn(SPHERE.vertices.shape, generator=generator)
    vertices = (SPHERE.vertices * 0.35 + bumps).to(dtype)
    vertices[:, 0] += shift
    return vertices.expand(batch, -1, -1).clone()


def face_colors(batch: int = 2) -> Tensor:
    return torch.rand(batch, len(FACES), 3, generator=torch.Generator().manual_seed(0))


def covered_pixels(vertices: Tensor, cameras: Cameras, size: int) -> Tensor:
    return visible_faces(gather_faces(cameras.project(vertices, size), FACES), size) >= 0


@every_renderer
def test_masks_and_colors_are_those_of_the_visible_faces(make: type[HardRenderer]) -> None:
    cameras, vertices, colors = shapenet_cameras([0, 5]), sphere(), face_colors()
    renderer = make((20, 28), background=(0.2, 0.4, 0.6))
    corners = gather_faces(cameras.project(vertices, (20, 28)), FACES)
    face = visible_faces(corners, (20, 28)).long()
    covered = face >= 0
    rgba = renderer(vertices, FACES, colors, cameras)
    alpha = renderer.silhouette(vertices, FACES, cameras)
    assert rgba.shape == (2, 4, 20, 28)
    assert torch.equal(rgba[:, 3], alpha)
    assert torch.equal(alpha == 1, covered)
    shown = rgba[:, :3].movedim(1, -1)
    image = torch.arange(2)[:, None, None]
    torch.testing.assert_close(shown[covered], colors[image, face.clamp(min=0)][covered])
    torch.testing.assert_close(
        shown[~covered], torch.tensor([[0.2, 0.4, 0.6]]).expand_as(shown[~covered])
    )
    if make is not DIBRenderer:
        assert not alpha[~covered].any()


@every_renderer
def test_colors_of_corners_are_interpolated(make: type[HardRenderer]) -> None:
    # Colours that are positions in the image are the pixel centres.
    cameras, vertices = shapenet_cameras([3]), sphere(1)
    projected = cameras.project(vertices, 16)
    colors = gather_faces(projected, FACES)
    rgba = make(16)(vertices, FACES, colors, cameras)[0]
    center = (2 * torch.arange(16) + 1 - 16) / 16
    x, y = center.expand(16, 16), -center[:, None].expand(16, 16)
    covered = covered_pixels(vertices, cameras, 16)[0]
    torch.testing.assert_close(rgba[0][covered], x[covered], atol=1e-4, rtol=0)
    torch.testing.assert_close(rgba[1][covered], y[covered], atol=1e-4, rtol=0)


@every_renderer
def test_perspective_is_an_option(make: type[HardRenderer]) -> None:
    # In the image inverse depth is linear, on the face depth is.
    cameras, vertices = shapenet_cameras([3]), sphere(1)
    depth = gather_faces(cameras.project(vertices, 16)[..., 2:].expand(-1, -1, 3), FACES)
    flat = make(16)(vertices, FACES, 1 / depth, cameras)[0]
    correct = make(16, perspective_correct=True)(vertices, FACES, depth, cameras)[0]
    covered = covered_pixels(vertices, cameras, 16)[0]
    torch.testing.assert_close(1 / flat[0][covered], correct[0][covered], atol=1e-5, rtol=0)


@every_renderer
def test_anti_aliasing_averages_a_larger_image(make: type[HardRenderer]) -> None:
    arguments = (sphere(), FACES, face_colors(), shapenet_cameras([0, 7]))
    large = make((16, 24))(*arguments)
    smooth = make((8, 12), anti_aliasing=2)(*arguments)
    torch.testing.assert_close(smooth, large.reshape(2, 4, 8, 2, 12, 2).mean((3, 5)))


@every_renderer
def test_a_call_may_bring_its_background(make: type[HardRenderer]) -> None:
    cameras, images = shapenet_cameras([0, 7]), torch.rand(2, 3, 12, 12)
    rgba = make(12)(sphere(), FACES, face_colors(), cameras, background=images)
    free = (rgba[:, 3:] < 1).expand(-1, 3, -1, -1)
    assert torch.equal(rgba[:, :3][free], images[free])


@every_renderer
def test_a_shape_is_fitted_to_a_shifted_mask(make: type[HardRenderer]) -> None:
    cameras = shapenet_cameras([0, 6, 12, 18])
    goal = EdgeGradientRenderer(32).silhouette(sphere(4, 0.08), FACES, cameras)
    renderer = make(32)
    vertices = sphere(1)
    moved = torch.zeros(1, 1, 3, requires_grad=True)
    optimizer = torch.optim.Adam([moved], lr=0.01)
    losses = []
    for _ in range(40):
        alpha = renderer.silhouette((vertices + moved).expand(4, -1, -1), FACES, cameras)
        loss = silhouette_iou_loss(alpha, goal)
        losses.append(loss.item())
        optimizer.zero_grad()
        loss.backward()
        optimizer.step()
    assert losses[0] > 0.15
    assert losses[-1] < 0.4 * losses[0]
    assert moved[0, 0].tolist() == pytest.approx([0.08, 0.0, 0.0], abs=0.02)


@every_renderer
def test_colors_have_the_gradient_of_their_interpolation(make: type[HardRenderer]) -> None:
    cameras, vertices = shapenet_cameras([2]), sphere(1, dtype=torch.float64)
    renderer, colors = make(6), torch.rand(1, len(FACES), 3, 3, dtype=torch.float64)
    colors.requires_grad_()
    weights = torch.rand(1, 4, 6, 6, dtype=torch.float64)
    loss = (renderer(vertices, FACES, colors, cameras) * weights).sum()
    (grad,) = torch.autograd.grad(loss, colors)
    # Linear in the colours: the loss of colours is that of black and the product.
    black = (renderer(vertices, FACES, colors.detach() * 0, cameras) * weights).sum()
    assert (grad * colors).sum().item() == pytest.approx((loss - black).item())
    assert grad.any()


@every_renderer
def test_the_same_inputs_give_the_same_bits(make: type[HardRenderer]) -> None:
    cameras, colors = shapenet_cameras([0, 5]), face_colors()

    def run() -> tuple[Tensor, Tensor]:
        vertices = sphere().requires_grad_()
        rgba = make(24)(vertices, FACES, colors, cameras)
        (grad,) = torch.autograd.grad(rgba.square().mean(), vertices)
        return rgba.detach(), grad

    (first, first_grad), (second, second_grad) = run(), run()
    assert torch.equal(first, second)
    assert torch.equal(first_grad, second_grad)
    assert first_grad.any()


@every_renderer
def test_nothing_in_view_gives_an_empty_image_and_no_gradient(make: type[HardRenderer]) -> None:
    vertices = (sphere(1) + 100).requires_grad_()
    rgba = make(8)(vertices, FACES, face_colors(1), shapenet_cameras([0]))
    assert not rgba.any()
    (grad,) = torch.autograd.grad(rgba.sum(), vertices, allow_unused=True)
    assert grad is None or not grad.any()


@every_renderer
def test_a_vertex_that_is_not_finite_costs_its_faces_alone(make: type[HardRenderer]) -> None:
    vertices = sphere(1)
    vertices[0, 7] = torch.nan
    vertices.requires_grad_()
    rgba = make(16)(vertices, FACES, face_colors(1), shapenet_cameras([0]))
    assert torch.isfinite(rgba).all()
    (grad,) = torch.autograd.grad(rgba.square().sum(), vertices)
    assert torch.isfinite(grad[0, [i for i in range(len(SPHERE.vertices)) if i != 7]]).all()
    assert grad.any()


@every_renderer
def test_half_precision_is_rendered_in_single(make: type[HardRenderer]) -> None:
    cameras = shapenet_cameras([0, 5])
    rgba = make(8)(sphere().half(), FACES, face_colors().half(), cameras)
    assert rgba.dtype == torch.float32


@every_renderer
@pytest.mark.parametrize(
    ("bad", "message"),
    [
        ({"image_size": 0}, "image_size must be an int"),
        ({"near": 2.0, "far": 1.0}, "near and far must be 0 < near < far, got 2.0 and 1.0"),
        ({"background": (0.0, 1.0)}, "background must be three numbers"),
        ({"anti_aliasing": 0}, "anti_aliasing must be an int >= 1, got 0"),
    ],
)
def test_bad_arguments_are_refused(
    make: type[HardRenderer], bad: dict[str, Any], message: str
) -> None:
    with pytest.raises(ValueError, match=message):
        make(**bad)


@every_renderer
def test_bad_calls_are_refused(make: type[HardRenderer]) -> None:
    cameras, renderer = shapenet_cameras([0, 5]), make(8)
    with pytest.raises(ValueError, match=r"face_textures must have shape \[2, 320, 3, 3\]"):
        renderer(sphere(), FACES, torch.rand(2, 320, 4, 3), cameras)
    with pytest.raises(ValueError, match=r"background must have shape \[3\] or \[2, 3, 8, 8\]"):
        renderer(sphere(), FACES, face_colors(), cameras, background=torch.rand(2, 3, 4, 4))
    with pytest.raises(ValueError, match=r"vertices must have shape \[2, V, 3\]"):
        renderer.silhouette(sphere(3), FACES, cameras)
