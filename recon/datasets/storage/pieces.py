"""Finds where the equal pieces of a field lie in an HDF5 file."""

from __future__ import annotations

import math
import os
from dataclasses import dataclass, replace
from typing import Any

import h5py
import numpy as np
from numpy.typing import NDArray

# The number of addresses that are compared before all are taken to be in a row.
_SAMPLES = 16


@dataclass(frozen=True)
class Pieces:
    """The equal pieces of one field, numbered in C order of its leading axes.

    Attributes:
        leading: The number of pieces along each leading axis, (N, K) for views and else (N,).
        shape: The shape of one piece.
        dtype: The type of its numbers.
        addresses: The place of each piece's first byte in the file; None where only HDF5 can read
            them.
    """

    leading: tuple[int, ...]
    shape: tuple[int, ...]
    dtype: np.dtype[Any]
    addresses: range | NDArray[np.int64] | None

    def __len__(self) -> int:
        return math.prod(self.leading)

    @property
    def nbytes(self) -> int:
        """The number of bytes of one piece."""
        return math.prod(self.shape) * self.dtype.itemsize

    @property
    def single(self) -> tuple[int, ...]:
        """The sides of one piece within the whole field."""
        return (*(1 for _ in self.leading), *self.shape)

    def offset(self, piece: int) -> tuple[int, ...]:
        """Returns the corner of a piece within the whole field."""
        first, second = divmod(piece, self.leading[-1])
        leading = (first, second) if len(self.leading) == 2 else (piece,)
        return (*leading, *(0 for _ in self.shape))

    def addresses_of(self, pieces: NDArray[np.int64]) -> list[int]:
        """Returns where some pieces begin."""
        if isinstance(self.addresses, range):
            return (self.addresses.start + pieces * self.addresses.step).tolist()
        assert self.addresses is not None
        return self.addresses[pieces].tolist()


def find_pieces(field: h5py.Dataset, axes: int) -> Pieces:
    """Returns the pieces of a field, with their addresses where each lies unfiltered in one part.

    Args:
        field: The field of an open file.
        axes: The number of its axes that number the pieces.
    """
    pieces = Pieces(field.shape[:axes], field.shape[axes:], field.dtype, None)
    creation = field.id.get_create_plist()
    if not hasattr(os, "preadv") or not field.dtype.isnative or creation.get_external_count():
        return pieces
    if creation.get_layout() == h5py.h5d.CONTIGUOUS and field.id.get_offset() is not None:
        return replace(pieces, addresses=_in_a_row(field.id.get_offset(), pieces))
    if field.chunks == pieces.single and creation.get_nfilters() == 0:
        return replace(pieces, addresses=_chunk_addresses(field, pieces))
    return pieces


def _in_a_row(start: int, pieces: Pieces) -> range:
    return range(start, start + len(pieces) * pieces.nbytes, pieces.nbytes)


def _chunk_addresses(field: h5py.Dataset, pieces: Pieces) -> range | NDArray[np.int64] | None:
    """Returns the addresses of chunks of one piece each; None unless all are there."""
    count = len(pieces)
    if count == 0 or field.id.get_num_chunks() != count:
        return None
    if field.maxshape == field.shape and field.id.get_create_plist().get_alloc_time() == (
        h5py.h5d.ALLOC_TIME_EARLY
    ):
        # All were placed when the field was made, in ascending order. So they are in a row when the
        # last is where it is in a row; some between are looked at too.
        row = _in_a_row(_chunk_address(field, pieces, 0), pieces)
        places = np.linspace(0, count - 1, min(count, _SAMPLES)).astype(int).tolist()
        if all(_chunk_address(field, pieces, place) == row[place] for place in places):
            return row
    table = np.full(pieces.leading, -1, np.int64)

    def note(chunk: h5py.h5d.StoreInfo) -> None:
        table[chunk.chunk_offset[: table.ndim]] = chunk.byte_offset

    field.id.chunk_iter(note)
    return table.ravel() if (table >= 0).all() else None


def _chunk_address(field: h5py.Dataset, pieces: Pieces, piece: int) -> int:
    return field.id.get_chunk_info_by_coord(pieces.offset(piece)).byte_offset
