from __future__ import annotations

import json
import math
from typing import Any

import pytest
import torch
from torch import Tensor

from recon.geometry.cameras import Cameras
from recon.geometry.meshes import icosphere, vertex_normals
from recon.rendering.lighting import DirectionalLight, Lighting, corner_colors, facing_normals
from recon.rendering.renderer import SoftRenderer

# Three triangles with the normals +y, -y, +z.
UP = [[0.0, 0.0, 0.0], [0.0, 0.0, 1.0], [1.0, 0.0, 0.0]]
DOWN = UP[::-1]
SIDE = [[0.0, 0.0, 0.0], [1.0, 0.0, 0.0], [0.0, 1.0, 0.0]]
FACES = torch.tensor([[UP, DOWN, SIDE]])


def shade(lighting: Lighting, **options: Any) -> list[float]:
    """The brightness of the three triangles."""
    return lighting(FACES, torch.ones(1, 3, 3), **options)[0, :, 0, 0].tolist()


def test_light_from_above() -> None:
    assert shade(Lighting()) == pytest.approx([1.0, 0.5, 0.5])
    assert shade(Lighting(ambient=0.2, directional=0.7)) == pytest.approx([0.9, 0.2, 0.2])


def test_only_the_direction_of_the_light_counts() -> None:
    half = math.sqrt(0.5) / 2
    for length in (1.0, 17.0):
        lighting = Lighting(direction=(0, length, length))
        assert shade(lighting) == pytest.approx([0.5 + half, 0.5, 0.5 + half])


def test_colors_are_multiplied_as_they_are() -> None:
    colors = torch.tensor([[[0.8, 0.4, 0.0], [0.8, 0.4, 0.0], [1.0, 1.0, 1.0]]])
    shaded = Lighting()(FACES, colors)
    assert shaded.shape == (1, 3, 3, 3)
    torch.testing.assert_close(shaded[0, 0], torch.tensor([0.8, 0.4, 0.0]).expand(3, 3))
    torch.testing.assert_close(shaded[0, 1], torch.tensor([0.4, 0.2, 0.0]).expand(3, 3))


def test_corners_and_texels_keep_their_own_colors() -> None:
    for samples in (3, 16):
        colors = torch.rand(1, 3, samples, 3)
        shaded = Lighting()(FACES, colors)
        expected = colors * torch.tensor([1.0, 0.5, 0.5])[:, None, None]
        torch.testing.assert_close(shaded[0], expected[0])


def test_two_sided_uses_the_side_which_the_eye_sees() -> None:
    lighting = Lighting(two_sided=True)
    above = torch.tensor([[0.2, 5.0, 0.2]])
    assert shade(lighting, eye=above) == pytest.approx([1.0, 1.0, 0.5])
    assert shade(lighting, eye=-above) == pytest.approx([0.5, 0.5, 0.5])
    # The winding must not matter.
    reversed_faces = FACES.flip(2)
    white = torch.ones(1, 3, 3)
    for eye in (above, -above):
        torch.testing.assert_close(
            lighting(reversed_faces, white, eye), lighting(FACES, white, eye)
        )


def test_two_sided_needs_an_eye() -> None:
    for options in ({}, {"eye": torch.zeros(2, 3)}):
        with pytest.raises(ValueError, match=r"eye must have shape \[1, 3\]"):
            shade(Lighting(two_sided=True), **options)


def test_one_mesh_may_be_seen_by_many_eyes() -> None:
    eyes = torch.tensor([[0.2, 5.0, 0.2], [0.2, -5.0, 0.2]])
    light = Lighting(two_sided=True).intensity(FACES, eyes)
    torch.testing.assert_close(light, torch.tensor([[1.0, 1.0, 0.5], [0.5, 0.5, 0.5]]))
    assert Lighting().intensity(FACES, eyes).tolist() == [[1.0, 0.5, 0.5]]
    normals = facing_normals(FACES, eyes)
    assert normals[:, :2].tolist() == [[[0, 1, 0]] * 2, [[0, -1, 0]] * 2]
    with pytest.raises(ValueError, match=r"eye must have shape \[B, 3\] for 2 meshes"):
        facing_normals(FACES.expand(2, -1, -1, -1), eyes[:1])


@pytest.mark.parametrize("two_sided", [False, True])
def test_gradients_reach_vertices_and_colors(two_sided: bool) -> None:
    generator = torch.Generator().manual_seed(0)
    vertices = torch.randn(2, 4, 3, 3, generator=generator, dtype=torch.float64).requires_grad_()
    colors = torch.rand(2, 4, 3, 3, generator=generator, dtype=torch.float64).requires_grad_()
    eye = torch.tensor([[3.0, 4.0, 5.0]] * 2, dtype=torch.float64)
    lighting = Lighting(direction=(0.3, 1.0, -0.2), two_sided=two_sided)

    def function(vertices: Tensor, colors: Tensor) -> Tensor:
        return lighting(vertices, colors, eye)

    assert torch.autograd.gradcheck(function, (vertices, colors))


def test_the_direction_of_a_call_replaces_the_setting() -> None:
    from_side = Lighting(direction=(0, 0, 1))
    direction = torch.tensor([0.0, 0.0, 3.0])
    assert shade(Lighting(), direction=direction) == shade(from_side)
    assert shade(Lighting(), direction=direction[None]) == shade(from_side)
    many = torch.tensor([[0.0, 2.0, 0.0], [0.0, 0.0, 1.0]])
    light = Lighting().intensity(FACES, direction=many)
    assert light.tolist() == [[1.0, 0.5, 0.5], [0.5, 0.5, 1.0]]


@pytest.mark.parametrize("two_sided", [False, True])
def test_gradients_reach_the_direction(two_sided: bool) -> None:
    generator = torch.Generator().manual_seed(0)
    faces = torch.randn(2, 4, 3, 3, generator=generator, dtype=torch.float64)
    direction = torch.randn(2, 3, generator=generator, dtype=torch.float64).requires_grad_()
    eye = torch.tensor([[3.0, 4.0, 5.0]] * 2, dtype=torch.float64)
    lighting = Lighting(two_sided=two_sided)

    def function(direction: Tensor) -> Tensor:
        return lighting.intensity(faces, eye, direction)

    assert torch.autograd.gradcheck(function, (direction,))
    (gradient,) = torch.autograd.grad(function(direction).sum(), direction)
    # The length of the direction does not matter.
    assert (gradient * direction).sum(1).abs().max() < 1e-12
    assert gradient.norm(dim=1).min() > 0


@pytest.mark.parametrize(
    "direction",
    [torch.zeros(3), torch.tensor([0.0, math.nan, 1.0]), torch.ones(2), torch.ones(2, 4)],
)
def test_bad_directions_of_a_call_are_refused(direction: Tensor) -> None:
    with pytest.raises(ValueError, match="direction must be"):
        shade(Lighting(), direction=direction)


def test_directions_must_fit_the_meshes() -> None:
    with pytest.raises(ValueError, match=r"direction must be \[3\] or \[2, 3\], got \[3, 3\]"):
        Lighting().intensity(FACES.expand(2, -1, -1, -1), direction=torch.ones(3, 3))


def test_faces_without_area_get_ambient_light_and_no_gradient() -> None:
    vertices = torch.ones(1, 3, 3, 3, requires_grad=True)
    shaded = Lighting()(vertices, torch.ones(1, 3, 3))
    torch.testing.assert_close(shaded, torch.full((1, 3, 3, 3), 0.5))
    assert torch.equal(torch.autograd.grad(shaded.sum(), vertices)[0], torch.zeros(1, 3, 3, 3))


def test_corner_colors() -> None:
    flat = torch.rand(2, 4, 3)
    assert torch.equal(corner_colors(flat)[:, :, 1], flat)
    corners = torch.rand(2, 4, 3, 3)
    assert corner_colors(corners) is corners


@pytest.mark.parametrize(
    "change",
    [
        {"ambient": -0.1},
        {"directional": math.nan},
        {"direction": (0, 0, 0)},
        {"direction": (0, 1)},
        {"direction": (0, math.inf, 0)},
    ],
)
def test_bad_arguments_are_refused_by_name(change: dict[str, Any]) -> None:
    with pytest.raises(ValueError, match=next(iter(change))):
        Lighting(**change)


def test_bad_shapes_are_refused() -> None:
    with pytest.raises(ValueError, match=r"face_vertices must have shape \[B, F, 3, 3\]"):
        Lighting()(FACES[0], torch.ones(1, 3, 3))
    with pytest.raises(ValueError, match=r"face_textures must have shape \[1, 3, K, 3\]"):
        Lighting()(FACES, torch.ones(1, 4, 3))


# --- Several, coloured and smooth lights ----------------------------------------------------------


def test_lights_add_up() -> None:
    side = DirectionalLight(0.2, (0, 0, 5))
    down = DirectionalLight(0.1, (0, -1, 0))
    lighting = Lighting(0.3, 0.4, further=[side, down])
    assert shade(lighting) == pytest.approx([0.7, 0.4, 0.5])


def test_colored_light_multiplies_each_channel() -> None:
    lighting = Lighting(
        0.5, 0.5, color=(1, 0.5, 0), ambient_color=(0, 1, 1),
        further=[DirectionalLight(0.25, (0, 0, 1), (0, 0, 2))],
    )  # fmt: skip
    shaded = lighting(FACES, torch.full((1, 3, 3), 0.8))[0, :, 0]
    expected = [[0.4, 0.6, 0.4], [0.0, 0.4, 0.4], [0.0, 0.4, 0.8]]
    torch.testing.assert_close(shaded, torch.tensor(expected))
    with pytest.raises(ValueError, match="white light"):
        lighting.intensity(FACES)


def test_white_light_of_three_channels_is_that_of_one() -> None:
    slightly = Lighting(color=(1, 1, 1 + 1e-12))
    assert not slightly.white
    colors = torch.rand(1, 3, 3)
    torch.testing.assert_close(slightly(FACES, colors), Lighting()(FACES, colors))


def test_directions_of_a_call_move_one_light_or_all() -> None:
    lighting = Lighting(0.1, 0.4, further=[DirectionalLight(0.2, (0, -1, 0))])
    assert shade(lighting) == pytest.approx([0.5, 0.3, 0.1])
    assert shade(lighting, direction=torch.tensor([0.0, 0, 9])) == pytest.approx([0.1, 0.3, 0.5])
    both = torch.tensor([[[0.0, 0, 1], [0, 2, 0]]])
    assert shade(lighting, direction=both) == pytest.approx([0.3, 0.1, 0.5])
    with pytest.raises(ValueError, match=r"direction must be \[B, 2, 3\], got \[1, 3, 3\]"):
        shade(lighting, direction=torch.ones(1, 3, 3))


def test_gradients_reach_all_directions_and_normals() -> None:
    generator = torch.Generator().manual_seed(0)

    def random(*shape: int) -> Tensor:
        return torch.randn(*shape, generator=generator, dtype=torch.float64).requires_grad_()

    lighting = Lighting(
        0.2, 0.4, two_sided=True, further=[DirectionalLight(0.3, color=(1, 0.5, 0.2))],
        normals="vertex",
    )  # fmt: skip
    faces, normals, directions = random(2, 4, 3, 3), random(2, 4, 3, 3), random(2, 2, 3)
    colors, eye = random(2, 4, 3, 3), torch.tensor([[3.0, 4, 5]] * 2, dtype=torch.float64)

    def function(colors: Tensor, directions: Tensor, normals: Tensor) -> Tensor:
        return lighting(faces.detach(), colors, eye, directions, normals)

    assert torch.autograd.gradcheck(function, (colors, directions, normals))


def test_a_smooth_sphere_is_as_bright_as_its_normals_say() -> None:
    sphere = icosphere(2)
    vertices = sphere.vertices.double()[None]
    lighting = Lighting(0.0, 1.0, direction=(0, 0, 1), normals="vertex")
    normals = vertex_normals(vertices, sphere.faces)[:, sphere.faces]
    white = torch.ones(1, sphere.num_faces, 3, dtype=torch.float64)
    shaded = lighting(vertices[:, sphere.faces], white, normals=normals)[..., 0]
    expected = sphere.vertices.double()[sphere.faces][..., 2].clamp(min=0)
    assert (shaded[0] - expected).abs().max() < 0.03
    # Every vertex has one brightness in all its faces.
    assert len(torch.unique(shaded.mul(1e9).round())) <= sphere.num_vertices


def test_the_back_of_a_smooth_surface_is_lit_from_its_side_when_two_sided() -> None:
    normals = torch.tensor([0.0, 0.6, 0.8]).expand(1, 3, 3, 3)
    lighting = Lighting(0, 1, (0, -1, 0), two_sided=True, normals="vertex")
    below = torch.tensor([[0.2, -5.0, 0.2]])
    shaded = lighting(FACES, torch.ones(1, 3, 3), below, normals=normals)[0, :, 0, 0]
    # The eye is behind the first face alone, so that its normal is turned.
    assert shaded[:2].tolist() == pytest.approx([0.6, 0.0])


def test_smooth_light_needs_normals() -> None:
    lighting = Lighting(normals="vertex")
    with pytest.raises(ValueError, match=r"normals must have shape \[1, 3, 3, 3\]"):
        lighting(FACES, torch.ones(1, 3, 3))
    with pytest.raises(ValueError, match="normals must be one of face, vertex"):
        Lighting(normals="smooth")


@pytest.mark.parametrize(
    "lighting",
    [
        Lighting(0.45, 0.55, (0.4, 1.0, -0.6), two_sided=True),
        Lighting(
            color=(1, 0.9, 0.8), ambient_color=(0, 0, 1), normals="vertex",
            further=[DirectionalLight(0.3, (1, 2, 3), (0.5, 1, 1))],
        ),
    ],
)  # fmt: skip
def test_settings_make_the_same_light(lighting: Lighting) -> None:
    again = Lighting.from_config(json.loads(json.dumps(lighting.config())))
    assert again.config() == lighting.config()
    normals = torch.nn.functional.normalize(torch.randn(1, 3, 3, 3), dim=-1)
    arguments = (FACES, torch.ones(1, 3, 3), torch.ones(1, 3), None, normals)
    torch.testing.assert_close(again(*arguments), lighting(*arguments), atol=1e-5, rtol=0)


def test_settings_of_one_white_light_are_four() -> None:
    config = Lighting(0.4, 0.6, (0, 2, 0)).config()
    assert config == {
        "ambient": 0.4, "directional": 0.6, "direction": [0.0, 1.0, 0.0], "two_sided": False,
    }  # fmt: skip
    with pytest.raises(ValueError, match="not the configuration of a light"):
        Lighting.from_config({**config, "shininess": 3})


@pytest.mark.parametrize(
    "change", [{"intensity": -1}, {"direction": (0, 0)}, {"color": (1, -1, 0)}]
)
def test_bad_lights_are_refused_by_name(change: dict[str, Any]) -> None:
    with pytest.raises(ValueError, match=next(iter(change))):
        DirectionalLight(**change)


# --- Through the whole renderer -------------------------------------------------------------------


@pytest.mark.parametrize("normals", ["face", "vertex"])
@pytest.mark.parametrize("texture", ["vertex", "surface"])
def test_image_loss_has_exact_gradients_through_light_and_camera(
    normals: str, texture: str
) -> None:
    """To vertices, colours, both lights' directions and the viewpoint, in float64."""
    generator = torch.Generator().manual_seed(3)

    def random(*shape: int) -> Tensor:
        return torch.rand(*shape, generator=generator, dtype=torch.float64)

    base = icosphere(0)
    vertices = 0.5 * base.vertices.double()[None] + 0.05 * random(1, 12, 3)
    colors = random(1, base.num_faces, 3 if texture == "vertex" else 4, 3)
    directions = torch.tensor([[[0.3, 1.0, -0.4], [-1.0, 0.2, -0.7]]], dtype=torch.float64)
    viewpoint = torch.tensor([[31.0, 17.0, 2.7, 33.0]], dtype=torch.float64)
    lighting = Lighting(
        0.3, 0.4, two_sided=True, normals=normals, color=(1, 0.8, 0.6),
        further=[DirectionalLight(0.3, color=(0.5, 0.7, 1))],
    )  # fmt: skip
    renderer = SoftRenderer(6, sigma=3e-3, gamma=3e-2, texture=texture, lighting=lighting)
    target = random(1, 4, 6, 6)

    def loss(vertices: Tensor, colors: Tensor, directions: Tensor, viewpoint: Tensor) -> Tensor:
        cameras = Cameras.orbit(*viewpoint.unbind(1))
        rgba = renderer(vertices, base.faces, colors, cameras, light_direction=directions)
        return (rgba - target).square().sum()

    inputs = [x.requires_grad_() for x in (vertices, colors, directions, viewpoint)]
    assert torch.autograd.gradcheck(loss, inputs, atol=1e-6, fast_mode=True)
    for gradient in torch.autograd.grad(loss(*inputs), inputs):
        assert float(gradient.abs().max()) > 1e-4
