"""Images in channels of a palette, given or rendered softly, and where each colour is in them."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Literal

import torch
from torch import Tensor

from recon.fitting.pose.palettes import make_palette, memberships
from recon.fitting.stages import Step
from recon.geometry.cameras import Cameras
from recon.geometry.meshes import Mesh
from recon.rendering.renderer import SoftRenderer

# The farthest face outweighs the background of the colour softmax by exp of this, so that colours
# are shared among faces alone; how much of them there is, alpha tells.
_OVER_BACKGROUND = 40.0
# Colours of a palette this many times `softness` apart are told from each other: where one is, the
# other has a share of exp(-4).
_APART = 2.0
# A colour which covers less of an image (as a share of it) has no position worth a gradient.
_LEAST_AREA = 1e-5


class ColorChannels:
    """The K colours of a mesh as channels of its soft renderings and of images of it.

    Args:
        mesh: The mesh with colours of faces; a mesh without colours is white.
        count: The greatest number of colours.
        darkest: The least factor that light may have in images, in [0, 1]; 1 is no light.
        softness: The distance in RGB beyond which two colours count as different, > 0.
        blend: How faces over each other share a pixel: "softmax" over depth, or "hard", the
            nearest alone, which leaves no gradient to the others.

    Raises:
        ValueError: A number is out of the range that `make_palette` and `memberships` state.
    """

    def __init__(
        self,
        mesh: Mesh,
        count: int = 6,
        darkest: float = 1.0,
        softness: float = 0.1,
        blend: Literal["softmax", "hard"] = "softmax",
    ) -> None:
        colors = mesh.face_colors
        if colors is None:
            colors = mesh.vertices.new_ones(mesh.num_faces, 3)
        a, b, c = mesh.vertices[mesh.faces].unbind(1)
        area = torch.linalg.cross(b - a, c - a, dim=-1).norm(dim=-1) / 2
        self.palette = make_palette(colors, area, count, _APART * softness)
        self.darkest, self.softness, self.blend = darkest, softness, blend
        self.faces = mesh.faces
        self.groups = _in_threes(memberships(colors, self.palette, 1.0, softness))

    @property
    def count(self) -> int:
        """K, the number of channels."""
        return len(self.palette)

    def of_images(self, images: Tensor) -> Tensor:
        """Splits images into the channels.

        Args:
            images: [N, 4, H, W] sRGB and alpha in [0, 1], not premultiplied.

        Returns:
            [N, K, H, W]; the sum over the channels is alpha.
        """
        shares = memberships(
            images[:, :3].movedim(1, -1), self.palette, self.darkest, self.softness
        )
        return shares.movedim(-1, 1) * images[:, 3:]

    def render(
        self,
        vertices: Tensor,
        cameras: Cameras,
        image_size: int | Sequence[int],
        sigma: float,
        gamma: float,
    ) -> Tensor:
        """Renders the channels softly.

        Args:
            vertices: [N, V, 3] world coordinates, object units.
            cameras: The N cameras of the images.
            image_size: (height, width) in pixels; an int means square.
            sigma: The softness of edges, squared NDC units.
            gamma: The softness of depth in object units: of two overlapping faces at this distance,
                the nearer one has e times the weight of the other.

        Returns:
            [N, K, H, W]; the sum over the channels is alpha.
        """
        # What is in front of the eye has a colour; of what is all behind it nothing is drawn, but
        # the range of depths must still be one.
        deepest = max(float(_depths(vertices.detach(), cameras).max()), 1e-3 * gamma)
        near, far = 1e-3 * deepest, deepest + _OVER_BACKGROUND * gamma
        renderer = SoftRenderer(
            image_size, sigma, gamma / (far - near), color=self.blend, near=near, far=far
        )
        groups, number = len(self.groups), len(vertices)
        features = self.groups[:, None].expand(-1, number, -1, -1).flatten(0, 1)
        again = torch.arange(number, device=vertices.device).repeat(groups)
        rgba = renderer(
            vertices.repeat(groups, 1, 1), self.faces, features, cameras[again]
        ).unflatten(0, (groups, number))
        return (rgba[:, :, :3] * rgba[:, :, 3:]).movedim(0, 1).flatten(1, 2)[:, : self.count]


class ChannelTarget:
    """Images in channels of colours, and how far renderings of N meshes are from them.

    Args:
        channels: The colours of the mesh.
        images: [N, 4, H, W] sRGB and alpha in [0, 1], not premultiplied.
        cameras: The N cameras of the images.
        least_share: A colour counts as seen when it has this share of the silhouette, because a
            centre of mass which is made of few pixels says little.
    """

    def __init__(
        self, channels: ColorChannels, images: Tensor, cameras: Cameras, least_share: float
    ) -> None:
        self.channels, self.cameras = channels, cameras
        self.maps = channels.of_images(images)
        self.centers, areas = centroids(self.maps)
        self.silhouette_center, self.area = centroids(self.maps.sum(1, keepdim=True))
        self.seen = (areas > least_share * self.area).to(self.maps.dtype)

    def render(self, vertices: Tensor, step: Step) -> Tensor:
        """Renders the channels [N, K, H, W] of vertices [N, V, 3] as a step wants it."""
        return self.channels.render(vertices, self.cameras, step.size, step.sigma, step.gamma)

    def center_loss(self, maps: Tensor) -> Tensor:
        """Returns [N] squared distances between the centres of mass of colours, summed."""
        offsets = (centroids(maps)[0] - self.centers).square().sum(-1)
        return (offsets * self.seen).sum(1)

    def pixel_loss(self, maps: Tensor) -> Tensor:
        """Returns [N] squared differences of the channels, summed, per pixel."""
        target = self.maps
        if maps.shape != target.shape:
            target = torch.nn.functional.adaptive_avg_pool2d(target, (maps.shape[2], maps.shape[3]))
        return (maps - target).square().sum(1).mean((1, 2))


def centroids(maps: Tensor) -> tuple[Tensor, Tensor]:
    """Finds where in their images channels are, and how much of them there is.

    Args:
        maps: [N, K, H, W] the channels of N images, >= 0.

    Returns:
        positions: [N, K, 2] NDC x and y of the centres of mass.
        areas: [N, K] NDC units squared.
    """
    height, width = maps.shape[-2:]
    side = min(height, width)
    x = (2 * torch.arange(width, device=maps.device, dtype=maps.dtype) + 1 - width) / side
    y = (height - 1 - 2 * torch.arange(height, device=maps.device, dtype=maps.dtype)) / side
    columns, rows = maps.sum(2), maps.sum(3)
    mass = columns.sum(-1)
    sums = torch.stack(((columns * x).sum(-1), (rows * y).sum(-1)), dim=-1)
    return sums / mass[..., None].clamp(min=_LEAST_AREA * height * width), mass * (2 / side) ** 2


def _in_threes(features: Tensor) -> Tensor:
    """Splits features [F, K] of faces into what fits into colours: [G, F, 3], padded with zeros."""
    padded = torch.nn.functional.pad(features, (0, -features.shape[1] % 3))
    return padded.unflatten(1, (-1, 3)).movedim(1, 0).contiguous()


def _depths(vertices: Tensor, cameras: Cameras) -> Tensor:
    forward = cameras.rotation[:, None, 2].to(vertices.dtype)
    return (vertices * forward).sum(-1) + cameras.translation[:, None, 2].to(vertices.dtype)
