"""Training of the segmentation network."""

from __future__ import annotations

from pathlib import Path

import pytest
import torch

from recon.datasets.multiview import MultiViewDataset
from recon.runs.checkpoints import load_checkpoint
from recon.segmentation import training
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


def test_a_training_that_broke_off_goes_on_as_if_it_had_not(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(training, "SCORE_EVERY", 2)
    objects, checkpoint = discs(8), tmp_path / "checkpoint"
    whole, score = train_segmentation(objects, objects, steps=6, batch_size=4)

    scores = iter([mean_iou, mean_iou])
    with monkeypatch.context() as broken:
        broken.setattr(training, "mean_iou", lambda *seen: next(scores)(*seen))
        with pytest.raises(StopIteration):  # at the third score
            train_segmentation(objects, objects, 6, 4, checkpoint=checkpoint)
    assert load_checkpoint(checkpoint)["step"] == 4
    for _ in range(2):  # the second time nothing is left to do
        resumed, same = train_segmentation(objects, objects, 6, 4, checkpoint=checkpoint)
        assert same == score
        assert not resumed.training
        for name, value in whole.state_dict().items():
            assert torch.equal(value, resumed.state_dict()[name])

    with pytest.raises(ValueError, match="must be of the same training, got another steps, train;"):
        train_segmentation(objects[:5], objects, 7, 4, checkpoint=checkpoint)
    checkpoint.write_bytes(checkpoint.read_bytes()[:1000])
    with pytest.raises(ValueError, match="truncated"):
        train_segmentation(objects, objects, 6, 4, checkpoint=checkpoint)


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
