"""Voxels of triangles by means which share nothing with the voxelisation of the evaluation."""

from __future__ import annotations

import numpy as np
import torch
from numpy.typing import NDArray

from recon.geometry.containment import points_inside


def enclosed_voxels(corners: NDArray[np.floating], resolution: int = 32) -> torch.Tensor:
    """The voxels [R, R, R] whose centres triangles [T, 3, 3] enclose, outermost ones at +-0.5."""
    places = (np.arange(resolution) + 0.5 - resolution / 2) / (resolution - 1)
    centers = np.stack(np.meshgrid(places, places, places, indexing="ij"), axis=-1)
    vertices = corners.reshape(-1, 3).astype(float)
    faces = np.arange(len(vertices)).reshape(-1, 3)
    inside = points_inside(centers.reshape(-1, 3), vertices, faces)
    return torch.from_numpy(inside.reshape((resolution,) * 3))
