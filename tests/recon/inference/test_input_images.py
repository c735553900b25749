"""Images from anywhere: which mask is used, and how they are framed."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import pytest
import torch
from PIL import Image

from recon.datasets.framing import Framing, mask_boxes, usual_framing
from recon.inference.input_images import (
    WORKING_SIDE,
    InputImage,
    close_up,
    cut_out,
    take_image,
)


def painted(alpha: np.ndarray) -> np.ndarray:
    """[H, W, 4]: green where it is opaque, white elsewhere."""
    rgba = np.full((*alpha.shape, 4), 255, np.uint8)
    rgba[alpha > 0, :3] = (0, 160, 0)
    rgba[..., 3] = alpha
    return rgba


def block(height: int = 40, width: int = 60) -> np.ndarray:
    alpha = np.zeros((height, width), np.uint8)
    alpha[10:20, 20:50] = 255
    return alpha


@pytest.mark.parametrize("suffix", ["png", "webp"])
def test_the_alpha_channel_is_the_mask(tmp_path: Path, suffix: str) -> None:
    path = tmp_path / f"a.{suffix}"
    Image.fromarray(painted(block())).save(path, lossless=True)
    image = take_image(path)
    assert (image.mask, image.notes) == ("alpha channel", ())
    assert (image.rgba[3] == block()).all()
    assert (image.rgba[:3, 15, 30] == [0, 160, 0]).all()


@pytest.mark.parametrize("form", ["alpha.png", "grey.png"])
def test_a_given_mask_comes_first(tmp_path: Path, form: str) -> None:
    Image.fromarray(painted(block())).save(tmp_path / "a.png")
    other = np.zeros((40, 60), np.uint8)
    other[5:30, 5:10] = 255
    grey = Image.fromarray(other)
    (Image.fromarray(painted(other)) if form == "alpha.png" else grey).save(tmp_path / form)
    image = take_image(tmp_path / "a.png", tmp_path / form)
    assert image.mask == "mask"
    assert (image.rgba[3] == other).all()
    taken = take_image(painted(block()), other > 0)
    assert (taken.rgba == image.rgba).all()


def test_without_either_it_is_estimated(tmp_path: Path) -> None:
    opaque = painted(block())[..., :3]
    Image.fromarray(opaque).save(tmp_path / "a.jpg", quality=95)
    for image in (take_image(tmp_path / "a.jpg"), take_image(Image.fromarray(opaque))):
        assert image.mask == "estimated"
        assert "estimate" in image.notes[0]
        assert ((image.rgba[3] > 0) == (block() > 0)).mean() > 0.95


def test_large_images_become_small_and_stay_in_proportion(tmp_path: Path) -> None:
    alpha = np.zeros((1600, 2000), np.uint8)
    alpha[400:800, 500:1500] = 255
    Image.fromarray(painted(alpha)).save(tmp_path / "a.png")
    image = take_image(tmp_path / "a.png")
    assert image.rgba.shape == (4, round(WORKING_SIDE * 0.8), WORKING_SIDE)
    box = mask_boxes(torch.from_numpy(image.rgba[3:]))[0] / WORKING_SIDE
    assert box.tolist() == pytest.approx([0.25, 0.2, 0.75, 0.4], abs=0.004)


def test_a_photograph_is_turned_upright(tmp_path: Path) -> None:
    exif = Image.Exif()
    exif[0x0112] = 6  # turn clockwise
    Image.fromarray(painted(block())[..., :3]).save(tmp_path / "a.jpg", exif=exif, quality=95)
    assert take_image(tmp_path / "a.jpg").rgba.shape == (4, 60, 40)


@pytest.mark.parametrize("fill", [0.4, 0.75])
@pytest.mark.parametrize("zoom", [0.5, 1, 12])
def test_objects_are_shifted_and_scaled_into_the_frame(fill: float, zoom: float) -> None:
    alpha = Image.fromarray(block()).resize((round(60 * zoom), round(40 * zoom)), 0)
    rgba = painted(np.asarray(alpha)).transpose(2, 0, 1)
    image = InputImage(np.ascontiguousarray(rgba), "alpha channel")
    framing = Framing((0.3, 0.5, 0.9), (0.0, 0.1), usual_framing().cameras, "")
    cutout = cut_out(close_up(image, 128, 0.2), framing, (64, 64), fill)
    left, top, right, bottom = mask_boxes(cutout.image[3:])[0].tolist()
    assert right - left == pytest.approx(64 * fill, abs=1.1)
    assert (left + right) / 2 == pytest.approx(32, abs=1.1)
    assert (top + bottom) / 2 == pytest.approx(32 + 6.4, abs=1.1)
    assert bottom - top == pytest.approx(64 * fill / 3, abs=1.1)
    # No white of the surroundings gets into the colours.
    inside = cutout.image[:3, cutout.image[3] > 20].int()
    assert int((inside - torch.tensor([0, 160, 0])[:, None]).abs().max()) <= 10
    # The corner of the object lies where the map says.
    (scale, _), (x, y) = cutout.pixels.scale, cutout.pixels.offset
    corner = (scale * (20 * zoom - 0.5) + x + 0.5, scale * (10 * zoom - 0.5) + y + 0.5)
    assert corner == pytest.approx((left, top), abs=1.1)


def test_specks_do_not_decide_on_the_frame() -> None:
    alpha = block(80, 120)
    alpha[70, 110] = 255
    image = take_image(painted(alpha))
    assert mask_boxes(torch.from_numpy(image.rgba[3:])).tolist() == [[20, 10, 50, 20]]


def test_what_cannot_be_used_is_named(tmp_path: Path) -> None:
    with pytest.raises(FileNotFoundError, match=r"no such file.*gone\.png"):
        take_image(tmp_path / "gone.png")
    (tmp_path / "text.png").write_text("no image")
    with pytest.raises(ValueError, match=r"text\.png"):
        take_image(tmp_path / "text.png")
    Image.fromarray(painted(np.zeros((9, 9), np.uint8))).save(tmp_path / "empty.png")
    with pytest.raises(ValueError, match=r"empty\.png: the alpha channel is empty"):
        take_image(tmp_path / "empty.png")
    with pytest.raises(ValueError, match="mask must have the size of its image, 60 x 40 "):
        take_image(painted(block()), np.ones((9, 9), bool))
    with pytest.raises(ValueError, match=r"at least one pixel, got \[0, 0, 3\]"):
        take_image(np.zeros((0, 0, 3), np.uint8))
