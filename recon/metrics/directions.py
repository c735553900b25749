"""Angles between predicted and true directions of cameras, as seen from the object."""

from __future__ import annotations

import torch
from torch import Tensor

from recon.metrics.metric_suite import Metric

SUITE = "camera"
WITHIN = Metric("camera_within_15", "within 15 degrees", SUITE, percent=True)
ERROR = Metric("camera_error", "median error (degrees)", SUITE, higher_is_better=False)
DIRECTION_METRICS = (WITHIN, ERROR)
_LIMIT = 15.0
# Directions of a grid of 15 degrees are neighbours whatever the rounding of their float32 says.
_ROUNDING = 1e-3


def direction_errors(predicted: Tensor, true: Tensor) -> Tensor:
    """Returns the angles [N] between directions in degrees, float64, in [0, 180].

    Args:
        predicted: [N, 3] unit vectors from the object to the camera.
        true: [N, 3] the true ones.

    Raises:
        ValueError: The shapes disagree.
    """
    if predicted.dim() != 2 or predicted.shape[1] != 3 or predicted.shape != true.shape:
        raise ValueError(
            "predicted and true must be [N, 3] of the same N, got "
            f"{list(predicted.shape)} and {list(true.shape)}"
        )
    half = (predicted.double() - true.double()).norm(dim=1) / 2
    # Exact for small angles, where the cosine is flat; rounding may pass 1 by a little.
    return torch.rad2deg(2 * torch.asin(half.clamp(max=1)))


def within_limit(errors: Tensor) -> Tensor:
    """Returns 1 for each angle of at most 15 degrees and 0 for the others, float64.

    Args:
        errors: The angles in degrees, of any shape.
    """
    return (errors <= _LIMIT + _ROUNDING).double()
