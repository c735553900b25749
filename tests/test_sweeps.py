"""Sweeps of train.py, run, interrupted and compared as their user does it."""

from __future__ import annotations

import os
import signal
import subprocess
import sys
import time
from collections.abc import Callable
from pathlib import Path
from subprocess import CompletedProcess

import pytest

from recon.runs.sweeps.runs import read_sweep

ROOT = Path(__file__).resolve().parents[1]
Run = Callable[..., CompletedProcess[str]]


def statuses(folder: Path) -> dict[str, str]:
    runs, bad = read_sweep(folder)
    assert not bad
    return {f"{run.value('optimizer.lr')} {run.value('seed')}": run.status for run in runs}


def start_and_stop(command: list[str], last: Path, signum: int) -> tuple[int, str]:
    """Starts a sweep and sends a signal when a checkpoint is there."""
    process = subprocess.Popen(
        [sys.executable, "train.py", *command],
        cwd=ROOT,
        env={**os.environ, "OMP_NUM_THREADS": "1"},
        stdout=subprocess.PIPE,
        stderr=subprocess.STDOUT,
        text=True,
    )
    deadline = time.monotonic() + 200
    while not last.exists() and process.poll() is None and time.monotonic() < deadline:
        time.sleep(0.01)
    process.send_signal(signum)
    output, _ = process.communicate(timeout=200)
    return process.returncode, output


def test_a_sweep_goes_on_where_it_was_interrupted_and_failures_do_not_end_it(
    run_script: Run, shapes_file: Path, tmp_path: Path
) -> None:
    more = ("trainer.max_steps=40", "trainer.checkpoint_every=3", "trainer.validate_every=20")
    files = (f"data.path={shapes_file}", f"output_dir={tmp_path}")
    command = ["-m", "experiment=smoke", *files, *more, "optimizer.lr=-1,1e-3", "seed=0,1"]
    shared = "trainer.checkpoint_every=3,trainer.max_steps=40,trainer.validate_every=20"
    folders = [
        tmp_path / f"experiment=smoke,optimizer.lr=0.001,seed={seed},{shared}" for seed in (0, 1)
    ]
    lasts = [folder / "checkpoints" / "last.pt" for folder in folders]
    failed = {"-1.0 0.0": "failed", "-1.0 1.0": "failed"}

    status, output = start_and_stop(command, lasts[0], signal.SIGINT)
    assert status == 130, output
    assert statuses(tmp_path) == {**failed, "0.001 0.0": "interrupted"}

    status, output = start_and_stop(command, lasts[1], signal.SIGKILL)
    assert status == -9, output
    assert "continuing at step" in output
    assert statuses(tmp_path) == {**failed, "0.001 0.0": "finished", "0.001 1.0": "interrupted"}

    written = lasts[0].stat().st_mtime_ns
    done = run_script("train.py", *command)
    assert done.returncode == 1  # of the failed ones
    assert "optimizer.lr must be a finite number > 0" in done.stderr
    assert statuses(tmp_path) == {**failed, "0.001 0.0": "finished", "0.001 1.0": "finished"}
    assert lasts[0].stat().st_mtime_ns == written


@pytest.mark.parametrize(
    ("launcher", "module"), [("joblib", "joblib"), ("submitit_local", "submitit")]
)
def test_a_sweep_of_another_launcher(
    launcher: str, module: str, run_script: Run, shapes_file: Path, tmp_path: Path
) -> None:
    pytest.importorskip(f"hydra_plugins.hydra_{module}_launcher")
    files = (f"data.path={shapes_file}", f"output_dir={tmp_path}")
    command = ["-m", f"hydra/launcher={launcher}", "experiment=smoke", *files]
    swept = run_script("train.py", *command, "optimizer.lr=-1,1e-3", "seed=0")
    assert swept.returncode == 1, swept.stderr
    assert "optimizer.lr must be a finite number > 0" in swept.stderr
    assert statuses(tmp_path) == {"-1.0 0.0": "failed", "0.001 0.0": "finished"}
