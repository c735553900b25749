"""Random backgrounds."""

from __future__ import annotations

import numpy as np
import pytest

from recon.segmentation.backgrounds import KINDS, Paint, plain, random_background

SIZE = (24, 32)


@pytest.mark.parametrize("paint", KINDS)
def test_every_kind_is_an_image_that_the_seed_decides(paint: Paint) -> None:
    first, again, other = (paint(SIZE, np.random.default_rng(seed)) for seed in (0, 0, 1))
    assert first.shape == (3, *SIZE)
    assert np.isfinite(first).all()
    assert np.array_equal(first, again)
    assert not np.array_equal(first, other)


def test_a_plain_one_changes_linearly() -> None:
    image = plain(SIZE, np.random.default_rng(2))
    for axis in (1, 2):
        np.testing.assert_allclose(np.diff(image, 2, axis=axis), 0, atol=1e-9)


def test_backgrounds_are_colours_and_most_have_structure() -> None:
    generator = np.random.default_rng(3)
    images = np.stack([random_background(SIZE, generator) for _ in range(50)])
    assert images.min() >= 0
    assert images.max() <= 255
    steps = np.abs(np.diff(images, axis=3)).max(axis=(1, 2, 3))
    assert (steps > 10).mean() > 0.5
