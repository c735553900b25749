"""What must hold before a training run starts, said in the words of its settings."""

from __future__ import annotations

from collections.abc import Sequence

from torch import nn

from recon.losses.objective import Objective


def freeze(model: nn.Module, names: Sequence[str]) -> list[nn.Module]:
    """Returns the named parts of a model; their parameters have no gradients any more.

    Raises:
        ValueError: the model has no such part, or nothing is left to train.
    """
    parts = dict(model.named_children())
    if unknown := sorted(set(names) - set(parts)):
        raise ValueError(f"trainer.frozen takes parts of the model {list(parts)}, got {unknown}")
    frozen = [parts[name].requires_grad_(False) for name in names]
    if not any(parameter.requires_grad for parameter in model.parameters()):
        raise ValueError(f"trainer.frozen={list(names)} leaves nothing to train")
    return frozen


def require_colors(objective: Objective, model: nn.Module) -> None:
    """Refuses a model without the colours that are to be learned, and colours nothing learns.

    Raises:
        ValueError: the one or the other.
    """
    colored = getattr(model, "color_head", None) is not None
    if objective.colored and not colored:
        raise ValueError("loss.weights of colours need a model.color_head, got none")
    if colored and not objective.learns_colors:
        raise ValueError("model.color_head needs loss.weights.color or perceptual > 0, got neither")


def require_at_least(least: int, **values: int) -> None:
    """Refuses settings of the trainer which are too small.

    Raises:
        ValueError: one is; the message names it.
    """
    for name, value in values.items():
        if value < least:
            raise ValueError(f"trainer.{name} must be >= {least}, got {value}")
