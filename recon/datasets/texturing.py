"""Looking up textures where faces are seen."""

from __future__ import annotations

from typing import NamedTuple

import numpy as np
import torch
from torch import Tensor

from recon.datasets.surfaces import MIN_ALPHA, Surface

FAINT = round(255 * MIN_ALPHA)


class Hits(NamedTuple):
    """Places on faces which are seen at N samples of pictures.

    Attributes:
        rows: [N] int64, view * F + face.
        faces: [N] int64.
        weights: [3, N] barycentric coordinates on the face in the world, >= 0, summing to 1.
    """

    rows: Tensor
    faces: Tensor
    weights: Tensor


def locate(projected: Tensor, seen: Tensor, samples: Tensor) -> Hits:
    """Return where on their faces some samples lie.

    In the picture, barycentric coordinates are ratios of areas e; divided by the depths of their
    corners they are, up to a factor, those in the world.

    Args:
        projected: [K, F, 3, 3] corners as NDC x, NDC y and view depth.
        seen: [K, H, W] int32 face seen at each sample.
        samples: [N] int64 positions in the flattened `seen` where there is a face.
    """
    (_, height, width), count = seen.shape, projected.shape[1]
    faces = seen.reshape(-1).index_select(0, samples).long()
    rows = torch.div(samples, height * width, rounding_mode="floor").mul_(count).add_(faces)
    corners = projected.reshape(-1, 9).index_select(0, rows).t().contiguous().view(3, 3, -1)
    place = samples.remainder(height * width)
    line = torch.div(place, width, rounding_mode="floor")
    column = place.sub_(line * width)
    side = min(height, width)
    # Relative to the sample, so that the products of small numbers are exact enough.
    x = corners[:, 0] - (2 * column + (1 - width)).to(corners.dtype) / side
    y = corners[:, 1] - ((height - 1) - 2 * line).to(corners.dtype) / side
    area = x.roll(-1, 0) * y.roll(-2, 0) - x.roll(-2, 0) * y.roll(-1, 0)
    area *= area.sum(0).sign()
    weights = area.clamp_(min=0) / corners[:, 2]
    # A face of no area is seen nowhere; the floor only keeps 0/0 away if one were.
    weights /= weights.sum(0).clamp_(min=torch.finfo(weights.dtype).tiny)
    return Hits(rows, faces, weights)


class Textures:
    """The textures of a surface, laid out for look-ups by many samples at once.

    Attributes:
        textured: [F] which faces have a texture.
        holed: [F] which faces have a texture with faint texels, which are holes.
    """

    def __init__(self, surface: Surface) -> None:
        """Copy what is needed of a surface that has textures."""
        assert surface.uvs is not None
        assert surface.face_texture is not None
        sizes = np.array([texture.shape[:2] for texture in surface.textures], np.int64)
        starts = np.cumsum([0, *sizes.prod(axis=1)])[:-1]
        faint = np.array([(texture[..., 3] < FAINT).any() for texture in surface.textures])
        chosen = surface.face_texture
        self.textured = torch.from_numpy(chosen >= 0)
        self.holed = torch.from_numpy((chosen >= 0) & faint[chosen])
        self._uvs = torch.from_numpy(np.ascontiguousarray(surface.uvs.transpose(2, 1, 0)))
        self._heights = torch.from_numpy(sizes[chosen, 0])
        self._widths = torch.from_numpy(sizes[chosen, 1])
        self._starts = torch.from_numpy(starts[chosen])
        texels = np.concatenate([texture.reshape(-1, 4) for texture in surface.textures])
        self._texels = torch.from_numpy(np.ascontiguousarray(texels)).view(torch.int32).flatten()

    def look_up(self, hits: Hits) -> Tensor:
        """Return the texels [N, 4] uint8 at places on textured faces.

        The nearest texel, not a blend of four: the samples of a pixel are averaged anyway, and
        small textures which are palettes keep their colours apart.
        """
        u, v = (
            sum(corner.index_select(0, hits.faces) * weight
                for corner, weight in zip(corners, hits.weights, strict=True))
            for corners in self._uvs
        )  # fmt: skip
        widths = self._widths.index_select(0, hits.faces)
        heights = self._heights.index_select(0, hits.faces)
        columns = ((u - u.floor()) * widths).long()
        rows = ((1 - (v - v.floor())) * heights).long()
        places = torch.minimum(rows, heights - 1) * widths + torch.minimum(columns, widths - 1)
        places += self._starts.index_select(0, hits.faces)
        return self._texels.index_select(0, places).view(torch.uint8).view(-1, 4)
