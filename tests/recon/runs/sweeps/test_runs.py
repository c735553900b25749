"""Runs of a sweep as they lie on disk, in folders made by hand."""

from __future__ import annotations

import json
import subprocess
import sys
from pathlib import Path

import pytest

from recon.runs.sweeps.report import SweepReport
from recon.runs.sweeps.runs import read_run, read_sweep


def make_run(folder: Path, lr: float, seed: int, iou: float | None, **files: object) -> Path:
    """A run as train.py leaves it; with an IoU it is finished."""
    path = folder / f"optimizer.lr={lr},seed={seed}"
    (path / ".hydra").mkdir(parents=True)
    lines = [f"- optimizer.lr={lr}", f"- +seed={seed}", "- output_dir=x"]
    (path / ".hydra" / "overrides.yaml").write_text("\n".join(lines) + "\n")
    config = {"optimizer": {"lr": lr}, "seed": seed, "trainer": {"max_steps": 4}}
    contents: dict[str, object] = {"config": config, **files}
    if iou is not None:
        metrics = {"iou": iou, "iou_chair": iou / 2}
        contents["result"] = {
            "step": 4,
            "best_iou": iou,
            "figures": metrics,
            "seconds": 7.5,
            "stopped": None,
        }
    for name, content in contents.items():
        (path / f"{name}.json").write_text(json.dumps(content))
    rows = f"step,iou,iou_chair\n2,{(iou or 0.2) / 2},0.1\n4,{iou or 0.2},0.1\n"
    (path / "validation.csv").write_text(rows)
    return path


@pytest.fixture
def sweep(tmp_path: Path) -> Path:
    for lr, seed, iou in ((1e-3, 0, 0.5), (1e-3, 1, 0.54), (1e-2, 0, 0.4), (1e-2, 1, None)):
        make_run(tmp_path, lr, seed, iou)
    failure = {"error": "FloatingPointError", "message": "not\nfinite", "step": 3}
    make_run(tmp_path, 1.0, 0, None, failure=failure)
    pruned = {"step": 2, "figures": {"iou": 0.1}, "stopped": "pruned at step 2: others were better"}
    make_run(tmp_path, 1.0, 1, None, result=pruned)
    (tmp_path / "notes").mkdir()
    (make_run(tmp_path, 2.0, 0, 0.9) / "result.json").write_text("{")
    return tmp_path


def test_states_figures_and_what_is_no_run(sweep: Path) -> None:
    runs, bad = read_sweep(sweep)
    found = {(run.value("optimizer.lr"), run.value("seed")): run for run in runs}
    assert {key: run.status for key, run in found.items()} == {
        (0.001, 0.0): "finished",
        (0.001, 1.0): "finished",
        (0.01, 0.0): "finished",
        (0.01, 1.0): "interrupted",
        (1.0, 0.0): "failed",
        (1.0, 1.0): "pruned",
    }
    assert found[0.01, 1.0].message == "validated at step 4 of 4"
    assert found[0.01, 1.0].metrics == {"iou": 0.2, "iou_chair": 0.1}
    assert found[1.0, 0.0].message == "FloatingPointError: not\nfinite (step 3)"
    assert "output_dir" not in found[1.0, 0.0].overrides
    assert bad.keys() == {"notes", "optimizer.lr=2.0,seed=0"}
    assert "result.json: not readable as JSON" in bad["optimizer.lr=2.0,seed=0"]


def test_a_folder_without_runs_is_refused(tmp_path: Path) -> None:
    with pytest.raises(ValueError, match="is not a folder"):
        read_sweep(tmp_path / "missing")
    (tmp_path / "a").mkdir()
    with pytest.raises(ValueError, match="holds no run of a sweep: a: no run"):
        read_sweep(tmp_path)


def test_a_run_without_recorded_overrides_has_its_configuration(tmp_path: Path) -> None:
    path = make_run(tmp_path, 1e-3, 4, 0.5)
    (path / ".hydra" / "overrides.yaml").unlink()
    assert read_run(path).overrides["seed"] == "4"


def test_a_locked_run_is_running(tmp_path: Path) -> None:
    path = make_run(tmp_path, 1e-3, 0, None)
    lock = str(path / ".lock")
    hold = f"import fcntl; f = open({lock!r}, 'w'); fcntl.lockf(f, 2); print(flush=True); input()"
    with subprocess.Popen(
        [sys.executable, "-c", hold], stdin=subprocess.PIPE, stdout=subprocess.PIPE, text=True
    ) as holder:
        assert holder.stdout is not None
        holder.stdout.readline()
        assert read_run(path).status == "running"
        holder.communicate("\n")
    assert read_run(path).status == "interrupted"


def test_means_over_seeds_order_and_files(sweep: Path) -> None:
    runs, bad = read_sweep(sweep)
    report = SweepReport(runs)
    assert report.swept == ["optimizer.lr", "seed"]
    rows = report.group_rows()
    assert rows[1] == ["*", "0.001", "52.00", "2.83", "8", "2 of 2"]  # sample deviation
    assert rows[2] == ["", "0.01", "40.00", "-", "8", "1 of 2"]
    assert rows[3][2:] == ["-", "-", "-", "0 of 2"]
    best = report.run_rows()[1]
    assert best[:5] == ["*", "0.001", "1", "54.00", "27.00"]
    text = report.text(bad)
    assert "* best: optimizer.lr=0.001,seed=1" in text
    assert "left out:" in text
    assert "notes: no run" in text
    files = report.write(sweep / "out", bad)
    assert [path.name for path in files] == [
        "comparison.txt",
        "comparison.csv",
        "comparison_parameters.png",
        "comparison_curves.png",
    ]
    assert (sweep / "out" / "comparison.csv").read_text().splitlines()[1].startswith("0.001,1,0.54")
    with pytest.raises(ValueError, match="no run has the metric 'iou_car'"):
        SweepReport(runs, "iou_car")
