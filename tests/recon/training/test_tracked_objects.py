"""The objects that are shown at every validation."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import pytest
import torch

from recon.datasets.multiview import MultiViewDataset
from recon.models import Prediction
from recon.runs.trained_models import load_trained_model
from recon.training.tracked_images import tracked_grid
from recon.training.tracked_objects import (
    OBJECTS,
    TrackedObjects,
    read_tracked,
    spread_objects,
    step_files,
)


@pytest.fixture
def data(shapes_file: Path) -> MultiViewDataset:
    return MultiViewDataset(shapes_file, "test")


@pytest.fixture(scope="module")
def model(tiny_checkpoint: Path) -> torch.nn.Module:
    return load_trained_model(tiny_checkpoint).model


def test_categories_take_turns() -> None:
    synsets = ["chair", "chair", "chair", "lamp", "car", "lamp"]
    assert spread_objects(synsets, 5) == [0, 3, 4, 1, 5]
    assert spread_objects(synsets, 99) == [0, 3, 4, 1, 5, 2]


def test_what_is_shown_is_read_back(
    data: MultiViewDataset, model: torch.nn.Module, tmp_path: Path
) -> None:
    tracked = TrackedObjects(tmp_path / "progress", data, 4, step=0)
    shown = tracked.show(model, 20)
    assert step_files(tmp_path / "progress")[0][0] == 20
    read = read_tracked(tmp_path / "progress", step_files(tmp_path / "progress")[0][1])
    assert read.ids == shown.ids
    assert len({id_.split("-")[1] for id_ in read.ids}) == 3  # all categories
    index = data.ids.index(read.ids[0])
    assert torch.equal(read.truth[0], data.images(index, [3, 9]))
    assert torch.equal(read.cameras[0], data.cameras(index, [3, 9]))
    with torch.inference_mode():
        expected = model(read.truth[:, 0].float() / 255)
    assert torch.allclose(read.vertices, expected.vertices, atol=5e-4)
    assert read.colors is not None
    assert torch.allclose(read.colors, expected.colors, atol=3e-3)
    assert torch.equal(read.faces, model.faces)


class Diverged(torch.nn.Module):
    """Predicts what is not finite, and what is far away."""

    def __init__(self) -> None:
        super().__init__()
        self.weight = torch.nn.Parameter(torch.tensor([float("nan"), float("inf"), 1e9]))
        self.faces = torch.tensor([[0, 1, 2]])

    def forward(self, images: torch.Tensor) -> Prediction:
        return Prediction(self.weight.expand(len(images), 3, 3))


def test_a_prediction_that_is_not_finite_is_shown_all_the_same(
    data: MultiViewDataset, tmp_path: Path
) -> None:
    shown = TrackedObjects(tmp_path, data, 2, step=0).show(Diverged(), 10)
    assert shown.vertices[0, 0].tolist() == [0, 0, 1000]
    assert torch.isfinite(tracked_grid(shown)).all()
    assert read_tracked(tmp_path, step_files(tmp_path)[0][1]).vertices[0, 0, 2] == 1000


def test_a_resumed_run_shows_the_same_objects_and_forgets_later_steps(
    data: MultiViewDataset, model: torch.nn.Module, tmp_path: Path
) -> None:
    first = TrackedObjects(tmp_path, data, 2, step=0)
    for step in (10, 20, 30):
        first.show(model, step)
    again = TrackedObjects(tmp_path, data, 5, step=20)  # whatever the setting is now
    assert [step for step, _ in step_files(tmp_path)] == [10, 20]
    before = step_files(tmp_path)[1][1].read_bytes()
    shown = again.show(model, 20)
    assert shown.ids == read_tracked(tmp_path).ids
    assert len(shown.ids) == 2
    assert step_files(tmp_path)[1][1].read_bytes() == before  # the same to the last byte


def test_damaged_and_foreign_files_are_named(
    data: MultiViewDataset, shapes_file: Path, model: torch.nn.Module, tmp_path: Path
) -> None:
    TrackedObjects(tmp_path, data, 2, step=0).show(model, 10)
    with pytest.raises(ValueError, match="objects the data do not have"):
        TrackedObjects(tmp_path, MultiViewDataset(shapes_file, "train"), 2, step=10)
    path = step_files(tmp_path)[0][1]
    path.write_bytes(path.read_bytes()[:100])
    with pytest.raises(ValueError, match=r"step_00000010\.npz is damaged"):
        read_tracked(tmp_path, path)
    np.savez(path, other=np.zeros(3))
    with pytest.raises(ValueError, match="has no vertices"):
        read_tracked(tmp_path, path)
    (tmp_path / OBJECTS).unlink()
    with pytest.raises(FileNotFoundError, match=OBJECTS):
        read_tracked(tmp_path)
