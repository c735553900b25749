from __future__ import annotations

from collections.abc import Callable

import pytest
import torch
from torch import Tensor

from recon.geometry.cameras import shapenet_cameras
from recon.geometry.meshes import icosphere
from recon.geometry.texels import texel_centers
from recon.losses.color import (
    ColorSmoothnessLoss,
    color_l1_loss,
    overlap_color_l1_loss,
    photograph_l1_loss,
    shading_l1_loss,
)
from recon.losses.perceptual import PerceptualLoss
from recon.rendering.compositing import over_black
from recon.rendering.renderer import SoftRenderer


def random(*shape: int, seed: int = 0) -> Tensor:
    generator = torch.Generator().manual_seed(seed)
    return torch.rand(*shape, generator=generator, dtype=torch.float64)


# --- Pixels ---------------------------------------------------------------------------------------


def test_color_loss_of_a_known_pair() -> None:
    images = torch.zeros(1, 4, 1, 4)
    images[0, :, 0, 0] = torch.tensor([1.0, 0.5, 0.0, 1.0])  # seen in both
    images[0, :, 0, 1] = torch.tensor([0.6, 0.6, 0.6, 1.0])  # missed by the rendering
    images[0, :, 0, 3] = torch.tensor([1.0, 1.0, 1.0, 0.0])  # paint without opacity
    rgba = torch.zeros(1, 4, 1, 4)
    rgba[0, :, 0, 0] = torch.tensor([0.7, 0.5, 0.3, 1.0])
    rgba[0, :, 0, 2] = torch.tensor([0.3, 0.0, 0.0, 1.0])  # too much
    # Differences 0.2 and 0.6 over two pixels; the others are outside of the true outline.
    assert float(color_l1_loss(rgba, images)) == pytest.approx(0.4, abs=1e-6)


def test_photograph_loss_counts_every_pixel_and_no_alpha() -> None:
    rgba, photograph = random(2, 4, 3, 5), random(2, 3, 3, 5, seed=1)
    expected = (rgba[:, :3] - photograph).abs().sum() / (2 * 3 * 3 * 5)
    assert float(photograph_l1_loss(rgba, photograph)) == pytest.approx(float(expected))
    (gradient,) = torch.autograd.grad(photograph_l1_loss(rgba.requires_grad_(), photograph), rgba)
    assert gradient[:, :3].all()
    assert not gradient[:, 3].any()


@pytest.mark.parametrize("shape", [(2, 4, 3, 5), (2, 3, 3, 4), (1, 3, 3, 5)])
def test_photograph_loss_refuses_other_shapes(shape: tuple[int, ...]) -> None:
    with pytest.raises(ValueError, match="rgba and photograph must have shapes"):
        photograph_l1_loss(random(2, 4, 3, 5), random(*shape))


def test_color_loss_is_zero_at_the_truth_and_bounded() -> None:
    images = random(3, 4, 5, 6)
    truth = torch.cat((over_black(images), images[:, 3:]), dim=1)
    assert float(color_l1_loss(truth, images)) == 0
    assert 0 < float(color_l1_loss(random(3, 4, 5, 6, seed=1), images)) <= 1


def test_what_sticks_out_has_no_say_in_its_color() -> None:
    images, rgba = random(1, 4, 4, 4), random(1, 4, 4, 4, seed=1).requires_grad_()
    images[:, 3, :, :2] = 0
    (gradient,) = torch.autograd.grad(color_l1_loss(rgba, images), rgba)
    assert not gradient[..., :2].any()
    assert gradient[:, :3, :, 2:].all()


def test_color_loss_does_not_count_images_by_size() -> None:
    small, large = torch.zeros(1, 4, 8, 8), torch.zeros(1, 4, 8, 8)
    small[:, :, :2, :2] = large[:, :, :6, :6] = torch.tensor([0.5, 0.5, 0.5, 1])[:, None, None]
    for images in (small, large):
        black = images * torch.tensor([0, 0, 0, 1])[:, None, None]
        assert float(color_l1_loss(black, images)) == pytest.approx(0.5, abs=1e-5)


def test_empty_images_give_zero_and_finite_gradients() -> None:
    rgba = torch.zeros(2, 4, 3, 3, requires_grad=True)
    loss = color_l1_loss(rgba, torch.zeros(2, 4, 3, 3))
    assert loss.item() == 0
    assert bool(torch.isfinite(torch.autograd.grad(loss, rgba)[0]).all())


def test_color_loss_leaves_the_outline_alone() -> None:
    rgba, images = random(2, 4, 4, 5).requires_grad_(), random(2, 4, 4, 5, seed=1)
    (gradient,) = torch.autograd.grad(color_l1_loss(rgba, images), rgba)
    assert not gradient[:, 3].any()
    assert gradient[:, :3].all()

    def of_colors(colors: Tensor) -> Tensor:
        return color_l1_loss(torch.cat((colors, rgba[:, 3:].detach()), dim=1), images)

    assert torch.autograd.gradcheck(of_colors, (rgba[:, :3].detach().requires_grad_(),))


def test_shading_loss_is_the_color_loss_of_grey_images() -> None:
    rgba, shading, masks = random(2, 4, 4, 5), random(2, 4, 5, seed=1), random(2, 4, 5, seed=2)
    images = torch.stack((shading, shading, shading, masks), dim=1)
    assert float(shading_l1_loss(rgba, shading, masks)) == float(color_l1_loss(rgba, images))


def test_overlapping_colors_are_compared_where_both_are_opaque() -> None:
    image, rgba = torch.zeros(1, 4, 1, 4), torch.zeros(1, 4, 1, 4)
    image[0, :, 0, 0] = torch.tensor([1.0, 0.5, 0.0, 1.0])
    image[0, :, 0, 1] = torch.tensor([0.6, 0.6, 0.6, 1.0])  # missed by the rendering
    image[0, :, 0, 2] = torch.tensor([0.4, 0.4, 0.4, 1.0])
    rgba[0, :, 0, 0] = torch.tensor([0.7, 0.5, 0.3, 1.0])
    rgba[0, :, 0, 2] = torch.tensor([0.8, 0.8, 0.8, 0.5])
    rgba[0, :, 0, 3] = torch.tensor([0.3, 0.0, 0.0, 1.0])  # where nothing is
    assert float(overlap_color_l1_loss(rgba, image)) == pytest.approx((0.2 + 0.4 / 2) / 1.5)
    squared = overlap_color_l1_loss(rgba, image, power=2)
    assert float(squared) == pytest.approx((0.2 + 0.4 / 4) / 1.25)


def test_overlapping_colors_say_nothing_about_the_silhouette() -> None:
    rgba, image = random(2, 4, 4, 5).requires_grad_(), random(2, 4, 4, 5, seed=1)
    (gradient,) = torch.autograd.grad(overlap_color_l1_loss(rgba, image), rgba)
    assert not gradient[:, 3].any()
    assert gradient[:, :3].all()
    nothing = overlap_color_l1_loss(rgba, torch.zeros_like(image))
    assert float(nothing.detach()) == 0
    assert bool(torch.isfinite(torch.autograd.grad(nothing, rgba)[0]).all())


@pytest.mark.parametrize("loss", [color_l1_loss, overlap_color_l1_loss])
def test_colors_of_each_image_are_compared_alone(loss: Callable[..., Tensor]) -> None:
    rgba, image = random(3, 4, 4, 5), random(3, 4, 4, 5, seed=1)
    each = loss(rgba, image, reduction="none")
    single = torch.stack([loss(rgba[i : i + 1], image[i : i + 1]) for i in range(3)])
    assert torch.equal(each, single)
    assert torch.equal(loss(rgba, image), each.mean())


def test_half_precision_is_compared_in_float32() -> None:
    rgba, images = random(1, 4, 4, 4), random(1, 4, 4, 4, seed=1)
    assert color_l1_loss(rgba.bfloat16(), images.bfloat16()).dtype == torch.float32


@pytest.mark.parametrize("shape", [(2, 3, 4, 4), (1, 4, 4, 4), (2, 4, 4, 5), (4, 4, 4)])
def test_shapes_which_disagree_are_refused(shape: tuple[int, ...]) -> None:
    for loss in (color_l1_loss, overlap_color_l1_loss, PerceptualLoss(layers=(0,))):
        with pytest.raises(ValueError, match="rgba and image must have one shape"):
            loss(torch.zeros(shape), torch.zeros(2, 4, 4, 4))
    with pytest.raises(ValueError, match="shading_map and mask"):
        shading_l1_loss(torch.zeros(2, 4, 4, 4), torch.zeros(2, 4, 4), torch.zeros(1, 4, 4))


# --- Smoothness -----------------------------------------------------------------------------------


@pytest.mark.parametrize("texels", [0, 1, 3])
def test_one_color_is_smooth_and_noise_is_not(texels: int) -> None:
    sphere = icosphere(1)
    loss = ColorSmoothnessLoss(sphere.faces, 42, texels)
    shape = (2, 80, texels**2, 3) if texels else (2, 42, 3)
    assert float(loss(torch.full(shape, 0.3))) == pytest.approx(0, abs=1e-12)
    noise = random(*shape)
    assert 0.1 < float(loss(noise)) < 1
    assert torch.autograd.gradcheck(loss, (noise.requires_grad_(),), fast_mode=True)


def test_smoothness_of_texels_reaches_over_edges_of_faces() -> None:
    """A ramp over the whole surface is smoother than the same ramp begun anew on every face."""
    sphere = icosphere(1)
    corners = sphere.vertices[sphere.faces].double()
    weights = texel_centers(3)
    ramp = torch.einsum("tk,fkc->ftc", weights, corners)[None] * 0.5 + 0.5
    patchy = weights.expand(1, 80, -1, -1)
    loss = ColorSmoothnessLoss(sphere.faces, 42, 3)
    assert float(loss(ramp)) < 0.1 * float(loss(patchy))


def test_smoothness_of_two_faces_by_hand() -> None:
    faces = torch.tensor([[0, 1, 2], [2, 1, 3]])
    colors = torch.tensor([[[[1.0, 0, 0]], [[0, 0, 0.5]]]])
    assert float(ColorSmoothnessLoss(faces, 4, 1)(colors)) == pytest.approx(1.25)
    with pytest.raises(ValueError, match="colors must have 2 samples of 3"):
        ColorSmoothnessLoss(faces, 4, 1)(colors.expand(1, 2, 4, 3))
    with pytest.raises(ValueError, match="texels must be >= 0"):
        ColorSmoothnessLoss(faces, 4, -1)


def test_vertices_of_no_face_have_no_say_in_smoothness() -> None:
    faces, colors = torch.tensor([[0, 1, 2]]), random(1, 5, 3)
    loss = ColorSmoothnessLoss(faces, 5)(colors)
    assert float(loss) == pytest.approx(float(ColorSmoothnessLoss(faces, 3)(colors[:, :3])) * 3 / 5)


# --- Together with the renderer -------------------------------------------------------------------


def test_colors_of_a_mesh_are_found_from_images() -> None:
    sphere = icosphere(1)
    cameras = shapenet_cameras([0, 6, 12, 18])
    renderer = SoftRenderer(24, sigma=1e-4, gamma=1e-3)
    truth = sphere.vertices * 0.5 + 0.5

    def render(colors: Tensor) -> Tensor:
        meshes = 0.4 * sphere.vertices.expand(4, -1, -1)
        return renderer(meshes, sphere.faces, colors[sphere.faces].expand(4, -1, -1, -1), cameras)

    rgba = render(truth)
    images = torch.cat((rgba[:, :3] / rgba[:, 3:].clamp(min=1e-6), rgba[:, 3:]), dim=1)
    colors = torch.full_like(truth, 0.5, requires_grad=True)
    optimizer = torch.optim.Adam([colors], lr=0.05)
    start = color_l1_loss(render(colors), images).item()
    for _ in range(30):
        loss = color_l1_loss(render(colors), images)
        optimizer.zero_grad()
        loss.backward()
        optimizer.step()
    assert loss.item() < 0.15 * start
