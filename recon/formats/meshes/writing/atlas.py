"""Texture atlases: the texels of all faces in one image."""

from __future__ import annotations

import math

import numpy as np
import torch
from numpy.typing import NDArray
from torch import Tensor

from recon.formats.meshes.writing.mesh_arrays import to_bytes
from recon.geometry.texels import texel_at, texture_side

# Pixels along a side of a cell, which is two texels. With two, the pixels on the diagonal between
# them are the mean of both, as the texels meet there.
CELL_PIXELS = 2
# Pixels around every tile that repeat its edge, so that filters of viewers find no other face.
GUTTER = 1
# How far beside a diagonal both texels are looked up, in barycentric weights of one cell.
_ASIDE = 1e-3


def build_atlas(texels: NDArray[np.float32]) -> tuple[NDArray[np.uint8], NDArray[np.float32]]:
    """Lays the texels of every face into a square tile of one image.

    Looked up without a filter at its centre, every texel is found exactly (in 256 steps).

    Args:
        texels: [F, R * R, 3] sRGB in [0, 1].

    Returns:
        image: [H, W, 3] uint8, nearly square.
        uvs: [F, 3, 2] places of the corners, u to the right and v upwards, in [0, 1].

    Raises:
        ValueError: If texels are not [F, R * R, 3] with F >= 1.
    """
    if texels.ndim != 3 or texels.shape[2] != 3 or len(texels) == 0:
        raise ValueError(f"texels must be [F, R * R, 3], got {list(texels.shape)}")
    count, side = len(texels), texture_side(texels.shape[1])
    first, second = _tile_texels(side)
    tiles = to_bytes((texels[:, first] + texels[:, second]) / np.float32(2))
    columns = math.ceil(count**0.5)
    rows = math.ceil(count / columns)
    size = tiles.shape[1]
    image = np.zeros((rows * columns, size, size, 3), np.uint8)
    image[:count] = tiles
    image = image.reshape(rows, columns, size, size, 3).transpose(0, 2, 1, 3, 4)
    return (
        np.ascontiguousarray(image).reshape(rows * size, columns * size, 3),
        _corner_places(count, side, rows, columns),
    )


def _tile_texels(side: int) -> tuple[NDArray[np.int64], NDArray[np.int64]]:
    """Returns for every pixel of a tile [T, T] the two texels of which it is the mean.

    Column and row are the first and the second weight.
    """
    pixels = torch.arange(side * CELL_PIXELS + 2 * GUTTER, dtype=torch.float64)
    places = (pixels + 0.5 - GUTTER) / (side * CELL_PIXELS)
    second, first = torch.meshgrid(places, places, indexing="ij")
    weights = _onto_face(torch.stack((first, second), dim=-1))
    aside = _ASIDE / side
    below, above = _onto_face(weights - aside), _onto_face(weights + aside)
    return texel_at(below, side).numpy(), texel_at(above, side).numpy()


def _onto_face(weights: Tensor) -> Tensor:
    """Returns the first two weights [..., 2] of the nearest point with none below 0."""
    weights = weights.clamp(min=0)
    excess = (weights.sum(-1, keepdim=True) - 1).clamp(min=0)
    return (weights - excess / 2).clamp(0, 1)


def _corner_places(count: int, side: int, rows: int, columns: int) -> NDArray[np.float32]:
    length = side * CELL_PIXELS
    size = length + 2 * GUTTER
    tile = np.arange(count)
    corner = np.array([[length, 0], [0, length], [0, 0]]) + GUTTER  # pixels, x and y
    x = (tile % columns * size)[:, None] + corner[:, 0]
    y = (tile // columns * size)[:, None] + corner[:, 1]
    return np.stack((x / (columns * size), 1 - y / (rows * size)), axis=-1).astype(np.float32)
