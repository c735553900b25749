"""Masks estimated from a plain background."""

from __future__ import annotations

import numpy as np
import pytest
from numpy.typing import NDArray

from recon.formats.plain_background import WEAKNESS, estimate_mask


def scene(mask: NDArray[np.bool_], noise: float = 3.0) -> NDArray[np.uint8]:
    """A red object before a grey background that changes from left to right, with noise."""
    height, width = mask.shape
    background = 150 + 60 * np.linspace(0, 1, width)[None, None] + np.zeros((3, height, 1))
    image = np.where(mask, np.array([170, 40, 40])[:, None, None], background)
    image = image + np.random.default_rng(0).normal(0, noise, image.shape)
    return image.clip(0, 255).astype(np.uint8)


def disc(height: int = 120, width: int = 160, x: float = 90, y: float = 55, r: float = 30):
    rows, columns = np.mgrid[:height, :width]
    return (columns - x) ** 2 + (rows - y) ** 2 < r**2


def iou(mask: NDArray[np.uint8], truth: NDArray[np.bool_]) -> float:
    return float(((mask == 255) & truth).sum() / ((mask == 255) | truth).sum())


@pytest.mark.parametrize("noise", [0.0, 3.0, 6.0])
def test_an_object_is_found_before_a_shaded_background_with_noise(noise: float) -> None:
    found = estimate_mask(scene(disc(), noise))
    assert set(np.unique(found.alpha)) == {0, 255}
    assert iou(found.alpha, disc()) > 0.98
    assert found.notes == (WEAKNESS,)


def test_a_hole_that_shows_the_background_is_one() -> None:
    ring = disc() & ~disc(r=12)
    assert iou(estimate_mask(scene(ring)).alpha, ring) > 0.97


def test_dirt_is_left_out() -> None:
    dirty = disc()
    dirty[5:8, 5:8] = True
    found = estimate_mask(scene(dirty)).alpha
    assert not found[:20, :20].any()
    assert iou(found, disc()) > 0.98


def test_doubts_are_told() -> None:
    busy = scene(disc())
    busy[:, :40] = np.random.default_rng(1).integers(0, 256, (3, 40, 160))
    assert any("is not plain" in note for note in estimate_mask(busy).notes)


def test_a_image_without_an_object_is_refused() -> None:
    with pytest.raises(ValueError, match=r"no object found: nothing differs"):
        estimate_mask(scene(np.zeros((50, 60), bool)))
