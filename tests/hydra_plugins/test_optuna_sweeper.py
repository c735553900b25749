"""The sweeper of Optuna on a figure in closed form, run as its user runs it."""

from __future__ import annotations

import csv
import json
from collections.abc import Callable
from pathlib import Path
from subprocess import CompletedProcess

import pytest
from hydra.core.override_parser.overrides_parser import OverridesParser

from hydra_plugins.recon_sweeps.optuna_sweeper import literal
from recon.files import locked
from recon.runs.directory import read_json

Run = Callable[..., CompletedProcess[str]]
ROOT = Path(__file__).resolve().parents[2]
APP = "tests/hydra_plugins/search_app.py"
SPACE = "optimizer.lr=tag(log, interval(1e-4, 1e-2))"


def search(run: Run, folder: Path, *more: str) -> CompletedProcess[str]:
    return run(APP, "-m", "hydra/sweeper=optuna", f"output_dir={folder}", *more)


def trials(folder: Path) -> list[dict[str, str]]:
    with open(folder / "trials.csv", newline="") as file:
        return list(csv.DictReader(file))


def states(folder: Path) -> list[str]:
    return [row["state"] for row in trials(folder)]


def test_a_broken_search_goes_on_as_if_it_had_not_broken(
    run_script_here: Run, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    one, other = tmp_path / "one", tmp_path / "other"
    few = ("hydra.sweeper.n_trials=6", "hydra.sweeper.sampler.n_startup_trials=3")
    whole = search(run_script_here, one, SPACE, *few)
    assert whole.returncode == 0, whole.stderr

    monkeypatch.setenv("DIE_AT", "4")
    assert search(run_script_here, other, SPACE, *few).returncode == 143
    assert len(list(other.glob("*/result.json"))) == 4
    monkeypatch.delenv("DIE_AT")
    again = search(run_script_here, other, SPACE, *few)
    assert again.returncode == 0, again.stderr
    assert "4 trials ended, 1 to be continued, up to 6" in again.stdout + again.stderr
    assert trials(other) == trials(one)
    assert len(list(other.glob("*/start_0"))) == 6
    assert not list(other.glob("*/start_1"))  # what was finished did not run again

    best = read_json(one / "search.json")["best"]
    assert best["iou"] == pytest.approx(max(float(row["iou"]) for row in trials(one)), abs=1e-6)
    key, value = best["overrides"][-1].split("=")
    assert key == "optimizer.lr"
    assert (one / f"optimizer.lr={value}" / "result.json").exists()

    wider = search(run_script_here, one, "optimizer.lr=interval(0,1)")
    assert wider.returncode != 0
    assert "study 'search' is of other space" in wider.stderr
    assert len(trials(one)) == 6


def test_hopeless_trials_are_pruned(run_script_here: Run, tmp_path: Path) -> None:
    pruner = "hydra.sweeper.pruner.n_startup_trials=1"
    done = search(run_script_here, tmp_path, SPACE, "hydra.sweeper.n_trials=8", pruner)
    assert done.returncode == 0, done.stderr
    found = trials(tmp_path)
    assert {row["state"] for row in found} == {"complete", "pruned"}
    pruned = [row for row in found if row["state"] == "pruned"]
    assert all(int(row["step"]) < 4 and "pruned at step" in row["reason"] for row in pruned)
    results = [json.loads(path.read_text()) for path in tmp_path.glob("*/result.json")]
    assert sum(result["stopped"] is not None for result in results) == len(pruned)


def test_failing_trials_are_recorded_and_others_go_on(run_script_here: Run, tmp_path: Path) -> None:
    space = ("optimizer.lr=1e-3,1e-7,1", "model=small,nonesuch")
    done = search(run_script_here, tmp_path, *space, "hydra.sweeper.n_trials=12")
    assert done.returncode == 0, done.stderr
    reasons = {row["reason"] for row in trials(tmp_path) if row["state"] == "fail"}
    assert "optimizer.lr must be <= 0.05, got 1.0" in reasons
    assert "the best validation IoU is nan" in reasons
    assert any("nonesuch" in reason for reason in reasons)
    assert "complete" in states(tmp_path)


def test_a_search_in_which_all_fails_says_so(run_script_here: Run, tmp_path: Path) -> None:
    done = search(run_script_here, tmp_path, "optimizer.lr=1,2", "hydra.sweeper.n_trials=2")
    assert done.returncode != 0
    assert "all 2 trials failed" in done.stderr
    assert "Traceback" not in done.stderr
    assert states(tmp_path) == ["fail", "fail"]


def test_trials_of_one_batch_in_one_folder_run_once(run_script_here: Run, tmp_path: Path) -> None:
    more = ("hydra.sweeper.n_trials=4", "hydra.sweeper.n_jobs=4", "hydra.sweeper.pruner=null")
    done = search(run_script_here, tmp_path, "optimizer.lr=1e-3,2e-3", *more)
    assert done.returncode == 0, done.stderr
    assert states(tmp_path) == ["complete"] * 4
    assert not list(tmp_path.glob("*/start_1"))


@pytest.mark.parametrize("config", ["optimizer", "renderer"])
def test_ready_searches_run(config: str, run_script_here: Run, tmp_path: Path) -> None:
    more = (f"search={config}", f"output_dir={tmp_path}", "hydra.sweeper.n_trials=1")
    done = run_script_here(APP, "-m", *more)
    assert done.returncode == 0, done.stderr
    assert states(tmp_path) == ["complete"]


@pytest.mark.parametrize(
    ("more", "message"),
    [
        (("seed=1",), "a search needs settings to search over"),
        ((SPACE, "hydra.sweeper.n_trials=0"), "n_trials and n_jobs must be >= 1, got 0 and 1"),
        (("optimizer.lr=interval(2,1)",), "optimizer.lr"),
    ],
)
def test_bad_input_is_one_clear_message(
    more: tuple[str, ...], message: str, run_script_here: Run, tmp_path: Path
) -> None:
    failed = search(run_script_here, tmp_path, *more)
    assert failed.returncode != 0
    assert message in failed.stderr
    assert "Traceback" not in failed.stderr


def test_a_folder_has_one_search(
    tmp_path: Path, run_script: Run, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("PYTHONPATH", str(ROOT))  # where the plug-in is, as beside train.py
    with locked(tmp_path, "searching"):
        second = search(run_script, tmp_path, SPACE)
    assert second.returncode != 0
    assert "another process is searching here" in second.stderr


def test_literals_are_read_back() -> None:
    value = {"a": "it's \\ 'x' {y}, [z]: $", "b": [1, 2.5e-7, None, True], "_c_": {"d": False}}
    override = OverridesParser.create().parse_override(f"x={literal(value)}")
    assert override.value() == value
    with pytest.raises(ValueError, match="cannot stand on a command line"):
        literal({1, 2})
