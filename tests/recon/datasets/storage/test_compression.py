from __future__ import annotations

import importlib.util
import sys
from pathlib import Path

import h5py
import numpy as np
import pytest

from recon.datasets.storage.compression import (
    COMPRESSIONS,
    compression_of,
    require_readable,
    storage_options,
)

VALUES = np.arange(4000, dtype=np.float32).reshape(10, 400)
AVAILABLE = [
    pytest.param(
        name,
        marks=pytest.mark.skipif(
            name == "blosc2" and importlib.util.find_spec("hdf5plugin") is None,
            reason="hdf5plugin is not installed",
        ),
    )
    for name in COMPRESSIONS
]


@pytest.mark.parametrize("compression", AVAILABLE)
@pytest.mark.parametrize("dtype", ["uint8", "float32"])
def test_what_is_stored_comes_back(tmp_path: Path, compression: str, dtype: str) -> None:
    values = VALUES.astype(dtype)
    with h5py.File(tmp_path / "x.h5", "w") as file:
        options = storage_options(compression, values.itemsize)
        file.create_dataset("x", data=values, chunks=(1, 400), **options)
    with h5py.File(tmp_path / "x.h5") as file:
        require_readable(file["x"])
        assert compression_of(file["x"]) == compression
        assert np.array_equal(file["x"][:], values)


def test_other_filters_have_a_name_too(tmp_path: Path) -> None:
    with h5py.File(tmp_path / "x.h5", "w") as file:
        file.create_dataset("x", data=VALUES, compression="gzip", shuffle=True, fletcher32=True)
        assert compression_of(file["x"]) == "deflate + fletcher32"
        require_readable(file["x"])


def test_unknown_compression() -> None:
    with pytest.raises(ValueError, match=r"one of .*'none', 'lzf', 'blosc2'.* got 'zip'"):
        storage_options("zip", 1)


def test_missing_package_is_named(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setitem(sys.modules, "hdf5plugin", None)
    with pytest.raises(ValueError, match=r"'blosc2' needs the package hdf5plugin \(pip install"):
        storage_options("blosc2", 1)


def test_a_filter_that_is_not_there_is_named(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    with h5py.File(tmp_path / "x.h5", "w") as file:
        # An optional filter (flag 1) is left out in writing where it is not there.
        creation = h5py.h5p.create(h5py.h5p.DATASET_CREATE)
        creation.set_chunk((1, 400))
        creation.set_filter(32099, h5py.h5z.FLAG_OPTIONAL, ())
        file.create_dataset("x", VALUES.shape, "f4", dcpl=creation)
        monkeypatch.setitem(sys.modules, "hdf5plugin", None)
        with pytest.raises(ValueError, match=r"field x is compressed with .*HDF5 filter 32099"):
            require_readable(file["x"])
