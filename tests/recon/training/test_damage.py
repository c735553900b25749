"""Damage that is drawn for images of training."""

from __future__ import annotations

import numpy as np

from recon.training.damage import draw_damage


def square() -> np.ndarray:
    image = np.zeros((4, 32, 32), np.uint8)
    image[:, 8:24, 10:22] = 180
    image[3, 8:24, 10:22] = 255
    return image


def test_every_kind_is_drawn_and_half_of_the_images_change_their_size() -> None:
    image = square()
    area = int((image[3] > 127).sum())
    kinds = {"size": 0, "colours alone": 0, "hidden": 0, "soft": 0, "other mask": 0, "none": 0}
    for seed in range(400):
        rng = np.random.default_rng(seed)
        changed = draw_damage(rng)(image, rng)
        assert changed.shape == image.shape
        assert changed.dtype == np.uint8
        rows, columns = np.nonzero(changed[3] > 127)
        box = (np.ptp(rows) + 1, np.ptp(columns) + 1)
        if np.array_equal(changed, image):
            kinds["none"] += 1
        elif np.array_equal(changed[3], image[3]):
            kinds["colours alone"] += 1
        elif len(rows) < area and box == (16, 12):
            kinds["hidden"] += 1
        elif set(np.unique(changed[3])) == {0, 255}:
            kinds["other mask" if len(rows) in (18 * 14, 14 * 10) else "hidden"] += 1
        else:
            kinds["size" if abs(len(rows) / area - 1) > 0.1 else "soft"] += 1
    assert kinds["none"] < 5
    assert kinds["size"] > 120
    assert all(kinds[kind] > 25 for kind in ("colours alone", "hidden", "soft", "other mask"))


def test_the_same_generator_draws_the_same_damage() -> None:
    images = [
        draw_damage(rng)(square(), rng)
        for rng in (np.random.default_rng(seed) for seed in (7, 7, 8))
    ]
    assert np.array_equal(images[0], images[1])
    assert not np.array_equal(images[0], images[2])
