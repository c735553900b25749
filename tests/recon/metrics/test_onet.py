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
from recon.metrics.onet import OccupancyNetworks
from recon.metrics.seeds import generator
from tests.recon.metrics.solids import box, cube_points, sphere, truth_of

COUNT = 5000
SUITE = OccupancyNetworks(COUNT)


def ball_truth(radius: float) -> Truth:
    return truth_of(*sphere(radius, 4), COUNT, cube_points(COUNT).norm(dim=1) < radius)


def score(vertices: Tensor, faces: Tensor, truth: Truth, seed: int = 0) -> dict[str, float]:
    found = SUITE.score(vertices[None], faces, truth, [0], seed)
    return unscaled({key: value.item() for key, value in found.items()})


def unscaled(found: dict[str, float]) -> dict[str, float]:
    """Values in the units of the coordinates, by keys without the name of the suite."""
    scales = {"chamfer_l1": 10, "accuracy": 10, "completeness": 10, "chamfer_l2": 100}
    short = {key.removeprefix("onet_"): value for key, value in found.items()}
    return {key: value / scales.get(key, 1) for key, value in short.items()}


def test_concentric_spheres() -> None:
    found = score(*sphere(0.4, 4), ball_truth(0.5))
    # Samples of density N / (4 pi) on the unit sphere: the nearest is at an angle whose square is
    # 4 / N in the mean, so d^2 = 0.1^2 + 0.4 * 0.5 * 4 / N. Tolerances are for 5000 samples.
    squared = 0.01 + 0.4 * 0.5 * 4 / COUNT
    assert found["chamfer_l2"] == pytest.approx(squared, abs=1e-4)
    for key in ("accuracy", "completeness", "chamfer_l1"):
        assert found[key] == pytest.approx(math.sqrt(squared), abs=1e-3)
    assert found["normal_consistency"] == pytest.approx(1, abs=0.01)
    assert found["iou"] == pytest.approx((0.4 / 0.5) ** 3, abs=0.04)


def test_a_surface_against_itself_is_at_the_floor_of_its_samples() -> None:
    found = score(*sphere(0.5, 4), ball_truth(0.5))
    # Of density N / A the nearest is at sqrt(A / N) / 2 in the mean, its square at A / (pi N).
    area = math.pi
    assert found["chamfer_l1"] == pytest.approx(math.sqrt(area / COUNT) / 2, rel=0.03)
    assert found["chamfer_l2"] == pytest.approx(area / (math.pi * COUNT), rel=0.05)
    assert found["normal_consistency"] > 0.995
    assert found["iou"] > 0.98


def test_the_formulas_hold_for_every_pair_of_points() -> None:
    vertices, faces = box((0.5, 0.4, 0.8), (0.02, 0.0, 0.05))
    truth = truth_of(*sphere(0.4), 700, cube_points(100).norm(dim=1) < 0.4)
    table = OccupancyNetworks(600).score(vertices[None], faces, truth, [5], seed=3)
    found = unscaled({key: value.item() for key, value in table.items()})
    own = sample_surface(vertices.numpy(), faces.numpy(), 600, generator(3, 5))
    assert truth.surface_points is not None
    assert truth.surface_normals is not None
    table = cdist(own.points, truth.surface_points.numpy())
    cosines = np.abs(own.normals @ truth.surface_normals.numpy().T)
    there, back = table.min(1), table.min(0)
    assert found["accuracy"] == pytest.approx(there.mean())
    assert found["completeness"] == pytest.approx(back.mean())
    assert found["chamfer_l1"] == pytest.approx((there.mean() + back.mean()) / 2)
    assert found["chamfer_l2"] == pytest.approx(((there**2).mean() + (back**2).mean()) / 2)
    assert found["normal_consistency"] == pytest.approx(
        (
            cosines[np.arange(600), table.argmin(1)].mean()
            + cosines[table.argmin(0), np.arange(700)].mean()
        )
        / 2
    )


def test_iou_of_shifted_boxes_is_that_of_their_points() -> None:
    vertices, faces = box((0.6, 0.5, 0.4), (0.15, 0.0, 0.0))
    points = cube_points(COUNT)
    half = torch.tensor([0.3, 0.25, 0.2])
    true = (points.abs() < half).all(1)
    moved = ((points - torch.tensor([0.15, 0.0, 0.0])).abs() < half).all(1)
    expected = int((true & moved).sum()) / int((true | moved).sum())
    found = score(vertices, faces, truth_of(*box((0.6, 0.5, 0.4)), 100, true))
    assert found["iou"] == expected
    assert found["iou"] == pytest.approx(0.45 / 0.75, abs=0.05)


def test_turning_faces_round_changes_nothing() -> None:
    vertices, faces = sphere(0.4)
    expected = score(vertices, faces, ball_truth(0.5))
    found = score(vertices, faces[:, [0, 2, 1]], ball_truth(0.5))
    assert found["normal_consistency"] == pytest.approx(expected["normal_consistency"], abs=0.01)
    assert found["iou"] == expected["iou"]


def test_scaling_both_multiplies_distances_alone() -> None:
    truth = ball_truth(0.5)
    assert truth.surface_points is not None
    assert truth.points is not None
    half = Truth(
        surface_points=truth.surface_points / 2,
        surface_normals=truth.surface_normals,
        points=truth.points / 2,
        occupancies=truth.occupancies,
    )
    vertices, faces = sphere(0.4)
    whole, scaled = score(vertices, faces, truth), score(vertices / 2, faces, half)
    for key in ("accuracy", "completeness", "chamfer_l1"):
        assert scaled[key] == pytest.approx(whole[key] / 2)
    assert scaled["chamfer_l2"] == pytest.approx(whole["chamfer_l2"] / 4)
    assert scaled["normal_consistency"] == pytest.approx(whole["normal_consistency"])
    assert scaled["iou"] == whole["iou"]


def test_predictions_without_a_surface_have_the_worst_values() -> None:
    vertices, faces = sphere(0.4)
    empty = {
        **dict.fromkeys(("accuracy", "completeness", "chamfer_l1"), math.sqrt(3)),
        **{"chamfer_l2": pytest.approx(3), "normal_consistency": 0, "iou": 0},
    }
    assert score(vertices, faces[:0], ball_truth(0.5)) == empty
    assert score(vertices * torch.nan, faces, ball_truth(0.5)) == empty
    assert score(vertices * 0, faces, ball_truth(0.5)) == empty


def test_a_flat_prediction_has_a_surface_but_no_volume() -> None:
    vertices, faces = sphere(0.4)
    found = score(vertices * torch.tensor([1, 1, 0]), faces, ball_truth(0.5))
    assert found["iou"] == 0
    assert 0.1 < found["chamfer_l1"] < 0.5


def test_nothing_inside_of_either_agrees() -> None:
    vertices, faces = sphere(0.4)
    truth = truth_of(vertices, faces, 100, torch.zeros(200, dtype=torch.bool))
    assert score(vertices, faces[:0], truth)["iou"] == 1
    assert score(vertices, faces, truth)["iou"] == 0


def test_data_and_arguments_that_do_not_fit_are_refused() -> None:
    SUITE.for_layout(Layout((64, 64), 1, num_points=5, num_surface_points=7))
    with pytest.raises(ValueError, match="suite onet needs the field points, occupancies"):
        SUITE.for_layout(Layout((64, 64), 1, num_surface_points=7))
    with pytest.raises(ValueError, match="samples must be >= 1, got 0"):
        OccupancyNetworks(0)
    vertices, faces = sphere(0.4)
    whole = ball_truth(0.5)
    truth = Truth(
        surface_points=whole.surface_points,
        surface_normals=whole.surface_normals,
        points=whole.points,
        occupancies=torch.zeros(3, dtype=torch.bool),
    )
    with pytest.raises(ValueError, match="5000 points need as many occupancies, got 3"):
        score(vertices, faces, truth)
    with pytest.raises(ValueError, match="truth must have surface_points, got None"):
        score(vertices, faces, Truth())
