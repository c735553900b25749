"""What the renderers of visible surfaces share: their calls, and the surface that is seen."""

from __future__ import annotations

from abc import ABC, abstractmethod
from collections.abc import Sequence

import torch
from torch import Tensor

from recon.arguments import Fraction, ImageSide, Length, Supersampling
from recon.compute import at_least_float32
from recon.geometry.cameras import Cameras
from recon.rendering.lighting import corner_colors
from recon.rendering.mesh_renderer import MeshRenderer
from recon.rendering.visible_surface import (
    barycentric_at,
    centers_of_pixels,
    corners_of,
    mix_colors,
    seen_faces,
)


class HardRenderer(MeshRenderer, ABC):
    """Renders the nearest face at each pixel centre; subclasses say how gradients pass its edges.

    Calls are those of `SoftRenderer`, with colours of vertices and without light. Half-precision
    inputs are rendered in float32.

    Args:
        image_size: The (height, width) in pixels; an int means square.
        near: The nearest view depth that is seen, in object units.
        far: The farthest view depth that is seen, in object units.
        background: The colour (3) behind everything, sRGB in [0, 1]; a call may bring its own.
        double_sided: Whether faces that turn their back to the camera are drawn too.
        perspective_correct: Whether colours are mixed on the face, as a camera sees them, instead
            of in the image.
        anti_aliasing: The factor by which images are rendered larger and then averaged; 1 is off.

    Raises:
        ValueError: If `image_size`, `near`, `far`, `background` or `anti_aliasing` is bad.
    """

    sigma: float = 0.0
    gamma: float = 0.0
    texture = "vertex"
    lighting = None

    def __init__(
        self,
        image_size: ImageSide | Sequence[ImageSide] = 64,
        near: Length = 1.0,
        far: Length = 100.0,
        background: Sequence[Fraction] = (0.0, 0.0, 0.0),
        double_sided: bool = True,
        perspective_correct: bool = False,
        anti_aliasing: Supersampling = 1,
    ) -> None:
        super().__init__(image_size, anti_aliasing)
        if not 0 < near < far:
            raise ValueError(f"near and far must be 0 < near < far, got {near} and {far}")
        if len(background) != 3:
            raise ValueError(f"background must be three numbers, got {list(background)}")
        self.near, self.far, self.background = near, far, tuple(background)
        self.double_sided, self.perspective_correct = double_sided, perspective_correct

    def forward(
        self,
        vertices: Tensor,
        faces: Tensor,
        face_textures: Tensor,
        cameras: Cameras,
        sigma: float | None = None,
        gamma: float | None = None,
        background: Sequence[float] | Tensor | None = None,
    ) -> Tensor:
        """Renders colour and alpha.

        Args:
            vertices: [B, V, 3] in world coordinates, object units.
            faces: [F, 3] int64.
            face_textures: [B, F, 3, 3] colours of the corners, or [B, F, 3], one per face; sRGB.
            cameras: The B cameras.
            sigma: The softness of edges instead of the renderer's own, where it has one.
            gamma: Ignored, as the nearest face alone gives the colour.
            background: Used instead of the renderer's own; a colour (3), or images [B, 3, H, W] of
                `image_size`.

        Returns:
            rgba [B, 4, H, W], row 0 on top.

        Raises:
            ValueError: If shapes disagree.
        """
        vertices = at_least_float32(vertices)
        corners = self._project(vertices, faces, cameras)
        colors = corner_colors(face_textures.to(vertices.dtype))
        if colors.shape != corners.shape:
            batch, count = corners.shape[:2]
            raise ValueError(
                f"face_textures must have shape [{batch}, {count}, 3, 3] or [{batch}, {count}, 3], "
                f"got {list(face_textures.shape)}"
            )
        behind = self._behind(self.background if background is None else background, vertices)
        return self._average(self._rasterize(corners, colors, behind, sigma))

    def silhouette(
        self, vertices: Tensor, faces: Tensor, cameras: Cameras, sigma: float | None = None
    ) -> Tensor:
        """Renders silhouettes alone, without any work on colour.

        Args:
            vertices: [B, V, 3] in world coordinates, object units.
            faces: [F, 3] int64.
            cameras: The B cameras.
            sigma: The softness of edges instead of the renderer's own, where it has one.

        Returns:
            alpha [B, H, W] in [0, 1], row 0 on top.

        Raises:
            ValueError: If shapes disagree.
        """
        corners = self._project(at_least_float32(vertices), faces, cameras)
        return self._average(self._cover(corners, sigma)).squeeze(1)

    def extra_repr(self) -> str:
        """Shows the size in the printed module."""
        return f"image_size={self.image_size}"

    @abstractmethod
    def _rasterize(
        self, corners: Tensor, colors: Tensor, background: Tensor, sigma: float | None
    ) -> Tensor:
        """Renders rgba [B, 4, H, W] of corners and colours [B, F, 3, 3] over [B, 3, H, W]."""

    @abstractmethod
    def _cover(self, corners: Tensor, sigma: float | None) -> Tensor:
        """Renders alpha [B, 1, H, W] of corners [B, F, 3, 3]."""

    def _behind(self, background: Sequence[float] | Tensor, vertices: Tensor) -> Tensor:
        """Returns the background as images [B, 3, H, W] of the size of the rasterizer."""
        images = torch.as_tensor(background).to(vertices)
        if images.dim() == 1 and len(images) == 3:
            images = images[:, None, None].expand(len(vertices), 3, *self.image_size)
        return self._enlarge(images, len(vertices))

    def _seen(self, corners: Tensor) -> Tensor:
        """Returns the face [B, H, W] seen at each pixel, its number in the batch, -1 for none."""
        return seen_faces(corners, self._raster_size, self.near, self.far, self.double_sided)

    def _shade(self, seen: Tensor, corners: Tensor, colors: Tensor, background: Tensor) -> Tensor:
        """Returns the colours [B, 3, H, W] of the faces that are seen, over [B, 3, H, W]."""
        inside = seen >= 0
        faces = seen[inside]
        own = corners_of(corners, faces)
        weights = barycentric_at(centers_of_pixels(seen, corners)[inside.flatten()], own)
        rgb = background.movedim(1, -1).clone()
        rgb[inside] = mix_colors(weights, own, corners_of(colors, faces), self.perspective_correct)
        return rgb.movedim(-1, 1)
