"""Estimates the mask of an object before a plain background.

It is no segmentation by meaning: it knows a colour, or a smooth change of colours, that surrounds
the image. What has this colour in the object is lost, and what has another one around it, such as
a shadow or a table's edge, is taken for a part of it.
"""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray
from scipy import ndimage

WEAKNESS = (
    "the mask is an estimate: it takes the background for plain, loses what has its colour"
    " and keeps shadows"
)
# The width of the frame from which the background is learned, as a share of the shorter side.
FRAME = 0.02
# Differences in steps of 256: what JPEG makes of a plain surface stays below the least one, and
# what differs by more than the most is object however noisy the frame is.
LEAST_DIFFERENCE, MOST_DIFFERENCE = 14.0, 60.0
# Deviations of the frame's noise which still are background.
DEVIATIONS = 6.0
# The deviation of the noise, in steps of 256, above which a frame is one of texture.
MOST_NOISE = 4.0
# A frame of which more than this differs from the fitted background is not plain.
MOST_OF_FRAME = 0.25
# Shares of the image: a smaller object is dirt, and a larger one the background itself.
LEAST_OBJECT, MOST_OBJECT = 0.002, 0.95
# A hole must be so much nearer to the background, and so large a share of the image.
HOLE_FACTOR, LEAST_HOLE = 0.5, 0.001
# Parts smaller than this share of the largest one are dirt.
LEAST_PART = 0.05
# Brightness and two differences of colour (ITU-R BT.601).
_AXES = np.array([[0.299, 0.587, 0.114], [-0.169, -0.331, 0.5], [0.5, -0.419, -0.081]])


@dataclass(frozen=True, eq=False)
class EstimatedMask:
    """The estimated mask of an object.

    Args:
        alpha: [H, W] uint8, 255 or 0.
        notes: The reasons to doubt it, in words.
    """

    alpha: NDArray[np.uint8]
    notes: tuple[str, ...]


@dataclass(frozen=True, eq=False)
class FittedBackground:
    """What an image is like as an object before a plain background.

    Args:
        difference: [H, W] how far pixels are from the background, in steps of 256.
        limit: The difference from which on a pixel is object.
        odd: The share of the frame that differs by more.
    """

    difference: NDArray[np.float64]
    limit: float
    odd: float

    @property
    def plain(self) -> bool:
        """Whether the frame of the image is that of a plain background."""
        return self.odd <= MOST_OF_FRAME and self.limit <= DEVIATIONS * MOST_NOISE

    def mask(self) -> EstimatedMask:
        """Returns the mask of the object, plain or not.

        Raises:
            ValueError: If nothing differs from the background, or nearly everything does.
        """
        inside = large_parts(~_background(self.difference, self.limit))
        require_size(inside, "differs from a plain background")
        notes = [WEAKNESS]
        if self.odd > MOST_OF_FRAME:
            share = f"{100 * self.odd:.0f} %"
            notes.append(f"the background is not plain: {share} of the frame differs from it")
        return EstimatedMask(np.where(inside, 255, 0).astype(np.uint8), tuple(notes))


def estimate_mask(rgb: NDArray[np.uint8]) -> EstimatedMask:
    """Separates an object from the plain background around it.

    The background is a plane over the image for each axis of colour, fitted to the frame of the
    image without its outliers. Background are the regions near to it which touch the border, and
    holes which are nearer still.

    Args:
        rgb: [3, H, W] sRGB.

    Raises:
        ValueError: If nothing differs from the background, or nearly everything does.
    """
    return fit_background(rgb).mask()


def require_size(inside: NDArray[np.bool_], what: str) -> None:
    """Refuses a mask [H, W] of nothing or of nearly everything.

    Args:
        inside: The mask.
        what: What its pixels do, for the message.

    Raises:
        ValueError: If it has less than 0.2 or more than 95 percent of the image.
    """
    share = float(inside.mean())
    if not LEAST_OBJECT <= share <= MOST_OBJECT:
        which = "nothing" if share < LEAST_OBJECT else "nearly everything"
        raise ValueError(
            f"no object found: {which} {what}; give a mask, or an image with an alpha channel"
        )


def fit_background(rgb: NDArray[np.uint8]) -> FittedBackground:
    """Fits a plain background to the frame of an image [3, H, W] sRGB, see `estimate_mask`."""
    colors = np.tensordot(_AXES, rgb.astype(np.float64), 1)
    frame = _frame(rgb.shape[1:])
    difference = _difference(colors, frame)
    noise = 1.4826 * float(np.median(difference[frame]))  # the deviation, if it is normal
    limit = float(np.clip(DEVIATIONS * noise, LEAST_DIFFERENCE, MOST_DIFFERENCE))
    return FittedBackground(difference, limit, float((difference[frame] > limit).mean()))


def _frame(size: tuple[int, ...]) -> NDArray[np.bool_]:
    width = max(1, round(FRAME * min(size)))
    frame = np.ones(size, bool)
    frame[width:-width, width:-width] = False
    return frame


def _difference(colors: NDArray[np.float64], frame: NDArray[np.bool_]) -> NDArray[np.float64]:
    """Returns [H, W] how far colours [3, H, W] are from planes fitted to the frame."""
    height, width = frame.shape
    rows, columns = np.mgrid[0:height, 0:width]
    basis = np.stack((np.ones(frame.shape), columns / width - 0.5, rows / height - 0.5))
    places, values = basis[:, frame].T, colors[:, frame].T  # [N, 3] each
    known = np.ones(len(places), bool)
    # An object that reaches into the frame leaves the fit in a few rounds.
    for _ in range(4):
        planes, *_ = np.linalg.lstsq(places[known], values[known], rcond=None)
        distances = _lengths((values - places @ planes).T)
        within = max(LEAST_DIFFERENCE / 2, 2.5 * float(np.median(distances)))
        known = distances <= within
        if known.sum() < 10:  # three numbers of each axis must be determined well
            break
    return _lengths(colors - np.tensordot(planes.T, basis, 1))


def _lengths(vectors: NDArray[np.float64]) -> NDArray[np.float64]:
    """Returns the lengths of vectors [3, ...]."""
    x, y, z = vectors
    return np.asarray(np.sqrt(x * x + y * y + z * z))


def _background(difference: NDArray[np.float64], limit: float) -> NDArray[np.bool_]:
    regions, count = ndimage.label(difference < limit)
    border = np.concatenate([regions[[0, -1]].ravel(), regions[:, [0, -1]].ravel()])
    sizes = np.bincount(regions.ravel(), minlength=count + 1)
    means = np.bincount(regions.ravel(), difference.ravel(), count + 1) / np.maximum(sizes, 1)
    holes = (sizes >= LEAST_HOLE * difference.size) & (means < HOLE_FACTOR * limit)
    chosen = np.isin(np.arange(count + 1), border) | holes
    chosen[0] = False  # region 0 has the pixels that differ from the background
    return np.asarray(chosen[regions])


def large_parts(inside: NDArray[np.bool_]) -> NDArray[np.bool_]:
    """Returns a mask [H, W] without small parts."""
    parts, count = ndimage.label(inside, np.ones((3, 3)))
    sizes = np.bincount(parts.ravel(), minlength=count + 1)
    sizes[0] = 0
    return np.asarray((sizes >= max(1.0, LEAST_PART * sizes.max()))[parts])
