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
        step: Optimiser steps done, or skipped.
        best_iou: The best validation IoU so far, None before the first validation.
        best_step: The step of that validation.
        best_metrics: All that this validation measured, by name.
        last_iou: The newest validation IoU.
        skipped: Steps without an update, because a loss or a gradient was not finite.
        seconds: That the run took, over all its starts.
        stopped: Why it ended before its last step; None if it did not.
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
        losses: The losses and the norm of the gradient, finite or not.
        images: [N, n, 4, H, W] in [0, 1].
        renderings: The renderings of the predictions.
        rates: The learning rate, sigma and gamma of the step.
        signum: The number of the signal which asks to stop after the step, or 0.
        broken: Whether a loss or the gradient was not finite, so that nothing was updated.
    """

    losses: dict[str, float]
    images: Tensor
    renderings: Renderings
    rates: dict[str, float]
    signum: int = 0
    broken: bool = False
