"""The protocol of Occupancy Networks: distances of surfaces and the IoU of volumes."""

from __future__ import annotations

import math
from collections.abc import Sequence
from typing import Any, ClassVar

import numpy as np
from numpy.typing import NDArray
from torch import Tensor

from recon.datasets.storage.layout import Layout
from recon.geometry.containment import points_inside
from recon.geometry.surface_sampling import sample_surface
from recon.metrics.distances import SearchedSurface, SurfacePair
from recon.metrics.protocol import Measure, require_fields
from recon.metrics.scoring import Scores, score_each, true_samples
from recon.metrics.seeds import generator
from recon.metrics.truth import Truth

# What the source gives to a prediction without a surface: the diagonal of the unit cube.
EMPTY_DISTANCE = math.sqrt(3)


class OccupancyNetworks:
    """Chamfer distances, normal consistency and volumetric IoU (arXiv 1812.03828, section 4).

    With P the samples of the prediction, Q the true ones and q(p) the one nearest to p:

        accuracy = mean |p - q(p)|, completeness = mean |q - p(q)|
        Chamfer-L1 = (accuracy + completeness) / 2
        Chamfer-L2 = (mean |p - q(p)|^2 + mean |q - p(q)|^2) / 2
        normal consistency = (mean |cos(p)| + mean |cos(q)|) / 2
        IoU = |inside both| / |inside either|, of the points of the data

    Args:
        samples: number of points drawn from a prediction.

    Raises:
        ValueError: samples < 1.
    """

    name: ClassVar[str] = "onet"
    measures: ClassVar[tuple[Measure, ...]] = (
        Measure("chamfer_l1", "Chamfer-L1 x10", 10, higher_is_better=False),
        Measure("normal_consistency", "normal consistency"),
        Measure("iou", "volumetric IoU", 100),
        Measure("accuracy", "accuracy x10", 10, higher_is_better=False),
        Measure("completeness", "completeness x10", 10, higher_is_better=False),
        Measure("chamfer_l2", "Chamfer-L2 x100", 100, higher_is_better=False),
    )
    fields: ClassVar[tuple[str, ...]] = (
        *("pointcloud", "pointcloud_normals"),
        *("points", "occupancies"),
    )

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

    def require(self, layout: Layout) -> None:
        """Refuses a data set whose objects cannot be scored.

        Raises:
            ValueError: the data has no surface points or no occupancies.
        """
        require_fields(self, layout)

    def score(
        self, vertices: Tensor, faces: Tensor, truth: Truth, views: Sequence[int], seed: int
    ) -> dict[str, Tensor]:
        """Scores n predictions of one object, see `recon.metrics.protocol.Preset`."""
        surface = SearchedSurface(true_samples(truth))
        points = truth.require("points").cpu().numpy()
        inside = truth.require("occupancies").cpu().numpy()
        if len(points) != len(inside):
            raise ValueError(f"{len(points)} points need as many occupancies, got {len(inside)}")

        def score_one(mesh: NDArray[Any], indices: NDArray[np.int64], view: int) -> Scores:
            samples = sample_surface(mesh, indices, self.samples, generator(seed, view))
            iou = _iou(points_inside(points, mesh, indices), inside)
            if not len(samples.points):
                return {**_empty(), "iou": iou}
            return {**_distances(SurfacePair.of(SearchedSurface(samples), surface)), "iou": iou}

        return score_each(score_one, self.measures, vertices, faces, views)


def _distances(pair: SurfacePair) -> Scores:
    accuracy, completeness = pair.accuracy, pair.completeness
    return {
        "accuracy": accuracy.mean_distance(),
        "completeness": completeness.mean_distance(),
        "chamfer_l1": (accuracy.mean_distance() + completeness.mean_distance()) / 2,
        "chamfer_l2": (accuracy.mean_squared_distance() + completeness.mean_squared_distance()) / 2,
        "normal_consistency": (
            accuracy.mean_absolute_cosine() + completeness.mean_absolute_cosine()
        )
        / 2,
    }


def _empty() -> Scores:
    """Returns the values of a prediction without a surface: its distances are the diagonal."""
    distances = dict.fromkeys(("accuracy", "completeness", "chamfer_l1"), EMPTY_DISTANCE)
    return {**distances, "chamfer_l2": EMPTY_DISTANCE**2, "normal_consistency": 0.0}


def _iou(prediction: NDArray[np.bool_], truth: NDArray[np.bool_]) -> float:
    """Returns the IoU of two sets of points; two empty ones agree."""
    union = int((prediction | truth).sum())
    return int((prediction & truth).sum()) / union if union else 1.0
