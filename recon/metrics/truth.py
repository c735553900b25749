"""What is known of one object, for measuring predictions of it."""

from __future__ import annotations

from dataclasses import dataclass

from torch import Tensor


@dataclass(frozen=True, eq=False)
class Truth:
    """The truth of one object, of which a data set may hold any part; None is what it has not.

    Args:
        voxels: [R, R, R] bool occupancy in world axes [x, y, z].
        surface_points: [M, 3] positions on the surface, in the world.
        surface_normals: [M, 3] unit normals there, outward.
        points: [P, 3] positions in the world.
        occupancies: [P] bool, which of the points are inside.
        silhouettes: [K, H, W] uint8, the alpha of the images of all views.
        cameras: [K, 16] of these views, as `recon.geometry.cameras.Cameras.rows`.
    """

    voxels: Tensor | None = None
    surface_points: Tensor | None = None
    surface_normals: Tensor | None = None
    points: Tensor | None = None
    occupancies: Tensor | None = None
    silhouettes: Tensor | None = None
    cameras: Tensor | None = None

    def require(self, name: str) -> Tensor:
        """Returns the attribute of that name.

        Raises:
            ValueError: the truth has it not.
        """
        value: Tensor | None = getattr(self, name)
        if value is None:
            raise ValueError(f"truth must have {name}, got None")
        return value
