"""Images over black and white: by hand, and the colours of transparent pixels do not count."""

from __future__ import annotations

import torch

from recon.rendering.compositing import over_black, over_white, premultiplied


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
