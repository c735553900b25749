"""Means, the pace, and curves which continue after a break."""

from __future__ import annotations

import io
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import torch
from PIL import Image
from tensorboard.backend.event_processing import plugin_event_accumulator
from tensorboard.backend.event_processing.event_accumulator import EventAccumulator
from tensorboard.plugins.hparams.api_pb2 import Status
from tensorboard.plugins.hparams.plugin_data_pb2 import HParamsPluginData
from tensorboard.util import tensor_util

from recon.geometry.cameras import shapenet_cameras
from recon.geometry.meshes import icosphere
from recon.losses.objective import Renderings
from recon.timing import StepTimer
from recon.training.log import LossWindow, TrainingLog
from recon.training.tracked_objects import TrackedPredictions


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


def test_images_show_input_render_and_truth_and_colors_where_there_are_any(
    tmp_path: Path,
) -> None:
    images, alpha, red = torch.rand(3, 2, 4, 6, 5), torch.rand(12, 6, 5), torch.zeros(12, 4, 6, 5)
    red[:, [0, 3]] = 1
    plain, colored = {"alpha": alpha}, {"alpha": alpha, "rgba": red, "shading": red}
    with TrainingLog(tmp_path, step=0) as log:
        for step, flat in enumerate((plain, colored)):
            log.images(images, Renderings(flat, (3, 2, 2)), step, count=2)
    plain, colored = read(tmp_path).Images("training/input_rendered_truth")
    assert (plain.width, plain.height) == (2 * 5, 3 * 6)
    assert (colored.width, colored.height) == (2 * 5, 5 * 6)
    with Image.open(io.BytesIO(colored.encoded_image_string)) as image:
        assert image.getpixel((0, 3 * 6)) == image.getpixel((9, 5 * 6 - 1)) == (255, 0, 0)


def sphere_shown() -> TrackedPredictions:
    sphere = icosphere(1)
    truth = torch.zeros(2, 2, 4, 16, 16, dtype=torch.uint8)
    rows = shapenet_cameras([3, 9]).rows().expand(2, -1, -1)
    vertices = torch.stack((sphere.vertices * 0.3, sphere.vertices * 0.2))
    return TrackedPredictions(("a", "b"), truth, rows, sphere.faces, vertices)


def test_objects_are_shown_as_images_and_the_first_as_a_mesh(tmp_path: Path) -> None:
    with TrainingLog(tmp_path, step=0) as log:
        for step in (10, 20):
            log.objects(sphere_shown(), step)
    events = read(tmp_path)
    images = events.Images("validation/objects")
    assert [(p.step, p.width, p.height) for p in images] == [(10, 32, 96), (20, 32, 96)]
    vertices = tensor_util.make_ndarray(events.Tensors("validation/mesh_VERTEX")[1].tensor_proto)
    assert vertices.shape == (1, 42, 3)
    assert np.linalg.norm(vertices[0], axis=1) == pytest.approx(0.3, abs=1e-6)
    faces = tensor_util.make_ndarray(events.Tensors("validation/mesh_FACE")[0].tensor_proto)
    assert faces.shape == (1, 80, 3)


CONFIG = {
    "seed": 3,
    "renderer": {"_target_": "x.Y", "sigma": 1e-4},
    "trainer": {"max_steps": 99, "channels_last": True, "initial": None, "frozen": ["a", "b"]},
    "data": {"path": "p.h5", "train": {"path": "p.h5", "split": "train"}},
}


def session(folder: Path, tag: str) -> Any:
    content = read(folder).SummaryMetadata(tag).plugin_data.content
    return HParamsPluginData.FromString(content)


def test_the_configuration_becomes_text_and_hyperparameters_of_the_run(
    tmp_path: Path,
) -> None:
    with TrainingLog(tmp_path, step=0) as log:
        log.config(CONFIG)
        log.result({"best_iou": 0.5}, 99)
    assert [path.name for path in tmp_path.iterdir() if path.is_dir()] == []  # no run of its own
    events = read(tmp_path)
    text = tensor_util.make_ndarray(events.Tensors("settings/text_summary")[0].tensor_proto)
    assert b'"sigma": 0.0001' in text[0]
    assert [(e.step, e.value) for e in events.Scalars("final/best_iou")] == [(99, 0.5)]
    start = session(tmp_path, "_hparams_/session_start_info").session_start_info
    assert {name: value.WhichOneof("kind") for name, value in start.hparams.items()} == {
        "seed": "number_value",
        "renderer.sigma": "number_value",
        "trainer.channels_last": "string_value",
        "trainer.frozen.0": "string_value",
        "trainer.frozen.1": "string_value",
        "data.path": "string_value",
    }
    assert start.hparams["renderer.sigma"].number_value == 1e-4
    end = session(tmp_path, "_hparams_/session_end_info").session_end_info
    assert end.status == Status.Value("STATUS_SUCCESS")


@pytest.mark.parametrize("step", [0, 2])
def test_a_start_that_follows_a_broken_one_doubles_no_point(tmp_path: Path, step: int) -> None:
    for _ in range(2):
        first = 1 if not list(tmp_path.iterdir()) else step + 1
        with TrainingLog(tmp_path, first - 1) as log:
            log.config(CONFIG)
            for number in range(first, 5):
                log.scalars("loss", {"total": 1.0}, number)
                log.objects(sphere_shown(), number)
    events = plugin_event_accumulator.EventAccumulator(str(tmp_path))  # TensorBoard's own reader
    events.Reload()
    for tag in ("loss/total", "validation/objects", "validation/mesh_VERTEX"):
        assert [event.step for event in events.Tensors(tag)] == [1, 2, 3, 4], tag
    assert len(events.Tensors("settings/text_summary")) == 1
