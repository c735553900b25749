"""Pinhole cameras and the projection into NDC.

A camera sees the world position v at `view = rotation @ v + translation`: the rows of its rotation
are the directions right, up and forward in world coordinates, so view x grows to the right, view y
upwards, and view z is the depth, > 0 in front of the eye.

Intrinsics are measured in half image heights, which does not depend on the number of pixels:

    NDC y = (focal_y * y / z + center_y) * H / min(H, W)      focal_y = 1 / tan(fov / 2)

and x in the same way; `center` is the principal point, x right and y up from the middle of the
image.

Orbits. The eye of `Cameras.orbit` is at

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
world = (-z, y, -x) of the ShapeNetCore v1 frame. A camera whose determinant is -1 reads the world
as right-handed.

These closed forms equal the look-at construction of the SoftRas and NMR code,
right = normalize(cross((0, 1, 0), forward)), up = cross(forward, right), wherever
|elevation| < 90. They continue it smoothly to the poles, where that cross product vanishes:
straight from above (e = 90) the top of the image is (-sin a, 0, cos a), from below (e = -90) it is
(sin a, 0, -cos a). Beyond a pole the orbit goes on, so the image is upside down there.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, fields
from typing import Any

import numpy as np
import torch
from numpy.typing import NDArray
from torch import Tensor

from recon.compute import at_least_float32

Numbers = Tensor | float | Sequence[float] | NDArray[Any]

SHAPENET_VIEWS = 24
SHAPENET_AZIMUTH_STEP = -15.0  # degrees per view
SHAPENET_ELEVATION = 30.0
SHAPENET_DISTANCE = 2.732
SHAPENET_FOV = 30.0

# A vertex in the plane of the eye has no projection. Dividing by at least this depth keeps its x
# and y, and 1 / depth^2 of the backward, finite. The depth itself is returned as it is, and by it
# the rasterizer skips faces which are not in front of the eye.
_MIN_DIVISOR = 1e-6


# Rotations come from float32 files and from calibrations written with few digits.
_ROTATION_TOLERANCE = 1e-3
# Numbers of one camera in `rows`: rotation, translation, focal, center.
_ROW_PARTS = (9, 3, 2, 2)
CAMERA_ROW = sum(_ROW_PARTS)


@dataclass(frozen=True, eq=False)
class Cameras:
    """A batch of B pinhole cameras.

    Args:
        rotation: [B, 3, 3] with the rows right, up and forward, in world coordinates.
        translation: [B, 3] object units; a world position v has the view coordinates
            rotation @ v + translation.
        focal: [B, 2] focal lengths along x and y in half image heights, > 0.
        center: [B, 2] principal point, x to the right and y upwards from the middle of the image,
            in half image heights.

    Raises:
        ValueError: If shapes, dtypes or devices differ, or a value is out of range or not finite.
            On CUDA, where looking would wait for the device, values are not checked.
    """

    rotation: Tensor
    translation: Tensor
    focal: Tensor
    center: Tensor

    def __post_init__(self) -> None:
        self._require_shapes()
        if not self.rotation.is_cuda:
            self._require_values()

    @classmethod
    def _of_checked(cls, *parameters: Tensor) -> Cameras:
        """Builds cameras of parameters whose values were checked before: a dozen ops less."""
        cameras = object.__new__(cls)
        for field, value in zip(fields(cls), parameters, strict=True):
            object.__setattr__(cameras, field.name, value)
        cameras._require_shapes()
        return cameras

    def _require_shapes(self) -> None:
        batch = len(self.rotation) if isinstance(self.rotation, Tensor) else "B"
        for name, shape in (
            ("rotation", (batch, 3, 3)),
            ("translation", (batch, 3)),
            ("focal", (batch, 2)),
            ("center", (batch, 2)),
        ):
            _require_parameter(name, getattr(self, name), shape, self.rotation)

    def _require_values(self) -> None:
        for field in fields(self):
            _require_finite(field.name, getattr(self, field.name))
        if not bool((self.focal > 0).all()):
            raise ValueError(f"focal must be > 0, got {float(self.focal.min()):g}")
        _require_rotation(self.rotation)

    @classmethod
    def orbit(
        cls, azimuth: Numbers, elevation: Numbers, distance: Numbers, fov: Numbers
    ) -> Cameras:
        """Builds cameras which look at the origin; differentiable in all parameters.

        Each argument is a tensor [B], B numbers in a sequence or an array, or one number, which
        then holds for all B cameras; four numbers make one camera. Numbers take the dtype and the
        device of the first tensor, and are float32 on the CPU where there is none.

        Args:
            azimuth: [B] the azimuth in degrees.
            elevation: [B] the elevation in degrees.
            distance: [B] the distance from the origin in object units, > 0.
            fov: [B] the full vertical angle of view in degrees, in (0, 180).

        Raises:
            ValueError: If shapes, dtypes or devices differ, or a value is out of range or not
                finite. On CUDA, where looking would wait for the device, values are not checked.
        """
        values = {"azimuth": azimuth, "elevation": elevation, "distance": distance, "fov": fov}
        azimuth, elevation, distance, fov = _as_batch(values)
        if not distance.is_cuda:
            _require_orbit(distance, fov)
        zero = torch.zeros_like(distance)
        focal = 1 / torch.tan(torch.deg2rad(fov) / 2)
        return cls._of_checked(
            _orbit_axes(azimuth, elevation),
            torch.stack((zero, zero, distance), dim=1),
            torch.stack((focal, focal), dim=1),
            torch.stack((zero, zero), dim=1),
        )

    @classmethod
    def from_opencv(
        cls,
        intrinsics: Tensor,
        rotation: Tensor,
        translation: Tensor,
        image_size: int | Sequence[int],
    ) -> Cameras:
        """Builds cameras from matrices in the convention of OpenCV; the world stays as it is.

        OpenCV's camera has x right, y down and z forward, and the pixel in column u, row v has its
        centre at (u, v): (u, v, 1) ~ K (R X + t). Where its world is right-handed, as it usually
        is, the determinant of the result's rotation is -1.

        Args:
            intrinsics: [B, 3, 3] matrices K = ((fx, 0, cx), (0, fy, cy), (0, 0, 1)) in pixels.
            rotation: [B, 3, 3] matrices R.
            translation: [B, 3] vectors t.
            image_size: (height, width) in pixels to which K belongs; an int means square.

        Raises:
            ValueError: If shapes disagree, K has a skew or another last row, or the constructor
                raises it.
        """
        height, width = as_image_size(image_size)
        _require_parameter("intrinsics", intrinsics, ("B", 3, 3), intrinsics)
        _require_parameter("rotation", rotation, (len(intrinsics), 3, 3), intrinsics)
        _require_parameter("translation", translation, (len(intrinsics), 3), intrinsics)
        plain = intrinsics.clone()
        plain[:, [0, 1, 0, 1], [0, 1, 2, 2]] = 0
        if not torch.equal(
            plain, plain.new_tensor([[0, 0, 0], [0, 0, 0], [0, 0, 1]]).expand_as(plain)
        ):
            raise ValueError(
                "intrinsics must be ((fx, 0, cx), (0, fy, cy), (0, 0, 1)) without skew,"
                f" got {intrinsics.tolist()}"
            )
        down_to_up = rotation.new_tensor([1.0, -1.0, 1.0])
        half = height / 2
        center = torch.stack(
            (
                (intrinsics[:, 0, 2] + 0.5 - width / 2) / half,
                (height / 2 - 0.5 - intrinsics[:, 1, 2]) / half,
            ),
            dim=1,
        )
        return cls(
            rotation=rotation * down_to_up[:, None],
            translation=translation * down_to_up,
            focal=intrinsics.diagonal(dim1=1, dim2=2)[:, :2] / half,
            center=center,
        )

    @classmethod
    def from_rows(cls, rows: Tensor, trusted: bool = False) -> Cameras:
        """Builds cameras from rows (rotation row by row, translation, focal, center).

        Args:
            rows: [B, 16] the cameras in the layout in which data sets store them.
            trusted: Whether the values were checked before, as those of an opened data set were,
                and are not looked at again.

        Raises:
            ValueError: If `rows` is not [B, 16], or the constructor raises it.
        """
        if rows.dim() != 2 or rows.shape[1] != CAMERA_ROW:
            raise ValueError(f"rows must have shape [B, {CAMERA_ROW}], got {tuple(rows.shape)}")
        rotation, translation, focal, center = rows.split(_ROW_PARTS, dim=1)
        make = cls._of_checked if trusted else cls
        return make(rotation.unflatten(1, (3, 3)), translation, focal, center)

    def rows(self) -> Tensor:
        """Returns [B, 16] rows, the inverse of `from_rows`."""
        return torch.cat(
            (self.rotation.flatten(1), self.translation, self.focal, self.center), dim=1
        )

    def __len__(self) -> int:
        return len(self.rotation)

    def __getitem__(self, index: int | slice | Sequence[int] | Tensor) -> Cameras:
        """Returns the cameras at an index; an int gives a batch of one."""
        if isinstance(index, int | np.integer):
            index = [int(index)]
        elif not isinstance(index, slice | Tensor):
            index = list(index)
        return Cameras._of_checked(*(getattr(self, field.name)[index] for field in fields(self)))

    def to(
        self, device: torch.device | str | None = None, dtype: torch.dtype | None = None
    ) -> Cameras:
        """Returns the same cameras on another device or in another floating-point type."""
        return Cameras._of_checked(
            *(getattr(self, field.name).to(device=device, dtype=dtype) for field in fields(self))
        )

    def eye(self) -> Tensor:
        """Returns the positions [B, 3] of the eyes in world coordinates."""
        # Not a matmul, see `project`.
        return -(self.rotation * self.translation[:, :, None]).sum(1)

    def fov(self) -> Tensor:
        """Returns the full vertical angles of view [B] in degrees."""
        return torch.rad2deg(2 * torch.atan(1 / self.focal[:, 1]))

    def orbit_parameters(self) -> Tensor:
        """Returns rows [B, 4] (azimuth, elevation, distance, fov) of the eyes, degrees and units.

        Of cameras made by `orbit` with |elevation| < 90 these are its arguments, the azimuth in
        (-180, 180]; of others they tell where the eye is, but not where it looks.
        """
        x, y, z = self.eye().unbind(1)
        distance = self.eye().norm(dim=1)
        azimuth = torch.rad2deg(torch.atan2(x, -z))
        elevation = torch.rad2deg(torch.atan2(y, torch.hypot(x, z)))
        return torch.stack((azimuth, elevation, distance, self.fov()), dim=1)

    def project(self, vertices: Tensor, image_size: int | Sequence[int]) -> Tensor:
        """Projects world positions into NDC; differentiable in positions and camera parameters.

        Half-precision positions are computed in float32, under autocast too.

        Args:
            vertices: [B, V, 3] in world coordinates, object units.
            image_size: (height, width) in pixels; an int means square.

        Returns:
            [B, V, 3]: NDC x (right) and y (up), the shorter image side spanning [-1, 1] and the
            height spanning `fov`, and view depth (> 0 in front of the eye, object units).

        Raises:
            ValueError: If `vertices` is not [B, V, 3] with B = len(self), or `image_size` is bad.
        """
        if vertices.dim() != 3 or vertices.shape[2] != 3 or len(vertices) != len(self):
            raise ValueError(
                f"vertices must have shape [{len(self)}, V, 3] for {len(self)} cameras, "
                f"got {tuple(vertices.shape)}"
            )
        height, width = as_image_size(image_size)
        vertices = at_least_float32(vertices)
        # Not a matmul, which may run in reduced precision (autocast, TF32) for no gain at size 3;
        # and vertices last, as long rows are fast to compute.
        x, y, z = vertices.transpose(1, 2).split(1, dim=1)
        along_x, along_y, along_z = self.rotation.to(vertices.dtype).split(1, dim=2)
        shift = self.translation.to(vertices.dtype)[..., None]
        seen = torch.addcmul(torch.addcmul(x * along_x, y, along_y), z, along_z) + shift
        across, depth = seen.split((2, 1), dim=1)
        divisor = depth.masked_fill(depth.abs() < _MIN_DIVISOR, _MIN_DIVISOR)
        focal, center = self._per_shorter_side(height, width)
        ndc = across * focal.to(depth.dtype) / divisor + center.to(depth.dtype)
        return torch.cat((ndc, depth), dim=1).transpose(1, 2)

    def _per_shorter_side(self, height: int, width: int) -> tuple[Tensor, Tensor]:
        """Returns focal and center [B, 2, 1] in halves of the shorter side of an image."""
        focal, center = self.focal[..., None], self.center[..., None]
        if height <= width:
            return focal, center
        return focal * (height / width), center * (height / width)


def _as_batch(values: Mapping[str, Numbers]) -> list[Tensor]:
    """Returns tensors [B] of one dtype and device; what is one number holds for all of the B.

    Raises:
        ValueError: If a value is no number or of another type, or the lengths differ.
    """
    tensors = [value for value in values.values() if isinstance(value, Tensor)]
    like = tensors[0] if tensors else torch.empty(0)
    made = {name: _as_tensor(name, value, like) for name, value in values.items()}
    lengths = [len(value) for value in made.values() if value.dim() == 1]
    batch = lengths[0] if lengths else 1
    made = {n: value.expand(batch) if value.dim() == 0 else value for n, value in made.items()}
    for name, value in made.items():
        _require_parameter(name, value, (batch,), like if tensors else value)
        if not value.is_cuda:
            _require_finite(name, value)
    return list(made.values())


def _as_tensor(name: str, value: Numbers, like: Tensor) -> Tensor:
    if isinstance(value, Tensor):
        return value
    try:
        return torch.as_tensor(np.asarray(value, np.float64), dtype=like.dtype, device=like.device)
    except (TypeError, ValueError) as error:
        raise ValueError(f"{name} must be numbers, got {value!r}") from error


def _orbit_axes(azimuth: Tensor, elevation: Tensor) -> Tensor:
    """Returns [B, 3, 3] with the rows right, up and forward of an orbit's cameras."""
    azimuth, elevation = torch.deg2rad(azimuth), torch.deg2rad(elevation)
    sin_a, cos_a = azimuth.sin(), azimuth.cos()
    sin_e, cos_e = elevation.sin(), elevation.cos()
    right = torch.stack((cos_a, torch.zeros_like(cos_a), sin_a), dim=1)
    up = torch.stack((-sin_e * sin_a, cos_e, sin_e * cos_a), dim=1)
    forward = torch.stack((-cos_e * sin_a, -sin_e, cos_e * cos_a), dim=1)
    return torch.stack((right, up, forward), dim=1)


def _require_parameter(
    name: str, value: Tensor, shape: tuple[int | str, ...], like: Tensor
) -> None:
    """Refuses what is not a floating-point tensor of a shape ("B" is any number)."""
    text = "[" + ", ".join(map(str, shape)) + "]"
    fits = (
        isinstance(value, Tensor)
        and value.is_floating_point()
        and value.dim() == len(shape)
        and all(want in ("B", side) for want, side in zip(shape, value.shape, strict=True))
    )
    if not fits:
        got = f"{value.dtype} {list(value.shape)}" if isinstance(value, Tensor) else repr(value)
        raise ValueError(f"{name} must be a floating-point tensor of shape {text}, got {got}")
    required, actual = (like.dtype, like.device), (value.dtype, value.device)
    if actual != required:
        raise ValueError(f"{name} must have dtype and device {required}, got {actual}")


def _require_finite(name: str, value: Tensor) -> None:
    if not bool(torch.isfinite(value).all()):
        raise ValueError(f"{name} must be finite, got {value.tolist()}")


def _require_orbit(distance: Tensor, fov: Tensor) -> None:
    if not bool((distance > 0).all()):
        raise ValueError(f"distance must be > 0, got {float(distance.min()):g}")
    if not bool(((fov > 0) & (fov < 180)).all()):
        low, high = float(fov.min()), float(fov.max())
        raise ValueError(f"fov must lie in (0, 180) degrees, got {low:g} to {high:g}")


def _require_rotation(rotation: Tensor) -> None:
    rows = rotation.detach()
    # Every row with every row; not a matmul, which may run in reduced precision.
    products = (rows[:, :, None] * rows[:, None]).sum(-1)
    error = (products - torch.eye(3, dtype=rows.dtype, device=rows.device)).abs()
    if not bool((error <= _ROTATION_TOLERANCE).all()):
        worst = int(error.flatten(1).amax(1).argmax())
        raise ValueError(
            "rotation must have orthonormal rows up to"
            f" {_ROTATION_TOLERANCE:g}, got {rows[worst].tolist()}"
        )


def as_image_size(image_size: int | Sequence[int] | NDArray[Any] | Tensor) -> tuple[int, int]:
    """Returns (height, width) in pixels from an integer (square) or a pair, of any kind.

    Raises:
        ValueError: If it is not one or two ints >= 1.
    """
    if isinstance(image_size, np.ndarray | Tensor):
        image_size = image_size.tolist()
    pair = tuple(image_size) if isinstance(image_size, Sequence) else (image_size, image_size)
    if len(pair) != 2 or not all(isinstance(side, int | np.integer) and side >= 1 for side in pair):
        raise ValueError(f"image_size must be an int or (height, width) >= 1, got {image_size}")
    return int(pair[0]), int(pair[1])


def shapenet_cameras(views: Tensor | Sequence[int]) -> Cameras:
    """Returns the standard cameras of the 24 ShapeNet renderings.

    Args:
        views: [B] the indices of the views in 0..23.

    Returns:
        Float32 cameras with azimuth -15 * view, elevation 30, distance 2.732 and fov 30.

    Raises:
        ValueError: If a view is outside 0..23 or not an integer.
    """
    index = torch.as_tensor(views)
    if index.dim() != 1 or index.is_floating_point() or index.is_complex():
        raise ValueError(f"views must be integers of shape [B], got {index.dtype} {index.shape}")
    if not bool(((index >= 0) & (index < SHAPENET_VIEWS)).all()):
        raise ValueError(f"views must lie in 0..{SHAPENET_VIEWS - 1}, got {index.tolist()}")
    azimuth = SHAPENET_AZIMUTH_STEP * index.float()
    return Cameras.orbit(
        azimuth,
        torch.full_like(azimuth, SHAPENET_ELEVATION),
        torch.full_like(azimuth, SHAPENET_DISTANCE),
        torch.full_like(azimuth, SHAPENET_FOV),
    )
