"""Joint angles of an articulated mesh, found from single images by rendering softly."""

from __future__ import annotations

import math
from dataclasses import dataclass

import torch
from torch import Tensor

from recon.command_line import Interruption
from recon.fitting.articulation.articulated_mesh import ArticulatedMesh
from recon.fitting.fit import Fit
from recon.fitting.pose.color_channels import ColorChannels, centroids
from recon.fitting.pose.fitter import require_images
from recon.fitting.stages import SoftStage, Step, fit_stages
from recon.geometry.cameras import Cameras

# A colour counts as seen when it has this share of the silhouette.
_SEEN = 0.01
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
class Stance:
    """How N copies of an articulated mesh stand.

    Args:
        angles: [N, J, 3] axis-angle vectors of the joints in radians.
        translation: [N, 3] object units.
        coefficients: [N, S] of the blend shapes.
    """

    angles: Tensor
    translation: Tensor
    coefficients: Tensor

    def vertices(self, body: ArticulatedMesh) -> Tensor:
        """Returns the vertices [N, V, 3] of the mesh."""
        return body.pose(self.angles, self.translation, self.coefficients)

    def detach(self) -> Stance:
        """Returns copies without a gradient."""
        return Stance(*(getattr(self, k).detach().clone() for k in self.__dataclass_fields__))


@dataclass(frozen=True, eq=False)
class FittedStance:
    """What a fit of angles found.

    Args:
        stance: N of them.
        loss: [N] at the end.
        fits: of the stages.
        course: the stances on the way.
    """

    stance: Stance
    loss: Tensor
    fits: list[Fit]
    course: list[Stance]


class ArticulationFitter:
    """Finds angles of joints in two stages, as `recon.fitting.pose.fitter.PoseFitter` does.

    The coarse stage looks through the mesh and brings the centre of each colour that the image
    shows to its place; the fine one compares the channels of colours pixel by pixel.

    Args:
        coarse: the first stage; its gamma is in object units.
        fine: the second one, likewise.
        colors: channels at most.
        darkest: see `ColorChannels`.
        softness: likewise.
        blend: likewise.
        prior: what the squares of angles (from the middle of their limits) and of coefficients
            cost; it decides about what the image does not show.

    Raises:
        ValueError: `prior` is not a finite number >= 0.
    """

    def __init__(
        self,
        coarse: SoftStage = COARSE,
        fine: SoftStage = FINE,
        colors: int = 12,
        darkest: float = 1.0,
        softness: float = 0.1,
        blend: str = "softmax",
        prior: float = 1e-3,
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
        start: Stance | None = None,
        move: bool = True,
        reshape: bool = False,
        every: int = 1,
        interruption: Interruption | None = None,
        progress: bool | None = False,
    ) -> FittedStance:
        """Finds how N copies stand, each from its own image alone.

        Args:
            body: with colours of faces, in the world of the cameras.
            limits: [J, 3, 2] the least and the greatest of each component of the angles, radians;
                where they are equal the component is known.
            images: [N, 4, H, W] sRGB and alpha in [0, 1], not premultiplied.
            cameras: N cameras.
            start: N stances; None is the middle of the limits, at the origin.
            move: whether the translation is unknown too.
            reshape: whether the coefficients of the blend shapes are.
            every: steps between the stances of the course.
            interruption: an entered context, whose signal ends the fit.
            progress: as of `recon.fitting.fit.fit`.

        Raises:
            ValueError: numbers or shapes disagree, or an image shows nothing.
            FloatingPointError: a loss is not finite.
        """
        number = len(images)
        start = start or middle_stance(body, limits, number)
        require_images(images, cameras, len(start.angles))
        channels = ColorChannels(body.mesh, self.colors, self.darkest, self.softness, self.blend)
        scene = _Scene(body, channels, channels.of_images(images), cameras, limits, self.prior)
        found = fit_stages(
            ((self.coarse, scene.coarse_loss, False), (self.fine, scene.fine_loss, True)),
            lambda stance: _Unknowns(stance, limits, move, reshape),
            start,
            images,
            every=every,
            interruption=interruption,
            progress=progress,
        )
        return FittedStance(found.state, found.fits[-1].best_loss, found.fits, found.course)


def middle_stance(body: ArticulatedMesh, limits: Tensor, number: int = 1) -> Stance:
    """Returns N stances with all angles in the middle of their limits [J, 3, 2].

    Raises:
        ValueError: the shape is another, or a limit is above its other.
    """
    joints = len(body.skeleton)
    if limits.shape != (joints, 3, 2) or not bool((limits[..., 0] <= limits[..., 1]).all()):
        raise ValueError(
            f"limits must be pairs from low to high of shape [{joints}, 3, 2],"
            f" got {list(limits.shape)}"
        )
    angles = limits.mean(-1).expand(number, -1, -1).clone()
    return Stance(angles, angles.new_zeros(number, 3), angles.new_zeros(number, body.num_shapes))


class _Unknowns:
    """The parameters of a fit, and the stance they make with what is known."""

    def __init__(self, start: Stance, limits: Tensor, move: bool, reshape: bool) -> None:
        self.start = start.detach()
        current = start.detach()
        self.angles, self.translation = current.angles, current.translation
        self.coefficients = current.coefficients
        self.free = limits[..., 0] < limits[..., 1]
        self.parameters = {"angles": self.angles}
        if move:
            self.parameters["translation"] = self.translation
        if reshape and self.coefficients.numel():
            self.parameters["coefficients"] = self.coefficients
        rates = {"translation": _POSITION_RATE, "coefficients": _COEFFICIENT_RATE}
        self.rates = {name: rates.get(name, 1.0) for name in self.parameters}

    def stance(self) -> Stance:
        angles = torch.where(self.free, self.angles, self.start.angles)
        return Stance(angles, self.translation, self.coefficients)

    def detached(self) -> Stance:
        return self.stance().detach()


class _Scene:
    """The losses of the two stages."""

    def __init__(
        self,
        body: ArticulatedMesh,
        channels: ColorChannels,
        target: Tensor,
        cameras: Cameras,
        limits: Tensor,
        prior: float,
    ) -> None:
        self.body, self.channels, self.target, self.cameras = body, channels, target, cameras
        (self.low, self.high), self.prior = limits.unbind(-1), prior
        self.centres, areas = centroids(target)
        self.seen = (areas > _SEEN * areas.sum(1, keepdim=True)).to(target.dtype)

    def coarse_loss(self, unknowns: _Unknowns, step: Step) -> dict[str, Tensor]:
        stance = unknowns.stance()
        maps = self._maps(stance, step)
        offsets = (centroids(maps)[0] - self.centres).square().sum(-1)
        return {"colours": (offsets * self.seen).sum(1), "prior": self._prior(stance)}

    def fine_loss(self, unknowns: _Unknowns, step: Step) -> dict[str, Tensor]:
        stance = unknowns.stance()
        maps, target = self._maps(stance, step), self.target
        if maps.shape != target.shape:
            target = torch.nn.functional.adaptive_avg_pool2d(target, step.size)
        pixels = (maps - target).square().sum(1).mean((1, 2))
        return {"pixels": pixels, "prior": _PIXEL_PRIOR * self._prior(stance)}

    def _maps(self, stance: Stance, step: Step) -> Tensor:
        vertices = stance.vertices(self.body)
        return self.channels.render(vertices, self.cameras, step.size, step.sigma, step.gamma)

    def _prior(self, stance: Stance) -> Tensor:
        angles = stance.angles
        excess = (self.low - angles).clamp(min=0) + (angles - self.high).clamp(min=0)
        bend = (angles - (self.low + self.high) / 2).square().sum((1, 2))
        shape = stance.coefficients.square().sum(1)
        return _LIMIT_WEIGHT * excess.square().sum((1, 2)) + self.prior * (bend + shape)
