"""What soft rendering is for, in numbers: pull from afar, wide valleys, gradients behind others.

Source of the claims: Liu et al., Soft Rasterizer (arXiv 1904.01786), sections 1 and 3.
"""

from __future__ import annotations

import pytest
import torch
from torch import Tensor

from recon.geometry.cameras import Cameras
from recon.losses.silhouette import silhouette_iou_loss
from recon.rendering.renderer import SoftRenderer

SIZE = 48
CAMERA = Cameras.orbit(*torch.tensor([[0.0], [0.0], [3.0], [40.0]]))
FACES = torch.tensor([[0, 1, 2], [0, 2, 3]])


def square(x: float | Tensor = 0.0, z: float = 0.0, side: float = 0.3) -> Tensor:
    """The corners [1, 4, 3] of a square which faces the eye; a larger z is farther away."""
    half = side / 2
    corners = torch.tensor([[-half, -half, z], [half, -half, z], [half, half, z], [-half, half, z]])
    # Off the pixels' raster, where no edge falls on a pixel's centre.
    shift = torch.tensor([0.0013, 0.0007, 0.0])
    return (corners + shift + torch.as_tensor(x) * torch.tensor([1.0, 0.0, 0.0]))[None]


def silhouette(x: float | Tensor, sigma: float) -> Tensor:
    return SoftRenderer(SIZE, sigma=sigma).silhouette(square(x), FACES, CAMERA)


MASK = silhouette(0.0, 1e-8).round()


def energy(x: float | Tensor, sigma: float) -> Tensor:
    """1 - IoU with the sharp image of the square at 0."""
    return silhouette_iou_loss(silhouette(x, sigma), MASK)


def pull(x: float, sigma: float) -> float:
    """How strongly the energy draws the square back, per unit of distance; > 0 is the right way."""
    place = torch.tensor(x, requires_grad=True)
    return torch.autograd.grad(energy(place, sigma), place)[0].item()


def test_the_pull_from_afar_grows_with_sigma() -> None:
    gap = 0.6  # between the square and its target there are 0.3 units, one side of the square
    pulls = [pull(gap, sigma) for sigma in (1e-6, 1e-4, 1e-2, 3e-2, 1e-1)]
    assert pulls[:3] == [0, 0, 0]  # out of reach
    assert 0.03 < pulls[3] < pulls[4]
    assert pull(-gap, 1e-1) == pytest.approx(-pulls[4], rel=0.05)


def test_the_reach_of_the_pull_grows_with_sigma() -> None:
    reaches = [
        max(x for x in PLACES if pull(x, sigma) > 0) for sigma in (1e-6, 1e-3, 1e-2, 3e-2, 1e-1)
    ]
    assert reaches == sorted(set(reaches))
    assert reaches[0] < 0.3 < 0.8 < reaches[-1]  # at small sigma squares must overlap


PLACES = torch.arange(-0.84, 0.841, 0.03).tolist()


def minima(sigma: float) -> list[float]:
    """The places in whose neighbourhood the energy is least, strictly."""
    values = [energy(x, sigma).item() for x in PLACES]
    return [
        PLACES[i]
        for i in range(1, len(values) - 1)
        if values[i] < values[i - 1] and values[i] < values[i + 1]
    ]


def flat_share(sigma: float) -> float:
    """The share of places from which no gradient leads anywhere."""
    return sum(pull(x, sigma) == 0 for x in PLACES) / len(PLACES)


def test_a_translated_square_has_one_valley_at_large_sigma_and_a_plain_at_small() -> None:
    assert minima(1e-1) == [pytest.approx(0.0, abs=0.031)]
    assert flat_share(1e-1) == 0
    # Everywhere the way is down to the target.
    assert all(pull(x, 1e-1) * x > 0 for x in PLACES if abs(x) > 0.04)
    # Where squares do not overlap, nothing leads anywhere.
    assert flat_share(1e-6) > 0.65


def test_the_share_of_flat_places_falls_with_sigma() -> None:
    shares = [flat_share(sigma) for sigma in (1e-6, 1e-4, 1e-3, 1e-2)]
    assert shares == sorted(shares, reverse=True)
    assert shares[-1] < 0.5 * shares[0]
    assert flat_share(1e-1) == 0


def hidden_gradient(**modes: object) -> tuple[Tensor, Tensor]:
    """Gradients of the image to a square in front, and to a smaller one hidden behind it.

    Returns:
        [4, 3] each.
    """
    front, back = square(z=-0.3, side=0.5), square(z=0.3, side=0.3)
    vertices = torch.cat((front, back), dim=1).requires_grad_()
    faces = torch.cat((FACES, FACES + 4))
    colors = torch.tensor([[0.9, 0.2, 0.2]] * 2 + [[0.1, 0.3, 0.9]] * 2)[None]
    renderer = SoftRenderer(SIZE, near=1.0, far=5.0, **modes)  # type: ignore[arg-type]
    rgba = renderer(vertices, faces, colors, CAMERA)
    target = torch.tensor([0.1, 0.3, 0.9])[None, :, None, None]  # it should be seen
    loss = (rgba[:, :3] - target).square().mean()
    gradient = torch.autograd.grad(loss, vertices, allow_unused=True)[0]
    if gradient is None:
        gradient = torch.zeros_like(vertices)
    return gradient[0, :4], gradient[0, 4:]


def test_gradients_reach_what_is_hidden_softly_and_not_hard() -> None:
    _, hidden = hidden_gradient(sigma=1e-3, gamma=0.1)
    # Every hidden corner should come nearer.
    assert (hidden[:, 2] > 1e-4).all()
    _, sharper = hidden_gradient(sigma=1e-3, gamma=0.03)
    assert 0 < sharper[:, 2].sum() < hidden[:, 2].sum()
    for modes in ({"color": "hard"}, {"color": "hard", "distance": "hard", "alpha": "hard"}):
        _, nothing = hidden_gradient(sigma=1e-3, gamma=0.1, **modes)
        assert (nothing == 0).all()


def test_a_hidden_object_comes_forward_when_its_colour_is_wanted() -> None:
    front, place = square(z=-0.3, side=0.5), torch.tensor(0.3, requires_grad=True)
    faces = torch.cat((FACES, FACES + 4))
    colors = torch.tensor([[0.9, 0.2, 0.2]] * 2 + [[0.1, 0.3, 0.9]] * 2)[None]
    target = torch.tensor([0.1, 0.3, 0.9])[None, :, None, None]
    renderer = SoftRenderer(SIZE, sigma=1e-4, gamma=0.1, near=1.0, far=5.0)
    optimizer = torch.optim.Adam([place], lr=0.05)
    inside = MASK[:, None]
    for _ in range(30):
        optimizer.zero_grad()
        back = square(side=0.3) + torch.stack((place * 0, place * 0, place))
        rgba = renderer(torch.cat((front, back), dim=1), faces, colors, CAMERA)
        (inside * (rgba[:, :3] - target).square()).mean().backward()
        optimizer.step()
    assert place.item() < -0.4
