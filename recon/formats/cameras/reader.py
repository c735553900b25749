"""Finds the format of the camera files in a folder and reads their frames."""

from __future__ import annotations

import posixpath
import re
from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path

from recon.formats.cameras.arrays import read_bounds, read_poses, read_projections
from recon.formats.cameras.cameras_json import parse_cameras
from recon.formats.cameras.colmap import read_model
from recon.formats.cameras.frame import Frame
from recon.formats.cameras.nerf import read_transforms
from recon.formats.stores import FileStore, FolderStore, NamedStore


def _read_json(cameras: NamedStore, name: str, images: NamedStore) -> list[Frame]:
    return parse_cameras(cameras.read(name))


Reader = Callable[[NamedStore, str, NamedStore], list[Frame]]
# The reader of each format and the names of its files, in the order in which they are looked for.
FORMATS: dict[str, tuple[Reader, str]] = {
    "json": (_read_json, r"cameras\.json"),
    "nerf": (read_transforms, r"transforms(_\w+)?\.json"),
    "colmap": (read_model, r"((colmap|dense)/)?((sparse(/\d+)?|text)/)?images\.(bin|txt)"),
    "srn": (read_poses, r"intrinsics\.txt"),
    "neus": (read_projections, r"cameras_sphere\.npz|cameras\.npz"),
    "llff": (read_bounds, r"poses_bounds\.npy"),
}
# Views to learn from come first, as in the files of NeRF.
_SPLITS = ("train", "val", "test")


@dataclass(frozen=True)
class CameraFiles:
    """The camera files of a folder.

    Attributes:
        format: A key of `FORMATS`.
        names: The names of the files, in the order in which they are read.
    """

    format: str
    names: tuple[str, ...]


def find_camera_files(cameras: NamedStore, camera_format: str = "auto") -> CameraFiles | None:
    """Returns the camera files of a folder, or None if it has none.

    Args:
        cameras: The folder.
        camera_format: A key of `FORMATS`; "auto" takes the first of which there is a file.

    Raises:
        ValueError: If the format is unknown.
    """
    require_format(camera_format)
    for name, (_, pattern) in FORMATS.items():
        if camera_format not in ("auto", name):
            continue
        found = [n for n in cameras.names if re.fullmatch(pattern, n)]
        if name != "nerf":
            # The nearest one, the binary one before the text: "images.bin" is less than ".txt".
            found = sorted(found, key=lambda n: (n.count("/"), n))[:1]
        if found:
            return CameraFiles(name, tuple(sorted(found, key=_split_order)))
    return None


def _split_order(name: str) -> tuple[int, str]:
    split = posixpath.splitext(name)[0].rpartition("_")[2]
    return (_SPLITS.index(split) if split in _SPLITS else -1, name)


def require_format(camera_format: str) -> None:
    """Refuses an unknown format.

    Raises:
        ValueError: If the format is unknown; the message names the known ones.
    """
    if camera_format not in ("auto", *FORMATS):
        known = ", ".join(("auto", *FORMATS))
        raise ValueError(f"camera_format must be one of {known}, got {camera_format!r}")


def open_cameras(path: Path, camera_format: str = "auto") -> tuple[NamedStore, CameraFiles] | None:
    """Returns what a path of cameras names: a folder, or one camera file; None if it is neither.

    Args:
        path: A folder, or a file; any name that ends in .json is a `cameras.json` unless it is one
            of NeRF's.
        camera_format: A key of `FORMATS`; "auto" tells by the name.

    Raises:
        FileNotFoundError: If there is nothing of that name.
        ValueError: If the format is unknown, or a folder has no camera files.
    """
    require_format(camera_format)
    if path.is_dir():
        store = FolderStore(path)
        files = find_camera_files(store, camera_format)
        if files is None:
            known = ", ".join(FORMATS)
            raise ValueError(f"{path} has no cameras of the formats {known} ({camera_format=!s})")
        return store, files
    if not path.is_file():
        raise FileNotFoundError(f"no cameras {path}")
    name = camera_format if camera_format != "auto" else _format_of(path.name)
    if name is None:
        return None
    # Models of COLMAP and poses of SRN are several files.
    several = name in ("colmap", "srn")
    folder: NamedStore = FolderStore(path.parent) if several else FileStore(path)
    return folder, CameraFiles(name, (path.name,))


def _format_of(name: str) -> str | None:
    """Returns the format of a file by its name, or None if it may be a table of cameras."""
    for known, (_, pattern) in FORMATS.items():
        if re.fullmatch(pattern, name) and name != "cameras.npz":
            return known
    return "json" if name.lower().endswith(".json") else None


def read_frames(cameras: NamedStore, files: CameraFiles, images: NamedStore) -> list[Frame]:
    """Reads the frames of camera files.

    Args:
        cameras: The folder of the files.
        files: The camera files in it, as `find_camera_files` returns them.
        images: The folder of the images.

    Raises:
        FileNotFoundError: If a file is not there.
        ValueError: If a file is not as its format demands; the message names it.
    """
    read, _ = FORMATS[files.format]
    frames: list[Frame] = []
    for name in files.names:
        try:
            frames += read(cameras, name, images)
        except ValueError as error:
            raise ValueError(f"{posixpath.join(cameras.label, name)}: {error}") from error
    return frames
