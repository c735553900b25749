"""Stages of fits which render softly first, and ever sharper."""

from __future__ import annotations

import math
from collections.abc import Callable, Mapping
from dataclasses import dataclass
from typing import Any

from torch import Tensor

from recon.fitting import Fit, fit
from recon.schedules import Geometric

# Share of the steps after which sigma and gamma rest, so that losses can be compared.
_SETTLED = 0.9


@dataclass(frozen=True)
class SoftStage:
    """How softly a stage of a fit renders, and how fast it moves.

    What is given as a pair falls geometrically from the first value to the last; sigma and gamma
    rest for the last tenth of the steps.

    Args:
        steps: updates, >= 0.
        image_size: pixels of the shorter side of what is rendered; None as in the pictures.
        sigma: first and last softness of edges, squared NDC units.
        gamma: first and last softness of depth, in lengths of the object.
        learning_rate: first and last, of angles in radians and of others in proportion.

    Raises:
        ValueError: a value is out of range.
    """

    steps: int
    image_size: int | None
    sigma: tuple[float, float]
    gamma: tuple[float, float]
    learning_rate: tuple[float, float]

    def __post_init__(self) -> None:
        if self.steps < 0 or (self.image_size is not None and self.image_size < 1):
            raise ValueError(
                f"steps must be >= 0 and image_size >= 1, got {self.steps} and {self.image_size}"
            )
        for name in ("sigma", "gamma", "learning_rate"):
            pair = tuple(getattr(self, name))
            if len(pair) != 2 or not all(math.isfinite(value) and value > 0 for value in pair):
                raise ValueError(f"{name} must be two finite numbers > 0, got {list(pair)}")

    def at(self, name: str, step: int) -> float:
        """Returns the value of `sigma` or `gamma` at a step."""
        first, last = getattr(self, name)
        rest = max(1, round(_SETTLED * self.steps))
        return first * Geometric(rest, last / first)(step)

    def raster_size(self, images: Tensor) -> tuple[int, int]:
        """Returns (height, width) of what is rendered for pictures [N, 4, H, W]."""
        height, width = images.shape[-2:]
        scale = 1.0 if self.image_size is None else self.image_size / min(height, width)
        return max(1, round(scale * height)), max(1, round(scale * width))

    def optimise(
        self,
        parameters: Mapping[str, Tensor],
        loss: Callable[[int], Mapping[str, Tensor]],
        rates: Mapping[str, float],
        compare: bool,
        **options: Any,
    ) -> Fit:
        """Runs `fit` with the schedule of learning rates.

        Args:
            parameters: leaf tensors by name.
            loss: of the step.
            rates: by parameter, what its learning rate is multiplied by.
            compare: keep the best state once schedules rest; otherwise the last one.
            options: of `fit`.
        """
        first, last = self.learning_rate
        return fit(
            parameters,
            loss,
            self.steps,
            {name: rates[name] * first for name in parameters},
            schedule=Geometric(max(1, self.steps), last / first),
            best_from=round(_SETTLED * self.steps) if compare else self.steps,
            **options,
        )
