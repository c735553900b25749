"""Batches by the step, whoever reads them."""

from __future__ import annotations

from pathlib import Path

import pytest
import torch

from recon.datasets.multiview import MultiViewDataset
from recon.training.step_batches import READING, StepBatches, load_steps


def test_workers_and_shares_see_the_same_batches(shapes_file: Path) -> None:
    data = MultiViewDataset(shapes_file, "train")
    whole = StepBatches(data, seed=3, batch_size=4, views_per_object=2)
    shares = [StepBatches(data, 3, 4, 2, rank=rank, world_size=2) for rank in (0, 1)]
    for step, batch in zip(
        range(5, 8), load_steps(whole, range(5, 8), num_workers=1, pin_memory=False), strict=True
    ):
        assert float(batch.pop(READING)) > 0
        for name, value in batch.items():
            assert torch.equal(value, whole[step][name])
            together = torch.cat([share[step][name] for share in shares])
            assert torch.equal(together, value)
    assert not torch.equal(whole[5]["images"], whole[6]["images"])


def test_a_batch_must_be_shared_evenly(shapes_file: Path) -> None:
    data = MultiViewDataset(shapes_file, "train")
    with pytest.raises(ValueError, match="multiple of the 2 processes, got 3"):
        StepBatches(data, 0, 3, 2, world_size=2)
