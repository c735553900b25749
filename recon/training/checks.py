"""Checks of a training run before it starts; messages name the keys of its configuration."""

from __future__ import annotations

from collections.abc import Sequence

from torch import nn

from recon.losses.objective import Objective
from recon.models import blank_prediction
from recon.rendering.interface import Renderer


def freeze(model: nn.Module, names: Sequence[str]) -> list[nn.Module]:
    """Returns the named parts of a model; their parameters have no gradients any more.

    Raises:
        ValueError: The model has no such part, or nothing is left to train.
    """
    parts = dict(model.named_children())
    if unknown := sorted(set(names) - set(parts)):
        raise ValueError(f"trainer.frozen takes parts of the model {list(parts)}, got {unknown}")
    frozen = [parts[name].requires_grad_(False) for name in names]
    if not any(parameter.requires_grad for parameter in model.parameters()):
        raise ValueError(f"trainer.frozen={list(names)} leaves nothing to train")
    return frozen


def require_heads(objective: Objective, model: nn.Module, image_size: tuple[int, int]) -> None:
    """Refuses a model without the heads whose predictions are to be learned, and heads idle in it.

    Args:
        objective: The objective, which knows what its terms need.
        model: A model that makes a `Prediction` of images.
        image_size: (H, W) of the images of the data, in pixels.

    Raises:
        ValueError: The model has no colours or directions though a term needs them, or some that no
            term needs though they are not frozen; or it cannot take the images.
    """
    height, width = image_size
    try:
        prediction = blank_prediction(model, image_size)
    except ValueError as error:
        raise ValueError(
            f"the model cannot take the images of data.path, which are {height} x {width} pixels: "
            f"{error}; image_size is that of model and renderer"
        ) from error
    colored = prediction.colors is not None
    if objective.needs("rgba", "colors") and not colored:
        raise ValueError(
            "loss.weights of colours need a model.color_head or a model of your own with "
            "colours, got none"
        )
    if colored and not objective.needs("rgba") and _learns(model, "color_head"):
        raise ValueError("model.color_head needs loss.weights.color or perceptual > 0, got neither")
    directed = prediction.direction_logits is not None
    if objective.needs("direction_logits") and not directed:
        raise ValueError("loss.weights.camera > 0 needs a model.camera_head, got none")
    if directed and not objective.needs("direction_logits") and _learns(model, "camera_head"):
        raise ValueError(
            "model.camera_head needs loss.weights.camera > 0 or trainer.frozen=[camera_head], got "
            "neither"
        )


def _learns(model: nn.Module, head: str) -> bool:
    """Tells whether a head of a model is not frozen; a model of one's own may call it otherwise."""
    part = dict(model.named_children()).get(head)
    return part is None or any(parameter.requires_grad for parameter in part.parameters())


def require_image_size(renderer: Renderer, image_size: tuple[int, int]) -> None:
    """Refuses a renderer of another size than the images of the data.

    Raises:
        ValueError: The sizes differ; the message names both keys.
    """
    if tuple(renderer.image_size) != tuple(image_size):
        height, width = image_size
        raise ValueError(
            f"renderer.image_size must be {height} x {width} as the images of data.path, got "
            f"{' x '.join(map(str, renderer.image_size))}; image_size={height} sets it for model "
            "and renderer"
        )


def require_at_least(least: int, **values: int) -> None:
    """Refuses numbers of the trainer which are too small.

    Raises:
        ValueError: A number is too small; the message names it.
    """
    for name, value in values.items():
        if value < least:
            raise ValueError(f"trainer.{name} must be >= {least}, got {value}")
