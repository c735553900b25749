"""The network that tells an object from its background."""

from __future__ import annotations

from collections.abc import Sequence
from itertools import pairwise

import torch
from torch import Tensor, nn

from recon.arguments import Width


class SegmentationNetwork(nn.Module):
    """Predicts which pixels are the object in the middle of an image.

    Source: Ronneberger, Fischer and Brox, "U-Net" (arXiv 1505.04597), with batch norm (arXiv
    1502.03167), padding, and addition of the resized coarser features in place of transposed
    convolutions.

    Args:
        channels: The numbers of channels, from full resolution down; each further level has half
            the height and width.

    Raises:
        ValueError: If there is no level, or a number is below 1.
    """

    def __init__(self, channels: Sequence[Width] = (16, 32, 64, 96, 96)) -> None:
        super().__init__()
        if not channels or min(channels) < 1:
            raise ValueError(f"channels must be numbers >= 1, got {list(channels)}")
        self.channels = tuple(channels)
        inputs = [3, *channels[:-1]]
        self.down = nn.ModuleList(
            _level(before, after) for before, after in zip(inputs, channels, strict=True)
        )
        self.bring = nn.ModuleList(
            nn.Conv2d(coarse, fine, kernel_size=1) for fine, coarse in pairwise(channels)
        )
        self.up = nn.ModuleList(_level(fine, fine) for fine in channels[:-1])
        self.last = nn.Conv2d(channels[0], 1, kernel_size=1)

    def forward(self, images: Tensor) -> Tensor:
        """Segments images.

        Args:
            images: [B, 3, H, W] sRGB in [0, 1]; H and W are multiples of 2 to the number of
                levels less one.

        Returns:
            [B, H, W] logits, above 0 where the object is.

        Raises:
            ValueError: If the shape is wrong.
        """
        multiple = 2 ** (len(self.channels) - 1)
        if images.dim() != 4 or images.shape[1] != 3 or any(s % multiple for s in images.shape[2:]):
            raise ValueError(
                f"images must be [B, 3, H, W] with multiples of {multiple} pixels,"
                f" got {list(images.shape)}"
            )
        features: list[Tensor] = []
        values = 2 * images - 1
        for number, level in enumerate(self.down):
            values = level(nn.functional.max_pool2d(values, 2) if number else values)
            features.append(values)
        for number in reversed(range(len(self.up))):
            coarse = nn.functional.interpolate(
                self.bring[number](values), scale_factor=2, mode="bilinear", align_corners=False
            )
            values = self.up[number](features[number] + coarse)
        return torch.as_tensor(self.last(values)[:, 0])


def _level(before: int, after: int) -> nn.Sequential:
    return nn.Sequential(
        nn.Conv2d(before, after, kernel_size=3, padding=1, bias=False),
        nn.BatchNorm2d(after),
        nn.ReLU(inplace=True),
        nn.Conv2d(after, after, kernel_size=3, padding=1, bias=False),
        nn.BatchNorm2d(after),
        nn.ReLU(inplace=True),
    )
