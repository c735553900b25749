"""Averages many samples per pixel in whole numbers: quickly, and the same on every machine.

A sample is four 16-bit lanes, red, green, blue, and whether it is covered, moved and added as one
64-bit integer. Samples are looked up in a table of the colours of faces; in their sums no lane can
overflow into the next, and no order of adding matters.
"""

from __future__ import annotations

import torch
from torch import Tensor

_LANE_MASK = 0xFFFF
# The lanes of colours hold a pixel's sum; a value of 8 bits must remain exact in them.
MAX_SUPERSAMPLE = 16
# Stands for a colour that is still to be filled in. No packed colour is negative.
PENDING = -1


def _unit(supersample: int) -> int:
    """Returns what stands for 1: a multiple of 255 whose sum over a pixel fits a lane."""
    return 255 * (_LANE_MASK // (255 * supersample**2))


def pack_colors(colors: Tensor, supersample: int) -> Tensor:
    """Returns the samples [...] int64 of covered places with colours [..., 3] in [0, 1]."""
    lanes = torch.empty(*colors.shape[:-1], 4)
    torch.mul(colors, _unit(supersample), out=lanes[..., :3])
    return _pack(lanes)


def pack_texels(texels: Tensor, light: Tensor, supersample: int) -> Tensor:
    """Returns the samples [N] int64 of places with texels [N, 4] uint8 in light [N]; 1 is white."""
    unit = _unit(supersample)
    lanes = texels.float().mul_((light * (unit / 255))[:, None])
    return _pack(lanes.clamp_(max=unit))


def _pack(lanes: Tensor) -> Tensor:
    """Rounds [..., 4] floats to lanes and sets the last one."""
    # The conversion passes through 32 bits, as 16 bits with a sign do not hold 65,535.
    whole = lanes.round_().to(torch.int32).to(torch.int16)
    whole[..., 3] = 1
    return whole.view(torch.int64).squeeze(-1)


def color_samples(seen: Tensor, table: Tensor) -> Tensor:
    """Returns the sample [K, H, W] int64 of every face seen.

    Args:
        seen: [K, H, W] int32, the face seen at each sample, -1 where there is none.
        table: [K, F] int64, the packed colour of every face in each view.
    """
    views, height, width = seen.shape
    with_nothing = torch.cat([table.new_zeros(views, 1), table], dim=1)
    samples = table.new_empty(views, height * width)
    # Views are looked up one by one, as the table of one view fits into the processor's cache.
    for view in range(views):
        faces = seen[view].reshape(-1) + 1
        torch.index_select(with_nothing[view], 0, faces, out=samples[view])
    return samples.view(views, height, width)


def average_samples(samples: Tensor, supersample: int) -> Tensor:
    """Averages blocks of supersample x supersample samples into pixels.

    Args:
        samples: [K, H * supersample, W * supersample] int64, the packed colours.
        supersample: The number of samples along each side of a pixel.

    Returns:
        [K, 4, H, W] uint8: the mean colour of the covered samples (0 where there are none), and
        the share of them.
    """
    views, height, width = samples.shape
    rows = samples.view(views, height // supersample, supersample, width)
    columns = _sum(rows, 2).view(views, rows.shape[1], width // supersample, supersample)
    total = _sum(columns, 3)
    lanes = total.view(torch.int16).view(*total.shape, 4).to(torch.int32) & _LANE_MASK
    lanes = lanes.permute(0, 3, 1, 2).float().contiguous()
    covered = lanes[:, 3:]
    # A pixel with any covered sample has at least 1; the floor only avoids 0/0.
    straight = lanes[:, :3] / covered.clamp(min=1) * (255 / _unit(supersample))
    alpha = covered * 255 / supersample**2
    return torch.cat([straight, alpha], dim=1).round_().to(torch.uint8)


def _sum(values: Tensor, dim: int) -> Tensor:
    """Adds the slices, which is several times faster than a sum over a short strided dimension."""
    first, *others = values.unbind(dim)
    total = first + others.pop() if others else first
    for other in others:
        total += other
    return total
