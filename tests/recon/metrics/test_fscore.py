from __future__ import annotations

import math

import pytest
import torch
from torch import Tensor

from recon.datasets.storage.layout import Layout
from recon.metrics import Truth
from recon.metrics.fscore import FScore
from tests.recon.metrics.solids import sphere, truth_of

COUNT = 20_000
SUITE = FScore(COUNT)


def score(vertices: Tensor, faces: Tensor, truth: Truth) -> dict[str, float]:
    found = SUITE.score(vertices[None], faces, truth, [0], 0)
    return {key: value.item() for key, value in found.items()}


def both(one: tuple[Tensor, Tensor], other: tuple[Tensor, Tensor]) -> tuple[Tensor, Tensor]:
    return torch.cat((one[0], other[0])), torch.cat((one[1], other[1] + len(one[0])))


def test_a_surface_against_itself_is_at_the_floor_of_its_samples() -> None:
    found = score(*sphere(0.3, 4), truth_of(*sphere(0.3, 4), COUNT))
    # P(nearest nearer than t) = 1 - exp(-pi t^2 N / A) with A = 4 pi r^2.
    share = 1 - math.exp(-(0.01**2) * COUNT / (4 * 0.3**2))
    assert found == {
        key: pytest.approx(share, abs=0.005)
        for key in ("fscore", "fscore_precision", "fscore_recall")
    }


def test_spheres_nearer_and_farther_than_the_threshold() -> None:
    truth = truth_of(*sphere(0.1, 4), COUNT)
    assert score(*sphere(0.107, 4), truth)["fscore"] > 0.99
    assert score(*sphere(0.1101, 4), truth) == {
        "fscore": 0,
        "fscore_precision": 0,
        "fscore_recall": 0,
    }


def test_too_much_lowers_precision_and_too_little_recall() -> None:
    one, other = sphere(0.1, 4, (-0.3, 0.0, 0.0)), sphere(0.1, 4, (0.3, 0.0, 0.0))
    more = score(*both(one, other), truth_of(*one, COUNT))
    assert more["fscore_precision"] == pytest.approx(0.5, abs=0.02)
    assert more["fscore_recall"] == pytest.approx(1, abs=0.001)
    assert more["fscore"] == pytest.approx(2 / 3, abs=0.02)
    less = score(*one, truth_of(*both(one, other), COUNT))
    assert less["fscore_precision"] == pytest.approx(1, abs=0.001)
    assert less["fscore_recall"] == pytest.approx(0.5, abs=0.02)


def test_the_threshold_is_a_length_of_the_world() -> None:
    truth = truth_of(*sphere(0.1, 4), COUNT)
    vertices, faces = sphere(0.12, 4)
    wide = FScore(COUNT, threshold=0.05)
    assert wide.metrics[0].label == "F-score (5 %)"
    assert wide.score(vertices[None], faces, truth, [0], 0)["fscore"].item() == 1
    assert score(vertices, faces, truth)["fscore"] == 0


def test_predictions_without_a_surface_score_nothing() -> None:
    vertices, faces = sphere(0.1)
    nothing = {"fscore": 0, "fscore_precision": 0, "fscore_recall": 0}
    truth = truth_of(vertices, faces, COUNT)
    assert score(vertices, faces[:0], truth) == nothing
    assert score(vertices * torch.nan, faces, truth) == nothing
    assert score(vertices * 0, faces, truth) == nothing


def test_data_and_settings_that_do_not_fit_are_refused() -> None:
    SUITE.for_layout(Layout((64, 64), 1, num_surface_points=1))
    with pytest.raises(ValueError, match="suite fscore needs the field pointcloud"):
        SUITE.for_layout(Layout((64, 64), 1, num_points=5))
    with pytest.raises(
        ValueError, match=r"samples must be >= 1 and threshold > 0, got 0 and 0\.01"
    ):
        FScore(0)
    with pytest.raises(ValueError, match="got 5 and nan"):
        FScore(5, float("nan"))
