"""Errors of fitted joints, the visible shares of body parts, and random cases to fit."""

from __future__ import annotations

from dataclasses import dataclass

import torch
from torch import Tensor

from recon.fitting.articulation.articulated_mesh import ArticulatedMesh
from recon.fitting.articulation.fitter import ArticulatedPoses
from recon.fitting.articulation.humanoid import random_angles
from recon.geometry.cameras import Cameras
from recon.geometry.rotations import axis_angle_to_rotation, rotation_distance
from recon.rendering.renderer import SoftRenderer

# Of a part that is hidden an image shows less than this share of what it would show of it alone.
HIDDEN = 0.15
# Translations and coefficients of random cases lie between these.
_SHIFT = (-0.05, 0.05)
_COEFFICIENTS = (-0.2, 1.0)
# Of cameras: degrees, and object units.
_AZIMUTH, _ELEVATION = (-90.0, 90.0), (0.0, 20.0)
_DISTANCE, _FOV = 3.0, 30.0


@dataclass(frozen=True, eq=False)
class Cases:
    """N poses which are to be found, each seen by a camera of its own.

    Args:
        truth: The N true poses.
        cameras: The N cameras, one for each pose.
        images: [N, 4, H, W] sharp renderings in the colours of the body parts, without light.
        visible: [N, J] the share of each body part that the image shows.
    """

    truth: ArticulatedPoses
    cameras: Cameras
    images: Tensor
    visible: Tensor


def random_cases(
    body: ArticulatedMesh, count: int, image_size: int, seed: int, reshape: bool = False
) -> Cases:
    """Draws poses of the humanoid of which the image hides a part.

    Args:
        body: The humanoid that the cases show.
        count: The number of cases N, >= 1.
        image_size: The number of pixels along each side of the images.
        seed: The seed of the random poses and cameras.
        reshape: Whether the coefficients of the blend shapes are random too; otherwise they are 0.

    Raises:
        ValueError: `count` is not >= 1.
    """
    if count < 1:
        raise ValueError(f"there must be at least one case, got {count}")
    generator = torch.Generator().manual_seed(seed)
    found: list[tuple[Tensor, ...]] = []
    while len(found) < count:
        poses, cameras = _random_poses(body, count, reshape, generator)
        visible = visible_shares(body, poses, cameras, image_size)
        parts = (poses.angles, poses.translation, poses.coefficients, cameras.rows(), visible)
        good = (visible.amin(1) < HIDDEN).nonzero().flatten().tolist()
        found += [tuple(part[index] for part in parts) for index in good]
    angles, translation, coefficients, rows, visible = map(
        torch.stack, zip(*found[:count], strict=True)
    )
    truth, cameras = ArticulatedPoses(angles, translation, coefficients), Cameras.from_rows(rows)
    return Cases(truth, cameras, sharp_image(body, truth, cameras, image_size), visible)


def _random_poses(
    body: ArticulatedMesh, count: int, reshape: bool, generator: torch.Generator
) -> tuple[ArticulatedPoses, Cameras]:
    def between(limits: tuple[float, float], *shape: int) -> Tensor:
        low, high = limits
        return low + (high - low) * torch.rand(*shape, generator=generator)

    angles = random_angles(count, generator)
    coefficients = between(_COEFFICIENTS, count, body.num_shapes) * float(reshape)
    poses = ArticulatedPoses(angles, between(_SHIFT, count, 3), coefficients)
    one = torch.ones(count)
    azimuth, elevation = between(_AZIMUTH, count), between(_ELEVATION, count)
    return poses, Cameras.orbit(azimuth, elevation, _DISTANCE * one, _FOV * one)


def sharp_image(
    body: ArticulatedMesh, poses: ArticulatedPoses, cameras: Cameras, image_size: int
) -> Tensor:
    """Renders N poses [N, 4, H, W] sharply in the colours of faces, without light."""
    colors = body.mesh.face_colors
    if colors is None:
        colors = torch.ones(body.mesh.num_faces, 3)
    return _sharp(body, poses, cameras, image_size, colors)


def visible_shares(
    body: ArticulatedMesh, poses: ArticulatedPoses, cameras: Cameras, image_size: int
) -> Tensor:
    """Finds how much of each part images show.

    A face belongs to the part of the joint with the greatest weight. What a part alone would show
    is what it shows with all other parts away.

    Returns:
        [N, J] shares of the pixels; 1 for a part that is out of the image or has no face.
    """
    faces = body.mesh.faces
    part = body.weights[faces].mean(1).argmax(1)
    joints = len(body.skeleton)
    code = (part.to(torch.float32) / joints)[:, None].expand(-1, 3)
    together = _sharp(body, poses, cameras, image_size, code)
    seen = torch.where(together[:, 3] > 0.5, (together[:, 0] * joints).round(), -1.0)
    hard = SoftRenderer(image_size, distance="hard", alpha="hard")
    vertices = poses.vertices(body)
    shares = []
    for joint in range(joints):
        own = faces[part == joint]
        alone = (
            hard.silhouette(vertices, own, cameras).sum((1, 2)) if len(own) else 0 * seen[:, 0, 0]
        )
        visible = (seen == joint).sum((1, 2)).to(alone)
        shares.append(torch.where(alone > 0, visible / alone.clamp(min=1), 1.0))
    return torch.stack(shares, dim=1)


def _sharp(
    body: ArticulatedMesh,
    poses: ArticulatedPoses,
    cameras: Cameras,
    image_size: int,
    colors: Tensor,
) -> Tensor:
    renderer = SoftRenderer(
        image_size, distance="hard", alpha="hard", color="hard", near=1e-3, far=1e3
    )
    number = len(poses.angles)
    with torch.no_grad():
        return renderer(
            poses.vertices(body), body.mesh.faces, colors.expand(number, -1, -1), cameras
        ).clamp(0, 1)


def angle_errors(found: ArticulatedPoses, truth: ArticulatedPoses) -> Tensor:
    """Returns [N, J] degrees between the rotations of the joints, each in the frame above it."""
    return rotation_distance(
        axis_angle_to_rotation(found.angles), axis_angle_to_rotation(truth.angles)
    )


def place_errors(body: ArticulatedMesh, found: ArticulatedPoses, truth: ArticulatedPoses) -> Tensor:
    """Returns [N, J] object units between the places of the joints, seen from the root."""
    places = [body.joints(one.angles, one.translation, one.coefficients) for one in (found, truth)]
    away = (places[0] - places[0][:, :1]) - (places[1] - places[1][:, :1])
    return away.norm(dim=-1)
