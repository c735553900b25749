"""The guard of training steps: values that are not finite never reach the weights."""

from __future__ import annotations

import logging
import math
from collections.abc import Mapping
from pathlib import Path
from typing import Any

import torch
from torch import Tensor, nn
from torch.nn.utils import get_total_norm

from recon.runs.checkpoints import random_states

log = logging.getLogger(__name__)

NORM = "gradient_norm"


class SkippedStepsError(FloatingPointError):
    """A run cannot go on, because numbers of its steps are not finite.

    Args:
        message: The message for the user.
        step: The step at which the run ended.
    """

    def __init__(self, message: str, step: int) -> None:
        super().__init__(message)
        self.step = step


class StepGuard:
    """Checks the losses and gradients of every step, and undoes a step that is not finite.

    Args:
        model: The model, whose parameters have gradients and whose buffers a forward pass changes.
        max_skipped: The number of skipped steps that a run may have.
    """

    def __init__(self, model: nn.Module, max_skipped: int) -> None:
        self.model, self.max_skipped = model, max_skipped
        # Those that change in a step: a template or faces are integers or stay.
        norms = [m for m in model.modules() if isinstance(m, nn.modules.batchnorm._BatchNorm)]
        self._buffers = [buffer for module in norms for buffer in module.buffers()]
        self._before: list[Tensor] = []
        self._random: dict[str, Any] = {}

    def begin_step(self) -> None:
        """Copies the buffers and random states that the forward pass changes."""
        self._before = [buffer.clone() for buffer in self._buffers]
        self._random = random_states()

    def undo(self) -> dict[str, Any]:
        """Restores the buffers that the forward pass changed; returns the earlier random states."""
        for buffer, before in zip(self._buffers, self._before, strict=True):
            buffer.copy_(before)
        return self._random

    def read(self, terms: Mapping[str, Tensor]) -> dict[str, float]:
        """Returns the losses and the norm of all gradients as numbers, in one transfer."""
        gradients = [p.grad for p in self.model.parameters() if p.grad is not None]
        with torch.no_grad():
            # A sum of squares: gradients above 1e19 count as not finite too.
            values = torch.stack([*terms.values(), get_total_norm(gradients)])
        return dict(zip([*terms, NORM], values.tolist(), strict=True))

    @staticmethod
    def all_finite(losses: Mapping[str, float]) -> bool:
        """Tells whether every loss is finite."""
        return all(map(math.isfinite, losses.values()))

    def broken_gradients(self) -> list[str]:
        """Returns the names of the parameters whose gradient is not finite."""
        return [
            name
            for name, parameter in self.model.named_parameters()
            if parameter.grad is not None and not bool(torch.isfinite(parameter.grad).all())
        ]

    def warn_of_skipped_step(
        self, step: int, losses: Mapping[str, float], skipped: int, dump: Path | None
    ) -> None:
        """Warns of a skipped step.

        Args:
            step: The number of the step, from 1.
            losses: The losses that `read` returned.
            skipped: The number of skipped steps of the run so far.
            dump: The file from which the step can be replayed, if it was written.

        Raises:
            SkippedStepsError: More than `max_skipped` steps were skipped, or a parameter is not
                finite, so that every later step would fail too.
        """
        replay = f"; python scripts/replay_step.py {dump} repeats it" if dump else ""
        message = f"the loss or the gradient is not finite at step {step}: {dict(losses)}{replay}"
        if skipped > self.max_skipped:
            raise SkippedStepsError(
                f"{message}. That is skipped step {skipped} of this run, and"
                f" trainer.max_skipped_steps is {self.max_skipped}",
                step,
            )
        self.require_finite_parameters(step)
        log.warning("%s; skipped", message)

    def require_finite_parameters(self, step: int) -> None:
        """Refuses a model with a parameter that is not finite.

        Raises:
            SkippedStepsError: A parameter is not finite.
        """
        for name, parameter in self.model.named_parameters():
            if not bool(torch.isfinite(parameter).all()):
                raise SkippedStepsError(f"parameter {name} is not finite after step {step}", step)
