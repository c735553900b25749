"""What may be wrong with an image that a network is shown in training."""

from __future__ import annotations

import math

import numpy as np

from recon.datasets.image_changes import (
    ImageChange,
    blurred,
    noisy,
    occluded,
    resized,
    thickened,
)

# The strongest of each kind: standard deviation of noise in full scales; deviation of a blur in
# pixels of an image of 64; share of the box of the object that is hidden; factors of size, and how
# far an object is moved as a share of the image.
_NOISE, _BLUR, _HIDDEN = 0.2, 3.0, 0.35
_SMALLEST, _LARGEST, _MOVED = 0.6, 1.25, 0.06


def draw_damage(rng: np.random.Generator) -> ImageChange:
    """Draws one kind of damage and its strength.

    The kinds are noise, a blur, a rectangle in front of the object, a mask that is larger or
    smaller by a pixel, and an object that is nearer or farther and out of the middle. Half of all
    images that are damaged are of the last kind, as no image of the data is.

    Args:
        rng: The generator of the choice.
    """
    if rng.random() < 0.5:
        factor = math.exp(rng.uniform(math.log(_SMALLEST), math.log(_LARGEST)))
        return resized(factor, *rng.uniform(-_MOVED, _MOVED, 2))
    kind = rng.integers(4)
    if kind == 0:
        return noisy(rng.uniform(0, _NOISE))
    if kind == 1:
        return blurred(rng.uniform(0.3, _BLUR))
    if kind == 2:
        return occluded(rng.uniform(0.02, _HIDDEN))
    return thickened(1 if rng.random() < 0.5 else -1)
