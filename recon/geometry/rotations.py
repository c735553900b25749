"""Rotations in batches: from axis and angle and back, distances, and random ones.

A rotation is a matrix [..., 3, 3] which maps a position v to R @ v. An axis-angle vector points
along the axis, and its length is the angle in radians, by the right-hand rule of a right-handed
frame; read in a left-handed frame the same matrix turns the other way round.

These maps are ours, although RoMa (`roma` on PyPI) has them too: its second derivative at angle
zero is NaN, and its draws and last bits are others, so that no recorded fit could be repeated.
"""

from __future__ import annotations

import torch
from torch import Tensor

# Below this squared angle the series of the functions of it are exact in float64 to the last digit
# (the first omitted term is t^3 / 5040), and above it nothing cancels that matters.
_SMALL_SQUARED_ANGLE = 1e-4


def axis_angle_to_rotation(vectors: Tensor) -> Tensor:
    """Turns axis-angle vectors into rotations by the formula of Rodrigues; smooth everywhere.

    Args:
        vectors: [..., 3] axis times angle, radians; any length, and the gradient is exact at zero.

    Returns:
        [..., 3, 3].

    Raises:
        ValueError: If the last side is not 3, or the type is not floating-point.
    """
    _require("vectors", vectors, (3,))
    squared = vectors.square().sum(-1)[..., None, None]
    small = squared < _SMALL_SQUARED_ANGLE
    # Where the series is used, the other branch must still have a finite gradient.
    angle = torch.where(small, 1.0, squared).sqrt()
    sine = torch.where(small, 1 - squared / 6 + squared**2 / 120, angle.sin() / angle)
    # The sine of half the angle is used, as 1 - cos cancels.
    cosine = torch.where(
        small, 0.5 - squared / 24 + squared**2 / 720, 2 * ((angle / 2).sin() / angle).square()
    )
    cross = cross_matrices(vectors)
    outer = vectors[..., :, None] * vectors[..., None, :]
    identity = torch.eye(3, dtype=vectors.dtype, device=vectors.device)
    # cross @ cross, without a matmul, which may run in reduced precision.
    return identity + sine * cross + cosine * (outer - squared * identity)


def cross_matrices(vectors: Tensor) -> Tensor:
    """Returns the matrices [..., 3, 3] which multiply from the left as cross(v, .) does."""
    x, y, z = vectors.unbind(-1)
    zero = torch.zeros_like(x)
    return torch.stack((zero, -z, y, z, zero, -x, -y, x, zero), dim=-1).unflatten(-1, (3, 3))


def rotation_to_quaternion(rotations: Tensor) -> Tensor:
    """Turns rotations into unit quaternions (w, x, y, z) with w >= 0.

    Of the four equal forms the one with the largest divisor is taken, so that none is lost near a
    half turn.

    Args:
        rotations: [..., 3, 3].

    Returns:
        [..., 4].

    Raises:
        ValueError: If the last two sides are not 3, or the type is not floating-point.
    """
    _require("rotations", rotations, (3, 3))
    r = rotations
    xx, yy, zz = r[..., 0, 0], r[..., 1, 1], r[..., 2, 2]
    xy, xz, yz = (
        r[..., 0, 1] + r[..., 1, 0],
        r[..., 0, 2] + r[..., 2, 0],
        r[..., 1, 2] + r[..., 2, 1],
    )
    wx, wy, wz = (
        r[..., 2, 1] - r[..., 1, 2],
        r[..., 0, 2] - r[..., 2, 0],
        r[..., 1, 0] - r[..., 0, 1],
    )
    # Row k is 4 q_k times the quaternion.
    rows = torch.stack(
        (
            torch.stack((1 + xx + yy + zz, wx, wy, wz), -1),
            torch.stack((wx, 1 + xx - yy - zz, xy, xz), -1),
            torch.stack((wy, xy, 1 - xx + yy - zz, yz), -1),
            torch.stack((wz, xz, yz, 1 - xx - yy + zz), -1),
        ),
        -2,
    )
    best = rows.diagonal(dim1=-2, dim2=-1).argmax(-1)[..., None, None].expand(*r.shape[:-2], 1, 4)
    row = rows.gather(-2, best).squeeze(-2)
    row = torch.where(row[..., :1] < 0, -row, row)
    return row / row.norm(dim=-1, keepdim=True)


def rotation_to_axis_angle(rotations: Tensor) -> Tensor:
    """Turns rotations into axis-angle vectors of length at most pi.

    Args:
        rotations: [..., 3, 3].

    Returns:
        [..., 3] radians.

    Raises:
        ValueError: If the last two sides are not 3, or the type is not floating-point.
    """
    w, xyz = rotation_to_quaternion(rotations).split((1, 3), -1)
    sine = xyz.norm(dim=-1, keepdim=True)
    # At angle zero xyz is zero, and whatever finite factor it has does not matter.
    factor = 2 * torch.atan2(sine, w) / torch.where(sine > 0, sine, 1.0)
    return xyz * factor


def rotation_distance(a: Tensor, b: Tensor) -> Tensor:
    """Measures the angle of the rotation which leads from one to the other, in degrees.

    Args:
        a: [..., 3, 3].
        b: [..., 3, 3], of a shape which broadcasts with that of `a`.

    Returns:
        [...] in [0, 180]; exact near both ends, where the arc cosine of the trace is not.

    Raises:
        ValueError: If the last two sides are not 3, or the type is not floating-point.
    """
    _require("a", a, (3, 3))
    _require("b", b, (3, 3))
    relative = (a[..., :, :, None] * b[..., :, None, :]).sum(-3)  # a^T b
    return torch.rad2deg(rotation_to_axis_angle(relative).norm(dim=-1))


def random_rotations(count: int, generator: torch.Generator | None = None) -> Tensor:
    """Draws rotations uniformly, as unit quaternions.

    Args:
        count: The number n of rotations.
        generator: The generator of random numbers, on the CPU.

    Returns:
        [n, 3, 3] float32.
    """
    w, x, y, z = torch.nn.functional.normalize(
        torch.randn(count, 4, generator=generator, dtype=torch.float64), dim=1
    ).unbind(1)
    rows = (
        (1 - 2 * (y * y + z * z), 2 * (x * y - w * z), 2 * (x * z + w * y)),
        (2 * (x * y + w * z), 1 - 2 * (x * x + z * z), 2 * (y * z - w * x)),
        (2 * (x * z - w * y), 2 * (y * z + w * x), 1 - 2 * (x * x + y * y)),
    )
    return torch.stack([torch.stack(row, -1) for row in rows], -2).float()


def random_turns(count: int, degrees: float, generator: torch.Generator | None = None) -> Tensor:
    """Draws rotations by a given angle about axes of uniform direction.

    Args:
        count: The number n of rotations.
        degrees: The angle in degrees.
        generator: The generator of random numbers, on the CPU.

    Returns:
        [n, 3, 3] float32.
    """
    axes = torch.nn.functional.normalize(
        torch.randn(count, 3, generator=generator, dtype=torch.float64), dim=1
    )
    return axis_angle_to_rotation(axes * torch.deg2rad(axes.new_tensor(degrees))).float()


def _require(name: str, value: Tensor, sides: tuple[int, ...]) -> None:
    if not value.is_floating_point() or tuple(value.shape[-len(sides) :]) != sides:
        text = ", ".join(map(str, sides))
        raise ValueError(
            f"{name} must be a floating-point tensor of shape [..., {text}], "
            f"got {value.dtype} {list(value.shape)}"
        )
