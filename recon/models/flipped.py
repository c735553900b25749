"""A model whose prediction is the mean of those from an image and from its mirror image."""

from __future__ import annotations

import torch
from torch import Tensor, nn

from recon.geometry.mirror import mirror_pairs, mirror_vertices
from recon.models.prediction import Prediction


class FlipAveraged(nn.Module):
    """Averages what a model predicts from an image, and mirrored, from its mirror image.

    The mirror image of an image shows the mirrored object, so both are predictions of one object.
    Colours are those from the image itself.

    Args:
        model: Makes a `Prediction` of images [B, 4, H, W]; its template is its own mirror image at
            world x = 0.

    Raises:
        ValueError: If the template is no mirror image of itself.
    """

    pairs: Tensor

    def __init__(self, model: nn.Module) -> None:
        super().__init__()
        self.model = model
        template: Tensor = model.template_vertices  # type: ignore[assignment]
        self.register_buffer("pairs", mirror_pairs(template), persistent=False)

    @property
    def faces(self) -> Tensor:
        """The faces [F, 3] int64 of every predicted mesh."""
        return self.model.faces  # type: ignore[return-value]

    @property
    def template_vertices(self) -> Tensor:
        """The vertices [V, 3] of the undeformed mesh, object units."""
        return self.model.template_vertices  # type: ignore[return-value]

    def forward(self, image: Tensor) -> Prediction:
        """Predicts meshes of images [B, 4, H, W], floating point in [0, 1]."""
        own: Prediction = self.model(image)
        flipped: Prediction = self.model(image.flip(-1))
        mirrored = mirror_vertices(flipped.vertices.index_select(1, self.pairs))
        return Prediction(torch.lerp(own.vertices, mirrored, 0.5), own.colors)
