"""Where the world of the renderings lies in the coordinates of a model's own file."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
import torch
from numpy.typing import NDArray

from recon.geometry.cameras import Cameras
from recon.geometry.frames import world_vertices


@dataclass(frozen=True)
class ModelFrame:
    """The cube of a model's own coordinates which becomes [-0.5, 0.5]^3 of the world.

    With v in the axes of the ShapeNetCore v1 frame, own = scale * v + center; the world is
    (-z, y, -x) of v.

    Attributes:
        center: (x, y, z) the middle of the cube in own coordinates.
        scale: The side of the cube in own units, > 0.

    Raises:
        ValueError: If a number is not finite or the scale is not > 0.
    """

    center: tuple[float, float, float]
    scale: float

    def __post_init__(self) -> None:
        if not np.isfinite([*self.center, self.scale]).all() or not self.scale > 0:
            raise ValueError(
                f"a model's frame needs a finite center and a scale > 0, got {self.center} and"
                f" {self.scale}"
            )

    def positions(self, own: NDArray[np.floating]) -> NDArray[np.float32]:
        """Returns own positions [..., 3] in the world."""
        normalised = (np.asarray(own, np.float64) - self.center) / self.scale
        return world_vertices(torch.from_numpy(normalised)).numpy().astype(np.float32)

    def cameras(self, own: Cameras) -> Cameras:
        """Returns cameras which see the world as `own` see the own coordinates.

        Depths are divided by `scale`, which changes no projection:
        R (scale v + center) + t = scale (R v + (R center + t) / scale).
        """
        center = own.translation.new_tensor(self.center)
        shift = (own.rotation * center).sum(-1) + own.translation
        return Cameras(world_vertices(own.rotation), shift / self.scale, own.focal, own.center)


# The frame of a model whose bounding box is centred and whose longest side is 1 already.
NORMALISED = ModelFrame((0.0, 0.0, 0.0), 1.0)
