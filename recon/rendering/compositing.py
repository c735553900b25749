"""RGBA images laid over a background colour. Their colours are not multiplied by alpha."""

from __future__ import annotations

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
    return over_black(rgba) + (1 - rgba[..., 3:, :, :])
