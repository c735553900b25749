"""Palettes find the colours that are there, and memberships see through light."""

from __future__ import annotations

import pytest
import torch

from recon.fitting.pose.palettes import make_palette, memberships

SIX = torch.tensor(
    [[1, 1, 1], [1, 1, 0], [0, 0, 1], [0, 1, 0], [1, 0, 0], [1, 0.647, 0]], dtype=torch.float32
)


def test_a_palette_of_few_colours_is_these_colours() -> None:
    colors = SIX.repeat_interleave(3, 0)
    palette = make_palette(colors, torch.ones(18), 9)
    assert sorted(palette.tolist()) == sorted(SIX.tolist())


def test_similar_colours_share_a_place_by_weight() -> None:
    colors = torch.tensor([[0.9, 0, 0], [1.0, 0, 0], [0, 0, 1.0]])
    palette = make_palette(colors, torch.tensor([1.0, 3.0, 2.0]), 2)
    torch.testing.assert_close(palette, torch.tensor([[0.975, 0, 0], [0, 0, 1.0]]))


def test_what_is_close_to_the_palette_adds_nothing() -> None:
    colors = torch.tensor([[0.9, 0, 0], [1.0, 0, 0], [0, 0, 1.0]])
    palette = make_palette(colors, torch.tensor([1.0, 3.0, 2.0]), 3, separation=0.2)
    torch.testing.assert_close(palette, torch.tensor([[0.975, 0, 0], [0, 0, 1.0]]))


def test_black_alone_is_a_palette() -> None:
    palette = make_palette(torch.zeros(4, 3), torch.ones(4), 3)
    assert palette.tolist() == [[0, 0, 0]]
    assert memberships(torch.rand(5, 3), palette).tolist() == [[1.0]] * 5


def test_memberships_name_the_colour_in_any_allowed_light() -> None:
    for light in (1.0, 0.7, 0.5):
        shares = memberships(SIX * light, SIX, darkest=0.5, softness=0.1)
        torch.testing.assert_close(shares.sum(-1), torch.ones(6))
        assert shares.argmax(-1).tolist() == list(range(6))
        assert bool((shares.amax(-1) > 0.8).all())
    dark = memberships(torch.tensor([0.5, 0.5, 0.5]), torch.tensor([[1.0, 1, 1], [0.4, 0.4, 0.4]]))
    assert int(dark.argmax()) == 1  # without light grey is no dark white


@pytest.mark.parametrize(
    ("colors", "weights", "count", "message"),
    [
        (torch.zeros(3), torch.zeros(3), 2, r"colors must have shape \[F, 3\]"),
        (torch.zeros(2, 3), torch.ones(3), 2, r"weights \[F\], got \[2, 3\] and \[3\]"),
        (torch.zeros(2, 3), torch.ones(2), 0, "count must be >= 1 and separation >= 0, got 0"),
        (torch.full((2, 3), torch.nan), torch.ones(2), 2, r"colors must lie in \[0, 1\]"),
        (torch.zeros(2, 3), torch.zeros(2), 2, "weights must be >= 0, and one of them > 0"),
    ],
)
def test_bad_palettes_are_named(
    colors: torch.Tensor, weights: torch.Tensor, count: int, message: str
) -> None:
    with pytest.raises(ValueError, match=message):
        make_palette(colors, weights, count)


def test_bad_memberships_are_named() -> None:
    with pytest.raises(ValueError, match=r"palette \[K, 3\], got \[3\] and \[3\]"):
        memberships(torch.zeros(3), torch.zeros(3))
    with pytest.raises(ValueError, match="darkest must lie in"):
        memberships(torch.zeros(3), SIX, darkest=1.5)
    with pytest.raises(ValueError, match="softness be > 0"):
        memberships(torch.zeros(3), SIX, softness=0)
