"""EfficientNet-Lite0: convolutions whose weights, learned from photographs, can be had."""

from __future__ import annotations

import math
from typing import Annotated

import torch
import torch.nn.functional as F
from annotated_types import Ge, Le
from torch import Tensor, nn

from recon.arguments import ImageSide

# Of the blocks, in order: how much wider than its input a block is inside, the channels it gives,
# the number of such blocks, the stride of the first of them, and the side of their depthwise
# kernels. Source: Tan and Le, EfficientNet (arXiv 1905.11946), table 1; the variant Lite0 leaves
# out squeeze and excitation and has ReLU6 for SiLU.
_STAGES = (
    (1, 16, 1, 1, 3),
    (6, 24, 2, 2, 3),
    (6, 40, 2, 2, 5),
    (6, 80, 3, 2, 3),
    (6, 112, 3, 1, 5),
    (6, 192, 4, 2, 5),
    (6, 320, 1, 1, 3),
)
_STEM = 32
NUM_BLOCKS = sum(repeats for _, _, repeats, _, _ in _STAGES)
# Mean and standard deviation of the colours of ImageNet, sRGB.
_MEAN, _DEVIATION = (0.485, 0.456, 0.406), (0.229, 0.224, 0.225)


class EfficientNetLite0(nn.Module):
    """Computes the features of EfficientNet-Lite0 of RGBA images, laid over white.

    Batch norms are part of the convolutions before them, as scripts/convert_backbone.py folds them;
    so nothing depends on other images of a batch. Source: Tan and Le, EfficientNet (arXiv
    1905.11946), in the variant Lite0 of its authors.

    Args:
        side: The side in pixels to which images are scaled; features have 1/16 or 1/32 of it.
        blocks: The number of blocks that are computed, of 16. 11 end at a stride of 16 with 112
            channels, 16 at a stride of 32 with 320.

    Attributes:
        size: The length of the vector of features of an image.

    Raises:
        ValueError: If a number is out of range.
    """

    mean: Tensor
    deviation: Tensor

    def __init__(
        self, side: ImageSide = 128, blocks: Annotated[int, Ge(1), Le(NUM_BLOCKS)] = NUM_BLOCKS
    ) -> None:
        super().__init__()
        if side < 1 or not 1 <= blocks <= NUM_BLOCKS:
            raise ValueError(
                f"side must be >= 1 and blocks 1 to {NUM_BLOCKS}, got {side} and {blocks}"
            )
        self.side = side
        self.stem = _Convolution(3, _STEM, 3, stride=2)
        self.blocks = nn.ModuleList()
        channels, total_stride = _STEM, 2
        for expansion, width, kernel, stride in _block_sizes()[:blocks]:
            self.blocks.append(_InvertedBottleneck(channels, width, kernel, stride, expansion))
            channels, total_stride = width, total_stride * stride
        self.size = channels * math.ceil(side / total_stride) ** 2
        for name, values in (("mean", _MEAN), ("deviation", _DEVIATION)):
            self.register_buffer(name, torch.tensor(values)[:, None, None], persistent=False)

    def forward(self, image: Tensor) -> Tensor:
        """Returns the features [B, size] of images.

        Args:
            image: [B, 4, H, W] RGBA in [0, 1], colours not multiplied by alpha; any size.

        Raises:
            ValueError: If the shape is another one.
        """
        if image.dim() != 4 or image.shape[1] != 4:
            raise ValueError(f"image must be [B, 4, H, W], got {tuple(image.shape)}")
        colors, alpha = image[:, :3], image[:, 3:]
        over_white = (1 + (colors - 1) * alpha - self.mean) / self.deviation
        size = (self.side, self.side)
        features = F.interpolate(over_white, size, mode="bilinear", align_corners=False)
        features = F.relu6(self.stem(features))
        for block in self.blocks:
            features = block(features)
        return features.flatten(1)


def _block_sizes() -> list[tuple[int, int, int, int]]:
    """Returns expansion, channels, side of the kernel and stride of every block."""
    return [
        (expansion, width, kernel, stride if number == 0 else 1)
        for expansion, width, repeats, stride, kernel in _STAGES
        for number in range(repeats)
    ]


class _InvertedBottleneck(nn.Module):
    """Widens by 1x1 convolutions, convolves each channel alone, and narrows again."""

    def __init__(
        self, in_channels: int, out_channels: int, kernel: int, stride: int, expansion: int
    ) -> None:
        super().__init__()
        wide = in_channels * expansion
        self.expand = None if expansion == 1 else _Convolution(in_channels, wide, 1)
        self.depthwise = _Convolution(wide, wide, kernel, stride, groups=wide)
        self.project = _Convolution(wide, out_channels, 1)
        self.adds_input = stride == 1 and in_channels == out_channels

    def forward(self, features: Tensor) -> Tensor:
        wide = features if self.expand is None else F.relu6(self.expand(features))
        narrow: Tensor = self.project(F.relu6(self.depthwise(wide)))
        return features + narrow if self.adds_input else narrow


class _Convolution(nn.Conv2d):
    """A convolution padded as the weights were trained: TensorFlow's "same".

    Where the padding is odd, which strides make it, there is more of it to the right and below.
    """

    def __init__(
        self, in_channels: int, out_channels: int, kernel: int, stride: int = 1, groups: int = 1
    ) -> None:
        even = kernel // 2 if stride == 1 else 0
        super().__init__(
            in_channels, out_channels, kernel, stride=stride, padding=even, groups=groups
        )

    def forward(self, features: Tensor) -> Tensor:
        stride, kernel = self.stride[0], self.kernel_size[0]
        if stride > 1:
            down, right = (_padding(length, kernel, stride) for length in features.shape[-2:])
            features = F.pad(features, (*right, *down))
        return super().forward(features)


def _padding(length: int, kernel: int, stride: int) -> tuple[int, int]:
    """Returns how many zeros stand before and after a row, so that each stride has one output."""
    total = max((math.ceil(length / stride) - 1) * stride + kernel - length, 0)
    return total // 2, total - total // 2
