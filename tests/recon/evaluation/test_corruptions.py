"""Corruptions of images and of cameras do what their names say."""

from __future__ import annotations

import numpy as np
import pytest
import torch

from recon.datasets.image_changes import noisy
from recon.evaluation.corruptions import (
    ORIGINAL,
    RENDERED,
    Corruption,
    before,
    corruptions,
    moved_away,
    raised,
    resampled,
    zoomed,
)
from recon.geometry.cameras import Cameras
from tests.recon.example_images import disc


def generator(seed: int = 0) -> np.random.Generator:
    return np.random.default_rng(seed)


def orbit(elevation: float, distance: float, fov: float) -> Cameras:
    return Cameras.orbit([40.0, -75.0], elevation, distance, fov)


def assert_same(one: Cameras, other: Cameras) -> None:
    torch.testing.assert_close(one.rows(), other.rows(), atol=1e-5, rtol=1e-5)


def test_titles_are_different_and_the_references_come_first() -> None:
    titles = [corruption.title for corruption in corruptions()]
    assert titles[:2] == [ORIGINAL, RENDERED]
    assert len(set(titles)) == len(titles)
    kinds = {corruption.name for corruption in corruptions()[2:]}
    assert kinds == {
        "noise", "blur", "occluded", "background", "elevation", "distance", "field of view",
        "resolution",
    }  # fmt: skip


def test_cameras_are_raised_moved_and_zoomed() -> None:
    camera = orbit(30.0, 2.5, 30.0)
    assert_same(raised(15)(camera), orbit(45.0, 2.5, 30.0))
    assert_same(raised(-60)(camera), orbit(-30.0, 2.5, 30.0))
    assert_same(moved_away(1.6)(camera), orbit(30.0, 4.0, 30.0))
    changed = zoomed(20)(camera)
    sizes = [float(c.focal[0, 1] / c.translation[0].norm()) for c in (camera, changed)]
    assert sizes[0] == pytest.approx(sizes[1])
    expected = orbit(30.0, float(changed.translation[0].norm()), 20.0)
    assert_same(changed, expected)


def test_a_zoom_never_moves_a_camera_into_the_object() -> None:
    near = zoomed(120)(orbit(10.0, 2.5, 30.0))
    torch.testing.assert_close(near.translation.norm(dim=1), torch.ones(2))
    nearer = zoomed(120)(orbit(10.0, 0.9, 30.0))
    torch.testing.assert_close(nearer.translation.norm(dim=1), torch.full((2,), 0.9))


@pytest.mark.parametrize("kind", ["plain", "shaded"])
def test_the_mask_before_a_plain_background_is_estimated_about_right(kind: str) -> None:
    image = disc()
    changed = before(kind)(image, generator(4))
    inside, found = image[3] > 0, changed[3] > 0
    assert (inside & found).sum() / (inside | found).sum() > 0.95
    assert set(np.unique(changed[3])) == {0, 255}
    assert np.array_equal(changed[:3, inside & found], image[:3, inside & found])


def test_the_mask_before_a_textured_background_is_a_guess_of_the_object() -> None:
    image = disc()
    inside = image[3] > 0
    scores = []
    for seed in range(8):
        found = before("textured")(image, generator(seed))[3] > 0
        scores.append((inside & found).sum() / (inside | found).sum())
    assert np.mean(scores) > 0.6  # of the whole image it is 0.2


def test_where_no_mask_is_found_the_whole_image_is_the_object() -> None:
    empty = np.zeros((4, 32, 32), np.uint8)
    changed = before("plain")(empty, generator())
    assert (changed[3] == 255).all()
    assert changed[:3].any()


def test_an_unknown_background_is_refused() -> None:
    with pytest.raises(ValueError, match="kind must be plain, shaded or textured, got 'noise'"):
        before("noise")


def test_images_are_brought_down_and_up_again() -> None:
    image = disc()
    coarse = resampled(image, (64, 64), 32)
    assert coarse.shape == image.shape
    blocks = coarse[3].reshape(32, 2, 32, 2)
    assert (blocks == blocks[:, :1, :, :1]).all()
    assert np.array_equal(resampled(image, (64, 64), None), image)
    assert np.array_equal(resampled(image, (64, 64), 256), image)
    assert resampled(disc(128), (64, 64), 128).shape == image.shape


def test_what_images_of_the_data_cannot_show_is_rendered() -> None:
    assert not Corruption("noise", image=noisy(0.1)).needs_rendering((64, 64))
    assert Corruption("up", camera=raised(10)).needs_rendering((64, 64))
    assert Corruption("large", side=128).needs_rendering((64, 64))
    assert not Corruption("large", side=128).needs_rendering((137, 137))
