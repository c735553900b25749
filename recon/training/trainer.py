"""The training loop: image -> mesh -> four renderings -> losses -> optimiser."""

from __future__ import annotations

import logging
from collections.abc import Callable, Iterator, Mapping, Sequence
from contextlib import AbstractContextManager, ExitStack
from typing import Annotated, Any, Literal

import torch
from annotated_types import Ge, Le, Lt
from torch import Tensor, nn
from torch.nn.parallel import DistributedDataParallel
from tqdm import tqdm
from tqdm.contrib.logging import logging_redirect_tqdm

from recon.arguments import BatchSize, NonNegativeInt, PositiveInt, Seed, Workers
from recon.command_line import Interruption
from recon.compute import choose_device, choose_precision
from recon.datasets.framing import find_framing
from recon.datasets.multiview import MultiViewDataset
from recon.losses.objective import Objective
from recon.rendering.interface import Renderer
from recon.runs.checkpoints import preserved_random_states
from recon.runs.directory import RunDirectory
from recon.schedules import Constant, Schedule
from recon.timing import StepTimer
from recon.training.averaging import WeightAverage
from recon.training.batch_norm import use_global_batch_norm
from recon.training.checks import freeze, require_at_least, require_heads, require_image_size
from recon.training.distributed import Processes
from recon.training.optimizers import make_optimizer
from recon.training.progress import Progress
from recon.training.report import TrainingReport, reporting
from recon.training.resume import RunState
from recon.training.run_checkpoints import RunCheckpoints
from recon.training.step import StepResult, TrainingStep
from recon.training.step_batches import READING, Augmentation, StepBatches, load_steps
from recon.training.step_guard import StepGuard

log = logging.getLogger(__name__)

Validation = Callable[[nn.Module, MultiViewDataset, Processes], Mapping[str, float]]
# Called after each validation with the step and its metrics; a returned reason ends the run.
Stopping = Callable[[int, Mapping[str, float]], str | None]


class Trainer:
    """Trains a model to explain the images of other views, without any 3D truth.

    Args:
        model: A model that makes a `Prediction` of images [B, 4, H, W] in [0, 1], with the buffers
            `faces` [F, 3] and `template_vertices` [V, 3].
        renderer: The renderer; its `sigma` and `gamma` are the values at schedule 1.
        objective: A function that makes the objective from `faces`, `num_vertices` and
            `data_configs`, the configurations that made the data.
        optimizer: A function that makes the optimiser from groups of named parameters; frozen
            parameters are not among them.
        schedule: The schedules of `lr`, `sigma` and `gamma`: factors as functions of the step; a
            missing one is 1.
        parameter_groups: Groups of parameters with their own options of the optimiser, see
            `make_optimizer`.
        train_set: The training objects.
        val_set: The validation objects; None only when there is no validation.
        validation: A function (model, val_set, processes) -> metrics, whose `iou` decides which
            checkpoint is best.
        seed: The seed of the run; together with the step it determines the batches.
        max_steps: The number of optimiser steps of the whole run.
        batch_size: The number of objects per step, over all processes.
        views_per_object: The number of views of each object per step.
        input_views: The number of these views that the network sees; each mesh is rendered in all
            views. None means all.
        augmentation: A function that changes the objects of each batch, see `StepBatches`; None
            leaves them as they are.
        average_decay: The share of the average of the weights that each step keeps, see
            `WeightAverage`; the average is validated and saved as the model. 0 means the weights
            themselves.
        log_every: The number of steps between scalars; losses are means over them. For this and the
            other intervals 0 means never; `last.pt` is always written at the end.
        image_every: The number of steps between images in the log.
        checkpoint_every: The number of steps between writings of `last.pt`.
        validate_every: The number of steps between validations.
        max_skipped_steps: The greatest number of steps that a run may skip because a loss or a
            gradient is not finite.
        show_objects: The number of validation objects that are shown at every validation, always
            the same.
        num_workers: The number of processes that read batches for each process that trains; 0 reads
            in that process.
        device: 'auto' (CUDA when there is one), 'cpu', 'cuda', 'cuda:1', ...
        precision: The type in which the network computes: 'float32', 'bfloat16', or 'auto', which
            is bfloat16 where the device multiplies it natively. Rendering is always in float32.
        channels_last: Whether images and filters are stored with their channels side by side: the
            same numbers up to rounding, in less time.
        compile: Whether the network is compiled by `torch.compile`, which takes a minute.
        deterministic: Whether CUDA kernels whose sums depend on timing are avoided; on the CPU
            there are no such kernels.
        progress: Whether to draw a progress bar; None draws it on a terminal only.
        stopping: A function that is called after each validation and may end the run, see
            `Stopping`.
        initial: The path of a checkpoint of a model with some parts of this one, or the name of a
            model that comes with the package, from which a new run starts.
        frozen: The names of parts of the model, such as encoder and decoder, which stay as they
            are: neither their parameters nor the statistics of their batch norms change.
        processes: The processes that share the work; None means this one alone.

    Raises:
        ValueError: A number of steps, objects or workers is out of range; there is no such device,
            precision or part of the model; there is nothing to validate on or to train; or the
            objective needs colours or maps that model or data do not have.
    """

    def __init__(
        self,
        *,
        model: nn.Module,
        renderer: Renderer,
        objective: Callable[..., Objective],
        optimizer: Callable[..., torch.optim.Optimizer],
        schedule: Mapping[str, Schedule],
        parameter_groups: Sequence[Mapping[str, Any]] = (),
        train_set: MultiViewDataset,
        val_set: MultiViewDataset | None,
        validation: Validation,
        seed: Seed,
        max_steps: PositiveInt,
        batch_size: BatchSize,
        views_per_object: Annotated[int, Ge(1), Le(1024)] = 2,
        input_views: Annotated[int, Ge(1), Le(1024)] | None = None,
        augmentation: Augmentation | None = None,
        average_decay: Annotated[float, Ge(0), Lt(1)] = 0.0,
        log_every: NonNegativeInt = 50,
        image_every: NonNegativeInt = 1000,
        checkpoint_every: NonNegativeInt = 1000,
        validate_every: NonNegativeInt = 1000,
        max_skipped_steps: NonNegativeInt = 10,
        show_objects: Annotated[int, Ge(0), Le(1024)] = 6,
        num_workers: Workers = 0,
        device: str = "auto",
        precision: Literal["auto", "float32", "bfloat16"] = "auto",
        channels_last: bool = True,
        compile: bool = False,
        deterministic: bool = False,
        progress: bool | None = None,
        stopping: Stopping | None = None,
        initial: str | None = None,
        frozen: Sequence[str] = (),
        processes: Processes | None = None,
    ) -> None:
        require_at_least(
            1, max_steps=max_steps, batch_size=batch_size, views_per_object=views_per_object
        )
        require_at_least(
            0,
            seed=seed,
            log_every=log_every,
            image_every=image_every,
            checkpoint_every=checkpoint_every,
            validate_every=validate_every,
            max_skipped_steps=max_skipped_steps,
            show_objects=show_objects,
            num_workers=num_workers,
        )
        if input_views is not None and not 1 <= input_views <= views_per_object:
            raise ValueError(
                f"trainer.input_views must lie in 1..views_per_object = {views_per_object}, "
                f"got {input_views}"
            )
        if validate_every > 0 and val_set is None:
            raise ValueError("trainer.validate_every > 0 needs a val_set, got None")
        if deterministic:
            torch.use_deterministic_algorithms(True)
        self.processes = processes or Processes()
        self.device = choose_device(self.processes.device(device))
        self.precision = choose_precision(precision, self.device)
        self.layout = torch.channels_last if channels_last else torch.contiguous_format
        self.timer = StepTimer(self.device)
        self.train_set, self.val_set, self.validation = train_set, val_set, validation
        self.seed, self.max_steps, self.num_workers = seed, max_steps, num_workers
        self.batch_size, self.views_per_object = batch_size, views_per_object
        self.log_every, self.image_every = log_every, image_every
        self.checkpoint_every, self.validate_every = checkpoint_every, validate_every
        self.show_objects, self.show_progress, self.stopping = show_objects, progress, stopping
        self.model = model.to(self.device).to(memory_format=self.layout)
        self.frozen = freeze(self.model, frozen)
        self.average = WeightAverage(self.model, average_decay) if average_decay else None
        # The model that is validated, saved and shown.
        self.result_model = self.average.model if self.average else self.model
        self.renderer = renderer.to(self.device)
        self.objective = self._make_objective(objective)
        self.network = self._make_network(compile)
        self.optimizer = make_optimizer(optimizer, self.model, parameter_groups)
        self.guard = StepGuard(self.model, max_skipped_steps)
        self.step = self._make_step(schedule, input_views)
        self.batches = self._make_batches(augmentation)
        self.state = RunState(
            self.model,
            self.optimizer,
            self.processes,
            initial,
            average=self.average,
            schedule=self.step.schedule,
        )

    def _make_objective(self, make: Callable[..., Objective]) -> Objective:
        """Makes the objective; refuses training data that do not fit the model or the losses."""
        mesh = {"faces": self.model.faces, "num_vertices": len(self.model.template_vertices)}  # type: ignore[arg-type]
        if self.train_set is None:  # a step is replayed without data; the light is known already
            return make(**mesh).to(self.device)
        objective = make(**mesh, data_configs=self.train_set.configs()).to(self.device)
        require_image_size(self.renderer, self.train_set.image_size)
        require_heads(objective, self.model, self.train_set.image_size)
        return objective

    def _make_network(self, compile: bool) -> nn.Module:
        """Returns what computes predictions: the model, compiled or with averaged gradients."""
        # What is compiled shares its parameters with the model, which validation calls uncompiled.
        model = self.model
        network: nn.Module = torch.compile(model) if compile else model  # type: ignore[assignment]
        if not compile:  # only then can the modules be timed separately
            self.timer.modules(model)
        if self.processes.world_size == 1:
            return network
        use_global_batch_norm(model)
        return DistributedDataParallel(network, gradient_as_bucket_view=True)

    def _make_step(self, schedule: Mapping[str, Schedule], input_views: int | None) -> TrainingStep:
        return TrainingStep(
            network=self.network,
            renderer=self.renderer,
            objective=self.objective,
            optimizer=self.optimizer,
            schedule={name: schedule.get(name, Constant()) for name in ("lr", "sigma", "gamma")},
            guard=self.guard,
            timer=self.timer,
            processes=self.processes,
            device=self.device,
            precision=self.precision,
            layout=self.layout,
            input_views=input_views,
        )

    def _make_batches(self, augmentation: Augmentation | None) -> StepBatches:
        return StepBatches(
            self.train_set,
            self.seed,
            self.batch_size,
            self.views_per_object,
            self.objective.maps,
            rank=self.processes.rank,
            world_size=self.processes.world_size,
            augmentation=augmentation,
            input_views=self.step.input_views,
        )

    @property
    def progress(self) -> Progress:
        """The steps done, and the validations so far."""
        return self.state.progress

    def run(self, run: RunDirectory) -> dict[str, Any]:
        """Trains to `max_steps`, from the last checkpoint of the run directory if it has one.

        Args:
            run: The run directory, which gets checkpoints, logs and the result.

        Returns:
            The result, which is also stored: the fields of `Progress` and `figures`.

        Raises:
            FloatingPointError: Too many steps had a loss or gradient that is not finite, or a
                parameter is not finite.
            SystemExit: SIGINT or SIGTERM arrived; `last.pt` is saved, and the exit status is 128 +
                the signal.
            ValueError: The last checkpoints are not readable or of another configuration, or
                another process is training in the directory.
            OSError: A file could not be written.
        """
        self.state.start_clock()
        self._train_mode()
        with ExitStack() as stack:
            if self.processes.is_first:
                stack.enter_context(run.writing())
            checkpoints = RunCheckpoints(run)
            if self.state.resume(checkpoints) and self.processes.is_first:
                log.info("continuing at step %d of %d", self.progress.step, self.max_steps)
            interruption = stack.enter_context(Interruption())
            stack.enter_context(logging_redirect_tqdm())
            report = None
            if self.processes.is_first:
                self.state.framing = self.state.framing or find_framing(self.train_set).plain()
                report = stack.enter_context(self._reporting(run))
            self._loop(checkpoints, report, interruption)
            result = self.state.result()
            if report is not None:
                report.finish(result)
        return result

    def _reporting(self, run: RunDirectory) -> AbstractContextManager[TrainingReport]:
        return reporting(
            run,
            self.progress.step,
            self.val_set if self.validate_every else None,
            self.show_objects,
            self.batch_size * self.views_per_object,
            self.num_workers,
        )

    def _loop(
        self,
        checkpoints: RunCheckpoints,
        report: TrainingReport | None,
        interruption: Interruption,
    ) -> None:
        """Takes the steps that are left; ends early after a signal or when `stopping` says so."""
        if self.progress.stopped:  # an earlier start stopped, and broke before it wrote the result
            return
        for batch in self._batches():
            step = self.take_step(batch, interruption, checkpoints)
            if report is not None:
                self._report_step(report, batch, step)
            if self._is_due(self.validate_every):
                self._validate(checkpoints, report)
            ends = step.signum or self.progress.stopped or self.progress.step == self.max_steps
            if ends or self._is_due(self.checkpoint_every):
                self._save(checkpoints)
            if step.signum:
                if report is not None:
                    log.warning("stopped by a signal at step %d; saved", self.progress.step)
                raise SystemExit(128 + step.signum)
            if self.progress.stopped:
                log.info("stopped at step %d: %s", self.progress.step, self.progress.stopped)
                return

    def take_step(
        self,
        batch: Mapping[str, Tensor],
        interruption: Interruption | None = None,
        checkpoints: RunCheckpoints | None = None,
    ) -> StepResult:
        """Takes one optimiser step, or skips it when its numbers are not finite.

        Args:
            batch: The share of this process in the batch of the step.
            interruption: An entered context, which notes the signals that this process receives.
            checkpoints: The checkpoints of the run, which dump a skipped step.

        Raises:
            FloatingPointError: Too many steps were skipped, or a parameter is not finite.
        """
        result = self.step.take(self.progress.step, batch, interruption)
        if result.broken:
            self._skip(batch, result.losses, checkpoints)
        elif self.average is not None:
            self.average.update(self.model, self.progress.step)
        self.timer.end_step()
        self.progress.step += 1
        return result

    def _skip(
        self,
        batch: Mapping[str, Tensor],
        losses: Mapping[str, float],
        checkpoints: RunCheckpoints | None,
    ) -> None:
        """Leaves the state as it was before the step, and dumps that and the whole batch.

        Raises:
            FloatingPointError: Too many steps were skipped, or a parameter is not finite.
        """
        random = self.guard.undo()
        parts = self.processes.gather(dict(batch))
        state = self.state.content(random)
        dump = None
        if self.processes.is_first and checkpoints is not None:
            names = [name for name in batch if name != READING]
            whole = {name: torch.cat([part[name] for part in parts]) for name in names}
            light = self.objective.lighting
            more = {"lighting": None if light is None else light.config()}
            more |= {"batch": whole, "terms": dict(losses)}
            dump = checkpoints.save_dump({**state, **more})
        self.progress.skipped += 1
        self.guard.warn_of_skipped_step(self.progress.step + 1, losses, self.progress.skipped, dump)

    def replay(self, dump: Mapping[str, Any]) -> tuple[dict[str, float], list[str]]:
        """Computes the step of a dump again, without an update.

        Args:
            dump: The dump as `load_checkpoint` returned it.

        Returns:
            losses: the losses and the norm of the gradient.
            broken: the parameters whose gradient is not finite.

        Raises:
            ValueError: The file is a checkpoint without a batch, or of another model.
        """
        if "batch" not in dump:
            raise ValueError("this is no dump of a step: it has no batch")
        self.state.take_up(dump)
        rates = self.step.rates(self.progress.step)
        prediction, truth = self.step.predict(dump["batch"])
        terms, _ = self.step.losses(prediction, truth, rates["sigma"], rates["gamma"])
        self.step.backward(terms)
        return self.guard.read(terms), self.guard.broken_gradients()

    def _batches(self) -> Iterator[Mapping[str, Tensor]]:
        """Yields the batches of the steps still to do, with a progress bar."""
        steps = range(self.progress.step, self.max_steps)
        loader = load_steps(self.batches, steps, self.num_workers, self.device.type == "cuda")
        hidden = None if self.show_progress is None else not self.show_progress
        if not self.processes.is_first:
            hidden = True
        first = self.progress.step
        with tqdm(total=self.max_steps, initial=first, unit="step", disable=hidden) as bar:
            batches = iter(loader)
            for _ in range(first, self.max_steps):
                # The clock of CUDA stops the device, so there only the logged step is measured.
                self.timer.active = self.device.type == "cpu" or self._is_due(self.log_every, 1)
                self.timer.begin_step()
                with self.timer.part("data"):
                    batch = next(batches)
                yield batch
                bar.update()

    def _is_due(self, every: int, ahead: int = 0) -> bool:
        """Tells whether what is done every so many steps is due now, or in `ahead` steps."""
        step = self.progress.step + ahead
        return every > 0 and (step % every == 0 or step == self.max_steps)

    def _report_step(
        self, report: TrainingReport, batch: Mapping[str, Tensor], result: StepResult
    ) -> None:
        report.add_step(batch, result)
        if self._is_due(self.log_every):
            report.scalars(self.progress.step, result, self.timer)
        if self._is_due(self.image_every):
            report.images(self.progress.step, result)

    def _validate(self, checkpoints: RunCheckpoints, report: TrainingReport | None) -> None:
        """Validates the model and keeps it if it is the best; random states stay as they are."""
        assert self.val_set is not None  # the constructor requires it where this is called
        step = self.progress.step
        self.guard.require_finite_parameters(step)
        self.model.eval()
        with preserved_random_states():
            metrics = dict(self.validation(self.result_model, self.val_set, self.processes))
            if report is not None:
                report.validation(step, metrics, self.result_model)
        self._train_mode()
        best = self.progress.note_validation(metrics)
        state = self.state.content() if best else {}
        reason = None
        if self.processes.is_first:
            if best:
                checkpoints.save_best(state)
            reason = self.stopping(step, metrics) if self.stopping is not None else None
        self.progress.stopped = self.processes.broadcast(reason)

    def _save(self, checkpoints: RunCheckpoints) -> None:
        """Writes `last.pt`, unless a parameter is not finite."""
        self.guard.require_finite_parameters(self.progress.step)
        state = self.state.content()
        if self.processes.is_first:
            checkpoints.save_last(state)

    def _train_mode(self) -> None:
        """Switches to training mode; batch norms of frozen parts keep their statistics."""
        self.model.train()
        for part in self.frozen:
            part.eval()
