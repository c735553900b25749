"""Reads the images of textures, and continues them beyond their sides."""

from __future__ import annotations

import warnings
from collections.abc import Callable

import numpy as np
from numpy.typing import NDArray
from PIL import Image

from recon.formats.images import decode_image
from recon.formats.meshes.reading.textured_mesh import CLAMP, MIRROR, MeshWarning
from recon.formats.stores import Store

# Textures are read at this size: an image of 64 pixels shows no finer detail, and hundreds of them
# fit into memory.
TEXTURE_SIZE = 512
# Formats of games and renderers besides those of photographs.
FORMATS = ("PNG", "JPEG", "WEBP", "GIF", "BMP", "TIFF", "TGA", "PCX", "SGI", "DDS", "PPM")


def load_texture(
    store: Store, name: str, is_opacity: Callable[[NDArray[np.uint8]], bool] = lambda alpha: True
) -> NDArray[np.float32] | None:
    """Returns the image as [H, W, 4] RGBA in [0, 1], at most 512 wide or high; None if unreadable.

    A texture is decoration: a damaged one leaves the plain colour, with a warning.

    Args:
        store: The store that has the image.
        name: The name of the image.
        is_opacity: Tells whether the alpha channel [H, W], as stored, is opacity; if not, it is
            left out, and the image is opaque.
    """
    rgba = _decode(store, name)
    if rgba is None:
        return None
    kept = rgba[..., 3].min() < 255 and is_opacity(rgba[..., 3])
    image = Image.fromarray(rgba if kept else np.ascontiguousarray(rgba[..., :3]))
    image.thumbnail((TEXTURE_SIZE, TEXTURE_SIZE))
    pixels = np.asarray(image.convert("RGBA")) / np.float32(255)
    if not pixels[..., 3].any():
        pixels[..., 3] = 1  # a channel which its program did not use, not an invisible texture
    return pixels


def read_opacity(store: Store, name: str) -> NDArray[np.float32] | None:
    """Returns the opacity [H, W] in [0, 1] that an image holds; None if it is unreadable.

    It is the alpha channel where that says anything, and else the brightness.
    """
    rgba = _decode(store, name)
    if rgba is None:
        return None
    alpha = rgba[..., 3]
    values = alpha if alpha.min() < 255 else np.asarray(Image.fromarray(rgba).convert("L"))
    image = Image.fromarray(values)
    image.thumbnail((TEXTURE_SIZE, TEXTURE_SIZE))
    return np.asarray(image) / np.float32(255)


def _decode(store: Store, name: str) -> NDArray[np.uint8] | None:
    """Returns the image as [H, W, 4] uint8 as it is stored, or None with a warning."""
    try:
        decoded = decode_image(
            store.read(name), f"texture {name}", upright=False, formats=FORMATS, draft=TEXTURE_SIZE
        )
    except (OSError, ValueError) as error:
        warnings.warn(str(error), MeshWarning, stacklevel=2)
        return None
    return np.ascontiguousarray(decoded.rgba.transpose(1, 2, 0))


def wrap_coordinates(values: NDArray[np.float64], mode: int) -> NDArray[np.float64]:
    """Returns texture coordinates [...] as places in [0, 1] of the image.

    Args:
        values: The coordinates along one axis.
        mode: How the texture continues beyond its sides: REPEAT, CLAMP or MIRROR.
    """
    if mode == CLAMP:
        return values.clip(0, 1)
    if mode == MIRROR:
        return 1 - np.abs(values % 2 - 1)
    return values - np.floor(values)
