from __future__ import annotations

from concurrent.futures import ThreadPoolExecutor
from pathlib import Path

import pytest

from recon.atomic_files import atomic_file, replacing, unsynced


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


def test_files_are_synced_but_for_those_of_a_block_that_does_without(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    synced: list[int] = []
    monkeypatch.setattr("recon.atomic_files.os.fsync", synced.append)

    def write(name: str) -> int:
        before = len(synced)
        with atomic_file(tmp_path / name) as file:
            file.write(b"x")
        assert (tmp_path / name).read_bytes() == b"x"
        return len(synced) - before

    assert write("a") == 2  # the file and its folder
    with unsynced():
        assert write("b") == 0
        with ThreadPoolExecutor(1) as pool:  # a thread of its own is not in the block
            assert pool.submit(write, "c").result() == 2
    assert write("d") == 2
