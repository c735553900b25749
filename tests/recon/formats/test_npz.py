from __future__ import annotations

import io
import tracemalloc
import zipfile
from pathlib import Path

import numpy as np
import pytest

from recon.formats.npz import ArrayRows, Npz


def npz(compressed: bool = True, **arrays: np.ndarray) -> bytes:
    buffer = io.BytesIO()
    (np.savez_compressed if compressed else np.savez)(buffer, **arrays)
    return buffer.getvalue()


def header(shape: tuple[int, ...], descr: str = "|u1", fortran: bool = False) -> bytes:
    buffer = io.BytesIO()
    claims = {"descr": descr, "fortran_order": fortran, "shape": shape}
    np.lib.format.write_array_header_1_0(buffer, claims)
    return buffer.getvalue()


def member(content: bytes, compression: int = zipfile.ZIP_DEFLATED) -> bytes:
    """An npz file with one array of the given bytes."""
    buffer = io.BytesIO()
    with zipfile.ZipFile(buffer, "w", compression) as archive:
        archive.writestr("a.npy", content)
    return buffer.getvalue()


def lying_directory(data: bytes, size: int) -> bytes:
    """The archive with another uncompressed size in its directory."""
    entry = data.rindex(b"PK\x01\x02")
    return data[: entry + 24] + size.to_bytes(4, "little") + data[entry + 28 :]


ROWS = np.random.default_rng(0).integers(0, 256, (7, 40, 50), np.uint8)
# What NumPy would have to unpickle, or allocate, or cannot be.
BROKEN = {
    "pickled": (npz(a=np.array([{"a": 1}], object)), "must hold numbers, got object"),
    "structured": (npz(a=np.zeros(2, [("x", "f4")])), "must hold numbers"),
    "lie": (member(header((2**31, 2)) + b"0" * 99), "claims uint8 .2147483648, 2."),
    "negative": (member(header((-1, -99)) + b"0" * 99), "claims uint8 .-1, -99."),
    "overflow": (member(header((2**40, 2**40)) + b"0"), "claims uint8"),
    "directory": (
        lying_directory(member(header((2**31 - 128,))), 2**31),
        "claims 2147483648 bytes out of",
    ),
    "short": (member(header((50,)) + b"0" * 49), "claims uint8 .50,., which is 50 bytes"),
    "fortran": (member(header((5, 10), fortran=True) + b"0" * 50), "column by column"),
    "magic": (member(b"GIF89a" + b"0" * 50), "is no NumPy array"),
    "header": (member(b"\x93NUMPY\x02\x00" + b"\xff" * 50), "has a header of 4294967295 bytes"),
    "bzip2": (member(header((50,)) + b"0" * 50, zipfile.ZIP_BZIP2), "which NumPy does not write"),
    "truncated": (npz(a=ROWS)[:5000], "not a zip file"),
    "text": (b"hello", "not a zip file"),
}


@pytest.mark.parametrize("compressed", [True, False])
def test_arrays_are_those_of_the_file(folder, compressed: bool) -> None:
    points, number = np.random.default_rng(1).random((9, 3)).astype(np.float16), np.array(2.5)
    store = folder({"a.npz": npz(compressed, points=points, scale=number)})
    file = Npz(store, "a.npz")
    assert (file.read("points", (None, 3)) == points).all()
    assert file.read("scale", ()) == 2.5
    assert "points" in file
    assert "other" not in file


@pytest.mark.parametrize(
    ("shape", "kinds", "message"),
    [((None, 4), "f", "shape .any, 4."), ((None,), "f", "shape .any."), ((9, 3), "iu", "kind iu")],
)
def test_other_arrays_than_wanted_are_refused(folder, shape, kinds, message) -> None:
    file = Npz(folder({"a.npz": npz(points=np.zeros((9, 3)))}), "a.npz")
    with pytest.raises(ValueError, match=rf"a\.npz, array points.*{message}.*got float64 .9, 3."):
        file.read("points", shape, kinds)
    with pytest.raises(ValueError, match=r"array normals is missing; there are \['points\.npy'\]"):
        file.read("normals", (9, 3))


@pytest.mark.parametrize("case", BROKEN)
def test_a_broken_array_is_named_whole_or_in_rows(folder, tmp_path: Path, case: str) -> None:
    content, message = BROKEN[case]
    store = folder({"a.npz": content})
    tracemalloc.start()
    for read in (
        lambda: Npz(store, "a.npz").read("a", (None,)),
        lambda: ArrayRows(tmp_path / "store" / "a.npz"),
    ):
        with pytest.raises(ValueError, match=rf"a\.npz.*{message}"):
            read()
    assert tracemalloc.get_traced_memory()[1] < 2_000_000
    tracemalloc.stop()


def test_a_damaged_array_is_named(folder) -> None:
    data = bytearray(npz(False, a=np.arange(50)))
    data[300] ^= 1
    with pytest.raises(ValueError, match=r"a\.npz, array a: Bad CRC-32"):
        Npz(folder({"a.npz": bytes(data)}), "a.npz").read("a", (50,))


@pytest.mark.parametrize("compressed", [True, False])
def test_rows_in_any_order_are_those_of_the_first_array(tmp_path: Path, compressed: bool) -> None:
    path = tmp_path / "a.npz"
    path.write_bytes(npz(compressed, arr_0=ROWS, other=np.zeros(3)))
    rows = ArrayRows(path)
    assert (rows.shape, rows.dtype) == (ROWS.shape, ROWS.dtype)
    for index in (0, 1, 4, 6, 2, 2, 5, 0):
        assert (rows.read(index) == ROWS[index]).all()
    with pytest.raises(ValueError, match="has 7 rows, no row 7"):
        rows.read(7)
    rows.close()


def test_rows_in_order_are_one_pass(tmp_path: Path, monkeypatch) -> None:
    path = tmp_path / "a.npz"
    path.write_bytes(npz(arr_0=ROWS))
    read = 0
    original = zipfile.ZipExtFile.read

    def counted(self, n=-1):
        nonlocal read
        data = original(self, n)
        read += len(data)
        return data

    monkeypatch.setattr(zipfile.ZipExtFile, "read", counted)
    rows = ArrayRows(path)
    for index in (0, 1, 3, 4, 6):  # what is passed over is decompressed, once
        rows.read(index)
    assert 5 * ROWS[0].nbytes <= read <= ROWS.nbytes + 128
    rows.read(0)
    assert read <= ROWS.nbytes + 128 + ROWS[0].nbytes + 128


def test_damage_among_the_rows_is_named(tmp_path: Path) -> None:
    data = bytearray(npz(arr_0=ROWS))
    data[len(data) // 2 : len(data) // 2 + 9] = b"\xff" * 9
    path = tmp_path / "a.npz"
    path.write_bytes(bytes(data))
    rows = ArrayRows(path)
    assert (rows.read(1) == ROWS[1]).all()
    with pytest.raises(ValueError, match=r"a\.npz, row 6: "):
        rows.read(6)


def test_rows_which_end_early_are_named(tmp_path: Path) -> None:
    """Header and directory tell the same lie, in a proportion that deflate could reach."""
    real = member(header((4, 1000)) + bytes(2000), zipfile.ZIP_DEFLATED)
    path = tmp_path / "a.npz"
    path.write_bytes(lying_directory(real, 4128))
    rows = ArrayRows(path)
    assert not rows.read(1).any()
    with pytest.raises(ValueError, match=r"a\.npz, row 2: "):
        rows.read(2)


def test_a_missing_file_is_named(tmp_path: Path, folder) -> None:
    with pytest.raises(FileNotFoundError, match=r"none\.npz"):
        ArrayRows(tmp_path / "none.npz")
    with pytest.raises(FileNotFoundError, match=r"none\.npz"):
        Npz(folder({"a": ""}), "none.npz")


def test_an_archive_without_arrays_or_with_a_number_has_no_rows(tmp_path: Path) -> None:
    path = tmp_path / "a.npz"
    with zipfile.ZipFile(path, "w") as archive:
        archive.writestr("a.txt", "")
    with pytest.raises(ValueError, match=r"no array, only \['a\.txt'\]"):
        ArrayRows(path)
    path.write_bytes(npz(a=np.array(3.0)))
    with pytest.raises(ValueError, match="a single number"):
        ArrayRows(path)
