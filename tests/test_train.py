"""The command line train.py, run as its user runs it."""

from __future__ import annotations

import ast
import os
import signal
import subprocess
import sys
import time
from collections.abc import Callable
from pathlib import Path
from subprocess import CompletedProcess
from typing import Any

import pytest
import torch
from torch import Tensor

from recon.runs.checkpoints import load_checkpoint
from recon.runs.directory import read_json

ROOT = Path(__file__).resolve().parents[1]
Run = Callable[..., CompletedProcess[str]]


def smoke(data: Path, folder: Path, *more: str) -> list[str]:
    return ["experiment=smoke", f"data.path={data}", f"output_dir={folder}", *more]


def assert_same_run(a: Path, b: Path) -> None:
    """Same parameters and optimiser to the last bit, same result."""
    one, other = (load_checkpoint(folder / "checkpoints" / "last.pt") for folder in (a, b))
    flat_one, flat_other = tensors(one), tensors(other)
    assert flat_one.keys() == flat_other.keys()
    assert all(torch.equal(flat_one[key], flat_other[key]) for key in flat_one)
    results = [read_json(folder / "result.json") for folder in (a, b)]
    assert all(result.pop("seconds") > 0 for result in results)
    assert results[0] == results[1]
    assert (a / "validation.csv").read_text() == (b / "validation.csv").read_text()


def tensors(node: Any, prefix: str = "") -> dict[str, Tensor]:
    if isinstance(node, Tensor):
        return {prefix: node}
    if isinstance(node, dict):
        children = list(node.items())
    elif isinstance(node, list | tuple):
        children = list(enumerate(node))
    else:
        return {}
    return {k: v for name, child in children for k, v in tensors(child, f"{prefix}/{name}").items()}


def test_a_run_a_repetition_a_longer_run_and_another_one(
    run_script: Run, run_script_here: Run, shapes_file: Path, tmp_path: Path
) -> None:
    folder = tmp_path / "run"
    first = run_script("train.py", *smoke(shapes_file, folder))
    assert first.returncode == 0, first.stderr
    assert "best validation IoU" in first.stdout
    for name in ("last.pt", "best.pt"):
        checkpoint = load_checkpoint(folder / "checkpoints" / name)
        assert checkpoint.keys() >= {"model", "optimizer", "step", "config"}
        assert checkpoint["config"]["optimizer"]["lr"] == 1e-3
    assert list((folder / "tensorboard").glob("events*"))

    written = (folder / "checkpoints" / "last.pt").stat().st_mtime_ns
    again = run_script("train.py", *smoke(shapes_file, folder))
    end = "".join(first.stdout.splitlines(keepends=True)[-2:])
    assert (again.returncode, again.stdout) == (0, end)
    assert f"evaluate it: python eval.py checkpoint={folder}/checkpoints/best.pt" in end
    assert (folder / "checkpoints" / "last.pt").stat().st_mtime_ns == written

    longer = run_script("train.py", *smoke(shapes_file, folder, "trainer.max_steps=6"))
    assert longer.returncode == 0, longer.stderr
    assert "continuing at step 4 of 6" in longer.stdout + longer.stderr
    assert read_json(folder / "result.json")["step"] == 6

    recorded = (folder / ".hydra" / "overrides.yaml").read_text()
    assert "trainer.max_steps=6" in recorded
    other = run_script_here(
        "train.py", *smoke(shapes_file, folder, "optimizer.lr=0.5", "trainer.max_steps=6")
    )
    assert other.returncode != 0
    assert "optimizer.lr: 0.001 -> 0.5" in other.stderr
    assert (folder / ".hydra" / "overrides.yaml").read_text() == recorded
    assert "Traceback" not in other.stderr


@pytest.mark.parametrize(("signum", "status"), [(signal.SIGKILL, -9), (signal.SIGTERM, 143)])
def test_a_broken_run_typed_again_ends_as_if_it_had_not_broken(
    run_script: Run,
    signum: int,
    status: int,
    uninterrupted: Path,
    shapes_file: Path,
    tmp_path: Path,
) -> None:
    command = smoke(shapes_file, tmp_path, *LONG)
    process = subprocess.Popen(
        [sys.executable, "train.py", *command],
        cwd=ROOT,
        env={**os.environ, "OMP_NUM_THREADS": "1"},
        stdout=subprocess.DEVNULL,
        stderr=subprocess.DEVNULL,
    )
    last = tmp_path / "checkpoints" / "last.pt"
    deadline = time.monotonic() + 200
    while not last.exists() and process.poll() is None and time.monotonic() < deadline:
        time.sleep(0.01)
    process.send_signal(signum)
    process.wait(timeout=200)
    assert process.returncode == status
    assert 0 < load_checkpoint(last)["step"] < 40
    assert not (tmp_path / "result.json").exists()

    again = run_script("train.py", *command)
    assert again.returncode == 0, again.stderr
    assert_same_run(tmp_path, uninterrupted)
    assert [path.name for path in tmp_path.glob("checkpoints/.*")] == []


LONG = ("trainer.max_steps=40", "trainer.checkpoint_every=3", "trainer.num_workers=1")


@pytest.fixture(scope="module")
def uninterrupted(
    run_script: Run, shapes_file: Path, tmp_path_factory: pytest.TempPathFactory
) -> Path:
    folder = tmp_path_factory.mktemp("uninterrupted")
    finished = run_script("train.py", *smoke(shapes_file, folder, *LONG))
    assert finished.returncode == 0, finished.stderr
    return folder


def test_a_sweep_has_a_folder_per_job_and_goes_on_after_a_failure(
    run_script: Run, shapes_file: Path, tmp_path: Path
) -> None:
    command = smoke(shapes_file, tmp_path, "optimizer.lr=-1,1e-3", "trainer.max_steps=2")
    swept = run_script("train.py", "-m", *command)
    assert swept.returncode != 0  # the first job failed, and the sweep says so at its end
    assert "optimizer.lr must be a finite number > 0" in swept.stderr
    names = [path.parent.name for path in tmp_path.glob("*/result.json")]
    assert names == ["experiment=smoke,optimizer.lr=0.001,trainer.max_steps=2"]


@pytest.mark.parametrize(
    ("override", "message"),
    [
        ("data.path=missing.h5", "missing.h5"),
        ("experiment=smok", "did you mean smoke?"),
        ("data.categories=[cheir]", "unknown category 'cheir'"),
    ],
)
def test_bad_input_is_one_clear_message(
    run_script_here: Run, override: str, message: str, shapes_file: Path, tmp_path: Path
) -> None:
    failed = run_script_here("train.py", *smoke(shapes_file, tmp_path, override))
    assert failed.returncode != 0
    assert message in failed.stderr
    assert "Traceback" not in failed.stderr
    assert len(failed.stderr.strip().splitlines()) < 15
    assert not (tmp_path / "checkpoints").exists()


@pytest.mark.parametrize(
    "override", ["data.sampling=abc", "trainer.device=abc", "trainer.precision=abc"]
)
def test_a_wrong_word_is_refused_before_the_run_is_recorded(
    run_script_here: Run, override: str, shapes_file: Path, tmp_path: Path
) -> None:
    failed = run_script_here("train.py", *smoke(shapes_file, tmp_path, override))
    assert failed.returncode == 1
    assert "got 'abc'" in failed.stderr
    assert not (tmp_path / ".hydra").exists()
    assert not (tmp_path / "config.json").exists()


def test_a_finished_cosine_run_is_continued_as_it_is_told(
    run_script_here: Run, shapes_file: Path, tmp_path: Path
) -> None:
    command = smoke(shapes_file, tmp_path, "schedule=cosine", "trainer.validate_every=0")
    assert run_script_here("train.py", *command, "trainer.max_steps=2").returncode == 0
    refused = run_script_here("train.py", *command)
    assert refused.returncode != 0
    assert "schedule.lr.max_steps: 2 -> 4; a longer run says by extend=" in refused.stderr
    longer = run_script_here("train.py", *command, "extend=restart")
    assert longer.returncode == 0, longer.stderr
    checkpoint = load_checkpoint(tmp_path / "checkpoints" / "last.pt")
    assert checkpoint["step"] == 4
    # The second step of a cosine of two steps from 1e-3 to 1 % of it.
    rate = checkpoint["optimizer"]["param_groups"][0]["lr"]
    assert rate == pytest.approx(1e-3 * (0.01 + 0.99 / 2))


def test_the_files_stay_thin() -> None:
    """What they do lies in the library; they read a configuration and build."""
    for name in ("train.py", "eval.py"):
        tree = ast.parse((ROOT / name).read_text())
        texts = [node for node in ast.walk(tree) if isinstance(node, ast.Expr | ast.Constant)]
        described = {
            line
            for node in texts
            if isinstance(node, ast.Expr) and isinstance(node.value, ast.Constant)
            for line in range(node.lineno, (node.end_lineno or node.lineno) + 1)
        }
        lines = (ROOT / name).read_text().splitlines()
        code = [
            line
            for number, line in enumerate(lines, 1)
            if number not in described and line.strip() and not line.strip().startswith("#")
        ]
        assert len(code) < 40, name


def test_a_refused_command_leaves_the_folder_of_a_run_as_it_was(
    run_script_here: Run, shapes_file: Path, tmp_path: Path
) -> None:
    command = smoke(shapes_file, tmp_path, "trainer.max_steps=1")
    assert run_script_here("train.py", *command).returncode == 0
    written = {path: path.read_bytes() for path in tmp_path.rglob("*") if path.is_file()}
    assert tmp_path / ".hydra" / "overrides.yaml" in written
    for change in ("optimizer.lr=0.5", "trainer.batch_size=no", "seed=x"):
        assert run_script_here("train.py", *command, change).returncode == 1
    assert {p: p.read_bytes() for p in tmp_path.rglob("*") if p.is_file()} == written
