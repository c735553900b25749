"""Voxel grids in the run-length format of the program binvox."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from recon.formats.stores import Store

# A grid of 512 has 134 million voxels; the public ones have 32 to 256 along a side.
MAX_RESOLUTION = 512
# The five lines of a header are about 80 bytes.
MAX_HEADER = 1000
# Numbers after each keyword of the header.
KEYWORDS = {b"dim": 3, b"translate": 3, b"scale": 1}


@dataclass(frozen=True)
class Binvox:
    """A voxel grid and the cube it fills.

    Attributes:
        voxels: [R, R, R] bool, indexed [x, y, z] in the axes of the voxelised mesh.
        corner: (x, y, z) of the cube's least corner in the mesh's own coordinates; None where the
            file does not tell it.
        side: The side of the cube in the mesh's units; None where the file does not tell it.
    """

    voxels: NDArray[np.bool_]
    corner: tuple[float, float, float] | None
    side: float | None


def read_binvox(store: Store, name: str) -> Binvox:
    """Reads a file of the format https://www.patrickmin.com/binvox/binvox.html.

    Voxel (i, j, k) has its centre at corner + side * ((i, j, k) + 0.5) / R.

    Args:
        store: The store that has the file.
        name: The name of the file.

    Raises:
        FileNotFoundError: If there is no such file.
        ValueError: If the file is not of this format or its runs do not fill the grid; the message
            names it.
    """
    data = store.read(name)
    try:
        return _parse(data)
    except ValueError as error:
        raise ValueError(f"{store.label}: {name} is no usable binvox file: {error}") from error


def _parse(data: bytes) -> Binvox:
    header, start = _header(data)
    resolution = _resolution(header)
    corner, side = header.get(b"translate"), header.get(b"scale", [None])[0]
    if side is not None and side <= 0:
        raise ValueError(f"scale must be > 0, got {side:g}")
    return Binvox(
        voxels=_voxels(np.frombuffer(data, np.uint8, offset=start), resolution),
        corner=None if corner is None else (corner[0], corner[1], corner[2]),
        side=side,
    )


def _header(data: bytes) -> tuple[dict[bytes, list[float]], int]:
    """Returns the numbers by keyword, and where the runs begin."""
    if not data.startswith(b"#binvox "):
        raise ValueError(f"it must begin with '#binvox 1', got {data[:12]!r}")
    end = data.find(b"\ndata\n", 0, MAX_HEADER)
    if end < 0:
        raise ValueError("its header has no line 'data'")
    numbers: dict[bytes, list[float]] = {}
    for line in data[:end].splitlines()[1:]:
        keyword, *words = line.split()
        if keyword not in KEYWORDS or keyword in numbers:
            raise ValueError(f"its header has an unexpected line {line!r}")
        numbers[keyword] = _numbers(line, words, KEYWORDS[keyword])
    return numbers, end + len(b"\ndata\n")


def _numbers(line: bytes, words: list[bytes], count: int) -> list[float]:
    try:
        numbers = [float(word) for word in words]
    except ValueError:
        numbers = []
    if len(numbers) != count or not np.isfinite(numbers).all():
        raise ValueError(f"its header line {line!r} must have {count} finite numbers")
    return numbers


def _resolution(header: dict[bytes, list[float]]) -> int:
    if b"dim" not in header:
        raise ValueError("its header has no line 'dim'")
    sides = header[b"dim"]
    if len(set(sides)) != 1 or not 1 <= sides[0] <= MAX_RESOLUTION or sides[0] % 1:
        raise ValueError(f"dim must be three equal integers of 1..{MAX_RESOLUTION}, got {sides}")
    return int(sides[0])


def _voxels(runs: NDArray[np.uint8], resolution: int) -> NDArray[np.bool_]:
    """Returns [x, y, z] of pairs (value, count), of which y runs fastest, then z, then x."""
    if len(runs) % 2:
        raise ValueError("its last run has no length")
    values, counts = runs[::2], runs[1::2]
    if len(values) and values.max() > 1:
        raise ValueError(f"voxels must be 0 or 1, got {values.max()}")
    # Counted before anything of that size is allocated.
    total = int(counts.sum(dtype=np.int64))
    if total != resolution**3:
        raise ValueError(f"its runs must fill {resolution}^3 = {resolution**3} voxels, got {total}")
    grid = np.repeat(values.astype(np.bool_), counts).reshape((resolution,) * 3)
    return np.ascontiguousarray(grid.transpose(0, 2, 1))
