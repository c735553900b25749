"""What a sweep says at its end."""

from __future__ import annotations

import json
from pathlib import Path

from hydra_plugins.recon_sweeps.next_command import sweep_summary


def run(folder: Path, iou: float | None, stopped: str | None = None) -> None:
    (folder / "checkpoints").mkdir(parents=True)
    (folder / "checkpoints" / "best.pt").touch()
    (folder / "config.json").write_text(json.dumps({"seed": 0}))
    if iou is not None:
        result = {"step": 4, "stopped": stopped, "figures": {"iou": iou}}
        (folder / "result.json").write_text(json.dumps(result))


def test_the_best_of_the_finished_runs_is_named(tmp_path: Path) -> None:
    for name, iou in (("a", 0.2), ("b", 0.4), ("c", 0.3), ("broken", None)):
        run(tmp_path / name, iou)
    run(tmp_path / "pruned", 0.9, "pruned at step 2")
    best, compare, evaluate = sweep_summary(tmp_path).splitlines()
    assert best == f"best validation IoU 0.4 of 3 finished runs in {tmp_path / 'b'}"
    assert compare == f"compare them: python scripts/compare_runs.py {tmp_path}"
    assert evaluate.startswith("evaluate the best: python eval.py checkpoint=")
    assert f"{tmp_path / 'b'}/checkpoints/best.pt" in evaluate


def test_without_a_finished_run_nothing_is_said(tmp_path: Path) -> None:
    assert sweep_summary(tmp_path / "nowhere") == ""
    run(tmp_path / "a", None)
    assert sweep_summary(tmp_path) == ""
