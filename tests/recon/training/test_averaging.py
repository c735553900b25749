"""The average of weights is what it says, and starts from what it is told."""

from __future__ import annotations

import pytest
import torch
from torch import nn

from recon.training.averaging import WeightAverage


def make_model(value: float) -> nn.Module:
    model = nn.Sequential(nn.Linear(1, 1), nn.BatchNorm1d(1))
    with torch.no_grad():
        for parameter in model.parameters():
            parameter.fill_(value)
    return model


def test_the_average_of_three_steps_is_that_of_the_formula() -> None:
    model = make_model(1.0)
    average = WeightAverage(model, 0.15)
    expected = 1.0
    for step, value in enumerate((2.0, 5.0, -1.0)):
        model.load_state_dict(make_model(value).state_dict())
        model[1].num_batches_tracked.fill_(step + 1)
        average.update(model, step)
        decay = min(0.15, (1 + step) / (10 + step))
        expected = decay * expected + (1 - decay) * value
    for parameter in average.model.parameters():
        assert float(parameter.detach()) == pytest.approx(expected)
    assert int(average.state()["1.num_batches_tracked"]) == 3
    assert float(model[0].weight.detach()) == -1.0


def test_a_restart_forgets() -> None:
    average = WeightAverage(make_model(1.0), 0.9)
    average.restart(make_model(3.0))
    assert float(average.model[0].bias) == 3.0


def test_the_average_is_not_trained() -> None:
    model = make_model(1.0)
    average = WeightAverage(model, 0.9)
    assert not any(parameter.requires_grad for parameter in average.model.parameters())
    assert not average.model.training
    assert all(parameter.requires_grad for parameter in model.parameters())


@pytest.mark.parametrize("decay", [0.0, 1.0, float("nan")])
def test_a_decay_outside_the_open_interval_is_refused(decay: float) -> None:
    with pytest.raises(ValueError, match=r"decay must lie in \(0, 1\), got"):
        WeightAverage(make_model(1.0), decay)
