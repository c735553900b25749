"""A study asked and told, without runs; and the rule that stops a run."""

from __future__ import annotations

import sqlite3
from pathlib import Path

import optuna
import pytest
from optuna.distributions import FloatDistribution
from optuna.pruners import ThresholdPruner

from recon.runs.sweeps.search import Search
from recon.runs.sweeps.stopping import StudyStopping


def make_search(path: Path, fixed: tuple[str, ...] = ("a=1",)) -> Search:
    space = {"x": FloatDistribution(0, 1)}
    sampler = lambda seed: optuna.samplers.RandomSampler(seed=seed)  # noqa: E731
    return Search(f"sqlite:///{path / 'study.db'}", "search", space, fixed, sampler)


def test_a_search_continues_trials_and_keeps_reasons(tmp_path: Path) -> None:
    search = make_search(tmp_path)
    first, second, third = (search.propose() for _ in range(3))
    assert first.overrides[0] == "a=1"
    assert len({first.overrides, second.overrides, third.overrides}) == 3
    assert search.best() is None
    search.complete(first.number, 0.25)
    search.complete(second.number, float("nan"))
    again = make_search(tmp_path)
    assert again.unfinished() == [third]
    again.prune(third.number, "others were better")
    assert again.best() == first
    assert [row[1] for row in again.rows()[1:]] == ["complete", "fail", "pruned"]
    assert [row[-1] for row in again.rows()[1:]] == [
        "",
        "the best validation IoU is nan",
        "others were better",
    ]
    with pytest.raises(ValueError, match="is of other overrides"):
        make_search(tmp_path, ("a=2",))


def test_a_run_is_stopped_where_the_pruner_says_so(tmp_path: Path) -> None:
    search = make_search(tmp_path)
    trial = search.propose().number
    storage = f"sqlite:///{tmp_path / 'study.db'}"
    stopping = StudyStopping(storage, "search", trial, ThresholdPruner(lower=0.2))
    assert stopping(1, {"iou": 0.3}) is None
    assert stopping(1, {"iou": 0.9}) is None  # of a resumed run: the first report stands
    reason = stopping(2, {"iou": 0.1})
    assert reason is not None
    assert reason.startswith("pruned at step 2")
    assert search.trials()[trial].intermediate_values == {1: 0.3, 2: 0.1}
    with pytest.raises(ValueError, match="holds no study 'other'"):
        StudyStopping(storage, "other", 0, ThresholdPruner(lower=0))
    with pytest.raises(ValueError, match="has 1 trials, got trial 5"):
        StudyStopping(storage, "search", 5, ThresholdPruner(lower=0))


def test_a_damaged_database_is_one_clear_message(tmp_path: Path) -> None:
    make_search(tmp_path).propose()
    path = tmp_path / "study.db"
    path.write_bytes(b"not a database" * 1000)
    storage = f"sqlite:///{path}"
    message = r"the database of the study, sqlite:///.*study\.db, cannot be used: file is not a"
    with pytest.raises(OSError, match=message):
        make_search(tmp_path)
    with pytest.raises(OSError, match=message):
        StudyStopping(storage, "search", 0, ThresholdPruner(upper=1))


def test_a_locked_database_is_one_clear_message(tmp_path: Path) -> None:
    search = make_search(tmp_path)
    proposal = search.propose()
    storage = f"sqlite:///{tmp_path / 'study.db'}?timeout=0.01"
    stopping = StudyStopping(storage, "search", proposal.number, ThresholdPruner(upper=1))
    other = sqlite3.connect(tmp_path / "study.db", isolation_level=None)
    try:
        other.execute("BEGIN EXCLUSIVE")
        with pytest.raises(OSError, match="cannot be used: database is locked") as caught:
            stopping(5, {"iou": 0.5})
        assert "\n" not in str(caught.value)
    finally:
        other.close()
    assert stopping(5, {"iou": 0.5}) is None
