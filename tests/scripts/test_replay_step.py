"""A step that was skipped is repeated out of its dump, by a run of the command lines."""

from __future__ import annotations

import math
from collections.abc import Callable
from pathlib import Path
from subprocess import CompletedProcess

import pytest
import torch

from recon.runs.checkpoints import load_checkpoint, save_checkpoint
from recon.runs.directory import read_json

Run = Callable[..., CompletedProcess[str]]


@pytest.fixture(scope="module")
def broken_run(
    run_script: Run, shapes_file: Path, tmp_path_factory: pytest.TempPathFactory
) -> Path:
    """A run that starts from weights which have exploded: nothing is finite."""
    folder = tmp_path_factory.mktemp("broken")
    command = ("train.py", "experiment=smoke", f"data.path={shapes_file}")
    sound = folder / "sound"
    run_script(*command, "trainer.max_steps=1", "trainer.validate_every=0", f"output_dir={sound}")
    content = torch.load(sound / "checkpoints" / "last.pt", weights_only=True)
    for name, values in content["model"].items():
        if name.startswith("decoder") and name.endswith("weight"):
            values *= 1e30
    torch.save(content, folder / "exploded.pt")
    ended = run_script(
        *command,
        f"trainer.initial={folder / 'exploded.pt'}",
        "trainer.max_skipped_steps=1",
        f"output_dir={folder / 'run'}",
    )
    assert ended.returncode != 0
    assert "trainer.max_skipped_steps is 1" in ended.stderr
    assert "Traceback" not in ended.stderr
    return folder / "run"


def test_the_failure_is_on_record(broken_run: Path) -> None:
    failure = read_json(broken_run / "failure.json")
    assert (failure["error"], failure["step"]) == ("SkippedStepsError", 2)


def test_the_step_is_repeated(run_script_here: Run, broken_run: Path) -> None:
    replayed = run_script_here("scripts/replay_step.py", str(broken_run / "dumps" / "step_2.pt"))
    assert replayed.returncode == 0, replayed.stderr
    lines = replayed.stdout.splitlines()
    assert lines[0] == "step 2"
    then, now = next(line for line in lines if line.startswith("gradient_norm")).split()[1:]
    assert then == now == "nan"
    assert lines[-1].startswith("gradients which are not finite: encoder.")


def test_a_step_of_shading_is_repeated_in_the_light_of_its_data(
    run_script: Run, run_script_here: Run, shaded_file: Path, tmp_path: Path
) -> None:
    """The losses are finite; their weight makes the sum of squared gradients overflow."""
    run_script(
        "train.py",
        "experiment=smoke",
        "loss=shading",
        "renderer=color",
        "loss.weights.shading=1e25",
        "trainer.max_skipped_steps=0",
        "trainer.validate_every=0",
        f"data.path={shaded_file}",
        f"output_dir={tmp_path}",
    )
    replayed = run_script_here("scripts/replay_step.py", str(tmp_path / "dumps" / "step_1.pt"))
    assert replayed.returncode == 0, replayed.stderr
    rows = {line.split()[0]: line.split()[1:] for line in replayed.stdout.splitlines()[2:-1]}
    then, now = map(float, rows["shading"])
    assert 0 < then < 1
    assert now == pytest.approx(then, rel=1e-5)
    assert not any(map(math.isfinite, map(float, rows["gradient_norm"])))


def test_what_is_no_dump_is_refused(run_script_here: Run, broken_run: Path, tmp_path: Path) -> None:
    dump = load_checkpoint(broken_run / "dumps" / "step_2.pt")
    foreign = {**dump, "config": {**dump["config"], "loss": {"_target_": "os.system"}}}
    plain = {key: value for key, value in dump.items() if key != "batch"}
    for content, message in ((foreign, "would call 'os.system'"), (plain, "it has no batch")):
        save_checkpoint(tmp_path / "x.pt", content)
        refused = run_script_here("scripts/replay_step.py", str(tmp_path / "x.pt"))
        assert refused.returncode != 0
        assert message in refused.stderr
    torch.save({"a": 1}, tmp_path / "x.pt")
    refused = run_script_here("scripts/replay_step.py", str(tmp_path / "x.pt"))
    assert "not written by this library" in refused.stderr
