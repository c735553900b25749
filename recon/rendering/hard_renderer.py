"""What the renderers of visible surfaces share: arguments, projection and anti-aliasing."""

from __future__ import annotations

from abc import ABC, abstractmethod
from collections.abc import Sequence

import torch
import torch.nn.functional as F
from torch import Tensor, nn

from recon.arguments import Fraction, ImageSide, Length, Supersampling
from recon.compute import at_least_float32
from recon.geometry.cameras import Cameras, as_image_size
from recon.rendering.lighting import corner_colors
from renderer_cuda import gather_faces


class HardRenderer(nn.Module, ABC):
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
        super().__init__()
        if not isinstance(anti_aliasing, int) or anti_aliasing < 1:
            raise ValueError(f"anti_aliasing must be an int >= 1, got {anti_aliasing}")
        if not 0 < near < far:
            raise ValueError(f"near and far must be 0 < near < far, got {near} and {far}")
        if len(background) != 3:
            raise ValueError(f"background must be three numbers, got {list(background)}")
        self.image_size = as_image_size(image_size)
        self.near, self.far, self.background = near, far, tuple(background)
        self.double_sided, self.perspective_correct = double_sided, perspective_correct
        self.anti_aliasing = anti_aliasing

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

    @property
    def _raster_size(self) -> tuple[int, int]:
        height, width = self.image_size
        return height * self.anti_aliasing, width * self.anti_aliasing

    def _behind(self, background: Sequence[float] | Tensor, vertices: Tensor) -> Tensor:
        """Returns the background as images [B, 3, H, W] of the size of the rasterizer."""
        images = torch.as_tensor(background).to(vertices)
        shape = (len(vertices), 3, *self.image_size)
        if images.dim() == 1 and len(images) == 3:
            images = images[:, None, None].expand(shape)
        if images.shape != shape:
            raise ValueError(
                f"background must have shape [3] or {list(shape)}, got {list(images.shape)}"
            )
        times = self.anti_aliasing
        return images.repeat_interleave(times, 2).repeat_interleave(times, 3)

    def _project(self, vertices: Tensor, faces: Tensor, cameras: Cameras) -> Tensor:
        return gather_faces(cameras.project(vertices, self.image_size), faces)

    def _average(self, image: Tensor) -> Tensor:
        return F.avg_pool2d(image, self.anti_aliasing) if self.anti_aliasing > 1 else image
