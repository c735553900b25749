"""Finds the mask of an image's object: a given one, the alpha channel, or an estimate."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray
from scipy import ndimage

from recon.formats.images import OPAQUE, RgbaImage
from recon.formats.plain_background import MOST_OBJECT, EstimatedMask, estimate_mask
from recon.formats.resampling import shrink

# A piece smaller than this share of all is a speck: it does not count as a piece of the object.
SPECK = 0.005
MASK, ALPHA, ESTIMATED = "mask", "alpha channel", "estimated"


@dataclass(frozen=True)
class MaskedImage:
    """An image whose alpha is the mask of its object.

    Attributes:
        rgba: [4, H, W] uint8 sRGB and mask, not premultiplied.
        source: Where the mask is from: "mask", "alpha channel" or "estimated".
        notes: Remarks on the file and the mask, for the user.
    """

    rgba: NDArray[np.uint8]
    source: str
    notes: tuple[str, ...]


def mask_source(image: RgbaImage, mask: NDArray[np.uint8] | None) -> str:
    """Returns where the mask of an image is from: a given one first, then alpha, else an estimate.

    Args:
        image: The image.
        mask: [H, W] uint8, 255 inside; None if none is given.
    """
    if mask is not None:
        return MASK
    return ALPHA if image.has_mask else ESTIMATED


def masked_image(
    image: RgbaImage,
    mask: NDArray[np.uint8] | None,
    longest_side: int | None = None,
    estimate: Callable[[NDArray[np.uint8]], EstimatedMask] = estimate_mask,
) -> MaskedImage:
    """Returns an image with the best mask there is as its alpha.

    Args:
        image: The image.
        mask: [H, W] uint8, 255 inside; None takes the alpha channel, and where that is no mask an
            estimate.
        longest_side: The number of pixels along the longer side to which a larger image is shrunk
            first.
        estimate: What estimates a mask from colours [3, H, W]; by default from a plain background.

    Raises:
        ValueError: If nothing is inside the mask, or nothing stands out from the background.
    """
    source, notes = mask_source(image, mask), image.notes
    rgba = image.rgba if mask is None else np.concatenate((image.rgba[:3], mask[None]))
    if longest_side is not None:
        rgba = shrink(rgba, longest_side)
    if source == ESTIMATED:
        estimated = estimate(rgba[:3])
        rgba = np.concatenate((rgba[:3], estimated.alpha[None]))
        notes += estimated.notes
    require_object(rgba[3], source)
    return MaskedImage(rgba, source, notes + mask_notes(rgba[3]))


def require_object(alpha: NDArray[np.uint8], source: str) -> None:
    """Refuses a mask [H, W] with nothing inside.

    Args:
        alpha: [H, W] uint8.
        source: Where the mask is from, for the message.

    Raises:
        ValueError: If no pixel is more opaque than transparent.
    """
    if alpha.max(initial=0) < OPAQUE:
        raise ValueError(
            f"the {source} is empty: its greatest value is {alpha.max(initial=0)} of 255, so the"
            " object is not in the image"
        )


def mask_notes(alpha: NDArray[np.uint8]) -> tuple[str, ...]:
    """Returns what is doubtful about a mask [H, W], in words."""
    inside = alpha >= OPAQUE
    notes = []
    if (share := float(inside.mean())) > MOST_OBJECT:
        notes.append(f"the object fills the frame: the mask covers {100 * share:.0f} % of it")
    elif inside[[0, -1]].any() or inside[:, [0, -1]].any():
        notes.append("the object touches the border, so a part of it may be missing")
    pieces, count = ndimage.label(inside, np.ones((3, 3)))
    sizes = np.bincount(pieces.ravel(), minlength=count + 1)[1:]
    if (large := int((sizes >= SPECK * sizes.sum()).sum())) > 1:
        notes.append(f"the mask falls into {large} pieces")
    return tuple(notes)
