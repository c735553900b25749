"""Optimising leaf tensors: best states, many problems at once, interruption, errors."""

from __future__ import annotations

import functools
import os
import signal

import pytest
import torch
from torch import Tensor

from recon.command_line import Interruption
from recon.fitting.fit import fit
from recon.schedules import Geometric

TARGETS = torch.tensor([[1.0, 2.0], [-3.0, 0.5], [0.0, 0.0]])


def distances(x: Tensor, targets: Tensor = TARGETS) -> Tensor:
    return (x - targets).square().sum(-1)


def test_a_parabola_is_descended_and_the_parameter_holds_the_best() -> None:
    x = torch.zeros(2)
    result = fit({"x": x}, lambda step: distances(x, TARGETS[0]), 300, 0.05)
    assert torch.allclose(x, TARGETS[0], atol=1e-3)
    assert result.history["total"].shape == (301,)
    assert result.best_loss == result.history["total"].min()
    assert result.history["total"][result.best_step] == result.best_loss
    assert result.stopped == "end"


def test_a_diverging_fit_ends_at_its_best_state() -> None:
    x = torch.ones(1)
    sgd = torch.optim.SGD
    result = fit({"x": x}, lambda step: x.square().sum(), 20, 1.5, optimizer=sgd)
    assert result.history["total"][-1] > 1e6
    assert (x.item(), int(result.best_step)) == (1.0, 0)


def test_a_problem_does_not_depend_on_its_neighbours() -> None:
    starts = torch.tensor([[0.0, 0.0], [1.0, 1.0], [0.001, 0.0]])

    def run(rows: list[int]) -> tuple[Tensor, Tensor, Tensor]:
        x, targets = starts[rows].clone(), TARGETS[rows]
        result = fit({"x": x}, lambda s: distances(x, targets), 60, 0.1)
        return x.detach(), result.best_step, result.history["total"]

    together, steps, history = run([0, 1, 2])
    assert history.shape == (61, 3)
    for row in range(3):
        alone, step, _ = run([row])
        assert torch.equal(alone[0], together[row])
        assert step == steps[row]
    assert steps[2] < steps[0]


def test_losses_before_best_from_are_not_compared() -> None:
    x = torch.zeros(2)

    def softened(step: int) -> Tensor:  # a loss which rises with time while x gets better
        return distances(x, TARGETS[0]) * (1 + 10 * min(step, 50))

    early = fit({"x": x}, softened, 60, 0.01)
    assert early.best_step == 0
    late = fit({"x": x}, softened, 60, 0.01, best_from=50)
    assert late.best_step == 60
    x = torch.ones(1)
    last = fit({"x": x}, lambda s: x.sum() * 0 + s, 4, best_from=4)
    assert (last.best_step, last.best_loss) == (4, 4)


def test_terms_are_added_and_recorded() -> None:
    x = torch.ones(3)
    result = fit({"x": x}, lambda step: {"a": x.square().sum(), "b": 2 * x.sum()}, 3)
    assert list(result.history) == ["a", "b", "total"]
    assert torch.equal(result.history["a"] + result.history["b"], result.history["total"])
    assert result.history["total"][0] == 9


def test_learning_rates_follow_names_and_the_schedule() -> None:
    x, y = torch.zeros(1), torch.zeros(1)
    sgd = functools.partial(torch.optim.SGD, momentum=0)
    rates = {"y": 0.0, "x": 1.0}
    fit(
        {"x": x, "y": y},
        lambda step: (x + y).sum(),
        2,
        rates,
        schedule=Geometric(1, 0.25),
        optimizer=sgd,
    )
    # The best state is the last one: a step of 1 and one of 0.25.
    assert (x.item(), y.item()) == (-1.25, 0.0)


def test_a_loss_which_is_not_finite_is_named_and_the_best_state_kept() -> None:
    x = torch.ones(2)

    def loss(step: int) -> dict[str, Tensor]:
        return {"fine": x.square(), "bad": x * (float("nan") if step == 3 else 0.0)}

    with pytest.raises(FloatingPointError, match="bad of problem 0 is nan at step 3"):
        fit({"x": x}, loss, 10, 0.1)
    assert x[0].item() == pytest.approx(0.8, abs=1e-3)  # after two steps of Adam


def test_a_signal_ends_the_fit_with_what_there_is() -> None:
    x = torch.zeros(2)

    def interrupt(step: int) -> None:
        if step == 7:
            os.kill(os.getpid(), signal.SIGTERM)

    with Interruption() as interruption:
        result = fit(
            {"x": x},
            lambda step: distances(x, TARGETS[0]),
            100,
            on_step=interrupt,
            interruption=interruption,
        )
    assert result.stopped == "signal"
    assert len(result.history["total"]) == 8
    assert result.best_step == 7


def test_bad_arguments() -> None:
    x = torch.zeros(2)
    with pytest.raises(ValueError, match="leaf"):
        fit({"x": x.requires_grad_() * 1}, lambda s: x.sum(), 1)
    with pytest.raises(ValueError, match="at least one parameter"):
        fit({}, lambda s: x.sum(), 1)
    with pytest.raises(ValueError, match="must name the parameters"):
        fit({"x": x}, lambda s: x.sum(), 1, {"y": 1.0})
    with pytest.raises(ValueError, match=r"\[3, \.\.\.\] for 3 problems"):
        fit({"x": x}, lambda s: x.sum() * torch.ones(3), 1)
    with pytest.raises(ValueError, match="scalar or"):
        fit({"x": x}, lambda s: x.sum() * torch.ones(2, 2), 1)
    with pytest.raises(ValueError, match="at every step"):
        fit({"x": x}, lambda s: {"a" if s == 0 else "b": x.sum()}, 1)
    with pytest.raises(ValueError, match="steps"):
        fit({"x": x}, lambda s: x.sum(), -1)


def test_fits_repeat_bit_for_bit() -> None:
    def run() -> Tensor:
        x = torch.linspace(-1, 1, 50)
        return fit({"x": x}, lambda s: (x.sin() * (s + 1)).sum(), 20, 0.03).history["total"]

    assert torch.equal(run(), run())
