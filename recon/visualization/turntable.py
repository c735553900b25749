"""Turntables: an object seen from all around, as an animation."""

from __future__ import annotations

from collections.abc import Iterator
from importlib import import_module
from pathlib import Path

import imageio.v3 as iio
import numpy as np
import torch
from numpy.typing import NDArray
from torch import Tensor

from recon.files import replacing
from recon.geometry.cameras import Cameras
from recon.geometry.meshes import Mesh
from recon.visualization.draw import draw_mesh, to_pixels

VIDEO_FORMATS = (".gif", ".mp4")
# Views drawn at once: a few keep the memory small.
_AT_ONCE = 8


def turntable_cameras(
    count: int,
    elevation: float = 20.0,
    distance: float = 2.732,
    fov: float = 30.0,
    first: float = -45.0,
) -> Cameras:
    """Returns viewpoints all around the origin, evenly spread.

    Args:
        count: The number of cameras.
        elevation: The elevation of the eyes in degrees.
        distance: The distance of the eyes from the origin, object units.
        fov: Full vertical angle of view in degrees; 30 shows a unit cube from 2.732 whole.
        first: The azimuth of the first camera in degrees; -45 sees front and side.

    Raises:
        ValueError: A number is out of range.
    """
    if count < 1:
        raise ValueError(f"count must be >= 1, got {count}")
    azimuth = first - 360 * torch.arange(count, dtype=torch.float64) / count
    others = (torch.full_like(azimuth, value) for value in (elevation, distance, fov))
    cameras = Cameras.orbit(azimuth, *others)
    return Cameras.from_rows(cameras.rows().float())


def draw_turntable(
    mesh: Mesh,
    colors: Tensor | None = None,
    image_size: int = 256,
    count: int = 36,
    cameras: Cameras | None = None,
) -> NDArray[np.uint8]:
    """Draws the frames of a turntable on white.

    Args:
        mesh: The mesh, around the origin.
        colors: The colours of vertices or texels, see `draw_mesh`; None draws the mesh in grey and
            lit.
        image_size: The number of pixels along each side.
        count: The number of frames of one turn.
        cameras: The cameras of the frames; None means `turntable_cameras(count)`.

    Returns:
        [count, image_size, image_size, 3].

    Raises:
        ValueError: Shapes disagree, or a number is out of range.
    """
    cameras = turntable_cameras(count) if cameras is None else cameras
    return np.concatenate(list(_parts(mesh, colors, image_size, cameras)))


def _parts(
    mesh: Mesh, colors: Tensor | None, image_size: int, cameras: Cameras
) -> Iterator[NDArray[np.uint8]]:
    rows = cameras.rows().to(mesh.vertices)
    for start in range(0, len(rows), _AT_ONCE):
        some = Cameras.from_rows(rows[start : start + _AT_ONCE])
        yield to_pixels(draw_mesh(mesh, some, image_size, colors))


def save_turntable(path: Path, frames: NDArray[np.uint8], seconds: float = 4.0) -> None:
    """Writes frames as a GIF which repeats, or as an H.264 video.

    Args:
        path: The path of the file, which ends in .gif or .mp4; the latter requires the package
            imageio-ffmpeg.
        frames: [N, H, W, 3] images; for a video H and W are even.
        seconds: The duration of the animation in seconds.

    Raises:
        ValueError: The suffix is none of these, the frames have another shape, or the size of a
            video is odd.
        ImportError: The package imageio-ffmpeg is missing.
        OSError: The file could not be written.
    """
    suffix = path.suffix.lower()
    if suffix not in VIDEO_FORMATS:
        raise ValueError(f"an animation must end in {', '.join(VIDEO_FORMATS)}, got {path.name}")
    if frames.ndim != 4 or frames.shape[3] != 3 or frames.dtype != np.uint8 or not len(frames):
        raise ValueError(f"frames must be uint8 [N, H, W, 3], got {frames.dtype} {frames.shape}")
    if not seconds > 0:
        raise ValueError(f"seconds must be > 0, got {seconds}")
    with replacing(path) as temporary:
        if suffix == ".gif":
            _write_gif(temporary, frames, seconds)
        else:
            _write_mp4(temporary, frames, seconds)


def _write_gif(path: Path, frames: NDArray[np.uint8], seconds: float) -> None:
    # Viewers slow frames down which are shorter than 20 ms.
    each = max(20, round(1000 * seconds / len(frames)))
    iio.imwrite(path, frames, extension=".gif", plugin="pillow", duration=each, loop=0)


def _write_mp4(path: Path, frames: NDArray[np.uint8], seconds: float) -> None:
    try:
        import_module("imageio_ffmpeg")  # imageio tells of its absence less clearly
    except ImportError as error:
        raise ImportError("an .mp4 needs the package imageio-ffmpeg; .gif needs none") from error
    if frames.shape[1] % 2 or frames.shape[2] % 2:
        raise ValueError(f"frames of an .mp4 must have even sides, got {frames.shape[1:3]}")
    iio.imwrite(
        path,
        frames,
        extension=".mp4",
        plugin="FFMPEG",
        fps=len(frames) / seconds,
        codec="libx264",
        macro_block_size=2,  # which H.264 asks of the colours; the default would resize to 16
        output_params=["-f", "mp4"],  # the temporary name does not tell
    )
