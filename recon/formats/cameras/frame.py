"""One image with its camera, whichever file the camera was read from."""

from __future__ import annotations

import math
from dataclasses import dataclass

import numpy as np
import torch
from numpy.typing import NDArray

from recon.geometry.cameras import Cameras
from recon.geometry.frames import world_cameras

POSE_MATRICES = ("R", "t")
POSE_ANGLES = ("azimuth", "elevation", "distance")
INTRINSICS = ("K", "fov")
# A wider angle is no camera's; its K is then in other units than pixels.
MAX_FOV = 170.0

Values = dict[str, NDArray[np.float64]]


@dataclass(frozen=True)
class Frame:
    """One image with its camera.

    Attributes:
        file: The name of the image file, relative to the object's folder.
        mask: The name of the mask file, relative to that folder; None where the camera file names
            none.
        pose: The pose: R and t of OpenCV, or azimuth, elevation and distance.
        intrinsics: The matrix K in pixels of the image, with the centre of the upper left pixel at
            (0, 0); or fov or fov_x, the full vertical or horizontal angle in degrees.
        size: The (height, width) of the image that K belongs to; None means the size of the file.
            An image of another scale gets K at that scale.
    """

    file: str
    mask: str | None
    pose: Values
    intrinsics: Values
    size: tuple[int, int] | None = None

    @property
    def is_calibrated(self) -> bool:
        """Whether the camera belongs to the pixels as they are stored; an orbit does not."""
        return "K" in self.intrinsics or "fov_x" in self.intrinsics

    def matrix(self, size: tuple[int, int]) -> NDArray[np.float64]:
        """Returns K [3, 3] in pixels of an image of `size` (height, width).

        Raises:
            ValueError: If K belongs to images of another aspect, or sees a wider angle than an
                image can.
        """
        height, width = size
        if "K" not in self.intrinsics:
            name, side = ("fov", height) if "fov" in self.intrinsics else ("fov_x", width)
            focal = side / 2 / math.tan(math.radians(float(self.intrinsics[name])) / 2)
            center = (width - 1) / 2, (height - 1) / 2
            return np.array([[focal, 0, center[0]], [0, focal, center[1]], [0, 0, 1]])
        matrix = self._scaled(size)
        for name, focal, side in zip(
            ("width", "height"), matrix.diagonal()[:2], (width, height), strict=True
        ):
            angle = 2 * math.degrees(math.atan2(side / 2, focal))
            if angle > MAX_FOV:
                raise ValueError(
                    f"key K has the focal length {focal:g}, with which the image's {name} of"
                    f" {side} pixels spans {angle:.0f} degrees; K is in pixels"
                )
        return matrix

    def _scaled(self, size: tuple[int, int]) -> NDArray[np.float64]:
        """Returns K at the scale of an image of `size`."""
        matrix = self.intrinsics["K"]
        if self.size is None or self.size == tuple(size):
            return matrix
        (height, width), (old_height, old_width) = size, self.size
        scale = np.array([width / old_width, height / old_height])
        # Halves of odd numbers of pixels are rounded, so sides may be off by one.
        if abs(width - scale[1] * old_width) > 1 and abs(height - scale[0] * old_height) > 1:
            raise ValueError(
                f"its camera belongs to images of {old_width} x {old_height} pixels, which one of"
                f" {width} x {height} is not at any scale"
            )
        # Borders of images scale, and centres of pixels are half a pixel from them.
        full = np.diag([*scale, 1.0])
        full[:2, 2] = scale / 2 - 0.5
        return np.asarray(full @ matrix)

    def camera(self, intrinsics: NDArray[np.float64], image_size: tuple[int, int]) -> Cameras:
        """Returns the camera, in the world of the renderings.

        Args:
            intrinsics: The matrix K [3, 3] of the image as it is stored.
            image_size: (height, width) of that image.

        Raises:
            ValueError: If K is none of a camera without skew.
        """
        matrix = torch.from_numpy(intrinsics)[None]
        if "R" in self.pose:
            rotation, shift = (torch.from_numpy(self.pose[key])[None] for key in POSE_MATRICES)
            cameras = Cameras.from_opencv(matrix, rotation, shift, image_size)
            return world_cameras(cameras).to(dtype=torch.float32)
        unit = torch.eye(3, dtype=torch.float64)[None]
        inner = Cameras.from_opencv(matrix, unit, torch.zeros_like(unit[0, :1]), image_size)
        azimuth, elevation, distance = (
            torch.from_numpy(self.pose[key]).reshape(1) for key in POSE_ANGLES
        )
        # The angle of view is that of K; 60 stands for any.
        any_fov = torch.full_like(azimuth, 60.0)
        orbit = Cameras.orbit(azimuth, elevation, distance, any_fov)
        return Cameras(orbit.rotation, orbit.translation, inner.focal, inner.center).to(
            dtype=torch.float32
        )
