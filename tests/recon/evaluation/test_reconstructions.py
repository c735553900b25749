"""Sheets of what models make of the same objects."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import pytest

from recon.datasets.multiview import MultiViewDataset
from recon.evaluation.reconstructions import CELL, reconstructions_sheet
from recon.rendering.compositing import over_white
from recon.runs.trained_models import load_trained_model
from recon.visualization.contact_sheet import GAP, LINE, sheet_cell


def test_a_row_has_the_input_the_predictions_and_the_truth(
    shapes_file: Path, tiny_checkpoint: Path
) -> None:
    data = MultiViewDataset(shapes_file, "test")
    model = load_trained_model(tiny_checkpoint).model
    sheet = np.asarray(reconstructions_sheet(data, [0, 3], {"a": model, "b": model}))
    assert sheet.shape[0] == LINE + 2 * (2 * LINE + CELL + GAP)
    assert sheet.shape[1] == GAP + 6 * (CELL + GAP)
    top = LINE + LINE
    cells = [sheet[top : top + CELL, GAP + turn * (CELL + GAP) :][:, :CELL] for turn in range(6)]
    image, truth = (
        sheet_cell(over_white(data.images(0, [view]).float() / 255)[0], CELL) for view in (3, 9)
    )
    assert np.array_equal(cells[0], image)
    assert np.array_equal(cells[5], truth)
    assert np.array_equal(cells[1], cells[3])
    assert np.array_equal(cells[2], cells[4])
    assert (cells[1] < 250).any()


def test_a_sheet_needs_objects_and_models(shapes_file: Path, tiny_checkpoint: Path) -> None:
    data = MultiViewDataset(shapes_file, "test")
    model = load_trained_model(tiny_checkpoint).model
    with pytest.raises(ValueError, match="needs an object and a model, got 0 and 1"):
        reconstructions_sheet(data, [], {"a": model})
    with pytest.raises(ValueError, match="got 1 and 0"):
        reconstructions_sheet(data, [0], {})
