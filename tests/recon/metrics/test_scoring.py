from __future__ import annotations

import numpy as np
import pytest
import torch

from recon.metrics.protocol import Measure
from recon.metrics.scoring import require_predictions, score_each, true_samples
from recon.metrics.truth import Truth
from tests.recon.metrics.solids import sphere


def test_every_prediction_is_scored_with_its_view() -> None:
    vertices, faces = sphere(1, 0)
    both = torch.stack([vertices, 2 * vertices]).float()

    def score_one(mesh: np.ndarray, triangles: np.ndarray, view: int) -> dict[str, float]:
        assert triangles.dtype == np.int64
        return {"size": float(np.linalg.norm(mesh, axis=1).mean()), "view": view}

    measures = [Measure("size", "size"), Measure("view", "view")]
    found = score_each(score_one, measures, both.requires_grad_(), faces, [7, 3])
    assert found["size"].dtype == torch.float64
    assert found["size"].tolist() == pytest.approx([1, 2])
    assert found["view"].tolist() == [7, 3]


def test_the_true_surface_in_float64() -> None:
    points, normals = torch.rand(5, 3).half(), torch.rand(5, 3)
    samples = true_samples(Truth(surface_points=points, surface_normals=normals))
    assert samples.points.dtype == samples.normals.dtype == np.float64
    assert np.array_equal(samples.points, points.numpy())
    with pytest.raises(ValueError, match="truth must have surface_normals"):
        true_samples(Truth(surface_points=points))


def test_bad_predictions_are_refused() -> None:
    vertices, faces = sphere(1, 0)
    require_predictions(vertices[None], faces, [0])
    for bad in (vertices, vertices[None, :, :2], vertices[None].int()):
        with pytest.raises(
            ValueError, match=r"vertices must be floating point of shape \[n, V, 3\]"
        ):
            require_predictions(bad, faces, [0])
    for bad in (faces[0], faces[:, :2], faces.float()):
        with pytest.raises(ValueError, match=r"faces must be integers of shape \[F, 3\]"):
            require_predictions(vertices[None], bad, [0])
    with pytest.raises(ValueError, match=r"view of each of 1 predictions, got \[0, 1\]"):
        require_predictions(vertices[None], faces, [0, 1])
