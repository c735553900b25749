from __future__ import annotations

import numpy as np
import pytest

from recon.formats.binvox import read_binvox
from tests.recon.preparation.known_object import runs

HEADER = "#binvox 1\ndim {0} {0} {0}\ntranslate -0.5 0.25 -1\nscale 2.5\ndata\n"


def test_grid_and_cube_are_those_of_the_file(folder) -> None:
    grid = np.random.default_rng(0).random((12, 12, 12)) > 0.6
    grid[3:9] = True  # runs longer than a byte counts
    file = read_binvox(folder({"a.binvox": HEADER.format(12).encode() + runs(grid)}), "a.binvox")
    assert (file.voxels == grid).all()
    assert file.corner == (-0.5, 0.25, -1.0)
    assert file.side == 2.5


def test_y_runs_fastest_then_z(folder) -> None:
    data = bytes([0, 1, 1, 1, 0, 6])  # the second of eight voxels
    store = folder({"a.binvox": b"#binvox 1\ndim 2 2 2\ndata\n" + data})
    file = read_binvox(store, "a.binvox")
    assert np.argwhere(file.voxels).tolist() == [[0, 1, 0]]
    assert file.corner is file.side is None


@pytest.mark.parametrize(
    ("content", "message"),
    [
        (b"", "must begin with '#binvox 1'"),
        (b"\x89PNG\r\n", "must begin with '#binvox 1'"),
        (b"#binvox 1\ndim 2 2 2\n", "no line 'data'"),
        (b"#binvox 1\n" + b" " * 2000 + b"\ndata\n", "no line 'data'"),
        (b"#binvox 1\ntranslate 0 0 0\ndata\n", "no line 'dim'"),
        (b"#binvox 1\ndim 2 2 3\ndata\n", "three equal integers"),
        (b"#binvox 1\ndim 2 2\ndata\n", "must have 3 finite numbers"),
        (b"#binvox 1\ndim 1e9 1e9 1e9\ndata\n", "three equal integers of 1..512"),
        (b"#binvox 1\ndim 2.5 2.5 2.5\ndata\n", "three equal integers"),
        (b"#binvox 1\ndim 2 2 2\ntranslate 0 nan 0\ndata\n", "must have 3 finite numbers"),
        (b"#binvox 1\ndim 2 2 2\nscale 0\ndata\n\0\x08", "scale must be > 0"),
        (b"#binvox 1\ndim 2 2 2\nsize 3\ndata\n\0\x08", "unexpected line"),
        (b"#binvox 1\ndim 2 2 2\ndim 2 2 2\ndata\n\0\x08", "unexpected line"),
        (b"#binvox 1\ndim 2 2 2\ndata\n", "got 0"),
        (b"#binvox 1\ndim 512 512 512\ndata\n\x01\xff", "got 255"),
        (b"#binvox 1\ndim 2 2 2\ndata\n\0\x07", "got 7"),
        (b"#binvox 1\ndim 2 2 2\ndata\n\0\xff\x01\xff", "got 510"),
        (b"#binvox 1\ndim 2 2 2\ndata\n\0\x08\x01", "no length"),
        (b"#binvox 1\ndim 2 2 2\ndata\n\x07\x08", "voxels must be 0 or 1, got 7"),
    ],
)
def test_a_broken_file_is_named(folder, content: bytes, message: str) -> None:
    with pytest.raises(ValueError, match=rf"m/a\.binvox is no usable binvox file.*{message}"):
        read_binvox(folder({"m/a.binvox": content}), "m/a.binvox")
