"""Reads views: an image and its mask, as a camera file names them."""

from __future__ import annotations

import logging
import posixpath
from collections.abc import Mapping
from pathlib import Path

from recon.formats.cameras.frame import Frame
from recon.formats.images import SUFFIXES, ImageLike, decode_image, decode_mask, read_mask
from recon.formats.masks import ESTIMATED, MaskedImage, mask_source, masked_image
from recon.formats.stores import Store

log = logging.getLogger(__name__)

# Where masks come from besides files and alpha: nowhere, or an estimate from a plain background.
MASKS = ("given", "plain")
FOLDERS = ("mask", "masks")


def read_view(store: Store, frame: Frame, masks: str = "given") -> MaskedImage:
    """Reads the image of a frame with its mask as alpha.

    Images of calibrated cameras keep their pixels as they are stored, others are turned upright.
    The mask is the file that the frame names, else that of `find_mask`, else the alpha channel.

    Args:
        store: The store that has the files.
        frame: The frame, which names the image and perhaps the mask.
        masks: Where the mask comes from: "given" refuses an image without a mask; "plain" estimates
            it from a plain background.

    Raises:
        FileNotFoundError: If a file is not there.
        ValueError: If the file is damaged, sizes differ or the mask is empty; the message names it.
    """
    upright = not frame.is_calibrated
    image = decode_image(store.read(frame.file), f"{store.label}: {frame.file}", upright)
    name = frame.mask or find_mask(store, frame.file)
    mask = None if name is None else read_mask(store, name, image)
    if mask_source(image, mask) == ESTIMATED and masks != "plain":
        stem = posixpath.splitext(posixpath.basename(frame.file))[0]
        raise ValueError(
            f"there is neither a mask nor transparency in the image; add mask/{stem}.png beside it"
            " (white where the object is), name the file by the key mask, or estimate the mask from"
            " a plain background (mask=plain)"
        )
    return masked_image(image, mask)


def find_mask(store: Store, file: str) -> str | None:
    """Returns the name of the mask of an image, or None if there is none.

    It is NAME_mask beside the image, or NAME (with or without the image's suffix before its own)
    in a folder `mask` or `masks` in the image's folder or beside that folder, of any image format.
    """
    folder, leaf = posixpath.split(file)
    stem = posixpath.splitext(leaf)[0]
    places = [posixpath.join(folder, f"{stem}_mask")]
    for parent in dict.fromkeys((folder, posixpath.dirname(folder))):
        for name in FOLDERS:
            places += [posixpath.join(parent, name, stem), posixpath.join(parent, name, leaf)]
    candidates = (place + suffix for place in places for suffix in SUFFIXES)
    return next((found for name in candidates if (found := store.find(name)) is not None), None)


def is_mask_name(name: str) -> bool:
    """Tells whether a file is by its name a mask and not an image."""
    folder, leaf = posixpath.split(name)
    return posixpath.basename(folder) in FOLDERS or posixpath.splitext(leaf)[0].endswith("_mask")


def read_masked_image(
    image: ImageLike, mask: ImageLike | None = None, upright: bool = True
) -> MaskedImage:
    """Reads one image with a mask as alpha, and logs what is to be known about both.

    Args:
        image: The image, in any form that `recon.formats.images.decode_image` takes.
        mask: The mask, in any of the same forms; "plain" estimates it from a plain background where
            the image has no alpha channel; None needs an alpha channel.
        upright: Whether to turn the image as its EXIF data ask.

    Raises:
        FileNotFoundError: If there is no such file.
        ValueError: If a file is damaged, sizes differ or there is no mask; the message names the
            image.
    """
    decoded = decode_image(image, upright=upright)
    plain = isinstance(mask, str) and mask == "plain"
    alpha = None if mask is None or plain else decode_mask(mask, like=decoded, upright=upright)
    label = _label(image)
    if mask_source(decoded, alpha) == ESTIMATED and not plain:
        raise ValueError(
            f"{label} has no transparent pixels, which would be its mask; give a mask"
            " (mask=FILE), or estimate it from a plain background (mask=plain)"
        )
    try:
        masked = masked_image(decoded, alpha)
    except ValueError as error:
        raise ValueError(f"{label if alpha is None else _label(mask)}: {error}") from error
    log_notes(label, {"": masked})
    return masked


def _label(source: ImageLike | None) -> str:
    return str(source) if isinstance(source, str | Path) else "the image"


def log_notes(label: str, images: Mapping[str, MaskedImage]) -> None:
    """Logs each note about the views of an object once, with the number of images it holds for.

    Args:
        label: The name of the object in messages.
        images: The views by the names of their files.
    """
    files: dict[str, list[str]] = {}
    for file, image in images.items():
        for note in image.notes:
            files.setdefault(note, []).append(file)
    for note, names in files.items():
        more = f" and {len(names) - 1} more images" if len(names) > 1 else ""
        log.warning("%s", ": ".join(filter(None, (label, names[0] + more, note))))
