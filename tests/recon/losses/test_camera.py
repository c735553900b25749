"""The loss on directions: its value, its gradient, and refused shapes."""

from __future__ import annotations

import math

import pytest
import torch

from recon.losses.camera import camera_direction_loss
from recon.models.directions import direction_grid

GRID = direction_grid(24, (0.0, 30.0))


def test_equal_logits_give_the_logarithm_of_their_number() -> None:
    loss = camera_direction_loss(torch.zeros(3, 48), GRID, GRID[:3])
    assert float(loss) == pytest.approx(math.log(48), abs=1e-5)


def test_the_gradient_raises_the_nearest_direction_alone() -> None:
    logits = torch.zeros(1, 48, requires_grad=True)
    truth = torch.nn.functional.normalize(GRID[30:31] + 0.05 * GRID[31:32], dim=1)
    camera_direction_loss(logits, GRID, truth).backward()
    assert logits.grad is not None
    assert (logits.grad[0] < 0).nonzero()[:, 0].tolist() == [30]


def test_logits_of_another_number_are_refused() -> None:
    with pytest.raises(ValueError, match=r"direction_logits must be \[2, 48\], got \[2, 24\]"):
        camera_direction_loss(torch.zeros(2, 24), GRID, GRID[:2])
