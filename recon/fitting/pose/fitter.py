"""Rigid poses of a mesh, found from images by rendering softly."""

from __future__ import annotations

from dataclasses import dataclass

import torch
from torch import Tensor

from recon.command_line import Interruption
from recon.fitting.fit import Fit
from recon.fitting.pose.color_channels import ColorChannels, centroids
from recon.fitting.stages import SoftStage, Step, fit_stages
from recon.geometry.cameras import Cameras
from recon.geometry.meshes import Mesh
from recon.geometry.rotations import axis_angle_to_rotation
from recon.rendering.renderer import SoftRenderer

# A colour counts as seen when it has this share of the silhouette: below, a centre of mass is made
# of few pixels.
_SEEN = 0.02
# What a wrong size weighs beside a wrong place in finding the position.
_SIZE_WEIGHT = 0.1


@dataclass(frozen=True, eq=False)
class Poses:
    """N rigid poses: a position v of the mesh is at rotation @ v + translation.

    Args:
        rotation: [N, 3, 3].
        translation: [N, 3] object units.

    Raises:
        ValueError: shapes disagree or a value is not finite.
    """

    rotation: Tensor
    translation: Tensor

    def __post_init__(self) -> None:
        number = len(self.rotation)
        if self.rotation.shape != (number, 3, 3) or self.translation.shape != (number, 3):
            raise ValueError(
                "rotation must have shape [N, 3, 3] and translation [N, 3],"
                f" got {list(self.rotation.shape)} and {list(self.translation.shape)}"
            )
        for name in ("rotation", "translation"):
            if not bool(torch.isfinite(getattr(self, name)).all()):
                raise ValueError(f"{name} must be finite")

    def __len__(self) -> int:
        return len(self.rotation)

    def __getitem__(self, index: slice | list[int] | Tensor) -> Poses:
        """Returns the poses at some indices."""
        return Poses(self.rotation[index], self.translation[index])

    def apply(self, vertices: Tensor) -> Tensor:
        """Moves vertices [V, 3] to [N, V, 3]."""
        # Not a matmul, which may run in reduced precision.
        turned = (self.rotation[:, None] * vertices[:, None, :]).sum(-1)
        return turned + self.translation[:, None]


COARSE = SoftStage(100, 32, (1e-3, 1e-3), (6.0, 1.0), (0.05, 0.05))
FINE = SoftStage(150, None, (1e-3, 1e-5), (0.6, 0.1), (0.03, 0.002))


@dataclass(frozen=True, eq=False)
class FittedPoses:
    """What a fit of poses found.

    Args:
        poses: N poses.
        loss: [N] mean squared differences of the channels per pixel, at the end.
        fits: of the stages.
        course: the poses on the way, at every step or every so many.
    """

    poses: Poses
    loss: Tensor
    fits: list[Fit]
    course: list[Poses]


class PoseFitter:
    """Finds rigid poses of a coloured mesh in two stages.

    The coarse stage renders the mesh so soft that one looks through it, and brings the centre of
    each colour to where it is in the image. Of a face that is hidden the image shows nothing
    to compare with, but of one that should be seen and is still behind others there is a gradient.
    The position follows the centre and the area of the silhouette, by a gradient of its own. The
    fine stage compares the channels pixel by pixel, ever sharper.

    Args:
        coarse: the first stage.
        fine: the second one.
        colors: channels at most.
        darkest: see `ColorChannels`.
        softness: likewise.
    """

    def __init__(
        self,
        coarse: SoftStage = COARSE,
        fine: SoftStage = FINE,
        colors: int = 6,
        darkest: float = 1.0,
        softness: float = 0.1,
    ) -> None:
        self.coarse, self.fine = coarse, fine
        self.colors, self.darkest, self.softness = colors, darkest, softness

    def fit(
        self,
        mesh: Mesh,
        images: Tensor,
        cameras: Cameras,
        start: Poses,
        move: bool = True,
        every: int = 1,
        interruption: Interruption | None = None,
        progress: bool | None = False,
    ) -> FittedPoses:
        """Finds N poses at once, each from its image and its start alone.

        Args:
            mesh: with colours of faces.
            images: [N, 4, H, W] sRGB and alpha in [0, 1], not premultiplied.
            cameras: N cameras.
            start: N poses.
            move: whether the translation is unknown too; otherwise it stays.
            every: steps between the poses of the course.
            interruption: an entered context, whose signal ends the fit.
            progress: as of `recon.fitting.fit.fit`.

        Raises:
            ValueError: numbers or shapes disagree, or an image shows nothing.
            FloatingPointError: a loss is not finite.
        """
        require_images(images, cameras, len(start))
        channels = ColorChannels(mesh, self.colors, self.darkest, self.softness)
        scene = _Scene(mesh, channels, channels.of_images(images), cameras, move)
        found = fit_stages(
            ((self.coarse, scene.coarse_loss, False), (self.fine, scene.fine_loss, True)),
            scene.unknowns,
            start,
            images,
            length=scene.radius,
            every=every,
            interruption=interruption,
            progress=progress,
        )
        return FittedPoses(found.state, found.fits[-1].best_loss, found.fits, found.course)


class _Unknowns:
    """A turn after a known rotation, and where the pivot of the mesh is."""

    def __init__(self, start: Poses, pivot: Tensor, radius: float, move: bool) -> None:
        self.rotation, self.pivot = start.rotation.detach(), pivot
        self.turn = torch.zeros_like(start.translation)
        self.position = start.apply(pivot[None])[:, 0].detach().clone()
        self.parameters = {"turn": self.turn} | ({"position": self.position} if move else {})
        self.rates = {"turn": 1.0, "position": radius / 2}

    def poses(self) -> Poses:
        rotation = torch.matmul(self.rotation, axis_angle_to_rotation(self.turn))
        return Poses(rotation, self.position - (rotation * self.pivot).sum(-1))

    def detached(self) -> Poses:
        poses = self.poses()
        return Poses(poses.rotation.detach(), poses.translation.detach())


class _Scene:
    """The losses of the two stages."""

    def __init__(
        self, mesh: Mesh, channels: ColorChannels, target: Tensor, cameras: Cameras, move: bool
    ) -> None:
        low, high = mesh.vertices.amin(0), mesh.vertices.amax(0)
        self.vertices, self.faces = mesh.vertices, mesh.faces
        # A mesh that may not move turns about its origin.
        self.pivot = (low + high) / 2 if move else torch.zeros_like(low)
        self.radius = float((mesh.vertices - (low + high) / 2).norm(dim=1).max())
        self.channels, self.target, self.cameras, self.move = channels, target, cameras, move
        self.centres, areas = centroids(target)
        self.place, area = centroids(target.sum(1, keepdim=True))
        self.log_area = area.log()
        self.seen = (areas > _SEEN * area).to(target.dtype)

    def unknowns(self, start: Poses) -> _Unknowns:
        return _Unknowns(start, self.pivot, self.radius, self.move)

    def coarse_loss(self, unknowns: _Unknowns, step: Step) -> dict[str, Tensor]:
        poses = unknowns.poses()
        # Without a gradient to the position, which would follow the colours of the visible side.
        here = Poses(
            poses.rotation,
            unknowns.position.detach() - (poses.rotation * self.pivot).sum(-1),
        )
        vertices = here.apply(self.vertices)
        maps = self.channels.render(vertices, self.cameras, step.size, step.sigma, step.gamma)
        offsets = (centroids(maps)[0] - self.centres).square().sum(-1)
        terms = {"colours": (offsets * self.seen).sum(1)}
        if self.move:
            rotation = poses.rotation.detach()
            there = Poses(rotation, unknowns.position - (rotation * self.pivot).sum(-1))
            alpha = SoftRenderer(step.size, step.sigma).silhouette(
                there.apply(self.vertices), self.faces, self.cameras
            )
            place, area = centroids(alpha[:, None])
            terms["place"] = (place - self.place).square().sum((1, 2))
            # An object outside of the image has no area, and should come back.
            growth = area.clamp(min=1e-4).log() - self.log_area
            terms["size"] = _SIZE_WEIGHT * growth.square().sum(1)
        return terms

    def fine_loss(self, unknowns: _Unknowns, step: Step) -> dict[str, Tensor]:
        vertices = unknowns.poses().apply(self.vertices)
        maps = self.channels.render(vertices, self.cameras, step.size, step.sigma, step.gamma)
        target = self.target
        if maps.shape != target.shape:
            target = torch.nn.functional.adaptive_avg_pool2d(target, step.size)
        return {"pixels": (maps - target).square().sum(1).mean((1, 2))}


def require_images(images: Tensor, cameras: Cameras, starts: int) -> None:
    """Refuses images which are not [N, 4, H, W] in [0, 1] with something on each of them.

    Raises:
        ValueError: they are not, or the number of cameras or of starts is another.
    """
    if images.dim() != 4 or images.shape[1] != 4 or not images.is_floating_point():
        raise ValueError(
            "images must be a floating-point tensor [N, 4, H, W],"
            f" got {images.dtype} {list(images.shape)}"
        )
    if not len(images) == len(cameras) == starts:
        raise ValueError(f"there are {len(images)} images, {len(cameras)} cameras, {starts} starts")
    if not bool(((images >= 0) & (images <= 1)).all()):  # also refuses NaN
        raise ValueError("images must lie in [0, 1]")
    if not bool((images[:, 3].flatten(1).amax(1) > 0).all()):
        raise ValueError("an image shows nothing: its alpha is 0 everywhere")
