"""A run directory: what it stores, what it refuses, what may change."""

from __future__ import annotations

import json
import multiprocessing
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest

from recon.runs.directory import (
    RunDirectory,
    RunRefusedError,
    flatten_config,
    read_config,
    read_json,
    read_validations,
    write_json,
)

CONFIG: dict[str, Any] = {
    "seed": 0,
    "output_dir": "here",
    "optimizer": {"lr": 1e-4, "betas": [0.9, 0.999]},
    "trainer": {"max_steps": 6, "batch_size": 4},
}


def changed(**parts: Any) -> dict[str, Any]:
    return {**CONFIG, **parts}


def begun(path: Path) -> RunDirectory:
    run = RunDirectory(path, CONFIG)
    with run.writing():
        (run.checkpoints / "last.pt").write_bytes(b"a checkpoint")
    return run


def test_a_fresh_directory_has_nothing_to_repeat(tmp_path: Path) -> None:
    assert RunDirectory(tmp_path / "new", CONFIG).result(6) is None


def test_a_result_counts_only_for_as_many_steps(tmp_path: Path) -> None:
    run = begun(tmp_path)
    run.finish({"step": 6, "best_iou": 0.5})
    assert run.result(6) == {"step": 6, "best_iou": 0.5, "best_step": None}
    assert run.result(5) is not None
    assert run.result(7) is None
    run.finish({"step": 6, "best_iou": 0.5, "stopped": "pruned"})
    assert run.result(7) is not None


@pytest.mark.parametrize(
    ("key", "value"),
    [
        *(("step", value) for value in (None, "6", True, [], {}, 1.5)),
        *(("best_iou", value) for value in ("x", True, [], {})),
        ("seconds", "long"),
        *(("figures", value) for value in (1, "x", [], {"iou": None}, {"iou": []})),
    ],
)
def test_an_edited_result_is_refused_in_one_line(tmp_path: Path, key: str, value: object) -> None:
    run = RunDirectory(tmp_path, CONFIG)
    content = {"step": 6, "best_iou": 0.5, "seconds": 1.0, "figures": {"iou": 0.5}, key: value}
    (tmp_path / "result.json").write_text(json.dumps(content))
    with pytest.raises(ValueError, match=rf"result\.json: {key} must be .*, got ") as caught:
        run.result(6)
    assert "\n" not in str(caught.value)


def test_another_configuration_is_refused_by_name(tmp_path: Path) -> None:
    begun(tmp_path)
    other = changed(optimizer={"lr": 3e-4, "betas": [0.9, 0.99]})
    with pytest.raises(ValueError, match=r"optimizer.betas.1: 0.999 -> 0.99; optimizer.lr: 0.0001"):
        RunDirectory(tmp_path, other)
    with pytest.raises(ValueError, match=r"seed: 0 -> \(absent\)"):
        RunDirectory(tmp_path, {key: CONFIG[key] for key in CONFIG if key != "seed"})


def test_how_long_and_where_may_change(tmp_path: Path) -> None:
    begun(tmp_path)
    longer = {"max_steps": 9, "batch_size": 4, "log_every": 2, "stopping": {"trial": 3}}
    with RunDirectory(tmp_path, changed(output_dir="there", trainer=longer)).writing():
        assert read_json(tmp_path / "config.json")["trainer"] == longer
    with pytest.raises(RunRefusedError, match=r"trainer\.batch_size: 4 -> 5"):
        RunDirectory(tmp_path, changed(trainer={**longer, "batch_size": 5}))


def test_a_start_which_failed_early_does_not_refuse_the_mended_command(tmp_path: Path) -> None:
    for config in (CONFIG, changed(seed=1)):
        with RunDirectory(tmp_path, config).writing():
            pass
    assert read_json(tmp_path / "config.json")["seed"] == 1


def test_a_second_process_is_kept_out_until_the_first_is_gone(tmp_path: Path) -> None:
    with RunDirectory(tmp_path, CONFIG).writing():
        message = "another process is training here; wait for it or choose another output_dir"
        assert in_another_process(write_in, tmp_path) == message
    assert in_another_process(write_in, tmp_path) == "written"


def in_another_process(function: Callable[[Path], str], folder: Path) -> str:
    context = multiprocessing.get_context("fork")
    with context.Pool(1) as pool:
        return pool.apply(function, (folder,))


def write_in(folder: Path) -> str:
    try:
        with RunDirectory(folder, CONFIG).writing():
            return "written"
    except ValueError as error:
        return str(error).rpartition(": ")[2]


def test_what_a_killed_process_left_is_removed(tmp_path: Path) -> None:
    run = begun(tmp_path)
    run.progress.mkdir()
    run.dumps.mkdir()
    for folder in (run.path, run.checkpoints, run.progress, run.dumps):
        (folder / ".a.123.unfinished").write_bytes(b"half")
    (run.path / "evaluation").mkdir()
    other = run.path / "evaluation" / ".table.csv.7.unfinished"  # of a process that may be writing
    other.write_bytes(b"half")
    with run.writing():
        assert list(run.path.rglob("*.unfinished")) == [other]


def test_the_configuration_of_a_former_version_is_read(tmp_path: Path) -> None:
    assert read_config(tmp_path) is None
    former = {**CONFIG, "renderer": {"_target_": "recon.renderer.SoftRenderer", "image_size": 64}}
    (tmp_path / "checkpoints").mkdir()
    (tmp_path / "checkpoints" / "last.pt").touch()
    write_json(tmp_path / "settings.json", former)
    renderer = {**former["renderer"], "_target_": "recon.rendering.renderer.SoftRenderer"}
    optimizer = {**CONFIG["optimizer"], "groups": None}
    today = changed(renderer=renderer, optimizer=optimizer, image_size=64)
    assert RunDirectory(tmp_path, today).config == today
    with pytest.raises(RunRefusedError, match="seed: 0 -> 1"):
        RunDirectory(tmp_path, {**today, "seed": 1})


def test_configurations_survive_json(tmp_path: Path) -> None:
    assert flatten_config(json.loads(json.dumps(CONFIG))) == flatten_config(CONFIG)
    assert flatten_config({"a": {}, "b": [], "c": [1, {"d": None}]}) == {
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


def test_an_error_is_recorded_until_the_next_start(tmp_path: Path) -> None:
    run = RunDirectory(tmp_path / "run", CONFIG)
    failure = tmp_path / "run" / "failure.json"
    error = FloatingPointError("not finite")
    error.step = 7  # type: ignore[attr-defined]
    for raised, step in ((error, 7), (ValueError("bad"), None)):
        with pytest.raises(type(raised)), run.recording_failure():
            raise raised
        recorded = read_json(failure)
        expected = {"error": type(raised).__name__, "message": str(raised), "step": step}
        assert recorded == expected
    with run.writing():
        assert not failure.exists()


@pytest.mark.parametrize("error", [RunRefusedError("in use"), SystemExit(143)])
def test_a_refused_or_stopped_start_is_no_failure(tmp_path: Path, error: BaseException) -> None:
    with pytest.raises(type(error)), RunDirectory(tmp_path, CONFIG).recording_failure():
        raise error
    with (
        pytest.raises(ValueError, match="x"),
        RunDirectory(tmp_path, CONFIG).recording_failure(active=False),
    ):
        raise ValueError("x")
    assert list(tmp_path.iterdir()) == []


def test_validations_are_a_table_whose_later_rows_are_replaced(tmp_path: Path) -> None:
    run = RunDirectory(tmp_path, CONFIG)
    assert read_validations(run.validations) == []
    for step, iou in ((2, 0.1), (4, 0.2), (6, 0.3)):
        run.add_validation(step, {"iou": iou})
    run.add_validation(4, {"iou": 1 / 3, "iou_chair": 0.5})
    assert read_validations(run.validations) == [
        {"step": 2, "iou": 0.1},
        {"step": 4, "iou": 1 / 3, "iou_chair": 0.5},
    ]
    assert type(read_validations(run.validations)[0]["step"]) is int


@pytest.mark.parametrize("text", ["iou\n0.5\n", "step,iou\n1,much\n", "step,iou\n1,2,3\n"])
def test_a_damaged_table_of_validations_is_named(tmp_path: Path, text: str) -> None:
    path = tmp_path / "validation.csv"
    path.write_text(text)
    with pytest.raises(ValueError, match=r"validation\.csv: not a table of validations"):
        read_validations(path)
