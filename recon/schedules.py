"""Schedules: functions from the step to a factor of a base value such as `lr` or `sigma`.

All but `Adaptive` are pure, so resuming needs no state of them; checkpoints keep its state.
"""

from __future__ import annotations

import math
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from typing import Annotated, Protocol

from annotated_types import Gt, Le, Lt

from recon.arguments import Fraction, Momentum, PositiveFactor, PositiveInt, Steps


class Schedule(Protocol):
    """A function of the step; its value multiplies a base value such as `lr` or `sigma`."""

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
        ValueError: Steps is negative, or one of the schedules is `Adaptive`, which is told of no
            losses here.
    """

    first: Schedule
    steps: int
    then: Schedule

    def __post_init__(self) -> None:
        if self.steps < 0:
            raise ValueError(f"steps must be >= 0, got {self.steps}")
        for name, schedule in (("first", self.first), ("then", self.then)):
            if isinstance(schedule, Adaptive):
                raise ValueError(f"{name} must be a function of the step alone, got Adaptive")

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


@dataclass
class Adaptive:
    """The factor of a softness falls whenever a smaller softness would lower the loss.

    The sensitivity of a step is dL / dlog s, the derivative of its loss by the logarithm of the
    softness s (sigma or gamma) for the same meshes. While meshes are far from their images, soft
    edges lower the loss, and the sensitivity is negative; once they are as near as the softness
    lets them come, sharper edges would lower it, and it is positive. Its moving average
    m = memory * m + (1 - memory) * dL / dlog s decides: at every multiple of `every` steps from
    `start` on the factor is multiplied by `factor` where m > 0.

    Args:
        factor: The factor of each fall, between 0 and 1, exclusive.
        every: The number of steps between decisions.
        start: The number of steps before the first decision.
        measure_every: The number of steps between measurements, at most `every`.
        memory: The share of the moving average that each measurement keeps.
        final: The least factor, in (0, 1].

    Raises:
        ValueError: A number is out of its range.

    Source: Le Lidec, Laptev, Schmid and Carpentier, "Differentiable rendering with perturbed
    optimizers", NeurIPS 2021 (arXiv 2110.09107), adaptive smoothing, and the code of its authors,
    where the average of dL / dgamma decides for sigma and gamma at once, and factor, every, start
    and memory are 1 / 1.1, 50, 100 and 0.9.
    """

    factor: Annotated[float, Gt(0), Lt(1)] = 0.9
    every: PositiveInt = 50
    start: Steps = 100
    measure_every: PositiveInt = 5
    memory: Momentum = 0.9
    final: Annotated[float, Gt(0), Le(1)] = 0.1
    falls: int = field(default=0, init=False)
    average: float = field(default=0.0, init=False)

    def __post_init__(self) -> None:
        if not 0 < self.factor < 1:
            raise ValueError(f"factor must be between 0 and 1, exclusive, got {self.factor}")
        if not 0 < self.final <= 1:
            raise ValueError(f"final must be in (0, 1], got {self.final}")
        if not 0 <= self.memory < 1:
            raise ValueError(f"memory must be in [0, 1), got {self.memory}")
        if self.start < 0:
            raise ValueError(f"start must be >= 0, got {self.start}")
        if not 1 <= self.measure_every <= self.every:
            raise ValueError(
                f"measure_every must be in 1..every = {self.every}, got {self.measure_every}"
            )

    def __call__(self, step: int) -> float:
        return max(self.final, self.factor**self.falls)

    def measures(self, step: int) -> bool:
        """Tells whether the sensitivity of a step is wanted, by the number of steps before it."""
        return step % self.measure_every == 0

    def end_step(self, step: int, sensitivity: float | None) -> None:
        """Decides, after a step that was not skipped, about the factor of the next one.

        Args:
            step: The number of steps before this one.
            sensitivity: dL / dlog s of the step; None where it was not measured. One that is not
                finite counts as not measured.
        """
        if sensitivity is not None and math.isfinite(sensitivity):
            self.average = self.memory * self.average + (1 - self.memory) * sensitivity
        done = step + 1
        due = done >= self.start and done % self.every == 0
        if due and self.average > 0 and self.factor**self.falls > self.final:
            self.falls += 1

    def state(self) -> dict[str, float]:
        """Returns what a checkpoint keeps."""
        return {"falls": self.falls, "average": self.average}

    def load_state(self, state: Mapping[str, float]) -> None:
        """Continues from the state of a checkpoint."""
        self.falls, self.average = int(state["falls"]), float(state["average"])
