"""The command line convert_backbone.py, and a training run that starts from what it writes."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path
from subprocess import CompletedProcess

import pytest
import torch

from recon.runs.checkpoints import load_checkpoint
from scripts.convert_backbone import converted, main
from tests.recon.models.port_of_efficientnet import random_state

Run = Callable[..., CompletedProcess[str]]


@pytest.fixture
def weights(tmp_path: Path) -> Path:
    path = tmp_path / "lite0.pth"
    torch.save(random_state(), path)
    return path


def test_a_run_starts_from_it_and_leaves_it_alone(
    weights: Path, shaded_file: Path, tmp_path: Path, run_script_here: Run
) -> None:
    file, run = tmp_path / "new" / "backbone.safetensors", tmp_path / "run"
    main([str(weights), "--output", str(file)])
    trained_run = run_script_here(
        "train.py",
        "experiment=smoke",
        "model/backbone=efficientnet_lite0",
        "model.backbone.side=32",
        "model.encoder.features=320",
        "trainer.frozen=[backbone]",
        f"trainer.initial={file}",
        f"data.path={shaded_file}",
        f"output_dir={run}",
    )
    assert trained_run.returncode == 0, trained_run.stderr
    trained = load_checkpoint(run / "checkpoints" / "last.pt")["model"]
    for name, value in converted(random_state()).state_dict().items():
        # Half precision is within 2^-11 of each weight.
        torch.testing.assert_close(trained[f"backbone.{name}"], value, rtol=5e-4, atol=1e-6)


@pytest.mark.parametrize(
    ("content", "message"),
    [
        (b"nothing", "no state dict, or damaged"),
        ({"_conv_stem.weight": torch.zeros(32, 3, 3, 3)}, "are not those of EfficientNet-Lite0"),
        (
            {**random_state(), "_conv_stem.weight": torch.zeros(8, 3, 3, 3)},
            "must be \\[32, 3, 3, 3\\], got \\[8, 3, 3, 3\\]",
        ),
        ([1, 2], "must be a state dict"),
    ],
)
def test_other_files_are_refused(content: object, message: str, tmp_path: Path) -> None:
    path, output = tmp_path / "weights.pth", tmp_path / "backbone.safetensors"
    if isinstance(content, bytes):
        path.write_bytes(content)
    else:
        torch.save(content, path)
    with pytest.raises(SystemExit, match=message):
        main([str(path), "--output", str(output)])
    assert not output.exists()


def test_a_missing_file_is_named(tmp_path: Path) -> None:
    with pytest.raises(SystemExit, match=r"WEIGHTS: no such file: .*gone\.pth"):
        main([str(tmp_path / "gone.pth")])
