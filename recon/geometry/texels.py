"""The layout of the R * R texels on a face, which is that of the rasterizer's surface textures.

Each of the first two barycentric weights cuts a face into R strips, so into cells which are squares
in (w_0, w_1), and the diagonal of a cell into a lower and an upper triangle. Every triangle that
lies on the face is one texel. Texel j R + i is the lower one of cell (i, j) where i + j < R, and
the upper one of cell (R - 1 - i, R - 1 - j) else.
"""

from __future__ import annotations

import math

import torch
from torch import Tensor


def texture_side(texels: int) -> int:
    """Returns R for R * R texels.

    Raises:
        ValueError: If the number of texels is no square >= 1.
    """
    side = math.isqrt(max(0, texels))
    if side < 1 or side * side != texels:
        raise ValueError(f"texels of a face must be R * R with R >= 1, got {texels}")
    return side


def texel_centers(side: int) -> Tensor:
    """Returns the barycentric weights of the centre of every texel.

    Args:
        side: The number R >= 1 of texels along each side.

    Returns:
        [R * R, 3] float64; rows sum to 1.
    """
    j, i = torch.meshgrid(torch.arange(side), torch.arange(side), indexing="ij")
    lower = i + j < side
    first = torch.where(lower, i + 1 / 3, side - 1 - i + 2 / 3)
    second = torch.where(lower, j + 1 / 3, side - 1 - j + 2 / 3)
    weights = torch.stack((first, second), dim=-1).reshape(-1, 2).double() / side
    return torch.cat((weights, 1 - weights.sum(1, keepdim=True)), dim=1)


def texel_at(weights: Tensor, side: int) -> Tensor:
    """Returns the texel at points of a face, those on a diagonal being in the lower one.

    Args:
        weights: [..., 2] the first two barycentric weights, in [0, 1] with a sum of at most 1.
        side: The number R >= 1 of texels along each side.

    Returns:
        [...] int64 in [0, R * R).
    """
    scaled = weights.double() * side
    cell = scaled.floor().clamp(max=side - 1)
    # 1e-9 of a cell: which side of a diagonal a point on it is on must not depend on rounding.
    lower = (scaled - cell).sum(-1) <= 1 + 1e-9
    i, j = cell.long().unbind(-1)
    # A corner or an edge of the face may name a cell beyond the diagonal of the face.
    excess = (i + j - side + 1).clamp(min=0)
    i = (i - excess).clamp(min=0)
    last = side - 1
    lower = lower | (excess > 0) | (i + j == last)
    return torch.where(lower, j * side + i, (last - j) * side + (last - i))


def texel_corners(side: int) -> Tensor:
    """Returns R times the barycentric weights of the three corners of every texel.

    Args:
        side: The number R >= 1 of texels along each side.

    Returns:
        [R * R, 3, 3] int64, the corners of a texel wound as the face; weights sum to R.
    """
    j, i = torch.meshgrid(torch.arange(side), torch.arange(side), indexing="ij")
    lower = (i + j < side).reshape(-1, 1, 1)
    cell = torch.stack((i, j), dim=-1).reshape(-1, 1, 2)
    turned = side - 1 - cell
    below, above = torch.tensor([[1, 0], [0, 1], [0, 0]]), torch.tensor([[0, 1], [1, 0], [1, 1]])
    first_two = torch.where(lower, cell + below, turned + above)
    third = side - first_two.sum(-1, keepdim=True)
    return torch.cat((first_two, third), dim=-1)


def texel_faces(faces: Tensor, side: int) -> Tensor:
    """Splits every face of a mesh into its texels, as triangles of a finer mesh.

    Points on a shared edge are shared, so that the topology of the finer mesh tells which texels
    touch each other, in one face or in two.

    Args:
        faces: [F, 3] int64.
        side: The number R >= 1 of texels along each side.

    Returns:
        [F * R * R, 3] int64, where row f R * R + t is texel t of face f, wound as f.
    """
    steps = texel_corners(side).to(faces.device)
    # A point is named by its vertices and their weights; those of weight 0 do not matter.
    names = faces[:, None, None] * (side + 1) + steps
    names = torch.where(steps > 0, names, -1).sort(dim=-1).values
    points = torch.unique(names.reshape(-1, 3), dim=0, return_inverse=True)[1]
    return points.reshape(-1, 3)


def turned_texels(texels: Tensor) -> Tensor:
    """Returns texels [F, R * R, 3] for faces whose corners are named in the opposite order.

    Twice is where one started.
    """
    side = texture_side(texels.shape[1])
    places = texel_at(texel_centers(side).flip(1)[:, :2], side)
    return texels[:, places]
