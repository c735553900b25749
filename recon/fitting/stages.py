"""Stages of fits which render softly first, and ever sharper."""

from __future__ import annotations

import math
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from typing import Any, Generic, Protocol, TypeVar

from torch import Tensor

from recon.fitting.fit import Fit, fit
from recon.schedules import Geometric

# Share of the steps after which sigma and gamma rest, so that losses can be compared.
_SETTLED = 0.9

State = TypeVar("State")
State_co = TypeVar("State_co", covariant=True)


@dataclass(frozen=True)
class SoftStage:
    """How softly a stage of a fit renders, and how fast it moves.

    What is given as a pair falls geometrically from the first value to the last; sigma and gamma
    rest for the last tenth of the steps.

    Args:
        steps: updates, >= 0.
        image_size: pixels of the shorter side of what is rendered; None as in the images.
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
        """Returns (height, width) of what is rendered for images [N, 4, H, W]."""
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


class Unknowns(Protocol[State_co]):
    """The parameters of a fit, and the state which they make with what is known.

    Attributes:
        parameters: leaf tensors by name.
        rates: by parameter, what its learning rate is multiplied by.
    """

    parameters: dict[str, Tensor]
    rates: dict[str, float]

    def detached(self) -> State_co:
        """Returns the state as a copy without a gradient."""
        ...


@dataclass(frozen=True)
class Step:
    """How a step renders.

    Args:
        size: (height, width) in pixels.
        sigma: softness of edges, squared NDC units.
        gamma: softness of depth, object units.
    """

    size: tuple[int, int]
    sigma: float
    gamma: float


@dataclass(frozen=True, eq=False)
class StagedFit(Generic[State]):
    """What a fit in stages found.

    Args:
        state: the last one.
        fits: of the stages.
        course: the states on the way.
    """

    state: State
    fits: list[Fit]
    course: list[State]


def fit_stages(
    stages: Sequence[tuple[SoftStage, Callable[[Any, Step], Mapping[str, Tensor]], bool]],
    unknowns: Callable[[State], Unknowns[State]],
    start: State,
    images: Tensor,
    length: float = 1.0,
    every: int = 1,
    **options: Any,
) -> StagedFit[State]:
    """Goes through stages, each from where the one before it ended, until a signal comes.

    Args:
        stages: each with the terms of its loss, made of the unknowns and a step, and with whether
            its losses can be compared, see `SoftStage.optimise`.
        unknowns: makes the parameters of a stage out of the state it begins with.
        start: of the first stage.
        images: [N, 4, H, W] which the renderings are like.
        length: of the object, in which the stages tell their gamma.
        every: steps between the states of the course.
        options: of `recon.fitting.fit.fit`.
    """
    state, fits, course = start, list[Fit](), list[State]()
    for stage, loss, compare in stages:
        current, size = unknowns(state), stage.raster_size(images)

        def terms(
            step: int,
            stage: SoftStage = stage,
            loss: Callable[[Any, Step], Mapping[str, Tensor]] = loss,
            current: Unknowns[State] = current,
            size: tuple[int, int] = size,
        ) -> Mapping[str, Tensor]:
            gamma = stage.at("gamma", step) * length
            return loss(current, Step(size, stage.at("sigma", step), gamma))

        def note(step: int, current: Unknowns[State] = current) -> None:
            if step % every == 0:
                course.append(current.detached())

        fits.append(
            stage.optimise(
                current.parameters, terms, current.rates, compare, on_step=note, **options
            )
        )
        state = current.detached()
        if fits[-1].stopped == "signal":
            break
    return StagedFit(state, fits, [*course, state])
