"""What a reconstruction network predicts."""

from __future__ import annotations

from dataclasses import dataclass

from torch import Tensor


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
