"""Groups of parameters: who belongs to which, and groups that mean nothing."""

from __future__ import annotations

from functools import partial
from typing import Any

import pytest
import torch
from torch import nn

from recon.training.optimizers import make_optimizer

ADAM = partial(torch.optim.Adam, lr=0.1)


def model() -> nn.Module:
    parts = {"encoder": nn.Linear(2, 3), "encoder2": nn.Linear(3, 1), "decoder": nn.Linear(3, 4)}
    return nn.ModuleDict(parts)


def names_and_rates(optimizer: torch.optim.Optimizer) -> list[tuple[list[str], float]]:
    return [(group["param_names"], group["lr"]) for group in optimizer.param_groups]


def test_without_groups_all_parameters_have_the_defaults() -> None:
    net = model()
    net["decoder"].requires_grad_(False)
    (group,) = make_optimizer(ADAM, net).param_groups
    assert group["param_names"] == [
        *("encoder.weight", "encoder.bias"),
        *("encoder2.weight", "encoder2.bias"),
    ]
    assert group["lr"] == 0.1


def test_a_parameter_belongs_to_the_first_group_that_matches() -> None:
    groups = [{"match": "encoder", "lr": 1e-4}, {"match": "*.bias", "weight_decay": 0.5}]
    optimizer = make_optimizer(ADAM, model(), groups)
    assert names_and_rates(optimizer) == [
        (["encoder2.weight", "decoder.weight"], 0.1),
        (["encoder.weight", "encoder.bias"], 1e-4),
        (["encoder2.bias", "decoder.bias"], 0.1),
    ]
    assert [group["weight_decay"] for group in optimizer.param_groups] == [0, 0, 0.5]


def test_groups_may_take_everything() -> None:
    (group,) = make_optimizer(ADAM, model(), [{"match": "*", "lr": 0.5}]).param_groups
    assert (len(group["params"]), group["lr"]) == (6, 0.5)


@pytest.mark.parametrize(
    ("group", "message"),
    [
        (
            {"match": "head", "lr": 1.0},
            r"match must be a part of \['encoder', 'encoder2', 'decoder'",
        ),
        ({"lr": 1.0}, "match must be"),
        ({"match": 3}, "match must be"),
        ({"match": "encoder", "rate": 1.0}, "rate of .* is no option of Adam, which has lr, betas"),
    ],
)
def test_groups_that_mean_nothing_are_refused(group: dict[str, Any], message: str) -> None:
    with pytest.raises(ValueError, match=f"optimizer.groups: {message}"):
        make_optimizer(ADAM, model(), [group])


def test_a_state_without_names_is_taken_up() -> None:
    """Checkpoints of former versions have none."""
    net = model()
    former = torch.optim.Adam(net.parameters(), lr=0.1)
    sum(parameter.sum() for parameter in net.parameters()).backward()
    former.step()
    optimizer = make_optimizer(ADAM, net)
    optimizer.load_state_dict(former.state_dict())
    assert optimizer.param_groups[0]["param_names"][0] == "encoder.weight"
    mean = optimizer.state[net["encoder"].weight]["exp_avg"]
    assert torch.equal(mean, former.state[net["encoder"].weight]["exp_avg"])
