"""Hard rendering with gradients at the edges of what is visible (Pidhorskyi et al., 2024)."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any

import torch
from torch import Tensor

from recon.rendering.hard_renderer import HardRenderer
from recon.rendering.visible_surface import (
    barycentric_at,
    centers_of_pixels,
    corner_numbers,
    corners_of,
    mix_colors,
)
from renderer_cuda import gather_faces


class EdgeGradientRenderer(HardRenderer):
    """Renders hard images whose gradient is that of the integral over the image.

    A pixel shows the nearest face at its centre, so masks are not dilated. The gradient has two
    parts: that of the interpolated colours, and that of the edges of what is visible. Where two
    pixels side by side show different faces, an edge lies between them. It belongs to the face in
    front, and where it moves along the line through both centres, the mean of both pixels moves by
    the jump of the colours at the edge: each pair of pixels adds

        dL/dx += mean of dL/dI at both pixels * (colour in front - colour behind) / pixel width

    to the position of the point of the face in front where the line leaves it, x for pixels side by
    side, y for pixels one above the other. The jump is taken at that point instead of at the pixel
    centres, so a smooth surface has none at the edges of its faces. Where two faces pass through
    each other there is no gradient.

    Source: Pidhorskyi et al., Rasterized Edge Gradients: Handling Discontinuities Differentiably,
    ECCV 2024, arXiv 2405.02508, whose code is DRTK.
    """

    def _rasterize(
        self, corners: Tensor, colors: Tensor, background: Tensor, sigma: float | None
    ) -> Tensor:
        seen = self._seen(corners)
        alpha = torch.ones_like(colors[..., :1])
        values = torch.cat([colors, alpha], -1)
        behind = torch.cat([background, torch.zeros_like(background[:, :1])], 1)
        rgb = self._shade(seen, corners, colors, background)
        image = torch.cat([rgb, (seen >= 0)[:, None].to(rgb.dtype)], 1)
        if not corners.requires_grad:
            return image
        for axis in (0, 1):
            edges = _find_edges(seen, corners.detach(), axis)
            jumps = self._jumps(edges, corners.detach(), values.detach(), behind.detach())
            image = _move_edges(image, corners, edges, jumps, axis)
        return image

    def _cover(self, corners: Tensor, sigma: float | None) -> Tensor:
        seen = self._seen(corners)
        image = (seen >= 0).to(corners.dtype)[:, None]
        if not corners.requires_grad:
            return image
        for axis in (0, 1):
            edges = _find_edges(seen, corners.detach(), axis, of_mask=True)
            jumps = torch.ones_like(edges.points[:, :1])
            image = _move_edges(image, corners, edges, jumps, axis)
        return image

    def _jumps(self, edges: _Edges, corners: Tensor, values: Tensor, background: Tensor) -> Tensor:
        """Returns the values [N, C] in front of edges minus those behind."""
        rows = background.movedim(1, -1).flatten(0, 2)
        behind = rows[edges.other_pixels]
        covered = edges.behind >= 0
        faces = edges.behind[covered]
        own = corners_of(corners, faces)
        # The point may lie beyond the edge of the face behind, by less than a pixel.
        weights = barycentric_at(edges.points[covered], own).clamp(0, 1)
        weights = weights / weights.sum(-1, keepdim=True)
        colors = corners_of(values, faces)
        behind[covered] = mix_colors(weights, own, colors, self.perspective_correct)
        own, colors = corners_of(corners, edges.front), corners_of(values, edges.front)
        return mix_colors(edges.weights, own, colors, self.perspective_correct) - behind


@dataclass(frozen=True, eq=False)
class _Edges:
    """Edges of what is visible, each between two neighbouring pixels.

    Args:
        front: [N] the face that ends there.
        behind: [N] the face seen beyond the edge, -1 for the background.
        weights: [N, 3] barycentric coordinates of the edge point in the face that ends.
        points: [N, 2] the edge point in NDC.
        pixels: [N] the pixel that shows the face in front.
        other_pixels: [N] the pixel beyond the edge.
        signs: [N] 1 where the other pixel lies in the direction of growing NDC, else -1.
    """

    front: Tensor
    behind: Tensor
    weights: Tensor
    points: Tensor
    pixels: Tensor
    other_pixels: Tensor
    signs: Tensor


def _find_edges(seen: Tensor, corners: Tensor, axis: int, of_mask: bool = False) -> _Edges:
    """Finds the edges between pixels side by side (axis 0) or one above the other (axis 1).

    Args:
        seen: [B, H, W] the face seen at each pixel, -1 for none.
        corners: [B, F, 3, 3] corners of faces.
        axis: The NDC axis along which both pixels lie.
        of_mask: Whether edges between two faces are left out.
    """
    numbers = torch.arange(seen.numel(), device=seen.device).reshape(seen.shape)
    along = 2 - axis
    size = seen.shape[along]
    pixels = torch.stack([numbers.narrow(along, k, size - 1) for k in (0, 1)]).flatten(1)
    shown = seen.flatten()[pixels]
    differ = shown[0] != shown[1]
    if of_mask:
        differ &= shown.amin(0) < 0
    pixels, shown = pixels[:, differ], shown[:, differ]
    points = centers_of_pixels(seen, corners)[pixels]
    exits = [_leave(shown[k], points[k], points[1 - k], corners) for k in (0, 1)]
    first = _in_front(shown, exits, corners)
    ends = torch.where(first, *(edge.leaves for edge in exits))

    def pick(values: tuple[Tensor, Tensor]) -> Tensor:
        choose = first if values[0].dim() == 1 else first[:, None]
        return torch.where(choose, *values)[ends]

    # Rows are counted downwards, NDC y upwards.
    sign = torch.ones_like(points[0, :, 0]) * (1 if axis == 0 else -1)
    return _Edges(
        front=pick((shown[0], shown[1])),
        behind=pick((shown[1], shown[0])),
        weights=pick((exits[0].weights, exits[1].weights)),
        points=pick((exits[0].points, exits[1].points)),
        pixels=pick((pixels[0], pixels[1])),
        other_pixels=pick((pixels[1], pixels[0])),
        signs=pick((sign, -sign)),
    )


@dataclass(frozen=True, eq=False)
class _Exits:
    """Where lines leave faces: whether they do, [N], weights [N, 3] and points [N, 2]."""

    leaves: Tensor
    weights: Tensor
    points: Tensor


def _leave(faces: Tensor, start: Tensor, end: Tensor, corners: Tensor) -> _Exits:
    """Finds where the lines from points inside faces, -1 for none, to other points leave them."""
    own = (
        corners_of(corners, faces.clamp(min=0)) if corners.shape[1] else corners.new_zeros(0, 3, 3)
    )
    inside, outside = (barycentric_at(points, own) for points in (start, end))
    beyond = outside < 0
    # Rounding may put a covered pixel centre a little beyond the edge.
    inside = inside.clamp(min=0)
    crossing = torch.where(beyond, inside / (inside - outside), 1.0).amin(-1)[:, None]
    weights = torch.lerp(inside, outside, crossing).clamp(min=0)
    weights = weights / weights.sum(-1, keepdim=True)
    points = torch.lerp(start, end, crossing)
    return _Exits((faces >= 0) & beyond.any(-1), weights, points)


def _in_front(shown: Tensor, exits: list[_Exits], corners: Tensor) -> Tensor:
    """Tells whether it is the face of the first pixel that ends between both, [N].

    Where both faces end there, it is the one whose point on the line is nearer.
    """
    first, second = exits
    both = first.leaves & second.leaves
    inverse_depths = []
    for k in (0, 1):
        own = corners_of(corners, shown[k].clamp(min=0))
        weights = barycentric_at(first.points, own)
        inverse_depths.append((weights / own[..., 2]).sum(-1))  # linear in the image
    nearer = inverse_depths[0] >= inverse_depths[1]
    return torch.where(both, nearer, first.leaves)


def _move_edges(image: Tensor, corners: Tensor, edges: _Edges, jumps: Tensor, axis: int) -> Tensor:
    """Gives an image [B, C, H, W] the gradient of the positions of edges."""
    index = corner_numbers(edges.front)
    places = gather_faces(corners[..., axis].reshape(1, -1, 1), index)[0, ..., 0]
    positions = (edges.weights * places).sum(-1)
    per_unit = min(image.shape[2:]) / 2  # pixels in a unit of NDC
    pixels = torch.stack([edges.pixels, edges.other_pixels])
    moved: Tensor = _MovingEdges.apply(
        image, positions, jumps * edges.signs[:, None] * per_unit, pixels
    )
    return moved


class _MovingEdges(torch.autograd.Function):
    """The image as it is, with a gradient to the positions [N] of edges between pixels [2, N]."""

    @staticmethod
    def forward(
        ctx: Any, image: Tensor, positions: Tensor, jumps: Tensor, pixels: Tensor
    ) -> Tensor:
        """Returns the image; jumps [N, C] are what a pixel gains as its edge moves by one unit."""
        ctx.save_for_backward(jumps, pixels)
        return image.clone()

    @staticmethod
    def backward(ctx: Any, grad: Tensor) -> tuple[Tensor, Tensor, None, None]:
        """Gives each position the jump times the mean gradient of both pixels."""
        jumps, pixels = ctx.saved_tensors
        rows = grad.movedim(1, -1).flatten(0, 2)
        return grad, (rows[pixels].mean(0) * jumps).sum(-1), None, None
