"""Stages follow each other, and get sharper geometrically."""

from __future__ import annotations

from collections.abc import Callable
from functools import partial

import pytest
import torch
from torch import Tensor

from recon.command_line import Interruption
from recon.fitting.fit import fit
from recon.fitting.stages import SoftProblem, SoftStage, Step, fit_stages

STAGE = SoftStage(100, 32, (1e-2, 1e-4), (1.0, 0.5), (0.1, 0.01))


def test_what_is_given_as_a_pair_falls_from_one_to_the_other() -> None:
    assert STAGE.at("sigma", 0) == 1e-2
    assert STAGE.at("sigma", 45) == pytest.approx(1e-3)
    assert [STAGE.at("sigma", step) for step in (90, 99, 100)] == pytest.approx([1e-4] * 3)
    assert STAGE.at("gamma", 90) == pytest.approx(0.5)


def test_the_shorter_side_has_the_size() -> None:
    assert STAGE.raster_size(torch.zeros(1, 4, 64, 128)) == (32, 64)
    whole = SoftStage(1, None, (1, 1), (1, 1), (1, 1))
    assert whole.raster_size(torch.zeros(1, 4, 64, 128)) == (64, 128)


def test_the_best_state_is_kept_only_where_losses_compare() -> None:
    for comparable, best in ((True, 95), (False, 100)):
        x = torch.zeros(1)
        found = fit(
            {"x": x},
            lambda step, x=x: {"a": (x * 0 + abs(step - 95)).sum()},  # type: ignore[misc]
            **STAGE.options({"x": 1.0}, comparable),
        )
        assert int(found.best_step) == best


class Position:
    """The unknown of a problem on a line, which has its target at 1."""

    def __init__(self, start: Tensor, steps: list[Step]) -> None:
        self.parameters, self.rates = {"x": start.detach().clone()}, {"x": 2.0}
        self.steps = steps

    def detached(self) -> Tensor:
        return self.parameters["x"].detach().clone()

    def terms(self, step: Step) -> dict[str, Tensor]:
        self.steps.append(step)
        return {"away": (self.parameters["x"] - 1).square()}


def two_stages(steps: list[Step]) -> list[Callable[[Tensor], SoftProblem[Tensor]]]:
    def stage(soft: SoftStage, start: Tensor) -> SoftProblem[Tensor]:
        unknown = Position(start, steps)
        return SoftProblem(soft, unknown, unknown.terms, torch.zeros(2, 4, 8, 16), length=3.0)

    first = SoftStage(3, None, (1e-2, 1e-4), (1.0, 0.5), (0.1, 0.1))
    return [partial(stage, first), partial(stage, SoftStage(2, 4, (1, 1), (1, 1), (0.1, 0.1)))]


def test_a_stage_begins_where_the_one_before_it_ended() -> None:
    steps: list[Step] = []
    seen: list[tuple[int, Tensor]] = []
    start = torch.tensor([0.0, 5.0])
    found = fit_stages(
        two_stages(steps), start, on_step=lambda step, state: seen.append((step, state()))
    )
    assert [step for step, _ in seen] == [0, 1, 2, 3, 3, 4, 5]
    assert torch.equal(seen[0][1], start)
    assert torch.equal(seen[3][1], seen[4][1])
    assert len(found.trajectory) == 4 + 3 + 1
    assert torch.equal(found.trajectory[-1], found.state)
    assert torch.equal(found.loss, (found.state - 1).square())
    assert not found.interrupted
    # Twice 0.1 in each of five steps of Adam.
    assert torch.allclose(found.state, torch.tensor([1.0, 4.0]), atol=0.05)
    assert (steps[0].size, steps[-1].size) == ((8, 16), (4, 8))
    assert (steps[0].sigma, steps[0].gamma) == (1e-2, 3.0)
    assert torch.equal(start, torch.tensor([0.0, 5.0]))


def test_a_trajectory_may_be_sparse_and_problems_selected() -> None:
    start = torch.tensor([0.0, 5.0])
    sparse = fit_stages(two_stages([]), start, every=2)
    assert len(sparse.trajectory) == 2 + 2 + 1
    last = fit_stages(two_stages([]), start, every=None)
    assert len(last.trajectory) == 1
    one = last.select(torch.tensor([1]))
    assert torch.equal(one.state, last.state[1:])
    assert torch.equal(one.loss, last.loss[1:])
    both = sparse.then(last)
    assert len(both.fits) == 4
    assert len(both.trajectory) == 6
    with pytest.raises(ValueError, match="at least one stage"):
        fit_stages([], start)


def test_a_signal_ends_all_stages() -> None:
    interruption = Interruption()
    interruption.signum = 15
    found = fit_stages(two_stages([]), torch.zeros(1), interruption=interruption)
    assert found.interrupted
    assert len(found.fits) == 1


@pytest.mark.parametrize(
    ("values", "message"),
    [
        ((-1, 32, (1, 1), (1, 1), (1, 1)), "steps must be >= 0"),
        ((1, 0, (1, 1), (1, 1), (1, 1)), "image_size >= 1"),
        ((1, 32, (1, 0), (1, 1), (1, 1)), r"sigma must be two finite numbers > 0, got \[1, 0\]"),
        ((1, 32, (1, 1), (1,), (1, 1)), "gamma must be two"),
        ((1, 32, (1, 1), (1, 1), (1, float("nan"))), "learning_rate must be two"),
    ],
)
def test_bad_stages_are_named(values: tuple, message: str) -> None:  # type: ignore[type-arg]
    with pytest.raises(ValueError, match=message):
        SoftStage(*values)
