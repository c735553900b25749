from __future__ import annotations

from pathlib import Path

import pytest

from recon.atomic_files import atomic_file, replacing


def test_the_name_appears_only_at_the_end(tmp_path: Path) -> None:
    path = tmp_path / "x"
    path.write_text("old")
    with replacing(path) as temporary:
        temporary.write_text("new")
        assert path.read_text() == "old"
    assert path.read_text() == "new"
    assert list(tmp_path.iterdir()) == [path]


def _write_half(path: Path) -> None:
    with replacing(path) as temporary:
        temporary.write_text("half")
        raise RuntimeError("boom")


def test_a_failure_leaves_nothing_new(tmp_path: Path) -> None:
    with pytest.raises(RuntimeError, match="boom"):
        _write_half(tmp_path / "x")
    assert list(tmp_path.iterdir()) == []


def test_an_atomic_file_appears_only_at_the_end(tmp_path: Path) -> None:
    path = tmp_path / "table.csv"
    with atomic_file(path) as file:
        file.write(b"a,b\n")
        assert not path.exists()
    assert path.read_bytes() == b"a,b\n"
