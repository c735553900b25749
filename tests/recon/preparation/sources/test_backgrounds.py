from __future__ import annotations

import io

import numpy as np
import pytest
from PIL import Image

from recon.preparation.sources.backgrounds import (
    COLORS,
    detect_colors,
    mask_before_white,
    straighten,
)
from tests.recon.preparation.known_object import public_matrix, rgba


def image(view: int = 2, size: int = 64) -> np.ndarray:
    """The known object with colours which differ from pixel to pixel."""
    drawn = rgba(public_matrix(view, (size, size)), (size, size)).transpose(2, 0, 1)
    colors = np.random.default_rng(0).integers(20, 235, (3, size, size), np.uint8)
    drawn[:3] = colors * (drawn[3] > 0)
    return drawn


def stored(straight: np.ndarray, colors: str) -> np.ndarray:
    """The image as Kato's script stores it."""
    if colors == "straight":
        return straight
    color, alpha = straight[:3] / 255, straight[3] / 255
    laid = color * alpha + (colors != "black") * (1 - alpha)
    laid = 1 - laid if colors == "inverted" else laid
    return np.concatenate([(laid * 255).astype(np.uint8), straight[3:]])


@pytest.mark.parametrize("colors", COLORS)
def test_stored_colours_are_told_apart_and_made_straight(colors: str) -> None:
    straight = image()
    seen = stored(straight, colors)
    # Inverted colours look as other ones over black, and are never guessed.
    assert detect_colors(np.stack([seen, seen])) == colors.replace("inverted", "black")
    restored = straighten(seen, colors)
    assert (restored[3] == straight[3]).all()
    assert not restored[:3, straight[3] == 0].any()
    opaque = straight[3] == 255
    assert np.abs(restored[:3, opaque].astype(int) - straight[:3, opaque]).max() <= 1
    # Where alpha is small so is what is left of the colour.
    border = (straight[3] >= 128) & ~opaque
    assert np.abs(restored[:3, border].astype(int) - straight[:3, border]).max() <= 4


def test_stray_colours_without_alpha_do_not_mislead() -> None:
    seen = stored(image(), "straight")
    seen[:3, 0, :9] = 255  # as Blender leaves them
    assert detect_colors(seen) == "straight"


def test_images_which_show_nothing_tell_nothing() -> None:
    opaque = image()
    opaque[3] = 255
    hard = image()
    hard[3] = np.where(hard[3] > 127, 255, 0)
    hard[:3] *= hard[3] > 0
    assert detect_colors(opaque) is detect_colors(hard) is None
    assert not straighten(np.full((4, 3, 3), 0, np.uint8), "inverted").any()


@pytest.mark.parametrize("quality", [75, 95])
def test_a_mask_before_white_survives_jpeg(quality: int) -> None:
    truth = rgba(public_matrix(2, (137, 137)), (137, 137))
    alpha = truth[..., 3:] / 255
    white = np.rint(truth[..., :3] * alpha + 255 * (1 - alpha)).astype(np.uint8)
    buffer = io.BytesIO()
    Image.fromarray(white).save(buffer, "JPEG", quality=quality)
    mask = mask_before_white(np.asarray(Image.open(buffer)).transpose(2, 0, 1)) > 0
    wanted = truth[..., 3] > 127
    assert (mask & wanted).sum() / (mask | wanted).sum() > 0.93


def test_holes_are_background_and_glints_are_not() -> None:
    rgb = np.full((3, 40, 40), 255, np.uint8)
    rgb[:, 5:35, 5:35] = 90
    rgb[:, 10:16, 10:16] = 255  # a hole
    rgb[:, 20:23, 20:23] = 255  # a glint
    rgb[:, 26:32, 26:32] = 252  # a bright surface
    mask = mask_before_white(rgb) > 0
    assert not mask[12, 12]
    assert mask[21, 21]
    assert mask[28, 28]
    assert mask.sum() == 30 * 30 - 6 * 6
    assert (mask_before_white(np.full((3, 8, 8), 30, np.uint8)) == 255).all()
    assert not mask_before_white(np.full((3, 8, 8), 255, np.uint8)).any()
