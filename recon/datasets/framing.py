"""The framing of objects in training images: their size, their place and the cameras.

An image from elsewhere is shifted and scaled to the same framing before the model sees it.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any

import torch
from torch import Tensor

from recon.datasets.multiview import MultiViewDataset
from recon.geometry.cameras import SHAPENET_VIEWS, Cameras, shapenet_cameras

# Pixels with an alpha above this belong to the object.
INSIDE = 127
# The number of objects looked at; medians of masks vary by less than a pixel between such samples.
MAX_OBJECTS = 64
# The number of cameras kept; more are thinned out, as where every object has cameras of its own.
MAX_CAMERAS = 64
# The quantiles of the sizes of masks which are the three numbers of `Framing.fill`.
QUANTILES = (0.05, 0.5, 0.95)
# Used where a checkpoint tells nothing: measured on 506 models of Debian's packages in the 24
# standard views, whose longest side is 1 and which are seen from 2.732 away.
USUAL_FILL = (0.39, 0.66, 0.88)
USUAL_CENTER = (0.0, 0.02)


@dataclass(frozen=True, eq=False)
class Framing:
    """Where objects lie in the images of a data set.

    Args:
        fill: The longer side of the masks' bounding boxes as a share of the image's side: the three
            `QUANTILES` over objects and views.
        center: The median offset (x, y) of the boxes' centres from the image's, as shares of its
            side, x to the right and y downwards.
        cameras: [K, 16] rows of the viewpoints.
        source: Where the framing is known from, in words.

    Raises:
        ValueError: If a number is out of range, or there is no camera.
    """

    fill: tuple[float, float, float]
    center: tuple[float, float]
    cameras: Tensor
    source: str

    def __post_init__(self) -> None:
        low, middle, high = self.fill
        if not 0 < low <= middle <= high <= 1 or not all(abs(x) < 0.5 for x in self.center):
            raise ValueError(
                "a framing needs rising fill in (0, 1] and center in (-0.5, 0.5), "
                f"got {self.fill} and {self.center}"
            )
        Cameras.from_rows(self.cameras)
        if len(self.cameras) == 0:
            raise ValueError("a framing needs a camera, got none")

    def plain(self) -> dict[str, Any]:
        """Returns it as a checkpoint keeps it."""
        return {"fill": list(self.fill), "center": list(self.center), "cameras": self.cameras}


def usual_framing() -> Framing:
    """Returns the framing of the 24 standard views."""
    rows = shapenet_cameras(range(SHAPENET_VIEWS)).rows()
    return Framing(USUAL_FILL, USUAL_CENTER, rows, "the standard views")


def find_framing(data: MultiViewDataset) -> Framing:
    """Measures the masks of some of the objects of a data set, evenly spread.

    Raises:
        ValueError: If no image shows anything.
        OSError: If a file could not be read.
    """
    count = min(len(data), MAX_OBJECTS)
    objects = [len(data) * turn // count for turn in range(count)]
    views = list(range(data.num_views))
    boxes = torch.cat([mask_boxes(data.images(index, views)[:, 3]) for index in objects])
    if len(boxes) == 0:
        raise ValueError(f"{data.paths[0]}: the images show nothing, their alpha is 0")
    size = boxes.new_tensor([data.image_size[1], data.image_size[0]])
    low, high = boxes[:, :2] / size, boxes[:, 2:] / size
    quantiles = torch.quantile((high - low).amax(1), torch.tensor(QUANTILES))
    fill = (float(quantiles[0]), float(quantiles[1]), float(quantiles[2]))
    x, y = ((low + high) / 2 - 0.5).median(0).values.tolist()
    return Framing(fill, (x, y), _different_cameras(data, objects), "the training data")


def _different_cameras(data: MultiViewDataset, objects: list[int]) -> Tensor:
    """Returns the cameras of some objects, [K, 16]: those that all share in the order of views."""
    rows = torch.cat([data.cameras(index, range(data.num_views)) for index in objects])
    different = torch.tensor(list(dict.fromkeys(map(tuple, rows.tolist()))))
    return different[:: max(1, -(-len(different) // MAX_CAMERAS))]


def framing_of(checkpoint: Mapping[str, Any]) -> Framing:
    """Returns the framing a checkpoint knows, else that of its data, else the usual one.

    Args:
        checkpoint: The checkpoint, as `load_checkpoint` returns it.
    """
    kept = checkpoint.get("framing")
    if kept is not None:
        low, middle, high = map(float, kept["fill"])
        x, y = map(float, kept["center"])
        return Framing((low, middle, high), (x, y), kept["cameras"], "the checkpoint")
    path = (checkpoint["config"].get("data") or {}).get("path")
    if not path:
        return usual_framing()
    try:
        return find_framing(MultiViewDataset(path, "train"))
    except (OSError, ValueError):  # trained elsewhere, or the file is gone
        return usual_framing()


def mask_boxes(alpha: Tensor) -> Tensor:
    """Returns the bounding boxes of what is opaque, of the images that show anything.

    Args:
        alpha: [N, H, W] uint8, the alpha of images.

    Returns:
        [M, 4] (left, top, right, bottom) in pixels, from border to border.
    """
    inside = alpha > INSIDE
    inside = inside[inside.flatten(1).any(1)]
    sides = []
    for axis in (1, 2):  # columns, then rows
        line = inside.any(axis).float()
        sides.append((line.argmax(1), line.shape[1] - line.flip(1).argmax(1)))
    (left, right), (top, bottom) = sides
    return torch.stack((left, top, right, bottom), dim=1).float()
