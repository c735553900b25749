"""Angles between directions: known values, bounds, and shapes that are refused."""

from __future__ import annotations

import pytest
import torch

from recon.metrics.directions import direction_errors, within_limit
from recon.models.directions import direction_grid


def test_angles_of_known_directions() -> None:
    grid = direction_grid(24, (0.0,))
    errors = direction_errors(grid[[0, 0, 0, 0]], grid[[0, 1, 6, 12]])
    torch.testing.assert_close(
        errors, torch.tensor([0.0, 15.0, 90.0, 180.0], dtype=torch.float64), atol=1e-4, rtol=0
    )
    assert float(errors[0]) == 0


def test_angles_are_those_of_cosines_and_symmetric() -> None:
    generator = torch.Generator().manual_seed(0)
    one, other = torch.nn.functional.normalize(
        torch.randn(2, 100, 3, generator=generator, dtype=torch.float64), dim=2
    )
    errors = direction_errors(one, other)
    cosines = torch.rad2deg(torch.acos((one * other).sum(1)))
    torch.testing.assert_close(errors, cosines, atol=1e-6, rtol=1e-6)
    assert torch.equal(errors, direction_errors(other, one))


def test_neighbours_on_a_grid_of_15_degrees_are_within_the_limit() -> None:
    for elevation in (0.0, 30.0):
        grid = direction_grid(24, (elevation,))
        assert within_limit(direction_errors(grid, grid.roll(1, 0))).tolist() == [1.0] * 24
        assert within_limit(direction_errors(grid, grid.roll(2, 0))).tolist() == [0.0] * 24
    assert within_limit(torch.tensor([[14.0, 15.1]])).tolist() == [[1.0, 0.0]]


def test_other_shapes_are_refused() -> None:
    for predicted, true in (((2, 3), (3, 3)), ((2, 2), (2, 2)), ((3,), (3,))):
        with pytest.raises(ValueError, match=r"predicted and true must be \[N, 3\]"):
            direction_errors(torch.zeros(predicted), torch.zeros(true))
