from __future__ import annotations

from collections.abc import Callable
from pathlib import Path

import h5py
import numpy as np
import pytest

from recon.datasets.storage.pieces import Pieces, find_pieces

SHAPE = (5, 3, 2, 4)
VALUES = np.arange(np.prod(SHAPE), dtype=np.int16).reshape(SHAPE)
Make = Callable[[h5py.File], h5py.Dataset]


def early(file: h5py.File) -> h5py.Dataset:
    options = h5py.h5p.create(h5py.h5p.DATASET_CREATE)
    options.set_alloc_time(h5py.h5d.ALLOC_TIME_EARLY)
    return file.create_dataset("x", SHAPE, "i2", chunks=(1, 1, 2, 4), dcpl=options)


def late(file: h5py.File) -> h5py.Dataset:
    return file.create_dataset("x", SHAPE, "i2", chunks=(1, 1, 2, 4))


def growing(file: h5py.File) -> h5py.Dataset:
    return file.create_dataset("x", SHAPE, "i2", chunks=(1, 1, 2, 4), maxshape=(None, *SHAPE[1:]))


def contiguous(file: h5py.File) -> h5py.Dataset:
    return file.create_dataset("x", SHAPE, "i2")


def compressed(file: h5py.File) -> h5py.Dataset:
    return file.create_dataset("x", SHAPE, "i2", chunks=(1, 1, 2, 4), compression="lzf")


def large_chunks(file: h5py.File) -> h5py.Dataset:
    return file.create_dataset("x", SHAPE, "i2", chunks=(1, 3, 2, 4))


def foreign_order(file: h5py.File) -> h5py.Dataset:
    return file.create_dataset("x", SHAPE, ">i2")


def elsewhere(file: h5py.File) -> h5py.Dataset:
    raw = Path(file.filename).with_suffix(".raw")
    return file.create_dataset("x", SHAPE, "i2", external=[(str(raw), 0, VALUES.nbytes)])


def pieces_of(path: Path, make: Make, order: list[int], user_block: int = 0) -> Pieces:
    """Write the rows in some order and return where their pieces are."""
    with h5py.File(path, "w", libver="v110", userblock_size=user_block) as file:
        field = make(file)
        for row in order:
            field[row] = VALUES[row]
    with h5py.File(path, "r") as file:
        return find_pieces(file["x"], 2)


@pytest.mark.parametrize("order", [[0, 1, 2, 3, 4], [3, 0, 4, 2, 1]])
@pytest.mark.parametrize(
    ("make", "in_a_row"), [(early, True), (contiguous, True), (late, False), (growing, False)]
)
def test_the_bytes_of_a_piece_lie_at_its_address(
    tmp_path: Path, make: Make, in_a_row: bool, order: list[int]
) -> None:
    pieces = pieces_of(tmp_path / "x.h5", make, order)
    assert (pieces.leading, pieces.shape, pieces.nbytes, len(pieces)) == ((5, 3), (2, 4), 16, 15)
    assert isinstance(pieces.addresses, range) is in_a_row
    content = (tmp_path / "x.h5").read_bytes()
    for piece, address in enumerate(pieces.addresses_of(np.arange(15))):
        assert content[address : address + 16] == VALUES[divmod(piece, 3)].tobytes()
        assert pieces.offset(piece) == (*divmod(piece, 3), 0, 0)


@pytest.mark.parametrize("make", [early, contiguous, late])
def test_a_user_block_shifts_addresses(tmp_path: Path, make: Make) -> None:
    pieces = pieces_of(tmp_path / "x.h5", make, [0, 1, 2, 3, 4], user_block=1024)
    (address,) = pieces.addresses_of(np.array([7]))
    content = (tmp_path / "x.h5").read_bytes()
    assert content[address : address + 16] == VALUES[2, 1].tobytes()


@pytest.mark.parametrize("make", [compressed, large_chunks, foreign_order, elsewhere])
def test_what_is_not_plain_bytes_has_no_addresses(tmp_path: Path, make: Make) -> None:
    assert pieces_of(tmp_path / "x.h5", make, [0, 1, 2, 3, 4]).addresses is None


@pytest.mark.parametrize("make", [late, contiguous])
def test_what_was_never_written_has_no_addresses(tmp_path: Path, make: Make) -> None:
    written = [0, 1] if make is late else []
    assert pieces_of(tmp_path / "x.h5", make, written).addresses is None


def test_a_piece_per_object(tmp_path: Path) -> None:
    with h5py.File(tmp_path / "x.h5", "w") as file:
        field = file.create_dataset("x", data=VALUES)
        pieces = find_pieces(field, 1)
    assert (pieces.leading, pieces.shape, pieces.single) == ((5,), (3, 2, 4), (1, 3, 2, 4))
    assert pieces.offset(4) == (4, 0, 0, 0)
