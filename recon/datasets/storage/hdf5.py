"""The one HDF5 file of all multi-view data sets: writing, and opening with validation.

For N objects the file holds every array of `recon.datasets.storage.layout` as a field [N, ...], and

    ids, names, synsets, groups, splits, licences  [N]  UTF-8 text
    recipe, failures                                    JSON
    checksums                                           see `recon.datasets.storage.checksums`

A file is read as a file from a stranger: nothing in it may lead to other files of the machine.
"""

from __future__ import annotations

import errno
import json
import os
import shutil
from collections.abc import Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import h5py
import numpy as np
import torch
from numpy.typing import NDArray

from recon.datasets.storage.checksums import (
    GROUP,
    create_tables,
    piece_sums,
    read_table,
    require_attributes,
    require_texts,
    table_bytes,
    write_sums,
    write_text_sums,
)
from recon.datasets.storage.compression import require_available, require_readable, storage_options
from recon.datasets.storage.layout import (
    PER_VIEW,
    Layout,
    ObjectArrays,
    layout_of,
    voxel_resolutions,
)
from recon.files import replacing
from recon.geometry.cameras import Cameras

SCHEMA = "recon.multiview"
SCHEMA_VERSION = 2
TEXT_FIELDS = ("ids", "names", "synsets", "groups", "splits", "licences")
ATTRIBUTES = ("source", "command", "versions")


@dataclass(frozen=True)
class Header:
    """The data that describe a whole file.

    Attributes:
        source: The name of the source.
        command: The command that made the file.
        versions: The versions of the programs that made it.
        config: The configuration, plain data that determines the content.
        failures: The objects left out, as {id: reason}.
    """

    source: str
    command: str
    versions: Mapping[str, str]
    config: Mapping[str, Any]
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


def write_dataset(
    path: str | Path,
    header: Header,
    layout: Layout,
    labels: Sequence[Labels],
    objects: Iterable[ObjectArrays],
    compression: str = "none",
) -> None:
    """Writes a file, which appears under its name only when it is complete.

    Args:
        path: The file; its folder must exist.
        header: What is the same for all objects.
        layout: The arrays that every object has.
        labels: The labels of each object.
        objects: The arrays of each object, in the same order; they are read one at a time.
        compression: The compression of images and voxels, a key of
            `recon.datasets.storage.compression.COMPRESSIONS`.

    Raises:
        ValueError: If the number of objects or the shape or type of an array is wrong, two objects
            have the same id, or the compression is not there.
        OSError: If the file cannot be written (a full disk, say); the message names it.
    """
    path = Path(path)
    _require_distinct([label.id for label in labels])
    require_available(compression)
    try:
        _require_space(path, _known_size(layout, len(labels), compression))
        with replacing(path) as temporary, h5py.File(temporary, "w", libver="v110") as file:
            _write_header(file, header)
            _write_labels(file, labels)
            _create_arrays(file, layout, len(labels), compression)
            create_tables(file, layout, len(labels))
            write_text_sums(file, _texts(header, labels))
            file.flush()
            _reserve(temporary)
            _write_objects(file, layout, len(labels), _spaced(path, layout, objects, compression))
            file.flush()  # closing alone would not tell of a failed write
    except (OSError, RuntimeError) as error:  # h5py reports some failed writes as RuntimeError
        raise OSError(f"cannot write {path}: {error}") from error


def _require_distinct(ids: Sequence[str]) -> None:
    seen: set[str] = set()
    for id_ in ids:
        if id_ in seen:
            raise ValueError(f"ids must differ, got {id_!r} twice")
        seen.add(id_)


def _known_size(layout: Layout, count: int, compression: str) -> int:
    """Returns the bytes that a file will have for certain: compressed arrays may be of any size."""
    fields = layout.fields().items()
    arrays = count * sum(f.nbytes for name, f in fields if not _is_packed(name, compression))
    tables = table_bytes(layout, count)
    return arrays + arrays // 50 + tables + (1 << 19)  # with texts and the index of the chunks


def _is_packed(name: str, compression: str) -> bool:
    """Tells whether a field is to be compressed: images and voxels are, if anything is."""
    return compression != "none" and (_is_image(name) or bool(voxel_resolutions([name])))


def _is_image(name: str) -> bool:
    return name in PER_VIEW and name != "cameras"


def _require_space(path: Path, needed: int) -> None:
    """Refuses to begin what cannot be finished."""
    free = shutil.disk_usage(path.parent).free
    if free < needed:
        raise OSError(
            errno.ENOSPC, f"{needed / 1e6:.1f} MB needed, {free / 1e6:.1f} MB free on the disk"
        )


def _spaced(
    path: Path, layout: Layout, objects: Iterable[ObjectArrays], compression: str
) -> Iterator[ObjectArrays]:
    """Yields the objects, and checks the free space before each where it cannot be reserved."""
    one = sum(field.nbytes for field in layout.fields().values())
    for arrays in objects:
        if compression != "none":
            _require_space(path, 2 * one + (1 << 20))  # what HDF5 has not written yet comes on top
        yield arrays


def _reserve(path: Path) -> None:
    """Claims the disk space of a file whose arrays are laid out but not written.

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
    # Attributes are limited to 64 KiB; these two have no limit.
    for name, text in _documents(header).items():
        file[name] = text


def _documents(header: Header) -> dict[str, str]:
    values = {"recipe": header.config, "failures": header.failures}
    return {name: json.dumps(dict(value), sort_keys=True) for name, value in values.items()}


def _write_labels(file: h5py.File, labels: Sequence[Labels]) -> None:
    for field, texts in _label_texts(labels).items():
        file.create_dataset(field, data=texts, shape=(len(labels),), dtype=h5py.string_dtype())


def _label_texts(labels: Sequence[Labels]) -> dict[str, list[str]]:
    return {field: [getattr(label, field[:-1]) for label in labels] for field in TEXT_FIELDS}


def _texts(header: Header, labels: Sequence[Labels]) -> dict[str, list[str]]:
    """Returns all that is stored as text and has a checksum, by field."""
    return {**_label_texts(labels), **{n: [text] for n, text in _documents(header).items()}}


def _create_arrays(file: h5py.File, layout: Layout, count: int, compression: str) -> None:
    for name, (shape, dtype) in layout.fields().items():
        packed = _is_packed(name, compression)
        options = h5py.h5p.create(h5py.h5p.DATASET_CREATE)
        options.set_fill_time(h5py.h5d.FILL_TIME_NEVER)
        if not packed:
            options.set_alloc_time(h5py.h5d.ALLOC_TIME_EARLY)
        # One image is one chunk, so two random views of an object are two reads.
        chunks = (1, 1, *shape[1:]) if _is_image(name) else (1, *shape) if packed else None
        filters = storage_options(compression, np.dtype(dtype).itemsize) if packed else {}
        file.create_dataset(name, (count, *shape), dtype, chunks=chunks, dcpl=options, **filters)


def _write_objects(
    file: h5py.File, layout: Layout, count: int, objects: Iterable[ObjectArrays]
) -> None:
    written = 0
    for index, arrays in enumerate(objects):
        written = index + 1
        if written > count:
            break
        try:
            layout.check(arrays)
        except ValueError as error:
            raise ValueError(f"object {index}: {error}") from error
        for name, array in arrays.items():
            file[name][index] = array
        write_sums(file, index, arrays)
    if written != count:
        raise ValueError(f"{count} labels need {count} objects, got {written} or more")


def open_dataset(path: str | Path) -> h5py.File:
    """Opens a file for reading and checks that it has this layout.

    Raises:
        FileNotFoundError: If there is no such file.
        ValueError: If the file is not valid; the message names it and what is wrong with it.
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
    _require_own_content(file)
    schema = file.attrs.get("schema")
    if schema != SCHEMA:
        raise ValueError(f"attribute schema must be {SCHEMA!r}, got {schema!r}")
    version = file.attrs.get("schema_version")
    if version != SCHEMA_VERSION:
        raise ValueError(
            f"attribute schema_version must be {SCHEMA_VERSION}, got {version};"
            " make the file again with scripts/prepare_data.py"
        )
    for name in ATTRIBUTES:
        if name not in file.attrs:
            raise ValueError(f"attribute {name} is missing")
    require_attributes(file)
    for name in TEXT_FIELDS:
        if not isinstance(file.get(name), h5py.Dataset):
            raise ValueError(f"field {name} is missing")
    count = len(file["ids"])
    for name, (shape, dtype) in read_layout(file).fields().items():
        field = file[name]
        if field.shape != (count, *shape) or field.dtype != dtype:
            raise ValueError(
                f"field {name} must be {dtype} {(count, *shape)}, got {field.dtype} {field.shape}"
            )
        require_readable(field)
    for name in TEXT_FIELDS:
        if file[name].shape != (count,) or h5py.check_string_dtype(file[name].dtype) is None:
            raise ValueError(
                f"field {name} must be text ({count},), got {file[name].dtype} {file[name].shape}"
            )


def _require_own_content(group: h5py.Group) -> None:
    """Refuses links to other places and arrays whose bytes lie in other files.

    Raises:
        ValueError: If the content lies outside of the file; the message names the link or the
            field.
    """
    for name in group:
        if not isinstance(group.get(name, getlink=True), h5py.HardLink):
            raise ValueError(f"{name} is a link to another place or file, which is refused")
        found = group[name]
        if isinstance(found, h5py.Dataset):
            if found.id.get_create_plist().get_external_count() or found.is_virtual:
                raise ValueError(f"the data of field {name} lie in another file, which is refused")
        elif name == GROUP:
            _require_own_content(found)


def read_layout(file: h5py.File) -> Layout:
    """Returns which arrays the objects of a file have.

    Raises:
        ValueError: If a field is missing or has an impossible shape; the message names it.
    """
    return layout_of(
        {
            name: field.shape[1:]
            for name, field in file.items()
            if isinstance(field, h5py.Dataset) and name not in TEXT_FIELDS
        }
    )


def read_texts(file: h5py.File, field: str) -> list[str]:
    """Returns one text field as Python strings.

    Raises:
        ValueError: If they differ from their checksum.
    """
    texts = [str(text) for text in file[field].asstr()[:]]
    require_texts(file, field, texts)
    return texts


def read_cameras(file: h5py.File) -> NDArray[np.float32]:
    """Returns the cameras [N, K, 16] of all objects, or [1, K, 16] where all have the same.

    Raises:
        ValueError: If one is not a camera, or they differ from their checksums.
    """
    rows: NDArray[np.float32] = file["cameras"][:]
    table = read_table(file, "cameras", rows.shape[:2])
    if table is not None and (piece_sums(rows.reshape(-1, rows.shape[2])) != table.ravel()).any():
        raise ValueError("field cameras differs from its checksums: the file is damaged")
    if len(rows) and (rows == rows[:1]).all():
        rows = rows[:1].copy()
    try:
        Cameras.from_rows(torch.from_numpy(rows).flatten(0, 1))
    except ValueError as error:
        raise ValueError(f"field cameras: {str(error).partition(', got')[0]}") from error
    return rows


def read_json(file: h5py.File, field: str) -> dict[str, Any]:
    """Returns `recipe` (the `config` of the header) or `failures`; empty if the file has none.

    Raises:
        ValueError: If it differs from its checksum.
    """
    if field not in file:
        return {}
    text = str(file[field].asstr()[()])
    require_texts(file, field, [text])
    value: dict[str, Any] = json.loads(text)
    return value
