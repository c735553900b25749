"""Killing a run twice and comparing, as a command; and that a difference is found."""

from __future__ import annotations

import runpy
from collections.abc import Callable
from pathlib import Path
from subprocess import CompletedProcess

import torch

from recon.runs.checkpoints import save_checkpoint
from recon.runs.directory import write_json

ROOT = Path(__file__).resolve().parents[3]
Run = Callable[..., CompletedProcess[str]]


def test_a_run_killed_twice_ends_as_if_left_alone(
    run_script: Run, shapes_file: Path, tmp_path: Path
) -> None:
    folder = tmp_path / "soak"
    settings = ("trainer.max_steps=120", "trainer.validate_every=50", f"data.path={shapes_file}")
    soaked = run_script("scripts/benchmarks/soak_resume.py", str(folder), "--kills", "2", *settings)
    assert soaked.returncode == 0, soaked.stdout + soaked.stderr
    assert "kill 2: " in soaked.stdout
    assert "after 2 kills all weights" in soaked.stdout
    again = run_script("scripts/benchmarks/soak_resume.py", str(folder))
    assert again.returncode != 0
    assert "output_dir must be empty or new" in again.stderr


def test_differences_are_named(tmp_path: Path) -> None:
    compare = runpy.run_path(str(ROOT / "scripts" / "benchmarks" / "soak_resume.py"))["compare"]
    for name, weight, iou in (("a", 0.0, 0.5), ("b", 1e-7, 0.6)):
        folder = tmp_path / name
        (folder / "checkpoints").mkdir(parents=True)
        content = {"model": {"w": torch.tensor(weight)}, "optimizer": {}, "step": 2, "config": {}}
        save_checkpoint(
            folder / "checkpoints" / "last.pt", {**content, "seconds": weight, "random": [1]}
        )
        write_json(folder / "result.json", {"step": 2, "best_iou": iou, "seconds": weight})
        (folder / "validation.csv").write_text(f"step,iou\n2,{iou}\n")
    assert list(compare(tmp_path / "a", tmp_path / "b")) == [
        "model.w",
        "best_iou",
        "validation.csv",
    ]
    assert list(compare(tmp_path / "a", tmp_path / "a")) == []
