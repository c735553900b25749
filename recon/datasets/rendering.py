"""Pictures and voxels of a mesh, as the ShapeNet renderings have them."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

import numpy as np
import torch
import torch.nn.functional as F
from numpy.typing import NDArray
from torch import Tensor

from recon.cameras import SHAPENET_VIEWS, Cameras, as_image_size, shapenet_cameras
from recon.datasets.hdf5 import Sample
from recon.lighting import Lighting
from recon.meshes import Mesh
from recon.renderer import SoftRenderer
from recon.voxels import pack_voxels, voxelize_mesh

# Edges this soft (1e-4 in NDC) are hard at every picture size up to thousands of pixels.
HARD_SIGMA = 1e-8
# Behind everything; no shaded colour is negative, so it tells which pixels a face covers.
NOTHING = -1.0
# Faces of all views rendered at once: about 150 MB of corners and colours.
FACES_AT_ONCE = 2_000_000


def world_vertices(vertices: Tensor) -> Tensor:
    """Turn the ShapeNetCore v1 frame (front +X) into that of the renderings: (-z, y, -x).

    The new frame is left-handed, as are its cameras, so nothing looks mirrored; fronts face -Z.
    """
    x, y, z = vertices.unbind(-1)
    return torch.stack([-z, y, -x], dim=-1)


class ObjectRenderer:
    """Renders the 24 standard views of a mesh and voxelises it."""

    def __init__(
        self,
        image_size: int | Sequence[int] = 64,
        supersample: int = 4,
        lighting: Lighting | None = None,
        voxel_resolution: int = 32,
        voxel_mode: str = "softras",
    ) -> None:
        """Settings.

        Args:
            image_size: (height, width) in pixels, an int for square pictures.
            supersample: each pixel is the mean of this many samples squared.
            lighting: how faces are shaded; None leaves their colours as they are.
            voxel_resolution: voxels along each side.
            voxel_mode: how surfaces are voxelised, see `renderer_cuda.voxelize`.

        Raises:
            ValueError: if a size is not a positive number.
        """
        if supersample < 1:
            raise ValueError(f"supersample must be >= 1, got {supersample}")
        if voxel_resolution < 1:
            raise ValueError(f"voxel_resolution must be >= 1, got {voxel_resolution}")
        self.image_size = as_image_size(image_size)
        self.supersample = supersample
        self.lighting = lighting
        self.voxel_resolution = voxel_resolution
        self.voxel_mode = voxel_mode
        self.cameras = shapenet_cameras(range(SHAPENET_VIEWS))
        self._renderer = SoftRenderer(
            image_size=[side * supersample for side in self.image_size],
            sigma=HARD_SIGMA,
            color="hard",
            background=(NOTHING, NOTHING, NOTHING),
            lighting=lighting,
        )

    def recipe(self) -> dict[str, Any]:
        """Return the settings as plain data."""
        light = self.lighting
        return {
            "image_size": list(self.image_size),
            "supersample": self.supersample,
            "lighting": light
            and {
                "ambient": light.ambient,
                "directional": light.directional,
                "direction": [round(value, 6) for value in light.direction.tolist()],
                "two_sided": light.two_sided,
            },
            "voxel_resolution": self.voxel_resolution,
            "voxel_mode": self.voxel_mode,
        }

    @torch.no_grad()
    def __call__(self, mesh: Mesh) -> Sample:
        """Return pictures, cameras and packed voxels of a mesh in the ShapeNetCore v1 frame."""
        vertices = world_vertices(mesh.vertices)
        voxels = voxelize_mesh(
            vertices[None], mesh.faces, self.voxel_resolution, mode=self.voxel_mode
        )
        return Sample(
            images=self._render(vertices, mesh),
            cameras=self.cameras.rows().numpy(),
            voxels=pack_voxels(voxels)[0],
        )

    def _render(self, vertices: Tensor, mesh: Mesh) -> NDArray[np.uint8]:
        """Return [24, 4, H, W] sRGB RGBA of world vertices."""
        at_once = max(1, FACES_AT_ONCE // mesh.num_faces)
        chunks = [
            self._render_views(vertices, mesh, self.cameras[start : start + at_once])
            for start in range(0, len(self.cameras), at_once)
        ]
        return torch.cat(chunks).numpy()

    def _render_views(self, vertices: Tensor, mesh: Mesh, cameras: Cameras) -> Tensor:
        views = len(cameras)
        colors = mesh.face_colors
        if colors is None:
            colors = torch.full((mesh.num_faces, 3), 0.7)
        rendered = self._renderer(
            vertices.expand(views, -1, -1), mesh.faces, colors.expand(views, -1, -1), cameras
        )
        return average_down(rendered[:, :3], self.supersample)


def average_down(samples: Tensor, factor: int) -> Tensor:
    """Average blocks of factor x factor samples into pixels.

    Args:
        samples: [B, 3, H * factor, W * factor] colours in [0, 1]; NOTHING where there is none.
        factor: samples along each side of a pixel.

    Returns:
        [B, 4, H, W] uint8: the mean colour of the covered samples (0 where there are none), and
        the share of them.
    """
    covered = F.avg_pool2d((samples[:, :1] > NOTHING).to(samples.dtype), factor)
    color = F.avg_pool2d(samples.clamp(min=0), factor)
    # A pixel with any covered sample has coverage >= 1 / factor^2; the floor only avoids 0/0.
    straight = color / covered.clamp(min=0.5 / factor**2)
    return torch.cat([straight, covered], dim=1).mul(255).round().clamp(0, 255).to(torch.uint8)
