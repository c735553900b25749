"""The ground truth of one object, with which predictions of it are compared."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

from torch import Tensor

from recon.datasets.multiview import MultiViewDataset
from recon.geometry.surface_sampling import SurfaceSamples

# The fields of a data set by the part of `Truth` they are; voxels have their resolution in the name
# and silhouettes are the alpha of the images.
_FIELDS = {
    "surface_points": "pointcloud",
    "surface_normals": "pointcloud_normals",
    "points": "points",
    "occupancies": "occupancies",
    "cameras": "cameras",
}


@dataclass(frozen=True, eq=False)
class Truth:
    """The truth about one object; a part that is not known is None.

    Args:
        voxels: [R, R, R] bool occupancy in world axes [x, y, z].
        surface_points: [M, 3] positions on the surface, in the world.
        surface_normals: [M, 3] unit normals there, outward.
        points: [P, 3] positions in the world.
        occupancies: [P] bool, whether each of the points is inside.
        silhouettes: [K, H, W] uint8, the alpha of the images of all views.
        cameras: [K, 16] cameras of all views, see `recon.geometry.cameras.Cameras.rows`.
    """

    voxels: Tensor | None = None
    surface_points: Tensor | None = None
    surface_normals: Tensor | None = None
    points: Tensor | None = None
    occupancies: Tensor | None = None
    silhouettes: Tensor | None = None
    cameras: Tensor | None = None

    @classmethod
    def read(cls, data: MultiViewDataset, index: int, fields: Sequence[str]) -> Truth:
        """Reads the truth about an object of a data set.

        Args:
            data: The data set, which has the fields.
            index: The index of the object.
            fields: The names of the fields to read, see `MetricSuite.fields`.

        Raises:
            ValueError, OSError: If a field is not there or cannot be read.
        """
        parts = {part: data.field(index, name) for part, name in _FIELDS.items() if name in fields}
        if "images" in fields:
            parts["silhouettes"] = data.field(index, "images")[:, 3]
        for field in fields:
            if field.startswith("voxels_"):
                parts["voxels"] = data.field(index, field)
        return cls(**parts)

    def surface(self) -> SurfaceSamples:
        """Returns the points and normals of the true surface in float64.

        Raises:
            ValueError: If there are none.
        """
        return SurfaceSamples(
            self.require("surface_points").cpu().double().numpy(),
            self.require("surface_normals").cpu().double().numpy(),
        )

    def require(self, name: str) -> Tensor:
        """Returns the attribute of that name.

        Raises:
            ValueError: If the truth does not have it.
        """
        value: Tensor | None = getattr(self, name)
        if value is None:
            raise ValueError(f"truth must have {name}, got None")
        return value
