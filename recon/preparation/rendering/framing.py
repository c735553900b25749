"""Tells whether an object leaves the image, and how much smaller it must be to stay inside."""

from __future__ import annotations

from typing import Any

import numpy as np
import torch
from numpy.typing import NDArray
from torch import Tensor

from recon.geometry.cameras import Cameras

# Pixels between the image's border and an object that fits, so that the border pixels are empty.
MARGIN = 1


def touches_border(images: NDArray[np.uint8]) -> bool:
    """Tells whether anything is seen in the outermost pixels of images [K, 4, H, W]."""
    alpha: NDArray[Any] = images[:, 3]
    return bool(alpha[:, [0, -1]].any() or alpha[:, :, [0, -1]].any())


def fit_scale(vertices: Tensor, cameras: Cameras, image_size: tuple[int, int]) -> float:
    """Returns the largest factor up to 1 by which an object is inside the images of all cameras.

    A vertex s * v is inside an image when it is on the inner side of four planes through the eye.
    Its distance to each is a * s + b, so there is nothing to search for.

    Args:
        vertices: [V, 3] in world coordinates, which are shrunk towards the origin.
        cameras: The K cameras.
        image_size: (height, width) in pixels.

    Raises:
        ValueError: If the image of a view does not show the origin; the message names the view.
    """
    height, width = image_size
    exact = cameras.to(dtype=torch.float64)
    points = vertices.double()
    turned = points @ exact.rotation.transpose(1, 2)  # [K, V, 3] without the translation
    # The limits are in half image heights, like the focal lengths and the principal points.
    limits = torch.tensor([width - 2 * MARGIN, height - 2 * MARGIN], dtype=torch.float64) / height
    scale = 1.0
    for axis in (0, 1):
        focal, center = exact.focal[:, axis, None], exact.center[:, axis, None]
        for sign in (1, -1):
            inner = limits[axis] - sign * center
            slope = inner * turned[..., 2] - sign * focal * turned[..., axis]
            start = inner * exact.translation[:, 2, None] - (
                sign * focal * exact.translation[:, axis, None]
            )
            if not bool((start > 0).all()):
                view = int((start <= 0).flatten().nonzero()[0])
                raise ValueError(f"cannot fit the object: view {view} does not show its centre")
            leaving = slope < 0
            if bool(leaving.any()):
                scale = min(scale, float((start.expand_as(slope) / -slope)[leaving].min()))
    return scale
