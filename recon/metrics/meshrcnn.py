"""The protocol of Mesh R-CNN: distances at a common size of the objects."""

from __future__ import annotations

import math
from collections.abc import Sequence
from typing import Any, ClassVar

import numpy as np
from numpy.typing import NDArray
from torch import Tensor

from recon.datasets.storage.layout import Layout
from recon.geometry.surface_sampling import SurfaceSamples, sample_surface
from recon.metrics.distances import SearchedSurface, SurfacePair
from recon.metrics.protocol import Measure, require_fields, require_surface_points
from recon.metrics.scoring import Scores, score_each, true_samples
from recon.metrics.seeds import generator
from recon.metrics.truth import Truth

# The longest side of the truth's box after scaling.
SIDE = 10.0
THRESHOLDS = (0.1, 0.3, 0.5)
# Of a prediction without a surface: the diagonal of the cube with that side.
EMPTY_DISTANCE = math.sqrt(3) * SIDE
# The generator of the truth's samples is that of no view.
TRUTH = 1 << 32


class MeshRCNN:
    """Chamfer-L2, normal consistency and F1 of equal samples (arXiv 1906.02739, section 4.1).

    Both surfaces are multiplied by 10 / (longest side of the truth's box). With P the samples of
    the prediction, Q the true ones and q(p) the one nearest to p:

        Chamfer-L2 = mean |p - q(p)|^2 + mean |q - p(q)|^2
        normal consistency = (mean cos(p) + mean cos(q)) / 2, absolute likewise with |cos|
        F1 at t = the F-score of the samples at distances below t, see `SurfacePair.f_score`

    Args:
        samples: number of points drawn from a prediction, and taken from those of the truth.

    Raises:
        ValueError: samples < 1.
    """

    name: ClassVar[str] = "meshrcnn"
    measures: ClassVar[tuple[Measure, ...]] = (
        Measure("chamfer_l2", "Chamfer-L2", higher_is_better=False),
        Measure("normal_consistency", "normal consistency"),
        Measure("absolute_normal_consistency", "absolute normal consistency"),
        *(Measure(f"f1_{t:g}", f"F1 at {t:g}", 100) for t in THRESHOLDS),
    )
    fields: ClassVar[tuple[str, ...]] = ("pointcloud", "pointcloud_normals")

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

    def require(self, layout: Layout) -> None:
        """Refuses a data set whose objects cannot be scored.

        Raises:
            ValueError: the data has fewer surface points than samples.
        """
        require_fields(self, layout)
        require_surface_points(self, layout, self.samples)

    def score(
        self, vertices: Tensor, faces: Tensor, truth: Truth, views: Sequence[int], seed: int
    ) -> dict[str, Tensor]:
        """Scores n predictions of one object, see `recon.metrics.protocol.Preset`."""
        true = true_samples(truth)
        side = float(np.ptp(true.points, axis=0).max())
        if not side > 0:
            raise ValueError(f"surface_points must not all lie in one place, got {true.points[:1]}")
        surface = SearchedSurface(_choose(true, self.samples, generator(seed, TRUTH)))

        def score_one(mesh: NDArray[Any], indices: NDArray[np.int64], view: int) -> Scores:
            samples = sample_surface(mesh, indices, self.samples, generator(seed, view))
            if not len(samples.points):
                return _empty()
            pair = SurfacePair.of(SearchedSurface(samples), surface)
            return _measure(pair.scaled(SIDE / side))

        return score_each(score_one, self.measures, vertices, faces, views)


def _choose(samples: SurfaceSamples, count: int, rng: np.random.Generator) -> SurfaceSamples:
    """Returns so many of the samples, without repetition."""
    if len(samples.points) < count:
        raise ValueError(f"surface_points must be at least {count}, got {len(samples.points)}")
    rows = rng.choice(len(samples.points), count, replace=False)
    return SurfaceSamples(samples.points[rows], samples.normals[rows])


def _measure(pair: SurfacePair) -> Scores:
    one, other = pair.accuracy, pair.completeness
    return {
        "chamfer_l2": one.mean_squared_distance() + other.mean_squared_distance(),
        "normal_consistency": (one.mean_cosine() + other.mean_cosine()) / 2,
        "absolute_normal_consistency": (one.mean_absolute_cosine() + other.mean_absolute_cosine())
        / 2,
        **{f"f1_{t:g}": pair.f_score(t) for t in THRESHOLDS},
    }


def _empty() -> Scores:
    """Returns the values of a prediction without a surface: the worst, and the diagonal."""
    return {
        "chamfer_l2": 2 * EMPTY_DISTANCE**2,
        "normal_consistency": -1.0,
        "absolute_normal_consistency": 0.0,
        **{f"f1_{t:g}": 0.0 for t in THRESHOLDS},
    }
