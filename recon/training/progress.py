"""The progress of a training run: its steps and its validations."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass


@dataclass
class Progress:
    """The steps and validations of a run so far.

    Args:
        step: The number of optimiser steps done or skipped.
        best_iou: The best validation IoU so far, None before the first validation.
        best_step: The step of that validation.
        best_metrics: All metrics of that validation, by name.
        last_iou: The newest validation IoU.
        skipped: The number of steps without an update, because a loss or a gradient was not finite.
        seconds: The seconds that the run took, over all its starts.
        stopped: Why the run ended before its last step; None if it did not.
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
