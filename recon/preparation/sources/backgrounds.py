"""Finds the colours and the mask of images that are stored over a background."""

from __future__ import annotations

import logging
from collections import Counter
from collections.abc import Mapping

import numpy as np
from numpy.typing import NDArray
from scipy import ndimage

log = logging.getLogger(__name__)

# How the colours of an image with an alpha channel may have been stored:
#   straight  as they are
#   white     laid over a white background
#   black     laid over a black background, that is, multiplied with alpha
#   inverted  laid over a white background, then 255 minus that, as Kato's script for NMR does
COLORS = ("straight", "white", "black", "inverted")

# Colours laid over a background were rounded twice, in steps of 1.
ROUNDING = 2
# Renderers leave single pixels with a colour but no alpha at the border of an object.
MOST = 0.95

# JPEG darkens a white background by up to this next to an object. Of 28 renderings of 3D-R2N2 laid
# over white, masks at 240 had an IoU of 0.90 with alpha, at 250 and at 220 less.
NEARLY_WHITE = 240
# Brightness of sRGB colours (ITU-R BT.601), which JPEG keeps better than colour.
BRIGHTNESS = np.array([0.299, 0.587, 0.114], np.float32)
# A white background far from objects is 254 or 255; a white object is hardly so even.
PURE_WHITE = 254
# A region of fewer pixels is a highlight on the object and not a hole in it.
MIN_HOLE = 12


def detect_colors(rgba: NDArray[np.uint8]) -> str | None:
    """Returns which of `COLORS` images [..., 4, H, W] have, or None if they do not show it.

    "white": the pixels without alpha are white. "black": they are black, and at the border of the
    object no colour is above its alpha. Otherwise "straight", if there are pixels without alpha and
    at the border of the object. Inverted images look as those over black of objects with other
    colours, so that is never detected.
    """
    channels = np.moveaxis(rgba, -3, 0).reshape(4, -1)
    outside, border = channels[3] == 0, (channels[3] > 0) & (channels[3] < 255)
    if not outside.any():
        return None
    if (channels[:3, outside].min(0) >= 255 - ROUNDING).mean() > MOST:
        return "white"
    if not border.any():
        return None
    black = (channels[:3, outside].max(0) <= ROUNDING).mean() > MOST
    brightest = channels[:3, border].max(0).astype(np.int64)
    below_alpha = (brightest <= channels[3, border].astype(np.int64) + ROUNDING).mean() > MOST
    return "black" if black and below_alpha else "straight"


def read_colors(found: Mapping[str, str]) -> None:
    """Logs how the colours of a source were interpreted.

    Args:
        found: The word among `COLORS` that was found, by the name of what was looked at.
    """
    counts = Counter(found.values())
    parts = [f"{colors} in {count} ({_example(found, colors)})" for colors, count in counts.items()]
    log.info(
        "colours of images are taken as %s; source.colors=%s overrides that",
        ", ".join(parts),
        "|".join(COLORS),
    )


def _example(found: Mapping[str, str], colors: str) -> str:
    names = [name for name, decided in found.items() if decided == colors]
    return names[0] if len(names) == 1 else f"{names[0]}, ..."


def straighten(rgba: NDArray[np.uint8], colors: str) -> NDArray[np.uint8]:
    """Returns images with straight colours, 0 where alpha is 0.

    Args:
        rgba: [..., 4, H, W] uint8, the images.
        colors: The word among `COLORS` that tells how the colours are stored.
    """
    color, alpha = rgba[..., :3, :, :].astype(np.float32), rgba[..., 3:, :, :].astype(np.float32)
    if colors == "inverted":
        color = 255 - color
    if colors != "straight":
        background = 0 if colors == "black" else 255 - alpha
        # Where alpha is 0 the color is set below; the floor avoids 0/0.
        color = (color - background) * np.float32(255) / np.maximum(alpha, np.float32(1))
    visible = np.rint(color.clip(0, 255)) * (alpha > 0)
    return np.concatenate([visible, alpha], axis=-3).astype(np.uint8)


def mask_before_white(rgb: NDArray[np.uint8]) -> NDArray[np.uint8]:
    """Returns 255 where an image on white shows its object, else 0; an estimate.

    Background are the nearly white regions which touch the image's border, and of the others
    those that are purely white and large enough to be holes (a white surface inside the object
    may be taken for one, and a white surface at its border for background).

    Args:
        rgb: [3, H, W] uint8, the image.

    Returns:
        [H, W].
    """
    brightness = np.tensordot(BRIGHTNESS, rgb.astype(np.float32), 1)
    regions, count = ndimage.label(brightness >= NEARLY_WHITE)
    touching = np.unique(np.concatenate([regions[[0, -1]].ravel(), regions[:, [0, -1]].ravel()]))
    numbers = np.arange(count + 1)
    sizes = np.bincount(regions.ravel(), minlength=count + 1)
    sums = np.bincount(regions.ravel(), brightness.ravel(), count + 1)
    holes = (sizes >= MIN_HOLE) & (sums >= PURE_WHITE * sizes)
    background = np.isin(numbers, touching) | holes
    background[0] = False  # what is not nearly white
    return np.where(background[regions], 0, 255).astype(np.uint8)
