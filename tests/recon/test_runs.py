"""A run directory: what it stores, what it refuses, what may change."""

from __future__ import annotations

import json
import multiprocessing
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest
import torch

from recon.runs import RunDirectory, flatten_settings, read_json, write_json

SETTINGS: dict[str, Any] = {
    "seed": 0,
    "output_dir": "here",
    "optimizer": {"lr": 1e-4, "betas": [0.9, 0.999]},
    "trainer": {"max_steps": 6, "batch_size": 4},
}
STATE = {"model": {"w": torch.ones(2)}, "optimizer": {}, "step": 3}


def changed(**parts: Any) -> dict[str, Any]:
    return {**SETTINGS, **parts}


def begun(path: Path) -> RunDirectory:
    run = RunDirectory(path, SETTINGS)
    with run.writing():
        run.save(STATE)
    return run


def test_a_fresh_directory_has_nothing_to_resume_or_repeat(tmp_path: Path) -> None:
    run = RunDirectory(tmp_path / "new", SETTINGS)
    assert run.resume() is None
    assert run.result(6) is None


def test_a_saved_state_is_resumed_with_its_settings(tmp_path: Path) -> None:
    run = begun(tmp_path)
    checkpoint = run.resume()
    assert checkpoint is not None
    assert checkpoint["step"] == 3
    assert checkpoint["config"] == SETTINGS
    assert run.last == tmp_path / "checkpoints" / "last.pt"


def test_a_result_counts_only_for_as_many_steps(tmp_path: Path) -> None:
    run = begun(tmp_path)
    run.finish({"step": 6, "best_iou": 0.5})
    assert run.result(6) == {"step": 6, "best_iou": 0.5}
    assert run.result(5) is not None
    assert run.result(7) is None


def test_other_settings_are_refused_by_name(tmp_path: Path) -> None:
    begun(tmp_path)
    other = changed(optimizer={"lr": 3e-4, "betas": [0.9, 0.99]})
    with pytest.raises(ValueError, match=r"optimizer.betas.1: 0.999 -> 0.99; optimizer.lr: 0.0001"):
        RunDirectory(tmp_path, other)
    with pytest.raises(ValueError, match=r"seed: 0 -> \(absent\)"):
        RunDirectory(tmp_path, {key: SETTINGS[key] for key in SETTINGS if key != "seed"})


def test_how_long_and_where_may_change(tmp_path: Path) -> None:
    begun(tmp_path)
    longer = changed(output_dir="there", trainer={"max_steps": 9, "batch_size": 4, "log_every": 2})
    assert RunDirectory(tmp_path, longer).resume() is not None


def test_a_checkpoint_moved_from_another_run_is_refused(tmp_path: Path) -> None:
    source = begun(tmp_path / "a")
    target = RunDirectory(tmp_path / "b", changed(seed=1))
    target.checkpoints.mkdir(parents=True)
    target.last.write_bytes(source.last.read_bytes())
    with pytest.raises(ValueError, match="seed: 0 -> 1"):
        target.resume()


def test_a_start_which_failed_early_does_not_refuse_the_mended_command(tmp_path: Path) -> None:
    for settings in (SETTINGS, changed(seed=1)):
        with RunDirectory(tmp_path, settings).writing():
            pass
    assert read_json(tmp_path / "settings.json")["seed"] == 1


def test_a_second_process_is_kept_out_until_the_first_is_gone(tmp_path: Path) -> None:
    with RunDirectory(tmp_path, SETTINGS).writing():
        assert in_another_process(write_in, tmp_path) == "another process is training here"
    assert in_another_process(write_in, tmp_path) == "written"


def in_another_process(function: Callable[[Path], str], folder: Path) -> str:
    context = multiprocessing.get_context("fork")
    with context.Pool(1) as pool:
        return pool.apply(function, (folder,))


def write_in(folder: Path) -> str:
    try:
        with RunDirectory(folder, SETTINGS).writing():
            return "written"
    except ValueError as error:
        return str(error).rpartition(": ")[2]


def test_what_a_killed_process_left_is_removed(tmp_path: Path) -> None:
    run = begun(tmp_path)
    (run.checkpoints / ".last.pt.123.unfinished").write_bytes(b"half")
    with run.writing():
        assert [path.name for path in run.checkpoints.iterdir()] == ["last.pt"]


def test_settings_survive_json(tmp_path: Path) -> None:
    assert flatten_settings(json.loads(json.dumps(SETTINGS))) == flatten_settings(SETTINGS)
    assert flatten_settings({"a": {}, "b": [], "c": [1, {"d": None}]}) == {
        "a": "(empty)",
        "b": "(empty)",
        "c.0": 1,
        "c.1.d": None,
    }


def test_damaged_json_is_named(tmp_path: Path) -> None:
    path = tmp_path / "result.json"
    path.write_text("{")
    with pytest.raises(ValueError, match=r"result\.json: not readable as JSON"):
        read_json(path)
    write_json(path, [1])
    with pytest.raises(ValueError, match="holds no JSON object"):
        read_json(path)
