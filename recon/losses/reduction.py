"""Reduces the losses of images to one number."""

from __future__ import annotations

from torch import Tensor


def reduce_images(losses: Tensor, reduction: str) -> Tensor:
    """Returns the mean of the losses of images, or the losses themselves.

    Args:
        losses: [B] the loss of each image.
        reduction: "mean" for the mean over the images, or "none".

    Returns:
        A scalar for "mean", [B] for "none".

    Raises:
        ValueError: `reduction` is another word.
    """
    if reduction not in ("mean", "none"):
        raise ValueError(f"reduction must be 'mean' or 'none', got {reduction!r}")
    return losses.mean() if reduction == "mean" else losses
