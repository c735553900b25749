"""One process at a time writes into a folder."""

from __future__ import annotations

import multiprocessing
from multiprocessing.connection import Connection
from pathlib import Path

import pytest

from recon.folder_locks import locked


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
    with locked(folder, "evaluating"):
        assert (folder / ".lock").exists()
