"""The protocol of the Soft Rasterizer: the IoU of voxels."""

from __future__ import annotations

from collections.abc import Sequence

import torch
from torch import Tensor

from recon.datasets.storage.layout import Layout
from recon.geometry.voxels import voxelize_mesh
from recon.metrics.metric_suite import Metric, MetricSuite, require_predictions
from recon.metrics.truth import Truth
from recon.metrics.voxels import voxel_iou

IOU = Metric("softras_iou", "voxel IoU", "softras", percent=True)


class SoftRas(MetricSuite):
    """Voxel IoU at the resolution of the data, 32^3 in the source (arXiv 1904.01786, section 5.1).

    A mesh is placed at vertices * (R - 1) / R + 0.5 of the unit cube; voxels of the surface and
    those which it encloses count, as in the released code.

    Args:
        resolution: The number R of voxels along each side.

    Raises:
        ValueError: If `resolution` is < 1.
    """

    name = "softras"
    metrics = (IOU,)
    batched = True
    voxel_metric = IOU

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

    def for_layout(self, layout: Layout) -> MetricSuite:
        """Returns the suite at the lowest resolution there are voxels of, as training uses it.

        Raises:
            ValueError: If the data has no voxels.
        """
        suite = SoftRas(min(layout.voxel_resolutions, default=self.resolution))
        return super(SoftRas, suite).for_layout(layout)

    def score(
        self, vertices: Tensor, faces: Tensor, truth: Truth, views: Sequence[int], seed: int
    ) -> dict[str, Tensor]:
        """Scores n predictions of one object, see `MetricSuite.score`."""
        require_predictions(vertices, faces, views)
        table = self.score_objects(vertices[None], faces, [truth], views, [seed])
        return {key: values[0] for key, values in table.items()}

    def score_objects(
        self,
        vertices: Tensor,
        faces: Tensor,
        truths: Sequence[Truth],
        views: Sequence[int],
        seeds: Sequence[int],
    ) -> dict[str, Tensor]:
        """Scores n predictions of each of N objects in one call, see `MetricSuite.score_objects`.

        Faces with a vertex that is not finite are left out; a prediction without any face is empty.
        """
        voxels = torch.stack([truth.require("voxels") for truth in truths]).to(vertices.device)
        predicted = voxelize_mesh(vertices.flatten(0, 1), faces, self.resolution, mode="softras")
        ious = voxel_iou(predicted, voxels.repeat_interleave(vertices.shape[1], dim=0))
        return {IOU.key: ious.reshape(vertices.shape[:2]).cpu()}
