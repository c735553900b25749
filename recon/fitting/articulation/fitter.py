"""Fits the joint angles of an articulated mesh to single images by soft rendering."""

from __future__ import annotations

import math
from dataclasses import dataclass, fields
from typing import Literal

import torch
from torch import Tensor

from recon.arguments import ChannelCount, ColorDistance, Fraction, Weight
from recon.command_line import Interruption
from recon.fitting.articulation.articulated_mesh import ArticulatedMesh
from recon.fitting.pose.color_channels import ChannelTarget, ColorChannels
from recon.fitting.pose.fitter import require_images
from recon.fitting.stages import SoftProblem, SoftStage, StagedFit, Step, fit_stages
from recon.geometry.cameras import Cameras

# A colour counts as seen when it has this share of the silhouette.
_LEAST_SHARE = 0.01
# What an angle beyond its limits costs, times the square of the excess in radians: far more than
# an image can gain by it.
_LIMIT_WEIGHT = 1.0
# Mean squared differences of pixels are smaller than those of centroids, and so is their prior.
_PIXEL_PRIOR = 0.1
# Rates of positions and of coefficients of shapes beside those of angles.
_POSITION_RATE, _COEFFICIENT_RATE = 0.2, 1.0

COARSE = SoftStage(100, 64, (3e-4, 3e-4), (1.0, 0.1), (0.05, 0.05))
FINE = SoftStage(150, None, (3e-4, 1e-5), (0.3, 0.05), (0.03, 0.003))


@dataclass(frozen=True, eq=False)
class ArticulatedPoses:
    """Poses of N copies of an articulated mesh: joint angles, positions and blend shapes.

    Args:
        angles: [N, J, 3] axis-angle vectors of the joints in radians.
        translation: [N, 3] the translation of each mesh, object units.
        coefficients: [N, S] the coefficients of the blend shapes.
    """

    angles: Tensor
    translation: Tensor
    coefficients: Tensor

    def __len__(self) -> int:
        return len(self.angles)

    def vertices(self, body: ArticulatedMesh) -> Tensor:
        """Returns the vertices [N, V, 3] of the mesh."""
        return body.pose(self.angles, self.translation, self.coefficients)

    def detach(self) -> ArticulatedPoses:
        """Returns copies without a gradient."""
        return ArticulatedPoses(
            *(getattr(self, field.name).detach().clone() for field in fields(self))
        )


class ArticulationFitter:
    """Finds angles of joints in two stages, as `recon.fitting.pose.fitter.PoseFitter` does.

    The coarse stage looks through the mesh and brings the centre of each colour that the image
    shows to its place; the fine one compares the channels of colours pixel by pixel.

    Args:
        coarse: The first stage, which renders softly; its gamma is in object units.
        fine: The second stage, which renders sharply; its gamma is in object units.
        colors: The greatest number of colour channels.
        darkest: The least factor that light may have in images, in [0, 1]; 1 is no light.
        softness: The distance in RGB beyond which two colours count as different, > 0.
        blend: How faces over each other share a pixel, "softmax" or "hard"; see `ColorChannels`.
        prior: The weight of the squared angles (from the middle of their limits) and coefficients
            in the loss, >= 0; it decides what the image does not show.

    Raises:
        ValueError: `prior` is not a finite number >= 0.
    """

    def __init__(
        self,
        coarse: SoftStage = COARSE,
        fine: SoftStage = FINE,
        colors: ChannelCount = 12,
        darkest: Fraction = 1.0,
        softness: ColorDistance = 0.1,
        blend: Literal["softmax", "hard"] = "softmax",
        prior: Weight = 1e-3,
    ) -> None:
        if not (math.isfinite(prior) and prior >= 0):
            raise ValueError(f"prior must be finite and >= 0, got {prior}")
        self.coarse, self.fine, self.prior = coarse, fine, prior
        self.colors, self.darkest, self.softness, self.blend = colors, darkest, softness, blend

    def fit(
        self,
        body: ArticulatedMesh,
        limits: Tensor,
        images: Tensor,
        cameras: Cameras,
        start: ArticulatedPoses | None = None,
        move: bool = True,
        reshape: bool = False,
        every: int | None = 1,
        interruption: Interruption | None = None,
        progress: bool | None = False,
    ) -> StagedFit[ArticulatedPoses]:
        """Finds the poses of N copies, each from its own image alone.

        Args:
            body: The articulated mesh with colours of faces, in the world of the cameras.
            limits: [J, 3, 2] the least and the greatest of each component of the angles, radians;
                where they are equal the component is known.
            images: [N, 4, H, W] sRGB and alpha in [0, 1], not premultiplied.
            cameras: The N cameras of the images.
            start: The N poses to start from; None starts in the middle of the limits, at the
                origin.
            move: Whether the translation is optimised too.
            reshape: Whether the coefficients of the blend shapes are optimised too.
            every: The number of steps between the poses of the trajectory; None keeps only the last
                poses.
            interruption: An entered context, whose signal ends the fit.
            progress: Whether to draw a progress bar; None draws it on a terminal only.

        Raises:
            ValueError: Numbers or shapes of the arguments disagree, or an image shows no object.
            FloatingPointError: A loss is not finite.
        """
        if start is None:
            start = middle_poses(body, limits, len(images))
        require_images(images, cameras, len(start))
        channels = ColorChannels(body.mesh, self.colors, self.darkest, self.softness, self.blend)
        target = ChannelTarget(channels, images, cameras, _LEAST_SHARE)
        prior = _Prior(limits, self.prior)

        def coarse(poses: ArticulatedPoses) -> SoftProblem[ArticulatedPoses]:
            unknowns = _Unknowns(body, target, prior, poses, move, reshape)
            terms = unknowns.coarse_terms
            return SoftProblem(self.coarse, unknowns, terms, images, comparable=False)

        def fine(poses: ArticulatedPoses) -> SoftProblem[ArticulatedPoses]:
            unknowns = _Unknowns(body, target, prior, poses, move, reshape)
            return SoftProblem(self.fine, unknowns, unknowns.fine_terms, images)

        return fit_stages(
            [coarse, fine],
            start,
            every=every,
            interruption=interruption,
            progress=progress,
        )


def middle_poses(body: ArticulatedMesh, limits: Tensor, number: int = 1) -> ArticulatedPoses:
    """Returns N poses with all angles in the middle of their limits [J, 3, 2].

    Raises:
        ValueError: `limits` has another shape, or a lower limit lies above its upper limit.
    """
    joints = len(body.skeleton)
    if limits.shape != (joints, 3, 2) or not bool((limits[..., 0] <= limits[..., 1]).all()):
        raise ValueError(
            f"limits must be pairs from low to high of shape [{joints}, 3, 2],"
            f" got {list(limits.shape)}"
        )
    angles = limits.mean(-1).expand(number, -1, -1).clone()
    return ArticulatedPoses(
        angles, angles.new_zeros(number, 3), angles.new_zeros(number, body.num_shapes)
    )


class _Prior:
    """The part of the loss of poses that does not depend on the image.

    Args:
        limits: [J, 3, 2] the least and the greatest value of each component of the angles, radians.
        weight: The factor of the squared angles and coefficients.
    """

    def __init__(self, limits: Tensor, weight: float) -> None:
        (self.low, self.high), self.weight = limits.unbind(-1), weight

    def __call__(self, poses: ArticulatedPoses) -> Tensor:
        """Returns [N]."""
        angles = poses.angles
        excess = (self.low - angles).clamp(min=0) + (angles - self.high).clamp(min=0)
        bend = (angles - (self.low + self.high) / 2).square().sum((1, 2))
        shape = poses.coefficients.square().sum(1)
        return _LIMIT_WEIGHT * excess.square().sum((1, 2)) + self.weight * (bend + shape)


class _Unknowns:
    """The parameters of a stage, the poses they make with what is known, and their losses."""

    def __init__(
        self,
        body: ArticulatedMesh,
        target: ChannelTarget,
        prior: _Prior,
        start: ArticulatedPoses,
        move: bool,
        reshape: bool,
    ) -> None:
        self.body, self.target, self.prior, self.start = body, target, prior, start.detach()
        current = start.detach()
        self.angles, self.translation = current.angles, current.translation
        self.coefficients = current.coefficients
        self.free = prior.low < prior.high
        self.parameters = {"angles": self.angles}
        if move:
            self.parameters["translation"] = self.translation
        if reshape and self.coefficients.numel():
            self.parameters["coefficients"] = self.coefficients
        rates = {"translation": _POSITION_RATE, "coefficients": _COEFFICIENT_RATE}
        self.rates = {name: rates.get(name, 1.0) for name in self.parameters}

    def poses(self) -> ArticulatedPoses:
        angles = torch.where(self.free, self.angles, self.start.angles)
        return ArticulatedPoses(angles, self.translation, self.coefficients)

    def detached(self) -> ArticulatedPoses:
        return self.poses().detach()

    def coarse_terms(self, step: Step) -> dict[str, Tensor]:
        poses = self.poses()
        maps = self.target.render(poses.vertices(self.body), step)
        return {"colours": self.target.center_loss(maps), "prior": self.prior(poses)}

    def fine_terms(self, step: Step) -> dict[str, Tensor]:
        poses = self.poses()
        maps = self.target.render(poses.vertices(self.body), step)
        return {"pixels": self.target.pixel_loss(maps), "prior": _PIXEL_PRIOR * self.prior(poses)}
