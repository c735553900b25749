"""What is not finite is found, taken back and told."""

from __future__ import annotations

from pathlib import Path

import pytest
import torch
from torch import nn

from recon.training.step_guard import NORM, SkippedStepsError, StepGuard


def make_model() -> nn.Sequential:
    torch.manual_seed(0)
    return nn.Sequential(nn.Conv2d(1, 2, 3), nn.BatchNorm2d(2), nn.Dropout(0.5))


def test_the_norm_is_that_of_all_gradients() -> None:
    model = make_model()
    for parameter in model.parameters():
        parameter.grad = torch.full_like(parameter, 2.0)
    model[1].bias.grad = None
    count = sum(p.numel() for p in model.parameters()) - 2
    losses = StepGuard(model, 0).read({"total": torch.tensor(1.5)})
    assert losses == pytest.approx({"total": 1.5, NORM: 2 * count**0.5})
    assert StepGuard.all_finite(losses)


@pytest.mark.parametrize("value", [float("nan"), float("inf"), -float("inf")])
def test_one_bad_number_is_found(value: float) -> None:
    model = make_model()
    guard = StepGuard(model, 0)
    for parameter in model.parameters():
        parameter.grad = torch.zeros_like(parameter)
    assert not guard.all_finite(guard.read({"total": torch.tensor(value)}))
    assert guard.broken_gradients() == []
    model[0].weight.grad[1, 0, 2, 2] = value
    assert not guard.all_finite(guard.read({"total": torch.tensor(1.0)}))
    assert guard.broken_gradients() == ["0.weight"]


def test_a_step_is_taken_back() -> None:
    model = make_model()
    guard = StepGuard(model, 0)
    guard.begin_step()
    before = {name: value.clone() for name, value in model.state_dict().items()}
    noise = torch.get_rng_state()
    model(torch.full((4, 1, 8, 8), float("nan")))
    assert bool(torch.isnan(model[1].running_mean).all())
    random = guard.undo()
    assert all(torch.equal(value, before[name]) for name, value in model.state_dict().items())
    assert torch.equal(random["torch"], noise)


def test_the_user_is_told(caplog: pytest.LogCaptureFixture) -> None:
    model = make_model()
    guard = StepGuard(model, 1)
    guard.warn_of_skipped_step(5, {"total": float("nan")}, 1, Path("dumps/step_5.pt"))
    assert "not finite at step 5: {'total': nan}; python scripts/replay_step.py" in caplog.text
    with pytest.raises(SkippedStepsError, match="skipped step 2 of this run") as end:
        guard.warn_of_skipped_step(9, {"total": float("nan")}, 2, None)
    assert end.value.step == 9
    with torch.no_grad():
        model[0].bias[1] = float("inf")
    with pytest.raises(SkippedStepsError, match=r"parameter 0\.bias is not finite after step 10"):
        guard.warn_of_skipped_step(10, {"total": float("nan")}, 1, None)
