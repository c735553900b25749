"""What a run says at its end can be pasted into a shell."""

from __future__ import annotations

import shlex
from pathlib import Path
from typing import Any

from recon.runs.next_command import evaluation_command, run_summary

OURS: dict[str, Any] = {
    "model": {"_target_": "recon.models.Reconstructor", "decoder": {"_target_": "recon.models.X"}}
}


def run_folder(path: Path, *names: str) -> Path:
    (path / "checkpoints").mkdir(parents=True)
    for name in names:
        (path / "checkpoints" / name).touch()
    return path


def test_the_best_checkpoint_is_evaluated_beside_its_run(tmp_path: Path) -> None:
    run = run_folder(tmp_path / "a run", "best.pt", "last.pt")
    command = evaluation_command(run, OURS)
    assert command is not None
    assert shlex.split(command) == [
        *("python", "eval.py", f"checkpoint={run}/checkpoints/best.pt"),
        f"output_dir={run}/evaluation",
    ]
    last = evaluation_command(run_folder(tmp_path / "b", "last.pt"), OURS)
    assert last is not None
    assert "b/checkpoints/last.pt" in last
    assert evaluation_command(tmp_path / "c", OURS) is None


def test_a_model_of_ones_own_is_allowed_by_name(tmp_path: Path) -> None:
    run = run_folder(tmp_path, "best.pt")
    model = {"_target_": "zeta.nets.Model", "parts": [{"_target_": "alpha.Part"}]}
    words = shlex.split(evaluation_command(run, {"model": model}) or "")
    assert words[-1] == "allowed_targets=[recon.models.,alpha.,zeta.]"


def test_a_summary_tells_the_result(tmp_path: Path) -> None:
    run = run_folder(tmp_path, "best.pt")
    best = run_summary(run, OURS, {"step": 6, "best_iou": 0.5, "best_step": 4})
    first, second = best.splitlines()
    assert first == f"best validation IoU 0.5 at step 4 in {run}"
    assert second == f"evaluate it: {evaluation_command(run, OURS)}"
    plain = run_summary(tmp_path / "none", OURS, {"step": 6, "best_iou": None})
    assert plain == f"trained 6 steps in {tmp_path / 'none'}"
