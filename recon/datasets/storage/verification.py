"""Reads all of a prepared file to find what is damaged in it."""

from __future__ import annotations

import math
from pathlib import Path

import numpy as np

from recon.datasets.storage.hdf5 import open_dataset, read_json
from recon.datasets.storage.shards import open_shards

# Bytes read at a time.
BATCH = 1 << 26
SHOWN = 5


def verify(path: str | Path) -> list[str]:
    """Reads every array of a file, and compares all with its checksums.

    Args:
        path: The file, made by scripts/prepare_data.py. One of an earlier version has no checksums;
            then only what cannot be read at all is found.

    Returns:
        What is damaged, a line for each field; none if all is as it was written.

    Raises:
        FileNotFoundError: If there is no such file.
        ValueError: If the file cannot be opened, or its texts or cameras are damaged; the message
            names it.
    """
    (shard,) = open_shards(path)
    with open_dataset(path) as file:
        for name in ("recipe", "failures"):
            try:
                read_json(file, name)
            except (OSError, RuntimeError, ValueError) as error:
                raise ValueError(f"{path}: {error}") from error
    ids, lines = shard.texts["ids"], []
    for name, field in shard.reader.fields.items():
        batch = max(1, BATCH // max(1, field.nbytes))
        damaged = [
            piece
            for start in range(0, len(field), batch)
            for piece in shard.reader.damaged(
                name, np.arange(start, min(start + batch, len(field)))
            )
        ]
        if damaged:
            per_object = math.prod(field.leading[1:])
            objects = list(dict.fromkeys(ids[piece // per_object] for piece in damaged))
            more = f" and {len(objects) - SHOWN} more" if len(objects) > SHOWN else ""
            lines.append(
                f"{name}: {len(damaged)} of {len(field)} pieces are damaged, of the objects"
                f" {', '.join(objects[:SHOWN])}{more}"
            )
    return lines


def has_checksums(path: str | Path) -> bool:
    """Tells whether a valid file has checksums; those of earlier versions have none.

    Raises:
        FileNotFoundError, ValueError: If `verify` raises it.
    """
    (shard,) = open_shards(path)
    return shard.reader.has_checksums
