"""Angles of joints are found from one image, also of what is hidden where the fit begins."""

from __future__ import annotations

import pytest
import torch

from recon.fitting.articulation.articulated_mesh import ArticulatedMesh
from recon.fitting.articulation.fitter import ArticulatedPoses, ArticulationFitter, middle_poses
from recon.fitting.articulation.humanoid import humanoid_limits, make_humanoid
from recon.fitting.stages import SoftStage
from recon.geometry.cameras import Cameras
from recon.geometry.rotations import axis_angle_to_rotation, rotation_distance
from recon.rendering.renderer import SoftRenderer

LIMITS = humanoid_limits()
SHORT_FINE = ((3e-4, 5e-5), (0.3, 0.05), (0.05, 0.01))
SHORT_FITTER = ArticulationFitter(
    SoftStage(30, 32, (1e-3, 1e-3), (1.0, 0.2), (0.1, 0.05)), SoftStage(30, None, *SHORT_FINE)
)


def camera(azimuth: float = 0.0) -> Cameras:
    one = torch.ones(1)
    return Cameras.orbit(azimuth * one, 0 * one, 3 * one, 30 * one)


def image_of(body: ArticulatedMesh, angles: torch.Tensor, cameras: Cameras) -> torch.Tensor:
    hard = SoftRenderer(64, distance="hard", alpha="hard", color="hard")
    assert body.mesh.face_colors is not None
    colors = body.mesh.face_colors[None]
    return hard(body.pose(angles), body.mesh.faces, colors, cameras).clamp(0, 1)


def joint(name: str) -> int:
    return make_humanoid().skeleton.names.index(name)


def errors(found: torch.Tensor, truth: torch.Tensor) -> torch.Tensor:
    return rotation_distance(axis_angle_to_rotation(found), axis_angle_to_rotation(truth))[0]


def arm_behind() -> torch.Tensor:
    """The left forearm bent across the front: from behind the trunk hides it."""
    angles = LIMITS.mean(-1)[None].clone()
    angles[0, joint("left shoulder")] = torch.tensor([0.0, 1.2, -0.6])
    angles[0, joint("left elbow"), 1] = 2.0
    return angles


def gradients(body: ArticulatedMesh, blend: str) -> dict[str, torch.Tensor]:
    """Gradients of an image from behind, which should be that of arms stretched out.

    Colours of vertices vary, so that a hard renderer has gradients to what it shows.

    Returns:
        Of the positions of vertices, and of the left elbow through the vertices of the forearm.
    """
    elbow, cameras, mesh = joint("left elbow"), camera(180.0), body.mesh
    forearm = body.weights[:, elbow] > 0.99
    colors = (0.5 + mesh.vertices).clamp(0, 1)[mesh.faces][None]
    modes = {"alpha": "product" if blend == "softmax" else "hard", "color": blend}
    renderer = SoftRenderer(64, sigma=1e-4, gamma=0.05, near=1.0, far=5.0, **modes)  # type: ignore
    target = renderer(body.pose(LIMITS.mean(-1)[None]), mesh.faces, colors, cameras).detach()
    angles = arm_behind().requires_grad_()
    posed = body.pose(angles)
    vertices = torch.where(forearm[:, None], posed, posed.detach())
    vertices.retain_grad()
    (renderer(vertices, mesh.faces, colors, cameras) - target).square().mean().backward()
    assert vertices.grad is not None
    assert angles.grad is not None
    return {
        "forearm": vertices.grad[0, forearm],
        "others": vertices.grad[0, ~forearm],
        "elbow": angles.grad[0, elbow],
    }


def test_the_forearm_behind_the_trunk_is_not_in_the_image() -> None:
    body, elbow = make_humanoid(), joint("left elbow")
    mesh = body.mesh
    shown = image_of(body, arm_behind(), camera(180.0))
    assert mesh.face_colors is not None
    color = mesh.face_colors[body.weights[mesh.faces].mean(1).argmax(1) == elbow][0]
    assert not bool(((shown[0, :3] - color[:, None, None]).abs().amax(0) < 0.02).any())


def test_a_hidden_part_has_a_gradient_with_a_soft_renderer_and_none_with_a_hard_one() -> None:
    body = make_humanoid()
    soft, hard = gradients(body, "softmax"), gradients(body, "hard")
    for name in ("forearm", "elbow"):
        assert float(soft[name].norm()) > 1e-5
        assert bool((hard[name] == 0).all())
    # It is not that the hard one had no gradients at all.
    assert float(hard["others"].norm()) > 1e-4


def test_an_arm_that_is_hidden_at_the_start_comes_out() -> None:
    body, cameras = make_humanoid(), camera(180.0)
    truth = LIMITS.mean(-1)[None].clone()
    truth[0, joint("left shoulder")] = torch.tensor([0.0, 0.2, 0.3])
    truth[0, joint("left elbow"), 1] = 0.3
    start = middle_poses(body, LIMITS)
    start = ArticulatedPoses(arm_behind(), start.translation, start.coefficients)
    found = SHORT_FITTER.fit(
        body, LIMITS, image_of(body, truth, cameras), cameras, start, move=False
    )
    before, after = errors(start.angles, truth), errors(found.state.angles, truth)
    for name in ("left shoulder", "left elbow"):
        assert float(before[joint(name)]) > 60
        assert float(after[joint(name)]) < 0.4 * float(before[joint(name)])
    assert torch.equal(found.state.translation, torch.zeros(1, 3))
    fixed = LIMITS[..., 0] == LIMITS[..., 1]
    assert torch.equal(found.state.angles[0][fixed], start.angles[0][fixed])
    assert len(found.trajectory) == 31 + 31 + 1


def test_position_and_shape_are_found_too() -> None:
    body, cameras = make_humanoid(), camera()
    truth = middle_poses(body, LIMITS)
    truth = ArticulatedPoses(
        truth.angles, torch.tensor([[0.05, -0.05, 0.0]]), torch.tensor([[0.5, 0.6]])
    )
    hard = SoftRenderer(64, distance="hard", alpha="hard", color="hard")
    assert body.mesh.face_colors is not None
    shown = hard(truth.vertices(body), body.mesh.faces, body.mesh.face_colors[None], cameras)
    fitter = ArticulationFitter(SHORT_FITTER.coarse, SoftStage(120, None, *SHORT_FINE))
    found = fitter.fit(body, LIMITS, shown.clamp(0, 1), cameras, reshape=True)
    assert float((found.state.coefficients - truth.coefficients).abs().max()) < 0.3
    away = (found.state.translation - truth.translation)[0, :2].norm()
    assert float(away) < 0.035  # of 0.07 at the start


def test_bad_input_is_named() -> None:
    body = make_humanoid()
    image = image_of(body, LIMITS.mean(-1)[None], camera())
    with pytest.raises(ValueError, match=r"shape \[11, 3, 2\], got \[3, 2\]"):
        SHORT_FITTER.fit(body, LIMITS[0], image, camera())
    with pytest.raises(ValueError, match="pairs from low to high"):
        SHORT_FITTER.fit(body, LIMITS.flip(-1), image, camera())
    with pytest.raises(ValueError, match="1 images, 1 cameras, 2 starts"):
        SHORT_FITTER.fit(body, LIMITS, image, camera(), middle_poses(body, LIMITS, 2))
    with pytest.raises(ValueError, match="prior must be finite"):
        ArticulationFitter(prior=float("nan"))
    with pytest.raises(ValueError, match="shows nothing"):
        SHORT_FITTER.fit(body, LIMITS, torch.zeros_like(image), camera())
