"""The command line compare_runs.py."""

from __future__ import annotations

import json
from collections.abc import Callable
from pathlib import Path
from subprocess import CompletedProcess

Run = Callable[..., CompletedProcess[str]]


def test_a_table_is_printed_and_written(run_script: Run, tmp_path: Path) -> None:
    for seed in (0, 1):
        folder = tmp_path / f"seed={seed}"
        folder.mkdir()
        (folder / "config.json").write_text(json.dumps({"seed": seed}))
        result = {"figures": {"iou": 0.5 + seed / 10}, "seconds": 1, "stopped": None, "step": 4}
        (folder / "result.json").write_text(json.dumps(result))
    done = run_script("scripts/compare_runs.py", str(tmp_path), "--output", str(tmp_path / "out"))
    assert done.returncode == 0, done.stderr
    assert "55.00  7.07" in done.stdout
    assert "* best: seed=1" in done.stdout
    assert (tmp_path / "out" / "comparison.csv").read_text().startswith("seed,iou,seconds")

    failed = run_script("scripts/compare_runs.py", str(tmp_path / "missing"))
    assert failed.returncode != 0
    assert failed.stderr.startswith("error: ")
    assert "is not a folder" in failed.stderr
