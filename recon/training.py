"""The training loop: image -> mesh -> four silhouettes -> losses -> optimiser."""

from __future__ import annotations

import json
import logging
from collections.abc import Callable, Iterable, Mapping
from dataclasses import dataclass
from typing import Any

import torch
from torch import Tensor, nn
from torch.utils.data import DataLoader, Dataset
from tqdm import tqdm
from tqdm.contrib.logging import logging_redirect_tqdm

from recon.cameras import Cameras
from recon.checkpoints import (
    load_model_state,
    preserved_random_states,
    random_states,
    restore_random_states,
)
from recon.datasets.multiview import MultiViewDataset
from recon.devices import choose_device
from recon.interruption import Interruption, ignore_stopping_signals
from recon.objectives import SilhouetteObjective
from recon.renderer import SoftRenderer
from recon.runs import RunDirectory
from recon.schedules import Schedule
from recon.timing import StepTimer
from recon.training_log import TrainingLog

log = logging.getLogger(__name__)

Validation = Callable[[nn.Module, MultiViewDataset], Mapping[str, float]]


@dataclass
class Progress:
    """Where a run stands.

    Args:
        step: optimiser steps done.
        best_iou: the best validation IoU so far, None before the first validation.
        best_step: the step of that validation.
        last_iou: the newest validation IoU.
    """

    step: int = 0
    best_iou: float | None = None
    best_step: int | None = None
    last_iou: float | None = None


class StepBatches(Dataset[dict[str, Tensor]]):
    """A data set indexed by the step: item `step` is the batch of that step.

    A batch depends on (seed, step) alone, whichever process draws it, so a run which continues at a
    step sees the batches it would have seen.
    """

    def __init__(
        self, data: MultiViewDataset, seed: int, batch_size: int, views_per_object: int
    ) -> None:
        self.data = data
        self.seed = seed
        self.batch_size = batch_size
        self.views_per_object = views_per_object

    def __getitem__(self, step: int) -> dict[str, Tensor]:
        return self.data.sample_batch(self.seed, step, self.batch_size, self.views_per_object)


def load_steps(
    batches: Dataset[dict[str, Tensor]], steps: range, num_workers: int, pin_memory: bool
) -> DataLoader[dict[str, Tensor]]:
    """Load the batches of some steps in their order.

    Args:
        batches: indexed by the step.
        steps: which ones.
        num_workers: processes which read ahead; 0 reads in this one.
        pin_memory: whether batches come in memory that a CUDA device copies from directly.
    """
    return DataLoader(
        batches,
        sampler=steps,
        batch_size=None,  # an item is a whole batch
        collate_fn=_as_it_is,  # type: ignore[arg-type]  # of single items, not of lists
        num_workers=num_workers,
        worker_init_fn=ignore_stopping_signals,
        pin_memory=pin_memory,
        generator=torch.Generator(),  # else the loader draws from the global one
    )


def _as_it_is(batch: dict[str, Tensor]) -> dict[str, Tensor]:
    """Return a batch, which has tensors already."""
    return batch


def cross_silhouettes(
    renderer: SoftRenderer, vertices: Tensor, faces: Tensor, cameras: Tensor, sigma: float
) -> Tensor:
    """Render the mesh made from each view of an object in the camera of each of its views.

    Args:
        renderer: what renders; all silhouettes are one call of it.
        vertices: [N, n, V, 3], the meshes of N objects from n views.
        faces: [F, 3].
        cameras: [N, n, 16], the cameras of the views as `Cameras.rows`.
        sigma: edge softness in squared NDC units.

    Returns:
        [N, n, n, H, W]; [:, i, j] is mesh i in camera j.
    """
    objects, views = vertices.shape[:2]
    meshes = vertices[:, :, None].expand(-1, -1, views, -1, -1).flatten(0, 2)
    rows = cameras[:, None].expand(-1, views, -1, -1).flatten(0, 2)
    alpha = renderer.silhouette(meshes, faces, Cameras.from_rows(rows), sigma=sigma)
    return alpha.unflatten(0, (objects, views, views))


class Trainer:
    """Trains a model to explain the silhouettes of other views, without any 3D truth.

    Args:
        model: image [B, 4, H, W] in [0, 1] -> vertices [B, V, 3]; has `faces` [F, 3] and
            `template_vertices` [V, 3].
        renderer: what draws silhouettes; `renderer.sigma` is the value at schedule 1.
        objective: makes the objective from `faces` and `num_vertices`.
        optimizer: makes the optimiser from the model's parameters.
        schedule: `lr` and `sigma`, factors by the step.
        train_set: where batches come from.
        val_set: what `validation` sees; None only when there is no validation.
        validation: (model, val_set) -> figures, of which `iou` decides which checkpoint is best.
        seed: with the step, decides the batches.
        max_steps: optimiser steps of the whole run.
        batch_size: objects per step.
        views_per_object: views per object and step.
        log_every: steps between scalars; losses are means over them.
        image_every: steps between pictures.
        checkpoint_every: steps between writings of `last.pt`.
        validate_every: steps between validations; 0 means never.
        num_workers: processes which read batches; 0 reads in this one.
        device: 'auto' (CUDA when there is one), 'cpu', 'cuda', 'cuda:1', ...
        channels_last: whether images and filters lie in memory with their channels side by side:
            the same numbers up to rounding, in less time.
        progress: whether to draw a progress bar; None draws it on a terminal only.

    Raises:
        ValueError: a number of steps, objects or workers is out of range, there is no such device,
            or nothing to validate on.
    """

    def __init__(
        self,
        *,
        model: nn.Module,
        renderer: SoftRenderer,
        objective: Callable[..., SilhouetteObjective],
        optimizer: Callable[..., torch.optim.Optimizer],
        schedule: Mapping[str, Schedule],
        train_set: MultiViewDataset,
        val_set: MultiViewDataset | None,
        validation: Validation,
        seed: int,
        max_steps: int,
        batch_size: int,
        views_per_object: int = 2,
        log_every: int = 50,
        image_every: int = 1000,
        checkpoint_every: int = 1000,
        validate_every: int = 1000,
        num_workers: int = 0,
        device: str = "auto",
        channels_last: bool = True,
        progress: bool | None = None,
    ) -> None:
        _require_at_least(1, max_steps=max_steps, batch_size=batch_size, log_every=log_every)
        _require_at_least(1, image_every=image_every, checkpoint_every=checkpoint_every)
        _require_at_least(1, views_per_object=views_per_object)
        _require_at_least(0, validate_every=validate_every, num_workers=num_workers, seed=seed)
        if validate_every > 0 and val_set is None:
            raise ValueError("trainer.validate_every > 0 needs a val_set, got None")
        self.device = choose_device(device)
        layout = torch.channels_last if channels_last else torch.contiguous_format
        self.model, self.layout = model.to(self.device).to(memory_format=layout), layout
        self.faces: Tensor = self.model.faces  # type: ignore[assignment]
        self.renderer = renderer.to(self.device)
        num_vertices = len(self.model.template_vertices)  # type: ignore[arg-type]
        self.objective = objective(faces=self.faces, num_vertices=num_vertices).to(self.device)
        self.optimizer = optimizer(self.model.parameters())
        self.schedule = schedule
        self.train_set, self.val_set, self.validation = train_set, val_set, validation
        self.seed, self.max_steps, self.num_workers = seed, max_steps, num_workers
        self.batch_size, self.views_per_object = batch_size, views_per_object
        self.log_every, self.image_every = log_every, image_every
        self.checkpoint_every, self.validate_every = checkpoint_every, validate_every
        self.show_progress = progress
        self.progress = Progress()
        self.timer = StepTimer(self.device)

    def run(self, run: RunDirectory) -> dict[str, Any]:
        """Train to `max_steps`, from the last checkpoint of the run directory if it has one.

        Args:
            run: where checkpoints, logs and the result go.

        Returns:
            The result, which is also stored: `step`, `best_iou`, `best_step`, `last_iou`.

        Raises:
            FloatingPointError: a loss or a parameter is not finite.
            SystemExit: SIGINT or SIGTERM came; `last.pt` is saved, the status is 128 + the signal.
            ValueError: the last checkpoint is not readable or of other settings, or another process
                is training in the directory.
            OSError: a file could not be written.
        """
        self._resume(run)
        with (
            run.writing(),
            Interruption() as interruption,
            TrainingLog(run.tensorboard, self.progress.step) as training_log,
            logging_redirect_tqdm(),
        ):
            training_log.settings(json.dumps(run.settings, indent=2))
            for batch in self._batches():
                self._train_step(batch, training_log)
                self._validate_if_due(run, training_log)
                if self._is_due(self.checkpoint_every) or interruption.signum is not None:
                    self._save(run, training_log)
                if interruption.signum is not None:
                    log.warning("stopped by a signal at step %d; saved", self.progress.step)
                    raise SystemExit(interruption.exit_status)
            run.finish(vars(self.progress))
        return dict(vars(self.progress))

    def _train_step(self, batch: Mapping[str, Tensor], training_log: TrainingLog) -> None:
        """One optimiser step, and what of it is logged."""
        step = self.progress.step
        sigma = self.renderer.sigma * self.schedule["sigma"](step)
        self._set_learning_rate(step)
        images, cameras = self._to_device(batch)

        with self.timer.part("model"):
            pictures = images.flatten(0, 1).contiguous(memory_format=self.layout)
            vertices = self.model(pictures)
        with self.timer.part("render"):
            meshes = vertices.unflatten(0, images.shape[:2])
            alpha = cross_silhouettes(self.renderer, meshes, self.faces, cameras, sigma)
        with self.timer.part("losses"):
            terms = self.objective(alpha, images[:, :, 3], vertices)
            loss = self.objective.total(terms)

        self.timer.backward_between("render_backward", begin=alpha, end=meshes)
        with self.timer.part("backward"):
            self.optimizer.zero_grad(set_to_none=True)
            loss.backward()
        with self.timer.part("optimizer"):
            self.optimizer.step()
        self.timer.end_step()

        self.progress.step += 1
        training_log.window.append(self.progress.step, {"total": loss, **terms})
        self._log(training_log, images, alpha, sigma)

    def _batches(self) -> Iterable[Mapping[str, Tensor]]:
        """The batches of the steps still to do, with a progress bar."""
        data = StepBatches(self.train_set, self.seed, self.batch_size, self.views_per_object)
        steps = range(self.progress.step, self.max_steps)
        loader = load_steps(data, steps, self.num_workers, self.device.type == "cuda")
        hidden = None if self.show_progress is None else not self.show_progress
        first = self.progress.step
        with tqdm(total=self.max_steps, initial=first, unit="step", disable=hidden) as bar:
            batches = iter(loader)
            for _ in range(first, self.max_steps):
                # The clock of CUDA stops the device, so there only the logged step is measured.
                self.timer.active = self.device.type == "cpu" or self._is_due(self.log_every, 1)
                with self.timer.part("data"):
                    batch = next(batches)
                yield batch
                bar.update()

    def _to_device(self, batch: Mapping[str, Tensor]) -> tuple[Tensor, Tensor]:
        """Images as floats in [0, 1] and cameras; pictures travel to the device as bytes."""
        images = batch["images"].to(self.device, non_blocking=True).float() / 255
        return images, batch["cameras"].to(self.device, non_blocking=True)

    def _set_learning_rate(self, step: int) -> None:
        for group in self.optimizer.param_groups:
            group["lr"] = self.optimizer.defaults["lr"] * self.schedule["lr"](step)

    def _is_due(self, every: int, ahead: int = 0) -> bool:
        """Whether something done every so many steps is due after this step (or `ahead` later)."""
        step = self.progress.step + ahead
        return every > 0 and (step % every == 0 or step == self.max_steps)

    def _log(self, training_log: TrainingLog, images: Tensor, alpha: Tensor, sigma: float) -> None:
        step = self.progress.step
        if self.device.type == "cpu":  # reading a number costs nothing here
            training_log.window.check()
        if self._is_due(self.log_every):
            training_log.scalars("loss", training_log.window.flush(), step)
            rates = {"lr": self.optimizer.param_groups[0]["lr"], "sigma": sigma}
            training_log.scalars("schedule", rates, step)
            training_log.timing(self.timer, step)
        if self._is_due(self.image_every):
            training_log.silhouettes(images, alpha, step)

    def _validate_if_due(self, run: RunDirectory, training_log: TrainingLog) -> None:
        """Measure, and keep the checkpoint when it is the best; random states stay as they are."""
        if self.val_set is None or not self._is_due(self.validate_every):
            return
        training_log.window.check()
        self.model.eval()
        with preserved_random_states():
            figures = self.validation(self.model, self.val_set)
        self.model.train()
        step, iou = self.progress.step, float(figures["iou"])
        training_log.scalars("validation", figures, step)
        log.info("step %d: validation IoU %.4f; %s", step, iou, training_log.pace)
        self.progress.last_iou = iou
        if self.progress.best_iou is None or iou > self.progress.best_iou:
            self.progress.best_iou, self.progress.best_step = iou, step
            run.save(self._state(), best=True)

    def _save(self, run: RunDirectory, training_log: TrainingLog) -> None:
        """Write `last.pt`, unless a loss or a parameter is not finite."""
        training_log.window.check()
        step = self.progress.step
        for name, parameter in self.model.named_parameters():
            if not bool(torch.isfinite(parameter).all()):
                raise FloatingPointError(f"parameter {name} is not finite after step {step}")
        run.save(self._state())

    def _state(self) -> dict[str, Any]:
        return {
            "model": self.model.state_dict(),
            "optimizer": self.optimizer.state_dict(),
            **vars(self.progress),
            "random": random_states(),
        }

    def _resume(self, run: RunDirectory) -> None:
        """Take up the state of the last checkpoint, if there is one."""
        self.model.train()
        checkpoint = run.resume()
        if checkpoint is None:
            return
        load_model_state(self.model, checkpoint["model"])
        self.optimizer.load_state_dict(checkpoint["optimizer"])
        self.progress = Progress(**{name: checkpoint[name] for name in vars(self.progress)})
        restore_random_states(checkpoint["random"])
        log.info("continuing at step %d of %d", self.progress.step, self.max_steps)


def _require_at_least(least: int, **values: int) -> None:
    for name, value in values.items():
        if value < least:
            raise ValueError(f"trainer.{name} must be >= {least}, got {value}")
