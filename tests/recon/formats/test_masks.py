"""Which mask an image has, and what is told about it."""

from __future__ import annotations

import numpy as np
import pytest

from recon.formats.images import RgbaImage, decode_image
from recon.formats.masks import mask_notes, masked_image
from recon.formats.plain_background import WEAKNESS


def block(rows: slice = slice(10, 20), columns: slice = slice(20, 50)) -> np.ndarray:
    alpha = np.zeros((40, 60), np.uint8)
    alpha[rows, columns] = 255
    return alpha


def painted(alpha: np.ndarray) -> RgbaImage:
    rgba = np.full((*alpha.shape, 4), 255, np.uint8)
    rgba[alpha > 0, :3] = (0, 160, 0)
    rgba[..., 3] = alpha
    return decode_image(rgba)


def test_a_given_mask_comes_first_then_alpha_then_an_estimate() -> None:
    image, other = painted(block()), block(slice(0, 40), slice(5, 10))
    given = masked_image(image, other)
    assert given.source == "mask"
    assert (given.rgba[3] == other).all()
    cut = masked_image(image, None)
    assert (cut.source, cut.notes) == ("alpha channel", ())
    assert (cut.rgba == image.rgba).all()
    opaque = RgbaImage(np.concatenate((image.rgba[:3], np.full_like(image.rgba[:1], 255))))
    estimate = masked_image(opaque, None)
    assert (estimate.source, estimate.notes) == ("estimated", (WEAKNESS,))
    assert (estimate.rgba[3] == block()).all()


def test_an_image_is_made_smaller_before_its_mask_is_estimated() -> None:
    assert masked_image(painted(block()), None, 30).rgba.shape == (4, 20, 30)


def test_doubts_are_told_of_every_mask() -> None:
    assert mask_notes(block()) == ()
    assert mask_notes(block(columns=slice(30, 60))) == (
        "the object touches the border, so a part of it may be missing",
    )
    assert mask_notes(np.full((9, 9), 255, np.uint8)) == (
        "the object fills the frame: the mask covers 100 % of it",
    )
    two = block() | block(slice(30, 35), slice(5, 15))
    assert mask_notes(two) == ("the mask falls into 2 pieces",)
    two[0, 0] = 255  # a speck is no piece, but it touches the border
    assert mask_notes(two)[1:] == ("the mask falls into 2 pieces",)
    for image, mask in ((painted(two), None), (painted(block()), two)):
        assert "the mask falls into 2 pieces" in masked_image(image, mask).notes


def test_an_empty_mask_is_refused_with_its_greatest_value() -> None:
    labels = np.arange(2400).reshape(40, 60) % 21
    with pytest.raises(ValueError, match="the mask is empty: its greatest value is 20 of 255"):
        masked_image(painted(block()), labels.astype(np.uint8))
    with pytest.raises(ValueError, match="the alpha channel is empty: its greatest value is 0"):
        masked_image(painted(np.zeros((9, 9), np.uint8)), None)
