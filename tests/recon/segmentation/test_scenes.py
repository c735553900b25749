"""Objects before random backgrounds."""

from __future__ import annotations

import numpy as np
import pytest
import torch
from torch import Tensor

from recon.segmentation import scenes
from recon.segmentation.scenes import random_scenes


def discs(count: int, side: int = 32) -> Tensor:
    """Opaque discs in one saturated colour each."""
    places = torch.arange(side) - (side - 1) / 2
    inside = (places**2 + places[:, None] ** 2).sqrt() < side / 4
    images = torch.zeros(count, 4, side, side, dtype=torch.uint8)
    images[:, 1] = 255
    images[:, 3] = 255 * inside
    return images


def test_the_mask_is_where_the_object_is_and_the_seed_decides_all() -> None:
    images, masks = random_scenes(discs(40), np.random.default_rng(0))
    assert images.shape == (40, 3, 32, 32)
    assert masks.shape == (40, 32, 32)
    assert 0 <= images.min() <= images.max() <= 1
    assert set(masks.unique().tolist()) == {0.0, 1.0}
    areas = masks.sum((1, 2)) / (np.pi * 8**2)
    assert areas.min() > 0.45**2 * 0.8
    assert areas.max() < 1.35**2 * 1.2
    assert areas.std() > 0.1
    # Green discs: within the mask green is above the other colours, whatever is behind it.
    greener = images[:, 1] - images[:, [0, 2]].amax(1)
    within = (greener * masks).sum((1, 2)) / masks.sum((1, 2))
    assert (within > 0.1).float().mean() > 0.95
    again, same = random_scenes(discs(40), np.random.default_rng(0))
    assert torch.equal(images, again)
    assert torch.equal(masks, same)


def test_objects_do_not_change_what_they_are_made_of() -> None:
    objects = discs(4)
    kept = objects.clone()
    random_scenes(objects, np.random.default_rng(1))
    assert torch.equal(objects, kept)


def test_a_shadow_lies_at_the_foot_and_darkens(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(scenes, "SHADOWS", 1.0)
    alpha = torch.zeros(200, 1, 32, 32)
    alpha[:, :, 4:20, 10:22] = 1
    shadows = scenes._shadows(alpha, np.random.default_rng(2))
    assert 0 <= shadows.min() <= shadows.max() <= 0.7
    mean = shadows.mean((0, 1, 3))
    assert 14 <= int(mean.argmax()) <= 20  # the foot is row 19
    assert mean[:8].max() < 0.1 * mean.max()
