"""Cameras of NeRF, instant-ngp, nerfstudio and Blender: files transforms*.json.

    {"camera_angle_x": 0.69, "frames": [{"file_path": "./train/r_0", "transform_matrix": [4][4]}]}

Matrices lead from camera to world coordinates, the camera having y up and z backwards. Intrinsics
are camera_angle_x in radians, or fl_x, fl_y, cx, cy, w and h in pixels, of all frames or of each.
"""

from __future__ import annotations

import json
import logging
import math
from collections.abc import Mapping
from typing import Any

import numpy as np

from recon.formats.cameras.frame import Frame, Values
from recon.formats.cameras.opencv import find_image, intrinsics, pose_of_camera
from recon.formats.stores import NamedStore

log = logging.getLogger(__name__)

DISTORTIONS = ("k1", "k2", "k3", "k4", "p1", "p2")


def read_transforms(cameras: NamedStore, name: str, images: NamedStore) -> list[Frame]:
    """Reads the frames of one file.

    Args:
        cameras: The folder of the file.
        name: The name of the file.
        images: The folder of the images.

    Raises:
        FileNotFoundError: If there is no such file.
        ValueError: If anything is not as the module describes; the message names the frame and key.
    """
    try:
        document = json.loads(cameras.read(name).decode("utf-8-sig"))
    except (ValueError, RecursionError) as error:
        raise ValueError(f"it is not valid JSON: {error}") from error
    frames = document.get("frames") if isinstance(document, dict) else None
    if not isinstance(frames, list) or not frames:
        raise ValueError('it must hold an object with a list "frames"')
    if any(_number(document, key, 0.0) for key in DISTORTIONS):
        log.warning("%s: its lens distortion (k1, ...) is ignored; undistort the images", name)
    parsed = []
    for index, frame in enumerate(frames):
        try:
            parsed.append(_frame(document, frame, images))
        except ValueError as error:
            raise ValueError(f"frame {index}: {error}") from error
    return parsed


def _frame(document: Mapping[str, Any], frame: Any, images: NamedStore) -> Frame:
    if not isinstance(frame, dict) or not isinstance(frame.get("file_path"), str):
        raise ValueError("key file_path must be the name of an image")
    try:
        matrix = np.array(frame.get("transform_matrix"), np.float64)
    except (TypeError, ValueError):
        matrix = np.zeros(0)
    if matrix.shape not in ((4, 4), (3, 4)):
        raise ValueError("key transform_matrix must be 4 rows of 4 numbers")
    values, size = _intrinsics({**document, **frame})
    mask = frame.get("mask_path")
    return Frame(
        file=find_image(images, frame["file_path"]),
        mask=find_image(images, mask) if isinstance(mask, str) else None,
        pose=pose_of_camera(matrix, flip=True),
        intrinsics=values,
        size=size,
    )


def _intrinsics(keys: Mapping[str, Any]) -> tuple[Values, tuple[int, int] | None]:
    """Returns K with the size it belongs to, or an angle."""
    if "fl_x" not in keys:
        angle = _number(keys, "camera_angle_x")
        if not 0 < angle < math.pi:
            raise ValueError(f"key camera_angle_x must lie in (0, pi) radians, got {angle:g}")
        return {"fov_x": np.array(math.degrees(angle))}, None
    fl_x, width, height = (_number(keys, key) for key in ("fl_x", "w", "h"))
    center = _number(keys, "cx", width / 2), _number(keys, "cy", height / 2)
    return {"K": intrinsics(fl_x, _number(keys, "fl_y", fl_x), *center)}, (int(height), int(width))


def _number(keys: Mapping[str, Any], key: str, default: float | None = None) -> float:
    value = keys.get(key, default)
    if isinstance(value, bool) or not isinstance(value, int | float) or not math.isfinite(value):
        raise ValueError(f"key {key} must be a finite number, got {value!r}")
    return float(value)
