"""The protocol of the Soft Rasterizer: the IoU of voxels."""

from __future__ import annotations

from collections.abc import Sequence
from typing import ClassVar

from torch import Tensor

from recon.datasets.storage.layout import Layout
from recon.geometry.voxels import voxelize_mesh
from recon.metrics.protocol import Measure, require_fields
from recon.metrics.scoring import require_predictions
from recon.metrics.truth import Truth
from recon.metrics.voxels import voxel_iou


class SoftRas:
    """Voxel IoU at the resolution of the data, 32^3 in the source (arXiv 1904.01786, section 5.1).

    A mesh is placed at vertices * (R - 1) / R + 0.5 of the unit cube; voxels of the surface and
    those which it encloses count, as in the released code.

    Args:
        resolution: R, voxels along a side.
    """

    name: ClassVar[str] = "softras"
    measures: ClassVar[tuple[Measure, ...]] = (Measure("iou", "voxel IoU", 100),)

    def __init__(self, resolution: int = 32) -> None:
        if resolution < 1:
            raise ValueError(f"resolution must be >= 1, got {resolution}")
        self.resolution = resolution
        self.fields = (f"voxels_{resolution}",)

    def statement(self) -> str:
        """Returns one line which says the samples, the scale and the source."""
        return (
            f"softras: voxel IoU at {self.resolution}^3, vertices * "
            f"{self.resolution - 1}/{self.resolution} + 0.5 in the unit cube, surface and inside "
            "filled (Liu et al., arXiv 1904.01786)"
        )

    def require(self, layout: Layout) -> None:
        """Refuses a data set whose objects cannot be scored.

        Raises:
            ValueError: the data has no voxels of the resolution.
        """
        require_fields(self, layout)

    def score(
        self, vertices: Tensor, faces: Tensor, truth: Truth, views: Sequence[int], seed: int
    ) -> dict[str, Tensor]:
        """Scores n predictions of one object, see `recon.metrics.protocol.Preset`."""
        require_predictions(vertices, faces, views)
        voxels = truth.require("voxels")
        return {"iou": self.ious(vertices, faces, voxels.expand(len(vertices), -1, -1, -1))}

    def ious(self, vertices: Tensor, faces: Tensor, voxels: Tensor) -> Tensor:
        """Scores one prediction for each of n objects.

        Args:
            vertices: [n, V, 3] in the world; faces with a vertex that is not finite are left out.
            faces: [F, 3] int64; a prediction without any face is empty.
            voxels: [n, R, R, R] bool, the truth.

        Returns:
            [n] float64 in [0, 1], on the device of the truth.

        Raises:
            ValueError: shapes disagree.
        """
        predicted = voxelize_mesh(vertices, faces, self.resolution, mode="softras")
        return voxel_iou(predicted.to(voxels.device), voxels)
