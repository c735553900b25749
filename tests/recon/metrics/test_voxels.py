from __future__ import annotations

import pytest
import torch

from recon.metrics import voxel_iou


def box(start: int, stop: int) -> torch.Tensor:
    grid = torch.zeros(1, 8, 8, 8, dtype=torch.bool)
    grid[:, start:stop] = True
    return grid


def test_iou_of_boxes_per_element() -> None:
    prediction = torch.cat((box(0, 4), box(0, 4), box(0, 4), box(0, 0)))
    truth = torch.cat((box(0, 4), box(2, 6), box(4, 8), box(0, 2)))
    iou = voxel_iou(prediction, truth)
    assert iou.tolist() == pytest.approx([1, 2 / 6, 0, 0])
    assert torch.equal(iou, voxel_iou(truth, prediction))


def test_two_empty_grids_agree() -> None:
    assert voxel_iou(box(0, 0), box(0, 0)).tolist() == [1.0]


def test_counts_are_exact_on_large_grids() -> None:
    # 2^24 + 1 is not a float32.
    truth = torch.ones(1, 257, 257, 257, dtype=torch.bool)
    prediction = truth.clone()
    prediction[0, 0, 0, 0] = False
    assert voxel_iou(prediction, truth).item() == (257**3 - 1) / 257**3


def test_bad_grids_are_refused() -> None:
    grid = box(0, 4)
    with pytest.raises(ValueError, match=r"one shape \[B, R, R, R\]"):
        voxel_iou(grid, torch.cat((grid, grid)))
    with pytest.raises(ValueError, match=r"one shape \[B, R, R, R\]"):
        voxel_iou(grid[0], grid[0])
    with pytest.raises(ValueError, match=r"must be bool, got torch.float32"):
        voxel_iou(grid.float(), grid)


def test_grids_without_cells_are_refused() -> None:
    for shape in ((1, 0, 0, 0), (0, 0, 0, 0)):
        empty = torch.zeros(shape, dtype=torch.bool)
        with pytest.raises(ValueError, match="with R >= 1, got"):
            voxel_iou(empty, empty)
