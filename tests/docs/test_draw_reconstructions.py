"""The image of the README shows the first test objects of the categories."""

from __future__ import annotations

import sys
from pathlib import Path

import pytest
from PIL import Image

sys.path.insert(0, str(Path(__file__).parents[2] / "docs"))
import draw_reconstructions as script

from recon.datasets.multiview import MultiViewDataset
from recon.evaluation.reconstructions import reconstructions_sheet
from recon.runs.trained_models import load_trained_model


def test_the_objects_are_chosen_by_rule(shipped: Path, shapes_file: Path, tmp_path: Path) -> None:
    output = tmp_path / "sheet.png"
    weights = shipped / "objects13.safetensors"
    given = ["--data", str(shapes_file), "--output", str(output), "--objects", "2"]
    script.main(["objects13", str(weights), *given])
    data = MultiViewDataset(shapes_file, "test")
    first = [data.names.index("airplane 0"), data.names.index("lamp 0")]
    model = load_trained_model(weights).model
    expected = reconstructions_sheet(data, first, dict.fromkeys(script.TITLES, model))
    with Image.open(output) as sheet:
        assert sheet.tobytes() == expected.tobytes()


def test_bad_input_is_refused(shipped: Path, shapes_file: Path, tmp_path: Path) -> None:
    given = ["objects13", "objects13", "--data", str(shapes_file)]
    with pytest.raises(SystemExit) as end:
        script.main([*given, "--objects", "0"])
    assert end.value.code == 2
    with pytest.raises(SystemExit, match="--titles must differ, got 'a' twice"):
        script.main([*given, "--titles", "a", "a", "--output", str(tmp_path / "x.png")])
    with pytest.raises(SystemExit, match="the models are objects13"):
        script.main(["objects13", "objects99", "--data", str(shapes_file)])
