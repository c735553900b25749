"""The step timer: parts, their mean, and the backward pass between two tensors."""

from __future__ import annotations

import time
from typing import Any

import pytest
import torch

from recon.timing import StepTimer

CPU = torch.device("cpu")


class SlowBackward(torch.autograd.Function):
    @staticmethod
    def forward(ctx: Any, x: torch.Tensor, seconds: float) -> torch.Tensor:
        ctx.seconds = seconds
        return x.clone()

    @staticmethod
    def backward(ctx: Any, *grads: torch.Tensor) -> tuple[torch.Tensor, None]:
        time.sleep(ctx.seconds)
        return grads[0], None


def test_parts_are_means_over_steps_and_their_sum_is_the_step() -> None:
    timer = StepTimer(CPU)
    for seconds in (0.02, 0.04):
        with timer.part("model"):
            time.sleep(seconds)
        with timer.part("render"):
            time.sleep(0.01)
        timer.end_step()
    means = timer.flush()
    assert means["model"] == pytest.approx(0.03, abs=0.01)
    assert means["render"] == pytest.approx(0.01, abs=0.008)
    assert means["step"] == pytest.approx(means["model"] + means["render"])
    assert timer.flush() == {"step": 0}


def test_only_the_backward_between_two_tensors_is_measured() -> None:
    timer = StepTimer(CPU)
    x = torch.ones(3, requires_grad=True)
    end = SlowBackward.apply(x, 0.05)  # before the end: not counted
    begin = SlowBackward.apply(end, 0.03)
    loss = SlowBackward.apply(begin, 0.05).sum() + SlowBackward.apply(end, 0.05).sum()
    timer.backward_between("render_backward", begin=begin, end=end)
    loss.backward()
    timer.end_step()
    means = timer.flush()
    assert 0.03 <= means["render_backward"] < 0.045
    assert means["step"] == 0  # it lies inside the part `backward`, which is not measured here


def test_an_inactive_timer_measures_nothing() -> None:
    timer = StepTimer(CPU, active=False)
    x = torch.ones(1, requires_grad=True)
    with timer.part("model"):
        y = x * 2
    timer.backward_between("render_backward", begin=y, end=x)
    y.backward()
    timer.end_step()
    assert timer.flush() == {"step": 0}
