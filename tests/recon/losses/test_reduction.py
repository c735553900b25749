"""Losses of images as they are, as their mean, and another word refused."""

from __future__ import annotations

import pytest
import torch

from recon.losses.reduction import reduce_images


def test_losses_are_averaged_or_left_alone() -> None:
    losses = torch.tensor([1.0, 2.0, 6.0])
    assert reduce_images(losses, "mean").item() == 3.0
    assert reduce_images(losses, "none") is losses
    with pytest.raises(ValueError, match="reduction must be 'mean' or 'none', got 'sum'"):
        reduce_images(losses, "sum")
