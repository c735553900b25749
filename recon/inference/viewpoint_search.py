"""Finds the known direction from which a predicted mesh looks most like the mask of the image.

The camera of an image from elsewhere is unknown. The network was trained on known directions, so
the one of them is chosen from which the silhouette of the mesh overlaps the mask best. Silhouettes
from opposite sides are about equal, and symmetric shapes look alike from many directions, so the
direction serves to lay the mesh over the image and for little else.
"""

from __future__ import annotations

from dataclasses import dataclass

import torch
import torch.nn.functional as F
from torch import Tensor

from recon.datasets.framing import INSIDE
from recon.geometry.cameras import Cameras
from recon.rendering.renderer import SoftRenderer

# Side of the images in which directions are compared: a quarter of the time of 64, and as good.
_COARSE = 32
# Softness of silhouettes in squared NDC units: a third of a coarse pixel, and a hundredth of a fine
# one, which is drawn faster than a hard edge.
_COARSE_SIGMA, _FINE_SIGMA = 1e-6, 1e-7
# A mesh seen edge-on has a silhouette without an area; its box is at least this wide, in NDC units.
_LEAST_BOX = 1e-3


@dataclass(frozen=True, eq=False)
class Directions:
    """The best known direction for each of B images.

    Args:
        index: [B] number of the direction.
        iou: [B] IoU of silhouette and mask in the camera of that direction, in [0, 1].
    """

    index: Tensor
    iou: Tensor


def find_directions(vertices: Tensor, faces: Tensor, alpha: Tensor, known: Cameras) -> Directions:
    """Finds the known directions in which the silhouettes of meshes overlap masks best.

    Args:
        vertices: [B, V, 3] world coordinates, object units.
        faces: [F, 3] int64 faces of every mesh.
        alpha: [B, S, S] uint8 masks.
        known: The K cameras of the known directions.

    Raises:
        ValueError: Shapes disagree.
    """
    _require_masks(alpha, vertices)
    renderer = SoftRenderer(_COARSE, sigma=_COARSE_SIGMA)
    wanted = F.interpolate(alpha[:, None].float() / 255, size=(_COARSE, _COARSE), mode="area")
    repeated = known[torch.arange(len(known)).repeat(len(vertices))]
    with torch.no_grad():
        many = vertices.repeat_interleave(len(known), dim=0)
        drawn = renderer.silhouette(many, faces, repeated).unflatten(0, (len(vertices), -1))
    both = torch.minimum(drawn, wanted).flatten(2).sum(2)
    either = torch.maximum(drawn, wanted).flatten(2).sum(2)
    best = (both / either.clamp(min=1e-6)).max(1)  # of nothing with nothing the IoU is 0
    return Directions(best.indices, best.values)


def align_to_masks(
    vertices: Tensor, faces: Tensor, alpha: Tensor, cameras: Cameras
) -> tuple[Cameras, Tensor]:
    """Shifts and scales cameras so that silhouettes have the centre and the size of masks.

    Args:
        vertices: [B, V, 3] world coordinates, object units.
        faces: [F, 3] int64 faces of every mesh.
        alpha: [B, S, S] uint8 masks, of which none is empty.
        cameras: The B cameras, of which only focal lengths and principal points are changed.

    Returns:
        cameras: the B cameras; one is unchanged where that does not raise the IoU.
        iou: [B] IoU of silhouette and mask in these cameras.

    Raises:
        ValueError: Shapes disagree.
    """
    _require_masks(alpha, vertices)
    inside = _inside(alpha)
    boxes = torch.stack([_box_of(one) for one in inside]).to(vertices)
    rows, ious = [], []
    for tried in (cameras, _aligned(vertices, cameras, boxes)):
        renderer = SoftRenderer(alpha.shape[1], sigma=_FINE_SIGMA)
        with torch.no_grad():
            drawn = renderer.silhouette(vertices, faces, tried) > 0.5
        both, either = drawn & inside, drawn | inside
        ious.append(both.flatten(1).sum(1) / either.flatten(1).sum(1))
        rows.append(tried.rows())
    best = torch.stack(ious).max(0)
    return Cameras.from_rows(torch.stack(rows)[best.indices, range(len(vertices))]), best.values


def _inside(alpha: Tensor) -> Tensor:
    """Returns which pixels of alpha [B, S, S] are inside the mask.

    An object narrower than a pixel is nowhere more than half opaque: its most opaque pixels count.
    """
    most = alpha.flatten(1).amax(1).clamp(min=1)
    limit = torch.where(most > INSIDE, torch.full_like(most, INSIDE), most - 1)
    return alpha > limit[:, None, None]


def _require_masks(alpha: Tensor, vertices: Tensor) -> None:
    if alpha.dim() != 3 or len(alpha) != len(vertices) or alpha.shape[1] != alpha.shape[2]:
        raise ValueError(f"alpha must be [{len(vertices)}, S, S], got {list(alpha.shape)}")


def _box_of(inside: Tensor) -> Tensor:
    """Returns (centre x, centre y, width, height) of a mask [S, S] in NDC."""
    side = len(inside)
    rows, columns = inside.any(1).nonzero()[:, 0], inside.any(0).nonzero()[:, 0]
    left, right = float(columns[0]), float(columns[-1] + 1)
    top, bottom = float(rows[0]), float(rows[-1] + 1)
    center = [(left + right) / side - 1, 1 - (top + bottom) / side]
    return torch.tensor([*center, 2 * (right - left) / side, 2 * (bottom - top) / side])


def _aligned(vertices: Tensor, cameras: Cameras, boxes: Tensor) -> Cameras:
    """Returns cameras in which the boxes of projected vertices match `boxes`."""
    projected = cameras.project(vertices, 2)[..., :2]  # in NDC of a square image
    low, high = projected.amin(1), projected.amax(1)
    sizes = (high - low).clamp(min=_LEAST_BOX)
    scale = (boxes[:, 2:] / sizes).log().mean(1, keepdim=True).exp()
    center = scale * (cameras.center - (low + high) / 2) + boxes[:, :2]
    return Cameras(cameras.rotation, cameras.translation, cameras.focal * scale, center)
