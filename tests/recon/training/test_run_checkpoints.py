"""The checkpoints of a run: one is always there, and a damaged one gives way to the one before."""

from __future__ import annotations

import resource
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any

import pytest
import torch

from recon.runs.checkpoints import load_checkpoint
from recon.runs.directory import RunDirectory, RunRefusedError
from recon.training.run_checkpoints import MAX_DUMPS, RunCheckpoints

CONFIG: dict[str, Any] = {"seed": 0, "output_dir": "here"}


def state(step: int) -> dict[str, Any]:
    return {"model": {"w": torch.full((1000,), float(step))}, "optimizer": {}, "step": step}


def checkpoints(folder: Path, **config: Any) -> RunCheckpoints:
    run = RunDirectory(folder, {**CONFIG, **config})
    run.checkpoints.mkdir(parents=True, exist_ok=True)
    return RunCheckpoints(run)


def resumed_step(folder: Path) -> int:
    checkpoint = checkpoints(folder).resume()
    assert checkpoint is not None
    return int(checkpoint["step"])


def test_the_last_two_and_the_best_are_kept(tmp_path: Path) -> None:
    files = checkpoints(tmp_path)
    assert files.resume() is None
    files.save_best(state(1))
    for step in (1, 2, 3):
        files.save_last(state(step))
    steps = {path.name: load_checkpoint(path)["step"] for path in files.last.parent.iterdir()}
    assert steps == {"last.pt": 3, "previous.pt": 2, "best.pt": 1}
    assert load_checkpoint(files.last)["config"] == CONFIG


@pytest.mark.parametrize("damage", ["truncated", "foreign", "empty", "missing"])
def test_a_damaged_last_checkpoint_gives_way(
    tmp_path: Path, damage: str, caplog: pytest.LogCaptureFixture
) -> None:
    files = checkpoints(tmp_path)
    for step in (1, 2):
        files.save_last(state(step))
    whole = files.last.read_bytes()
    if damage == "missing":
        files.last.unlink()
    else:
        files.last.write_bytes(
            {"truncated": whole[:-100], "foreign": b"PK\x03\x04", "empty": b""}[damage]
        )
    assert resumed_step(tmp_path) == 1
    assert damage == "missing" or "last.pt: truncated or not a checkpoint" in caplog.text


def test_no_readable_checkpoint_is_an_error_not_a_new_start(tmp_path: Path) -> None:
    files = checkpoints(tmp_path)
    for path in (files.last, files.previous):
        path.write_bytes(b"x")
    with pytest.raises(
        ValueError, match=r"no checkpoint to continue from: .*last\.pt.*previous\.pt"
    ):
        files.resume()


def test_a_checkpoint_moved_from_another_run_is_refused(tmp_path: Path) -> None:
    checkpoints(tmp_path / "a").save_last(state(1))
    target = checkpoints(tmp_path / "b", seed=1)
    target.last.write_bytes((tmp_path / "a" / "checkpoints" / "last.pt").read_bytes())
    with pytest.raises(RunRefusedError, match="seed: 0 -> 1"):
        target.resume()


def test_a_full_disk_leaves_the_checkpoint_before(tmp_path: Path) -> None:
    files = checkpoints(tmp_path)
    files.save_last(state(1))
    with small_files(1000), pytest.raises(OSError, match=r"could not write .*last\.pt"):
        files.save_last(state(2))
    assert resumed_step(tmp_path) == 1
    assert sorted(path.name for path in files.last.parent.iterdir()) == ["last.pt", "previous.pt"]
    files.save_last(state(3))
    assert resumed_step(tmp_path) == 3


@contextmanager
def small_files(limit: int) -> Iterator[None]:
    """Lets no file of this process grow over a limit, as if the disk were full there."""
    before = resource.getrlimit(resource.RLIMIT_FSIZE)
    resource.setrlimit(resource.RLIMIT_FSIZE, (limit, before[1]))
    try:
        yield
    finally:
        resource.setrlimit(resource.RLIMIT_FSIZE, before)


def test_a_file_system_without_links_keeps_both_too(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    def refuse(*_: object) -> None:
        raise OSError("no links here")

    monkeypatch.setattr("os.link", refuse)
    files = checkpoints(tmp_path)
    for step in (1, 2):
        files.save_last(state(step))
    assert load_checkpoint(files.previous)["step"] == 1
    assert resumed_step(tmp_path) == 2


def test_dumps_are_few(tmp_path: Path) -> None:
    files = checkpoints(tmp_path)
    names = [files.save_dump(state(step)) for step in range(MAX_DUMPS + 2)]
    assert [name and name.name for name in names] == ["step_1.pt", "step_2.pt", None, None]
    assert files.save_dump(state(1)) == tmp_path / "dumps" / "step_2.pt"  # the same step again
