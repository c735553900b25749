"""Changes of images do what their names say."""

from __future__ import annotations

import numpy as np
import pytest

from recon.datasets.image_changes import blurred, noisy, occluded, resized, thickened
from tests.recon.example_images import disc


def generator(seed: int = 0) -> np.random.Generator:
    return np.random.default_rng(seed)


def test_noise_has_its_deviation_and_leaves_the_mask() -> None:
    image = disc()
    image[:3, image[3] > 0] = 128
    changed = noisy(0.1)(image, generator())
    assert np.array_equal(changed[3], image[3])
    assert not changed[:3, image[3] == 0].any()
    assert changed[:3, image[3] > 0].std() == pytest.approx(25.5, rel=0.05)


def test_blur_keeps_the_colour_and_spreads_the_mask() -> None:
    image = disc()
    changed = blurred(2)(image, generator())
    shown = changed[3] > 25
    assert shown.sum() > (image[3] > 0).sum()
    difference = changed[:3, shown].astype(int) - np.array([240, 120, 20])[:, None]
    assert np.abs(difference).max() <= 2
    assert int(changed[3].sum()) == pytest.approx(int(image[3].sum()), rel=0.02)
    # Twice as large an image is blurred by twice as many pixels.
    large = blurred(2)(disc(128), generator())
    assert int((large[3] > 25).sum()) == pytest.approx(4 * int(shown.sum()), rel=0.05)


@pytest.mark.parametrize("share", [0.1, 0.3])
def test_a_rectangle_within_the_box_is_taken_out(share: float) -> None:
    image = np.zeros((4, 64, 64), np.uint8)
    image[:, 10:50, 20:60] = 200
    changed = occluded(share)(image, generator())
    gone = (image[3] > 0) & (changed[3] == 0)
    assert gone.sum() == pytest.approx(share * 1600, rel=0.1)
    rows, columns = np.nonzero(gone)
    area = (np.ptp(rows) + 1) * (np.ptp(columns) + 1)
    assert gone.sum() == area
    assert not changed[:, gone].any()
    assert not np.array_equal(changed, occluded(share)(image, generator(1)))


def test_an_empty_image_stays_empty() -> None:
    empty = np.zeros((4, 16, 16), np.uint8)
    for change in (noisy(0.2), blurred(2), occluded(0.3), resized(0.7), thickened(1)):
        assert not change(empty, generator()).any()


@pytest.mark.parametrize("factor", [0.5, 0.8, 1.25])
def test_what_is_shown_grows_and_moves(factor: float) -> None:
    image = disc()
    changed = resized(factor, right=0.1, down=-0.05)(image, generator())
    area = float(changed[3].sum() / 255) / float((image[3] > 0).sum())
    assert area == pytest.approx(factor**2, rel=0.03)
    for axis, moved in ((0, -0.05), (1, 0.1)):
        before, after = (
            float(np.average(np.arange(64), weights=layer.sum(1 - axis).astype(float))) - 31.5
            for layer in (image[3], changed[3])
        )
        assert after == pytest.approx(factor * before + 64 * moved, abs=0.3)
    shown = changed[3] > 25
    assert np.abs(changed[:3, shown].astype(int) - np.array([[240], [120], [20]])).max() <= 2
    assert np.array_equal(resized(1.0)(image, generator()), image)


def test_a_mask_grows_and_shrinks_by_a_pixel_on_each_side() -> None:
    image = np.zeros((4, 16, 16), np.uint8)
    image[:, 5:9, 6:12] = 200
    larger, smaller = (thickened(pixels)(image, generator()) for pixels in (1, -1))
    assert (larger[3] > 0).sum() == 6 * 8
    assert (larger[3, 4:10, 5:13] == 200).all()
    assert (smaller[3] > 0).sum() == 2 * 4
    assert (smaller[3, 6:8, 7:11] == 200).all()
    assert np.array_equal(larger[:3], image[:3])
    assert np.array_equal(smaller[:3], image[:3])
