"""Rotations keep lengths, turn by the angles they are given, and are smooth at zero."""

from __future__ import annotations

import math

import pytest
import torch
from hypothesis import given, settings
from hypothesis import strategies as st

from recon.geometry.rotations import (
    axis_angle_to_rotation,
    cross_matrices,
    random_rotations,
    random_turns,
    rotation_distance,
    rotation_to_axis_angle,
    rotation_to_quaternion,
)


def vectors(count: int, scale: float = 1.0) -> torch.Tensor:
    generator = torch.Generator().manual_seed(0)
    return scale * torch.randn(count, 3, generator=generator, dtype=torch.float64)


def test_a_quarter_turn_about_z_takes_x_to_y() -> None:
    rotation = axis_angle_to_rotation(torch.tensor([0.0, 0.0, math.pi / 2]))
    torch.testing.assert_close(rotation @ torch.tensor([1.0, 0, 0]), torch.tensor([0.0, 1, 0]))


@pytest.mark.parametrize("scale", [0.0, 1e-9, 1e-3, 1e-2, 1.0, 30.0])
def test_axis_angle_is_the_matrix_exponential(scale: float) -> None:
    v = vectors(20, scale)
    torch.testing.assert_close(
        axis_angle_to_rotation(v), torch.matrix_exp(cross_matrices(v)), rtol=0, atol=1e-12
    )


@pytest.mark.parametrize("scale", [0.0, 1e-3, 9.99e-3, 1.0, 4.0])
def test_gradient_is_exact_also_at_zero(scale: float) -> None:
    v = vectors(3, scale).requires_grad_()
    assert torch.autograd.gradcheck(axis_angle_to_rotation, v)


@settings(deadline=None, max_examples=50)
@given(st.floats(0, math.pi - 1e-6), st.integers(0, 999))
def test_axis_angle_is_recovered(angle: float, seed: int) -> None:
    generator = torch.Generator().manual_seed(seed)
    axis = torch.randn(4, 3, generator=generator, dtype=torch.float64)
    v = angle * axis / axis.norm(dim=1, keepdim=True)
    torch.testing.assert_close(
        rotation_to_axis_angle(axis_angle_to_rotation(v)), v, rtol=1e-7, atol=1e-9
    )


def test_half_turns_have_quaternions() -> None:
    axes = torch.eye(3, dtype=torch.float64)
    q = rotation_to_quaternion(axis_angle_to_rotation(math.pi * axes))
    torch.testing.assert_close(q[:, 1:].abs(), axes)
    assert (q[:, 0].abs() < 1e-12).all()


def test_distance_is_the_angle_between() -> None:
    a = random_rotations(50, torch.Generator().manual_seed(1)).double()
    for degrees in (0.0, 1e-4, 20.0, 179.9999, 180.0):
        turns = random_turns(50, degrees, torch.Generator().manual_seed(2)).double()
        distance = rotation_distance(a, a @ turns)
        torch.testing.assert_close(distance, torch.full_like(distance, degrees), rtol=0, atol=2e-5)
    torch.testing.assert_close(rotation_distance(a, a[:1]), rotation_distance(a[:1], a))


def test_random_rotations_are_rotations_in_all_directions() -> None:
    rotations = random_rotations(2000, torch.Generator().manual_seed(3))
    torch.testing.assert_close(
        rotations @ rotations.mT, torch.eye(3).expand(2000, 3, 3), rtol=0, atol=1e-6
    )
    assert bool((torch.linalg.det(rotations) > 0).all())
    assert float(rotations.mean(0).abs().max()) < 0.06  # 1 / sqrt(3 * 2000) = 0.013 each
    again = random_rotations(2000, torch.Generator().manual_seed(3))
    assert torch.equal(rotations, again)


def test_bad_input_is_named() -> None:
    with pytest.raises(ValueError, match=r"vectors must be .* \[..., 3\], got .* \[2, 4\]"):
        axis_angle_to_rotation(torch.zeros(2, 4))
    with pytest.raises(ValueError, match=r"rotations must be .*int64 \[3, 3\]"):
        rotation_to_axis_angle(torch.eye(3, dtype=torch.int64))
    with pytest.raises(ValueError, match=r"b must be .* \[..., 3, 3\]"):
        rotation_distance(torch.eye(3), torch.zeros(3))
