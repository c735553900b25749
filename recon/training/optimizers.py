"""Optimisers of a model: groups of its parameters, each with its own learning rate."""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from fnmatch import fnmatchcase
from typing import Any

import torch
from torch import nn


def make_optimizer(
    make: Callable[..., torch.optim.Optimizer],
    model: nn.Module,
    groups: Sequence[Mapping[str, Any]] = (),
) -> torch.optim.Optimizer:
    """Makes the optimiser of the parameters which are not frozen, by their names.

    Args:
        make: Makes the optimiser of groups of named parameters.
        model: The model whose parameters are optimised.
        groups: The groups of parameters. Each has `match`, a part of the model such as `encoder` or
            a pattern of parameter names such as `*.bias`, and the options that differ for these
            parameters, such as `lr`. A parameter belongs to the first group that matches it; the
            others have the defaults.

    Raises:
        ValueError: A group has no `match`, matches no parameter, or sets an option that the
            optimiser does not have.
    """
    rest = {name: value for name, value in model.named_parameters() if value.requires_grad}
    chosen = []
    for group in groups:
        match = group.get("match")
        names = [name for name in rest if isinstance(match, str) and matches(name, match)]
        if not names:
            raise ValueError(
                f"optimizer.groups: match must be a part of {list(dict(model.named_children()))} or"
                f" a pattern of names of parameters that are trained, got {dict(group)}"
            )
        own = {key: value for key, value in group.items() if key != "match"}
        chosen.append({"params": [(name, rest.pop(name)) for name in names], **own})
    default = [{"params": list(rest.items())}] if rest else []
    optimizer = make([*default, *chosen])
    for group in groups:
        if unknown := sorted(set(group) - {"match"} - set(optimizer.defaults)):
            raise ValueError(
                f"optimizer.groups: {', '.join(unknown)} of {dict(group)} is no option of "
                f"{type(optimizer).__name__}, which has {', '.join(optimizer.defaults)}"
            )
    return optimizer


def matches(name: str, match: str) -> bool:
    """Tells whether a parameter lies in a part of a model or its name fits a pattern."""
    return name.startswith(f"{match}.") or fnmatchcase(name, match)
