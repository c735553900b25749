"""The mirror plane of objects, world x = 0: left is as right, for most things that people make."""

from __future__ import annotations

import torch
from torch import Tensor

from recon.geometry.cameras import CAMERA_ROW, Cameras

# Of coordinates about 1 in size: far above the rounding of float32, below any edge of a template.
_TOLERANCE = 1e-4


def mirror_pairs(vertices: Tensor) -> Tensor:
    """Returns which vertex is the mirror image of each one; those on the plane are their own.

    Args:
        vertices: [V, 3], object units.

    Returns:
        [V] int64, a permutation that is its own inverse.

    Raises:
        ValueError: If the vertices are not [V, 3], or not their own mirror image.
    """
    if vertices.dim() != 2 or vertices.shape[1] != 3 or len(vertices) == 0:
        raise ValueError(f"vertices must be [V, 3], got {list(vertices.shape)}")
    mirrored = mirror_vertices(vertices)
    pairs = torch.cdist(mirrored.double(), vertices.double()).argmin(1)
    error = float((vertices[pairs] - mirrored).abs().max())
    own_inverse = torch.equal(pairs[pairs], torch.arange(len(pairs), device=pairs.device))
    if not (error < _TOLERANCE and own_inverse):
        raise ValueError(
            f"vertices must be their own mirror image at x = 0 within {_TOLERANCE:g}, "
            f"one is off by {error:.3g}"
        )
    return pairs


def mirror_vertices(vertices: Tensor) -> Tensor:
    """Returns the mirror images [..., 3] of points [..., 3]."""
    return torch.cat((-vertices[..., :1], vertices[..., 1:]), dim=-1)


def mirror_cameras(rows: Tensor) -> Tensor:
    """Returns the cameras which see the mirrored world as the mirror image of an image.

    With M = diag(-1, 1, 1) a world position p becomes M p and view coordinates R p + t become
    M (R p + t) = (M R M) (M p) + M t; so the handedness of the rotation stays.

    Args:
        rows: [..., 16], cameras as `Cameras.rows`.

    Returns:
        [..., 16].

    Raises:
        ValueError: If they are no rows of cameras.
    """
    if rows.shape[-1] != CAMERA_ROW:
        raise ValueError(f"rows must be [..., {CAMERA_ROW}], got {list(rows.shape)}")
    flip = torch.tensor([-1.0, 1.0, 1.0], dtype=rows.dtype, device=rows.device)
    cameras = Cameras.from_rows(rows.reshape(-1, CAMERA_ROW))
    mirrored = Cameras(
        rotation=flip[:, None] * cameras.rotation * flip,
        translation=cameras.translation * flip,
        focal=cameras.focal,
        center=cameras.center * flip[:2],
    )
    return mirrored.rows().reshape(rows.shape)
