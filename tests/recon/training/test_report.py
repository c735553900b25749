"""What a run tells while it goes on."""

from __future__ import annotations

from pathlib import Path

import pytest
import torch
from tensorboard.backend.event_processing.event_accumulator import EventAccumulator

from recon.datasets.multiview import MultiViewDataset
from recon.losses.objective import Renderings
from recon.runs.directory import RunDirectory, read_json, read_validations
from recon.runs.trained_models import load_trained_model
from recon.timing import StepTimer
from recon.training.report import reporting
from recon.training.step import StepResult
from recon.training.step_batches import READING
from recon.training.tracked_objects import step_files


def step_result(total: float, broken: bool = False) -> StepResult:
    renderings = Renderings({"alpha": torch.rand(4, 8, 8)}, (1, 2, 2))
    return StepResult(
        {"total": total}, torch.rand(1, 2, 4, 8, 8), renderings, {"lr": 1e-3}, 0, broken
    )


def test_all_that_is_told_can_be_read_back(
    shapes_file: Path, tiny_checkpoint: Path, tmp_path: Path
) -> None:
    run = RunDirectory(tmp_path, {"seed": 0})
    model = load_trained_model(tiny_checkpoint).model
    data = MultiViewDataset(shapes_file, "val")
    with run.writing(), reporting(run, 0, data, 2, images=128, num_workers=2) as report:
        report.add_step({READING: torch.tensor(0.5)}, step_result(1.0))
        report.add_step({READING: torch.tensor(1.5)}, step_result(float("nan"), broken=True))
        report.add_step({READING: torch.tensor(1.0)}, step_result(2.0))
        report.scalars(3, step_result(2.0), StepTimer(torch.device("cpu")))
        report.images(3, step_result(2.0))
        report.validation(3, {"iou": 0.25}, model)
        report.finish({"step": 3, "best_iou": 0.25, "last_iou": 0.2, "stopped": None})
    events = EventAccumulator(str(run.tensorboard))
    events.Reload()
    values = {name: events.Scalars(name)[0].value for name in events.Tags()["scalars"]}
    assert values["loss/total"] == 1.5  # without the broken step
    assert values["schedule/lr"] == pytest.approx(1e-3)
    assert values["validation/iou"] == 0.25
    assert values["final/best_iou"] == 0.25
    assert set(events.Tags()["images"]) == {"training/input_rendered_truth", "validation/objects"}
    assert read_validations(run.validations) == [{"step": 3, "iou": 0.25}]
    assert [step for step, _ in step_files(run.progress)] == [3]
    assert read_json(tmp_path / "result.json")["best_iou"] == 0.25


@pytest.mark.parametrize("validated", [True, False])
def test_nothing_is_shown_where_nothing_is_asked(
    shapes_file: Path, tiny_checkpoint: Path, tmp_path: Path, validated: bool
) -> None:
    run = RunDirectory(tmp_path, {})
    data, count = (MultiViewDataset(shapes_file, "val"), 0) if validated else (None, 6)
    with run.writing(), reporting(run, 0, data, count, images=1, num_workers=0) as report:
        report.validation(3, {"iou": 0.25}, load_trained_model(tiny_checkpoint).model)
    assert not run.progress.exists()
    assert len(read_validations(run.validations)) == 1
