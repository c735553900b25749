"""Viewpoints with lights, and what errors of them are."""

from __future__ import annotations

import math

import pytest
import torch

from recon.fitting.viewpoint.viewpoints import (
    ViewpointErrors,
    Viewpoints,
    directions,
    grid_of_starts,
)


def viewpoints(*rows: tuple[float, float, float, tuple[float, float, float]]) -> Viewpoints:
    azimuth, elevation, distance = (torch.tensor([row[i] for row in rows]) for i in range(3))
    return Viewpoints(azimuth, elevation, distance, torch.tensor([row[3] for row in rows]))


def test_errors_are_angles_and_ratios() -> None:
    one = viewpoints((0.0, 0.0, 2.0, (0.0, 1.0, 0.0)))
    other = viewpoints((30.0, 0.0, 2.2, (0.0, 3.0, 3.0)))
    over = viewpoints((-355.0, -7.0, 2.0, (0.0, 1.0, 0.0)))
    error = ViewpointErrors.between(other, one)
    assert error.view.item() == pytest.approx(30, abs=1e-3)
    assert error.distance.item() == pytest.approx(0.1, abs=1e-6)
    assert error.light.item() == pytest.approx(45, abs=1e-3)
    assert error.azimuth.item() == pytest.approx(30)
    assert ViewpointErrors.between(over, one).azimuth.item() == pytest.approx(5)
    assert ViewpointErrors.between(one, over).azimuth.item() == pytest.approx(5)
    assert ViewpointErrors.between(over, one).elevation.item() == pytest.approx(7)
    assert ViewpointErrors.between(one, one).light.item() == 0


def test_directions_are_spread_over_the_sphere() -> None:
    around = directions(96)
    assert torch.allclose(around.norm(dim=1), torch.ones(96))
    assert around.mean(0).abs().max() < 0.02
    cosines = (around[:, None] * around[None]).sum(-1) - 2 * torch.eye(96)
    nearest = torch.rad2deg(torch.acos(cosines.amax(1)))
    assert nearest.min() > 12
    assert nearest.max() < 25


def test_the_light_of_a_start_falls_on_what_is_seen() -> None:
    starts = grid_of_starts(4, [0.0, 60.0], 2.5)
    assert len(starts) == 8
    eyes = torch.nn.functional.normalize(starts.eyes())
    assert (eyes * starts.light).sum(1).min() > math.cos(math.radians(45))


def test_bad_arguments() -> None:
    with pytest.raises(ValueError, match=r"light must be \[1, 3\]"):
        Viewpoints(torch.zeros(1), torch.zeros(1), torch.ones(1), torch.zeros(3))
    with pytest.raises(ValueError, match=r"elevation must be \[1\]"):
        Viewpoints(torch.zeros(1), torch.zeros(2), torch.ones(1), torch.zeros(1, 3))
    with pytest.raises(ValueError, match="must be starts"):
        grid_of_starts(0, [0.0], 2.0)
