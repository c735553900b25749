"""The report of a training run, which its first process writes."""

from __future__ import annotations

import logging
from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from typing import Any

from torch import Tensor, nn

from recon.datasets.multiview import MultiViewDataset
from recon.runs.directory import RunDirectory
from recon.timing import StepTimer
from recon.training.log import TrainingLog
from recon.training.step import StepResult
from recon.training.step_batches import READING
from recon.training.tracked_objects import TrackedObjects

log = logging.getLogger(__name__)


class TrainingReport:
    """Writes scalars, images, validations and the tracked objects of a run.

    Args:
        run: The run directory.
        training_log: The TensorBoard writer.
        tracked: The objects that are shown at every validation, if any are.
        images: The number of images of a step, over all processes.
        num_workers: The number of processes that read batches; 0 reads in the one that trains.
    """

    def __init__(
        self,
        run: RunDirectory,
        training_log: TrainingLog,
        tracked: TrackedObjects | None,
        images: int,
        num_workers: int,
    ) -> None:
        self._run, self._log, self._tracked = run, training_log, tracked
        self._images, self._num_workers = images, num_workers
        self._reading: list[float] = []  # seconds of the batches since the last line of the log

    def add_step(self, batch: Mapping[str, Tensor], result: StepResult) -> None:
        """Notes a step for the next scalars; the losses of a broken one do not count."""
        self._reading.append(float(batch[READING]))
        if not result.broken:
            self._log.window.append(result.losses)

    def scalars(self, step: int, result: StepResult, timer: StepTimer) -> None:
        """Writes the mean losses since the last time, the rates of a step, and the pace."""
        self._log.scalars("loss", self._log.window.flush(), step)
        self._log.scalars("schedule", result.rates, step)
        # Each process reads its share with its own workers.
        seconds = sum(self._reading) / len(self._reading) / max(1, self._num_workers)
        # A clock that has not moved on must not divide by 0.
        self._log.timing(timer, self._images, self._images / max(seconds, 1e-9), step)
        self._reading.clear()

    def images(self, step: int, result: StepResult) -> None:
        """Shows images of a step and what was rendered of them."""
        self._log.images(result.images, result.renderings, step)

    def validation(self, step: int, metrics: Mapping[str, float], model: nn.Module) -> None:
        """Writes the metrics of a validation, and shows the tracked objects.

        Raises:
            OSError: A file could not be written.
        """
        self._log.scalars("validation", metrics, step)
        log.info("step %d: validation IoU %.4f; %s", step, float(metrics["iou"]), self._log.pace)
        self._run.add_validation(step, metrics)
        if self._tracked is not None:
            self._log.objects(self._tracked.show(model, step), step)

    def finish(self, result: Mapping[str, Any]) -> None:
        """Writes the result of a finished run.

        Raises:
            OSError: A file could not be written.
        """
        names = ("best_iou", "last_iou")
        metrics = {name: result[name] for name in names if result[name] is not None}
        self._log.result(metrics, result["step"])
        self._run.finish(result)


@contextmanager
def reporting(
    run: RunDirectory,
    step: int,
    val_set: MultiViewDataset | None,
    show_objects: int,
    images: int,
    num_workers: int,
) -> Iterator[TrainingReport]:
    """Opens the report of a run at a step, for the length of the block.

    Args:
        run: The run directory.
        step: The number of steps of the run so far.
        val_set: The validation objects; None shows none.
        show_objects: The number of objects that are shown at every validation.
        images: The number of images of a step, over all processes.
        num_workers: The number of processes that read batches; 0 reads in the one that trains.

    Raises:
        OSError: A file could not be written.
        ValueError: The files in the folder belong to another data set.
    """
    tracked = None
    if val_set is not None and show_objects:
        tracked = TrackedObjects(run.progress, val_set, show_objects, step)
    with TrainingLog(run.tensorboard, step) as training_log:
        training_log.config(run.config)
        yield TrainingReport(run, training_log, tracked, images, num_workers)
