"""RGBA images laid over a background colour. Their colours are not multiplied by alpha."""

from __future__ import annotations

from collections.abc import Sequence

import torch
from torch import Tensor


def premultiplied(rgba: Tensor) -> Tensor:
    """Returns RGBA images with colours multiplied by alpha.

    Args:
        rgba: [..., 4, H, W] in [0, 1].

    Returns:
        [..., 4, H, W].
    """
    return torch.cat((over_black(rgba), rgba[..., 3:, :, :]), dim=-3)


def over_black(rgba: Tensor) -> Tensor:
    """Returns RGBA images [..., 4, H, W] in [0, 1] over black: RGB [..., 3, H, W]."""
    return rgba[..., :3, :, :] * rgba[..., 3:, :, :]


def over_white(rgba: Tensor) -> Tensor:
    """Returns RGBA images [..., 4, H, W] in [0, 1] over white: RGB [..., 3, H, W]."""
    return over_color(rgba, (1.0, 1.0, 1.0))


def over_color(rgba: Tensor, color: Sequence[float]) -> Tensor:
    """Returns RGBA images over one colour.

    Args:
        rgba: [..., 4, H, W] in [0, 1].
        color: RGB, sRGB in [0, 1].

    Returns:
        RGB [..., 3, H, W].

    Raises:
        ValueError: If `color` is not three numbers in [0, 1].
    """
    behind = rgba.new_tensor(checked_color("color", color))[:, None, None]
    return over_black(rgba) + (1 - rgba[..., 3:, :, :]) * behind


def photographed(rgba: Tensor, background: Sequence[float]) -> Tensor:
    """Returns opaque RGBA images [..., 4, H, W]: the images [..., 4, H, W] over one colour."""
    rgb = over_color(rgba, background)
    return torch.cat((rgb, torch.ones_like(rgb[..., :1, :, :])), dim=-3)


def checked_color(name: str, color: Sequence[float]) -> tuple[float, ...]:
    """Returns a colour as a tuple.

    Args:
        name: What the message calls it.
        color: RGB, sRGB in [0, 1].

    Raises:
        ValueError: If it is not three numbers in [0, 1].
    """
    numbers = tuple(color)
    if len(numbers) != 3 or not all(0 <= number <= 1 for number in numbers):
        raise ValueError(f"{name} must be three numbers in [0, 1], got {list(color)}")
    return numbers
