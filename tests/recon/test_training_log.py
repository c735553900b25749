"""Means, the pace, and curves which continue after a break."""

from __future__ import annotations

import io
from pathlib import Path

import pytest
import torch
from PIL import Image
from tensorboard.backend.event_processing.event_accumulator import EventAccumulator

from recon.objectives import Renderings
from recon.timing import StepTimer
from recon.training_log import LossWindow, TrainingLog


def test_a_window_gives_means_and_starts_anew() -> None:
    window = LossWindow()
    window.append({"total": 1.0, "silhouette": 0.5})
    window.append({"total": 3.0, "silhouette": 0.1})
    assert window.flush() == pytest.approx({"total": 2.0, "silhouette": 0.3})
    window.append({"total": 5.0})
    assert window.flush() == {"total": 5.0}
    assert window.flush() == {}  # every step was skipped


def test_the_pace_is_told_in_words_and_curves(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    timer = StepTimer(torch.device("cpu"))
    monkeypatch.setattr(timer, "flush", lambda: {"step": 2.0, "render": 0.4, "data": 0.1})
    with TrainingLog(tmp_path, step=0) as log:
        log.timing(timer, images=100, reading=1234.5, step=3)
    assert log.pace == (
        "2.000 s per step, 20 % of it rendering; 50 images/s, and 1234 could be read"
    )
    curves = {
        name: read(tmp_path).Scalars(name)[0].value for name in read(tmp_path).Tags()["scalars"]
    }
    assert curves["time/images_per_second"] == 50
    assert curves["time/readable_images_per_second"] == 1234.5
    assert curves["time/share_of_rendering"] == pytest.approx(0.2)
    assert curves["time/data_seconds"] == pytest.approx(0.1)


def read(folder: Path) -> EventAccumulator:
    events = EventAccumulator(str(folder))
    events.Reload()
    return events


def test_events_after_the_checkpoint_are_replaced_by_the_continued_run(tmp_path: Path) -> None:
    with TrainingLog(tmp_path, step=0) as first:
        for step in range(1, 6):
            first.scalars("loss", {"total": float(step)}, step)
    with TrainingLog(tmp_path, step=3) as second:  # the run broke; its last checkpoint was at 3
        for step in range(4, 8):
            second.scalars("loss", {"total": 10.0 * step}, step)
    curve = [(event.step, event.value) for event in read(tmp_path).Scalars("loss/total")]
    assert curve == [(1, 1.0), (2, 2.0), (3, 3.0), (4, 40.0), (5, 50.0), (6, 60.0), (7, 70.0)]


def test_pictures_show_input_render_and_truth_and_colors_where_there_are_any(
    tmp_path: Path,
) -> None:
    images, alpha = torch.rand(3, 2, 4, 6, 5), torch.rand(3, 2, 2, 6, 5)
    red = torch.zeros(3, 2, 2, 4, 6, 5)
    red[:, :, :, [0, 3]] = 1
    with TrainingLog(tmp_path, step=0) as log:
        log.pictures(images, Renderings(alpha), step=1, count=2)
        log.pictures(images, Renderings(alpha, rgba=red, shading=red), step=2, count=2)
    plain, colored = read(tmp_path).Images("training/input_rendered_truth")
    assert (plain.width, plain.height) == (2 * 5, 3 * 6)
    assert (colored.width, colored.height) == (2 * 5, 5 * 6)
    with Image.open(io.BytesIO(colored.encoded_image_string)) as picture:
        assert picture.getpixel((0, 3 * 6)) == picture.getpixel((9, 5 * 6 - 1)) == (255, 0, 0)
