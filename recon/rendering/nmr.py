"""The Neural 3D Mesh Renderer: hard images with an approximate gradient (Kato et al., 2018)."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass
from typing import Any

import torch
from torch import Tensor

from recon.rendering.hard_renderer import HardRenderer
from recon.rendering.visible_surface import (
    SumByIndex,
    corner_numbers,
    count_up,
)

# Added to the distance that a vertex has to move, in NDC, as the released code does: an edge that
# just touches a pixel would else give it an infinite gradient.
_LEAST_MOVE = 1e-3
# Pairs of a crossing and a pixel of its line that are held at once; each costs some 100 bytes.
_MAX_PAIRS = 1 << 21


class NeuralMeshRenderer(HardRenderer):
    """Renders hard images whose gradient is that of the Neural 3D Mesh Renderer.

    A pixel shows the nearest face at its centre. Colours have the gradient of their interpolation;
    positions have the following one, and none in depth. Each row and each column of pixels crosses
    edges of the faces that are seen. If the loss would fall by dL > 0 if a pixel beyond an edge
    took the colour just inside of it, or a pixel of the face the colour just beyond the edge, then
    each end of the edge gets the gradient dL / d towards that pixel, where d is how far that end
    alone has to move for the edge to reach the pixel. Pixels for which the loss would grow give no
    gradient.

    Source: Kato et al., Neural 3D Mesh Renderer, CVPR 2018, arXiv 1711.07566, section 3.2 and, for
    the sweep over all edges of a face, the released code. Its images are rendered twice as large
    and averaged, which is `anti_aliasing=2` here.
    """

    def _rasterize(
        self, corners: Tensor, colors: Tensor, background: Tensor, sigma: float | None
    ) -> Tensor:
        seen = self._seen(corners)
        rgb = self._shade(seen, corners.detach(), colors, background)
        alpha = (seen >= 0)[:, None].to(rgb.dtype)
        return _with_gradient(corners, torch.cat([rgb, alpha], 1), seen)

    def _cover(self, corners: Tensor, sigma: float | None) -> Tensor:
        seen = self._seen(corners)
        return _with_gradient(corners, (seen >= 0).to(corners.dtype)[:, None], seen)


def _with_gradient(corners: Tensor, image: Tensor, seen: Tensor) -> Tensor:
    swept: Tensor = _EdgeSweep.apply(corners, image, seen)
    return swept


class _EdgeSweep(torch.autograd.Function):
    """The image [B, C, H, W] as it is, with the approximate gradient to corners [B, F, 3, 3]."""

    @staticmethod
    def forward(ctx: Any, corners: Tensor, image: Tensor, seen: Tensor) -> Tensor:
        """Returns the image; seen [B, H, W] are the numbers of the faces that it shows."""
        ctx.save_for_backward(corners, image, seen)
        return image.clone()

    @staticmethod
    def backward(ctx: Any, grad: Tensor) -> tuple[Tensor | None, Tensor, None]:
        """Sweeps over the columns and over the rows."""
        corners, image, seen = ctx.saved_tensors
        if not ctx.needs_input_grad[0]:
            return None, grad, None
        height, width = seen.shape[1:]
        half = min(height, width) / 2
        flat = corners.flatten(0, 1)
        column = flat[..., 0] * half + (width - 1) / 2
        row = (height - 1) / 2 - flat[..., 1] * half
        vertical = _sweep(column, row, image, grad, seen)
        horizontal = _sweep(row, column, *(x.transpose(-1, -2) for x in (image, grad, seen)))
        # Rows are counted downwards, NDC y upwards; nothing of depth has a gradient.
        total = torch.stack([horizontal, -vertical, torch.zeros_like(vertical)], -1) * half
        return total.reshape(corners.shape), grad, None


@dataclass(frozen=True, eq=False)
class _Crossings:
    """Crossings of edges of faces with lines of pixels; positions are counted in pixels.

    Args:
        ends: [N, 2] the numbers of the corners between which the edge lies.
        faces: [N] the face.
        lines: [N] the line, b * number of lines of an image + number of the line.
        places: [N] the position of the crossing along the line.
        shares: [N] the position of the crossing on the edge, from 0 to 1.
        outward: [N] 1 or -1, the direction along the line that leaves the face.
    """

    ends: Tensor
    faces: Tensor
    lines: Tensor
    places: Tensor
    shares: Tensor
    outward: Tensor

    def __getitem__(self, chosen: Tensor | slice) -> _Crossings:
        """Returns some of the crossings."""
        return _Crossings(**{name: value[chosen] for name, value in vars(self).items()})

    def __len__(self) -> int:
        """Returns the number of crossings."""
        return len(self.faces)

    @property
    def inner(self) -> Tensor:
        """[N] the pixel of the line just inside of the edge."""
        places = torch.where(self.outward > 0, self.places.floor(), self.places.ceil())
        return places.long()


def _sweep(across: Tensor, along: Tensor, image: Tensor, grad: Tensor, seen: Tensor) -> Tensor:
    """Returns the gradient with respect to the positions of corners along lines of pixels.

    Args:
        across: [B * F, 3] the positions of corners across the lines, in pixels; line n is at n.
        along: [B * F, 3] the positions of corners along the lines, in pixels.
        image: [B, C, A, L] the image, in which a line is a column.
        grad: [B, C, A, L] the gradient of the image.
        seen: [B, A, L] the face that is seen at each pixel, -1 for none.

    Returns:
        [B * F, 3], in the loss per pixel.
    """
    # Lines are rows of these: [B * L, A, C] and [B * L, A].
    values, slopes = (x.permute(0, 3, 2, 1).flatten(0, 1) for x in (image, grad))
    shown = seen.transpose(1, 2).flatten(0, 1)
    crossings = _find_crossings(across, along, seen)
    least_move = _LEAST_MOVE * min(seen.shape[1:]) / 2
    total = across.new_zeros(across.numel(), 1)
    crossings = crossings[_may_gain(crossings, values, slopes, shown)]
    for some in _blocks(crossings, shown.shape[1]):
        pulls = _pulls(some, values, slopes, shown, least_move)
        total = total + SumByIndex.apply(pulls.reshape(-1, 1), some.ends.flatten(), len(total))
    return total.reshape(across.shape)


def _find_crossings(across: Tensor, along: Tensor, seen: Tensor) -> _Crossings:
    """Finds where edges of the faces that are seen cross lines, as `_sweep` describes them."""
    batch, length, lines = seen.shape
    visible = seen[seen >= 0].unique()
    faces = visible.repeat_interleave(3)
    edge = torch.arange(3, device=seen.device).repeat(len(visible))
    order = torch.stack([edge, (edge + 1) % 3, (edge + 2) % 3], 1)
    (a0, a1, a2), (l0, l1, l2) = (x[faces[:, None], order].unbind(1) for x in (across, along))
    first = torch.minimum(a0, a1).ceil().clamp(0, lines)
    last = torch.maximum(a0, a1).floor().clamp(-1, lines - 1)
    counts = (last - first + 1).clamp(min=0).where(a0 != a1, 0)
    owners, numbers = count_up(counts.long())
    slope = (l1 - l0) / (a1 - a0)
    outward = torch.where(l0 + (a2 - a0) * slope > l2, 1, -1)[owners]
    line = first[owners] + numbers
    places = l0[owners] + (line - a0[owners]) * slope[owners]
    image = faces[owners] // max(len(across) // batch, 1)
    found = _Crossings(
        ends=corner_numbers(faces)[:, :1][owners] + order[owners, :2],
        faces=faces[owners],
        lines=image * lines + line.long(),
        places=places,
        shares=(line - a0[owners]) / (a1 - a0)[owners],
        outward=outward,
    )
    return found[(found.inner >= 0) & (found.inner < length)]


def _may_gain(crossings: _Crossings, values: Tensor, slopes: Tensor, shown: Tensor) -> Tensor:
    """Tells which crossings can have a gradient at all; leaving out the others saves most work.

    The loss falls by less than the sum over channels of max(g * (v - low), g * (v - high)), if a
    pixel of value v and gradient g takes a colour between low and high. Colours inside of edges are
    those of pixels that show a face.
    """
    length = shown.shape[1]
    covered = shown >= 0
    falls, uniform = torch.zeros_like(values[..., 0]), torch.ones_like(covered)
    for channel, slope in zip(values.unbind(-1), slopes.unbind(-1), strict=True):
        colors = channel[covered]
        low, high = (colors.min(), colors.max()) if len(colors) else (0.0, 0.0)
        falls = falls + torch.maximum(slope * (channel - low), slope * (channel - high))
        uniform &= (channel == low) & (channel == high)
    pixel = torch.arange(length, device=shown.device)
    last = torch.where(falls > 0, pixel, -1).amax(1)[crossings.lines]
    first = torch.where(falls > 0, pixel, length).amin(1)[crossings.lines]
    inner, outer = crossings.inner, crossings.inner + crossings.outward
    reached = torch.where(crossings.outward > 0, last >= outer, first <= outer)
    pushes = reached & (shown[crossings.lines, inner] == crossings.faces)
    exists = (outer >= 0) & (outer < length)
    outer = outer.clamp(0, length - 1)
    # No pixel of the face changes where the pixel beyond the edge has the value of all of them.
    differs = ~uniform[crossings.lines, outer]
    line = torch.arange(len(shown), device=shown.device)[:, None]
    keys = (shown * len(shown) + line)[covered]
    on_line = torch.isin(crossings.faces * len(shown) + crossings.lines, keys)
    return pushes | (exists & on_line & differs)


def _blocks(crossings: _Crossings, length: int) -> Iterator[_Crossings]:
    """Cuts crossings into blocks whose pairs with the pixels of their lines fit into memory."""
    size = max(1, _MAX_PAIRS // length)
    for start in range(0, len(crossings), size):
        yield crossings[start : start + size]


def _pulls(
    some: _Crossings, values: Tensor, slopes: Tensor, shown: Tensor, least_move: float
) -> Tensor:
    """Returns the gradient [N, 2] at both ends of the edges of crossings, along the lines."""
    length = shown.shape[1]
    own = shown[some.lines] == some.faces[:, None]
    inner, outer = some.inner, some.inner + some.outward
    pixel = torch.arange(length, device=shown.device)
    beyond = (pixel - outer[:, None]) * some.outward[:, None] >= 0
    seen_inside = own.gather(1, inner[:, None])
    exists = ((outer >= 0) & (outer < length))[:, None]
    taken = [values[some.lines, at.clamp(0, length - 1)] for at in (inner, outer)]
    line_values, line_slopes = values[some.lines], slopes[some.lines]
    present = (line_values * line_slopes).sum(-1)
    gains = torch.zeros_like(present)
    # The loss falls by this if a pixel beyond takes the colour inside, and the other way round.
    for where, color in zip((beyond & seen_inside, own & exists), taken, strict=True):
        fall = present - torch.einsum("nlc,nc->nl", line_slopes, color)
        gains = torch.where(where, fall.clamp(min=0), gains)
    moves = pixel - some.places[:, None]
    shares = torch.stack([1 - some.shares, some.shares], 1)
    return -torch.stack(
        [_per_move(gains, moves, share, least_move) for share in shares.unbind(1)], 1
    )


def _per_move(gains: Tensor, moves: Tensor, share: Tensor, least_move: float) -> Tensor:
    """Returns the sums [N] of gains [N, L] over the moves of an end of the edge.

    The crossing moves by `share` [N] of what the end moves, so an end at share 0 has no gradient.
    """
    needed = moves / share[:, None]
    needed = torch.where(needed > 0, needed + least_move, needed - least_move)
    return (gains / needed).sum(1).where(share != 0, 0)
