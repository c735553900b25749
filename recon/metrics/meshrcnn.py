"""The protocol of Mesh R-CNN: distances at a common size of the objects."""

from __future__ import annotations

import math
from collections.abc import Sequence
from typing import Any

import numpy as np
from numpy.typing import NDArray
from torch import Tensor

from recon.datasets.storage.layout import Layout
from recon.geometry.surface_sampling import SurfaceSamples, sample_surface
from recon.metrics.distances import SearchedSurface, SurfacePair
from recon.metrics.metric_suite import Metric, MetricSuite, Scores, score_each
from recon.metrics.seeds import generator
from recon.metrics.truth import Truth

# The longest side of the truth's box after scaling.
SIDE = 10.0
THRESHOLDS = (0.1, 0.3, 0.5)
# The distance of a prediction without a surface: the diagonal of the cube with that side.
EMPTY_DISTANCE = math.sqrt(3) * SIDE
# This view number, which no view has, seeds the samples of the truth.
TRUTH = 1 << 32


class MeshRCNN(MetricSuite):
    """Chamfer-L2, normal consistency and F1 of equal samples (arXiv 1906.02739, section 4.1).

    Both surfaces are multiplied by 10 / (longest side of the truth's box). With P the samples of
    the prediction, Q the true ones and q(p) the one nearest to p:

        Chamfer-L2 = mean |p - q(p)|^2 + mean |q - p(q)|^2
        normal consistency = (mean cos(p) + mean cos(q)) / 2, the absolute one with |cos|
        F1 at t = the F-score of the samples at distances below t, see `SurfacePair.f_score`

    Args:
        samples: The number of points drawn from a prediction, and taken from those of the truth.

    Raises:
        ValueError: If `samples` is < 1.
    """

    name = "meshrcnn"
    metrics = (
        Metric("meshrcnn_chamfer_l2", "Chamfer-L2", "meshrcnn", higher_is_better=False),
        Metric("meshrcnn_normal_consistency", "normal consistency", "meshrcnn"),
        Metric("meshrcnn_absolute_normal_consistency", "absolute normal consistency", "meshrcnn"),
        *(
            Metric(f"meshrcnn_f1_{t:g}", f"F1 at {t:g}", "meshrcnn", percent=True)
            for t in THRESHOLDS
        ),
    )
    fields = ("pointcloud", "pointcloud_normals")

    def __init__(self, samples: int = 10_000) -> None:
        if samples < 1:
            raise ValueError(f"samples must be >= 1, got {samples}")
        self.samples = samples

    def statement(self) -> str:
        """Returns one line which says the samples, the scale and the source."""
        return (
            f"meshrcnn: {self.samples:,} seeded samples of prediction and truth, longest side of "
            f"the truth's box scaled to {SIDE:g}, Chamfer-L2 the sum of both directions "
            "(Gkioxari et al., arXiv 1906.02739)"
        )

    def for_layout(self, layout: Layout) -> MetricSuite:
        """Returns the suite as it scores objects of a data set.

        Raises:
            ValueError: If the data has fewer surface points than samples.
        """
        super().for_layout(layout)
        there = layout.num_surface_points
        if there < self.samples:
            raise ValueError(
                f"metric suite {self.name} needs {self.samples} points of the surface, the data "
                f"has {there} of each object; make it with num_surface_points={self.samples}"
            )
        return self

    def score(
        self, vertices: Tensor, faces: Tensor, truth: Truth, views: Sequence[int], seed: int
    ) -> dict[str, Tensor]:
        """Scores n predictions of one object, see `MetricSuite.score`."""
        true = truth.surface()
        side = float(np.ptp(true.points, axis=0).max())
        if not side > 0:
            raise ValueError(f"surface_points must not all lie in one place, got {true.points[:1]}")
        surface = SearchedSurface(_choose(true, self.samples, generator(seed, TRUTH)))

        def score_one(mesh: NDArray[Any], indices: NDArray[np.int64], view: int) -> Scores:
            samples = sample_surface(mesh, indices, self.samples, generator(seed, view))
            if not len(samples.points):
                return _empty()
            pair = SurfacePair.of(SearchedSurface(samples), surface)
            return _distances(pair.scaled(SIDE / side))

        return score_each(score_one, self.metrics, vertices, faces, views)


def _choose(samples: SurfaceSamples, count: int, rng: np.random.Generator) -> SurfaceSamples:
    """Returns so many of the samples, without repetition."""
    if len(samples.points) < count:
        raise ValueError(f"surface_points must be at least {count}, got {len(samples.points)}")
    rows = rng.choice(len(samples.points), count, replace=False)
    return SurfaceSamples(samples.points[rows], samples.normals[rows])


def _distances(pair: SurfacePair) -> Scores:
    one, other = pair.accuracy, pair.completeness
    return {
        "meshrcnn_chamfer_l2": one.mean_squared_distance() + other.mean_squared_distance(),
        "meshrcnn_normal_consistency": (one.mean_cosine() + other.mean_cosine()) / 2,
        "meshrcnn_absolute_normal_consistency": (
            one.mean_absolute_cosine() + other.mean_absolute_cosine()
        )
        / 2,
        **{f"meshrcnn_f1_{t:g}": pair.f_score(t) for t in THRESHOLDS},
    }


def _empty() -> Scores:
    """Returns the values of a prediction without a surface: the worst, and the diagonal."""
    return {
        "meshrcnn_chamfer_l2": 2 * EMPTY_DISTANCE**2,
        "meshrcnn_normal_consistency": -1.0,
        "meshrcnn_absolute_normal_consistency": 0.0,
        **{f"meshrcnn_f1_{t:g}": 0.0 for t in THRESHOLDS},
    }
