from __future__ import annotations

import math

import numpy as np
import pytest
import torch
from scipy.spatial.distance import cdist
from torch import Tensor

from recon.datasets.storage.layout import Layout
from recon.geometry.surface_sampling import sample_surface
from recon.metrics import Truth
from recon.metrics.meshrcnn import MeshRCNN
from recon.metrics.seeds import generator
from tests.recon.metrics.solids import box, sphere, truth_of

COUNT = 4000
SUITE = MeshRCNN(COUNT)


def ball_truth(radius: float = 0.5, count: int = 2 * COUNT) -> Truth:
    return truth_of(*sphere(radius, 4), count)


def score(vertices: Tensor, faces: Tensor, truth: Truth, view: int = 0) -> dict[str, float]:
    found = SUITE.score(vertices[None], faces, truth, [view], 0)
    return {key: value.item() for key, value in found.items()}


def test_concentric_spheres_at_a_side_of_ten() -> None:
    found = score(*sphere(0.48, 4), ball_truth())
    # Radii 4.8 and 5: d^2 = 0.2^2 + 4.8 * 5 * a^2 with an angle a, P(a^2 > x) = exp(-N x / 4).
    squared = 0.04 + 24 * 4 / COUNT
    assert found["meshrcnn_chamfer_l2"] == pytest.approx(2 * squared, rel=0.05)
    assert found["meshrcnn_f1_0.1"] == 0
    for threshold in (0.3, 0.5):
        share = 1 - math.exp(-COUNT * (threshold**2 - 0.04) / 96)
        assert found[f"meshrcnn_f1_{threshold}"] == pytest.approx(share, abs=0.02)
    assert found["meshrcnn_normal_consistency"] == pytest.approx(1, abs=0.01)


def test_a_surface_against_itself_is_at_the_floor_of_its_samples() -> None:
    found = score(*sphere(0.5, 4), ball_truth())
    # Area 100 pi at the scale of ten; two means of A / (pi N).
    assert found["meshrcnn_chamfer_l2"] == pytest.approx(2 * 100 / COUNT, rel=0.05)
    assert found["meshrcnn_f1_0.1"] == pytest.approx(1 - math.exp(-COUNT * 0.1**2 / 100), abs=0.03)
    assert found["meshrcnn_f1_0.5"] == pytest.approx(1 - math.exp(-COUNT * 0.5**2 / 100), abs=1e-3)


def test_the_formulas_hold_for_every_pair_of_points() -> None:
    vertices, faces = box((0.5, 0.4, 0.8), (0.02, 0.0, 0.05))
    # As many points of the truth as are taken: all of them.
    truth = truth_of(*box((0.6, 0.9, 0.3)), 500)
    assert truth.surface_points is not None
    assert truth.surface_normals is not None
    found = MeshRCNN(500).score(vertices[None], faces, truth, [5], seed=3)
    own = sample_surface(vertices.numpy(), faces.numpy(), 500, generator(3, 5))
    # Some points lie on the sides y = +-0.45, so that their box is that of the mesh.
    side = np.ptp(truth.surface_points.numpy(), axis=0).max()
    assert side == pytest.approx(0.9, abs=1e-9)
    table = cdist(own.points, truth.surface_points.numpy()) * 10 / side
    cosines = own.normals @ truth.surface_normals.numpy().T
    there, back = cosines[np.arange(500), table.argmin(1)], cosines[table.argmin(0), np.arange(500)]
    assert found["meshrcnn_chamfer_l2"].item() == pytest.approx(
        (table.min(1) ** 2).mean() + (table.min(0) ** 2).mean()
    )
    assert found["meshrcnn_normal_consistency"].item() == pytest.approx(
        (there.mean() + back.mean()) / 2
    )
    assert found["meshrcnn_absolute_normal_consistency"].item() == pytest.approx(
        (np.abs(there).mean() + np.abs(back).mean()) / 2
    )
    for threshold in (0.1, 0.3, 0.5):
        precision = (table.min(1) < threshold).mean()
        recall = (table.min(0) < threshold).mean()
        expected = 2 * precision * recall / max(precision + recall, 1e-8)
        assert found[f"meshrcnn_f1_{threshold}"].item() == pytest.approx(expected)


def test_the_size_of_the_world_does_not_matter() -> None:
    vertices, faces = sphere(0.45)
    truth = ball_truth()
    assert truth.surface_points is not None
    small = Truth(surface_points=truth.surface_points / 7, surface_normals=truth.surface_normals)
    assert score(vertices / 7, faces, small) == pytest.approx(score(vertices, faces, truth))


def test_the_truth_sets_the_scale() -> None:
    found = score(*sphere(0.1, 4), ball_truth())
    assert found["meshrcnn_chamfer_l2"] == pytest.approx(2 * 4**2, rel=0.01)


def test_normals_on_the_other_side() -> None:
    vertices, faces = sphere(0.5, 4)
    found = score(vertices, faces[:, [0, 2, 1]], ball_truth())
    assert found["meshrcnn_normal_consistency"] == pytest.approx(-1, abs=0.01)
    assert found["meshrcnn_absolute_normal_consistency"] == pytest.approx(1, abs=0.01)


def test_predictions_without_a_surface_have_the_worst_values() -> None:
    vertices, faces = sphere(0.5)
    empty = {
        "meshrcnn_chamfer_l2": pytest.approx(600),
        "meshrcnn_normal_consistency": -1,
        "meshrcnn_absolute_normal_consistency": 0,
        **{"meshrcnn_f1_0.1": 0, "meshrcnn_f1_0.3": 0, "meshrcnn_f1_0.5": 0},
    }
    assert score(vertices, faces[:0], ball_truth()) == empty
    assert score(vertices * torch.nan, faces, ball_truth()) == empty
    assert score(vertices * 0, faces, ball_truth()) == empty


def test_data_that_does_not_fit_is_refused() -> None:
    SUITE.for_layout(Layout((64, 64), 1, num_surface_points=COUNT))
    with pytest.raises(ValueError, match="needs 4000 points of the surface, the data has 3999"):
        SUITE.for_layout(Layout((64, 64), 1, num_surface_points=COUNT - 1))
    with pytest.raises(ValueError, match="needs the field pointcloud, pointcloud_normals"):
        SUITE.for_layout(Layout((64, 64), 1))
    with pytest.raises(ValueError, match="samples must be >= 1, got 0"):
        MeshRCNN(0)
    with pytest.raises(ValueError, match="surface_points must be at least 4000, got 100"):
        score(*sphere(0.5), ball_truth(count=100))
    heap = Truth(surface_points=torch.zeros(5000, 3), surface_normals=torch.ones(5000, 3))
    with pytest.raises(ValueError, match="must not all lie in one place"):
        score(*sphere(0.5), heap)
