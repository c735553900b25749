"""Augmentation of training batches: mirrored objects, other colours, and damaged inputs.

What is drawn for an object depends on the seed, the step and its place in the whole batch alone, so
a resumed run and one of more processes see the same.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass

import numpy as np
import torch
import torch.nn.functional as F
from torch import Tensor

from recon.arguments import Fraction
from recon.geometry.mirror import mirror_cameras

# Makes these numbers others than those which draw objects and views of the same seed and step.
_STREAM = 1
# Of a damaged input: the greatest side of the occluding rectangle and the standard deviation of
# noise, as shares of the image and of white.
_RECTANGLE, _NOISE = 0.4, 0.1


@dataclass(frozen=True)
class ViewAugmentation:
    """Changes the views of each object of a batch together.

    Args:
        mirror: The share of objects that are mirrored at world x = 0, with their cameras.
        recolor: The share of objects whose colours are changed: channels in another order, each
            with its own gain and exponent, or all grey.
        damage: The share of images that are damaged before the network sees them, by noise, blur,
            an occluding rectangle, or a mask that is larger or smaller by a pixel; the losses use
            the undamaged images.

    Raises:
        ValueError: A number is outside [0, 1].
    """

    mirror: Fraction = 0.0
    recolor: Fraction = 0.0
    damage: Fraction = 0.0

    def __post_init__(self) -> None:
        for name, value in vars(self).items():
            if not 0 <= value <= 1:
                raise ValueError(f"{name} must lie in [0, 1], got {value}")

    def __call__(
        self, batch: Mapping[str, Tensor], seed: int, step: int, first: int = 0
    ) -> dict[str, Tensor]:
        """Returns a batch of augmented objects.

        Args:
            batch: A batch as `MultiViewDataset.sample_batch` returns it.
            seed: The seed of the run.
            step: The number of steps that were done before.
            first: The place of the first of these objects in the whole batch.

        Returns:
            The same fields and, where `damage` > 0, the damaged images of the network as `inputs`
            [N, n, 4, H, W] uint8.
        """
        augmented = {name: value.clone() for name, value in batch.items()}
        images = augmented["images"]
        if self.damage:
            augmented["inputs"] = images.clone()
        for index in range(len(images)):
            rng = np.random.Generator(
                np.random.Philox(np.random.SeedSequence([seed, step, _STREAM, first + index]))
            )
            mirror, recolor = rng.random(2) < (self.mirror, self.recolor)
            if mirror:
                for name in batch.keys() - {"cameras"}:
                    augmented[name][index] = batch[name][index].flip(-1)
                augmented["cameras"][index] = mirror_cameras(batch["cameras"][index])
            if recolor:
                images[index, :, :3] = _recolored(images[index, :, :3], rng)
            if self.damage:
                for view, image in enumerate(images[index]):
                    damaged = rng.random() < self.damage
                    augmented["inputs"][index, view] = _damaged(image, rng) if damaged else image
        return augmented


def _recolored(colors: Tensor, rng: np.random.Generator) -> Tensor:
    """Returns images [n, 3, H, W] uint8 in other colours, the same change for all."""
    gains = torch.from_numpy(rng.uniform(0.6, 1.3, 3).astype(np.float32))
    exponents = torch.from_numpy(rng.uniform(0.7, 1.4, 3).astype(np.float32))
    levels = torch.linspace(0, 1, 256)
    table = (levels[None] ** exponents[:, None] * gains[:, None] * 255).clamp(0, 255).byte()
    order, grey = rng.permutation(3), rng.random() < 0.2
    changed = [table[channel][colors[:, source].long()] for channel, source in enumerate(order)]
    made = torch.stack(changed, dim=1)
    return made.float().mean(1, keepdim=True).byte().expand_as(made) if grey else made


def _damaged(image: Tensor, rng: np.random.Generator) -> Tensor:
    """Returns an image [4, H, W] uint8 with one kind of damage."""
    kind = rng.integers(4)
    value = image.float() / 255
    if kind == 0:
        noise = rng.standard_normal(image.shape, np.float32) * rng.uniform(0, _NOISE)
        value = value + torch.from_numpy(noise)
    elif kind == 1:
        value = _pooled(value, "mean")
    elif kind == 2:
        height, width = image.shape[1:]
        rows = int(rng.uniform(0.1, _RECTANGLE) * height)
        columns = int(rng.uniform(0.1, _RECTANGLE) * width)
        top, left = rng.integers(height - rows + 1), rng.integers(width - columns + 1)
        value[:, top : top + rows, left : left + columns] = 0
    else:
        value = _pooled(value, "larger" if rng.random() < 0.5 else "smaller")
    return (value.clamp(0, 1) * 255).round().byte()


def _pooled(value: Tensor, kind: str) -> Tensor:
    """Returns an image [4, H, W] blurred, or with a mask that is a pixel larger or smaller."""
    if kind == "mean":
        alpha = F.avg_pool2d(value[3:], 3, 1, 1)
        colors = F.avg_pool2d(value[:3] * value[3:], 3, 1, 1) / alpha.clamp(min=1 / 255)
        return torch.cat((colors, alpha))
    sign = 1 if kind == "larger" else -1
    alpha = sign * F.max_pool2d(sign * value[3:], 3, 1, 1)
    return torch.cat((value[:3], alpha))
