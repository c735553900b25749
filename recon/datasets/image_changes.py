"""Changes of an image that leave its object as it is: noise, blur, occlusion and framing."""

from __future__ import annotations

import math
from collections.abc import Callable
from typing import Any

import numpy as np
from numpy.typing import NDArray
from scipy import ndimage

Image = NDArray[np.uint8]  # [4, H, W] RGBA, not premultiplied
ImageChange = Callable[[Image, np.random.Generator], Image]


def noisy(std: float) -> ImageChange:
    """Adds normal noise to the colours of the object; `std` counts in full scales."""

    def change(image: Image, generator: np.random.Generator) -> Image:
        colors = image[:3] + generator.normal(0, 255 * std, image[:3].shape)
        return to_rgba(colors * (image[3] > 0), image[3])

    return change


def blurred(pixels: float) -> ImageChange:
    """Blurs image and mask by a Gaussian; `pixels` is its deviation in an image of 64 pixels."""

    def change(image: Image, generator: np.random.Generator) -> Image:
        deviation = pixels * min(image.shape[1:]) / 64
        soft = ndimage.gaussian_filter(
            _premultiplied(image), (0, deviation, deviation), mode="constant"
        )
        return _unpremultiplied(soft)

    return change


def occluded(share: float) -> ImageChange:
    """Takes a rectangle out of image and mask, where something in front hides the object.

    The rectangle has the proportions and a share of the area of the box around the mask, and lies
    somewhere within it.
    """

    def change(image: Image, generator: np.random.Generator) -> Image:
        rows, columns = (np.flatnonzero(image[3].any(axis)) for axis in (1, 0))
        if not len(rows):
            return image
        changed = image.copy()
        window = []
        for inside in (rows, columns):
            first, length = int(inside[0]), int(inside[-1] - inside[0] + 1)
            side = max(1, round(length * math.sqrt(share)))
            start = first + int(generator.integers(length - side + 1))
            window.append(slice(start, start + side))
        changed[:, window[0], window[1]] = 0
        return changed

    return change


def resized(factor: float, right: float = 0.0, down: float = 0.0) -> ImageChange:
    """Enlarges what is shown about the centre of the image, and moves it.

    Args:
        factor: How much larger it becomes; below 1 it becomes smaller.
        right: How far it moves, as a share of the width.
        down: How far it moves, as a share of the height.
    """

    def change(image: Image, generator: np.random.Generator) -> Image:
        sides = np.array(image.shape[1:])
        middle = (sides - 1) / 2
        moved = middle + sides * (down, right)
        # Pixel p of the result shows pixel middle + (p - moved) / factor.
        layers = [
            ndimage.affine_transform(
                layer, np.full(2, 1 / factor), middle - moved / factor, order=1, mode="constant"
            )
            for layer in _premultiplied(image)
        ]
        return _unpremultiplied(np.stack(layers))

    return change


def thickened(pixels: int) -> ImageChange:
    """Makes the mask larger by some pixels on each side, or smaller by a negative number.

    What the larger mask takes in has the colours that the image has there.
    """
    side = 2 * abs(pixels) + 1
    extreme = ndimage.maximum_filter if pixels > 0 else ndimage.minimum_filter

    def change(image: Image, generator: np.random.Generator) -> Image:
        return np.concatenate([image[:3], extreme(image[3], side)[None]])

    return change


def to_rgba(colors: NDArray[Any], alpha: NDArray[Any]) -> Image:
    """Returns the image of colours [3, H, W] and alpha [H, W] in 0..255, rounded and clipped."""
    values = np.concatenate([colors, alpha[None]])
    return np.asarray(np.rint(values.clip(0, 255)), np.uint8)


def _premultiplied(image: Image) -> NDArray[np.float32]:
    """Returns colours times alpha in 0..255, and alpha."""
    alpha = image[3].astype(np.float32)
    return np.concatenate([image[:3] * (alpha / 255), alpha[None]])


def _unpremultiplied(layers: NDArray[np.float32]) -> Image:
    """Returns the image of layers as `_premultiplied` makes them."""
    alpha = layers[3]
    shown = alpha >= 0.5  # where alpha rounds to 0 there is no colour
    return to_rgba(np.where(shown, layers[:3] * 255 / np.maximum(alpha, 0.5), 0), alpha)
