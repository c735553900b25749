"""Estimates the mask of an object: before a plain background by colour, else by a network."""

from __future__ import annotations

from functools import lru_cache
from pathlib import Path

import numpy as np
import safetensors.torch
import torch
from numpy.typing import NDArray
from torch import Tensor
from torch.nn import functional

from recon.formats.plain_background import (
    EstimatedMask,
    fit_background,
    large_parts,
    require_size,
)
from recon.segmentation.network import SegmentationNetwork

GUESSED = (
    "the background is not plain, so a small network guessed the mask: it learned from rendered"
    " objects, is coarse, and takes what stands out in the middle of the image"
)
# The side of the images that the network learned from.
SIDE = 64


def estimate_object_mask(rgb: NDArray[np.uint8]) -> EstimatedMask:
    """Separates the object in the middle of an image from what is around it.

    Where the frame of the image is plain, see `recon.formats.plain_background`, colour decides;
    else a network.

    Args:
        rgb: [3, H, W] uint8 sRGB.

    Raises:
        ValueError: If nothing, or nearly everything, is taken for the object.
    """
    background = fit_background(rgb)
    if background.plain:
        return background.mask()
    image = torch.from_numpy(rgb.astype(np.float32) / 255)[None]
    inside = large_parts((_logits(image) > 0).numpy())
    require_size(inside, "stands out from the background")
    return EstimatedMask(np.where(inside, 255, 0).astype(np.uint8), (GUESSED,))


@torch.no_grad()
def _logits(image: Tensor) -> Tensor:
    """Returns the logits [H, W] of an image [1, 3, H, W], as the network sees it and mirrored."""
    height, width = image.shape[2:]
    longer = max(height, width)
    # A square, which goes on at the border as the image ends.
    above, left = (longer - height) // 2, (longer - width) // 2
    padding = (left, longer - width - left, above, longer - height - above)
    square = functional.pad(image, padding, mode="replicate")
    small = functional.interpolate(square, (SIDE, SIDE), mode="bilinear", antialias=True)
    network = load_network()
    logits = (network(small) + network(small.flip(3)).flip(2)) / 2
    whole = functional.interpolate(logits[:, None], (longer, longer), mode="bilinear")
    return whole[0, 0, above : above + height, left : left + width]


@lru_cache(maxsize=1)
def load_network() -> SegmentationNetwork:
    """Returns the network whose weights come with the package, in evaluation mode."""
    network = SegmentationNetwork()
    weights = safetensors.torch.load_file(Path(__file__).with_name("weights.safetensors"))
    network.load_state_dict(weights)  # float16 becomes float32
    return network.eval()
