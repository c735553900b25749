from __future__ import annotations

import pytest

from recon.datasets.formats import read_surface


def test_suffix_chooses_the_reader_whatever_its_case(folder) -> None:
    store = folder({"M.OBJ": "v 0 0 0\nv 1 0 0\nv 0 1 0\nf 1 2 3\n"})
    assert len(read_surface(store, "M.OBJ").faces) == 1


def test_unknown_suffix_is_named(folder) -> None:
    with pytest.raises(ValueError, match=r"m\.blend: suffix '\.blend' is not one of \.3ds"):
        read_surface(folder({"m.blend": ""}), "m.blend")


def test_missing_file_is_named(folder) -> None:
    with pytest.raises(FileNotFoundError, match=r"m\.obj"):
        read_surface(folder({"n.obj": ""}), "m.obj")
