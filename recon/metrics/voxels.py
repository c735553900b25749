"""Agreement of occupancy grids."""

from __future__ import annotations

import torch
from torch import Tensor


def voxel_iou(prediction: Tensor, truth: Tensor) -> Tensor:
    """Computes the intersection over union of two occupancy grids, per batch element.

    Two empty grids agree: their IoU is 1.

    Args:
        prediction: [B, R, R, R] bool.
        truth: [B, R, R, R] bool, in the same axes.

    Returns:
        [B] float64 in [0, 1]; counts are exact.

    Raises:
        ValueError: If shapes differ or are not [B, R, R, R], a grid has no cells, or a grid is not
            bool.
    """
    if prediction.dtype != torch.bool or truth.dtype != torch.bool:
        raise ValueError(
            f"prediction and truth must be bool, got {prediction.dtype} and {truth.dtype}"
        )
    shape = prediction.shape
    if len(shape) != 4 or shape != truth.shape or min(shape[1:]) < 1:
        raise ValueError(
            "prediction and truth must have one shape [B, R, R, R] with R >= 1, "
            f"got {tuple(prediction.shape)} and {tuple(truth.shape)}"
        )
    intersection = (prediction & truth).sum(dim=(1, 2, 3))
    union = (prediction | truth).sum(dim=(1, 2, 3))
    return torch.where(union > 0, intersection.double() / union.clamp(min=1), 1.0)
