"""The command line train_segmentation.py."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path
from subprocess import CompletedProcess

import pytest
import safetensors.torch
import torch

from recon.segmentation.network import SegmentationNetwork
from scripts.train_segmentation import main

Run = Callable[..., CompletedProcess[str]]


def test_writes_weights_in_half_precision(
    shapes_file: Path, tmp_path: Path, run_script_here: Run
) -> None:
    output = tmp_path / "weights.safetensors"
    made = run_script_here(
        "scripts/train_segmentation.py",
        str(shapes_file),
        f"--output={output}",
        "--steps=2",
        "--images=8",
        "--batch-size=4",
    )
    assert made.returncode == 0, made.stderr
    assert made.stdout.startswith(f"{output}: mean IoU 0.")
    assert made.stdout.endswith(f"validation objects, {output.stat().st_size / 1e6:.1f} MB\n")
    assert list(tmp_path.iterdir()) == [output]
    weights = safetensors.torch.load_file(output)
    assert {w.dtype for w in weights.values()} == {torch.float16, torch.int64}
    SegmentationNetwork().load_state_dict(weights)


def test_a_file_that_is_no_data_set_is_named(tmp_path: Path) -> None:
    (tmp_path / "text.h5").write_text("no data")
    with pytest.raises(SystemExit, match=r"text\.h5 is not an HDF5 file"):
        main([str(tmp_path / "text.h5"), "--output", str(tmp_path / "w.safetensors")])
    assert not (tmp_path / "w.safetensors").exists()


def test_licences_that_no_object_has_are_refused(shapes_file: Path, tmp_path: Path) -> None:
    with pytest.raises(SystemExit, match="licences"):
        main([str(shapes_file), "--output", str(tmp_path / "w"), "--licences", "Free-Art"])
