"""Random cases hide a part, and errors are measured joint by joint."""

from __future__ import annotations

import math

import pytest
import torch

from recon.fitting.articulation.fitter import ArticulatedPoses, middle_poses
from recon.fitting.articulation.humanoid import humanoid_limits, make_humanoid
from recon.fitting.articulation.scores import (
    HIDDEN,
    angle_errors,
    place_errors,
    random_cases,
    visible_shares,
)
from recon.geometry.cameras import Cameras

BODY, LIMITS = make_humanoid(), humanoid_limits()
NAMES = BODY.skeleton.names


def camera(azimuth: float) -> Cameras:
    one = torch.ones(1)
    return Cameras.orbit(azimuth * one, 0 * one, 3 * one, 30 * one)


def test_cases_hide_a_part_and_follow_the_seed() -> None:
    first, again, other = (random_cases(BODY, 3, 32, seed) for seed in (4, 4, 5))
    assert torch.equal(first.truth.angles, again.truth.angles)
    assert torch.equal(first.images, again.images)
    assert not torch.equal(first.truth.angles, other.truth.angles)
    assert first.images.shape == (3, 4, 32, 32)
    assert bool((first.visible.amin(1) < HIDDEN).all())
    low, high = LIMITS.unbind(-1)
    assert bool(((first.truth.angles >= low) & (first.truth.angles <= high)).all())
    assert float(first.truth.coefficients.abs().max()) == 0
    shaped = random_cases(BODY, 2, 32, 4, reshape=True)
    assert bool((shaped.truth.coefficients != 0).all())
    with pytest.raises(ValueError, match="at least one case, got 0"):
        random_cases(BODY, 0, 32, 4)


def test_the_image_of_a_case_is_that_of_its_pose() -> None:
    cases = random_cases(BODY, 2, 64, 1)
    visible = visible_shares(BODY, cases.truth, cases.cameras, 64)
    assert torch.allclose(visible, cases.visible)
    colors = BODY.mesh.face_colors
    assert colors is not None
    part = BODY.weights[BODY.mesh.faces].mean(1).argmax(1)
    for case, joint in cases.visible.lt(0.001).nonzero().tolist():
        color = colors[part == joint][0][:, None, None]
        assert not bool(((cases.images[case, :3] - color).abs().amax(0) < 1e-3).any())


def test_from_the_side_the_far_arm_is_hidden() -> None:
    poses = ArticulatedPoses(torch.zeros(1, len(NAMES), 3), torch.zeros(1, 3), torch.zeros(1, 2))
    front = visible_shares(BODY, poses, camera(0.0), 64)[0]
    assert float(front.min()) > 0.8
    # At azimuth 90 the eye is at +x, where the left arm is.
    side = visible_shares(BODY, poses, camera(90.0), 64)[0]
    assert float(side[NAMES.index("left elbow")]) > 0.9
    assert float(side[NAMES.index("right elbow")]) < HIDDEN
    away = ArticulatedPoses(poses.angles, torch.tensor([[9.0, 0.0, 0.0]]), poses.coefficients)
    assert bool((visible_shares(BODY, away, camera(0.0), 64) == 1).all())


def test_errors_are_those_of_the_joint_that_is_wrong() -> None:
    truth = middle_poses(BODY, 0 * LIMITS)
    angles = truth.angles.clone()
    elbow = NAMES.index("left elbow")
    angles[0, elbow, 1] = math.radians(40)
    found = ArticulatedPoses(angles, truth.translation + 0.3, truth.coefficients)
    degrees = angle_errors(found, truth)[0]
    assert float(degrees[elbow]) == pytest.approx(40, abs=1e-3)
    assert float(degrees.sum()) == pytest.approx(40, abs=1e-3)
    # The elbow turns about its own place, and a shift of the whole does not count.
    assert float(place_errors(BODY, found, truth).max()) < 1e-6
    angles[0, elbow], angles[0, NAMES.index("left shoulder"), 2] = 0, math.radians(60)
    bent = place_errors(BODY, found, truth)[0]
    upper = BODY.skeleton.places[elbow] - BODY.skeleton.places[NAMES.index("left shoulder")]
    assert float(bent[elbow]) == pytest.approx(float(upper.norm()), abs=1e-5)  # a chord of 60°
    assert float(bent.sum()) == pytest.approx(float(bent[elbow]), abs=1e-5)
