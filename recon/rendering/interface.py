"""What training asks of a renderer, so that renderers can be compared."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any, Protocol

import torch
from torch import Tensor

from recon.geometry.cameras import Cameras
from recon.rendering.lighting import Lighting


class Renderer(Protocol):
    """A module that renders batches of meshes of one topology, each from its own camera.

    `SoftRenderer` documents the arguments. A renderer without softness ignores `sigma` and `gamma`
    of a call, and those of its own are 0.
    """

    @property
    def image_size(self) -> tuple[int, int]:
        """The height and the width of the images in pixels."""

    @property
    def sigma(self) -> float:
        """The softness of edges in squared NDC units."""

    @property
    def gamma(self) -> float:
        """The temperature of the softmax over depth in normalised depth."""

    @property
    def texture(self) -> str:
        """What `face_textures` holds: "vertex" or "surface"."""

    @property
    def background(self) -> Sequence[float]:
        """The colour behind everything, sRGB in [0, 1]."""

    @property
    def lighting(self) -> Lighting | None:
        """The lighting that shades the colours."""

    def to(self, device: torch.device) -> Any:
        """Moves the renderer to a device."""

    @property
    def __call__(self) -> Any:
        """Renders rgba [B, 4, H, W]; see `SoftRenderer.forward`."""

    def silhouette(
        self, vertices: Tensor, faces: Tensor, cameras: Cameras, sigma: float | None = None
    ) -> Tensor:
        """Renders silhouettes [B, H, W]."""
