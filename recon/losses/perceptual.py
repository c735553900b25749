"""The perceptual loss: distances of images in the features of VGG-16."""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path

import torch
import torch.nn.functional as F
from torch import Tensor, nn

from recon.arguments import NonNegativeInt, Seed
from recon.compute import at_least_float32
from recon.losses.color import as_renderings
from recon.rendering.compositing import over_black

# Means and deviations of red, green and blue which the networks of torchvision expect.
IMAGENET_MEAN = (0.485, 0.456, 0.406)
IMAGENET_STD = (0.229, 0.224, 0.225)

# relu1_2, relu2_2, relu3_3 and relu4_3 of VGG-16, those of Johnson et al. (arXiv 1603.08155).
VGG16_LAYERS = (3, 8, 15, 22)


class PerceptualLoss(nn.Module):
    """Compares renderings with images by the features of a fixed VGG-16.

    loss = mean over layers, images and pixels of  |f / |f| - g / |g||^2, f and g being the features
    of the rendering and of the image over black.

    Args:
        weights: The path of a state dict of torchvision's `vgg16`, or of its `features` alone; None
            draws random weights, which also compare local patterns (He et al., arXiv 1606.04801).
            Nothing is ever downloaded.
        layers: Indices into `vgg16().features` whose outputs are compared, ascending.
        seed: The seed of random weights.

    Raises:
        ValueError: `layers` are not ascending indices of layers, or the file holds other weights.
        FileNotFoundError: There is no such file.

    Source: Zhang et al., LPIPS (arXiv 1801.03924), without its learned weights of channels.
    """

    mean: Tensor
    std: Tensor

    def __init__(
        self,
        weights: str | Path | None = None,
        layers: Sequence[NonNegativeInt] = VGG16_LAYERS,
        seed: Seed = 0,
    ) -> None:
        super().__init__()
        if not layers or list(layers) != sorted(set(layers)) or not layers[0] >= 0:
            raise ValueError(f"layers must be ascending numbers >= 0, got {list(layers)}")
        features = _vgg16_features(seed)
        if layers[-1] >= len(features):
            raise ValueError(f"layers must be < {len(features)}, got {list(layers)}")
        if weights is not None:
            _load_features(features, Path(weights))
        self.layers = tuple(layers)
        self.features = features[: layers[-1] + 1].eval().requires_grad_(False)
        self.register_buffer("mean", torch.tensor(IMAGENET_MEAN)[:, None, None], persistent=False)
        self.register_buffer("std", torch.tensor(IMAGENET_STD)[:, None, None], persistent=False)

    def forward(self, rgba: Tensor, image: Tensor) -> Tensor:
        """Returns the loss.

        Args:
            rgba: [B, 4, H, W] renderings over a black background.
            image: [B, 4, H, W] true images, sRGB in [0, 1] not multiplied by alpha, and alpha.

        Returns:
            A scalar in [0, 4].

        Raises:
            ValueError: Shapes differ or are not [B, 4, H, W].
        """
        rgba, image = as_renderings(rgba, image)
        with torch.no_grad():  # else the way back would cost twice as much
            theirs = self._directions(over_black(image))
        ours = self._directions(rgba[:, :3])
        distances = [(f - g).square().sum(1).mean() for f, g in zip(ours, theirs, strict=True)]
        return torch.stack(distances).mean()

    def _directions(self, colors: Tensor) -> list[Tensor]:
        """Returns the features of images [B, 3, H, W], each of length 1, by layer."""
        values, found = (colors - self.mean) / self.std, []
        for index, layer in enumerate(self.features):
            values = layer(values)
            if index in self.layers:
                # 1e-8: where nothing was found, features are 0 and have no direction.
                found.append(F.normalize(at_least_float32(values), dim=1, eps=1e-8))
        return found


def _vgg16_features(seed: int) -> nn.Sequential:
    """Makes the convolutions of VGG-16 with random weights, as torchvision starts them."""
    from torchvision.models.vgg import cfgs, make_layers

    with torch.random.fork_rng(devices=[]):
        torch.manual_seed(seed)
        features: nn.Sequential = make_layers(cfgs["D"])
        for layer in features:
            if isinstance(layer, nn.Conv2d):
                nn.init.kaiming_normal_(layer.weight, mode="fan_out", nonlinearity="relu")
                nn.init.zeros_(layer.bias)  # type: ignore[arg-type]
            elif isinstance(layer, nn.ReLU):
                layer.inplace = False  # else it would change the features of the layer before
    return features


def _load_features(features: nn.Sequential, path: Path) -> None:
    if not path.is_file():
        raise FileNotFoundError(f"no file of VGG-16 weights {path}")
    try:
        state = torch.load(path, map_location="cpu", weights_only=True)
        prefix = "features." if any(name.startswith("features.") for name in state) else ""
        named = {n[len(prefix) :]: v for n, v in state.items() if n.startswith(prefix)}
        features.load_state_dict(named)
    except Exception as error:  # torch.load raises whatever it meets in a damaged file
        raise ValueError(f"{path} does not hold the weights of VGG-16: {error}") from error
