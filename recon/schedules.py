"""Schedules: pure functions from the step to a factor, so that resuming needs no schedule state."""

from __future__ import annotations

import math
from collections.abc import Sequence
from dataclasses import dataclass
from typing import Protocol

from recon.arguments import Fraction, PositiveFactor, Steps


class Schedule(Protocol):
    """A pure function of the step; its value multiplies a base value such as `lr` or `sigma`."""

    def __call__(self, step: int) -> float: ...


@dataclass(frozen=True)
class Constant:
    """The factor is 1 at every step."""

    def __call__(self, step: int) -> float:
        return 1.0


@dataclass(frozen=True)
class StepDecay:
    """The factor is `factor` to the power of the number of milestones reached.

    Args:
        milestones: Steps from which on one more `factor` applies, ascending.
        factor: The factor of each milestone, > 0.

    Raises:
        ValueError: Milestones do not ascend or are negative, or factor is not positive.

    Source: the SoftRas code multiplies learning rate and sigma by 0.3 from step 150,000.
    """

    milestones: Sequence[Steps]
    factor: PositiveFactor

    def __post_init__(self) -> None:
        steps = list(self.milestones)
        if steps != sorted(set(steps)) or any(step < 0 for step in steps):
            raise ValueError(f"milestones must be ascending steps >= 0, got {steps}")
        if not self.factor > 0:
            raise ValueError(f"factor must be > 0, got {self.factor}")

    def __call__(self, step: int) -> float:
        return self.factor ** sum(step >= milestone for milestone in self.milestones)


@dataclass(frozen=True)
class WarmupCosine:
    """The factor rises linearly to 1 in `warmup_steps`, then falls as a half cosine to `final`.

    Args:
        warmup_steps: Steps until the factor reaches 1 (0 means none).
        max_steps: The step from which on the factor is `final`; more than `warmup_steps`.
        final: The last factor, in [0, 1].

    Raises:
        ValueError: The steps are out of order or final is outside [0, 1].

    Source: Loshchilov and Hutter, SGDR (arXiv 1608.03983), equation 5 without restarts.
    """

    warmup_steps: Steps
    max_steps: Steps
    final: Fraction = 0.0

    def __post_init__(self) -> None:
        if not 0 <= self.warmup_steps < self.max_steps:
            raise ValueError(
                f"warmup_steps must be in [0, max_steps = {self.max_steps}), "
                f"got {self.warmup_steps}"
            )
        if not 0.0 <= self.final <= 1.0:
            raise ValueError(f"final must be in [0, 1], got {self.final}")

    def __call__(self, step: int) -> float:
        if step < self.warmup_steps:
            # The first step already moves: a factor of 0 would waste it.
            return (step + 1) / (self.warmup_steps + 1)
        progress = min(1.0, (step - self.warmup_steps) / (self.max_steps - self.warmup_steps))
        return self.final + (1.0 - self.final) * 0.5 * (1.0 + math.cos(math.pi * progress))


@dataclass(frozen=True)
class Chain:
    """The factor is that of one schedule until a step, and from there on that of another one.

    Args:
        first: The schedule of the first steps.
        steps: The number of these steps, >= 0.
        then: The schedule of the others, which it counts from 0.

    Raises:
        ValueError: Steps is negative.
    """

    first: Schedule
    steps: int
    then: Schedule

    def __post_init__(self) -> None:
        if self.steps < 0:
            raise ValueError(f"steps must be >= 0, got {self.steps}")

    def __call__(self, step: int) -> float:
        return self.first(step) if step < self.steps else self.then(step - self.steps)


@dataclass(frozen=True)
class Geometric:
    """The factor falls geometrically from 1 at step 0 to `final` at `max_steps` and stays there.

    Args:
        max_steps: The step from which on the factor is `final`, > 0.
        final: The last factor, > 0.

    Raises:
        ValueError: max_steps or final is not positive.
    """

    max_steps: Steps
    final: PositiveFactor

    def __post_init__(self) -> None:
        if self.max_steps <= 0 or not self.final > 0:
            raise ValueError(
                f"max_steps and final must be > 0, got {self.max_steps} and {self.final}"
            )

    def __call__(self, step: int) -> float:
        return self.final ** min(1.0, step / self.max_steps)
