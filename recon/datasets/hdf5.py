"""The one HDF5 layout of all multi-view data sets: writing, and opening with validation.

Fields, for N objects of K views at H x W and voxel grids of resolution R:

    images   [N, K, 4, H, W]  uint8    sRGB red, green, blue and alpha, not premultiplied
    cameras  [N, K, 4]        float32  azimuth, elevation (degrees), distance, fov (degrees)
    voxels   [N, ceil(R^3/8)] uint8    bits of bool [x, y, z], C order, first voxel = highest bit
    ids, names, synsets, groups, splits, licences  [N]  UTF-8 text
"""

from __future__ import annotations

import errno
import json
import math
import os
import shutil
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import h5py
import numpy as np
from numpy.typing import NDArray

from recon.atomic_files import replacing
from recon.datasets.categories import CATEGORIES

SCHEMA = "recon.multiview"
SCHEMA_VERSION = 1
TEXT_FIELDS = ("ids", "names", "synsets", "groups", "splits", "licences")
ATTRIBUTES = ("source", "command", "versions", "image_size", "voxel_resolution", "voxel_mode")


@dataclass(frozen=True)
class Header:
    """What holds for a whole file.

    Attributes:
        source: name of the source.
        command: what made the file.
        versions: of the programs that made it.
        image_size: (height, width) in pixels.
        num_views: views per object.
        voxel_resolution: voxels along each side.
        voxel_mode: how surfaces were voxelised.
        recipe: plain data which determines the content.
        failures: objects left out, as {id: reason}.
    """

    source: str
    command: str
    versions: Mapping[str, str]
    image_size: tuple[int, int]
    num_views: int
    voxel_resolution: int
    voxel_mode: str
    recipe: Mapping[str, Any]
    failures: Mapping[str, str]


@dataclass(frozen=True)
class Labels:
    """The texts of one object."""

    id: str
    name: str
    synset: str
    group: str
    split: str
    licence: str


@dataclass(frozen=True)
class Sample:
    """The arrays of one object: images [K, 4, H, W], cameras [K, 4] and packed voxels."""

    images: NDArray[np.uint8]
    cameras: NDArray[np.float32]
    voxels: NDArray[np.uint8]


def packed_bytes(resolution: int) -> int:
    """Return the number of bytes of one packed grid."""
    return (resolution**3 + 7) // 8


def write_dataset(
    path: str | Path, header: Header, labels: Sequence[Labels], samples: Iterable[Sample]
) -> None:
    """Write a file, which appears under its name only when it is complete.

    Args:
        path: the file; its folder must exist.
        header: what holds for all objects.
        labels: one per object.
        samples: one per object, in the same order; read one at a time.

    Raises:
        ValueError: if the number of samples or the shape or type of an array is wrong.
        OSError: naming the file, if it cannot be written (a full disk, say).
    """
    path = Path(path)
    try:
        _require_space(path, header, len(labels))
        with replacing(path) as temporary, h5py.File(temporary, "w", libver="v110") as file:
            _write_header(file, header)
            _write_labels(file, labels)
            _create_arrays(file, header, len(labels))
            file.flush()
            _reserve(temporary)
            _write_samples(file, header, len(labels), samples)
            file.flush()  # closing alone would not tell of a failed write
    except (OSError, RuntimeError) as error:  # h5py reports some failed writes as RuntimeError
        raise OSError(f"cannot write {path}: {error}") from error


def _require_space(path: Path, header: Header, count: int) -> None:
    """Refuse to begin a file that cannot be finished."""
    arrays = sum(
        math.prod(shape) * np.dtype(dtype).itemsize
        for shape, dtype in _fields(header, count).values()
    )
    needed = arrays + arrays // 50 + (1 << 19)  # with texts and the index of the chunks
    free = shutil.disk_usage(path.parent).free
    if free < needed:
        raise OSError(
            errno.ENOSPC, f"{needed / 1e6:.1f} MB needed, {free / 1e6:.1f} MB free on the disk"
        )


def _reserve(path: Path) -> None:
    """Claim the disk space of a file whose arrays are laid out but not written.

    HDF5 survives a disk that is full now, but not one that becomes full under its cache.
    """
    with path.open("r+b") as stream:
        os.posix_fallocate(stream.fileno(), 0, path.stat().st_size)


def _write_header(file: h5py.File, header: Header) -> None:
    file.attrs["schema"] = SCHEMA
    file.attrs["schema_version"] = SCHEMA_VERSION
    file.attrs["source"] = header.source
    file.attrs["command"] = header.command
    file.attrs["versions"] = json.dumps(dict(header.versions), sort_keys=True)
    file.attrs["image_size"] = np.array(header.image_size, np.int64)
    file.attrs["voxel_resolution"] = header.voxel_resolution
    file.attrs["voxel_mode"] = header.voxel_mode
    # Attributes are limited to 64 KiB; these two have no limit.
    for name, value in (("recipe", header.recipe), ("failures", header.failures)):
        file[name] = json.dumps(dict(value), sort_keys=True)


def _write_labels(file: h5py.File, labels: Sequence[Labels]) -> None:
    for field in TEXT_FIELDS:
        texts = [getattr(label, field[:-1]) for label in labels]
        file.create_dataset(field, data=texts, shape=(len(labels),), dtype=h5py.string_dtype())


def _fields(header: Header, count: int) -> dict[str, tuple[tuple[int, ...], str]]:
    """Return shape and dtype of every array field."""
    views, (height, width) = header.num_views, header.image_size
    return {
        "images": ((count, views, 4, height, width), "uint8"),
        "cameras": ((count, views, 4), "float32"),
        "voxels": ((count, packed_bytes(header.voxel_resolution)), "uint8"),
    }


def _create_arrays(file: h5py.File, header: Header, count: int) -> None:
    for name, (shape, dtype) in _fields(header, count).items():
        layout = h5py.h5p.create(h5py.h5p.DATASET_CREATE)
        layout.set_alloc_time(h5py.h5d.ALLOC_TIME_EARLY)
        layout.set_fill_time(h5py.h5d.FILL_TIME_NEVER)
        # One view is one chunk, so two random views of an object are two reads.
        chunks = (1, 1, *shape[2:]) if name == "images" else None
        file.create_dataset(name, shape, dtype, chunks=chunks, dcpl=layout)


def _write_samples(file: h5py.File, header: Header, count: int, samples: Iterable[Sample]) -> None:
    fields = _fields(header, count)
    written = 0
    for index, sample in enumerate(samples):
        written = index + 1
        if written > count:
            break
        for name, (shape, dtype) in fields.items():
            array = getattr(sample, name)
            if array.shape != shape[1:] or array.dtype != dtype:
                raise ValueError(
                    f"{name} of object {index} must be {dtype} {shape[1:]},"
                    f" got {array.dtype} {array.shape}"
                )
            file[name][index] = array
    if written != count:
        raise ValueError(f"{count} labels need {count} samples, got {written} or more")


def open_dataset(path: str | Path) -> h5py.File:
    """Open a file for reading and check that it has this layout.

    Raises:
        FileNotFoundError: if there is no such file.
        ValueError: naming the file and what is wrong with it.
    """
    path = Path(path)
    if not path.is_file():
        raise FileNotFoundError(f"data set not found: {path} (scripts/prepare_data.py makes one)")
    try:
        # Complete files never change, so readers need no lock (which some file systems lack).
        file = h5py.File(path, "r", locking=False)
    except OSError as error:
        kind = "truncated or damaged" if _has_signature(path) else "not an HDF5 file"
        raise ValueError(f"{path} is {kind}: {error}") from error
    try:
        _validate(file)
    except ValueError as error:
        file.close()
        raise ValueError(f"{path}: {error}") from error
    except (OSError, RuntimeError, KeyError) as error:  # what h5py meets in damaged metadata
        file.close()
        raise ValueError(f"{path} is damaged: {error}") from error
    return file


def _has_signature(path: Path) -> bool:
    with path.open("rb") as stream:
        return stream.read(8) == b"\x89HDF\r\n\x1a\n"


def _validate(file: h5py.File) -> None:
    schema = file.attrs.get("schema")
    if schema != SCHEMA:
        raise ValueError(f"attribute schema must be {SCHEMA!r}, got {schema!r}")
    version = file.attrs.get("schema_version")
    if version != SCHEMA_VERSION:
        raise ValueError(f"attribute schema_version must be {SCHEMA_VERSION}, got {version!r}")
    for name in ATTRIBUTES:
        if name not in file.attrs:
            raise ValueError(f"attribute {name} is missing")
    for name in ("images", "cameras", "voxels", *TEXT_FIELDS):
        if not isinstance(file.get(name), h5py.Dataset):
            raise ValueError(f"field {name} is missing")
    count, views = len(file["ids"]), file["images"].shape[1] if file["images"].ndim > 1 else 0
    for name, (shape, dtype) in _fields(_read_header(file, views), count).items():
        field = file[name]
        if field.shape != shape or field.dtype != dtype:
            raise ValueError(
                f"field {name} must be {dtype} {shape}, got {field.dtype} {field.shape}"
            )
    for name in TEXT_FIELDS:
        if file[name].shape != (count,) or h5py.check_string_dtype(file[name].dtype) is None:
            raise ValueError(
                f"field {name} must be text ({count},), got {file[name].dtype} {file[name].shape}"
            )
    unknown = set(read_texts(file, "synsets")) - {category.synset for category in CATEGORIES}
    if unknown:
        raise ValueError(f"field synsets has unknown categories {sorted(unknown)}")


def _read_header(file: h5py.File, views: int) -> Header:
    """Return what validation needs of the header."""
    size = np.asarray(file.attrs["image_size"])
    if size.shape != (2,) or not np.issubdtype(size.dtype, np.integer):
        raise ValueError(f"attribute image_size must be (height, width), got {size}")
    return Header(
        source=str(file.attrs["source"]),
        command=str(file.attrs["command"]),
        versions={},
        image_size=(int(size[0]), int(size[1])),
        num_views=views,
        voxel_resolution=int(file.attrs["voxel_resolution"]),
        voxel_mode=str(file.attrs["voxel_mode"]),
        recipe={},
        failures={},
    )


def read_texts(file: h5py.File, field: str) -> list[str]:
    """Return one text field as Python strings."""
    return [str(text) for text in file[field].asstr()[:]]


def read_json(file: h5py.File, field: str) -> dict[str, Any]:
    """Return `recipe` or `failures`; empty if the file has none."""
    if field not in file:
        return {}
    value: dict[str, Any] = json.loads(file[field].asstr()[()])
    return value
