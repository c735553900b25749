"""Training of the segmentation network."""

from __future__ import annotations

from pathlib import Path

import pytest
import torch

from recon.datasets.multiview import MultiViewDataset
from recon.segmentation.network import SegmentationNetwork
from recon.segmentation.training import (
    mean_iou,
    random_views,
    segmentation_loss,
    train_segmentation,
)
from tests.recon.segmentation.test_scenes import discs


def test_the_loss_is_least_for_the_mask_itself() -> None:
    masks = torch.zeros(2, 8, 8)
    masks[:, 2:6, 2:6] = 1
    right, wrong = 20 * (2 * masks - 1), 20 * (1 - 2 * masks)
    assert segmentation_loss(right, masks) < 1e-6
    # Cross-entropy 20, and an IoU of 1 / 65.
    assert segmentation_loss(wrong, masks).item() == pytest.approx(20 + 64 / 65, rel=1e-3)
    assert segmentation_loss(-20 * torch.ones(1, 8, 8), torch.zeros(1, 8, 8)) < 1e-3


def test_it_learns_to_find_green_discs() -> None:
    objects = discs(8)
    torch.manual_seed(0)
    before = mean_iou(SegmentationNetwork(), objects)
    network, score = train_segmentation(objects, objects, steps=60, batch_size=16)
    assert not network.training
    assert score == mean_iou(network, objects)
    assert score > max(0.5, 2 * before)
    again, _ = train_segmentation(objects, objects, steps=3, batch_size=4)
    other, _ = train_segmentation(objects, objects, steps=3, batch_size=4)
    for a, b in zip(again.parameters(), other.parameters(), strict=True):
        assert torch.equal(a, b)


def test_views_are_drawn_from_all_files(shapes_file: Path) -> None:
    data = MultiViewDataset(shapes_file)
    images = random_views([data, data], 6, seed=3)
    assert images.shape == (12, 4, *data.image_size)
    assert torch.equal(images, random_views([data, data], 6, seed=3))
    assert not torch.equal(images, random_views([data, data], 6, seed=4))


def test_images_of_several_sizes_are_refused(shapes_file: Path) -> None:
    data, other = MultiViewDataset(shapes_file), MultiViewDataset(shapes_file)
    other.image_size = (32, 48)
    with pytest.raises(ValueError, match=r"images of one size, got .*\(32, 48\)"):
        random_views([data, other], 2, seed=0)
