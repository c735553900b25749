"""The image encoder of the SoftRas reconstruction network."""

from __future__ import annotations

from collections.abc import Sequence
from itertools import pairwise

import torch
from torch import Tensor, nn

from recon.arguments import ImageSide, LayerCount, NonNegativeInt, Width


class SoftRasEncoder(nn.Module):
    """Encodes an RGBA image into a latent vector by strided convolutions and linear layers.

    Every convolution is 5x5 with batch norm and ReLU, of stride 2 for each of `channels`; every
    linear layer has a ReLU, the last one included. Weights start as PyTorch's defaults. Source: Liu
    et al., Soft Rasterizer (arXiv 1904.01786), and its released code.

    Args:
        in_channels: The number of channels of the image; 4 is RGBA.
        channels: The numbers of output channels of the stride-2 convolutions.
        num_refinement_layers: The number of stride-1 convolutions after them, with channels[-1]
            channels. The code of the paper has none; its published best checkpoint has 2, their
            position is our choice.
        hidden: The widths of the linear layers before the latent.
        latent: The length of the latent vector.
        image_size: The side of the square image in pixels.
        features: The length of the vector of features that a backbone adds to each image, which
            enters the linear layers through one of its own; 0 for no backbone.

    Raises:
        ValueError: If a size is below 1, or `num_refinement_layers` or `features` is negative.
    """

    def __init__(
        self,
        in_channels: Width = 4,
        channels: Sequence[Width] = (64, 128, 256),
        num_refinement_layers: LayerCount = 0,
        hidden: Sequence[Width] = (1024, 1024),
        latent: Width = 512,
        image_size: ImageSide = 64,
        features: NonNegativeInt = 0,
    ) -> None:
        super().__init__()
        _require_positive(
            in_channels=(in_channels,),
            channels=channels,
            hidden=hidden,
            latent=(latent,),
            image_size=(image_size,),
        )
        if min(num_refinement_layers, features) < 0 or not channels:
            raise ValueError(
                "num_refinement_layers and features must be >= 0 and channels not empty, "
                f"got {num_refinement_layers}, {features} and {list(channels)}"
            )
        self.in_channels, self.latent, self.image_size = in_channels, latent, image_size
        self.features = features
        widths = [in_channels, *channels]
        blocks = [_conv_block(*pair, stride=2) for pair in pairwise(widths)]
        for _ in range(num_refinement_layers):
            blocks.append(_conv_block(widths[-1], widths[-1], stride=1))
        self.convolutions = nn.Sequential(*blocks)
        side = -(-image_size // 2 ** len(channels))  # each stride-2 layer rounds the side up
        joined = [*hidden, latent][0] if features else 0
        self.joins = linear_layers([features, joined]) if features else None
        self.linears = linear_layers([widths[-1] * side**2 + joined, *hidden, latent])

    def forward(self, image: Tensor, features: Tensor | None = None) -> Tensor:
        """Encodes images.

        Args:
            image: [B, in_channels, image_size, image_size] floating point in [0, 1].
            features: [B, features] of a backbone; None where the encoder takes none.

        Returns:
            [B, latent], each >= 0.

        Raises:
            ValueError: If a shape is another one or the type is not floating-point.
        """
        expected = (self.in_channels, self.image_size, self.image_size)
        if image.dim() != 4 or image.shape[1:] != expected:
            shape = ", ".join(map(str, expected))
            raise ValueError(f"image must have shape [B, {shape}], got {tuple(image.shape)}")
        if not image.is_floating_point():
            raise ValueError(f"image must be floating point in [0, 1], got {image.dtype}")
        convolved = self.convolutions(image)
        if convolved.requires_grad and convolved.is_contiguous(memory_format=torch.channels_last):
            # Flattening hands back gradients in another layout than that of what they belong to,
            # which makes the backward pass of the last block slower.
            convolved.register_hook(_channels_last)
        if (0 if features is None else features.shape[-1]) != self.features:
            raise ValueError(
                f"features must be {f'[B, {self.features}]' if self.features else None}, got "
                f"{None if features is None else list(features.shape)}"
            )
        if self.joins is None:
            return self.linears(convolved.flatten(1))
        return self.linears(torch.cat((convolved.flatten(1), self.joins(features)), dim=1))


def _channels_last(gradient: Tensor) -> Tensor:
    return gradient.contiguous(memory_format=torch.channels_last)


def _conv_block(in_channels: int, out_channels: int, stride: int) -> nn.Sequential:
    return nn.Sequential(
        nn.Conv2d(in_channels, out_channels, kernel_size=5, stride=stride, padding=2),
        nn.BatchNorm2d(out_channels),
        nn.ReLU(inplace=True),
    )


def linear_layers(widths: Sequence[int]) -> nn.Sequential:
    """Builds linear layers between successive widths, each followed by a ReLU."""
    layers: list[nn.Module] = []
    for inputs, outputs in pairwise(widths):
        layers += [nn.Linear(inputs, outputs), nn.ReLU(inplace=True)]
    return nn.Sequential(*layers)


def _require_positive(**sizes: Sequence[int]) -> None:
    for name, values in sizes.items():
        if any(value < 1 for value in values):
            raise ValueError(f"{name} must be >= 1, got {list(values)}")
