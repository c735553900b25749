"""The file `cameras.json` of a user's own images: reading and strict validation.

    {
      "fov": 40.0, "elevation": 10, "distance": 2.5,      shared by all frames (K may be, too)
      "frames": [
        {"file": "000.png", "azimuth": 0},
        {"file": "001.jpg", "mask": "masks/001.png", "K": [[..]], "R": [[..]], "t": [..]}
      ]
    }

Every frame has a pose and intrinsics. The pose is either R [3][3] and t [3] of OpenCV (the camera
has x right, y down, z forward; its coordinates are R X + t), with X in the frame of models
(right-handed, up +Y, front +X); or azimuth and elevation in degrees and the distance of
`recon.geometry.cameras`, of an eye which looks at the origin. The intrinsics are either K [3][3]
in pixels of the image as it is in the file, the centre of the upper left one at (0, 0); or fov, the
full vertical angle in degrees, for square pixels and the principal point in the middle. What a
frame has itself wins over what is shared. Keys which begin with an underscore are a user's notes.
"""

from __future__ import annotations

import json
import math
import posixpath
from collections.abc import Mapping, Sequence
from typing import Any

import numpy as np
from numpy.typing import NDArray

from recon.formats.cameras.frame import INTRINSICS, POSE_ANGLES, POSE_MATRICES, Frame, Values

SHARED_KEYS = ("K", "fov", "distance", "elevation")
SHAPES: dict[str, tuple[int, ...]] = {"K": (3, 3), "R": (3, 3), "t": (3,)}
# Calibrations are written with few digits; `Cameras` allows as much.
ROTATION_TOLERANCE = 1e-3
# Beyond, float32 and squares would overflow; no calibration has such numbers.
LARGEST = 1e9


def parse_cameras(data: bytes) -> list[Frame]:
    """Reads the bytes of a file `cameras.json`.

    Raises:
        ValueError: If anything is not as the module describes; the message names frame and key.
    """
    document = _parse_json(data)
    if not isinstance(document, dict):
        raise ValueError(f'it must hold an object {{"frames": [...]}}, got {_kind(document)}')
    _refuse_unknown(document, ("frames", *SHARED_KEYS))
    shared = _values(document, SHARED_KEYS)
    if all(key in shared for key in INTRINSICS):
        raise ValueError("K and fov are both shared; one of them must go")
    frames = document.get("frames")
    if not isinstance(frames, list) or not frames:
        raise ValueError(f"key frames must be a list of at least one frame, got {_kind(frames)}")
    parsed = []
    for index, frame in enumerate(frames):
        try:
            parsed.append(_parse_frame(frame, shared))
        except ValueError as error:
            raise ValueError(f"{_frame_name(index, frame)}: {error}") from error
    _refuse_repeated(parsed)
    return parsed


def _parse_json(data: bytes) -> Any:
    try:
        return json.loads(data.decode("utf-8-sig"), object_pairs_hook=_unique_keys)
    except RecursionError as error:
        raise ValueError("its lists and objects are nested too deeply") from error
    except UnicodeDecodeError as error:
        raise ValueError(f"it is not UTF-8 text: {error}") from error
    except json.JSONDecodeError as error:
        raise ValueError(f"it is not valid JSON: {error}") from error


def _unique_keys(pairs: list[tuple[str, Any]]) -> dict[str, Any]:
    result = dict(pairs)
    if len(result) != len(pairs):
        keys = [key for key, _ in pairs]
        repeated = next(key for key in keys if keys.count(key) > 1)
        raise ValueError(f"key {repeated} stands twice in one object")
    return result


def _parse_frame(frame: Any, shared: Values) -> Frame:
    if not isinstance(frame, dict):
        raise ValueError(f'it must be an object such as {{"file": "000.png"}}, got {_kind(frame)}')
    _refuse_unknown(frame, ("file", "mask", *INTRINSICS, *POSE_MATRICES, *POSE_ANGLES))
    if "file" not in frame:
        raise ValueError("key file is missing")
    own = _values(frame, (*INTRINSICS, *POSE_MATRICES, *POSE_ANGLES))
    return Frame(
        file=_file_name(frame, "file"),
        mask=_file_name(frame, "mask") if "mask" in frame else None,
        pose=_pose(own, shared),
        intrinsics=_intrinsics(own, shared),
    )


def _pose(own: Values, shared: Values) -> Values:
    """Returns R and t, or the three numbers of an orbit."""
    by_matrices = any(key in own for key in POSE_MATRICES)
    angles = [key for key in POSE_ANGLES if key in own]
    if by_matrices and angles:
        raise ValueError(f"R and t cannot stand together with {angles[0]}; one pose must go")
    keys = POSE_MATRICES if by_matrices else POSE_ANGLES
    pose = {key: value for key, value in {**shared, **own}.items() if key in keys}
    missing = [key for key in keys if key not in pose]
    if missing:
        wanted = "azimuth, elevation and distance, or R and t"
        raise ValueError(f"key {missing[0]} is missing (a frame needs {wanted})")
    if by_matrices:
        _require_pose(pose["R"], pose["t"])
    elif pose["distance"] <= 0:
        raise ValueError(f"key distance must be > 0, got {float(pose['distance']):g}")
    return pose


def _require_pose(rotation: NDArray[np.float64], shift: NDArray[np.float64]) -> None:
    error = np.abs(rotation @ rotation.T - np.eye(3)).max()
    if not error < ROTATION_TOLERANCE:
        raise ValueError(f"key R must be a rotation, but R R^T differs from 1 by {error:.3g}")
    if np.linalg.det(rotation) < 0:
        raise ValueError(
            "key R must be a rotation, but its determinant is -1: a camera with y up or z"
            " backwards, or a left-handed world"
        )
    if shift[2] <= 0:
        raise ValueError(
            f"key t must have the origin in front of the camera, but its depth is {shift[2]:g};"
            " OpenCV's z points forward (that of OpenGL and Blender backward), and R and t turn"
            " world into camera coordinates"
        )


def _intrinsics(own: Values, shared: Values) -> Values:
    """Returns K or fov: a frame's own, else the shared one."""
    for values in (own, shared):
        found = {key: values[key] for key in INTRINSICS if key in values}
        if len(found) == 2:
            raise ValueError("K and fov cannot stand together; one of them must go")
        if found:
            return found
    raise ValueError("key fov is missing (a frame needs fov or K)")


def _values(document: Mapping[str, Any], keys: Sequence[str]) -> Values:
    """Returns the numbers at those of the keys which are there."""
    values = {key: _numbers(document, key) for key in keys if key in document}
    if "fov" in values and not 0 < values["fov"] < 180:
        raise ValueError(f"key fov must lie in (0, 180) degrees, got {float(values['fov']):g}")
    if "K" in values:
        matrix = values["K"]
        if not (matrix[0, 0] > 0 and matrix[1, 1] > 0):
            raise ValueError(f"key K must have focal lengths > 0, got {matrix.tolist()}")
        if not np.array_equal(matrix * [[0, 1, 0], [1, 0, 0], [1, 1, 1]], np.diag([0, 0, 1])):
            raise ValueError(
                "key K must be [[fx, 0, cx], [0, fy, cy], [0, 0, 1]] without skew,"
                f" got {matrix.tolist()}"
            )
    return values


def _numbers(document: Mapping[str, Any], key: str) -> NDArray[np.float64]:
    shape, value = SHAPES.get(key, ()), document[key]
    if not _has_shape(value, shape):
        wanted = {(): "a number", (3,): "3 numbers", (3, 3): "3 rows of 3 numbers"}[shape]
        raise ValueError(f"key {key} must be {wanted}, got {_shortened(value)}")
    try:
        numbers = np.array(value, np.float64)
    except OverflowError:
        numbers = np.array(math.inf)
    if not (np.abs(numbers) <= LARGEST).all():  # also refuses NaN
        raise ValueError(f"key {key} must be finite (to {LARGEST:g}), got {_shortened(value)}")
    return numbers


def _has_shape(value: Any, shape: tuple[int, ...]) -> bool:
    if not shape:
        return isinstance(value, int | float) and not isinstance(value, bool)
    return (
        isinstance(value, list)
        and len(value) == shape[0]
        and all(_has_shape(item, shape[1:]) for item in value)
    )


def _file_name(frame: Mapping[str, Any], key: str) -> str:
    """Returns a relative name that stays inside its folder."""
    name = frame[key]
    if not isinstance(name, str) or not name:
        raise ValueError(f"key {key} must be the name of a file, got {_shortened(name)}")
    parts = name.replace("\\", "/").split("/")
    if name[0] in "/\\" or ".." in parts or ":" in parts[0] or not name.isprintable():
        raise ValueError(f"key {key} must be a name inside the object's folder, got {name!r}")
    return posixpath.normpath("/".join(parts))


def _refuse_unknown(document: Mapping[str, Any], known: Sequence[str]) -> None:
    unknown = [key for key in document if key not in known and not key.startswith("_")]
    if unknown:
        raise ValueError(f"key {unknown[0]} is unknown; the known ones are {', '.join(known)}")


def _refuse_repeated(frames: Sequence[Frame]) -> None:
    first: dict[str, int] = {}
    for index, frame in enumerate(frames):
        # Stores find files whatever the case of their names.
        before = first.setdefault(frame.file.lower(), index)
        if before != index:
            raise ValueError(f"frames {before} and {index} have the same file {frame.file}")


def _frame_name(index: int, frame: Any) -> str:
    file = frame.get("file") if isinstance(frame, dict) else None
    return f"frame {index} ({file})" if isinstance(file, str) else f"frame {index}"


def _kind(value: Any) -> str:
    if isinstance(value, list):
        return f"a list of {len(value)}"
    return {type(None): "nothing", dict: "an object"}.get(type(value)) or _shortened(value)


def _shortened(value: Any) -> str:
    text = json.dumps(value)
    return text if len(text) <= 80 else text[:77] + "..."
