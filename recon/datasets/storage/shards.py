"""Opens one data set that consists of several files."""

from __future__ import annotations

import dataclasses
import glob
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path

import numpy as np
from numpy.typing import NDArray

from recon.datasets.storage.hdf5 import (
    TEXT_FIELDS,
    open_dataset,
    read_cameras,
    read_layout,
    read_texts,
)
from recon.datasets.storage.layout import Layout
from recon.datasets.storage.reader import FileReader

Paths = str | Path | Sequence[str | Path]


@dataclass(frozen=True)
class Shard:
    """One prepared file, with everything in memory but its large arrays.

    Attributes:
        path: The path as it was given.
        layout: The arrays that its objects have.
        texts: One text per object, for each text field.
        cameras: The camera rows [N, K, 16], or [1, K, 16] where all objects have the same.
        reader: The reader of the other arrays.
    """

    path: Path
    layout: Layout
    texts: dict[str, list[str]]
    cameras: NDArray[np.float32]
    reader: FileReader

    def __len__(self) -> int:
        return len(self.texts["ids"])


def open_shards(paths: Paths) -> list[Shard]:
    """Opens all files of a data set.

    Args:
        paths: The path of a file, several paths, or a pattern such as 'data/nmr_*.h5'.

    Raises:
        FileNotFoundError: If a file is not there.
        ValueError: If a file is not valid, or two files have different layouts or an object in
            common; the message names them.
    """
    shards = [_open_shard(path) for path in find_files(paths)]
    _require_same_layout(shards)
    _require_distinct_ids(shards)
    return shards


def find_files(paths: Paths) -> list[Path]:
    """Returns the files that are meant, those of a pattern in the order of their names.

    Raises:
        FileNotFoundError: If no file matches a pattern.
        ValueError: If no file is named.
    """
    given = [paths] if isinstance(paths, str | Path) else list(paths)
    if not given:
        raise ValueError("a data set needs at least one file, got none")
    return [found for path in given for found in _matches(path)]


def _matches(path: str | Path) -> list[Path]:
    if Path(path).exists() or not glob.has_magic(str(path)):
        return [Path(path)]
    found = sorted(glob.glob(str(path), recursive=True))
    if not found:
        raise FileNotFoundError(f"no file matches {path}")
    return [Path(match) for match in found]


def _open_shard(path: Path) -> Shard:
    with open_dataset(path) as file:
        try:
            return Shard(
                path,
                read_layout(file),
                {field: read_texts(file, field) for field in TEXT_FIELDS},
                read_cameras(file),
                FileReader(path, file),
            )
        except (OSError, RuntimeError, ValueError) as error:
            named = str(error).startswith(str(path))
            raise ValueError(str(error) if named else f"{path}: {error}") from error


def all_cameras(shards: Sequence[Shard]) -> NDArray[np.float32]:
    """Returns the cameras [N, K, 16] of all objects, or [1, K, 16] where they are the same."""
    first = shards[0].cameras
    if all(len(s.cameras) == 1 and np.array_equal(s.cameras, first) for s in shards):
        return first
    rows = [np.broadcast_to(s.cameras, (len(s), *s.cameras.shape[1:])) for s in shards]
    return np.concatenate(rows)


def _require_same_layout(shards: Sequence[Shard]) -> None:
    first = shards[0]
    for shard in shards[1:]:
        for field in dataclasses.fields(Layout):
            wanted, found = getattr(first.layout, field.name), getattr(shard.layout, field.name)
            if found != wanted:
                raise ValueError(
                    f"files of one data set must have the same layout: {field.name} is {wanted}"
                    f" in {first.path} and {found} in {shard.path}"
                )


def _require_distinct_ids(shards: Sequence[Shard]) -> None:
    seen: dict[str, Path] = {}
    for shard in shards:
        for id_ in shard.texts["ids"]:
            if id_ in seen:
                raise ValueError(f"object {id_!r} is in {seen[id_]} and again in {shard.path}")
            seen[id_] = shard.path
