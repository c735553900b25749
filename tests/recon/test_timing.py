"""The step timer: parts, their mean, and the backward pass between two tensors."""

from __future__ import annotations

import time
from collections import OrderedDict
from typing import Any

import pytest
import torch
from torch import nn

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


def test_parts_are_means_over_steps(monkeypatch: pytest.MonkeyPatch) -> None:
    now = [0.0]
    timer = StepTimer(CPU)
    monkeypatch.setattr(timer, "_now", lambda: now[0])
    model = nn.Sequential(OrderedDict(encoder=nn.Identity(), decoder=nn.Identity()))
    model.decoder.register_forward_pre_hook(lambda *_: None)
    timer.modules(model)
    # Between the two hooks of a part.
    model.encoder.register_forward_pre_hook(lambda *_: now.__setitem__(0, now[0] + 3))
    for seconds in (2, 4):
        timer.begin_step()
        with timer.part("render"):
            now[0] += seconds
        model(torch.ones(1))
        now[0] += 1
        timer.end_step()
        now[0] += 100  # between steps
    assert timer.flush() == {"step": 7, "render": 3, "encoder": 3, "decoder": 0}
    assert timer.flush() == {"step": 0}


def test_only_the_backward_between_two_tensors_is_measured() -> None:
    timer = StepTimer(CPU)
    timer.begin_step()
    x = torch.ones(3, requires_grad=True)
    end = SlowBackward.apply(x, 0.05)  # before the end: not counted
    begin = SlowBackward.apply(end, 0.03)
    loss = SlowBackward.apply(begin, 0.05).sum() + SlowBackward.apply(end, 0.05).sum()
    timer.backward_between("render_backward", begin=[begin, x.detach()], end=end)
    loss.backward()
    timer.end_step()
    means = timer.flush()
    assert 0.03 <= means["render_backward"] <= means["step"] - 0.15


def test_an_inactive_timer_measures_nothing() -> None:
    timer = StepTimer(CPU, active=False)
    timer.begin_step()
    x = torch.ones(1, requires_grad=True)
    with timer.part("model"):
        y = x * 2
    timer.backward_between("render_backward", begin=[y], end=x)
    y.backward()
    timer.end_step()
    assert timer.flush() == {"step": 0}
