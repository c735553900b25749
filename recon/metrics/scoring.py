"""What the presets share: arguments as arrays, and one prediction after the other."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from typing import Any

import numpy as np
import torch
from numpy.typing import NDArray
from torch import Tensor

from recon.geometry.surface_sampling import SurfaceSamples
from recon.metrics.protocol import Measure
from recon.metrics.truth import Truth

# The values of one prediction by the keys of the measures.
Scores = dict[str, float]
# (vertices [V, 3], faces [F, 3], view) -> the scores of one prediction.
ScoreOne = Callable[[NDArray[Any], NDArray[np.int64], int], Scores]


def require_predictions(vertices: Tensor, faces: Tensor, views: Sequence[int]) -> None:
    """Refuses arguments of `Preset.score` whose shapes disagree.

    Raises:
        ValueError: naming the argument.
    """
    if vertices.dim() != 3 or vertices.shape[2] != 3 or not vertices.is_floating_point():
        raise ValueError(
            "vertices must be floating point of shape [n, V, 3], "
            f"got {vertices.dtype} {tuple(vertices.shape)}"
        )
    if faces.dim() != 2 or faces.shape[1] != 3 or faces.is_floating_point():
        raise ValueError(
            f"faces must be integers of shape [F, 3], got {faces.dtype} {tuple(faces.shape)}"
        )
    if len(views) != len(vertices):
        raise ValueError(
            f"views must name the view of each of {len(vertices)} predictions, got {list(views)}"
        )


def score_each(
    score_one: ScoreOne,
    measures: Sequence[Measure],
    vertices: Tensor,
    faces: Tensor,
    views: Sequence[int],
) -> dict[str, Tensor]:
    """Scores predictions one after the other.

    Args:
        score_one: of one prediction, by the keys of all measures.
        measures: of the preset.
        vertices: [n, V, 3].
        faces: [F, 3].
        views: n views.

    Returns:
        By key [n] float64.

    Raises:
        ValueError: shapes disagree.
    """
    require_predictions(vertices, faces, views)
    positions = vertices.detach().cpu().double().numpy()
    indices = faces.cpu().numpy()
    rows = [score_one(mesh, indices, view) for mesh, view in zip(positions, views, strict=True)]
    return {
        measure.key: torch.tensor([row[measure.key] for row in rows], dtype=torch.float64)
        for measure in measures
    }


def true_samples(truth: Truth) -> SurfaceSamples:
    """Returns the points and normals of the true surface.

    Raises:
        ValueError: there are none.
    """
    return SurfaceSamples(
        truth.require("surface_points").cpu().double().numpy(),
        truth.require("surface_normals").cpu().double().numpy(),
    )
