"""The command line export_weights.py: weights and a card that says what the files say."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path
from subprocess import CompletedProcess

import pytest
from PIL import Image

from recon.evaluation.provenance import file_fingerprint
from recon.runs.checkpoints import load_checkpoint

Run = Callable[..., CompletedProcess[str]]
COMMAND = "python train.py experiment=open data.path=/home/me/data/a.h5 seed=3"


@pytest.fixture
def export(
    run_script_here: Run, tiny_checkpoint: Path, shapes_file: Path, tmp_path: Path
) -> Callable[..., CompletedProcess[str]]:
    """Export the tiny model, trained on ellipsoids, to tmp_path / weights."""

    def run(*more: str) -> CompletedProcess[str]:
        place = ["--output", str(tmp_path / "weights"), "--data", str(shapes_file)]
        given = ["--name", "tiny", "--command", COMMAND, *place, *more]
        return run_script_here("scripts/export_weights.py", str(tiny_checkpoint), *given)

    return run


def test_weights_are_exported_evaluated_and_exported_again(
    export: Run,
    run_script_here: Run,
    shapes_file: Path,
    tmp_path: Path,
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    folder = tmp_path / "weights"
    done = export()
    assert done.returncode == 0, done.stderr
    weights, card = folder / "tiny.safetensors", folder / "tiny.md"
    assert f"{weights}: {weights.stat().st_size:,} bytes" in done.stdout
    text = card.read_text()
    assert "Not evaluated." in text
    assert f"`{load_checkpoint(weights)['sha256']}`" in text
    assert "```\npython train.py experiment=open data.path=a.h5 seed=3\n```" in text
    assert "| `shapes.h5` | `tests` | 9 | CC0 (9) |" in text
    assert "- **CC0**, author not named in the data: airplane 0; airplane 1;" in text

    monkeypatch.setenv("RECON_WEIGHTS", str(folder))
    before = file_fingerprint(weights)
    evaluated = run_script_here(
        "eval.py",
        "checkpoint=tiny",
        f"data.path={shapes_file}",
        "views=[3]",
        "baselines=false",
        f"output_dir={tmp_path / 'evaluation'}",
    )
    assert evaluated.returncode == 0, evaluated.stderr
    done = export("--result", str(tmp_path / "evaluation" / "result.json"))
    assert done.returncode == 0, done.stderr
    assert file_fingerprint(weights) == before
    text = card.read_text()
    assert "| **mean** | 6 |" in text
    assert "Of the objects of the split `test` of `shapes.h5`" in text
    assert "![The worst objects of the evaluation](tiny_failures.png)" in text
    with Image.open(folder / "tiny_failures.png") as sheet:
        assert sheet.height > 3 * 128


def test_what_may_not_be_shared_is_refused(export: Run, tmp_path: Path) -> None:
    failed = export("--licences", "CC-BY")
    assert failed.returncode == 1
    assert "all training objects are under CC-BY; got CC0 (9)" in failed.stderr
    assert not (tmp_path / "weights").exists()


def test_bad_input_is_one_clear_message(
    export: Run, run_script_here: Run, tiny_checkpoint: Path, tmp_path: Path
) -> None:
    failed = export("--name", "a/b")
    assert failed.returncode == 2
    assert "--name must have letters, digits, _ and - alone, got 'a/b'" in failed.stderr
    given = ["--name", "tiny", "--command", COMMAND, "--output", str(tmp_path)]
    failed = run_script_here("scripts/export_weights.py", str(tiny_checkpoint), *given)
    assert failed.stderr == (
        f"error: {tiny_checkpoint} does not say what it was trained on; give --data FILE\n"
    )
    failed = run_script_here("scripts/export_weights.py", str(tmp_path / "gone.pt"), *given)
    assert failed.stderr.startswith("error: checkpoint: no such file")
