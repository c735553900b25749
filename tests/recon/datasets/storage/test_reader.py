from __future__ import annotations

import errno
import multiprocessing
import os
import pickle
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path

import h5py
import numpy as np
import pytest
from numpy.typing import NDArray

from recon.datasets.storage import reader as reading
from recon.datasets.storage.hdf5 import open_dataset
from recon.datasets.storage.reader import FileReader

SOME = np.array([3, 35, 0, 3, 17])


def open_reader(path: Path) -> FileReader:
    with open_dataset(path) as file:
        return FileReader(path, file)


def images(reader: FileReader, pieces: NDArray[np.int64] = SOME) -> NDArray[np.uint8]:
    out = np.empty((len(pieces), 4, 6, 8), np.uint8)
    reader.read("images", out, pieces)
    return out


@pytest.fixture
def expected(samples) -> NDArray[np.uint8]:
    return np.stack([sample["images"] for sample in samples]).reshape(36, 4, 6, 8)[SOME]


def rewrite(path: Path, **options: object) -> Path:
    """Store the images anew with other options of HDF5."""
    with h5py.File(path, "r+") as file:
        stored = file["images"][:]
        del file["images"]
        file.create_dataset("images", data=stored, **options)
    return path


@pytest.mark.parametrize(
    ("options", "plain"),
    [
        (None, True),
        ({"chunks": (1, 1, 4, 6, 8)}, True),
        ({}, True),
        ({"chunks": (2, 3, 4, 6, 8)}, False),
        ({"chunks": (1, 1, 4, 6, 8), "compression": "lzf"}, False),
        ({"chunks": (2, 3, 4, 6, 8), "compression": "gzip"}, False),
    ],
)
def test_pieces_are_read_however_they_are_stored(
    data_file: Path, samples, expected, options, plain: bool
) -> None:
    if options is not None:
        rewrite(data_file, **options)
    reader = open_reader(data_file)
    assert (reader.fields["images"].addresses is not None) is plain
    assert np.array_equal(images(reader), expected)
    voxels = np.empty((3, 8), np.uint8)
    reader.read("voxels_4", voxels, np.array([11, 0, 4]))
    assert np.array_equal(voxels, [samples[row]["voxels_4"] for row in (11, 0, 4)])


def test_slots_say_where_pieces_go(data_file: Path, expected) -> None:
    out = np.zeros((7, 4, 6, 8), np.uint8)
    open_reader(data_file).read("images", out, SOME, [6, 0, 2, 5, 1])
    assert np.array_equal(out[[6, 0, 2, 5, 1]], expected)
    assert not out[[3, 4]].any()


def test_nothing_to_read(data_file: Path) -> None:
    assert images(open_reader(data_file), np.array([], np.int64)).shape == (0, 4, 6, 8)


@pytest.mark.parametrize("code", [errno.EAGAIN, errno.EOPNOTSUPP])
def test_what_is_not_in_memory_is_waited_for(
    data_file: Path, expected, monkeypatch: pytest.MonkeyPatch, code: int
) -> None:
    """EAGAIN: the disk has to be asked. EOPNOTSUPP: the file system cannot tell."""
    reader, asked, real = open_reader(data_file), [], os.preadv

    def preadv(file: int, buffers: object, address: int, flags: int = 0) -> int:
        asked.append(flags)
        if flags:
            raise OSError(code, os.strerror(code))
        return real(file, buffers, address)

    monkeypatch.setattr(os, "preadv", preadv)
    monkeypatch.setattr(reading, "_NOWAIT", 8)
    reader._flags = 8
    assert np.array_equal(images(reader), expected)
    assert asked == ([8] * 5 + [0] * 5 if code == errno.EAGAIN else [8] + [0] * 5)


def test_parts_of_a_piece_are_joined(
    data_file: Path, expected, monkeypatch: pytest.MonkeyPatch
) -> None:
    reader, real = open_reader(data_file), os.preadv

    def preadv(file: int, buffers: tuple[memoryview], address: int, flags: int = 0) -> int:
        return real(file, (buffers[0][:100],), address)

    monkeypatch.setattr(os, "preadv", preadv)
    assert np.array_equal(images(reader), expected)


def test_wrong_addresses_are_not_believed(
    data_file: Path, expected, monkeypatch: pytest.MonkeyPatch
) -> None:
    real = reading.find_pieces

    def shifted(field: h5py.Dataset, axes: int) -> reading.Pieces:
        pieces = real(field, axes)
        first = pieces.addresses[0] + 8
        return reading.replace(pieces, addresses=range(first, first + 10**6, pieces.nbytes))

    monkeypatch.setattr(reading, "find_pieces", shifted)
    reader = open_reader(data_file)
    assert reader.fields["images"].addresses is None
    assert np.array_equal(images(reader), expected)


# ---- the file changes meanwhile ------------------------------------------------------------------


def test_a_file_that_was_taken_away_is_read_on(data_file: Path, expected) -> None:
    reader = open_reader(data_file)
    data_file.unlink()
    assert np.array_equal(images(reader), expected)


def test_a_file_that_got_another_version_is_read_on(data_file: Path, expected) -> None:
    reader = open_reader(data_file)
    new = data_file.with_name("new.h5")
    new.write_bytes(b"\x89HDF\r\n\x1a\n" * 1000)
    os.replace(new, data_file)
    assert np.array_equal(images(reader), expected)


def test_a_copy_refuses_another_version(data_file: Path, expected) -> None:
    reader = open_reader(data_file)
    assert np.array_equal(images(pickle.loads(pickle.dumps(reader))), expected)
    copy = pickle.loads(pickle.dumps(reader))
    os.utime(data_file, ns=(0, 0))
    with pytest.raises(ValueError, match=r"data\.h5 has changed"):
        images(copy)


def test_a_compressed_copy_refuses_another_version(data_file: Path) -> None:
    reader = open_reader(rewrite(data_file, chunks=(1, 1, 4, 6, 8), compression="lzf"))
    os.utime(data_file, ns=(0, 0))
    with pytest.raises(ValueError, match=r"data\.h5 has changed"):
        images(reader)


def test_a_file_cut_short_is_named(data_file: Path) -> None:
    reader = open_reader(data_file)
    size = data_file.stat().st_size
    os.truncate(data_file, 3000)
    with pytest.raises(ValueError, match=rf"data\.h5 has changed .*from {size} bytes to 3000"):
        images(reader)


def test_a_file_cut_short_while_it_is_read_is_named(
    data_file: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    reader = open_reader(data_file)
    monkeypatch.setattr(reader, "_require_unchanged", lambda descriptor: None)
    os.truncate(data_file, 3000)
    with pytest.raises(OSError, match=r"data\.h5 is truncated: 3000 bytes of"):
        images(reader)


def test_a_disk_that_fails_is_named(data_file: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    reader = open_reader(data_file)

    def preadv(*args: object) -> int:
        raise OSError(errno.EIO, os.strerror(errno.EIO))

    monkeypatch.setattr(os, "preadv", preadv)
    with pytest.raises(OSError, match=r"cannot read .*data\.h5: Input/output error"):
        images(reader)


def test_damaged_compressed_images_are_named(data_file: Path) -> None:
    rewrite(data_file, chunks=(1, 1, 4, 6, 8), compression="gzip", fletcher32=True)
    with h5py.File(data_file, "r+") as file:
        file["images"].id.write_direct_chunk((1, 0, 0, 0, 0), b"nonsense")
    with pytest.raises(OSError, match=r"cannot read images of .*data\.h5"):
        images(open_reader(data_file))


# ---- several readers at once ---------------------------------------------------------------------


def test_readers_in_threads_do_not_disturb_each_other(data_file: Path, expected) -> None:
    reader = open_reader(data_file)
    with ThreadPoolExecutor(4) as pool:
        found = list(pool.map(lambda _: images(reader), range(50)))
    assert all(np.array_equal(one, expected) for one in found)


@pytest.mark.parametrize("compressed", [False, True])
def test_parent_and_child_read_at_once_after_a_fork(
    data_file: Path, expected, compressed: bool
) -> None:
    if compressed:
        rewrite(data_file, chunks=(1, 1, 4, 6, 8), compression="lzf")
    reader, other = open_reader(data_file), open_reader(data_file)
    assert np.array_equal(images(reader), expected)  # the handles are open now
    context = multiprocessing.get_context("fork")
    queue = context.Queue()

    def work() -> None:
        queue.put(all(np.array_equal(images(reader), expected) for _ in range(200)))

    child = context.Process(target=work)
    child.start()
    for _ in range(200):
        assert np.array_equal(images(reader), expected)
        assert np.array_equal(images(other), expected)
    assert queue.get(timeout=60) is True
    child.join()


def test_handles_are_closed_with_the_reader(data_file: Path) -> None:
    before = len(os.listdir("/proc/self/fd"))
    for _ in range(20):
        images(open_reader(data_file))
    assert len(os.listdir("/proc/self/fd")) == before
