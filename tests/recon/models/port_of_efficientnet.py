"""The released EfficientNet-Lite0 with its batch norms, from a state dict of its PyTorch port."""

from __future__ import annotations

import torch
import torch.nn.functional as F
from torch import Tensor

# Of every block: whether it widens sixfold, its channels, the side of its kernel, and its stride.
BLOCKS = [
    *[(False, 16, 3, 1)],
    *[(True, 24, 3, 2), (True, 24, 3, 1)],
    *[(True, 40, 5, 2), (True, 40, 5, 1)],
    *[(True, 80, 3, 2), (True, 80, 3, 1), (True, 80, 3, 1)],
    *[(True, 112, 5, 1)] * 3,
    *[(True, 192, 5, 2), (True, 192, 5, 1), (True, 192, 5, 1), (True, 192, 5, 1)],
    *[(True, 320, 3, 1)],
]


def random_state(seed: int = 0) -> dict[str, Tensor]:
    """Returns weights for every name of the port, which keep activations near 1."""
    generator = torch.Generator().manual_seed(seed)
    state: dict[str, Tensor] = {}

    def convolution(name: str, norm: str, shape: tuple[int, ...]) -> None:
        fan_in = shape[1] * shape[2] * shape[3]
        weight = torch.randn(*shape, generator=generator, dtype=torch.float64)
        state[f"{name}.weight"] = weight * (2 / fan_in) ** 0.5
        for kind, low, high in (
            ("weight", 0.8, 1.2),
            ("bias", -0.1, 0.1),
            ("running_mean", -0.1, 0.1),
            ("running_var", 0.8, 1.2),
        ):
            values = torch.rand(shape[0], generator=generator, dtype=torch.float64)
            state[f"{norm}.{kind}"] = low + (high - low) * values

    convolution("_conv_stem", "_bn0", (32, 3, 3, 3))
    channels = 32
    for number, (widens, width, kernel, _) in enumerate(BLOCKS):
        at, wide = f"_blocks.{number}.", channels * (6 if widens else 1)
        if widens:
            convolution(f"{at}_expand_conv", f"{at}_bn0", (wide, channels, 1, 1))
        convolution(f"{at}_depthwise_conv", f"{at}_bn1", (wide, 1, kernel, kernel))
        convolution(f"{at}_project_conv", f"{at}_bn2", (width, wide, 1, 1))
        channels = width
    state["_fc.weight"] = torch.zeros(10, 1280, dtype=torch.float64)  # a classifier, not read
    return state


def port_features(state: dict[str, Tensor], images: Tensor) -> Tensor:
    """Returns the output [B, 320, h, w] of the last block for normalised images [B, 3, H, W]."""

    def layer(x: Tensor, name: str, norm: str, stride: int = 1, groups: int = 1) -> Tensor:
        weight = state[f"{name}.weight"]
        kernel = weight.shape[-1]
        pads = []
        for length in (x.shape[3], x.shape[2]):
            total = max((-(-length // stride) - 1) * stride + kernel - length, 0)
            pads += [total // 2, total - total // 2]
        x = F.conv2d(F.pad(x, pads), weight, stride=stride, groups=groups)
        statistics = (state[f"{norm}.{kind}"] for kind in ("running_mean", "running_var"))
        scale, shift = state[f"{norm}.weight"], state[f"{norm}.bias"]
        return F.batch_norm(x, *statistics, scale, shift, eps=1e-3)

    x = F.relu6(layer(images, "_conv_stem", "_bn0", 2))
    for number, (widens, _, _, stride) in enumerate(BLOCKS):
        at, before = f"_blocks.{number}.", x
        if widens:
            x = F.relu6(layer(x, f"{at}_expand_conv", f"{at}_bn0"))
        x = F.relu6(layer(x, f"{at}_depthwise_conv", f"{at}_bn1", stride, groups=x.shape[1]))
        x = layer(x, f"{at}_project_conv", f"{at}_bn2")
        x = x + before if x.shape == before.shape else x
    return x
