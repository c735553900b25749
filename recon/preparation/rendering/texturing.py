"""Looks up textures where faces are seen."""

from __future__ import annotations

import functools
from collections.abc import Sequence
from typing import NamedTuple

import numpy as np
import torch
from numpy.typing import NDArray
from torch import Tensor

from recon.formats.meshes.reading.textured_mesh import CLAMP, MIN_ALPHA, MIRROR, TexturedMesh

FAINT = round(255 * MIN_ALPHA)


class Hits(NamedTuple):
    """Places on faces which are seen at N samples of an image.

    Attributes:
        faces: [N] int32, the face that is hit.
        weights: [3][N] barycentric coordinates on the face in the world, >= 0, summing to 1; NaN on
            a face whose area underflows.
    """

    faces: Tensor
    weights: Sequence[Tensor]


def locate(projected: Tensor, seen: Tensor, samples: Tensor) -> Hits:
    """Returns where on their faces some samples of an image lie.

    In the image, barycentric coordinates are ratios of areas; divided by the depths of their
    corners they are, up to a factor, those in the world.

    Args:
        projected: [F, 3, 3] the corners as NDC x, NDC y and view depth.
        seen: [H, W] int32, the face seen at each sample.
        samples: [N] int64, the positions in the flattened `seen` where there is a face.
    """
    faces = seen.reshape(-1).index_select(0, samples)
    columns = projected.reshape(-1, 9).t().contiguous().index_select(1, faces)
    x, y = (grid.index_select(0, samples) for grid in _sample_centers(*seen.shape))
    # Positions are relative to the sample, so that products of small numbers are exact enough.
    x0, x1, x2 = (columns[k] - x for k in (0, 3, 6))
    y0, y1, y2 = (columns[k] - y for k in (1, 4, 7))
    parts = [
        (a * d).addcmul_(b, c, value=-1).div_(depth)
        for a, d, b, c, depth in (
            (x1, y2, x2, y1, columns[2]),
            (x2, y0, x0, y2, columns[5]),
            (x0, y1, x1, y0, columns[8]),
        )
    ]
    total = parts[0] + parts[1] + parts[2]
    # Rounding may put a sample on an edge beyond it by a hair.
    return Hits(faces, [part.div_(total).clamp_(min=0) for part in parts])


@functools.lru_cache(maxsize=4)
def _sample_centers(height: int, width: int) -> tuple[Tensor, Tensor]:
    """Returns NDC x and NDC y [H * W] of the centres of samples."""
    side = min(height, width)
    x = (2 * torch.arange(width) + (1 - width)) / side
    y = ((height - 1) - 2 * torch.arange(height)) / side
    return x.repeat(height), y.repeat_interleave(width)


class Textures:
    """The textures of a surface, laid out for look-ups by many samples at once.

    Attributes:
        textured: [F] bool, which faces have a texture.
        holed: [F] bool, which faces have a texture with nearly transparent texels, which are holes.
    """

    def __init__(self, surface: TexturedMesh) -> None:
        assert surface.uvs is not None
        assert surface.face_texture is not None
        sizes = np.array([texture.shape[:2] for texture in surface.textures], np.int64)
        starts = np.cumsum([0, *sizes.prod(axis=1)])[:-1]
        faint = np.array([(texture[..., 3] < FAINT).any() for texture in surface.textures])
        chosen = surface.face_texture
        self.textured = torch.from_numpy(chosen >= 0)
        self.holed = torch.from_numpy((chosen >= 0) & faint[chosen])
        self._uvs = torch.from_numpy(np.ascontiguousarray(surface.uvs.transpose(2, 1, 0)))
        self._heights = torch.from_numpy(sizes[chosen, 0]).int()
        self._widths = torch.from_numpy(sizes[chosen, 1]).int()
        self._starts = torch.from_numpy(starts[chosen])
        self._wraps = _face_wraps(surface, chosen)
        self._texels_covered = torch.from_numpy(_texels_covered(surface.uvs, sizes[chosen]))
        texels = np.concatenate([texture.reshape(-1, 4) for texture in surface.textures])
        self._texels = torch.from_numpy(np.ascontiguousarray(texels)).view(torch.int32).flatten()

    def texels(self, faces: Tensor) -> Tensor:
        """Returns how many texels [...] are on each of some faces [...]; 0 without a texture."""
        return torch.where(self.textured[faces], self._texels_covered[faces], 0.0)

    def look_up(self, hits: Hits) -> Tensor:
        """Returns the texels [N, 4] uint8 at places on textured faces.

        The nearest texel, not a blend of four: the samples of a pixel are averaged anyway, and
        small textures which are palettes keep their colours apart.
        """
        u, v = (interpolate(corners, hits) for corners in self._uvs)
        widths = self._widths.index_select(0, hits.faces)
        heights = self._heights.index_select(0, hits.faces)
        if self._wraps is None:
            u, v = u - u.floor(), v - v.floor()
        else:
            modes = self._wraps.index_select(1, hits.faces)
            u, v = _wrapped(u, modes[0]), _wrapped(v, modes[1])
        columns = (u * widths).int()
        rows = ((1 - v) * heights).int()
        # The clamp also keeps places inside that rounding, or a NaN, leads out of the texture.
        columns = torch.minimum(columns.clamp_(min=0), widths - 1)
        rows = torch.minimum(rows.clamp_(min=0), heights - 1)
        places = rows.mul_(widths).add_(columns) + self._starts.index_select(0, hits.faces)
        return self._texels.index_select(0, places).view(torch.uint8).view(-1, 4)


def _face_wraps(surface: TexturedMesh, chosen: NDArray[np.int64]) -> Tensor | None:
    """Returns how the texture of each face goes on along u and v, [2, F]; None if all repeat."""
    if not surface.texture_wraps:
        return None
    table = np.array(surface.texture_wraps, np.int64)
    return torch.from_numpy(np.ascontiguousarray(table[chosen].T))


def _wrapped(values: Tensor, modes: Tensor) -> Tensor:
    """Returns coordinates [N] along one axis as places in [0, 1] of images, by each one's mode."""
    mirrored = 1 - (values - 2 * (values / 2).floor() - 1).abs()
    clamped = torch.where(modes == CLAMP, values.clamp(0, 1), values - values.floor())
    return torch.where(modes == MIRROR, mirrored, clamped)


def _texels_covered(uvs: NDArray[np.float32], sizes: NDArray[np.int64]) -> NDArray[np.float64]:
    """Returns the areas [F], in texels of textures of sizes [F, 2], of triangles [F, 3, 2]."""
    first, second = np.moveaxis(uvs[:, 1:] - uvs[:, :1], 1, 0).astype(np.float64)
    area = np.abs(first[:, 0] * second[:, 1] - first[:, 1] * second[:, 0]) / 2
    return area * sizes.prod(axis=1)


def interpolate(corners: Tensor, hits: Hits) -> Tensor:
    """Returns a quantity [N] of which the corners [3, F] of faces are known."""
    first, second, third = (values.index_select(0, hits.faces) for values in corners)
    total = first.mul_(hits.weights[0])
    return total.addcmul_(second, hits.weights[1]).addcmul_(third, hits.weights[2])
