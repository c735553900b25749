"""Images over black, white and any colour; the colours of transparent pixels do not count."""

from __future__ import annotations

import pytest
import torch

from recon.rendering.compositing import (
    over_black,
    over_color,
    over_white,
    photographed,
    premultiplied,
)


def test_half_transparent_pixels_are_mixed_with_the_background() -> None:
    rgba = torch.tensor([0.8, 0.4, 0.0, 0.5])[:, None, None]
    torch.testing.assert_close(over_black(rgba).flatten(), torch.tensor([0.4, 0.2, 0.0]))
    torch.testing.assert_close(over_white(rgba).flatten(), torch.tensor([0.9, 0.7, 0.5]))
    torch.testing.assert_close(premultiplied(rgba).flatten(), torch.tensor([0.4, 0.2, 0.0, 0.5]))


def test_images_may_stand_in_a_batch_of_any_shape() -> None:
    rgba = torch.rand(2, 3, 4, 5, 6)
    for function in (over_black, over_white, premultiplied):
        batch = function(rgba)
        assert torch.equal(batch[1, 2], function(rgba[1, 2]))
    assert torch.equal(over_white(rgba), over_black(rgba) + (1 - rgba[:, :, 3:]))


def test_colors_of_transparent_pixels_do_not_count() -> None:
    rgba = torch.rand(2, 4, 3, 3)
    rgba[:, 3] = 0
    assert float(premultiplied(rgba).abs().max()) == 0
    assert bool((over_white(rgba) == 1).all())


def test_photographs_are_opaque_and_show_the_background_where_nothing_is() -> None:
    rgba = torch.tensor([0.8, 0.4, 0.0, 0.5])[:, None, None]
    photograph = photographed(rgba, (0.2, 0.0, 1.0)).flatten()
    torch.testing.assert_close(photograph, torch.tensor([0.5, 0.2, 0.5, 1.0]))
    images = torch.rand(2, 4, 3, 3)
    torch.testing.assert_close(over_color(images, (1, 1, 1)), over_white(images))


@pytest.mark.parametrize("color", [(0.5, 0.5), (0, 0, 1.1), (0, float("nan"), 0)])
def test_what_is_no_color_is_refused(color: tuple[float, ...]) -> None:
    with pytest.raises(ValueError, match=r"color must be three numbers in \[0, 1\], got"):
        over_color(torch.rand(4, 2, 2), color)
