"""What all renderers share: the size of images, projection and anti-aliasing."""

from __future__ import annotations

from collections.abc import Sequence

import torch.nn.functional as F
from torch import Tensor, nn

from recon.geometry.cameras import Cameras, as_image_size
from renderer_cuda import gather_faces


class MeshRenderer(nn.Module):
    """The base of renderers: images are rasterized larger by a factor, and then averaged.

    Args:
        image_size: The (height, width) in pixels; an int means square.
        anti_aliasing: The factor; 1 is off.

    Raises:
        ValueError: If `image_size` or `anti_aliasing` is bad.
    """

    def __init__(self, image_size: int | Sequence[int], anti_aliasing: int) -> None:
        super().__init__()
        if not isinstance(anti_aliasing, int) or anti_aliasing < 1:
            raise ValueError(f"anti_aliasing must be an int >= 1, got {anti_aliasing}")
        self.image_size = as_image_size(image_size)
        self.anti_aliasing = anti_aliasing

    @property
    def _raster_size(self) -> tuple[int, int]:
        height, width = self.image_size
        return height * self.anti_aliasing, width * self.anti_aliasing

    def _enlarge(self, background: Tensor, batch: int) -> Tensor:
        """Repeats the pixels of a background [B, 3, H, W] to the size of the rasterizer.

        Raises:
            ValueError: If it has another shape.
        """
        required = [batch, 3, *self.image_size]
        if list(background.shape) != required:
            raise ValueError(
                f"background must have shape [3] or {required}, got {list(background.shape)}"
            )
        times = self.anti_aliasing
        return background.repeat_interleave(times, 2).repeat_interleave(times, 3)

    def _project(self, vertices: Tensor, faces: Tensor, cameras: Cameras) -> Tensor:
        return gather_faces(cameras.project(vertices, self.image_size), faces)

    def _average(self, image: Tensor) -> Tensor:
        return F.avg_pool2d(image, self.anti_aliasing) if self.anti_aliasing > 1 else image
