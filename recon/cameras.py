"""Perspective cameras on an orbit around the origin, and the projection into NDC.

Conventions. The eye of a camera is at

    eye = distance * (cos e sin a, sin e, -cos e cos a),   a = azimuth, e = elevation,

and looks at the origin, y up. The axes of its view frame, in world coordinates, are

    right   = ( cos a,        0,     sin a)
    up      = (-sin e sin a,  cos e, sin e cos a)
    forward = (-cos e sin a, -sin e, cos e cos a) = -eye / distance.

So at azimuth 0, elevation 0 the eye is at (0, 0, -distance) and looks along +z; world +x is on
the RIGHT of the image, world +y on top, and points with a smaller z are nearer. Growing azimuth
moves the eye from -z towards +x.

The determinant of (right, up, forward) is +1 while depth grows away from the eye, so the world is
read as left-handed. A right-handed model looks as it should, and not mirrored, when its
coordinates change handedness on the way in; the ShapeNet renderings do so with
world = (-z, y, -x) of the ShapeNetCore v1 frame.

These closed forms equal the look-at construction of the SoftRas and NMR code,
right = normalize(cross((0, 1, 0), forward)), up = cross(forward, right), wherever
|elevation| < 90. They continue it smoothly to the poles, where that cross product vanishes:
straight from above (e = 90) the top of the image is (-sin a, 0, cos a), from below (e = -90) it is
(sin a, 0, -cos a). Beyond a pole the orbit goes on, so the picture is upside down there.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, fields
from numbers import Integral

import torch
from torch import Tensor

SHAPENET_VIEWS = 24
SHAPENET_AZIMUTH_STEP = -15.0  # degrees per view
SHAPENET_ELEVATION = 30.0
SHAPENET_DISTANCE = 2.732
SHAPENET_FOV = 30.0

# A vertex in the plane of the eye has no projection. Dividing by at least this depth keeps its x
# and y, and 1 / depth^2 of the backward, finite. The depth itself is returned as it is, and by it
# the rasterizer skips faces which are not in front of the eye.
_MIN_DIVISOR = 1e-6


@dataclass(frozen=True, eq=False)
class Cameras:
    """A batch of B cameras which look at the origin.

    Args:
        azimuth: [B] degrees.
        elevation: [B] degrees.
        distance: [B] object units, > 0.
        fov: [B] full vertical angle of view in degrees, in (0, 180).

    Raises:
        ValueError: shapes, dtypes or devices differ, or a value is out of range or not finite.
    """

    azimuth: Tensor
    elevation: Tensor
    distance: Tensor
    fov: Tensor

    def __post_init__(self) -> None:
        for field in fields(self):
            _require_parameter(field.name, getattr(self, field.name), self.azimuth)
        if not bool((self.distance > 0).all()):
            raise ValueError(f"distance must be > 0, got {float(self.distance.min()):g}")
        if not bool(((self.fov > 0) & (self.fov < 180)).all()):
            low, high = float(self.fov.min()), float(self.fov.max())
            raise ValueError(f"fov must lie in (0, 180) degrees, got {low:g} to {high:g}")

    @classmethod
    def from_rows(cls, rows: Tensor) -> Cameras:
        """Builds cameras from rows (azimuth, elevation, distance, fov).

        Args:
            rows: [B, 4], the layout in which data sets store cameras.

        Raises:
            ValueError: `rows` is not [B, 4], or as the constructor.
        """
        if rows.dim() != 2 or rows.shape[1] != 4:
            raise ValueError(f"rows must have shape [B, 4], got {tuple(rows.shape)}")
        return cls(*rows.unbind(1))

    def rows(self) -> Tensor:
        """Returns [B, 4] rows (azimuth, elevation, distance, fov), the inverse of `from_rows`."""
        return torch.stack((self.azimuth, self.elevation, self.distance, self.fov), dim=1)

    def __len__(self) -> int:
        return len(self.azimuth)

    def __getitem__(self, index: int | slice | Sequence[int] | Tensor) -> Cameras:
        """Returns the cameras at an index; an int gives a batch of one."""
        if isinstance(index, int):
            index = [index]
        elif not isinstance(index, slice | Tensor):
            index = list(index)
        return Cameras(*(getattr(self, field.name)[index] for field in fields(self)))

    def to(
        self, device: torch.device | str | None = None, dtype: torch.dtype | None = None
    ) -> Cameras:
        """Returns the same cameras on another device or in another floating-point type."""
        return Cameras(
            *(getattr(self, field.name).to(device=device, dtype=dtype) for field in fields(self))
        )

    def eye(self) -> Tensor:
        """Returns the positions [B, 3] of the eyes in world coordinates."""
        return -self.distance[:, None] * self.axes()[:, 2]

    def axes(self) -> Tensor:
        """Returns [B, 3, 3], whose rows are right, up and forward in world coordinates."""
        azimuth, elevation = torch.deg2rad(self.azimuth), torch.deg2rad(self.elevation)
        sin_a, cos_a = azimuth.sin(), azimuth.cos()
        sin_e, cos_e = elevation.sin(), elevation.cos()
        right = torch.stack((cos_a, torch.zeros_like(cos_a), sin_a), dim=1)
        up = torch.stack((-sin_e * sin_a, cos_e, sin_e * cos_a), dim=1)
        forward = torch.stack((-cos_e * sin_a, -sin_e, cos_e * cos_a), dim=1)
        return torch.stack((right, up, forward), dim=1)

    def project(self, vertices: Tensor, image_size: int | Sequence[int]) -> Tensor:
        """Projects world positions into NDC; differentiable in positions and camera parameters.

        Half-precision positions are computed in float32, under autocast too.

        Args:
            vertices: [B, V, 3] world coordinates, object units.
            image_size: (height, width) in pixels; an int means square.

        Returns:
            [B, V, 3]: NDC x (right) and y (up), the shorter image side spanning [-1, 1] and the
            height spanning `fov`, and view depth (> 0 in front of the eye, object units).

        Raises:
            ValueError: `vertices` is not [B, V, 3] with B = len(self), or a bad `image_size`.
        """
        if vertices.dim() != 3 or vertices.shape[2] != 3 or len(vertices) != len(self):
            raise ValueError(
                f"vertices must have shape [{len(self)}, V, 3] for {len(self)} cameras, "
                f"got {tuple(vertices.shape)}"
            )
        height, width = as_image_size(image_size)
        if vertices.dtype in (torch.float16, torch.bfloat16):
            vertices = vertices.float()
        # Not a matmul, which may run in reduced precision (autocast, TF32) for no gain at size 3;
        # and coordinate by coordinate, which moves less memory than a broadcast product.
        x, y, z = vertices.unbind(2)
        axes = self.axes().to(vertices.dtype)[..., None]
        right, up, forward = (x * a[:, 0] + y * a[:, 1] + z * a[:, 2] for a in axes.unbind(1))
        depth = forward + self.distance.to(vertices.dtype)[:, None]
        divisor = torch.where(depth.abs() < _MIN_DIVISOR, _MIN_DIVISOR, depth)
        half_height = torch.tan(torch.deg2rad(self.fov) / 2).to(vertices.dtype)[:, None]
        scale = height / min(height, width) / (half_height * divisor)
        return torch.stack((right * scale, up * scale, depth), dim=2)


def _require_parameter(name: str, value: Tensor, azimuth: Tensor) -> None:
    if not isinstance(value, Tensor) or value.dim() != 1 or not value.is_floating_point():
        got = f"{value.dtype} {tuple(value.shape)}" if isinstance(value, Tensor) else repr(value)
        raise ValueError(f"{name} must be a floating-point tensor of shape [B], got {got}")
    required = (tuple(azimuth.shape), azimuth.dtype, azimuth.device)
    actual = (tuple(value.shape), value.dtype, value.device)
    if actual != required:
        raise ValueError(
            f"{name} must agree with azimuth in shape, dtype and device {required}, got {actual}"
        )
    if not bool(torch.isfinite(value).all()):
        raise ValueError(f"{name} must be finite, got {value.tolist()}")


def as_image_size(image_size: int | Sequence[int]) -> tuple[int, int]:
    """Returns (height, width) in pixels from an int (square) or a pair.

    Raises:
        ValueError: not one or two ints >= 1.
    """
    pair = tuple(image_size) if isinstance(image_size, Sequence) else (image_size, image_size)
    if len(pair) != 2 or not all(isinstance(side, Integral) and side >= 1 for side in pair):
        raise ValueError(f"image_size must be an int or (height, width) >= 1, got {image_size}")
    return int(pair[0]), int(pair[1])


def shapenet_cameras(views: Tensor | Sequence[int]) -> Cameras:
    """Returns the standard cameras of the 24 ShapeNet renderings.

    Args:
        views: [B] view indices in 0..23.

    Returns:
        Float32 cameras with azimuth -15 * view, elevation 30, distance 2.732 and fov 30.

    Raises:
        ValueError: a view outside 0..23 or not an integer.
    """
    index = torch.as_tensor(views)
    if index.dim() != 1 or index.is_floating_point() or index.is_complex():
        raise ValueError(f"views must be integers of shape [B], got {index.dtype} {index.shape}")
    if not bool(((index >= 0) & (index < SHAPENET_VIEWS)).all()):
        raise ValueError(f"views must lie in 0..{SHAPENET_VIEWS - 1}, got {index.tolist()}")
    azimuth = SHAPENET_AZIMUTH_STEP * index.float()
    return Cameras(
        azimuth,
        torch.full_like(azimuth, SHAPENET_ELEVATION),
        torch.full_like(azimuth, SHAPENET_DISTANCE),
        torch.full_like(azimuth, SHAPENET_FOV),
    )
