"""The F-score of Tatarchenko et al."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

import numpy as np
from numpy.typing import NDArray
from torch import Tensor

from recon.geometry.surface_sampling import sample_surface
from recon.metrics.distances import SearchedSurface, SurfacePair
from recon.metrics.metric_suite import Metric, MetricSuite, Scores, score_each
from recon.metrics.seeds import generator
from recon.metrics.truth import Truth


class FScore(MetricSuite):
    """F-score at 1 % of the side of the reconstructed volume (arXiv 1905.03678, section 5.2).

    The volume is the cube [-0.5, 0.5]^3 of the world, whose side is also the longest side of an
    object's box in all data but those prepared with rendering.fit=true. See
    `SurfacePair.f_score` for the formula.

    Args:
        samples: The number of points drawn from a prediction.
        threshold: The distance in sides of the cube.

    Raises:
        ValueError: If `samples` is < 1 or the threshold is not > 0.
    """

    name = "fscore"
    fields = ("pointcloud", "pointcloud_normals")

    def __init__(self, samples: int = 100_000, threshold: float = 0.01) -> None:
        if samples < 1 or not threshold > 0:
            raise ValueError(
                f"samples must be >= 1 and threshold > 0, got {samples} and {threshold}"
            )
        self.samples, self.threshold = samples, threshold
        at = f"({100 * threshold:g} %)"
        self.metrics = (
            Metric("fscore", f"F-score {at}", "fscore", percent=True),
            Metric("fscore_precision", f"precision {at}", "fscore", percent=True),
            Metric("fscore_recall", f"recall {at}", "fscore", percent=True),
        )

    def statement(self) -> str:
        """Returns one line which says the samples, the scale and the source."""
        return (
            f"fscore: {self.samples:,} seeded samples of the prediction against all surface points "
            f"of the data, at {100 * self.threshold:g} % of the cube's side "
            "(Tatarchenko et al., arXiv 1905.03678)"
        )

    def score(
        self, vertices: Tensor, faces: Tensor, truth: Truth, views: Sequence[int], seed: int
    ) -> dict[str, Tensor]:
        """Scores n predictions of one object, see `MetricSuite.score`."""
        surface = SearchedSurface(truth.surface())

        def score_one(mesh: NDArray[Any], indices: NDArray[np.int64], view: int) -> Scores:
            samples = sample_surface(mesh, indices, self.samples, generator(seed, view))
            if not len(samples.points):
                return {metric.key: 0.0 for metric in self.metrics}
            pair = SurfacePair.of(SearchedSurface(samples), surface)
            return {
                "fscore": pair.f_score(self.threshold),
                "fscore_precision": pair.accuracy.share_within(self.threshold),
                "fscore_recall": pair.completeness.share_within(self.threshold),
            }

        return score_each(score_one, self.metrics, vertices, faces, views)
