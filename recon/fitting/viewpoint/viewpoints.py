"""Viewpoints on an orbit, each with a light, and how far they are from the truth."""

from __future__ import annotations

import math
from collections.abc import Sequence
from dataclasses import dataclass, fields

import torch
import torch.nn.functional as F
from torch import Tensor

from recon.geometry.cameras import Cameras

# In a start the light stands above the eye by this share of its distance: it falls on most of what
# is seen, and only faces that it falls on have a gradient to it.
_LIGHT_ABOVE = 0.5


@dataclass(frozen=True, eq=False)
class Viewpoints:
    """N viewpoints on an orbit around the origin, each with a light.

    Args:
        azimuth: [N] azimuths in degrees.
        elevation: [N] elevations in degrees.
        distance: [N] distances of the eyes from the origin in object units, > 0.
        light: [N, 3] vectors towards the lights in world coordinates, of any length > 0.

    Raises:
        ValueError: Shapes disagree.
    """

    azimuth: Tensor
    elevation: Tensor
    distance: Tensor
    light: Tensor

    def __post_init__(self) -> None:
        count = len(self.azimuth)
        for name in ("azimuth", "elevation", "distance"):
            if getattr(self, name).shape != (count,):
                raise ValueError(f"{name} must be [{count}], got {list(getattr(self, name).shape)}")
        if self.light.shape != (count, 3):
            raise ValueError(f"light must be [{count}, 3], got {list(self.light.shape)}")

    def __len__(self) -> int:
        return len(self.azimuth)

    def __getitem__(self, index: Tensor | slice) -> Viewpoints:
        """Returns some of them."""
        return Viewpoints(*(getattr(self, field.name)[index] for field in fields(self)))

    def cameras(self, fov: float) -> Cameras:
        """Returns the cameras, with a full vertical angle of view in degrees."""
        angle = torch.full_like(self.distance, fov)
        return Cameras.orbit(self.azimuth, self.elevation, self.distance, angle)

    def eyes(self) -> Tensor:
        """Returns the positions [N, 3] of the eyes in world coordinates."""
        return self.cameras(60.0).eye()  # whatever the angle

    @classmethod
    def with_light_above(cls, azimuth: Tensor, elevation: Tensor, distance: Tensor) -> Viewpoints:
        """Returns viewpoints with the light above the eye, from where a fit may start."""
        here = cls(azimuth, elevation, distance, distance.new_zeros(len(distance), 3))
        up = distance.new_tensor([0.0, _LIGHT_ABOVE, 0.0])
        return cls(azimuth, elevation, distance, F.normalize(here.eyes() + up * distance[:, None]))


@dataclass(frozen=True)
class ViewpointErrors:
    """The errors of N viewpoints.

    Args:
        view: [N] angles in degrees between the directions of found and true eyes.
        azimuth: [N] azimuths in degrees.
        elevation: [N] elevations in degrees.
        distance: [N] errors of the distance, relative to the true one.
        light: [N] angles in degrees between the directions of found and true lights.
    """

    view: Tensor
    azimuth: Tensor
    elevation: Tensor
    distance: Tensor
    light: Tensor

    @classmethod
    def between(cls, found: Viewpoints, truth: Viewpoints) -> ViewpointErrors:
        """Compares as many viewpoints as there are truths."""
        return cls(
            view=_angle(found.eyes(), truth.eyes()),
            azimuth=((found.azimuth - truth.azimuth + 180) % 360 - 180).abs(),
            elevation=(found.elevation - truth.elevation).abs(),
            distance=(found.distance / truth.distance - 1).abs(),
            light=_angle(found.light, truth.light),
        )


def _angle(left: Tensor, right: Tensor) -> Tensor:
    """Returns the angles [N] between vectors, degrees; exact for small ones too."""
    across = torch.linalg.cross(left, right, dim=-1).norm(dim=-1)
    return torch.rad2deg(torch.atan2(across, (left * right).sum(-1)))


def directions(count: int) -> Tensor:
    """Returns unit vectors [count, 3] spread evenly over the sphere, on a spiral."""
    index = torch.arange(count, dtype=torch.float64) + 0.5
    y, turn = 1 - 2 * index / count, index * math.pi * (3 - 5**0.5)
    radius = (1 - y.square()).sqrt()
    return torch.stack((radius * turn.cos(), y, radius * turn.sin()), dim=1).float()


def grid_of_starts(
    azimuths: int, elevations: Sequence[float], distance: float, device: str = "cpu"
) -> Viewpoints:
    """Returns viewpoints all around, with the light above the eye.

    Args:
        azimuths: The number of azimuths, evenly spread over 360 degrees.
        elevations: The elevations in degrees.
        distance: The distance of the eyes from the origin, object units.
        device: The device of the tensors.

    Raises:
        ValueError: There is no azimuth or no elevation.
    """
    if azimuths < 1 or not elevations:
        raise ValueError(f"there must be starts, got {azimuths} azimuths and {list(elevations)}")
    around = torch.arange(azimuths, device=device) * (360.0 / azimuths)
    heights = torch.tensor(list(elevations), dtype=torch.float32, device=device)
    azimuth, elevation = (grid.flatten() for grid in torch.meshgrid(around, heights, indexing="ij"))
    return Viewpoints.with_light_above(azimuth, elevation, torch.full_like(azimuth, distance))
