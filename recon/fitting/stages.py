"""Fits in stages: each starts where the one before it ended, and renders more sharply."""

from __future__ import annotations

import math
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from typing import Any, Generic, Protocol, TypeVar

from torch import Tensor

from recon.arguments import Gamma, ImageSide, LearningRate, Sigma, Steps
from recon.command_line import Interruption
from recon.fitting.fit import Fit, fit
from recon.schedules import Geometric

# Share of the steps after which sigma and gamma stay, so that losses can be compared.
_SETTLED = 0.9

State = TypeVar("State")
State_co = TypeVar("State_co", covariant=True)


class Problem(Protocol[State_co]):
    """The problem that one stage optimises: parameters, their loss, and the state they stand for.

    Attributes:
        parameters: The leaf tensors that are optimised, by name.
        options: Further arguments of `recon.fitting.fit.fit`, among them `steps`.
    """

    parameters: dict[str, Tensor]
    options: dict[str, Any]

    def loss(self, step: int) -> Mapping[str, Tensor]:
        """Returns the terms of the loss, as `fit` takes them."""
        ...

    def state(self) -> State_co:
        """Returns a copy of the state which the parameters make now, without a gradient."""
        ...

    def outcome(self, found: Fit) -> tuple[State_co, Tensor]:
        """Returns the state with which the stage ends, and its loss.

        Args:
            found: The fit of the parameters, which now hold its best values.
        """
        ...


@dataclass(frozen=True, eq=False)
class StagedFit(Generic[State]):
    """The result of a fit in stages.

    Args:
        state: The state at the end of the last stage.
        loss: The loss of that state; [] or, of N problems at once, [N].
        fits: The fits of the stages, one for each.
        trajectory: The states on the way from start to end, with the last one.
    """

    state: State
    loss: Tensor
    fits: list[Fit]
    trajectory: list[State]

    @property
    def interrupted(self) -> bool:
        """Whether a signal ended the fit."""
        return self.fits[-1].stopped == "signal"

    def select(self, index: Tensor) -> StagedFit[State]:
        """Returns the fit of some of N problems; `fits` stay those of all of them."""
        states: list[Any] = [self.state, *self.trajectory]
        state, *trajectory = [one[index] for one in states]
        return StagedFit(state, self.loss[index], self.fits, trajectory)

    def then(self, later: StagedFit[State]) -> StagedFit[State]:
        """Returns this fit and a later one, which began where it ended, as one."""
        return StagedFit(
            later.state,
            later.loss,
            [*self.fits, *later.fits],
            [*self.trajectory, *later.trajectory],
        )


def fit_stages(
    stages: Sequence[Callable[[State], Problem[State]]],
    start: State,
    *,
    every: int | None = 1,
    on_step: Callable[[int, Callable[[], State]], None] | None = None,
    interruption: Interruption | None = None,
    progress: bool | None = False,
) -> StagedFit[State]:
    """Goes through stages, until a signal comes.

    Args:
        stages: Functions that make the problem of each stage from the state it begins with.
        start: The state with which the first stage begins.
        every: The number of steps between the states of the trajectory; None keeps only the last
            state.
        on_step: Called with the number of the step over all stages and a function that returns the
            state.
        interruption: An entered context, whose signal ends the fit.
        progress: Whether to draw a progress bar; None draws it on a terminal only.

    Raises:
        ValueError: There is no stage.
        FloatingPointError: A loss is not finite.
    """
    if not stages:
        raise ValueError("there must be at least one stage")
    state, before = start, 0
    fits, trajectory = list[Fit](), list[State]()
    for number, make_problem in enumerate(stages, start=1):
        problem = make_problem(state)

        def visit(step: int, problem: Problem[State] = problem, before: int = before) -> None:
            if every is not None and step % every == 0:
                trajectory.append(problem.state())
            if on_step is not None:
                on_step(before + step, problem.state)

        found = fit(
            problem.parameters,
            problem.loss,
            **problem.options,
            on_step=visit,
            interruption=interruption,
            progress=progress,
            description=f"stage {number}/{len(stages)}",
        )
        state, loss = problem.outcome(found)
        fits.append(found)
        before += problem.options["steps"]
        if found.stopped == "signal":
            break
    return StagedFit(state, loss, fits, [*trajectory, state])


# --- Stages that render softly at first, then more and more sharply -------------------------------


@dataclass(frozen=True)
class SoftStage:
    """The softness and the learning rates of a stage of a fit.

    A value given as a pair falls geometrically from the first value to the last; sigma and gamma
    stay at the last for the last tenth of the steps.

    Args:
        steps: The number of updates, >= 0.
        image_size: The number of pixels along the shorter side of the rendered images; None renders
            at the size of the images.
        sigma: The first and the last softness of edges, squared NDC units.
        gamma: The first and the last softness of depth, in lengths of the object.
        learning_rate: The first and the last learning rate of angles in radians; those of other
            parameters are in proportion.

    Raises:
        ValueError: A value is out of range.
    """

    steps: Steps
    image_size: ImageSide | None
    sigma: tuple[Sigma, Sigma]
    gamma: tuple[Gamma, Gamma]
    learning_rate: tuple[LearningRate, LearningRate]

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
        settled = max(1, round(_SETTLED * self.steps))
        return first * Geometric(settled, last / first)(step)

    def raster_size(self, images: Tensor) -> tuple[int, int]:
        """Returns (height, width) of what is rendered for images [N, 4, H, W]."""
        height, width = images.shape[-2:]
        scale = 1.0 if self.image_size is None else self.image_size / min(height, width)
        return max(1, round(scale * height)), max(1, round(scale * width))

    def options(self, rates: Mapping[str, float], comparable: bool = True) -> dict[str, Any]:
        """Returns the arguments of `fit` with the schedule of learning rates.

        Args:
            rates: The factors of the learning rates by the name of the parameter.
            comparable: Whether the best state is kept once sigma and gamma stay; otherwise the last
                state is.
        """
        first, last = self.learning_rate
        return {
            "steps": self.steps,
            "learning_rate": {name: rate * first for name, rate in rates.items()},
            "schedule": Geometric(max(1, self.steps), last / first),
            "best_from": round(_SETTLED * self.steps) if comparable else self.steps,
        }


@dataclass(frozen=True)
class Step:
    """The image size and the softness of the renderings of a step.

    Args:
        size: (height, width) of the rendered images in pixels.
        sigma: The softness of edges, squared NDC units.
        gamma: The softness of depth, object units.
    """

    size: tuple[int, int]
    sigma: float
    gamma: float


class Unknowns(Protocol[State_co]):
    """The parameters of a stage, and the state which they make with what is known.

    Attributes:
        parameters: The leaf tensors that are optimised, by name.
        rates: The factors of the learning rates by the name of the parameter.
    """

    parameters: dict[str, Tensor]
    rates: dict[str, float]

    def detached(self) -> State_co:
        """Returns a copy of the state without a gradient."""
        ...


class SoftProblem(Generic[State]):
    """A `Problem` of a `SoftStage`.

    Args:
        stage: The softness and the learning rates of the stage.
        unknowns: The parameters of the stage.
        terms: A function that returns the terms of the loss for the softness of a step.
        images: [N, 4, H, W] the images that the renderings are compared with.
        length: The length of the object in object units; gamma of the stage is a multiple of it.
        comparable: Whether losses can be compared once sigma and gamma stay, so that the best state
            is kept; otherwise the last state is.
    """

    def __init__(
        self,
        stage: SoftStage,
        unknowns: Unknowns[State],
        terms: Callable[[Step], Mapping[str, Tensor]],
        images: Tensor,
        length: float = 1.0,
        comparable: bool = True,
    ) -> None:
        self.stage, self.unknowns, self.terms, self.length = stage, unknowns, terms, length
        self.size = stage.raster_size(images)
        self.parameters = unknowns.parameters
        self.options = stage.options(unknowns.rates, comparable)

    def loss(self, step: int) -> Mapping[str, Tensor]:
        """Returns the terms with sigma and gamma of a step."""
        gamma = self.stage.at("gamma", step) * self.length
        return self.terms(Step(self.size, self.stage.at("sigma", step), gamma))

    def state(self) -> State:
        """Returns the state as it is."""
        return self.unknowns.detached()

    def outcome(self, found: Fit) -> tuple[State, Tensor]:
        """Returns the best state and its loss."""
        return self.state(), found.best_loss
