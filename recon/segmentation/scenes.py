"""Puts objects before random backgrounds: the images that segmentation is learned from."""

from __future__ import annotations

import numpy as np
import torch
from numpy.typing import NDArray
from torch import Tensor
from torch.nn import functional

from recon.rendering.compositing import premultiplied
from recon.segmentation.backgrounds import random_background

# The sizes of objects that are shown, and how far they are moved, in shares of their image.
SIZES, MOST_MOVED = (0.45, 1.35), 0.15
# Shares of the images in which the object throws a shadow, and in which another object is behind.
SHADOWS, OTHERS = 0.4, 0.3


def random_scenes(objects: Tensor, generator: np.random.Generator) -> tuple[Tensor, Tensor]:
    """Lays objects over random backgrounds, with shadows, other objects, noise and blur.

    Args:
        objects: [B, 4, H, W] uint8 RGBA, not premultiplied.
        generator: The source of all randomness.

    Returns:
        The images [B, 3, H, W], sRGB in [0, 1], and which of their pixels are the object,
        [B, H, W] in {0, 1}.
    """
    count, _, height, width = objects.shape
    backgrounds = np.stack([random_background((height, width), generator) for _ in range(count)])
    behind = _float(backgrounds) / 255
    layers = premultiplied(objects.float() / 255)
    layers = torch.cat((_relit(layers[:, :3], generator), layers[:, 3:]), 1)

    others = _placed(layers.roll(1, 0), *_aside(count, generator), generator)
    others = others * _some(count, OTHERS, generator)
    behind = others[:, :3] + behind * (1 - others[:, 3:])
    shown = _placed(
        layers,
        generator.uniform(*SIZES, count),
        generator.uniform(-MOST_MOVED, MOST_MOVED, (count, 2)),
        generator,
    )
    behind = behind * (1 - _shadows(shown[:, 3:], generator))
    images = shown[:, :3] + behind * (1 - shown[:, 3:])

    soft = functional.avg_pool2d(functional.pad(images, (1, 1, 1, 1), mode="replicate"), 3, 1)
    images = torch.lerp(images, soft, _float(generator.uniform(0, 1, (count, 1, 1, 1))) ** 2)
    noise = generator.normal(size=tuple(images.shape)) * generator.uniform(
        0, 0.06, (count, 1, 1, 1)
    )
    contrast = _float(generator.uniform(0.6, 1.2, (count, 1, 1, 1)))
    images = (
        (images - 0.5) * contrast + 0.5 + _float(generator.uniform(-0.1, 0.1, (count, 1, 1, 1)))
    )
    return (images + _float(noise)).clamp(0, 1), (shown[:, 3] > 0.5).float()


def _float(numbers: NDArray[np.float64]) -> Tensor:
    return torch.from_numpy(np.ascontiguousarray(numbers, np.float32))


def _some(count: int, share: float, generator: np.random.Generator) -> Tensor:
    """Chooses a share of a batch: [B, 1, 1, 1] in {0, 1}."""
    return _float((generator.random((count, 1, 1, 1)) < share).astype(np.float64))


def _aside(
    count: int, generator: np.random.Generator
) -> tuple[NDArray[np.float64], NDArray[np.float64]]:
    """The sizes of other objects, and how far they are moved: out of the middle."""
    angle = generator.uniform(0, 2 * np.pi, count)
    far = generator.uniform(0.4, 0.75, (count, 1))
    return generator.uniform(0.3, 1.0, count), far * np.stack((np.cos(angle), np.sin(angle)), 1)


def _placed(
    images: Tensor,
    sizes: NDArray[np.float64],
    moved: NDArray[np.float64],
    generator: np.random.Generator,
) -> Tensor:
    """Shows premultiplied images [B, 4, H, W] in other sizes [B], moved [B, 2], some mirrored."""
    mirrored = np.where(generator.random(len(sizes)) < 0.5, -1.0, 1.0)
    zero = np.zeros_like(sizes)
    # What a pixel shows lies at (pixel - moved) / size, in coordinates from -1 to 1.
    right, down = (-2 * moved / sizes[:, None]).T
    rows = [[mirrored / sizes, zero, mirrored * right], [zero, 1 / sizes, down]]
    theta = _float(np.array(rows).transpose(2, 0, 1))
    grid = functional.affine_grid(theta, list(images.shape), align_corners=False)
    return functional.grid_sample(images, grid, align_corners=False)


def _relit(colors: Tensor, generator: np.random.Generator) -> Tensor:
    """Multiplies premultiplied colours by lights that change over the image."""
    count, _, height, width = colors.shape
    corners = _float(generator.uniform(0.5, 1.3, (count, 1, 2, 2)))
    tint = _float(generator.uniform(0.85, 1.15, (count, 3, 1, 1)))
    light = functional.interpolate(corners, (height, width), mode="bilinear", align_corners=False)
    return (colors * light * tint).clamp(max=1)


def _shadows(alpha: Tensor, generator: np.random.Generator) -> Tensor:
    """Shadows [B, 1, H, W] in [0, 1] of masks: flattened, soft, and at the foot of the object."""
    count, _, height, width = alpha.shape
    rows = torch.arange(height, dtype=torch.float32)
    foot = (alpha.amax(3)[:, 0] > 0.5).float() * rows
    lowest = foot.amax(1) / height * 2 - 1  # of each object, from -1 to 1
    flat = _float(
        generator.uniform(2, 6, count)
    )  # how many times lower a shadow is than its object
    lean = _float(generator.normal(0, 0.5, count))
    one, zero = torch.ones(count), torch.zeros(count)
    # The row of the foot stays where it is, what is above it is squeezed towards it.
    theta = torch.stack(
        (
            torch.stack((one, lean, -lean * lowest), 1),
            torch.stack((zero, flat, lowest * (1 - flat)), 1),
        ),
        1,
    )
    grid = functional.affine_grid(theta, [count, 1, height, width], align_corners=False)
    shadow = functional.grid_sample(alpha, grid, align_corners=False)
    for _ in range(int(generator.integers(1, 4))):
        shadow = functional.avg_pool2d(shadow, 5, 1, 2)
    strength = _float(generator.uniform(0.2, 0.7, (count, 1, 1, 1)))
    return shadow * strength * _some(count, SHADOWS, generator)
