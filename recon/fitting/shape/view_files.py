"""Images of one object with their cameras, read from a user's files."""

from __future__ import annotations

import csv
import zipfile
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any

import numpy as np
import torch
from numpy.typing import NDArray
from torch import Tensor

from recon.datasets.multiview import MultiViewDataset
from recon.formats.cameras.frame import Frame
from recon.formats.cameras.reader import CameraFiles, open_cameras, read_frames
from recon.formats.images import SUFFIXES
from recon.formats.masks import MaskedImage
from recon.formats.stores import FolderStore, NamedStore
from recon.formats.views import is_mask_name, log_notes, read_view
from recon.geometry.cameras import CAMERA_ROW, Cameras
from recon.preparation.calibrated_views import Placement, read_calibrated_views
from recon.preparation.normalization import IDENTITY

# The columns of cameras on an orbit, in the order of the SoftRas demonstrations.
ORBIT_COLUMNS = ("distance", "elevation", "azimuth")


@dataclass(frozen=True, eq=False)
class Views:
    """N images of one object with their cameras.

    Args:
        images: [N, 4, H, W] float32 sRGB and alpha in [0, 1], not premultiplied, row 0 on top.
        cameras: The N cameras of the images.
        to_file: [4, 4] float64 transform from the frame of models to the coordinates of the camera
            file; None where the two are the same, or the transform is unknown.

    Raises:
        ValueError: The numbers of images and cameras differ, an array has another shape or type, or
            a value is out of range.
    """

    images: Tensor
    cameras: Cameras
    to_file: NDArray[np.float64] | None = None

    def __post_init__(self) -> None:
        images = self.images
        if images.dim() != 4 or images.shape[1] != 4 or images.dtype != torch.float32:
            raise ValueError(
                f"images must be [N, 4, H, W] float32, got {list(images.shape)} {images.dtype}"
            )
        if len(images) != len(self.cameras) or not images.numel():
            raise ValueError(f"there are {len(images)} images but {len(self.cameras)} cameras")
        if not bool(((images >= 0) & (images <= 1)).all()):  # also refuses NaN
            raise ValueError("images must lie in [0, 1]")

    def __len__(self) -> int:
        return len(self.images)

    def __getitem__(self, index: Sequence[int] | Tensor) -> Views:
        """Returns the views at some indices."""
        chosen = torch.as_tensor(index, device=self.images.device)
        return replace(self, images=self.images[chosen], cameras=self.cameras[chosen])

    @property
    def masks(self) -> Tensor:
        """The masks [N, H, W] in [0, 1]."""
        return self.images[:, 3]

    @property
    def image_size(self) -> tuple[int, int]:
        """(height, width) in pixels."""
        return self.images.shape[2], self.images.shape[3]

    def to(self, device: torch.device | str) -> Views:
        """Returns the same views on another device."""
        return replace(self, images=self.images.to(device), cameras=self.cameras.to(device))


def read_views(
    images: str | Path,
    cameras: str | Path,
    fov: float = 30.0,
    masks: str = "given",
    camera_format: str = "auto",
    placement: Placement | None = None,
) -> Views:
    """Reads images and their cameras.

    Args:
        images: A folder of images with masks (see `recon.formats.views.read_view`), in the order of
            their names; or an array in a file .npy or .npz (there named `images`, or the only one):
            [N, 4, H, W], [N, H, W, 4] or, of silhouettes alone, [N, H, W], as uint8, bool or
            floating point in [0, 1].
        cameras: A camera file, or a folder with one, of a format of
            `recon.formats.cameras.reader`, whose frames name the images of the folder; or a table
            in a file .csv, .npy or .npz (there named `cameras`, or the only one) with a row per
            image, the columns distance, elevation and azimuth, or the 16 of `Cameras.rows`.
        fov: Full vertical angle of view in degrees of cameras that are given by three columns.
        masks: "given" or "plain", see `recon.formats.views.read_view`.
        camera_format: A format of camera files, or "auto".
        placement: How coordinates of a camera file become those of models; None chooses it from the
            cameras.

    Raises:
        FileNotFoundError: A file or folder does not exist.
        ValueError: A file cannot be read as described, or the numbers of images and cameras differ;
            the message names the file.
    """
    images, cameras = Path(images), Path(cameras)
    opened = open_cameras(cameras, camera_format)
    if opened is not None and images.is_dir():
        return _calibrated_views(images, cameras, *opened, masks, placement)
    if opened is not None:
        views = _read_array(images)
        frames = read_frames(*opened, opened[0])
        _require_equal(images, len(views), cameras, len(frames))
        return Views(views, _frame_cameras(cameras, frames, views))
    _require_file(cameras, "cameras", (".json", ".csv", ".npy", ".npz"))
    views = _read_folder(images, masks) if images.is_dir() else _read_array(images)
    table = _read_table(cameras)
    _require_equal(images, len(views), cameras, len(table))
    return Views(views, _table_cameras(cameras, table, fov))


def _calibrated_views(
    folder: Path,
    cameras: Path,
    store: NamedStore,
    files: CameraFiles,
    masks: str,
    placement: Placement | None,
) -> Views:
    """Reads the images that camera files name, and brings their cameras into the world."""
    read = read_calibrated_views(str(folder), store, files, FolderStore(folder), masks, placement)
    named = {f.file: image for f, image in zip(read.frames, read.images, strict=True)}
    images = _stacked(folder, named)
    to_file = None if read.normalization is IDENTITY else read.normalization.to_file()
    return Views(images, _frame_cameras(cameras, read.frames, images), to_file)


def views_of_object(data: MultiViewDataset, object_id: str) -> Views:
    """Returns all views of an object of prepared files.

    Raises:
        ValueError: There is no object of that id.
    """
    if object_id not in data.ids:
        some = ", ".join(data.ids[:5])
        raise ValueError(f"{data.paths[0]} has no object {object_id!r}; its ids are like {some}")
    index, views = data.ids.index(object_id), range(data.num_views)
    return Views(
        data.images(index, views).float() / 255, Cameras.from_rows(data.cameras(index, views))
    )


# --- Images -------------------------------------------------------------------------------------


def _read_array(path: Path) -> Tensor:
    _require_file(path, "images", (".npy", ".npz"))
    return _as_images(path, _load_array(path, "images"))


def _read_folder(path: Path, masks: str) -> Tensor:
    """Reads all images of the folder itself."""
    store = FolderStore(path)
    # A table of cameras tells angles of view, so images are turned upright.
    frames = [Frame(name, None, {}, {}) for name in store.names if _is_image(name)]
    if not frames:
        raise ValueError(f"{path} has no images ({', '.join(SUFFIXES)})")
    views = {}
    for frame in frames:
        try:
            views[frame.file] = read_view(store, frame, masks)
        except ValueError as error:
            raise ValueError(f"{path}: {frame.file}: {error}") from error
    log_notes(str(path), views)
    return _stacked(path, views)


def _stacked(path: Path, views: Mapping[str, MaskedImage]) -> Tensor:
    """Returns images [N, 4, H, W] in [0, 1], which must have one size."""
    first, *_ = views
    for name, view in views.items():
        if view.rgba.shape != views[first].rgba.shape:
            raise ValueError(
                f"{path}: {name} has {_size(view.rgba)} pixels, but {first}"
                f" {_size(views[first].rgba)}; all must have one size"
            )
    return torch.from_numpy(np.stack([view.rgba for view in views.values()])).float() / 255


def _is_image(name: str) -> bool:
    return "/" not in name and Path(name).suffix.lower() in SUFFIXES and not is_mask_name(name)


def _size(image: NDArray[np.uint8]) -> str:
    return f"{image.shape[2]} x {image.shape[1]}"


def _as_images(path: Path, array: NDArray[Any]) -> Tensor:
    """Brings an array of a file into the shape and range of `Views`."""
    if array.dtype.kind not in "buf":
        raise ValueError(f"{path} must hold uint8, bool or floating point, got {array.dtype}")
    if array.dtype.kind == "u" and array.dtype != np.uint8:
        raise ValueError(f"{path} must hold 8 bits per channel, got {array.dtype}")
    values = torch.from_numpy(np.array(array, np.float32))
    if array.dtype == np.uint8:
        values = values / 255
    if values.dim() == 3:
        white = values.new_ones(len(values), 3, *values.shape[1:])
        values = torch.cat((white, values[:, None]), dim=1)
    if values.dim() == 4 and values.shape[1] != 4 and values.shape[3] == 4:
        values = values.permute(0, 3, 1, 2).contiguous()
    if values.dim() != 4 or values.shape[1] != 4 or not values.numel():
        raise ValueError(
            f"{path} must hold images with alpha, [N, 4, H, W] or [N, H, W, 4], or silhouettes"
            f" [N, H, W]; got {list(array.shape)}"
        )
    if not bool(((values >= 0) & (values <= 1)).all()):
        raise ValueError(f"{path} must hold values in [0, 1] (or uint8), not NaN or others")
    return values


# --- Cameras --------------------------------------------------------------------------------------


def _frame_cameras(path: Path, frames: Sequence[Frame], images: Tensor) -> Cameras:
    size = images.shape[2], images.shape[3]
    rows = []
    for frame in frames:
        try:
            rows.append(frame.camera(frame.matrix(size), size).rows())
        except ValueError as error:
            raise ValueError(f"{path}: {frame.file}: {error}") from error
    return Cameras.from_rows(torch.cat(rows))


def _read_table(path: Path) -> NDArray[np.float32]:
    """Reads [N, 3] or [N, 16] finite numbers."""
    table = _read_csv(path) if path.suffix.lower() == ".csv" else _load_array(path, "cameras")
    if table.ndim != 2 or table.shape[1] not in (3, CAMERA_ROW) or table.dtype.kind not in "fiu":
        raise ValueError(
            f"{path} must hold a row per image with {len(ORBIT_COLUMNS)} numbers"
            f" ({', '.join(ORBIT_COLUMNS)}) or {CAMERA_ROW}, got {table.dtype} {list(table.shape)}"
        )
    bad = np.flatnonzero(~np.isfinite(table).all(1))
    if len(bad):
        raise ValueError(f"{path}: row {bad[0]} is not finite: {table[bad[0]].tolist()}")
    return np.array(table, np.float32)


def _table_cameras(path: Path, table: NDArray[np.float32], fov: float) -> Cameras:
    rows = torch.from_numpy(table)
    try:
        if rows.shape[1] == CAMERA_ROW:
            return Cameras.from_rows(rows)
        distance, elevation, azimuth = rows.unbind(1)
        return Cameras.orbit(azimuth, elevation, distance, torch.full_like(distance, fov))
    except ValueError as error:
        raise ValueError(f"{path}: {error}") from error


def _read_csv(path: Path) -> NDArray[np.float64]:
    """Reads the three columns by their names in the first line, or by their order without one."""
    try:
        text = path.read_text(encoding="utf-8-sig")
    except UnicodeDecodeError as error:
        raise ValueError(f"{path} is not UTF-8 text: {error}") from error
    lines = [[cell.strip() for cell in line] for line in csv.reader(text.splitlines()) if any(line)]
    if not lines:
        raise ValueError(f"{path} is empty")
    names = [cell.lower() for cell in lines[0]]
    order = list(range(len(names)))
    if not _is_number(names[0]):
        missing = [name for name in ORBIT_COLUMNS if name not in names]
        if missing:
            raise ValueError(f"{path} has no column {missing[0]}; it has {', '.join(names)}")
        order = [names.index(name) for name in ORBIT_COLUMNS]
        lines = lines[1:]
    try:
        return np.array([[float(line[column]) for column in order] for line in lines], ndmin=2)
    except (ValueError, IndexError) as error:
        raise ValueError(f"{path} must have {len(names)} numbers in every line: {error}") from error


def _is_number(text: str) -> bool:
    try:
        float(text)
    except ValueError:
        return False
    return True


# --- Files ----------------------------------------------------------------------------------------


def _load_array(path: Path, key: str) -> NDArray[Any]:
    """Reads the array of a file .npy, or the one named `key`, or the only one, of a file .npz."""
    try:
        # A memory map is checked against the size of the file before anything is allocated.
        loaded = np.load(path, mmap_mode="r", allow_pickle=False)
        if isinstance(loaded, np.ndarray):
            return loaded
        with loaded:
            names = loaded.files
            if key not in names and len(names) != 1:
                raise ValueError(f"it must have an array {key}, there are {', '.join(names)}")
            return np.asarray(loaded[key if key in names else names[0]])
    except (ValueError, EOFError, MemoryError, zipfile.BadZipFile) as error:
        raise ValueError(f"cannot read {path}: {error}") from error


def _require_file(path: Path, what: str, suffixes: Sequence[str]) -> None:
    if not path.is_file():
        raise FileNotFoundError(f"no {what} {path}")
    if path.suffix.lower() not in suffixes:
        raise ValueError(f"{what} must end in {', '.join(suffixes)}, got {path}")


def _require_equal(images: Path, views: int, cameras: Path, rows: int) -> None:
    if views != rows:
        raise ValueError(f"{images} has {views} images, but {cameras} has {rows} cameras")
