"""train.py in several processes: the numbers of one, and what happens when one dies."""

from __future__ import annotations

import os
import re
import signal
import subprocess
import sys
import time
from pathlib import Path
from typing import Any

import pytest
import torch

from recon.runs.checkpoints import load_checkpoint
from recon.runs.directory import read_json, read_validations

ROOT = Path(__file__).resolve().parents[1]
# Plain gradient descent: Adam makes full steps of the rounding of gradients which are zero.
SETTINGS = (
    "experiment=smoke",
    "optimizer._target_=torch.optim.SGD",
    "~optimizer.betas",
    "optimizer.lr=0.01",
    "trainer.precision=float32",
    "trainer.validate_every=2",
)


def command(data: Path, folder: Path, *more: str, launcher: tuple[str, ...] = ()) -> list[str]:
    start = ["-m", "torch.distributed.run", "--standalone", *launcher] if launcher else []
    places = (f"data.path={data}", f"output_dir={folder}")
    return [sys.executable, *start, "train.py", *SETTINGS, *places, *more]


def started(arguments: list[str]) -> subprocess.Popen[str]:
    return subprocess.Popen(
        arguments,
        cwd=ROOT,
        env={**os.environ, "OMP_NUM_THREADS": "1"},
        stdout=subprocess.PIPE,
        stderr=subprocess.STDOUT,
        text=True,
    )


def finished(process: subprocess.Popen[str]) -> str:
    output = process.communicate(timeout=300)[0]
    assert process.returncode == 0, output
    return output


def last(folder: Path) -> dict[str, Any]:
    return load_checkpoint(folder / "checkpoints" / "last.pt")


def flat(checkpoint: Path) -> torch.Tensor:
    """All weights and statistics of a model in a row."""
    model = load_checkpoint(checkpoint)["model"]
    return torch.cat([value.double().flatten() for value in model.values()])


TWO = ("--nproc-per-node=2",)


def test_two_processes_compute_what_one_does(shapes_file: Path, tmp_path: Path) -> None:
    finished(started(command(shapes_file, tmp_path / "one")))
    output = finished(started(command(shapes_file, tmp_path / "two", launcher=TWO)))
    assert output.count("best validation IoU") == 1
    one, two = (flat(tmp_path / name / "checkpoints" / "last.pt") for name in ("one", "two"))
    moved = one - flat(tmp_path / "one" / "checkpoints" / "previous.pt")
    # Rounding, which sharp edges of silhouettes amplify.
    assert float((two - one).norm()) < 0.01 * float(moved.norm())
    assert len(last(tmp_path / "two")["random"]) == 2
    ious = [
        [row["iou"] for row in read_validations(tmp_path / name / "validation.csv")]
        for name in ("one", "two")
    ]
    assert len(ious[0]) == 2
    assert ious[1] == pytest.approx(ious[0], abs=1e-3)

    # The other number of processes may continue either.
    more = ("trainer.max_steps=6",)
    finished(started(command(shapes_file, tmp_path / "two", *more)))
    finished(started(command(shapes_file, tmp_path / "one", *more, launcher=TWO)))
    for name in ("one", "two"):
        assert read_json(tmp_path / name / "result.json")["step"] == 6


LONG = ("trainer.max_steps=60", "trainer.checkpoint_every=2", "trainer.validate_every=0")


def kill_second(
    process: subprocess.Popen[str], checkpoint: Path, signum: int, after: int = 0
) -> None:
    """Sends a signal to the worker of rank 1, once there is a checkpoint newer than a time."""
    deadline = time.monotonic() + 200
    while not checkpoint.exists() or checkpoint.stat().st_mtime_ns <= after:
        assert process.poll() is None, process.communicate()[0]
        assert time.monotonic() < deadline
        time.sleep(0.02)
    children = Path(f"/proc/{process.pid}/task/{process.pid}/children").read_text().split()
    for child in children:
        if b"\0RANK=1\0" in b"\0" + Path(f"/proc/{child}/environ").read_bytes():
            os.kill(int(child), signum)
            return
    pytest.fail("there is no worker of rank 1")


IN_PROC = pytest.mark.skipif(not Path("/proc/self/environ").exists(), reason="needs /proc")


@IN_PROC
def test_a_killed_worker_is_started_again_and_then_ends_the_job(
    shapes_file: Path, tmp_path: Path
) -> None:
    launcher = (*TWO, "--max-restarts=1")
    process = started(command(shapes_file, tmp_path, *LONG, launcher=launcher))
    checkpoint = tmp_path / "checkpoints" / "last.pt"
    kill_second(process, checkpoint, signal.SIGKILL)
    written = checkpoint.stat().st_mtime_ns
    kill_second(process, checkpoint, signal.SIGKILL, after=written)
    output = process.communicate(timeout=300)[0]
    assert process.returncode != 0
    assert re.search(r"Signal 9 \(SIGKILL\)", output)
    assert output.count("continuing at step") == 1
    assert not (tmp_path / "result.json").exists()
    assert 0 < last(tmp_path)["step"] < 60
    assert "continuing at step" in finished(started(command(shapes_file, tmp_path, *LONG)))
    assert read_json(tmp_path / "result.json")["step"] == 60


@IN_PROC
def test_a_signal_to_one_worker_saves_all(shapes_file: Path, tmp_path: Path) -> None:
    process = started(command(shapes_file, tmp_path, *LONG, launcher=TWO))
    kill_second(process, tmp_path / "checkpoints" / "last.pt", signal.SIGTERM)
    output = process.communicate(timeout=300)[0]
    assert process.returncode != 0
    assert output.count("stopped by a signal at step") == 1
    assert not (tmp_path / "result.json").exists()
    assert 0 < last(tmp_path)["step"] < 60
