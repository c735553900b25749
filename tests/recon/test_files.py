"""Files appear complete or not at all, folders have one writer, and tables line up."""

from __future__ import annotations

import multiprocessing
import subprocess
import sys
from concurrent.futures import ThreadPoolExecutor
from multiprocessing.connection import Connection
from pathlib import Path

import pytest

from recon.files import (
    atomic_file,
    csv_text,
    is_locked,
    locked,
    replacing,
    text_table,
    unsynced,
    write_text,
)


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
    monkeypatch.setattr("recon.files.os.fsync", synced.append)

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


def hold(folder: Path, pipe: Connection) -> None:
    with locked(folder, "evaluating"):
        pipe.send("locked")
        pipe.recv()


def test_a_second_process_is_told_what_the_first_does(tmp_path: Path) -> None:
    folder = tmp_path / "new" / "folder"
    context = multiprocessing.get_context("fork")
    ours, theirs = context.Pipe()
    other = context.Process(target=hold, args=(folder, theirs))
    other.start()
    try:
        assert ours.recv() == "locked"
        assert is_locked(folder / ".lock")
        with (
            pytest.raises(ValueError, match=r"folder: another process is evaluating here; wait"),
            locked(folder, "evaluating"),
        ):
            pass
        ours.send("done")
        other.join(timeout=20)
        assert other.exitcode == 0
    finally:
        other.kill()
    assert not is_locked(folder / ".lock")
    with locked(folder, "evaluating"):
        assert (folder / ".lock").exists()
    assert not is_locked(tmp_path / ".lock")


def test_a_folder_that_cannot_be_made_is_named(tmp_path: Path) -> None:
    (tmp_path / "file").write_text("")
    with (
        pytest.raises(OSError, match=r"cannot make the folder .*file/folder"),
        locked(tmp_path / "file" / "folder", "evaluating"),
    ):
        pass


# Another process which holds the lock, removes the folder as one that has finished, and ends.
OTHER = """
import shutil, sys, time
from pathlib import Path
from recon.files import locked
folder = Path(sys.argv[1])
with locked(folder, "preparing"):
    print("working", flush=True)
    time.sleep(0.5)
    shutil.rmtree(folder)
    (folder.parent / "done").touch()
"""


def test_a_process_can_wait_for_another(tmp_path: Path, caplog: pytest.LogCaptureFixture) -> None:
    folder = tmp_path / "folder"
    with subprocess.Popen(
        [sys.executable, "-c", OTHER, str(folder)], stdout=subprocess.PIPE, text=True
    ) as other:
        assert other.stdout is not None
        assert other.stdout.readline() == "working\n"
        with caplog.at_level("INFO"), locked(folder, "preparing", wait=True):
            assert (tmp_path / "done").exists()
            # What is locked is the file of the new folder, not of the one that was removed.
            assert (folder / ".lock").exists()
        assert "waiting for another process, which is preparing in" in caplog.text
    assert other.returncode == 0


ROWS = [["lr", "iou", "note"], ["0.001", "9.5", "best"], ["1", "10.25", ""]]


def test_columns_are_aligned() -> None:
    assert text_table(ROWS, left=-1).splitlines() == [
        "   lr    iou  note",
        "------------------",
        "0.001    9.5  best",
        "    1  10.25",
    ]
    assert text_table([["a", "bcd"], ["efg", "h"]], rules=False) == "a    bcd\nefg    h"


def test_csv_quotes_what_it_must(tmp_path: Path) -> None:
    write_text(tmp_path / "a.csv", csv_text([["a", 1], ["b,c", None]]))
    assert (tmp_path / "a.csv").read_text() == 'a,1\n"b,c",\n'


def test_a_last_row_which_sums_up_stands_below_a_rule() -> None:
    rows = [["category", "iou"], ["chair", "1.00"], ["car", "10.00"], ["mean", "5.50"]]
    assert text_table(rows, total=True).splitlines() == [
        "category    iou",
        "---------------",
        "chair      1.00",
        "car       10.00",
        "---------------",
        "mean       5.50",
    ]
