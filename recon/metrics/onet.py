"""The protocol of Occupancy Networks: distances of surfaces and the IoU of volumes."""

from __future__ import annotations

import math
from collections.abc import Sequence
from typing import Any

import numpy as np
from numpy.typing import NDArray
from torch import Tensor

from recon.geometry.containment import points_inside
from recon.geometry.surface_sampling import sample_surface
from recon.metrics.distances import SearchedSurface, SurfacePair
from recon.metrics.metric_suite import Metric, MetricSuite, Scores, score_each
from recon.metrics.seeds import generator
from recon.metrics.truth import Truth

# The source gives this distance to a prediction without a surface: the diagonal of the unit cube.
EMPTY_DISTANCE = math.sqrt(3)
# The paper measures distances in tenths of the longest side of the object's box, which is 1 here.
UNIT = 10


class OccupancyNetworks(MetricSuite):
    """Chamfer distances, normal consistency and volumetric IoU (arXiv 1812.03828, section 4).

    With P the samples of the prediction, Q the true ones and q(p) the one nearest to p:

        accuracy = mean |p - q(p)|, completeness = mean |q - p(q)|
        Chamfer-L1 = (accuracy + completeness) / 2
        Chamfer-L2 = (mean |p - q(p)|^2 + mean |q - p(q)|^2) / 2
        normal consistency = (mean |cos(p)| + mean |cos(q)|) / 2
        IoU = |inside both| / |inside either|, of the points of the data

    Distances are in tenths of the cube's side: values are 10 times, those of Chamfer-L2 100 times,
    what the coordinates say.

    Args:
        samples: The number of points drawn from a prediction.

    Raises:
        ValueError: If `samples` is < 1.
    """

    name = "onet"
    metrics = (
        Metric("onet_chamfer_l1", "Chamfer-L1 x10", "onet", higher_is_better=False),
        Metric("onet_normal_consistency", "normal consistency", "onet"),
        Metric("onet_iou", "volumetric IoU", "onet", percent=True),
        Metric("onet_accuracy", "accuracy x10", "onet", higher_is_better=False),
        Metric("onet_completeness", "completeness x10", "onet", higher_is_better=False),
        Metric("onet_chamfer_l2", "Chamfer-L2 x100", "onet", higher_is_better=False),
    )
    fields = ("pointcloud", "pointcloud_normals", "points", "occupancies")

    def __init__(self, samples: int = 100_000) -> None:
        if samples < 1:
            raise ValueError(f"samples must be >= 1, got {samples}")
        self.samples = samples

    def statement(self) -> str:
        """Returns one line which says the samples, the scale and the source."""
        return (
            f"onet: {self.samples:,} seeded samples of the prediction against all surface points "
            "of the data, IoU at all its points; distances in tenths of the cube's side, which is "
            "the longest side of the object's box (Mescheder et al., arXiv 1812.03828)"
        )

    def score(
        self, vertices: Tensor, faces: Tensor, truth: Truth, views: Sequence[int], seed: int
    ) -> dict[str, Tensor]:
        """Scores n predictions of one object, see `MetricSuite.score`."""
        surface = SearchedSurface(truth.surface())
        points = truth.require("points").cpu().numpy()
        inside = truth.require("occupancies").cpu().numpy()
        if len(points) != len(inside):
            raise ValueError(f"{len(points)} points need as many occupancies, got {len(inside)}")

        def score_one(mesh: NDArray[Any], indices: NDArray[np.int64], view: int) -> Scores:
            samples = sample_surface(mesh, indices, self.samples, generator(seed, view))
            iou = _iou(points_inside(points, mesh, indices), inside)
            if not len(samples.points):
                return {**_empty(), "onet_iou": iou}
            pair = SurfacePair.of(SearchedSurface(samples), surface)
            return {**_distances(pair), "onet_iou": iou}

        return score_each(score_one, self.metrics, vertices, faces, views)


def _distances(pair: SurfacePair) -> Scores:
    accuracy, completeness = pair.accuracy, pair.completeness
    return {
        "onet_accuracy": UNIT * accuracy.mean_distance(),
        "onet_completeness": UNIT * completeness.mean_distance(),
        "onet_chamfer_l1": UNIT * ((accuracy.mean_distance() + completeness.mean_distance()) / 2),
        "onet_chamfer_l2": UNIT**2
        * ((accuracy.mean_squared_distance() + completeness.mean_squared_distance()) / 2),
        "onet_normal_consistency": (
            accuracy.mean_absolute_cosine() + completeness.mean_absolute_cosine()
        )
        / 2,
    }


def _empty() -> Scores:
    """Returns the values of a prediction without a surface: its distances are the diagonal."""
    return {
        "onet_accuracy": UNIT * EMPTY_DISTANCE,
        "onet_completeness": UNIT * EMPTY_DISTANCE,
        "onet_chamfer_l1": UNIT * EMPTY_DISTANCE,
        "onet_chamfer_l2": UNIT**2 * EMPTY_DISTANCE**2,
        "onet_normal_consistency": 0.0,
    }


def _iou(prediction: NDArray[np.bool_], truth: NDArray[np.bool_]) -> float:
    """Returns the IoU of two sets of points; two empty ones agree."""
    union = int((prediction | truth).sum())
    return int((prediction & truth).sum()) / union if union else 1.0
