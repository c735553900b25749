"""A humanoid made by code: a closed mesh with a skeleton, smooth weights and parts in colours.

It stands upright, y up and one unit high, in a T with its arms along x, and looks towards -z, where
the eye of azimuth 0 is; its left is at +x then, on the right of the image.
"""

from __future__ import annotations

import itertools

import torch
from torch import Tensor

from recon.fitting.articulation.articulated_mesh import ArticulatedMesh, Skeleton
from recon.geometry.meshes import Mesh, edges

# The body is cut out of a lattice of cells, this many high.
HEIGHT = 20
SHAPE_NAMES = ("stout", "long arms")  # blend shapes
Box = tuple[tuple[int, int], tuple[int, int], tuple[int, int]]
# What is filled, from and to along x, y and z; the limbs of the left are mirrored to the right.
_TRUNK: tuple[Box, ...] = (
    ((-2, 2), (16, 20), (-2, 2)),  # head
    ((-1, 1), (17, 18), (-3, -2)),  # nose
    ((-1, 1), (15, 16), (-1, 1)),
    ((-3, 3), (8, 15), (-1, 1)),
)
_LIMBS: tuple[Box, ...] = (
    ((3, 10), (13, 15), (-1, 1)),
    ((1, 3), (0, 8), (-1, 1)),
    ((1, 3), (0, 1), (-3, -1)),  # foot
)

# Name, parent, place, the box that moves with the joint alone, colour, and the range of each
# axis-angle component in degrees. An elbow and a knee bend about one axis.
_FREE = (-15, 15)
_FIXED = (0, 0)
_CENTRAL = (
    ("pelvis", "", (0, 9, 0), ((-3, 3), (8, 10), (-1, 1)), (0.25, 0.25, 0.3), (_FREE,) * 3),
    ("chest", "pelvis", (0, 11, 0), ((-2, 2), (12, 14), (-1, 1)), (0.85, 0.85, 0.85), (_FREE,) * 3),
    ("head", "chest", (0, 15, 0), ((-2, 2), (16, 20), (-3, 2)), (1.0, 0.75, 0.5), ((-25, 25),) * 3),
)
_LEFT = (
    ("shoulder", "chest", (3, 14, 0), ((4, 6), (13, 15), (-1, 1)),
     ((-40, 40), (-25, 90), (-80, 50))),
    ("elbow", "shoulder", (7, 14, 0), ((8, 10), (13, 15), (-1, 1)), (_FIXED, (0, 120), _FIXED)),
    ("hip", "pelvis", (2, 8, 0), ((1, 3), (5, 7), (-1, 1)), ((-30, 70), (-20, 20), (-5, 35))),
    ("knee", "hip", (2, 4, 0), ((1, 3), (0, 3), (-3, 1)), ((-100, 0), _FIXED, _FIXED)),
)  # fmt: skip
_LEFT_COLORS = ((0.9, 0.1, 0.1), (1.0, 0.5, 0.0), (0.6, 0.0, 0.6), (1.0, 0.4, 0.8))
_RIGHT_COLORS = ((0.1, 0.1, 0.8), (0.2, 0.7, 1.0), (0.0, 0.45, 0.1), (0.5, 0.95, 0.2))
# Cells over which the weight of a part falls off outside of its box.
_BLEND = 0.8
# Passes of smoothing; Taubin's two factors keep the volume.
_SMOOTHING, _SHRINK, _GROW = 6, 0.5, -0.53


def make_humanoid() -> ArticulatedMesh:
    """Builds the humanoid, with the blend shapes `SHAPE_NAMES`.

    Returns:
        11 joints, 2 blend shapes; colours of faces tell the parts.
    """
    vertices, faces = _lattice_surface(_boxes())
    vertices = _smoothed(vertices, faces)
    names, parents, places, boxes, colors, _ = _joints()
    weights = _weights(vertices, boxes)
    part = weights[faces].mean(1).argmax(1)
    mesh = Mesh((vertices - _middle()) / HEIGHT, faces, colors[part])
    skeleton = Skeleton(parents, (places - _middle()) / HEIGHT, names)
    shapes, joint_shapes = _blend_shapes(mesh.vertices, skeleton)
    return ArticulatedMesh(mesh, skeleton, weights, shapes, joint_shapes)


def humanoid_limits() -> Tensor:
    """Returns [J, 3, 2] the least and the greatest axis-angle components in radians."""
    return torch.deg2rad(_joints()[5])


def random_angles(count: int, generator: torch.Generator | None = None) -> Tensor:
    """Draws joint angles of the humanoid uniformly within its limits.

    Args:
        count: The number B of sets of angles.
        generator: The source of random numbers, on the CPU.

    Returns:
        [B, J, 3] radians.
    """
    low, high = humanoid_limits().unbind(-1)
    return low + (high - low) * torch.rand(count, *low.shape, generator=generator)


def _middle() -> Tensor:
    return torch.tensor([0.0, HEIGHT / 2, 0.0])


def _boxes() -> list[Box]:
    return [*_TRUNK, *_LIMBS, *((_mirrored(x), y, z) for x, y, z in _LIMBS)]


def _mirrored(pair: tuple[int, int]) -> tuple[int, int]:
    return -pair[1], -pair[0]


def _joints() -> tuple[tuple[str, ...], tuple[int, ...], Tensor, Tensor, Tensor, Tensor]:
    """Returns names, parents, places [J, 3], boxes [J, 3, 2], colours [J, 3], limits [J, 3, 2]."""
    rows = [*_CENTRAL]
    for side, sign, colors in (("left", 1, _LEFT_COLORS), ("right", -1, _RIGHT_COLORS)):
        for (name, parent, (x, y, z), box, limits), color in zip(_LEFT, colors, strict=True):
            above = parent if parent in ("chest", "pelvis") else f"{side} {parent}"
            if sign < 0:  # mirroring x turns round what is about y and z
                box = (_mirrored(box[0]), box[1], box[2])
                limits = (limits[0], _mirrored(limits[1]), _mirrored(limits[2]))
            rows.append((f"{side} {name}", above, (sign * x, y, z), box, color, limits))
    names = tuple(row[0] for row in rows)
    parents = tuple(names.index(row[1]) if row[1] else -1 for row in rows)
    numbers = [torch.tensor([row[k] for row in rows]).float() for k in (2, 3, 4, 5)]
    return names, parents, *numbers  # type: ignore[return-value]


def _lattice_surface(boxes: list[Box]) -> tuple[Tensor, Tensor]:
    """Returns vertices and outward triangles of the surface of the cells in boxes."""
    cells = {cell for box in boxes for cell in itertools.product(*(range(*side) for side in box))}
    corners: dict[tuple[int, ...], int] = {}
    faces = []
    for cell in sorted(cells):
        for axis, side in itertools.product(range(3), (0, 1)):
            across = list(cell)
            across[axis] += 2 * side - 1
            if tuple(across) in cells:
                continue
            quad = _side_of_cell(cell, axis, side)
            a, b, c, d = (corners.setdefault(corner, len(corners)) for corner in quad)
            faces += [(a, b, c), (a, c, d)]
    return torch.tensor(list(corners)).float(), torch.tensor(faces)


def _side_of_cell(cell: tuple[int, ...], axis: int, side: int) -> list[tuple[int, ...]]:
    """Returns the corners of a side, counter-clockwise seen from outside."""
    quad = []
    for u, v in ((0, 0), (1, 0), (1, 1), (0, 1)):
        corner = list(cell)
        corner[axis] += side
        corner[(axis + 1) % 3] += u
        corner[(axis + 2) % 3] += v
        quad.append(tuple(corner))
    return quad if side else quad[::-1]


def _smoothed(vertices: Tensor, faces: Tensor) -> Tensor:
    a, b = edges(faces).unbind(1)
    both, other = torch.cat((a, b)), torch.cat((b, a))
    degree = torch.bincount(both, minlength=len(vertices))[:, None]
    for factor in (_SHRINK, _GROW) * _SMOOTHING:
        sums = torch.zeros_like(vertices).index_add(0, both, vertices[other])
        vertices = vertices + factor * (sums / degree - vertices)
    return vertices


def _weights(vertices: Tensor, boxes: Tensor) -> Tensor:
    """Returns [V, J], by the distances to the boxes of the joints."""
    low, high = boxes.unbind(-1)
    outside = (low - vertices[:, None]).clamp(min=0) + (vertices[:, None] - high).clamp(min=0)
    return torch.softmax(-outside.square().sum(-1) / _BLEND**2, dim=1)


def _blend_shapes(vertices: Tensor, skeleton: Skeleton) -> tuple[Tensor, Tensor]:
    """Returns [2, V, 3] and [2, J, 3]: half as deep and wide again, and arms longer by a half."""
    wide = torch.tensor([0.5, 0.0, 0.5])
    shoulder = skeleton.places[skeleton.names.index("left shoulder"), 0]

    def stout(points: Tensor) -> Tensor:
        return points * wide * torch.exp(-(points[:, :1] / shoulder).square())

    def long_arms(points: Tensor) -> Tensor:
        reach = 0.5 * (points[:, 0].abs() - shoulder).clamp(min=0) * points[:, 0].sign()
        return torch.stack((reach, torch.zeros_like(reach), torch.zeros_like(reach)), 1)

    places = skeleton.places
    return (
        torch.stack((stout(vertices), long_arms(vertices))),
        torch.stack((torch.zeros_like(places), long_arms(places))),
    )
