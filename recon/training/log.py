"""The TensorBoard log of a training run: scalars, images, meshes and the configuration.

| tag | what |
|---|---|
| `loss/NAME` | means over the steps since the last point |
| `schedule/lr`, `sigma`, `gamma` | their values at the step |
| `validation/iou`, `validation/iou_CATEGORY` | the metrics of a validation |
| `time/NAME_seconds` | the seconds of the parts of a step |
| `time/images_per_second`, `time/readable_images_per_second` | images trained, images readable |
| `time/share_of_rendering` | the share of the rendering in the seconds of a step |
| `final/best_iou`, `final/last_iou` | the validation IoU, once, when the run is finished |
| `training/input_rendered_truth` | images of a batch |
| `validation/objects`, `validation/mesh` | the same objects at every validation |
| `settings` | the configuration as text |
"""

from __future__ import annotations

import json
from collections.abc import Mapping
from pathlib import Path
from types import TracebackType
from typing import Any

import torch
from torch import Tensor
from torch.utils.tensorboard import SummaryWriter
from torch.utils.tensorboard.summary import hparams

from recon.losses.objective import Renderings
from recon.runs.directory import FREE_KEYS, flatten_config
from recon.timing import StepTimer
from recon.training.tracked_images import tracked_grid, viewer_mesh
from recon.training.tracked_objects import TrackedPredictions

# Keys that say how a configuration is read and not what a run does.
_READING = ("_target_", "_convert_", "_partial_")
# Copies that the data sets of the splits have of the keys of `data`.
_COPIES = ("data.train.", "data.val.")


class LossWindow:
    """The sums of the losses of the steps since the last flush."""

    def __init__(self) -> None:
        self._sums: dict[str, float] = {}
        self._count = 0

    def append(self, losses: Mapping[str, float]) -> None:
        """Adds the losses of a step; all steps have the same names."""
        for name, value in losses.items():
            self._sums[name] = self._sums.get(name, 0.0) + value
        self._count += 1

    def flush(self) -> dict[str, float]:
        """Returns the mean of each loss over the window; the next window starts empty."""
        means = {name: total / self._count for name, total in self._sums.items()}
        self._sums, self._count = {}, 0
        return means


class TrainingLog:
    """A TensorBoard writer which continues the curves of a broken run.

    Args:
        folder: The folder of the event files.
        step: The number of steps already done; later events, of a start that was interrupted, are
            discarded.
    """

    def __init__(self, folder: Path, step: int) -> None:
        self._started_before = any(folder.glob("events.out.tfevents.*"))
        # TensorBoard takes a second mark of a start for a restart: the first one is marked too.
        purge = step + 1 if self._started_before else 0
        self._writer = SummaryWriter(str(folder), purge_step=purge)
        self.window = LossWindow()
        self.pace = ""  # the newest timing in words

    def __enter__(self) -> TrainingLog:
        return self

    def __exit__(
        self,
        kind: type[BaseException] | None,
        error: BaseException | None,
        traceback: TracebackType | None,
    ) -> None:
        self._writer.close()

    def config(self, config: Mapping[str, Any]) -> None:
        """Shows the configuration as text and as hyperparameters, at the first start of a run."""
        if self._started_before:
            return
        text = json.dumps(config, indent=2)
        self._writer.add_text("settings", f"```json\n{text}\n```", 0)
        # Into this run: `add_hparams` would make another one of each.
        _, start, _ = hparams(hyperparameters(config), {})
        self._file.add_summary(start)

    @property
    def _file(self) -> Any:
        return self._writer._get_file_writer()

    def scalars(self, group: str, values: Mapping[str, float], step: int) -> None:
        """Writes scalars as `group/name`."""
        for name, value in values.items():
            self._writer.add_scalar(f"{group}/{name}", value, step)

    def timing(self, timer: StepTimer, images: int, reading: float, step: int) -> None:
        """Writes the seconds per step and its parts, the pace, and the share of rendering.

        Args:
            timer: The timer that measured them; it starts anew.
            images: The number of images of a step, over all processes.
            reading: The number of images per second that can be read.
            step: The step of the event.
        """
        values = timer.flush()
        scalars = {f"{name}_seconds": value for name, value in values.items()}
        if values["step"] <= 0:
            self.scalars("time", scalars, step)
            return
        share = (values.get("render", 0.0) + values.get("render_backward", 0.0)) / values["step"]
        pace = images / values["step"]
        scalars |= {"share_of_rendering": share, "images_per_second": pace}
        self.scalars("time", {**scalars, "readable_images_per_second": reading}, step)
        self.pace = (
            f"{values['step']:.3f} s per step, {100 * share:.0f} % of it rendering;"
            f" {pace:.0f} images/s, and {reading:.0f} could be read"
        )

    def images(self, images: Tensor, renderings: Renderings, step: int, count: int = 8) -> None:
        """Shows inputs, what is rendered of them and what should be, one row each.

        Args:
            images: [N, n, 4, H, W] in [0, 1].
            renderings: The renderings of the predictions; the rows are silhouettes, then colours
                and shading where there are any.
            step: The step of the event.
            count: The number of objects to show, at most.
        """
        inputs = images[:count, 0].detach()
        truth = inputs[:, 3:].expand(-1, 3, -1, -1)
        rows = [_on_white(inputs[:, :3] * inputs[:, 3:], inputs[:, 3:])]
        rows += [renderings.alpha[:count, 0, 0].detach()[:, None].expand(-1, 3, -1, -1), truth]
        for rgba in (renderings.rgba, renderings.shading):
            if rgba is not None:
                shown = rgba[:count, 0, 0].detach()
                rows.append(_on_white(shown[:, :3], shown[:, 3:]))
        grid = torch.cat([torch.cat(list(row), dim=2) for row in rows], dim=1).clamp(0, 1).cpu()
        self._writer.add_image("training/input_rendered_truth", grid, step)

    def objects(self, tracked: TrackedPredictions, step: int) -> None:
        """Shows the objects of every validation, and the mesh of the first one."""
        self._writer.add_image("validation/objects", tracked_grid(tracked), step)
        vertices, faces, colors = viewer_mesh(tracked, 0)
        self._writer.add_mesh(
            "validation/mesh", vertices[None], colors[None], faces[None], global_step=step
        )

    def result(self, metrics: Mapping[str, float], step: int) -> None:
        """Writes the final metrics of a finished run and marks the run as finished."""
        self.scalars("final", metrics, step)  # sorts before all others on the page of sweeps
        _, _, end = hparams({}, {})
        self._file.add_summary(end)


def hyperparameters(config: Mapping[str, Any]) -> dict[str, float | str]:
    """Returns values by dotted names, without empty ones and those that two starts may change.

    Args:
        config: The resolved, nested configuration.
    """
    chosen: dict[str, float | str] = {}
    for name, value in flatten_config(config).items():
        if name in FREE_KEYS or name.startswith(_COPIES) or value is None:
            continue
        if name.rpartition(".")[2] in _READING:
            continue
        number = isinstance(value, int | float) and not isinstance(value, bool)
        chosen[name] = value if number else str(value)  # type: ignore[assignment]
    return chosen


def _on_white(rgb: Tensor, alpha: Tensor) -> Tensor:
    """Returns colours over black [B, 3, H, W] over white."""
    return rgb + (1 - alpha)
