"""Reads arrays of npz files, whole or row by row, without trusting their headers."""

from __future__ import annotations

import io
import math
import os
import zipfile
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import IO, Any

import numpy as np
from numpy.typing import NDArray

from recon.formats.stores import Store

# This is NumPy's own limit; a header usually has 128 bytes.
MAX_HEADER = 10_000
# Deflate makes at most 1032 bytes out of one; a member which claims more lies.
MAX_EXPANSION = 1032


@dataclass(frozen=True)
class _Header:
    """The header of an array: its shape, its type, and where its first byte is."""

    shape: tuple[int, ...]
    dtype: np.dtype[Any]
    start: int


class Npz:
    """The arrays of an npz file that fits into memory.

    Args:
        store: The store that has the file.
        name: The name of the file.

    Raises:
        FileNotFoundError: If there is no such file.
        ValueError: If the file is no zip archive; the message names it.
    """

    def __init__(self, store: Store, name: str) -> None:
        self.label = f"{store.label}: {name}"
        data = store.read(name)
        self._size = len(data)
        with _reporting(self.label):
            self._archive = zipfile.ZipFile(io.BytesIO(data))

    def __contains__(self, key: str) -> bool:
        return f"{key}.npy" in self._archive.NameToInfo

    def read(self, key: str, shape: tuple[int | None, ...], kinds: str = "fiu") -> NDArray[Any]:
        """Returns one array.

        Args:
            key: The name of the array.
            shape: The shape that it must have; None stands for any number.
            kinds: The kinds of type that it may have, see `numpy.dtype.kind`.

        Raises:
            ValueError: If the array is missing, damaged or another one; the message names file
                and array.
        """
        label = f"{self.label}, array {key}"
        if key not in self:
            raise ValueError(f"{label} is missing; there are {self._archive.namelist()}")
        with _reporting(label):
            info = self._archive.NameToInfo[f"{key}.npy"]
            with self._archive.open(info) as stream:
                header = _read_header(stream, info, self._size)
                _require(header, shape, kinds)
                # The header's claim has been checked, and reading to the end checks the sum.
                data = stream.read()
            return np.frombuffer(data, header.dtype).reshape(header.shape)


class ArrayRows:
    """The first array of an npz file of any size, one row along its first axis at a time.

    The file is decompressed as far as the rows that are asked for: in order, that is one pass; a
    row before the last one begins again from the start. At no time is more than a row in memory.

    Args:
        path: The npz file, compressed or not.

    Attributes:
        shape: The shape of the array.
        dtype: The type of the array.

    Raises:
        FileNotFoundError: If there is no such file.
        ValueError: If the file has no array or its header lies; the message names it.
    """

    def __init__(self, path: str | Path) -> None:
        self.path = Path(path)
        if not self.path.is_file():
            raise FileNotFoundError(f"file not found: {path}")
        with _reporting(str(path)):
            self._archive = zipfile.ZipFile(self.path)
            try:
                self._stream, self._header = self._open()
            except BaseException:
                self._archive.close()
                raise
        self.shape, self.dtype = self._header.shape, self._header.dtype
        self._row_bytes = math.prod(self.shape[1:]) * self.dtype.itemsize

    def _open(self) -> tuple[IO[bytes], _Header]:
        members = [info for info in self._archive.infolist() if info.filename.endswith(".npy")]
        if not members:
            raise ValueError(f"it has no array, only {self._archive.namelist()}")
        stream = self._archive.open(members[0])
        header = _read_header(stream, members[0], os.path.getsize(self.path))
        if not header.shape:
            raise ValueError("its first array is a single number")
        return stream, header

    def read(self, index: int) -> NDArray[Any]:
        """Returns row `index` as an array of its own.

        Raises:
            ValueError: If the file is damaged or ends before it; the message names the file and the
                row.
        """
        if not 0 <= index < self.shape[0]:
            raise ValueError(f"{self.path} has {self.shape[0]} rows, no row {index}")
        with _reporting(f"{self.path}, row {index}"):
            self._stream.seek(self._header.start + index * self._row_bytes)
            data = self._stream.read(self._row_bytes)
            if len(data) != self._row_bytes:
                raise ValueError(f"the file ends within it, although it claims {self.shape[0]}")
        return np.frombuffer(data, self.dtype).reshape(self.shape[1:])

    def close(self) -> None:
        """Closes the file."""
        self._stream.close()
        self._archive.close()


@contextmanager
def _reporting(label: str) -> Iterator[None]:
    """Turns everything that is raised for damaged archives into ValueErrors with a label.

    zipfile raises BadZipFile, zlib.error, EOFError, RuntimeError, NotImplementedError and others.
    """
    try:
        yield
    except Exception as error:
        raise ValueError(f"{label}: {error or type(error).__name__}") from error


def _read_header(stream: IO[bytes], info: zipfile.ZipInfo, archive_bytes: int) -> _Header:
    """Reads the header of an array and compares its claims with the size of its member.

    Args:
        stream: The stream of the member, at its start.
        info: The archive's entry of the member.
        archive_bytes: The size of the whole archive.
    """
    if info.compress_type not in (zipfile.ZIP_STORED, zipfile.ZIP_DEFLATED):
        raise ValueError("it is compressed in a way which NumPy does not write")
    most = info.compress_size * MAX_EXPANSION if info.compress_type else info.compress_size
    if info.compress_size > archive_bytes or info.file_size > most:
        raise ValueError(
            f"{info.filename} claims {info.file_size} bytes out of {info.compress_size} in an"
            f" archive of {archive_bytes}"
        )
    magic = stream.read(8)
    if magic[:6] != b"\x93NUMPY" or magic[6:] not in (b"\x01\x00", b"\x02\x00"):
        raise ValueError(f"{info.filename} is no NumPy array, it begins with {magic!r}")
    width = 2 if magic[6] == 1 else 4
    length_bytes = stream.read(width)
    length = int.from_bytes(length_bytes, "little")
    if length > MAX_HEADER:
        raise ValueError(f"{info.filename} has a header of {length} bytes, at most {MAX_HEADER}")
    parse = np.lib.format.read_array_header_1_0 if width == 2 else _parse_header_2
    shape, fortran, dtype = parse(io.BytesIO(length_bytes + stream.read(length)))
    header = _Header(shape, dtype, 8 + width + length)
    _require_claims(header, fortran, info)
    return header


def _parse_header_2(stream: IO[bytes]) -> tuple[tuple[int, ...], bool, np.dtype[Any]]:
    return np.lib.format.read_array_header_2_0(stream)


def _require_claims(header: _Header, fortran: bool, info: zipfile.ZipInfo) -> None:
    shape, dtype = header.shape, header.dtype
    if dtype.hasobject or dtype.kind not in "biuf":
        raise ValueError(f"{info.filename} must hold numbers, got {dtype}; it is not unpickled")
    if fortran and len(shape) > 1:
        raise ValueError(
            f"{info.filename} is stored column by column; save np.ascontiguousarray of it"
        )
    # Python's integers do not overflow.
    claimed, there = math.prod(shape) * dtype.itemsize, info.file_size - header.start
    if min(shape, default=0) < 0 or claimed != there:
        raise ValueError(
            f"{info.filename} claims {dtype} {shape}, which is {claimed} bytes, but has {there}"
        )


def _require(header: _Header, shape: tuple[int | None, ...], kinds: str) -> None:
    fits = len(shape) == len(header.shape) and all(
        want in (None, side) for want, side in zip(shape, header.shape, strict=True)
    )
    if not fits or header.dtype.kind not in kinds:
        wanted = ", ".join("any" if side is None else str(side) for side in shape)
        raise ValueError(
            f"it must have the shape ({wanted}) and a type of kind {kinds}, got"
            f" {header.dtype} {header.shape}"
        )
