"""Palettes of a few colours, and images as channels of the colours of a palette.

Differences of RGB mix channels: white counts as red, and yellow lies closer to red than to blue.
In channels of a palette every colour is as far from every other, and an image of one tells where
that colour is.
"""

from __future__ import annotations

import torch
from torch import Tensor

# Lloyd's iterations; so few points of colour settle in a handful.
_ITERATIONS = 50


def make_palette(colors: Tensor, weights: Tensor, count: int, separation: float = 0.0) -> Tensor:
    """Chooses a palette by k-means from the heaviest colour and those farthest from it.

    Args:
        colors: [F, 3] sRGB in [0, 1].
        weights: [F] the weight of each colour, for instance the area of its face; >= 0.
        count: The greatest number of colours.
        separation: The least distance in RGB between two colours of the palette.

    Returns:
        [K, 3], K at most `count`.

    Raises:
        ValueError: Shapes disagree, a value is out of range, or all weights are 0.
    """
    _require_colors(colors, weights, count, separation)
    different, index = torch.unique(colors, dim=0, return_inverse=True)
    mass = colors.new_zeros(len(different)).index_add(0, index, weights.to(colors.dtype))
    chosen = different[mass.argmax()][None]
    while len(chosen) < min(count, len(different)):
        gaps = torch.cdist(different, chosen).amin(1)
        # Mass counts too, so that a speck of an odd colour does not take a place.
        gains = torch.where(gaps > separation, gaps.square() * mass, 0.0)
        if not bool(gains.max() > 0):
            break
        chosen = torch.cat((chosen, different[gains.argmax()][None]))
    for _ in range(_ITERATIONS):
        nearest = torch.cdist(different, chosen).argmin(1)
        total = mass.new_zeros(len(chosen)).index_add(0, nearest, mass)
        sums = torch.zeros_like(chosen).index_add(0, nearest, different * mass[:, None])
        means = torch.where(total[:, None] > 0, sums / total[:, None].clamp(min=1e-30), chosen)
        if torch.equal(means, chosen):
            break
        chosen = means
    return chosen


def memberships(
    colors: Tensor, palette: Tensor, darkest: float = 1.0, softness: float = 0.1
) -> Tensor:
    """Tells how much of each colour of a palette is in colours, whatever light is on them.

    The distance to a colour c is that to the nearest of its shades t * c with t in [darkest, 1],
    and the membership the softmax of -distance^2 / softness^2.

    Args:
        colors: [..., 3] sRGB in [0, 1].
        palette: [K, 3] the colours of the palette, sRGB in [0, 1].
        darkest: The least factor that light may have, in [0, 1]; 1 is no light.
        softness: The distance in RGB beyond which two colours count as different, > 0.

    Returns:
        [..., K], >= 0 with the sum 1.

    Raises:
        ValueError: Shapes disagree, or a number is out of range.
    """
    if palette.dim() != 2 or palette.shape[1] != 3 or colors.shape[-1] != 3:
        raise ValueError(
            "colors must have shape [..., 3] and palette [K, 3],"
            f" got {list(colors.shape)} and {list(palette.shape)}"
        )
    if not 0 <= darkest <= 1 or not softness > 0:
        raise ValueError(
            f"darkest must lie in [0, 1] and softness be > 0, got {darkest} and {softness}"
        )
    palette = palette.to(colors)
    squared = palette.square().sum(-1)
    # Black has one shade only, so that what stands in its place does not matter.
    light = (colors[..., None, :] * palette).sum(-1) / torch.where(squared > 0, squared, 1.0)
    shades = light.clamp(darkest, 1)[..., None] * palette
    distance = (colors[..., None, :] - shades).square().sum(-1)
    return torch.softmax(-distance / softness**2, dim=-1)


def _require_colors(colors: Tensor, weights: Tensor, count: int, separation: float) -> None:
    if colors.dim() != 2 or colors.shape[1] != 3 or weights.shape != colors.shape[:1]:
        raise ValueError(
            "colors must have shape [F, 3] and weights [F],"
            f" got {list(colors.shape)} and {list(weights.shape)}"
        )
    if count < 1 or not separation >= 0:
        raise ValueError(f"count must be >= 1 and separation >= 0, got {count} and {separation}")
    if not bool(((colors >= 0) & (colors <= 1)).all()):  # also refuses NaN
        raise ValueError("colors must lie in [0, 1]")
    if not bool((weights >= 0).all()) or not bool(weights.sum() > 0):
        raise ValueError("weights must be >= 0, and one of them > 0")
