"""The command line make_folds.py."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path
from subprocess import CompletedProcess

import pytest

from recon.datasets.multiview import MultiViewDataset
from scripts.make_folds import main

Run = Callable[..., CompletedProcess[str]]


def test_writes_the_folds_and_counts_their_objects(
    shapes_file: Path, tmp_path: Path, run_script_here: Run
) -> None:
    made = run_script_here(
        "scripts/make_folds.py", str(shapes_file), f"--output={tmp_path}/folds", "--folds=3"
    )
    assert made.returncode == 0, made.stderr
    lines = made.stdout.splitlines()
    assert [line.split(":")[0] for line in lines] == [
        str(tmp_path / "folds" / f"fold{fold}.h5") for fold in range(3)
    ]
    for fold, line in enumerate(lines):
        data = MultiViewDataset(tmp_path / "folds" / f"fold{fold}.h5")
        counts = [f"{data.splits.count(split)} {split}" for split in ("train", "val", "test")]
        assert line.endswith(": " + ", ".join(counts))


def test_one_fold_is_refused(shapes_file: Path, tmp_path: Path) -> None:
    with pytest.raises(SystemExit, match=r"folds must be >= 2 .* got 1"):
        main([str(shapes_file), "--output", str(tmp_path / "folds"), "--folds", "1"])
    assert not (tmp_path / "folds").exists()


def test_a_file_that_is_no_data_set_is_named(tmp_path: Path) -> None:
    (tmp_path / "text.h5").write_text("no data")
    with pytest.raises(SystemExit, match=r"text\.h5 is not an HDF5 file"):
        main([str(tmp_path / "text.h5"), "--output", str(tmp_path / "folds")])
