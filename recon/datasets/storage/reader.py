"""Reads single pieces of a file's fields: one image, or one object's array.

What is stored unfiltered lies in the file as it is in memory. Where each piece begins is looked up
once, and then the operating system copies it to where it belongs: no lock of the HDF5 library, no
cache and no buffer on the way. Filtered (compressed) fields are read through HDF5. What was read is
compared with the checksums of the file, where it has them.
"""

from __future__ import annotations

import errno
import os
from collections.abc import Sequence
from dataclasses import replace
from pathlib import Path
from typing import Any

import h5py
import numpy as np
from numpy.typing import NDArray

from recon.datasets.storage.checksums import piece_sums, read_table
from recon.datasets.storage.hdf5 import open_dataset, read_layout
from recon.datasets.storage.layout import PER_VIEW
from recon.datasets.storage.pieces import Pieces, find_pieces

# Asks for what is in memory only; 0 where the system has no such flag.
_NOWAIT: int = getattr(os, "RWF_NOWAIT", 0)


class FileReader:
    """Reads pieces of the fields of one prepared file.

    The file is held open, so unfiltered fields go on to be read with the same content when its name
    is given to another file or taken away, here and in processes forked from this one. A process
    that this object is pickled to opens the file again and refuses another content.

    Args:
        path: The path of the file.
        file: The same file, opened by `recon.datasets.storage.hdf5.open_dataset`; it is not kept.

    Attributes:
        fields: The pieces of each field, by name.
        has_checksums: Whether what is read is compared with checksums.

    Raises:
        ValueError: If the file is damaged; the message names it.
    """

    def __init__(self, path: str | Path, file: h5py.File) -> None:
        self.path = Path(path).absolute()
        # This is the file that HDF5 has opened, even if another one has its name by now.
        self._descriptor: int | None = os.dup(file.id.get_vfd_handle())
        self._identity = _identity(self._descriptor)
        self._flags = _NOWAIT
        self._forget_hdf5()
        try:
            self.fields = {
                name: self._checked_pieces(file[name], name) for name in read_layout(file).fields()
            }
            self._sums = {
                name: table.ravel()
                for name, field in self.fields.items()
                if (table := read_table(file, name, field.leading)) is not None
            }
        except (OSError, RuntimeError) as error:
            raise ValueError(f"{path} is damaged: {error}") from error
        self.has_checksums = bool(self._sums)

    def _checked_pieces(self, field: h5py.Dataset, name: str) -> Pieces:
        """Returns where the pieces are, believing no address that leads to other bytes."""
        pieces = find_pieces(field, axes=2 if name in PER_VIEW else 1)
        if pieces.addresses is None or len(pieces) == 0:
            return pieces
        ends = np.array([0, len(pieces) - 1])
        found, expected = np.empty((2, 2, *pieces.shape), pieces.dtype)
        source = _Hdf5Field(field, pieces)
        for slot, piece in enumerate(ends.tolist()):
            source.read(expected[slot], piece)
        try:
            self._read_bytes(found, pieces.nbytes, [0, 1], pieces.addresses_of(ends))
        except OSError:  # beyond the end of the file
            return replace(pieces, addresses=None)
        same = found.tobytes() == expected.tobytes()
        return pieces if same else replace(pieces, addresses=None)

    def _forget_hdf5(self) -> None:
        self._pid = -1
        self._file: h5py.File | None = None
        self._opened: dict[str, _Hdf5Field] = {}

    def __getstate__(self) -> dict[str, Any]:
        """Leaves the handles behind: another process opens its own."""
        return {**self.__dict__, "_descriptor": None, "_pid": -1, "_file": None, "_opened": {}}

    def __del__(self) -> None:
        descriptor = self.__dict__.get("_descriptor")
        if descriptor is not None:
            os.close(descriptor)

    def read(
        self,
        name: str,
        out: NDArray[Any],
        pieces: NDArray[np.int64],
        slots: Sequence[int] | None = None,
    ) -> None:
        """Reads some pieces of a field into an array, and compares them with their checksums.

        Args:
            name: The name of the field.
            out: The contiguous array [..., *shape] of the field's type that is filled.
            pieces: [...] the m numbers of the pieces to read.
            slots: [m] the place in `out`, counted in order, of each piece; None means one after the
                other.

        Raises:
            OSError: If the file cannot be read, is truncated or damaged; the message names it.
            ValueError: If another process has opened it before, and its content has changed since;
                or `out` is not contiguous.
        """
        if not out.flags.c_contiguous:
            raise ValueError(f"out must be contiguous, got strides {out.strides}")
        field = self.fields[name]
        places = range(pieces.size) if slots is None else slots
        if pieces.size == 0:
            return
        self._fill(name, out, pieces, places)
        single = out.reshape(-1, *field.shape)
        read = single[: pieces.size] if slots is None else single[list(slots)]
        wrong = self._differing(name, read, pieces.ravel())
        if len(wrong):
            where = ", view ".join(map(str, np.unravel_index(wrong[0], field.leading)))
            raise OSError(
                f"{self.path} is damaged: {name} of object number {where} differs from its"
                " checksum; scripts/inspect_data.py --verify lists all that is damaged"
            )

    def damaged(self, name: str, pieces: NDArray[np.int64]) -> list[int]:
        """Returns which pieces [m] of a field cannot be read or differ from their checksums.

        Raises:
            ValueError: If the content of the file has changed since it was opened.
        """
        field = self.fields[name]
        out = np.empty((len(pieces), *field.shape), field.dtype)
        try:
            self._fill(name, out, pieces, range(len(pieces)))
        except OSError:
            if len(pieces) == 1:
                return pieces.tolist()
            halves = np.array_split(pieces, 2)
            return [*self.damaged(name, halves[0]), *self.damaged(name, halves[1])]
        return self._differing(name, out, pieces)

    def _differing(self, name: str, read: NDArray[Any], pieces: NDArray[np.int64]) -> list[int]:
        """Returns the numbers of those pieces whose content differs from their checksum."""
        if name not in self._sums:
            return []
        return pieces[piece_sums(read) != self._sums[name][pieces]].tolist()

    def _fill(
        self, name: str, out: NDArray[Any], pieces: NDArray[np.int64], places: Sequence[int]
    ) -> None:
        """Reads some pieces of a field into the places of an array."""
        field = self.fields[name]
        if field.addresses is not None:
            self._read_bytes(out, field.nbytes, places, field.addresses_of(pieces.ravel()))
            return
        source = self._hdf5(name)
        try:
            single = out.reshape(-1, *field.shape)
            for slot, piece in zip(places, pieces.ravel().tolist(), strict=True):
                source.read(single[slot], piece)
        except (OSError, RuntimeError) as error:
            raise OSError(f"cannot read {name} of {self.path}: {error}") from error

    def _read_bytes(
        self, out: NDArray[Any], nbytes: int, slots: Sequence[int], addresses: Sequence[int]
    ) -> None:
        """Fills the slots of `out`, of so many bytes each, from their addresses.

        What is in memory is copied at once. The rest is asked for all together before any of it is
        waited for, so that the disk works on many requests at a time.
        """
        file, flags, preadv = self._opened_descriptor(), self._flags, os.preadv
        buffer = out.reshape(-1).view(np.uint8).data
        late = []
        for slot, address in zip(slots, addresses, strict=True):
            begin = slot * nbytes
            target = buffer[begin : begin + nbytes]
            try:
                if flags and preadv(file, (target,), address, flags) == nbytes:
                    continue
            except OSError as error:
                if error.errno == errno.EOPNOTSUPP:  # by this file system
                    flags = self._flags = 0
            _will_need(file, address, nbytes)
            late.append((target, address))
        for target, address in late:
            self._read_whole(file, target, address)

    def _read_whole(self, file: int, target: memoryview, address: int) -> None:
        """Fills a buffer, waiting for the disk."""
        done = 0
        while done < len(target):
            try:
                count = os.preadv(file, (target[done:],), address + done)
            except OSError as error:
                raise OSError(error.errno, f"cannot read {self.path}: {error.strerror}") from error
            if count == 0:
                raise OSError(
                    f"{self.path} is truncated: {os.fstat(file).st_size} bytes"
                    f" of the {self._identity[0]} it had when it was opened"
                )
            done += count

    def _opened_descriptor(self) -> int:
        """Returns this process's descriptor of the file, which is the one looked at first."""
        if self._descriptor is None:
            try:
                self._descriptor = os.open(self.path, os.O_RDONLY)
            except OSError as error:
                raise OSError(
                    error.errno, f"cannot open {self.path} again: {error.strerror}"
                ) from error
        self._require_unchanged(self._descriptor)
        return self._descriptor

    def _require_unchanged(self, descriptor: int) -> None:
        found = _identity(descriptor)
        if found != self._identity:
            raise ValueError(
                f"{self.path} has changed since the data set was opened"
                f" (from {self._identity[0]} bytes to {found[0]}); start again"
            )

    def _hdf5(self, name: str) -> _Hdf5Field:
        """Returns a field as HDF5 opens it, in this process."""
        if self._file is None or self._pid != os.getpid():
            self._forget_hdf5()
            file = open_dataset(self.path)
            self._require_unchanged(file.id.get_vfd_handle())
            self._file, self._pid = file, os.getpid()
        if name not in self._opened:
            self._opened[name] = _Hdf5Field(self._file[name], self.fields[name])
        return self._opened[name]


def _identity(descriptor: int) -> tuple[int, int]:
    """Returns what tells a content from another one: size and time of the last change."""
    status = os.fstat(descriptor)
    return status.st_size, status.st_mtime_ns


def _will_need(descriptor: int, address: int, count: int) -> None:
    """Asks the system to begin to read from the disk."""
    if hasattr(os, "posix_fadvise"):
        os.posix_fadvise(descriptor, address, count, os.POSIX_FADV_WILLNEED)


class _Hdf5Field:
    """A field opened in this process, with everything made beforehand that a read needs."""

    def __init__(self, field: h5py.Dataset, pieces: Pieces) -> None:
        access = h5py.h5p.create(h5py.h5p.DATASET_ACCESS)
        if field.chunks == pieces.single:
            access.set_chunk_cache(1, 0, 1.0)  # whole chunks go straight to where they belong
        self._field = h5py.h5d.open(h5py.h5i.get_file_id(field.id), field.name.encode(), access)
        self._pieces = pieces
        self._source = self._field.get_space()
        self._target = h5py.h5s.create_simple(pieces.shape)
        self._type = h5py.h5t.py_create(pieces.dtype)

    def read(self, out: NDArray[Any], piece: int) -> None:
        """Reads a piece into `out`."""
        self._source.select_hyperslab(self._pieces.offset(piece), self._pieces.single)
        self._field.read(self._target, self._source, out, self._type)
