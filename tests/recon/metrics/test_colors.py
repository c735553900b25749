"""Colour metrics against closed forms and, where it is installed, against torchmetrics."""

from __future__ import annotations

import math

import pytest
import torch
from torch import Tensor

from recon.metrics.colors import (
    MAX_PSNR,
    color_scores,
    masked_l1,
    masked_psnr,
    masked_ssim,
    mean_color,
)

METRICS = (masked_l1, masked_psnr, masked_ssim)


def pair(height: int = 20, width: int = 24) -> tuple[Tensor, Tensor, Tensor]:
    generator = torch.Generator().manual_seed(0)
    truth = torch.rand(2, 3, height, width, generator=generator)
    noise = torch.rand(2, 3, height, width, generator=generator)
    masks = torch.rand(2, height, width, generator=generator) > 0.4
    return 0.7 * truth + 0.3 * noise, truth, masks


def test_known_values() -> None:
    truth = torch.zeros(1, 3, 8, 8)
    prediction = truth.clone()
    prediction[:, 0, :4] = 0.3  # red alone, in the upper half
    masks = torch.ones(1, 8, 8, dtype=torch.bool)
    assert masked_l1(prediction, truth, masks).item() == pytest.approx(0.05)
    error = 0.3**2 / 6
    assert masked_psnr(prediction, truth, masks).item() == pytest.approx(-10 * math.log10(error))


def test_equal_images_have_the_best_values() -> None:
    _, truth, masks = pair()
    assert masked_l1(truth, truth, masks).tolist() == [0, 0]
    assert masked_psnr(truth, truth, masks).tolist() == [MAX_PSNR, MAX_PSNR]
    assert masked_ssim(truth, truth, masks).tolist() == pytest.approx([1, 1])


@pytest.mark.parametrize("metric", METRICS)
def test_only_the_inside_counts(metric) -> None:
    prediction, truth, masks = pair()
    elsewhere = torch.where(masks[:, None], prediction, torch.rand_like(prediction))
    assert not torch.equal(elsewhere, prediction)
    assert torch.equal(metric(elsewhere, truth, masks), metric(prediction, truth, masks))


@pytest.mark.parametrize("metric", METRICS)
def test_images_of_a_batch_are_measured_one_by_one(metric) -> None:
    prediction, truth, masks = pair()
    each = [metric(prediction[i : i + 1], truth[i : i + 1], masks[i : i + 1]) for i in (0, 1)]
    torch.testing.assert_close(metric(prediction, truth, masks), torch.cat(each))


def test_more_noise_is_worse() -> None:
    prediction, truth, masks = pair()
    worse = 2 * prediction - truth
    assert (masked_l1(worse, truth, masks) > masked_l1(prediction, truth, masks)).all()
    assert (masked_psnr(worse, truth, masks) < masked_psnr(prediction, truth, masks)).all()
    assert (masked_ssim(worse, truth, masks) < masked_ssim(prediction, truth, masks)).all()


def test_of_nothing_nothing_is_said() -> None:
    prediction, truth, masks = pair()
    masks[0] = False
    for metric in METRICS:
        first, second = metric(prediction, truth, masks).tolist()
        assert math.isnan(first)
        assert math.isfinite(second)


def test_ssim_and_psnr_are_those_of_torchmetrics() -> None:
    functional = pytest.importorskip("torchmetrics.functional.image")
    prediction, truth, _ = pair()
    everywhere = torch.ones(2, 20, 24, dtype=torch.bool)
    # The map of all pixels: its own mean would leave out a border of half a window.
    _, whole = functional.structural_similarity_index_measure(
        prediction.double(), truth.double(), data_range=1.0, return_full_image=True
    )
    ours = masked_ssim(prediction, truth, everywhere)
    torch.testing.assert_close(ours, whole.mean(dim=(1, 2, 3)))
    theirs = functional.peak_signal_noise_ratio(
        prediction, truth, data_range=1.0, reduction="none", dim=(1, 2, 3)
    )
    torch.testing.assert_close(masked_psnr(prediction, truth, everywhere).float(), theirs)


def test_scores_of_a_rendering() -> None:
    prediction, truth, masks = pair()
    alpha = masks[:, None].float()
    images = torch.cat((truth, alpha), dim=1)
    scores = color_scores(torch.cat((prediction, alpha), dim=1), images, masks)
    assert list(scores) == ["color_l1", "color_psnr", "color_ssim"]
    torch.testing.assert_close(scores["color_l1"], masked_l1(prediction, truth, masks))
    with pytest.raises(ValueError, match=r"must be \[B, 4, H, W\]"):
        color_scores(prediction, truth, masks)


def test_mean_color_is_that_of_the_foreground() -> None:
    images = torch.rand(3, 4, 5, 5)
    images[0, 3] = (torch.arange(25).reshape(5, 5) < 7).float()
    images[1, 3] = 0
    means = mean_color(images)
    torch.testing.assert_close(means[0], images[0, :3].flatten(1)[:, :7].mean(1))
    assert means[1].tolist() == [0.5, 0.5, 0.5]
    expected = (images[2, :3] * images[2, 3]).sum((1, 2)) / images[2, 3].sum()
    torch.testing.assert_close(means[2], expected)
    with pytest.raises(ValueError, match="images must be"):
        mean_color(images[:, :3])


def test_bad_shapes_are_refused() -> None:
    prediction, truth, masks = pair()
    for metric in METRICS:
        with pytest.raises(ValueError, match="prediction and truth must have one shape"):
            metric(prediction[:1], truth, masks)
        with pytest.raises(ValueError, match=r"masks must be bool \[2, 20, 24\]"):
            metric(prediction, truth, masks.float())
    with pytest.raises(ValueError, match="larger than 5"):
        masked_ssim(*(x[..., :5] for x in (prediction, truth, masks)))
