"""The arrays that a data set holds for every object, with their shapes and types.

K views of H x W pixels, voxel grids of R^3, P points of the inside and M of the surface, and T
triangles:

    images      [K, 4, H, W]   uint8    sRGB red, green, blue and alpha, not premultiplied
    cameras     [K, 16]        float32  as `recon.geometry.cameras.Cameras.rows`
    voxels_R    [ceil(R^3/8)]  uint8    bits of bool [x, y, z], C order, first voxel = highest bit
    shading     [K, H, W]      uint8    the same images of a white surface
    depth       [K, H, W]      float32  view depth at the pixel's centre, 0 where there is nothing
    normals     [K, 3, H, W]   int8     127 * unit world normal towards the eye, 0 where there is
                                        nothing
    points      [P, 3]         float16  positions in the world
    occupancies [ceil(P/8)]    uint8    bits: is the point inside? First point = highest bit
    pointcloud  [M, 3]         float32  positions on the surface, in the world
    pointcloud_normals [M, 3]  float32  unit normals there
    triangles   [T, 3, 3]      float16  corners of the surface, in the world, perhaps simplified;
                                        those left over are zero
    triangle_colors [T, 3, 3]  uint8    sRGB of these corners without light
    transforms  [4, 4]         float64  from the frame of models to the coordinates in which the
                                        object's cameras were given

Images and cameras are always there, the others where the layout names them.
"""

from __future__ import annotations

import math
import re
from collections.abc import Collection, Iterable, Mapping
from dataclasses import dataclass
from typing import Any, NamedTuple

import numpy as np
from numpy.typing import NDArray

from recon.geometry.cameras import CAMERA_ROW

# The arrays of one object, by field.
ObjectArrays = dict[str, NDArray[Any]]

MAPS = ("shading", "depth", "normals")
# Fields with one entry per view along their first axis.
PER_VIEW = ("images", "cameras", *MAPS)
# Optional fields which come together.
_PAIRS = (
    ("points", "occupancies"),
    ("pointcloud", "pointcloud_normals"),
    ("triangles", "triangle_colors"),
)
_VOXELS = re.compile(r"voxels_([1-9]\d*)")


class Field(NamedTuple):
    """Shape and NumPy type of a field's array for one object."""

    shape: tuple[int, ...]
    dtype: str

    @property
    def nbytes(self) -> int:
        """The number of bytes of one object."""
        return math.prod(self.shape) * np.dtype(self.dtype).itemsize


@dataclass(frozen=True)
class Layout:
    """The arrays that every object of a data set has.

    Attributes:
        image_size: (H, W) in pixels.
        num_views: The number K of views of every object.
        voxel_resolutions: The resolutions R of the voxel grids.
        maps: The maps there are, among `MAPS`.
        num_points: The number P of points with occupancies, 0 for none.
        num_surface_points: The number M of surface points, 0 for none.
        num_triangles: The number T of coloured triangles, 0 for none.
        transforms: Whether there are `transforms`.

    Raises:
        ValueError: If a number is out of range or a map is unknown.
    """

    image_size: tuple[int, int]
    num_views: int
    voxel_resolutions: tuple[int, ...] = ()
    maps: tuple[str, ...] = ()
    num_points: int = 0
    num_surface_points: int = 0
    num_triangles: int = 0
    transforms: bool = False

    def __post_init__(self) -> None:
        positive = (*self.image_size, self.num_views, *self.voxel_resolutions)
        if len(self.image_size) != 2 or min(positive) < 1:
            raise ValueError(
                f"sides, views and resolutions must be >= 1, got image_size {self.image_size},"
                f" num_views {self.num_views}, voxel_resolutions {self.voxel_resolutions}"
            )
        if len(set(self.voxel_resolutions)) != len(self.voxel_resolutions):
            raise ValueError(f"voxel_resolutions must differ, got {self.voxel_resolutions}")
        if not set(self.maps) <= set(MAPS):
            raise ValueError(f"maps must be among {MAPS}, got {self.maps}")
        if min(self.num_points, self.num_surface_points) < 0:
            raise ValueError(
                f"numbers of points must be >= 0, got {self.num_points}, {self.num_surface_points}"
            )
        if self.num_triangles < 0:
            raise ValueError(f"num_triangles must be >= 0, got {self.num_triangles}")

    def fields(self) -> dict[str, Field]:
        """Returns the fields by name, images and cameras first."""
        views, size = self.num_views, self.image_size
        points, surface = self.num_points, self.num_surface_points
        optional = {
            "shading": Field((views, *size), "uint8"),
            "depth": Field((views, *size), "float32"),
            "normals": Field((views, 3, *size), "int8"),
        }
        found = {
            "images": Field((views, 4, *size), "uint8"),
            "cameras": Field((views, CAMERA_ROW), "float32"),
        }
        for resolution in self.voxel_resolutions:
            found[f"voxels_{resolution}"] = Field((packed_bytes(resolution**3),), "uint8")
        found |= {name: optional[name] for name in MAPS if name in self.maps}
        if points:
            found["points"] = Field((points, 3), "float16")
            found["occupancies"] = Field((packed_bytes(points),), "uint8")
        if surface:
            found["pointcloud"] = Field((surface, 3), "float32")
            found["pointcloud_normals"] = Field((surface, 3), "float32")
        if self.num_triangles:
            found["triangles"] = Field((self.num_triangles, 3, 3), "float16")
            found["triangle_colors"] = Field((self.num_triangles, 3, 3), "uint8")
        if self.transforms:
            found["transforms"] = Field((4, 4), "float64")
        return found

    def check(self, arrays: Mapping[str, NDArray[Any]]) -> None:
        """Refuses the arrays of an object if they are not those of the layout.

        Raises:
            ValueError: If an array is missing or of another shape or type; the message names the
                field.
        """
        fields = self.fields()
        if set(arrays) != set(fields):
            raise ValueError(f"fields must be {sorted(fields)}, got {sorted(arrays)}")
        for name, (shape, dtype) in fields.items():
            array = arrays[name]
            if array.shape != shape or array.dtype != dtype:
                raise ValueError(f"{name} must be {dtype} {shape}, got {array.dtype} {array.shape}")


def packed_bytes(bits: int) -> int:
    """Returns the number of bytes that hold so many packed bits."""
    return (bits + 7) // 8


def voxel_resolutions(names: Iterable[str]) -> tuple[int, ...]:
    """Returns the resolutions of the voxel fields among some names, in ascending order."""
    matches = (_VOXELS.fullmatch(name) for name in names)
    return tuple(sorted(int(match[1]) for match in matches if match))


def layout_of(shapes: Mapping[str, tuple[int, ...]]) -> Layout:
    """Returns the layout which has arrays of these shapes for one object.

    Args:
        shapes: The shape of each field, without the axis of objects; unknown names are passed over.

    Raises:
        ValueError: If a field is missing or has an impossible shape; the message names it.
    """
    _require(shapes, ("images", "cameras"))
    images = shapes["images"]
    if len(images) != 4:
        raise ValueError(f"field images must have the shape (K, 4, H, W), got {images}")
    for one, other in _PAIRS:
        if one in shapes or other in shapes:
            _require(shapes, (one, other))
    layout = Layout(
        image_size=(images[2], images[3]),
        num_views=images[0],
        voxel_resolutions=voxel_resolutions(shapes),
        maps=tuple(name for name in MAPS if name in shapes),
        num_points=shapes["points"][0] if shapes.get("points") else 0,
        num_surface_points=shapes["pointcloud"][0] if shapes.get("pointcloud") else 0,
        num_triangles=shapes["triangles"][0] if shapes.get("triangles") else 0,
        transforms="transforms" in shapes,
    )
    for name, (shape, _) in layout.fields().items():
        if shapes[name] != shape:
            raise ValueError(f"field {name} must have the shape {shape}, got {shapes[name]}")
    return layout


def _require(shapes: Collection[str], names: Iterable[str]) -> None:
    for name in names:
        if name not in shapes:
            raise ValueError(f"field {name} is missing")
