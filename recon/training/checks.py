"""What must hold before a training run starts, said in the words of its settings."""

from __future__ import annotations

from collections.abc import Sequence

from torch import nn

from recon.losses.objective import Objective
from recon.models import blank_prediction


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


def require_colors(objective: Objective, model: nn.Module, image_size: tuple[int, int]) -> None:
    """Refuses a model without the colours that are to be learned, and colours nothing learns.

    Args:
        objective: tells which of its terms need colours.
        model: makes a `Prediction` of images.
        image_size: (H, W) of the images of the data, in pixels.

    Raises:
        ValueError: the colours of the model and the terms do not fit, or it is no such model.
    """
    colors = blank_prediction(model, image_size).colors
    if objective.needs("rgba", "colors") and colors is None:
        raise ValueError("loss.weights of colours need a model.color_head, got none")
    if colors is not None and not objective.needs("rgba"):
        raise ValueError("model.color_head needs loss.weights.color or perceptual > 0, got neither")


def require_at_least(least: int, **values: int) -> None:
    """Refuses settings of the trainer which are too small.

    Raises:
        ValueError: one is; the message names it.
    """
    for name, value in values.items():
        if value < least:
            raise ValueError(f"trainer.{name} must be >= {least}, got {value}")
