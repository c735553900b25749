"""Sparse models of COLMAP: cameras and images, as text (.txt) or binary (.bin).

https://colmap.github.io/format.html. Poses lead from world to OpenCV's camera coordinates. The
centre of the upper left pixel is at (0.5, 0.5), half a pixel from where it is here.
"""

from __future__ import annotations

import logging
import posixpath
import struct
from collections.abc import Iterator
from dataclasses import dataclass

import numpy as np

from recon.formats.cameras.frame import Frame
from recon.formats.cameras.opencv import Matrix, find_image, intrinsics, pose
from recon.formats.stores import NamedStore

log = logging.getLogger(__name__)

# Models by their number: the name, how many parameters it has, how many of them are focal lengths.
MODELS = {
    0: ("SIMPLE_PINHOLE", 3, 1),
    1: ("PINHOLE", 4, 2),
    2: ("SIMPLE_RADIAL", 4, 1),
    3: ("RADIAL", 5, 1),
    4: ("OPENCV", 8, 2),
    6: ("FULL_OPENCV", 12, 2),
}
BY_NAME = {name: (name, count, focals) for name, count, focals in MODELS.values()}
# Distortions below move nothing by a hundredth of a pixel.
NEGLIGIBLE = 1e-6


@dataclass(frozen=True)
class _Camera:
    """Intrinsics of one camera, and the (height, width) they belong to."""

    matrix: Matrix
    size: tuple[int, int]


@dataclass(frozen=True)
class _Image:
    """The pose of one image as a quaternion (w, x, y, z) and a translation."""

    name: str
    quaternion: tuple[float, ...]
    shift: tuple[float, ...]
    camera: int


def read_model(cameras: NamedStore, name: str, images: NamedStore) -> list[Frame]:
    """Reads the frames of a model, by the names of their images.

    Args:
        cameras: The folder of the model.
        name: The name of its file images.txt or images.bin; cameras.txt or cameras.bin lies beside
            it.
        images: The folder of the images.

    Raises:
        FileNotFoundError: If a file is not there.
        ValueError: If one is damaged, or a camera is no pinhole.
    """
    suffix = posixpath.splitext(name)[1]
    other = posixpath.join(posixpath.dirname(name), f"cameras{suffix}")
    read_cameras, read_images = (
        (_binary_cameras, _binary_images) if suffix == ".bin" else (_text_cameras, _text_images)
    )
    try:
        known = read_cameras(cameras.read(other))
        found = read_images(cameras.read(name))
    except (struct.error, IndexError, UnicodeDecodeError) as error:
        raise ValueError(f"it or cameras{suffix} ends too early or is damaged: {error}") from error
    if not found:
        raise ValueError("it has no images")
    return [_frame(image, known, images) for image in sorted(found, key=lambda one: one.name)]


def _frame(image: _Image, cameras: dict[int, _Camera], images: NamedStore) -> Frame:
    if image.camera not in cameras:
        raise ValueError(f"image {image.name} has the camera {image.camera}, which is not there")
    camera = cameras[image.camera]
    try:
        shift = np.array(image.shift)[:, None]
        matrix = np.concatenate((_rotation(image.quaternion), shift), axis=1)
        found = pose(matrix)
    except ValueError as error:
        raise ValueError(f"image {image.name}: {error}") from error
    file = find_image(images, image.name)
    return Frame(file, None, found, {"K": camera.matrix}, camera.size)


def _rotation(quaternion: tuple[float, ...]) -> Matrix:
    length = float(np.linalg.norm(quaternion))
    if not (np.isfinite(length) and length > 0):
        raise ValueError(f"its quaternion must be finite and not 0, got {quaternion}")
    w, x, y, z = np.array(quaternion) / length
    return np.array(
        [
            [1 - 2 * (y * y + z * z), 2 * (x * y - w * z), 2 * (x * z + w * y)],
            [2 * (x * y + w * z), 1 - 2 * (x * x + z * z), 2 * (y * z - w * x)],
            [2 * (x * z - w * y), 2 * (y * z + w * x), 1 - 2 * (x * x + y * y)],
        ]
    )


def _camera(model: tuple[str, int, int], size: tuple[int, int], values: list[float]) -> _Camera:
    name, count, focals = model
    if len(values) != count:
        raise ValueError(f"a camera {name} has {count} parameters, got {len(values)}")
    fx, fy = values[0], values[focals - 1]
    cx, cy = values[focals : focals + 2]
    if any(abs(value) > NEGLIGIBLE for value in values[focals + 2 :]):
        log.warning(
            "a camera %s has lens distortion, which is ignored; undistort the images"
            " (colmap image_undistorter)",
            name,
        )
    return _Camera(intrinsics(fx, fy, cx, cy), size)


def _unknown(model: object) -> ValueError:
    return ValueError(
        f"camera model {model} is none of {', '.join(BY_NAME)}; undistort the images"
        " (colmap image_undistorter)"
    )


def _lines(data: bytes) -> Iterator[str]:
    """Yields the lines that are not comments."""
    for line in data.decode("utf-8-sig").split("\n"):
        if not line.startswith("#"):
            yield line.strip()


def _text_cameras(data: bytes) -> dict[int, _Camera]:
    cameras = {}
    for line in filter(None, _lines(data)):
        number, name, width, height, *values = line.split()
        if name not in BY_NAME:
            raise _unknown(name)
        size = int(height), int(width)
        cameras[int(number)] = _camera(BY_NAME[name], size, [float(value) for value in values])
    return cameras


def _text_images(data: bytes) -> list[_Image]:
    """Reads every other line; those between hold points, and are often empty or left out."""
    found: list[_Image] = []
    expects_points = False
    for line in _lines(data):
        words = line.split(maxsplit=9)
        if expects_points and (not words or _are_points(line)):
            expects_points = False
            continue
        if not words:
            continue
        if len(words) != 10:
            raise ValueError(f"a line of an image must have 10 words, got {line[:80]!r}")
        numbers = tuple(float(word) for word in words[1:8])
        found.append(_Image(words[9], numbers[:4], numbers[4:], int(words[8])))
        expects_points = True
    return found


def _are_points(line: str) -> bool:
    words = line.split()
    try:
        return len(words) % 3 == 0 and all(float(word) is not None for word in words)
    except ValueError:
        return False


class _Bytes:
    """Little-endian numbers one after the other."""

    def __init__(self, data: bytes) -> None:
        self._data, self._place = data, 0

    def take(self, form: str) -> tuple[float, ...]:
        values = struct.unpack_from(f"<{form}", self._data, self._place)
        self._place += struct.calcsize(f"<{form}")
        return values

    def take_text(self) -> str:
        end = self._data.index(0, self._place) if 0 in self._data[self._place :] else -1
        if end < 0:
            raise ValueError("a name has no end")
        text = self._data[self._place : end].decode()
        self._place = end + 1
        return text

    def skip(self, count: int) -> None:
        if count < 0 or self._place + count > len(self._data):
            raise ValueError("it claims more points than it has bytes")
        self._place += count


def _binary_cameras(data: bytes) -> dict[int, _Camera]:
    stream, cameras = _Bytes(data), {}
    (count,) = stream.take("Q")
    for _ in range(int(count)):
        number, model, width, height = stream.take("iiQQ")
        if model not in MODELS:
            raise _unknown(model)
        values = list(stream.take(f"{MODELS[int(model)][1]}d"))
        cameras[int(number)] = _camera(MODELS[int(model)], (int(height), int(width)), values)
    return cameras


def _binary_images(data: bytes) -> list[_Image]:
    stream, found = _Bytes(data), []
    (count,) = stream.take("Q")
    for _ in range(int(count)):
        _, *numbers = stream.take("i7d")
        (camera,) = stream.take("i")
        name = stream.take_text()
        (points,) = stream.take("Q")
        stream.skip(24 * int(points))
        found.append(_Image(name, tuple(numbers[:4]), tuple(numbers[4:]), int(camera)))
    return found
