"""Random backgrounds, from a plain wall to a cluttered room, to learn segmentation from."""

from __future__ import annotations

from collections.abc import Callable

import numpy as np
from numpy.typing import NDArray
from scipy import ndimage, spatial

Layer = NDArray[np.float64]  # [H, W] or [3, H, W]
Size = tuple[int, int]
Paint = Callable[[Size, np.random.Generator], Layer]


def random_background(size: Size, generator: np.random.Generator) -> Layer:
    """Paints a random background: one kind, or two of them as wall and floor, with clutter or not.

    Args:
        size: The height and width in pixels.
        generator: The source of all randomness.

    Returns:
        [3, H, W] sRGB in [0, 255].
    """
    colors = _random_kind(size, generator)
    if generator.random() < 0.4:
        below = _below_horizon(size, generator)
        colors = colors * (1 - below) + _random_kind(size, generator) * below
    if generator.random() < 0.35:
        colors = _cluttered(colors, generator)
    if generator.random() < 0.4:  # out of focus
        deviation = generator.uniform(0.3, 3)
        colors = ndimage.gaussian_filter(colors, (0, deviation, deviation))
    return np.asarray(np.clip(colors, 0, 255))


def plain(size: Size, generator: np.random.Generator) -> Layer:
    """One colour [3, H, W] that changes linearly over the image."""
    slope = generator.uniform(0, 60) * generator.normal(size=(3, 1, 1))
    return _color(generator) + slope * (_direction(size, generator) - 0.5)


def clouds(size: Size, generator: np.random.Generator) -> Layer:
    """Noise [3, H, W] of several scales between two colours, as of stone, cloth or leaves."""
    total = np.zeros((3, *size))
    grey = generator.random() < 0.5
    decay = generator.uniform(0.4, 1.0)
    cells, weight = int(generator.integers(2, 6)), 1.0
    while cells <= max(size):
        grid = generator.normal(size=(1 if grey else 3, cells + 1, cells + 1))
        zoom = [side / (cells + 1) for side in size]
        total += weight * ndimage.zoom(grid, (1, *zoom), order=1, mode="nearest", grid_mode=True)
        cells, weight = 2 * cells, weight * decay
    total = (total - total.mean()) / max(float(total.std()), 1e-6)  # 1e-6: a single number has none
    share = 1 / (1 + np.exp(-generator.uniform(0.5, 4) * total))
    return _mixed(share, generator)


def stripes(size: Size, generator: np.random.Generator) -> Layer:
    """Stripes [3, H, W] between two colours, or tiles of crossing ones; sharp or soft."""
    sharpness = generator.uniform(1, 20)

    def wave() -> Layer:
        phase = generator.uniform(2, 14) * _direction(size, generator) + generator.random()
        return np.sin(2 * np.pi * phase)

    waves = wave() * wave() if generator.random() < 0.5 else wave()
    return _mixed(1 / (1 + np.exp(-sharpness * waves)), generator)


def cells(size: Size, generator: np.random.Generator) -> Layer:
    """Cells [3, H, W] of one colour each, those of the nearest of random points."""
    count = int(generator.integers(4, 80))
    points = generator.uniform(0, 1, (count, 2)) * size
    rows, columns = np.mgrid[0 : size[0], 0 : size[1]]
    _, nearest = spatial.cKDTree(points).query(np.stack((rows, columns), -1).reshape(-1, 2))
    spread = generator.uniform(10, 120)
    colors = _color(generator)[..., 0] + spread * generator.normal(size=(3, count))
    return np.asarray(colors[:, nearest].reshape(3, *size))


KINDS: tuple[Paint, ...] = (plain, clouds, clouds, stripes, cells)


def _random_kind(size: Size, generator: np.random.Generator) -> Layer:
    return KINDS[int(generator.integers(len(KINDS)))](size, generator)


def _color(generator: np.random.Generator) -> Layer:
    """A colour [3, 1, 1], more often a greyish one than a pure one."""
    grey = generator.uniform(10, 245)
    return np.asarray(
        grey + generator.uniform(0, 1) ** 2 * 160 * generator.uniform(-1, 1, (3, 1, 1))
    )


def _mixed(share: Layer, generator: np.random.Generator) -> Layer:
    first, second = _color(generator), _color(generator)
    return np.asarray(first + share * (second - first))


def _direction(size: Size, generator: np.random.Generator) -> Layer:
    """How far pixels [H, W] are along a random direction, in shares of the image."""
    angle = generator.uniform(0, 2 * np.pi)
    down, right = (np.linspace(-0.5, 0.5, side) for side in size)
    return np.asarray(np.sin(angle) * down[:, None] + np.cos(angle) * right + 0.5)


def _below_horizon(size: Size, generator: np.random.Generator) -> Layer:
    """Which pixels [H, W] are below a line that leans a little."""
    down, right = np.linspace(0, 1, size[0])[:, None], np.linspace(-0.5, 0.5, size[1])
    height = generator.uniform(0.2, 0.9) + generator.normal(0, 0.15) * right
    return np.asarray((down > height).astype(np.float64))


def _cluttered(colors: Layer, generator: np.random.Generator) -> Layer:
    """Lays ellipses and turned rectangles of one colour over an image."""
    height, width = colors.shape[1:]
    rows, columns = np.mgrid[0:height, 0:width]
    for _ in range(int(generator.integers(1, 7))):
        middle = generator.uniform(0, 1, 2) * (height, width)
        radii = generator.uniform(0.04, 0.35, 2) * min(height, width)
        angle = generator.uniform(0, np.pi)
        sine, cosine = np.sin(angle), np.cos(angle)
        down, right = rows - middle[0], columns - middle[1]
        u, v = (cosine * right + sine * down) / radii[0], (cosine * down - sine * right) / radii[1]
        inside = np.maximum(abs(u), abs(v)) < 1 if generator.random() < 0.5 else u * u + v * v < 1
        colors = np.where(inside, _color(generator), colors)
    return colors
