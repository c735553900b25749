"""Prepares any image for the network: the object alone, framed as in the training images."""

from __future__ import annotations

import math
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path

import numpy as np
import torch
from numpy.typing import NDArray
from PIL import Image
from scipy import ndimage
from torch import Tensor

from recon.datasets.framing import Framing, mask_boxes
from recon.formats.images import ImageLike, decode_image, decode_mask
from recon.formats.masks import masked_image, require_object
from recon.formats.resampling import RESAMPLING, PixelMap
from recon.segmentation.estimate import estimate_object_mask

# The longer side of what is worked on. The network sees far less, and an estimated mask is not
# better for more.
WORKING_SIDE = 384
# A part smaller than this share of all is a speck, which must not decide on the framing.
SPECK = 0.005


@dataclass(frozen=True, eq=False)
class InputImage:
    """An image and which of its pixels are the object.

    Args:
        rgba: [4, H, W] uint8 sRGB and alpha, not premultiplied; at most `WORKING_SIDE` long.
        mask: The source of alpha: "alpha channel", "mask" or "estimated".
        notes: Sentences about the mask that the user must know.
    """

    rgba: NDArray[np.uint8]
    mask: str
    notes: tuple[str, ...] = ()


@dataclass(frozen=True, eq=False)
class Cutout:
    """A part of an input image at another scale.

    Args:
        image: [4, h, w] uint8 RGBA image of the network's size.
        pixels: The map from pixels of the input image to pixels of `image`.
    """

    image: Tensor
    pixels: PixelMap


@dataclass(frozen=True, eq=False)
class CloseUp:
    """An image at the scale of the network's, with its object in the middle.

    Args:
        image: A square image in PIL's mode RGBa, whose colours are premultiplied.
        longer: The longer side of the mask's bounding box in it, in pixels.
        pixels: The map from pixels of the input image to pixels of `image`.
    """

    image: Image.Image
    longer: float
    pixels: PixelMap


def take_image(image: ImageLike, mask: ImageLike | None = None) -> InputImage:
    """Takes an image, upright, and finds its object.

    Args:
        image: A file, its bytes, a PIL image or an array [H, W, 3 or 4]; see
            `recon.formats.images.decode_image`. An alpha channel with a clear share of transparent
            pixels is the mask.
        mask: An image of the same size in any of these forms, see
            `recon.formats.images.decode_mask`. With neither, the mask is estimated, see
            `recon.segmentation.estimate`.

    Raises:
        FileNotFoundError: There is no such file.
        ValueError: A file is damaged or too large, the sizes differ, or there is no object.
    """
    decoded = decode_image(image)
    alpha = None if mask is None else decode_mask(mask, like=decoded)
    try:
        masked = masked_image(decoded, alpha, WORKING_SIDE, estimate_object_mask)
        masked.rgba[3] = _without_specks(masked.rgba[3])
        require_object(masked.rgba[3], masked.source)
    except ValueError as error:
        raise ValueError(f"{image}: {error}" if isinstance(image, str | Path) else error) from error
    return InputImage(masked.rgba, masked.source, masked.notes)


def _without_specks(alpha: NDArray[np.uint8]) -> NDArray[np.uint8]:
    parts, count = ndimage.label(alpha, np.ones((3, 3)))
    sizes = np.bincount(parts.ravel(), alpha.ravel().astype(np.float64), count + 1)
    return np.where((sizes < SPECK * sizes.sum())[parts], 0, alpha).astype(np.uint8)


def close_up(image: InputImage, side: int, smallest: float) -> CloseUp:
    """Brings an image to a scale at which many sizes are cut out in little time.

    Args:
        image: The input image.
        side: The greatest longer side of the mask's bounding box, in pixels.
        smallest: The least share that this side will have of the side of a cutout; it decides how
            much room is made around the object.
    """
    left, top, right, bottom = mask_boxes(torch.from_numpy(image.rgba[3:]))[0].tolist()
    longer = max(right - left, bottom - top)
    scale = min(1.0, side / longer)
    room = math.ceil(longer / smallest)  # around the centre, on either side
    padding = (
        (room, room),
        (room, room),
        (0, 0),
    )
    padded = np.pad(image.rgba.transpose(1, 2, 0), padding)
    premultiplied = Image.fromarray(padded).convert("RGBa")  # colours times alpha, as for all means
    x, y = (left + right) / 2 + room, (top + bottom) / 2 + room
    count = math.floor(2 * room * scale)
    half = count / scale / 2
    small = premultiplied.resize(
        (count, count), RESAMPLING, (x - half, y - half, x + half, y + half)
    )
    corner = (x - half - room, y - half - room)  # in pixels of the input
    offset = ((0.5 - corner[0]) * scale - 0.5, (0.5 - corner[1]) * scale - 0.5)
    return CloseUp(small, longer * scale, PixelMap((scale, scale), offset))


def cut_out(close: CloseUp, framing: Framing, image_size: Sequence[int], fill: float) -> Cutout:
    """Shifts and scales an image so that its object lies as in the framing.

    Args:
        close: The close-up of the image, with room for this size.
        framing: The framing of the images that the network was trained on.
        image_size: (height, width) of the images that the network was trained on.
        fill: The longer side of the mask's bounding box as a share of the side of the cutout.
    """
    height, width = image_size
    scale = fill * min(height, width) / close.longer
    x, y = width * (0.5 + framing.center[0]), height * (0.5 + framing.center[1])
    left, top = close.image.width / 2 - x / scale, close.image.height / 2 - y / scale
    box = (left, top, left + width / scale, top + height / scale)
    cut = close.image.resize((width, height), RESAMPLING, box).convert("RGBA")
    pixels = np.ascontiguousarray(np.asarray(cut).transpose(2, 0, 1))
    offset = ((0.5 - left) * scale - 0.5, (0.5 - top) * scale - 0.5)
    return Cutout(torch.from_numpy(pixels), close.pixels.then(PixelMap((scale, scale), offset)))
