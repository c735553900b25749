"""Where a training run stands, and what a step of it computed."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass

from torch import Tensor

from recon.losses.objective import Renderings


@dataclass
class Progress:
    """Where a run stands.

    Args:
        step: optimiser steps done, or skipped.
        best_iou: the best validation IoU so far, None before the first validation.
        best_step: the step of that validation.
        best_metrics: all that it measured, by name.
        last_iou: the newest validation IoU.
        skipped: steps without an update, because a loss or a gradient was not finite.
        seconds: that the run took, over all its starts.
        stopped: why it ended before its last step; None if it did not.
    """

    step: int = 0
    best_iou: float | None = None
    best_step: int | None = None
    best_metrics: dict[str, float] | None = None
    last_iou: float | None = None
    skipped: int = 0
    seconds: float = 0.0
    stopped: str | None = None

    def note_validation(self, metrics: Mapping[str, float]) -> bool:
        """Notes the metrics of a validation, and returns whether it is the best so far."""
        iou = float(metrics["iou"])
        self.last_iou = iou
        best = self.best_iou is None or iou > self.best_iou
        if best:
            self.best_iou, self.best_step = iou, self.step
            self.best_metrics = {name: float(value) for name, value in metrics.items()}
        return best


@dataclass(frozen=True, eq=False)
class StepTaken:
    """What a training step saw and computed.

    Args:
        losses: the losses and the norm of the gradient, finite or not.
        images: [N, n, 4, H, W] in [0, 1].
        renderings: of the predictions.
        rates: the learning rate, sigma and gamma of it.
        signum: of the signal which asks to stop after it, or 0.
        broken: whether a loss or the gradient was not finite, so that nothing was updated.
    """

    losses: dict[str, float]
    images: Tensor
    renderings: Renderings
    rates: dict[str, float]
    signum: int = 0
    broken: bool = False
