from __future__ import annotations

from typing import Any, get_args

import pytest
import torch
from torch import Tensor

from recon.geometry.cameras import Cameras, shapenet_cameras
from recon.geometry.meshes import icosphere
from recon.rendering.lighting import Lighting
from recon.rendering.renderer import Distribution, SoftRenderer, TConorm
from renderer_cuda import gather_faces, soft_rasterize, soft_silhouette
from renderer_cuda.validation import MODES

SPHERE = icosphere(1)
FACES = SPHERE.faces


def make_vertices(batch: int = 2, radius: float = 0.4) -> Tensor:
    return (SPHERE.vertices * radius).expand(batch, -1, -1)


def make_colors(batch: int = 2) -> Tensor:
    generator = torch.Generator().manual_seed(0)
    return torch.rand(batch, len(FACES), 3, 3, generator=generator)


def orbit(rows: Tensor) -> Cameras:
    """Cameras of rows (azimuth, elevation, distance, fov)."""
    return Cameras.orbit(*rows.unbind(1))


def front() -> Cameras:
    return orbit(torch.tensor([[0.0, 0.0, 2.732, 30.0]]))


def test_silhouette_of_a_sphere_is_a_disc_of_the_right_size() -> None:
    # The outline of a sphere of radius r at distance d has the tangent r / sqrt(d^2 - r^2).
    sphere = icosphere(3)
    renderer = SoftRenderer(64, sigma=1e-6)
    alpha = renderer.silhouette(sphere.vertices[None] * 0.4, sphere.faces, front())[0]
    radius = 0.4 / (2.732**2 - 0.4**2) ** 0.5 / torch.tan(torch.tensor(torch.pi / 12)) * 32
    assert alpha.sum().item() == pytest.approx(torch.pi * radius.item() ** 2, rel=0.01)
    torch.testing.assert_close(alpha, alpha.flip(0), atol=1e-3, rtol=0)
    torch.testing.assert_close(alpha, alpha.flip(1), atol=1e-3, rtol=0)


def test_world_x_is_on_the_right_and_world_y_on_top() -> None:
    renderer = SoftRenderer(16)
    for axis, half in ((0, lambda a: a[:, 8:]), (1, lambda a: a[:8])):
        vertices = make_vertices(1, 0.1).clone()
        vertices[..., axis] += 0.4
        alpha = renderer.silhouette(vertices, FACES, front())[0]
        assert half(alpha).sum() == pytest.approx(alpha.sum().item())
        assert alpha.sum() > 1


def test_it_composes_projection_gathering_and_the_rasterizer() -> None:
    cameras = shapenet_cameras([0, 5])
    renderer = SoftRenderer((12, 18), sigma=1e-3, gamma=1e-2, dist_eps=1e-6, background=(0.2, 1, 0))
    corners = gather_faces(cameras.project(make_vertices(), (12, 18)), FACES)
    options: dict[str, Any] = {"sigma": 1e-3, "dist_eps": 1e-6}
    alpha = renderer.silhouette(make_vertices(), FACES, cameras)
    torch.testing.assert_close(alpha, soft_silhouette(corners, (12, 18), **options))
    rgba = renderer(make_vertices(), FACES, make_colors(), cameras)
    expected = soft_rasterize(
        corners, make_colors(), (12, 18), gamma=1e-2, background=(0.2, 1.0, 0.0), **options
    )
    torch.testing.assert_close(rgba, expected)
    assert rgba.shape == (2, 4, 12, 18)
    torch.testing.assert_close(rgba[:, 3], alpha)


def test_sigma_and_gamma_of_a_call_replace_those_of_the_renderer() -> None:
    cameras, vertices, colors = shapenet_cameras([1, 2]), make_vertices(), make_colors()
    sharp, soft = SoftRenderer(12), SoftRenderer(12, sigma=1e-2, gamma=1e-1)
    rgba = sharp(vertices, FACES, colors, cameras, sigma=1e-2, gamma=1e-1)
    torch.testing.assert_close(rgba, soft(vertices, FACES, colors, cameras))
    alpha = sharp.silhouette(vertices, FACES, cameras, sigma=1e-2)
    torch.testing.assert_close(alpha, soft.silhouette(vertices, FACES, cameras))
    assert not torch.allclose(alpha, sharp.silhouette(vertices, FACES, cameras), atol=1e-2)


def test_anti_aliasing_averages_a_larger_image() -> None:
    cameras = shapenet_cameras([0, 7])
    arguments = (make_vertices(), FACES, make_colors(), cameras)
    large = SoftRenderer((24, 36))(*arguments)
    smooth = SoftRenderer((8, 12), anti_aliasing=3)
    expected = large.reshape(2, 4, 8, 3, 12, 3).mean((3, 5))
    torch.testing.assert_close(smooth(*arguments), expected)
    torch.testing.assert_close(smooth.silhouette(*arguments[:2], cameras), expected[:, 3])


@pytest.mark.parametrize("mode", [{"color": "hard"}, {"distance": "hard"}, {"alpha": "sum"}])
def test_anti_aliasing_averages_in_every_mode(mode: dict[str, Any]) -> None:
    arguments = (make_vertices(), FACES, make_colors(), shapenet_cameras([0, 7]))
    large = SoftRenderer((16, 24), **mode)(*arguments)
    smooth = SoftRenderer((8, 12), anti_aliasing=2, **mode)(*arguments)
    torch.testing.assert_close(smooth, large.reshape(2, 4, 8, 2, 12, 2).mean((3, 5)))


@pytest.mark.parametrize("distance", ["euclidean", "barycentric", "hard"])
@pytest.mark.parametrize("alpha", ["product", "sum", "hard"])
@pytest.mark.parametrize("color", ["softmax", "hard"])
def test_modes_are_those_of_the_rasterizer(distance: str, alpha: str, color: str) -> None:
    cameras = shapenet_cameras([0, 5])
    modes: dict[str, Any] = {"distance": distance, "alpha": alpha, "sigma": 1e-3}
    renderer = SoftRenderer(12, color=color, **modes)
    corners = gather_faces(cameras.project(make_vertices(), (12, 12)), FACES)
    rgba = renderer(make_vertices(), FACES, make_colors(), cameras)
    expected = soft_rasterize(corners, make_colors(), 12, color=color, **modes)
    assert torch.equal(rgba, expected)
    assert torch.equal(renderer.silhouette(make_vertices(), FACES, cameras), expected[:, 3])


@pytest.mark.parametrize(
    "family",
    [
        {"distribution": "gamma_rev", "dist_shape": 1.5, "dist_shift": 0.5, "squared": False},
        {"alpha": "yager", "alpha_parameter": 3.0},
        {"distribution": "cauchy", "alpha": "maximum"},
    ],
    ids=str,
)
def test_the_family_is_that_of_the_rasterizer(family: dict[str, Any]) -> None:
    cameras = shapenet_cameras([0, 5])
    renderer = SoftRenderer(12, 1e-3, **family)
    corners = gather_faces(cameras.project(make_vertices(), (12, 12)), FACES)
    rgba = renderer(make_vertices(), FACES, make_colors(), cameras)
    expected = soft_rasterize(corners, make_colors(), 12, sigma=1e-3, **family)
    assert torch.equal(rgba, expected)
    assert torch.equal(renderer.silhouette(make_vertices(), FACES, cameras), expected[:, 3])
    plain = SoftRenderer(12, 1e-3).silhouette(make_vertices(), FACES, cameras)
    assert (plain - expected[:, 3]).abs().max() > 0.01


def test_the_names_of_the_family_are_those_of_the_rasterizer() -> None:
    assert get_args(Distribution) == MODES["distribution"]
    assert get_args(TConorm) == MODES["alpha"]


def test_barycentric_coordinates_can_be_held_constant_in_the_gradient() -> None:
    cameras, colors = shapenet_cameras([0, 5]), make_colors()

    def image_and_gradient(detach_barycentric: bool) -> tuple[Tensor, Tensor]:
        renderer = SoftRenderer(12, 1e-3, detach_barycentric=detach_barycentric)
        vertices = make_vertices().clone().requires_grad_()
        rgba = renderer(vertices, FACES, colors, cameras)
        rgba[:, :3].square().sum().backward()
        assert vertices.grad is not None
        return rgba, vertices.grad

    (exact, gradient), (image, partial) = image_and_gradient(False), image_and_gradient(True)
    assert torch.equal(image, exact)
    assert (partial - gradient).abs().max() > 0.01 * gradient.abs().max()


def test_texels_are_lit_face_by_face() -> None:
    cameras, lighting = shapenet_cameras([0, 5]), Lighting(direction=(0, 1, -1))
    generator = torch.Generator().manual_seed(0)
    texels = torch.rand(2, len(FACES), 9, 3, generator=generator)
    renderer = SoftRenderer(12, texture="surface", sigma=1e-3, lighting=lighting)
    corners = gather_faces(cameras.project(make_vertices(), (12, 12)), FACES)
    light = lighting(gather_faces(make_vertices(), FACES), torch.ones(2, len(FACES), 3))[:, :, :1]
    assert light.std() > 0.1
    expected = soft_rasterize(corners, texels * light, 12, texture="surface", sigma=1e-3)
    rgba = renderer(make_vertices(), FACES, texels, cameras)
    torch.testing.assert_close(rgba, expected)


def test_one_color_per_face_is_that_of_its_only_texel() -> None:
    cameras, colors = shapenet_cameras([0, 5]), make_colors()[:, :, 0]
    arguments = (make_vertices(), FACES, colors, cameras)
    for lighting in (None, Lighting()):
        surface = SoftRenderer(12, texture="surface", lighting=lighting)(*arguments)
        torch.testing.assert_close(surface, SoftRenderer(12, lighting=lighting)(*arguments))


@pytest.mark.parametrize(("texture", "texels"), [("vertex", 4), ("surface", 3), ("surface", 65**2)])
@pytest.mark.parametrize("lighting", [None, Lighting()], ids=["unlit", "lit"])
def test_wrong_numbers_of_texels_are_refused(texture: str, texels: int, lighting: Any) -> None:
    renderer = SoftRenderer(4, texture=texture, lighting=lighting)
    textures = torch.zeros(1, len(FACES), texels, 3)
    with pytest.raises(ValueError, match="face_textures must have"):
        renderer(make_vertices(1), FACES, textures, front())


@pytest.mark.parametrize("times", [1, 3])
def test_a_image_lies_behind_the_mesh(times: int) -> None:
    cameras, size = shapenet_cameras([0, 7]), (8, 12)
    image = torch.rand(2, 3, *size, generator=torch.Generator().manual_seed(0)).requires_grad_()
    renderer = SoftRenderer(size, anti_aliasing=times, color="hard", distance="hard")
    arguments = (make_vertices(), FACES, make_colors(), cameras)
    rgba = renderer(*arguments, background=image)
    free = renderer.silhouette(*arguments[:2], cameras)[:, None] == 0
    assert 0.1 < free.double().mean() < 0.9
    torch.testing.assert_close(rgba[:, :3] * free, image * free)
    # The image's weight in a pixel is the part of the pixel that is free.
    (gradient,) = torch.autograd.grad(rgba[:, :3].sum(), image)
    torch.testing.assert_close(gradient, (1 - rgba[:, 3:]).expand(-1, 3, -1, -1))
    black = renderer(*arguments)[:, :3]
    torch.testing.assert_close(rgba[:, :3], black + gradient * image)


def test_a_color_of_the_call_replaces_that_of_the_renderer() -> None:
    arguments = (make_vertices(), FACES, make_colors(), shapenet_cameras([0, 7]))
    expected = SoftRenderer(8, background=(0.2, 0.5, 0.9))(*arguments)
    renderer = SoftRenderer(8, background=(1.0, 0.0, 0.0))
    for color in ((0.2, 0.5, 0.9), torch.tensor([0.2, 0.5, 0.9], dtype=torch.float64)):
        torch.testing.assert_close(renderer(*arguments, background=color), expected)


@pytest.mark.parametrize("shape", [(2, 3, 16, 16), (1, 3, 8, 8), (3, 8, 8), (2, 4, 8, 8)])
def test_backgrounds_of_another_size_are_refused(shape: tuple[int, ...]) -> None:
    renderer = SoftRenderer(8, anti_aliasing=2)
    with pytest.raises(ValueError, match=r"background must have shape \[3\] or \[2, 3, 8, 8\]"):
        renderer(
            make_vertices(),
            FACES,
            make_colors(),
            shapenet_cameras([0, 7]),
            background=torch.zeros(shape),
        )


def test_one_color_per_face_is_the_color_of_its_corners() -> None:
    renderer, flat = SoftRenderer(12), make_colors()[:, :, 0]
    cameras = shapenet_cameras([0, 7])
    corners = flat[:, :, None].expand(-1, -1, 3, -1)
    expected = renderer(make_vertices(), FACES, corners, cameras)
    torch.testing.assert_close(renderer(make_vertices(), FACES, flat, cameras), expected)


def test_lighting_is_applied_in_world_space() -> None:
    # Light from -z falls on the front at view 0 and on the back when the camera has turned by 180.
    cameras = orbit(torch.tensor([[0.0, 0.0, 2.732, 30.0], [180.0, 0.0, 2.732, 30.0]]))
    lighting = Lighting(ambient=0.25, directional=0.5, direction=(0, 0, -1))
    white = torch.ones(2, len(FACES), 3)
    rgba = SoftRenderer(17, lighting=lighting)(make_vertices(), FACES, white, cameras)
    front_light, back_light = rgba[:, 0, 8, 8].tolist()
    assert front_light > 0.6
    assert back_light == pytest.approx(0.25, abs=1e-3)


def test_the_light_of_a_call_replaces_that_of_the_renderer_and_has_a_gradient() -> None:
    cameras = orbit(torch.tensor([[0.0, 0.0, 2.732, 30.0]]))
    white = torch.ones(1, len(FACES), 3)
    vertices = make_vertices()[:1]
    front = SoftRenderer(17, lighting=Lighting(0.25, 0.5, direction=(0, 0, -1)))
    above = SoftRenderer(17, lighting=Lighting(0.25, 0.5))
    direction = torch.tensor([0.0, 0.0, -2.0], requires_grad=True)
    rgba = above(vertices, FACES, white, cameras, light_direction=direction)
    assert torch.equal(rgba, front(vertices, FACES, white, cameras))
    moved = above(vertices, FACES, white, cameras, light_direction=torch.tensor([0.5, 0.2, -2.0]))
    (gradient,) = torch.autograd.grad((rgba - moved)[:, :3].square().sum(), direction)
    assert gradient[0] < 0
    with pytest.raises(ValueError, match="light_direction needs"):
        SoftRenderer(17)(vertices, FACES, white, cameras, light_direction=direction)


def test_two_sided_lighting_gets_the_eyes_of_the_cameras() -> None:
    lighting = Lighting(two_sided=True, direction=(0, 0, -1))
    white = torch.ones(1, len(FACES), 3)
    renderer = SoftRenderer(17, lighting=lighting)
    outward = renderer(make_vertices(1), FACES, white, front())
    inward = renderer(make_vertices(1), FACES.flip(1), white, front())
    torch.testing.assert_close(outward, inward)
    assert outward[0, 0, 8, 8] > 0.8


def test_gradients_reach_vertices_colors_and_cameras() -> None:
    # Only their presence: that they are right is tested part by part with gradcheck.
    vertices = make_vertices(1).clone().requires_grad_()
    colors = make_colors(1).requires_grad_()
    rows = torch.tensor([[10.0, 20.0, 2.732, 30.0]], requires_grad=True)
    renderer = SoftRenderer(16, sigma=1e-3, gamma=1e-2, lighting=Lighting())
    rgba = renderer(vertices, FACES, colors, orbit(rows))
    weight = torch.rand(rgba.shape, generator=torch.Generator().manual_seed(1))
    for gradient in torch.autograd.grad((rgba * weight).sum(), (vertices, colors, rows)):
        assert torch.isfinite(gradient).all()
        assert gradient.abs().max() > 0


def test_silhouette_gradient_of_distance_equals_a_finite_difference() -> None:
    renderer = SoftRenderer(16, sigma=1e-2, dist_eps=1e-10)
    vertices = make_vertices(1).double()

    def area(distance: Tensor) -> Tensor:
        row = torch.tensor([[13.0, 17.0, 0.0, 30.0]], dtype=torch.float64)
        row = row + distance * torch.tensor([0.0, 0, 1, 0], dtype=torch.float64)
        return renderer.silhouette(vertices, FACES, orbit(row)).sum()

    distance = torch.tensor(2.732, dtype=torch.float64, requires_grad=True)
    (gradient,) = torch.autograd.grad(area(distance), distance)
    step = 1e-5
    difference = (area(distance + step) - area(distance - step)) / (2 * step)
    assert gradient.item() == pytest.approx(difference.item(), rel=1e-4)
    assert gradient < 0  # farther is smaller


def test_rendering_is_float32_under_autocast() -> None:
    renderer, cameras = SoftRenderer(12), shapenet_cameras([0, 1])
    expected = renderer(make_vertices(), FACES, make_colors(), cameras)
    with torch.autocast("cpu", dtype=torch.bfloat16):
        torch.testing.assert_close(
            renderer(make_vertices(), FACES, make_colors(), cameras), expected
        )
        half = renderer.silhouette(make_vertices().bfloat16(), FACES, cameras)
    assert half.dtype == torch.float32


def test_a_renderer_has_no_weights_and_says_what_it_is() -> None:
    renderer = SoftRenderer(12, lighting=Lighting())
    assert renderer.state_dict() == {}
    assert "image_size=(12, 12)" in repr(renderer)


@pytest.mark.parametrize(
    "change", [{"anti_aliasing": 0}, {"anti_aliasing": 1.5}, {"image_size": 0}]
)
def test_bad_arguments_are_refused_by_name(change: dict[str, Any]) -> None:
    with pytest.raises(ValueError, match=next(iter(change))):
        SoftRenderer(**change)


def test_disagreeing_batches_are_refused() -> None:
    renderer = SoftRenderer(8)
    with pytest.raises(ValueError, match=r"vertices must have shape \[3, V, 3\] for 3 cameras"):
        renderer.silhouette(make_vertices(2), FACES, shapenet_cameras([0, 1, 2]))
    with pytest.raises(ValueError, match="face_textures"):
        renderer(make_vertices(2), FACES, make_colors(1), shapenet_cameras([0, 1]))
    with pytest.raises(ValueError, match=r"faces must be \[F, 3\]"):
        renderer.silhouette(make_vertices(2), FACES[None], shapenet_cameras([0, 1]))


def test_layers_have_opacities_and_sigmas_of_faces() -> None:
    vertices, colors, cameras = make_vertices(1), make_colors(1), front()
    numbers = torch.full((1, len(FACES)), 0.5)
    arguments: dict[str, Any] = {"color": "over", "window": "exp_clipped", "order": "centroid"}
    renderer = SoftRenderer(16, near=0.5, **arguments)
    opacity = numbers.clone().requires_grad_()
    sigma = (numbers * 1e-3).requires_grad_()
    image = renderer(vertices, FACES, colors, cameras, face_opacity=opacity, face_sigma=sigma)
    projected = gather_faces(cameras.project(vertices, (16, 16)), FACES)
    expected = soft_rasterize(
        projected,
        colors,
        16,
        near=0.5,
        face_opacity=numbers,
        face_sigma=numbers * 1e-3,
        **arguments,
    )
    assert torch.equal(image, expected)
    image.sum().backward()
    assert opacity.grad is not None
    assert opacity.grad.any()
    assert sigma.grad is not None
    assert sigma.grad.any()


def test_faces_have_opacities_in_every_mode() -> None:
    vertices, opacity = make_vertices(1), torch.full((1, len(FACES)), 0.5)
    renderer = SoftRenderer(8)
    image = renderer(vertices, FACES, make_colors(1), front(), face_opacity=opacity)
    sigma = torch.full_like(opacity, renderer.sigma)
    alpha = renderer.silhouette(vertices, FACES, front(), face_opacity=opacity, face_sigma=sigma)
    assert torch.equal(image[:, 3], alpha)
    whole = renderer.silhouette(vertices, FACES, front())
    assert 0 < alpha.max() < whole.max()
