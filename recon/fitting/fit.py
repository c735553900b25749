"""Optimises the unknowns of a scene through the renderer: one problem, or many at once."""

from __future__ import annotations

import math
import time
from collections.abc import Callable, Mapping
from dataclasses import dataclass
from typing import Any

import torch
from torch import Tensor
from torch.optim import Adam, Optimizer
from tqdm import tqdm

from recon.command_line import Interruption
from recon.schedules import Schedule

Terms = Tensor | Mapping[str, Tensor]
TOTAL = "total"


@dataclass(frozen=True, eq=False)
class Fit:
    """The result of an optimisation; the best values are in the parameters themselves.

    Args:
        best_loss: The total loss at the best values; [] or, of N problems at once, [N].
        best_step: The step of the best loss; int64, [] or [N].
        history: The losses of all steps by the name of the term, and `total`; on the CPU, [T] or
            [T, N], row t is step t.
        stopped: Why the fit ended: "end" after all steps, "signal" when a signal interrupted it.
        seconds: The duration of the fit in seconds.
    """

    best_loss: Tensor
    best_step: Tensor
    history: dict[str, Tensor]
    stopped: str
    seconds: float


def fit(
    parameters: Mapping[str, Tensor],
    loss: Callable[[int], Terms],
    steps: int,
    learning_rate: float | Mapping[str, float] = 1e-2,
    *,
    schedule: Schedule | None = None,
    optimizer: Callable[[list[dict[str, Any]]], Optimizer] = Adam,
    best_from: int = 0,
    on_step: Callable[[int], None] | None = None,
    interruption: Interruption | None = None,
    progress: bool | None = False,
    description: str = "fit",
) -> Fit:
    """Minimises a loss over leaf tensors, which are changed in place and end at their best values.

    The loss is evaluated at `steps` + 1 states: before each update, and after the last one. Of N
    independent problems at once the loss gives [N] and every parameter has the shape [N, ...]; the
    best state is kept for each problem, so that with an optimiser which works on each element
    alone, as Adam does, its result does not depend on its neighbours.

    Args:
        parameters: Floating-point leaf tensors by name; `requires_grad` is switched on.
        loss: Returns, for a step, the loss of the parameters as they are: a scalar, [N], or terms
            of these shapes by name, which are added up. Terms include their weights. What changes
            with time (sigma, the views of a mini-batch) must be a pure function of the step.
        steps: The number of updates, >= 0.
        learning_rate: The learning rate of all parameters, or of each by name.
        schedule: The factor of the learning rates as a function of the step; None is 1.
        optimizer: Makes the optimiser from parameter groups, one per parameter.
        best_from: The first step whose loss can be compared with later ones, because schedules
            have settled; until then the newest state is the best. `steps` keeps the last state.
        on_step: Called with the step after each evaluation, to draw images for instance.
        interruption: An entered context, whose signal ends the fit after the current evaluation.
        progress: Whether to draw a progress bar; None draws it on a terminal only.
        description: The words in front of the bar.

    Returns:
        The best losses and the history of all losses.

    Raises:
        ValueError: The arguments or the shape of the loss are not as described.
        FloatingPointError: A term is not finite; the message names term and step. The parameters
            hold the best state before it.
    """
    if steps < 0 or best_from < 0:
        raise ValueError(f"steps and best_from must be >= 0, got {steps} and {best_from}")
    record = _Record(parameters, best_from)
    update = _Update(parameters, learning_rate, schedule, optimizer)
    began, stopped = time.perf_counter(), "end"
    bar = tqdm(
        range(steps + 1), desc=description, disable=None if progress is None else not progress
    )
    try:
        for step in bar:
            with torch.set_grad_enabled(step < steps):
                total = record.add(step, loss(step))
            bar.set_postfix_str(f"loss {float(total.detach().min()):.4g}", refresh=False)
            if on_step is not None:
                on_step(step)
            if interruption is not None and interruption.signum is not None:
                stopped = "signal"
                break
            if step < steps:
                update(step, total)
    finally:
        bar.close()
        record.restore()
    return record.result(stopped, time.perf_counter() - began)


class _Update:
    """One step of the optimiser, with a learning rate for each parameter and each step."""

    def __init__(
        self,
        parameters: Mapping[str, Tensor],
        learning_rate: float | Mapping[str, float],
        schedule: Schedule | None,
        optimizer: Callable[[list[dict[str, Any]]], Optimizer],
    ) -> None:
        self.rates = _learning_rates(parameters, learning_rate)
        self.schedule = schedule
        self.optimizer = optimizer(
            [{"params": [value], "lr": self.rates[name]} for name, value in parameters.items()]
        )

    def __call__(self, step: int, total: Tensor) -> None:
        factor = 1.0 if self.schedule is None else self.schedule(step)
        for group, rate in zip(self.optimizer.param_groups, self.rates.values(), strict=True):
            group["lr"] = rate * factor
        self.optimizer.zero_grad()
        total.sum().backward()
        self.optimizer.step()


class _Record:
    """The losses so far, and the best state of every problem."""

    def __init__(self, parameters: Mapping[str, Tensor], best_from: int) -> None:
        for name, value in parameters.items():
            if not (value.is_leaf and value.is_floating_point()):
                raise ValueError(f"parameter {name} must be a floating-point leaf tensor")
            value.requires_grad_(True)
        if not parameters:
            raise ValueError("there must be at least one parameter")
        self.parameters, self.best_from = dict(parameters), best_from
        self.best: dict[str, Tensor] = {}
        self.rows: list[Tensor] = []

    def add(self, step: int, terms: Terms) -> Tensor:
        """Records the terms of a step and returns their sum, to which there is a gradient."""
        named = {TOTAL: terms} if isinstance(terms, Tensor) else dict(terms)
        total = sum(list(named.values())[1:], start=next(iter(named.values())))
        if step == 0:
            self._begin(list(named), total.detach())
        self._require_terms(named)
        row = torch.stack([term.detach() for term in named.values()])
        self.rows.append(row.cpu())
        _require_finite(step, list(named), self.rows[-1])
        self._keep_better(step, total.detach())
        return total

    def _begin(self, names: list[str], total: Tensor) -> None:
        """Learns from the first loss how many problems there are."""
        if total.dim() > 1:
            raise ValueError(f"the loss must be a scalar or [N], got {tuple(total.shape)}")
        for name, value in self.parameters.items():
            if total.dim() == 1 and value.shape[:1] != total.shape:
                raise ValueError(
                    f"parameter {name} must have shape [{len(total)}, ...] for {len(total)}"
                    f" problems, got {tuple(value.shape)}"
                )
        self.names = names
        self.best = {name: value.detach().clone() for name, value in self.parameters.items()}
        self.best_loss = total.clone()
        self.best_step = torch.zeros_like(total, dtype=torch.int64)

    def _require_terms(self, named: Mapping[str, Tensor]) -> None:
        shapes = {tuple(term.shape) for term in named.values()}
        if list(named) != self.names or shapes != {tuple(self.best_loss.shape)}:
            actual = {name: tuple(term.shape) for name, term in named.items()}
            raise ValueError(
                f"the terms of the loss must be {self.names} of shape"
                f" {tuple(self.best_loss.shape)} at every step, got {actual}"
            )

    def _keep_better(self, step: int, total: Tensor) -> None:
        """Keeps the states which are better than those before."""
        better = (total < self.best_loss) | (step <= self.best_from)
        for name, value in self.parameters.items():
            rows = better.reshape(*better.shape, *[1] * (value.dim() - better.dim()))
            self.best[name] = torch.where(rows, value.detach(), self.best[name])
        self.best_loss = torch.where(better, total, self.best_loss)
        self.best_step = torch.where(better, step, self.best_step)

    def restore(self) -> None:
        """Puts the best values into the parameters."""
        with torch.no_grad():
            for name, value in self.best.items():
                self.parameters[name].copy_(value)

    def result(self, stopped: str, seconds: float) -> Fit:
        """Returns everything as a value."""
        columns = torch.stack(self.rows, dim=1)
        history = dict(zip(self.names, columns.unbind(0), strict=True))
        history[TOTAL] = columns.sum(0)
        return Fit(self.best_loss, self.best_step, history, stopped, seconds)


def _require_finite(step: int, names: list[str], row: Tensor) -> None:
    """Refuses a row [terms] or [terms, N] with a value that is not finite."""
    bad = ~torch.isfinite(row)
    if not bool(bad.any()):
        return
    first = bad.nonzero()[0].tolist()
    where = f" of problem {first[1]}" if row.dim() == 2 else ""
    value = float(row[tuple(first)])
    raise FloatingPointError(f"the loss term {names[first[0]]}{where} is {value} at step {step}")


def _learning_rates(
    parameters: Mapping[str, Tensor], learning_rate: float | Mapping[str, float]
) -> dict[str, float]:
    if not isinstance(learning_rate, Mapping):
        learning_rate = dict.fromkeys(parameters, learning_rate)
    if set(learning_rate) != set(parameters):
        raise ValueError(
            f"learning_rate must name the parameters {sorted(parameters)},"
            f" got {sorted(learning_rate)}"
        )
    for name, rate in learning_rate.items():
        if not (math.isfinite(rate) and rate >= 0):
            raise ValueError(f"learning_rate of {name} must be finite and >= 0, got {rate}")
    return {name: learning_rate[name] for name in parameters}
