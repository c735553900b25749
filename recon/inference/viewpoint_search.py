"""Finds the direction from which the image of a predicted mesh was taken.

The camera of an image from elsewhere is unknown. A model with a camera head predicts probable
directions, and among these the silhouette of the mesh decides. Without such a head it is the one of
the known directions, those of the training data, from which the silhouette overlaps the mask best.
Silhouettes from opposite sides are about equal, and symmetric shapes look alike from many
directions, which the overlap alone cannot tell apart.
"""

from __future__ import annotations

from dataclasses import dataclass

import torch
import torch.nn.functional as F
from torch import Tensor

from recon.datasets.framing import INSIDE
from recon.geometry.cameras import Cameras
from recon.models.prediction import Prediction
from recon.rendering.renderer import SoftRenderer

# Side of the images in which directions are compared: a quarter of the time of 64, and as good.
_COARSE = 32
# Softness of silhouettes in squared NDC units: a third of a coarse pixel, and a hundredth of a fine
# one, which is drawn faster than a hard edge.
_COARSE_SIGMA, _FINE_SIGMA = 1e-6, 1e-7
# A mesh seen edge-on has a silhouette without an area; its box is at least this wide, in NDC units.
_LEAST_BOX = 1e-3


# Predicted directions whose silhouettes are compared.
_CANDIDATES = 8
# IoU that a factor of e in the probability of a direction is worth; chosen on validation objects.
# Within 15 degrees of the true direction are 74 % of their images by both, 73 % by the head alone
# and 71 % by the silhouette alone; where the framing is thrown away, 59 % by both and 55 % by the
# silhouette alone.
_IOU_OF_LOG_PROBABILITY = 0.05


@dataclass(frozen=True, eq=False)
class Directions:
    """The direction found for each of B images, as a camera that looks at the origin.

    Args:
        cameras: The B cameras.
        iou: [B] IoU of silhouette and mask in these cameras, in [0, 1].
        score: [B] what the directions were chosen by, higher is better: the IoU, and with a camera
            head also the probability of the direction. Of several sizes of an image, too, that one
            is the best whose score is.
    """

    cameras: Cameras
    iou: Tensor
    score: Tensor


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
    repeated = known[torch.arange(len(known)).repeat(len(vertices))]
    best = _overlaps(vertices, faces, alpha, repeated).max(1)
    return Directions(known[best.indices], best.values, best.values)


def predict_directions(
    prediction: Prediction, faces: Tensor, alpha: Tensor, known: Cameras
) -> Directions:
    """Chooses among the most probable predicted directions with the silhouettes of the meshes.

    Args:
        prediction: The prediction of B meshes by a model with a camera head.
        faces: [F, 3] int64 faces of every mesh.
        alpha: [B, S, S] uint8 masks.
        known: The cameras whose median distance and field of view the cameras have.

    Raises:
        ValueError: Shapes disagree, or the model has no camera head.
    """
    vertices = prediction.vertices.float()
    _require_masks(alpha, vertices)
    directions, log_probabilities = prediction.likely_directions(_CANDIDATES)
    distance, fov = known.orbit_parameters()[:, 2:].median(0).values.tolist()
    cameras = cameras_in_directions(directions.flatten(0, 1), distance, fov)
    ious = _overlaps(vertices, faces, alpha, cameras)
    best = (ious + _IOU_OF_LOG_PROBABILITY * log_probabilities).max(1)
    image, number = torch.arange(len(vertices), device=ious.device), best.indices
    chosen = cameras[image * directions.shape[1] + number]
    return Directions(chosen, ious[image, number], best.values)


def cameras_in_directions(directions: Tensor, distance: float, fov: float) -> Cameras:
    """Returns cameras that see the origin from some directions, upright.

    Args:
        directions: [B, 3] unit vectors from the origin to the cameras, world axes.
        distance: The distance from the origin, object units.
        fov: The full vertical angle of view, degrees.
    """
    x, y, z = directions.unbind(1)
    azimuth = torch.rad2deg(torch.atan2(x, -z))
    elevation = torch.rad2deg(torch.atan2(y, torch.hypot(x, z)))
    return Cameras.orbit(azimuth, elevation, distance, fov)


def nearest_cameras(cameras: Cameras, known: Cameras) -> Tensor:
    """Returns the numbers [B] of the known cameras whose directions are nearest to those of others.

    Args:
        cameras: The B cameras.
        known: The K known cameras.
    """
    eyes, others = F.normalize(cameras.eye(), dim=1), F.normalize(known.eye(), dim=1)
    return (eyes[:, None] * others).sum(2).argmax(1)


def _overlaps(vertices: Tensor, faces: Tensor, alpha: Tensor, cameras: Cameras) -> Tensor:
    """Returns the IoU [B, K] of masks and the silhouettes of each mesh in its K of the cameras."""
    count = len(cameras) // len(vertices)
    renderer = SoftRenderer(_COARSE, sigma=_COARSE_SIGMA)
    wanted = F.interpolate(alpha[:, None].float() / 255, size=(_COARSE, _COARSE), mode="area")
    with torch.no_grad():
        many = vertices.repeat_interleave(count, dim=0)
        drawn = renderer.silhouette(many, faces, cameras).unflatten(0, (len(vertices), count))
    both = torch.minimum(drawn, wanted).flatten(2).sum(2)
    either = torch.maximum(drawn, wanted).flatten(2).sum(2)
    return both / either.clamp(min=1e-6)  # of nothing with nothing the IoU is 0


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
