"""Training from plain dicts: what is checked, and a run that is continued."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import pytest

import recon
from recon.runs.checkpoints import load_checkpoint
from tests.docs.test_python import MODEL


@pytest.mark.parametrize(
    ("change", "message"),
    [
        ({"trainor": {}}, "trainor is unknown.*did you mean trainer"),
        ({"data": {}}, "data.path is missing"),
        ({"data": {"path": "a.h5", "sampling": "abc"}}, "data.sampling must be .*, got 'abc'"),
        ({"data": {"path": "a.h5", "split": "val"}}, "data.split is no key of a configuration"),
        ({"trainer": {"max_steps": 0}}, "trainer.max_steps must be a whole number >= 1, got 0"),
        ({"trainer": {"steps": 5}}, "trainer.steps is unknown"),
        ({"trainer": {"model": 1}}, "trainer.model is no key of a configuration"),
        ({"trainer": 5}, "trainer must be a mapping of arguments, got 5"),
        ({"renderer": {"sigma": float("nan")}}, "renderer.sigma must be .*, got nan"),
        ({"optimizer": {"lr": -1.0}}, "optimizer.lr must be a finite number > 0"),
        ({"seed": -1}, "seed must be a whole number >= 0"),
        ({"model": {"_target_": "os.system"}}, "os.system"),
    ],
)
def test_a_wrong_key_or_value_is_refused_before_anything_is_written(
    change: dict[str, Any], message: str, shapes_file: Path, tmp_path: Path
) -> None:
    config = {"data": {"path": str(shapes_file)}, **change}
    with pytest.raises(ValueError, match=message):
        recon.train(config, tmp_path / "run")
    assert not (tmp_path / "run").exists()


def test_a_run_is_continued_and_one_of_another_configuration_refused(
    shapes_file: Path, tmp_path: Path
) -> None:
    config = {"data": {"path": str(shapes_file)}, "model": MODEL}
    short = {"max_steps": 1, "batch_size": 2, "progress": False}
    checkpoint = recon.train({**config, "trainer": short}, tmp_path)
    assert checkpoint == tmp_path / "checkpoints" / "last.pt"
    assert load_checkpoint(checkpoint)["step"] == 1
    recon.train({**config, "trainer": {**short, "max_steps": 3}}, tmp_path)
    assert load_checkpoint(checkpoint)["step"] == 3
    assert recon.load(checkpoint, device="cpu").reconstructor is not None
    with pytest.raises(ValueError, match=r"trainer\.batch_size: 2 -> 4"):
        recon.train({**config, "trainer": {**short, "batch_size": 4}}, tmp_path)
