"""Reads all views of one object from its camera files, in the frame of models."""

from __future__ import annotations

import logging
from collections.abc import Sequence
from dataclasses import dataclass, replace

import numpy as np

from recon.formats.cameras.frame import Frame
from recon.formats.cameras.reader import CameraFiles, read_frames
from recon.formats.images import OPAQUE
from recon.formats.masks import MaskedImage
from recon.formats.stores import NamedStore
from recon.formats.views import log_notes, read_view
from recon.preparation.normalization import IDENTITY, Normalization, find_normalization

log = logging.getLogger(__name__)

# Pixels along the longer side of the masks that tell where the object is.
HULL_SIDE = 512


@dataclass(frozen=True)
class Placement:
    """How the coordinates of a camera file become those of models.

    Attributes:
        frame: The front and up directions in the file, such as "-y,+z", or "auto", as for
            `find_normalization`.
        center: What becomes the middle: "hull", "cameras", "none" or "auto", as for
            `find_normalization`.
        scale: The scale: "auto", "none" or a number, as for `find_normalization`.
    """

    frame: str | Sequence[str] = "auto"
    center: str = "auto"
    scale: str | float = "auto"

    @property
    def is_automatic(self) -> bool:
        """Whether nothing is asked for, so that a file in the frame of models stays as it is."""
        return (self.frame, self.center, self.scale) == ("auto", "auto", "auto")


@dataclass(frozen=True)
class CalibratedViews:
    """The views of one object.

    Attributes:
        frames: The cameras of the views, in the frame of models.
        images: The images of the same views.
        normalization: The map from the coordinates of the camera file to the frame of models.
    """

    frames: list[Frame]
    images: list[MaskedImage]
    normalization: Normalization


def read_calibrated_views(
    label: str,
    cameras: NamedStore,
    files: CameraFiles,
    images: NamedStore,
    masks: str = "given",
    placement: Placement | None = None,
    limit: int | None = None,
) -> CalibratedViews:
    """Reads the views of one object, and logs how they were placed.

    Args:
        label: The name of the object in messages.
        cameras: The folder of the camera files.
        files: The camera files.
        images: The folder of the images.
        masks: Where masks come from, "given" or "plain", as for `read_view`.
        placement: How the file's coordinates become those of models; None finds it automatically.
        limit: The number of frames to read, from the first on; None reads all.

    Raises:
        FileNotFoundError: If a file is not there.
        ValueError: If something is wrong; the message names the file or frame.
    """
    placement = placement or Placement()
    frames = read_frames(cameras, files, images)[:limit]
    views: dict[str, MaskedImage] = {}
    for index, frame in enumerate(frames):
        try:
            views[frame.file] = read_view(images, frame, masks)
            frame.matrix(_size(views[frame.file]))
        except (ValueError, OSError) as error:
            raise ValueError(f"{label}: frame {index} ({frame.file}): {error}") from error
    log_notes(label, views)
    read = [views[frame.file] for frame in frames]
    in_model_frame = files.format == "json"
    if in_model_frame and placement.is_automatic:
        return CalibratedViews(frames, read, IDENTITY)
    try:
        found = find_normalization(
            *_small(frames, read), placement.frame, placement.center, placement.scale,
            in_model_frame,
        )  # fmt: skip
    except ValueError as error:
        raise ValueError(f"{label}: {error}") from error
    log.info("%s: %d cameras (%s) are placed by %s", label, len(frames), files.format, found)
    if found is not IDENTITY:
        frames = [found.apply(frame) for frame in frames]
    return CalibratedViews(frames, read, found)


def _size(image: MaskedImage) -> tuple[int, int]:
    return image.rgba.shape[1], image.rgba.shape[2]


def _small(
    frames: Sequence[Frame], images: Sequence[MaskedImage]
) -> tuple[list[Frame], list[np.ndarray]]:
    """Returns frames and masks of every n-th pixel, which are enough to place the object."""
    small, masks = [], []
    for frame, image in zip(frames, images, strict=True):
        step = max(1, max(_size(image)) // HULL_SIDE)
        # Centres of pixels are at integers, so pixel i of the small image is pixel step * i.
        matrix = np.diag([1 / step, 1 / step, 1.0]) @ frame.matrix(_size(image))
        small.append(replace(frame, intrinsics={"K": matrix}, size=None))
        masks.append(image.rgba[3, ::step, ::step] >= OPAQUE)
    return small, masks
