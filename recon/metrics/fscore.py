"""The F-score of Tatarchenko et al."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any, ClassVar

import numpy as np
from numpy.typing import NDArray
from torch import Tensor

from recon.datasets.storage.layout import Layout
from recon.geometry.surface_sampling import sample_surface
from recon.metrics.distances import SearchedSurface, SurfacePair
from recon.metrics.protocol import Measure, require_fields
from recon.metrics.scoring import Scores, score_each, true_samples
from recon.metrics.seeds import generator
from recon.metrics.truth import Truth


class FScore:
    """F-score at 1 % of the side of the reconstructed volume (arXiv 1905.03678, section 5.2).

    The volume is the cube [-0.5, 0.5]^3 of the world, whose side is also the longest side of an
    object's box in all data but those prepared with rendering.fit=true. See
    `SurfacePair.f_score` for the formula.

    Args:
        samples: number of points drawn from a prediction.
        threshold: distance in sides of the cube.

    Raises:
        ValueError: samples < 1 or the threshold is not > 0.
    """

    name: ClassVar[str] = "fscore"
    fields: ClassVar[tuple[str, ...]] = ("pointcloud", "pointcloud_normals")

    def __init__(self, samples: int = 100_000, threshold: float = 0.01) -> None:
        if samples < 1 or not threshold > 0:
            raise ValueError(
                f"samples must be >= 1 and threshold > 0, got {samples} and {threshold}"
            )
        self.samples, self.threshold = samples, threshold
        at = f"({100 * threshold:g} %)"
        self.measures = (
            Measure("fscore", f"F-score {at}", 100),
            Measure("precision", f"precision {at}", 100),
            Measure("recall", f"recall {at}", 100),
        )

    def statement(self) -> str:
        """Returns one line which says the samples, the scale and the source."""
        return (
            f"fscore: {self.samples:,} seeded samples of the prediction against all surface points "
            f"of the data, at {100 * self.threshold:g} % of the cube's side "
            "(Tatarchenko et al., arXiv 1905.03678)"
        )

    def require(self, layout: Layout) -> None:
        """Refuses a data set whose objects cannot be scored.

        Raises:
            ValueError: the data has no surface points.
        """
        require_fields(self, layout)

    def score(
        self, vertices: Tensor, faces: Tensor, truth: Truth, views: Sequence[int], seed: int
    ) -> dict[str, Tensor]:
        """Scores n predictions of one object, see `recon.metrics.protocol.Preset`."""
        surface = SearchedSurface(true_samples(truth))

        def score_one(mesh: NDArray[Any], indices: NDArray[np.int64], view: int) -> Scores:
            samples = sample_surface(mesh, indices, self.samples, generator(seed, view))
            if not len(samples.points):
                return dict.fromkeys(("fscore", "precision", "recall"), 0.0)
            pair = SurfacePair.of(SearchedSurface(samples), surface)
            return {
                "fscore": pair.f_score(self.threshold),
                "precision": pair.accuracy.share_within(self.threshold),
                "recall": pair.completeness.share_within(self.threshold),
            }

        return score_each(score_one, self.measures, vertices, faces, views)
