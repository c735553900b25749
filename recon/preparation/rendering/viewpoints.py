"""The cameras of rendered objects: the standard views, or random ones for every object."""

from __future__ import annotations

import hashlib
import math
from collections.abc import Sequence
from dataclasses import replace
from typing import Any, Protocol

import numpy as np
import torch

from recon.arguments import Coordinate, Degrees, Elevation, FieldOfView, Length, Seed, ViewCount
from recon.geometry.cameras import (
    SHAPENET_DISTANCE,
    SHAPENET_FOV,
    SHAPENET_VIEWS,
    Cameras,
    shapenet_cameras,
)

# Rows of a camera matrix in pixels: ((fx, 0, cx), (0, fy, cy), (0, 0, 1)).
Intrinsics = Sequence[Sequence[Coordinate]]


class Viewpoints(Protocol):
    """The cameras of every object, which look at its centre.

    Attributes:
        num_views: The number of cameras per object.
    """

    num_views: int

    def config(self) -> dict[str, Any]:
        """Returns the configuration as plain data."""

    def cameras(self, object_id: str, image_size: tuple[int, int]) -> Cameras:
        """Returns the cameras of one object for images of (height, width) pixels."""


class StandardViews:
    """The 24 views of the ShapeNet renderings, the same ones for every object.

    Args:
        intrinsics: The camera matrix K in pixels of the images, pixel centres at whole numbers;
            None for square pixels and a full vertical angle of 30 degrees.

    Raises:
        ValueError: If `intrinsics` is not a camera matrix.
    """

    num_views = SHAPENET_VIEWS

    def __init__(self, intrinsics: Intrinsics | None = None) -> None:
        self.intrinsics = _parse_intrinsics(intrinsics)

    def config(self) -> dict[str, Any]:
        """Returns the configuration as plain data."""
        return {"viewpoints": "standard", "intrinsics": self.intrinsics}

    def cameras(self, object_id: str, image_size: tuple[int, int]) -> Cameras:
        """Returns the 24 cameras."""
        return _with_intrinsics(
            shapenet_cameras(range(self.num_views)), self.intrinsics, image_size
        )


class RandomViews:
    """Cameras drawn for every object from its id: azimuth, elevation and distance are uniform.

    Args:
        count: The number of views per object; the first ones are the same for any number.
        azimuth: The lowest and highest azimuth in degrees.
        elevation: The lowest and highest elevation in degrees, within [-90, 90].
        distance: The lowest and highest distance in object units, > 0.
        fov: The full vertical angle of view in degrees, in (0, 180).
        seed: The seed of the choice, >= 0.
        intrinsics: The camera matrix K in pixels of the images, pixel centres at whole numbers,
            instead of `fov`.

    Raises:
        ValueError: If an argument is out of range; the message names it.
    """

    def __init__(
        self,
        count: ViewCount,
        azimuth: Sequence[Degrees] = (0.0, 360.0),
        elevation: Sequence[Elevation] = (-20.0, 60.0),
        distance: Sequence[Length] = (SHAPENET_DISTANCE, SHAPENET_DISTANCE),
        fov: FieldOfView = SHAPENET_FOV,
        seed: Seed = 0,
        intrinsics: Intrinsics | None = None,
    ) -> None:
        if count < 1:
            raise ValueError(f"count must be >= 1, got {count}")
        if seed < 0:
            raise ValueError(f"seed must be >= 0, got {seed}")
        if not 0 < fov < 180:
            raise ValueError(f"fov must lie in (0, 180) degrees, got {fov}")
        self.num_views, self.seed, self.fov = count, seed, float(fov)
        self.azimuth = _parse_range("azimuth", azimuth, -math.inf, math.inf)
        self.elevation = _parse_range("elevation", elevation, -90, 90)
        self.distance = _parse_range("distance", distance, 0, math.inf)
        if self.distance[0] == 0:
            raise ValueError(f"distance must be > 0, got {list(distance)}")
        self.intrinsics = _parse_intrinsics(intrinsics)

    def config(self) -> dict[str, Any]:
        """Returns the configuration as plain data."""
        return {
            "viewpoints": "random",
            "count": self.num_views,
            "azimuth": list(self.azimuth),
            "elevation": list(self.elevation),
            "distance": list(self.distance),
            "fov": None if self.intrinsics else self.fov,
            "seed": self.seed,
            "intrinsics": self.intrinsics,
        }

    def cameras(self, object_id: str, image_size: tuple[int, int]) -> Cameras:
        """Returns the cameras of one object, a pure function of configuration and id."""
        digest = hashlib.sha256(object_id.encode()).digest()
        sequence = np.random.SeedSequence([self.seed, int.from_bytes(digest[:16], "big")])
        drawn = np.random.Generator(np.random.Philox(sequence)).random((self.num_views, 3))
        ranges = np.array([self.azimuth, self.elevation, self.distance])
        values = ranges[:, 0] + drawn * (ranges[:, 1] - ranges[:, 0])
        azimuth, elevation, distance = torch.from_numpy(values.astype(np.float32)).unbind(1)
        orbit = Cameras.orbit(azimuth, elevation, distance, torch.full_like(azimuth, self.fov))
        return _with_intrinsics(orbit, self.intrinsics, image_size)


def _parse_range(
    name: str, values: Sequence[float], low: float, high: float
) -> tuple[float, float]:
    """Returns a pair of finite numbers in order, within bounds."""
    numbers = [float(value) for value in values]
    valid = len(numbers) == 2 and all(map(math.isfinite, numbers))
    if not (valid and low <= numbers[0] <= numbers[1] <= high):
        bounds = f" within [{low}, {high}]" if math.isfinite(high) else ""
        raise ValueError(f"{name} must be (lowest, highest){bounds}, got {list(values)}")
    return numbers[0], numbers[1]


def _parse_intrinsics(matrix: Intrinsics | None) -> list[list[float]] | None:
    if matrix is None:
        return None
    rows = [[float(value) for value in row] for row in matrix]
    if [len(row) for row in rows] != [3, 3, 3]:
        raise ValueError(f"intrinsics must be 3 rows of 3 numbers, got {rows}")
    _camera(rows, (1, 1))  # refuses the rest
    return rows


def _camera(matrix: list[list[float]], image_size: tuple[int, int]) -> Cameras:
    """Returns a camera with this camera matrix, somewhere."""
    return Cameras.from_opencv(
        torch.tensor([matrix]), torch.eye(3)[None], torch.zeros(1, 3), image_size
    )


def _with_intrinsics(
    cameras: Cameras, matrix: list[list[float]] | None, image_size: tuple[int, int]
) -> Cameras:
    """Returns the cameras with the focal lengths and the principal point of a camera matrix."""
    if matrix is None:
        return cameras
    one = _camera(matrix, image_size)
    many = (len(cameras), 2)
    return replace(cameras, focal=one.focal.expand(many), center=one.center.expand(many))
