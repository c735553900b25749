"""Solids whose distances, normals and volumes are known."""

from __future__ import annotations

from itertools import product

import numpy as np
import torch
from torch import Tensor

from recon.geometry.meshes import icosphere
from recon.geometry.surface_sampling import sample_surface
from recon.metrics import Truth


def sphere(radius: float, level: int = 3, center=(0.0, 0.0, 0.0)) -> tuple[Tensor, Tensor]:
    """Vertices [V, 3] and faces [F, 3] of an icosphere."""
    mesh = icosphere(level)
    return mesh.vertices.double() * radius + torch.tensor(center, dtype=torch.float64), mesh.faces


def box(size, center=(0.0, 0.0, 0.0)) -> tuple[Tensor, Tensor]:
    """Vertices [8, 3] and outward faces [12, 3] of a box."""
    corners = torch.tensor(list(product((-0.5, 0.5), repeat=3)), dtype=torch.float64)
    quads = [(0, 1, 3, 2), (4, 6, 7, 5), (0, 4, 5, 1), (2, 3, 7, 6), (0, 2, 6, 4), (1, 5, 7, 3)]
    faces = [face for a, b, c, d in quads for face in ((a, b, c), (a, c, d))]
    vertices = corners * torch.tensor(size, dtype=torch.float64) + torch.tensor(
        center, dtype=torch.float64
    )
    return vertices, torch.tensor(faces)


def cube_points(count: int, seed: int = 0) -> Tensor:
    """Points [P, 3] drawn evenly from [-0.55, 0.55]^3."""
    generator = torch.Generator().manual_seed(seed)
    return (torch.rand(count, 3, generator=generator, dtype=torch.float64) - 0.5) * 1.1


def truth_of(vertices: Tensor, faces: Tensor, count: int, inside: Tensor | None = None) -> Truth:
    """What a data set would hold of a mesh: `count` points of its surface, and occupancies."""
    samples = sample_surface(vertices.numpy(), faces.numpy(), count, np.random.default_rng(99))
    return Truth(
        surface_points=torch.from_numpy(samples.points),
        surface_normals=torch.from_numpy(samples.normals),
        points=None if inside is None else cube_points(len(inside)),
        occupancies=inside,
    )
