from __future__ import annotations

import math
from typing import Any

import pytest
import torch
from torch import Tensor

from recon.lighting import Lighting, corner_colors, facing_normals

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
