"""A source of images of one's own: balls, drawn by a formula; yours would read files."""

from __future__ import annotations

import math
from typing import Any

import numpy as np

from recon.datasets.storage.layout import Layout, ObjectArrays
from recon.geometry.cameras import Cameras
from recon.preparation.sources.interface import ObjectEntry, fingerprint

SPLITS = ("train", "train", "val", "test")
DISTANCE, FOV = 2.732, 30.0


class BallsSource:
    """Balls of random size and colour with images and cameras, an `ImageSource`.

    Args:
        count: The number of balls.
        image_size: The number of pixels along each side of the images.
        views: The number of views of each ball.
    """

    name = "balls"

    def __init__(self, count: int = 8, image_size: int = 64, views: int = 24) -> None:
        self.count, self.image_size, self.views = count, image_size, views

    def config(self) -> dict[str, Any]:
        """Returns what decides the objects; a file of another configuration is not overwritten."""
        numbers = {"count": self.count, "image_size": self.image_size, "views": self.views}
        return {"source": self.name, **numbers}

    def objects(self) -> list[ObjectEntry]:
        """Returns the objects before they are read: name, category, family, split, licence."""
        return [
            ObjectEntry(
                id=f"ball-{index}",
                name=f"ball {index}",
                synset="ball",
                group=f"ball-{index}",  # a family of objects lies in one split
                split=SPLITS[index % len(SPLITS)],
                licence="CC0-1.0",
                fingerprint=fingerprint([self.config(), index]),
            )
            for index in range(self.count)
        ]

    def layout(self) -> Layout:
        """Returns which arrays every object has: images and cameras, and no voxels here."""
        return Layout((self.image_size, self.image_size), self.views)

    def arrays(self, entry: ObjectEntry) -> ObjectArrays:
        """Returns the images [K, 4, H, W] of one object, and the rows [K, 16] of their cameras."""
        random = np.random.default_rng(int(entry.id.rpartition("-")[2]))
        radius, color = random.uniform(0.2, 0.4), random.integers(50, 255, 3)
        azimuths = [360 * view / self.views for view in range(self.views)]
        cameras = Cameras.orbit(azimuths, 30.0, DISTANCE, FOV)
        # From every eye at this distance a ball around the origin is a disc of this radius in NDC.
        tangent = radius / math.sqrt(DISTANCE**2 - radius**2)
        disc = tangent / math.tan(math.radians(FOV / 2))
        centers = (2 * np.arange(self.image_size) + 1) / self.image_size - 1
        alpha = 255 * (np.hypot(centers, centers[:, None]) < disc)
        image = np.stack([*(np.full_like(alpha, value) for value in color), alpha])
        images = np.tile(image.astype(np.uint8), (self.views, 1, 1, 1))
        return {"images": images, "cameras": cameras.rows().numpy()}
