"""What a reconstruction network predicts."""

from __future__ import annotations

from dataclasses import dataclass

from torch import Tensor, nn


@dataclass(frozen=True, eq=False)
class Prediction:
    """Meshes of one topology and their colours.

    Args:
        vertices: [B, V, 3], object units.
        colors: [B, V, 3] of the vertices or [B, F, R * R, 3] texels of the faces, sRGB in [0, 1]
            and float32; None where the model has no colours.
    """

    vertices: Tensor
    colors: Tensor | None = None


class Predicting(nn.Module):
    """Calls a model's `predict` as its forward pass, for what wraps nothing but forward passes.

    Args:
        model: has `predict`, from images [B, 4, H, W] to a `Prediction`.
    """

    def __init__(self, model: nn.Module) -> None:
        super().__init__()
        self.model = model

    def forward(self, images: Tensor) -> Prediction:
        """Predicts meshes and maybe colours from images [B, 4, H, W]."""
        return self.model.predict(images)  # type: ignore[operator]
