"""Scenes of the first contact: spheres in NDC, shuffled faces, and faces as large as images."""

from __future__ import annotations

import torch
from torch import Tensor

from recon.geometry.meshes import icosphere

# What the estimates of docs/rasterizer_speed.md were counted on fills the image about like this.
RADIUS, DEPTH = 0.7, 2.7


def sphere(subdivisions: int, radius: float = RADIUS) -> Tensor:
    """Return the corners [F, 3, 3] of a sphere, turned so that no corner is on a pixel centre."""
    mesh = icosphere(subdivisions)
    generator = torch.Generator().manual_seed(0)
    turn = torch.linalg.qr(torch.randn(3, 3, generator=generator)).Q
    corners = (mesh.vertices @ turn)[mesh.faces] * radius
    return corners + torch.tensor([0.0, 0.0, DEPTH])


def faces_of(count: int) -> Tensor:
    """Return 1,280, 5,120, 40,960 or 327,680 faces [F, 3, 3]: a sphere, or one within another."""
    if count == 40_960:
        return torch.cat([sphere(5), sphere(5, 0.8 * RADIUS)])
    subdivisions = {1_280: 3, 5_120: 4, 327_680: 7}
    return sphere(subdivisions[count])


def shuffled(corners: Tensor) -> Tensor:
    """Return the same faces in another order, always the same one."""
    generator = torch.Generator().manual_seed(1)
    return corners[torch.randperm(len(corners), generator=generator)]


def two_triangles() -> Tensor:
    """Return two faces [2, 3, 3] which together cover the whole image."""
    square = torch.tensor([[-1.1, -1.2], [1.3, -1.1], [1.2, 1.1], [-1.3, 1.2]])
    corners = torch.cat([square, torch.full((4, 1), DEPTH)], dim=1)
    return corners[torch.tensor([[0, 1, 2], [0, 2, 3]])]


def soup(images: int, faces: int, dtype: torch.dtype = torch.float32) -> Tensor:
    """Return random faces [images, faces, 3, 3], many of which overlap."""
    generator = torch.Generator().manual_seed(2)
    corners = torch.rand(images, faces, 3, 3, generator=generator, dtype=torch.float64) * 2 - 1
    corners[..., 2] += 3
    return corners.to(dtype)
