"""Images from anywhere made what the network learned from: an object alone, framed as there."""

from __future__ import annotations

import math
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
import torch
from numpy.typing import NDArray
from PIL import Image
from scipy import ndimage
from torch import Tensor

from recon.datasets.framing import Framing, outline_boxes
from recon.formats.images import (
    PixelMap,
    read_mask,
    read_rgba,
)
from recon.inference.plain_background import estimate_mask

SUFFIXES = (".png", ".jpg", ".jpeg", ".webp")
# The longer side of what is worked on. The network sees far less, and an estimated mask is not
# better for more.
WORKING_SIDE = 384
# A part smaller than this share of all is a speck, which must not decide on the framing.
SPECK = 0.005
# A mean over a little more than a pixel's area: nothing of fine lines gets lost between pixels.
RESAMPLING = Image.Resampling.HAMMING


@dataclass(frozen=True, eq=False)
class InputImage:
    """An image and which of its pixels are the object.

    Args:
        rgba: [4, H, W] uint8 sRGB and alpha, not premultiplied; at most `WORKING_SIDE` long.
        mask: where alpha is from: "alpha channel", "mask" or "estimated".
        notes: what to know about the mask, in words.
    """

    rgba: NDArray[np.uint8]
    mask: str
    notes: tuple[str, ...] = ()


@dataclass(frozen=True, eq=False)
class Cutout:
    """A part of an input image at another scale.

    Args:
        image: [4, h, w] uint8.
        pixels: where the pixels of the input image lie in it.
    """

    image: Tensor
    pixels: PixelMap


@dataclass(frozen=True, eq=False)
class CloseUp:
    """An image at the scale of the network's, with its object in the middle.

    Args:
        image: a square in PIL's mode RGBa.
        longer: side of the outline's box in it, in pixels.
        pixels: where the pixels of the input image lie in it.
    """

    image: Image.Image
    longer: float
    pixels: PixelMap


class _OneFile:
    """A file as the readers of data sets take it; `FolderStore` would list its whole folder."""

    def __init__(self, path: Path) -> None:
        self.label = str(path.parent)
        self._path = path

    def read(self, name: str) -> bytes:
        return self._path.read_bytes()

    def find(self, name: str) -> str | None:
        return name if name == self._path.name else None

    def find_leaf(self, leaf: str) -> str | None:
        return self.find(leaf)


def read_image(path: str | Path, mask: Any = None) -> InputImage:
    """Reads a PNG, JPEG or WebP file, upright, and finds its object.

    Args:
        path: the file; an alpha channel which is not opaque everywhere is the mask.
        mask: an image file of the same size whose alpha channel, or else whose brightness, is the
            mask; or as `take_image`. With neither, the mask is estimated; see
            `recon.inference.plain_background`.

    Raises:
        FileNotFoundError: there is no such file.
        ValueError: a file is damaged or too large, sizes differ, or there is no object.
    """
    path = Path(path)
    _require_file("picture", path)
    rgba = read_rgba(_OneFile(path), path.name, upright=True).rgba
    inside = _mask_pixels(mask)
    try:
        return _masked(rgba, inside)
    except ValueError as error:
        raise ValueError(f"{path}: {error}") from error


def take_image(image: Any, mask: Any = None) -> InputImage:
    """Takes an image out of memory, and finds its object as `read_image` does.

    Args:
        image: a PIL image, or uint8 [H, W, 3] or [H, W, 4] sRGB.
        mask: a PIL image, [H, W] uint8, 255 inside, or bool, or a file.

    Raises:
        ValueError: another shape or type, sizes differ, or there is no object.
    """
    if isinstance(image, Image.Image):
        image = np.asarray(image.convert("RGBA"))
    pixels = np.asarray(image)
    if pixels.dtype != np.uint8 or pixels.ndim != 3 or pixels.shape[2] not in (3, 4):
        raise ValueError(
            "image must be a file, a PIL image or uint8 [H, W, 3 or 4], "
            f"got {pixels.dtype} {list(pixels.shape)}"
        )
    channels = np.moveaxis(pixels, 2, 0)
    if len(channels) == 3:
        channels = np.concatenate((channels, np.full_like(channels[:1], 255)))
    return _masked(np.ascontiguousarray(channels), _mask_pixels(mask))


def _mask_pixels(mask: Any) -> NDArray[np.uint8] | None:
    if mask is None:
        return None
    if isinstance(mask, str | Path):
        _require_file("mask", Path(mask))
        return read_mask(_OneFile(Path(mask)), Path(mask).name)
    pixels = np.asarray(mask.convert("L") if isinstance(mask, Image.Image) else mask)
    if pixels.dtype == np.bool_:
        return pixels * np.uint8(255)
    if pixels.dtype != np.uint8 or pixels.ndim != 2:
        raise ValueError(
            f"mask must be uint8 or bool [H, W], got {pixels.dtype} {list(pixels.shape)}"
        )
    return pixels


def _require_file(what: str, path: Path) -> None:
    if not path.is_file():
        raise FileNotFoundError(f"no such {what}: {path}")


def _masked(rgba: NDArray[np.uint8], mask: NDArray[np.uint8] | None) -> InputImage:
    """Returns the image at working size with the best alpha there is."""
    source, notes = "alpha channel", tuple[str, ...]()
    if mask is not None:
        if mask.shape != rgba.shape[1:]:
            raise ValueError(
                f"the mask must be [{rgba.shape[1]}, {rgba.shape[2]}] like the image, "
                f"got {list(mask.shape)}"
            )
        rgba = np.concatenate((rgba[:3], mask[None]))
        source = "mask"
    estimated = source == "alpha channel" and bool((rgba[3] == 255).all())
    small = _at_working_size(rgba)
    if estimated:
        found = estimate_mask(small[:3])
        small = np.concatenate((small[:3], found.alpha[None]))
        source, notes = "estimated", found.notes
    small[3] = _without_specks(small[3])
    if len(outline_boxes(torch.from_numpy(small[3:]))) == 0:
        raise ValueError(f"the {source} shows no object: it is nowhere more than half opaque")
    return InputImage(small, source, notes)


def _without_specks(alpha: NDArray[np.uint8]) -> NDArray[np.uint8]:
    parts, count = ndimage.label(alpha, np.ones((3, 3)))
    sizes = np.bincount(parts.ravel(), alpha.ravel().astype(np.float64), count + 1)
    return np.where((sizes < SPECK * sizes.sum())[parts], 0, alpha).astype(np.uint8)


def _at_working_size(rgba: NDArray[np.uint8]) -> NDArray[np.uint8]:
    height, width = rgba.shape[1:]
    scale = WORKING_SIDE / max(height, width)
    if scale >= 1:
        return rgba.copy()
    size = max(1, round(width * scale)), max(1, round(height * scale))
    image = Image.fromarray(np.ascontiguousarray(rgba.transpose(1, 2, 0)))
    premultiplied = image.convert("RGBa")  # a transparent pixel's colour does not count
    small = premultiplied.resize(size, RESAMPLING, reducing_gap=3.0).convert("RGBA")
    return np.ascontiguousarray(np.asarray(small).transpose(2, 0, 1))


def close_up(picture: InputImage, side: int, smallest: float) -> CloseUp:
    """Brings an image to a scale at which many sizes are cut out in little time.

    Args:
        image: the input.
        side: pixels of the longer side of the outline's box, at most.
        smallest: share of the longer side in a cut, at least; so much room is made around it.
    """
    left, top, right, bottom = outline_boxes(torch.from_numpy(picture.rgba[3:]))[0].tolist()
    longer = max(right - left, bottom - top)
    scale = min(1.0, side / longer)
    room = math.ceil(longer / smallest)  # around the centre, on either side
    padding = (
        (room, room),
        (room, room),
        (0, 0),
    )
    padded = np.pad(picture.rgba.transpose(1, 2, 0), padding)
    image = Image.fromarray(padded).convert("RGBa")  # colours times alpha, as for all means
    x, y = (left + right) / 2 + room, (top + bottom) / 2 + room
    count = math.floor(2 * room * scale)
    half = count / scale / 2
    small = image.resize((count, count), RESAMPLING, (x - half, y - half, x + half, y + half))
    corner = (x - half - room, y - half - room)  # in pixels of the input
    offset = ((0.5 - corner[0]) * scale - 0.5, (0.5 - corner[1]) * scale - 0.5)
    return CloseUp(small, longer * scale, PixelMap((scale, scale), offset))


def cut_out(close: CloseUp, framing: Framing, image_size: Sequence[int], fill: float) -> Cutout:
    """Shifts and scales an image so that its object lies as in the framing.

    Args:
        close: of the image, with room for this size.
        framing: of the images which the network learned from.
        image_size: (height, width) of these.
        fill: the longer side of the outline's box as a share of the image's side.
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
