"""A loss term of one's own: the edges of a mesh should be of one length."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any, ClassVar

from torch import Tensor

from recon.geometry.meshes import edges
from recon.losses.objective import Objective, Renderings
from recon.models import Prediction


def even_edges_loss(vertices: Tensor, pairs: Tensor) -> Tensor:
    """Returns the mean squared deviation of edge lengths from their mean, relative to that.

    Args:
        vertices: [B, V, 3].
        pairs: [E, 2] int64, the two ends of every edge.
    """
    lengths = (vertices[:, pairs[:, 0]] - vertices[:, pairs[:, 1]]).norm(dim=2)
    # A mesh shrunk to a point has no edges to compare: 1e-6 is far below any that is seen.
    mean = lengths.mean(dim=1, keepdim=True).clamp(min=1e-6)
    return (lengths / mean - 1).square().mean()


class EvenEdgesObjective(Objective):
    """The objective of the experiments and one more term.

    Args:
        faces: [F, 3] of the mesh which the model deforms.
        settings: all others of `Objective`.
    """

    terms: ClassVar[tuple[str, ...]] = (*Objective.terms, "even_edges")

    def __init__(self, faces: Tensor, **settings: Any) -> None:
        super().__init__(faces, **settings)
        self.register_buffer("edges", edges(faces), persistent=False)

    def forward(
        self, renderings: Renderings, prediction: Prediction, batch: Mapping[str, Tensor]
    ) -> dict[str, Tensor]:
        """Computes the terms, each of which also appears in the log."""
        terms = super().forward(renderings, prediction, batch)
        return {**terms, "even_edges": even_edges_loss(prediction.vertices, self.edges)}
