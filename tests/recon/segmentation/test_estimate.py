"""Masks of objects before any background."""

from __future__ import annotations

import numpy as np
import pytest
from numpy.typing import NDArray

from recon.formats.plain_background import WEAKNESS, estimate_mask
from recon.segmentation.estimate import GUESSED, estimate_object_mask, load_network


def patches(size: tuple[int, int], seed: int) -> NDArray[np.uint8]:
    """A background [3, H, W] of squares in random colours, which the network did not learn from."""
    colors = np.random.default_rng(seed).integers(0, 256, (3, 8, 8)).astype(np.uint8)
    rows, columns = (np.arange(side) * 8 // side for side in size)
    return colors[:, rows[:, None], columns]


def box(size: tuple[int, int]) -> NDArray[np.bool_]:
    """The silhouette of a thing like a cabinet in the middle of an image."""
    inside = np.zeros(size, bool)
    height, width = size
    inside[height // 4 : 3 * height // 4, 3 * width // 8 : 5 * width // 8] = True
    return inside


def scene(
    behind: NDArray[np.uint8], inside: NDArray[np.bool_], color: tuple[int, int, int]
) -> NDArray[np.uint8]:
    light = np.linspace(1.0, 0.8, inside.shape[0])[:, None]
    painted = np.array(color)[:, None, None] * light
    return np.where(inside, painted, behind).astype(np.uint8)


def iou(first: NDArray[np.bool_], second: NDArray[np.bool_]) -> float:
    return float((first & second).sum() / (first | second).sum())


@pytest.mark.parametrize("size", [(64, 64), (200, 200), (150, 260)])
def test_an_object_before_patches_is_found(size: tuple[int, int]) -> None:
    scores, before = [], []
    for seed in range(6):
        image = scene(patches(size, seed), box(size), (150, 110, 80))
        found = estimate_object_mask(image)
        assert found.notes == (GUESSED,)
        assert found.alpha.shape == size
        assert set(np.unique(found.alpha)) == {0, 255}
        scores.append(iou(found.alpha > 0, box(size)))
        before.append(iou(estimate_mask(image).alpha > 0, box(size)))
    assert np.mean(scores) > 0.75
    assert np.mean(scores) > np.mean(before) + 0.3


def test_before_a_plain_background_colour_decides() -> None:
    image = scene(np.full((3, 80, 60), 200, np.uint8), box((80, 60)), (150, 110, 80))
    found = estimate_object_mask(image)
    assert found.notes == (WEAKNESS,)
    assert np.array_equal(found.alpha, estimate_mask(image).alpha)


def test_the_mask_moves_with_the_object() -> None:
    size = (128, 128)
    middles = []
    for shift in (-12, 12):
        inside = np.roll(box(size), shift, 1)
        masks = [
            estimate_object_mask(scene(patches(size, seed), inside, (150, 110, 80))).alpha > 0
            for seed in range(6)
        ]
        assert np.mean([iou(mask, inside) for mask in masks]) > 0.6
        middles.append(np.mean([np.flatnonzero(mask.any(0)).mean() for mask in masks]))
    assert 12 < middles[1] - middles[0] < 36


def test_an_image_without_anything_is_refused() -> None:
    with pytest.raises(ValueError, match="no object found: nothing"):
        estimate_object_mask(np.full((3, 64, 64), 90, np.uint8))


def test_the_network_of_the_package_is_small_and_loaded_once() -> None:
    network = load_network()
    assert not network.training
    assert load_network() is network
    assert sum(p.numel() for p in network.parameters()) < 1e6
