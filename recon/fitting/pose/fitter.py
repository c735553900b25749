"""Fits the rigid pose of a mesh to images by soft rendering."""

from __future__ import annotations

from dataclasses import dataclass

import torch
from torch import Tensor

from recon.arguments import ChannelCount, ColorDistance, Fraction
from recon.command_line import Interruption
from recon.fitting.pose.color_channels import ChannelTarget, ColorChannels, centroids
from recon.fitting.stages import SoftProblem, SoftStage, StagedFit, Step, fit_stages
from recon.geometry.cameras import Cameras
from recon.geometry.meshes import Mesh
from recon.geometry.rotations import axis_angle_to_rotation
from recon.rendering.renderer import SoftRenderer

# A colour counts as seen when it has this share of the silhouette.
_LEAST_SHARE = 0.02
# What a wrong size weighs beside a wrong place in finding the position.
_SIZE_WEIGHT = 0.1


@dataclass(frozen=True, eq=False)
class Poses:
    """N rigid poses: a position v of the mesh is at rotation @ v + translation.

    Args:
        rotation: [N, 3, 3] rotation matrices.
        translation: [N, 3] translations in object units.

    Raises:
        ValueError: Shapes disagree or a value is not finite.
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


class PoseFitter:
    """Finds rigid poses of a coloured mesh in two stages.

    The coarse stage renders the mesh so soft that one looks through it, and brings the centre of
    each colour to where it is in the image. Of a face that is hidden the image shows nothing
    to compare with, but of one that should be seen and is still behind others there is a gradient.
    The position follows the centre and the area of the silhouette, by a gradient of its own. The
    fine stage compares the channels pixel by pixel, ever sharper.

    Args:
        coarse: The first stage, which renders softly.
        fine: The second stage, which renders sharply.
        colors: The greatest number of colour channels.
        darkest: The least factor that light may have in images, in [0, 1]; 1 is no light.
        softness: The distance in RGB beyond which two colours count as different, > 0.
    """

    def __init__(
        self,
        coarse: SoftStage = COARSE,
        fine: SoftStage = FINE,
        colors: ChannelCount = 6,
        darkest: Fraction = 1.0,
        softness: ColorDistance = 0.1,
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
        every: int | None = 1,
        interruption: Interruption | None = None,
        progress: bool | None = False,
    ) -> StagedFit[Poses]:
        """Finds N poses at once, each from its image and its start alone.

        Args:
            mesh: The mesh with colours of faces.
            images: [N, 4, H, W] sRGB and alpha in [0, 1], not premultiplied.
            cameras: The N cameras of the images.
            start: The N poses to start from.
            move: Whether the translation is optimised too; otherwise it stays.
            every: The number of steps between the poses of the trajectory; None keeps only the last
                poses.
            interruption: An entered context, whose signal ends the fit.
            progress: Whether to draw a progress bar; None draws it on a terminal only.

        Returns:
            The poses; their loss [N] is the mean squared difference of the channels per pixel.

        Raises:
            ValueError: Numbers or shapes of the arguments disagree, or an image shows no object.
            FloatingPointError: A loss is not finite.
        """
        require_images(images, cameras, len(start))
        channels = ColorChannels(mesh, self.colors, self.darkest, self.softness)
        target = ChannelTarget(channels, images, cameras, _LEAST_SHARE)

        def coarse(poses: Poses) -> SoftProblem[Poses]:
            unknowns = _Unknowns(mesh, target, poses, move)
            terms, length = unknowns.coarse_terms, unknowns.radius
            return SoftProblem(self.coarse, unknowns, terms, images, length, comparable=False)

        def fine(poses: Poses) -> SoftProblem[Poses]:
            unknowns = _Unknowns(mesh, target, poses, move)
            return SoftProblem(self.fine, unknowns, unknowns.fine_terms, images, unknowns.radius)

        return fit_stages(
            [coarse, fine],
            start,
            every=every,
            interruption=interruption,
            progress=progress,
        )


class _Unknowns:
    """A turn after a known rotation, and where the pivot of the mesh is; and their losses."""

    def __init__(self, mesh: Mesh, target: ChannelTarget, start: Poses, move: bool) -> None:
        low, high = mesh.vertices.amin(0), mesh.vertices.amax(0)
        self.mesh, self.target, self.move = mesh, target, move
        # A mesh that may not move turns about its origin.
        self.pivot = (low + high) / 2 if move else torch.zeros_like(low)
        self.radius = float((mesh.vertices - (low + high) / 2).norm(dim=1).max())
        self.rotation = start.rotation.detach()
        self.turn = torch.zeros_like(start.translation)
        self.position = start.apply(self.pivot[None])[:, 0].detach().clone()
        self.parameters = {"turn": self.turn} | ({"position": self.position} if move else {})
        rates = {"turn": 1.0, "position": self.radius / 2}
        self.rates = {name: rates[name] for name in self.parameters}

    def poses(self) -> Poses:
        rotation = torch.matmul(self.rotation, axis_angle_to_rotation(self.turn))
        return self._at(rotation, self.position)

    def detached(self) -> Poses:
        poses = self.poses()
        return Poses(poses.rotation.detach(), poses.translation.detach())

    def coarse_terms(self, step: Step) -> dict[str, Tensor]:
        rotation = self.poses().rotation
        # Without a gradient to the position, which would follow the colours of the visible side.
        here = self._at(rotation, self.position.detach())
        maps = self.target.render(here.apply(self.mesh.vertices), step)
        terms = {"colours": self.target.center_loss(maps)}
        return terms | (self._position_terms(rotation.detach(), step) if self.move else {})

    def _position_terms(self, rotation: Tensor, step: Step) -> dict[str, Tensor]:
        """Compares the silhouettes, with a gradient to the position alone."""
        vertices = self._at(rotation, self.position).apply(self.mesh.vertices)
        faces, cameras = self.mesh.faces, self.target.cameras
        soft = SoftRenderer(step.size, step.sigma).silhouette(vertices, faces, cameras)
        center, area = centroids(soft[:, None])
        hard = SoftRenderer(step.size, distance="hard", alpha="hard").silhouette(
            vertices.detach(), faces, cameras
        )
        # An object outside of the image has no area, and should come back.
        log_area, log_hard = (a.clamp(min=1e-4).log() for a in (area, centroids(hard[:, None])[1]))
        # At the outline two faces meet and both reach beyond it, so that the soft area is greater
        # than the object's, at the sigma of the coarse stage by some 12 percent: the mesh would be
        # moved away. Hence the value of the hard area, with the gradient of the soft one.
        growth = log_area + (log_hard - log_area).detach() - self.target.area.log()
        return {
            "place": (center - self.target.silhouette_center).square().sum((1, 2)),
            "size": _SIZE_WEIGHT * growth.square().sum(1),
        }

    def fine_terms(self, step: Step) -> dict[str, Tensor]:
        maps = self.target.render(self.poses().apply(self.mesh.vertices), step)
        return {"pixels": self.target.pixel_loss(maps)}

    def _at(self, rotation: Tensor, position: Tensor) -> Poses:
        """Returns the poses of which the pivot is at a position."""
        return Poses(rotation, position - (rotation * self.pivot).sum(-1))


def require_images(images: Tensor, cameras: Cameras, starts: int) -> None:
    """Refuses images which are not [N, 4, H, W] in [0, 1] with something on each of them.

    Raises:
        ValueError: The images are not as described, or the number of cameras or of starts differs
            from theirs.
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
