"""Losses of silhouettes against masks."""

from __future__ import annotations

from torch import Tensor

from recon.compute import at_least_float32
from recon.losses.reduction import reduce_images

# Only the IoU of two empty images needs it (0 / 0): it becomes 0, so the loss 1, without a gradient
# that is not finite. One pixel is 1e6 times as large.
_IOU_EPS = 1e-6


def silhouette_iou_loss(alpha: Tensor, mask: Tensor, reduction: str = "mean") -> Tensor:
    """Returns 1 - IoU of soft silhouettes with masks.

    IoU = sum(a * m) / (sum(a + m - a * m) + 1e-6), summed over the pixels of one image
    (arXiv 1904.01786). Two empty images have IoU 0.

    Args:
        alpha: [B, H, W] soft silhouettes in [0, 1].
        mask: [B, H, W] true masks in [0, 1]; bool or floating point.
        reduction: "mean" for the mean over the images, or "none".

    Returns:
        A scalar in [0, 1], or [B] for the reduction "none".

    Raises:
        ValueError: The shapes differ or are not [B, H, W] with B >= 1, or `reduction` is another
            word.
    """
    alpha, mask = _silhouettes(alpha, mask)
    intersection = (alpha * mask).sum(dim=(1, 2))
    union = (alpha + mask).sum(dim=(1, 2)) - intersection
    return reduce_images(1 - intersection / (union + _IOU_EPS), reduction)


def silhouette_squared_loss(alpha: Tensor, mask: Tensor, reduction: str = "mean") -> Tensor:
    """Returns the squared difference of soft silhouettes and masks, relative to the masks' area.

    sum((a - m)^2) / max(sum(m), 1), summed over the pixels of one image. Unlike the IoU it is least
    where both are equal also when pixels at the edge are covered in part, so it places edges to a
    fraction of a pixel; far from the solution the IoU leads more surely.

    Args:
        alpha: [B, H, W] soft silhouettes in [0, 1].
        mask: [B, H, W] true masks in [0, 1]; bool or floating point.
        reduction: "mean" for the mean over the images, or "none".

    Returns:
        A scalar >= 0, or [B] for the reduction "none".

    Raises:
        ValueError: The shapes differ or are not [B, H, W] with B >= 1, or `reduction` is another
            word.
    """
    alpha, mask = _silhouettes(alpha, mask)
    area = mask.sum(dim=(1, 2)).clamp(min=1)  # an empty mask counts as one pixel
    return reduce_images((alpha - mask).square().sum(dim=(1, 2)) / area, reduction)


def _silhouettes(alpha: Tensor, mask: Tensor) -> tuple[Tensor, Tensor]:
    """Checks both shapes and returns both in at least float32."""
    if alpha.dim() != 3 or alpha.shape != mask.shape or len(alpha) == 0:
        raise ValueError(
            f"alpha and mask must have one shape [B, H, W], got {tuple(alpha.shape)} "
            f"and {tuple(mask.shape)}"
        )
    alpha = at_least_float32(alpha)
    return alpha, mask.to(alpha.dtype)
