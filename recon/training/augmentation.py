"""Augmentation of training batches: mirrored objects, other colours, and damaged inputs.

What is drawn for an object depends on the seed, the step and its place in the whole batch alone, so
a resumed run and one of more processes see the same.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass

import numpy as np
import torch
from torch import Tensor

from recon.arguments import Fraction
from recon.geometry.mirror import mirror_cameras
from recon.training.damage import draw_damage

# Makes these numbers others than those which draw objects and views of the same seed and step.
_STREAM = 1


@dataclass(frozen=True)
class ViewAugmentation:
    """Changes the views of each object of a batch together.

    Args:
        mirror: The share of objects that are mirrored at world x = 0, with their cameras.
        recolor: The share of objects whose colours are changed: channels in another order, each
            with its own gain and exponent, or all grey.
        damage: The share of images that are damaged before the network sees them, see
            `draw_damage`; the losses use the undamaged images.

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
        self,
        batch: Mapping[str, Tensor],
        seed: int,
        step: int,
        first: int = 0,
        input_views: int | None = None,
    ) -> dict[str, Tensor]:
        """Returns a batch of augmented objects.

        Args:
            batch: A batch as `MultiViewDataset.sample_batch` returns it.
            seed: The seed of the run.
            step: The number of steps that were done before.
            first: The place of the first of these objects in the whole batch.
            input_views: The number m of views that the network sees, the first ones; None is all.

        Returns:
            The same fields and, where `damage` > 0, the images that the network sees, some of
            them damaged, as `inputs` [N, m, 4, H, W] uint8.
        """
        augmented = {name: value.clone() for name, value in batch.items()}
        images = augmented["images"]
        inputs = torch.empty_like(images[:, :input_views]) if self.damage else None
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
            if inputs is not None:
                inputs[index] = self._damaged(images[index, :input_views], rng)
        return augmented if inputs is None else {**augmented, "inputs": inputs}

    def _damaged(self, images: Tensor, rng: np.random.Generator) -> Tensor:
        """Returns images [m, 4, H, W] uint8, some of them damaged."""
        seen = images.clone()
        for image in seen:
            if rng.random() < self.damage:
                image.copy_(torch.from_numpy(draw_damage(rng)(image.numpy(), rng)))
        return seen


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
