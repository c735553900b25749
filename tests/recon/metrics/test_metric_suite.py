"""Metric suites: what they need of a data set, and predictions scored one after the other."""

from __future__ import annotations

import numpy as np
import pytest
import torch

from recon.datasets.storage.layout import Layout
from recon.metrics.fscore import FScore
from recon.metrics.metric_suite import Metric, require_predictions, score_each
from recon.metrics.onet import OccupancyNetworks
from recon.metrics.truth import Truth
from tests.recon.metrics.solids import cube_points, sphere, truth_of


def test_fields_that_are_missing_are_named() -> None:
    suite = OccupancyNetworks()
    whole = Layout((64, 64), 1, num_points=1, num_surface_points=1)
    assert suite.for_layout(whole) is suite
    message = (
        "metric suite onet needs the field pointcloud, pointcloud_normals, the data has only images"
    )
    with pytest.raises(ValueError, match=message):
        suite.for_layout(Layout((64, 64), 1, num_points=1))


def test_a_metric_is_better_when_higher_unless_said() -> None:
    metric = Metric("a", "A", "s")
    assert (metric.higher_is_better, metric.percent) == (True, False)


def test_objects_are_scored_each_with_its_own_truth_and_seed() -> None:
    vertices, faces = sphere(0.4, 1)
    meshes = torch.stack([vertices, 0.9 * vertices]).expand(2, -1, -1, -1)
    inside = cube_points(50).norm(dim=1) < 0.4
    truths: list[Truth] = [truth_of(*sphere(radius), 500, inside) for radius in (0.4, 0.3)]
    suite = FScore(300, threshold=0.05)
    together = suite.score_objects(meshes, faces, truths, [4, 2], [7, 8])
    for number, (truth, seed) in enumerate(zip(truths, [7, 8], strict=True)):
        alone = suite.score(meshes[number], faces, truth, [4, 2], seed)
        assert all(torch.equal(together[key][number], values) for key, values in alone.items())
    assert together["fscore"].shape == (2, 2)
    assert together["fscore"][0, 0] > together["fscore"][1, 0]


def test_every_prediction_is_scored_with_its_view() -> None:
    vertices, faces = sphere(1, 0)
    both = torch.stack([vertices, 2 * vertices]).float()

    def score_one(mesh: np.ndarray, triangles: np.ndarray, view: int) -> dict[str, float]:
        assert triangles.dtype == np.int64
        return {"size": float(np.linalg.norm(mesh, axis=1).mean()), "view": view}

    metrics = [Metric(key, key, "s") for key in ("size", "view")]
    found = score_each(score_one, metrics, both.requires_grad_(), faces, [7, 3])
    assert found["size"].dtype == torch.float64
    assert found["size"].tolist() == pytest.approx([1, 2])
    assert found["view"].tolist() == [7, 3]


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
