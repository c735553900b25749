"""Silhouettes in views which the prediction was not made from."""

from __future__ import annotations

from collections.abc import Sequence

import torch
import torch.nn.functional as F
from torch import Tensor

from recon.datasets.storage.layout import Layout
from recon.geometry.cameras import Cameras
from recon.metrics.metric_suite import Metric, MetricSuite, require_predictions
from recon.metrics.truth import Truth
from renderer_cuda import gather_faces, visible_faces

# Samples along a side of a pixel. Prepared images have as many by default, and at fewer the true
# shape itself loses 1 to 3 % of IoU on thin rods.
SUPERSAMPLE = 4
# Samples rendered together, of all views of a prediction: 16 MB of face indices.
SAMPLES_AT_ONCE = 1 << 22
# Depths which every object in front of a camera has; in units of the world's cube.
NEAR, FAR = 1e-3, 1e4


class Silhouette(MetricSuite):
    """IoU of silhouettes, mean over all views of an object but the one which was shown.

    A pixel belongs to a silhouette when half of it or more is covered: by the alpha of the true
    image, which is averaged over blocks of pixels where the data has larger ones, and by 4 x 4
    hard samples of the prediction. IoU = |both| / |either|; two empty silhouettes agree. It judges
    what can be seen of a shape: hollows that no silhouette shows do not count (Laurentini, The
    visual hull concept, IEEE TPAMI 1994).

    Args:
        size: The height and width of the silhouettes in pixels; for images that are not square, the
            shorter side.

    Raises:
        ValueError: If `size` is < 1.
    """

    def __init__(self, size: int = 64) -> None:
        if size < 1:
            raise ValueError(f"size must be >= 1, got {size}")
        self.size = size
        self.name = "silhouette" if size == 64 else f"silhouette_{size}"
        self.fields = ("images", "cameras")
        label = f"silhouette IoU at {size}"
        self.metrics = (Metric(f"silhouette_iou_{size}", label, self.name, percent=True),)

    def statement(self) -> str:
        """Returns one line which says the samples, the scale and the source."""
        return (
            f"{self.name}: IoU of silhouettes of {self.size} pixels in all views but the one "
            f"shown, covered by half or more of {SUPERSAMPLE} x {SUPERSAMPLE} samples"
        )

    def for_layout(self, layout: Layout) -> MetricSuite:
        """Returns the suite as it scores objects of a data set.

        Raises:
            ValueError: If there is only one view, or the size of the images is no multiple of
                `size`.
        """
        super().for_layout(layout)
        self._factor(layout.image_size)
        if layout.num_views < 2:
            raise ValueError(
                f"metric suite {self.name} needs views that were not shown, the objects have "
                f"{layout.num_views} view"
            )
        return self

    def score(
        self, vertices: Tensor, faces: Tensor, truth: Truth, views: Sequence[int], seed: int
    ) -> dict[str, Tensor]:
        """Scores n predictions of one object, see `MetricSuite.score`."""
        require_predictions(vertices, faces, views)
        alpha, rows = truth.require("silhouettes"), truth.require("cameras")
        if len(alpha) < 2 or len(alpha) != len(rows):
            raise ValueError(
                "silhouettes and cameras must be of the same views, at least 2, "
                f"got {len(alpha)} and {len(rows)}"
            )
        if not all(0 <= view < len(alpha) for view in views):
            raise ValueError(f"views must be in 0..{len(alpha) - 1}, got {list(views)}")
        masks = self._masks(alpha).to(vertices.device)
        cameras = Cameras.from_rows(rows).to(device=vertices.device)
        ious = [
            self._mean_iou(mesh, faces, masks, cameras, [v for v in range(len(rows)) if v != view])
            for mesh, view in zip(vertices.detach(), views, strict=True)
        ]
        return {self.metrics[0].key: torch.tensor(ious, dtype=torch.float64)}

    def _factor(self, image_size: tuple[int, int]) -> int:
        """Returns how many pixels of the data lie along a side of one of the silhouettes."""
        factor = min(image_size) // self.size
        if factor * self.size != min(image_size) or any(side % factor for side in image_size):
            raise ValueError(
                f"metric suite {self.name} needs images of {self.size} pixels or a multiple of it, "
                f"the data has {image_size[0]} x {image_size[1]}; smaller ones are not enlarged, "
                "as their silhouettes would be made up"
            )
        return factor

    def _masks(self, alpha: Tensor) -> Tensor:
        """Returns the true silhouettes [K, h, w] bool of alpha [K, H, W] uint8."""
        factor = self._factor((alpha.shape[1], alpha.shape[2]))
        # Whole numbers below 2^24: their sum, hence the comparison, is exact.
        return F.avg_pool2d(alpha.float()[:, None], factor)[:, 0] >= 127.5

    def _mean_iou(
        self, mesh: Tensor, faces: Tensor, masks: Tensor, cameras: Cameras, unseen: list[int]
    ) -> float:
        """Returns the mean IoU of a mesh [V, 3] in some of the views."""
        rendered = mesh_silhouettes(mesh, faces, cameras[unseen], masks.shape[1:])
        wanted = masks[unseen]
        union = (rendered | wanted).sum((1, 2))
        shared = (rendered & wanted).sum((1, 2))
        return float(torch.where(union > 0, shared.double() / union.clamp(min=1), 1.0).mean())


def mesh_silhouettes(
    vertices: Tensor, faces: Tensor, cameras: Cameras, image_size: Sequence[int]
) -> Tensor:
    """Renders which pixels a mesh covers by half or more.

    Args:
        vertices: [V, 3] in the world; faces with a vertex that is not finite are left out.
        faces: [F, 3] int64.
        cameras: The K cameras.
        image_size: (height, width) in pixels.

    Returns:
        [K, height, width] bool.
    """
    height, width = image_size
    sampled = (height * SUPERSAMPLE, width * SUPERSAMPLE)
    at_once = max(1, SAMPLES_AT_ONCE // (sampled[0] * sampled[1]))
    parts = []
    for start in range(0, len(cameras), at_once):
        some = cameras[start : start + at_once]
        projected = some.project(vertices.float().expand(len(some), -1, -1), (height, width))
        seen = visible_faces(gather_faces(projected, faces), sampled, near=NEAR, far=FAR) >= 0
        parts.append(F.avg_pool2d(seen.float()[:, None], SUPERSAMPLE)[:, 0] >= 0.5)
    return torch.cat(parts)
