"""Skinning against closed forms, and its gradients; blend shapes are linear."""

from __future__ import annotations

import math
from typing import Any

import pytest
import torch

from recon.fitting.articulation.articulated_mesh import ArticulatedMesh, Skeleton
from recon.geometry.meshes import Mesh
from recon.geometry.rotations import axis_angle_to_rotation

# Two bones along x, from 0 to 1 to 2, and a third joint that branches off at the end of the first.
PLACES = torch.tensor([[0.0, 0, 0], [1.0, 0, 0], [1.0, 0, 0]])
POINTS = torch.tensor([[0.5, 0.1, 0], [1.5, 0.1, 0], [2.0, 0, 0.3], [1.0, 0.2, 0]])
FACES = torch.tensor([[0, 1, 2], [0, 2, 3]])
WEIGHTS = torch.tensor([[1.0, 0, 0], [0, 1.0, 0], [0, 1.0, 0], [0.5, 0.5, 0]])


def body(**changes: Any) -> ArticulatedMesh:
    skeleton = Skeleton((-1, 0, 0), PLACES, ("shoulder", "elbow", "thumb"))
    parts: dict[str, Any] = {"skeleton": skeleton, "weights": WEIGHTS, **changes}
    return ArticulatedMesh(Mesh(POINTS, FACES), **parts)


def random(*shape: int) -> torch.Tensor:
    generator = torch.Generator().manual_seed(sum(shape))
    return torch.randn(*shape, generator=generator, dtype=torch.float64)


def test_zero_angles_are_the_rest_pose() -> None:
    torch.testing.assert_close(body().pose(torch.zeros(2, 3, 3)), POINTS.expand(2, -1, -1))
    torch.testing.assert_close(body().joints(torch.zeros(2, 3, 3)), PLACES.expand(2, -1, -1))


def test_an_elbow_turns_what_is_below_it_about_its_place() -> None:
    angles = torch.zeros(1, 3, 3)
    angles[0, 1, 2] = math.pi / 2  # about z: x becomes y
    posed = body().pose(angles)[0]
    torch.testing.assert_close(posed[0], POINTS[0])
    torch.testing.assert_close(posed[1], torch.tensor([0.9, 0.5, 0]))
    torch.testing.assert_close(posed[2], torch.tensor([1.0, 1.0, 0.3]))
    # Half of what stays, (1, 0.2, 0), and half of what turns, (0.8, 0, 0).
    torch.testing.assert_close(posed[3], torch.tensor([0.9, 0.1, 0]))


def test_the_root_turns_everything_rigidly() -> None:
    angles = torch.zeros(1, 3, 3)
    angles[0, 0] = torch.tensor([0.3, -0.8, 0.5])
    rotation = axis_angle_to_rotation(angles[0, 0])
    shift = torch.tensor([[0.1, 0.2, 0.3]])
    torch.testing.assert_close(body().pose(angles, shift)[0], POINTS @ rotation.mT + shift)
    torch.testing.assert_close(body().joints(angles, shift)[0], PLACES @ rotation.mT + shift)


def test_distances_within_a_part_stay() -> None:
    posed = body().pose(random(5, 3, 3).float())
    before, after = torch.cdist(POINTS, POINTS), torch.cdist(posed, posed)
    torch.testing.assert_close(after[:, 1, 2], before[1, 2].expand(5))


def test_a_chain_multiplies_its_rotations() -> None:
    angles = random(2, 3, 3)
    chain = Skeleton((-1, 0, 1), PLACES.double())
    rotations, positions = chain.transforms(angles)
    local = axis_angle_to_rotation(angles)
    torch.testing.assert_close(rotations[:, 2], local[:, 0] @ local[:, 1] @ local[:, 2])
    torch.testing.assert_close(positions[:, 1], (local[:, 0] @ PLACES[1].double()))


def test_below_is_the_subtree() -> None:
    skeleton = Skeleton((-1, 0, 1, 0, 2), torch.zeros(5, 3))
    assert skeleton.below(1) == [1, 2, 4]
    assert skeleton.below(0) == [0, 1, 2, 3, 4]


def test_gradients_are_exact() -> None:
    shapes, joint_shapes = random(2, 4, 3), random(2, 3, 3)
    figure = body(shapes=shapes, joint_shapes=joint_shapes)
    inputs = (random(2, 3, 3), random(2, 3), random(2, 2))
    for value in inputs:
        value.requires_grad_()
    assert torch.autograd.gradcheck(figure.pose, inputs)
    assert torch.autograd.gradcheck(figure.joints, inputs)


def test_blend_shapes_are_linear_and_move_joints_too() -> None:
    shapes, joint_shapes = random(2, 4, 3).float(), torch.zeros(2, 3, 3)
    joint_shapes[0, 1, 0] = 0.5
    figure = body(shapes=shapes, joint_shapes=joint_shapes)
    a, b = random(3, 2).float(), random(4, 2)[:3].float()
    rest = figure.shaped(torch.zeros(3, 2))
    torch.testing.assert_close(rest, POINTS.expand(3, -1, -1))
    left = figure.shaped(2 * a + b) - rest
    right = 2 * (figure.shaped(a) - rest) + (figure.shaped(b) - rest)
    torch.testing.assert_close(left, right)
    moved = figure.joints(torch.zeros(1, 3, 3), coefficients=torch.tensor([[2.0, 0.0]]))
    torch.testing.assert_close(moved[0, 1], torch.tensor([2.0, 0, 0]))


@pytest.mark.parametrize(
    ("changes", "message"),
    [
        ({"weights": WEIGHTS[:, :2]}, r"weights must be .* \[4, 3\], got .*\[4, 2\]"),
        ({"weights": WEIGHTS * 2}, r"rows that sum to 1, got \[2.0, 0.0, 0.0\] in row 0"),
        ({"weights": WEIGHTS * torch.nan}, "weights must be finite"),
        ({"shapes": torch.zeros(2, 5, 3)}, r"shapes must be .* \[2, 4, 3\]"),
        ({"joint_shapes": torch.zeros(1, 3, 3)}, r"joint_shapes must be .* \[0, 3, 3\]"),
    ],
)
def test_bad_meshes_are_named(changes: dict[str, torch.Tensor], message: str) -> None:
    with pytest.raises(ValueError, match=message):
        body(**changes)


@pytest.mark.parametrize(
    ("parents", "places", "message"),
    [
        ((-1, 1), PLACES[:2], "got parent 1 of joint 1"),
        ((0,), PLACES[:1], "got parent 0 of joint 0"),
        ((-1, -1), PLACES[:2], "got parent -1 of joint 1"),
        ((-1, 0), PLACES, r"shape \[2, 3\] with a row for each parent, got .*\[3, 3\]"),
        ((), PLACES[:0], "places must be"),
        ((-1,), torch.tensor([[torch.inf, 0, 0]]), "places must be finite"),
    ],
)
def test_bad_skeletons_are_named(
    parents: tuple[int, ...], places: torch.Tensor, message: str
) -> None:
    with pytest.raises(ValueError, match=message):
        Skeleton(parents, places)


def test_names_belong_to_joints() -> None:
    with pytest.raises(ValueError, match="1 joints but 2 names"):
        Skeleton((-1,), PLACES[:1], ("a", "b"))


def test_bad_angles_are_named() -> None:
    with pytest.raises(ValueError, match=r"angles must have shape \[B, 3, 3\], got \[2, 3\]"):
        body().pose(torch.zeros(2, 3))
    with pytest.raises(ValueError, match=r"coefficients must have shape \[B, 0\], got \[1, 2\]"):
        body().pose(torch.zeros(1, 3, 3), coefficients=torch.zeros(1, 2))
