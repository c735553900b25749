"""The training loop: image -> mesh -> four renderings -> losses -> optimiser."""

from __future__ import annotations

import logging
from collections.abc import Callable, Iterator, Mapping, Sequence
from contextlib import ExitStack
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
from recon.rendering.renderer import SoftRenderer
from recon.runs.checkpoints import preserved_random_states
from recon.runs.directory import RunDirectory
from recon.schedules import Constant, Schedule
from recon.timing import StepTimer
from recon.training.averaging import WeightAverage
from recon.training.batch_norm import use_global_batch_norm
from recon.training.checks import freeze, require_at_least, require_colors, require_image_size
from recon.training.distributed import Processes
from recon.training.optimizers import make_optimizer
from recon.training.progress import Progress, StepTaken
from recon.training.report import TrainingReport, reporting
from recon.training.resume import RunState
from recon.training.run_checkpoints import RunCheckpoints
from recon.training.step import TrainingStep
from recon.training.step_batches import READING, Augmentation, StepBatches, load_steps
from recon.training.step_guard import StepGuard

log = logging.getLogger(__name__)

Validation = Callable[[nn.Module, MultiViewDataset, Processes], Mapping[str, float]]
# Called after each validation with the step and its metrics; a returned reason ends the run.
Stopping = Callable[[int, Mapping[str, float]], str | None]


class Trainer:
    """Trains a model to explain the images of other views, without any 3D truth.

    Args:
        model: Makes a `Prediction` of images [B, 4, H, W] in [0, 1]; has `faces` [F, 3] and
            `template_vertices` [V, 3].
        renderer: The renderer; its `sigma` and `gamma` are the values at schedule 1.
        objective: Makes the objective from `faces`, `num_vertices` and `data_configs`, the
            configurations that made the data.
        optimizer: Makes the optimiser of groups of named parameters, without those of frozen parts.
        schedule: `lr`, `sigma` and `gamma`, factors by the step; one left out stays 1.
        parameter_groups: Parts of the model with other values of the optimiser, see
            `make_optimizer`.
        train_set: The data set of the batches.
        val_set: The data set of `validation`; None only when there is no validation.
        validation: (model, val_set, processes) -> metrics, of which `iou` decides which checkpoint
            is best.
        seed: The seed; with the step it decides the batches.
        max_steps: Optimiser steps of the whole run.
        batch_size: Objects per step, over all processes.
        views_per_object: Views per object and step.
        input_views: The number of these that the network sees; each mesh is rendered in all views.
            None means all.
        augmentation: Changes the objects of each batch, see `StepBatches`; None leaves them as they
            are.
        average_decay: How much of the average of the weights each step keeps, see `WeightAverage`;
            the average is what is validated and saved as the model. 0 means the weights themselves.
        log_every: Steps between scalars; losses are means over them. As of the other intervals, 0
            means never; but `last.pt` is always written at the end.
        image_every: Steps between images.
        checkpoint_every: Steps between writings of `last.pt`.
        validate_every: Steps between validations.
        max_skipped_steps: The number of steps of a run whose loss or gradient may be not finite.
        show_objects: Validation objects that are shown at every validation, always the same.
        num_workers: Processes which read batches for each that trains; 0 reads in that one.
        device: 'auto' (CUDA when there is one), 'cpu', 'cuda', 'cuda:1', ...
        precision: The type in which the network computes: 'float32', 'bfloat16', or 'auto', which
            is bfloat16 where the device multiplies it natively. The rendering stays in float32.
        channels_last: Whether images and filters lie in memory with their channels side by side:
            the same numbers up to rounding, in less time.
        compile: Whether `torch.compile` translates the network, which takes a minute.
        deterministic: Whether CUDA kernels whose sums depend on timing are avoided; on the CPU
            there are none.
        progress: Whether to draw a progress bar; None draws it on a terminal only.
        stopping: Called after each validation; see `Stopping`.
        initial: A checkpoint of a model with some parts of this one, which a new run starts from.
        frozen: Parts of the model, such as encoder and decoder, which stay as they are: neither
            their parameters nor the statistics of their batch norms change.
        processes: The processes which share the work; None is this one alone.

    Raises:
        ValueError: A number of steps, objects or workers is out of range, there is no such device,
            precision or part of the model, nothing to validate on or to train, or the objective
            needs colours or maps which model or data do not have.
    """

    def __init__(
        self,
        *,
        model: nn.Module,
        renderer: SoftRenderer,
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
        require_at_least(1, max_steps=max_steps, batch_size=batch_size)
        require_at_least(1, views_per_object=views_per_object)
        if input_views is not None and not 1 <= input_views <= views_per_object:
            raise ValueError(
                f"trainer.input_views must lie in 1..views_per_object = {views_per_object}, "
                f"got {input_views}"
            )
        require_at_least(0, log_every=log_every, image_every=image_every, seed=seed)
        require_at_least(0, checkpoint_every=checkpoint_every, validate_every=validate_every)
        require_at_least(0, num_workers=num_workers)
        require_at_least(0, max_skipped_steps=max_skipped_steps, show_objects=show_objects)
        if validate_every > 0 and val_set is None:
            raise ValueError("trainer.validate_every > 0 needs a val_set, got None")
        if deterministic:
            torch.use_deterministic_algorithms(True)
        self.processes = processes or Processes()
        self.device = choose_device(self.processes.device(device))
        self.precision = choose_precision(precision, self.device)
        self.layout = torch.channels_last if channels_last else torch.contiguous_format
        self.timer = StepTimer(self.device)
        self.model = model.to(self.device).to(memory_format=self.layout)
        self.frozen = freeze(self.model, frozen)
        self.average = WeightAverage(self.model, average_decay) if average_decay else None
        # What is validated, saved and shown.
        self.result_model = self.average.model if self.average else self.model
        self.faces: Tensor = self.model.faces  # type: ignore[assignment]
        self.renderer = renderer.to(self.device)
        num_vertices = len(self.model.template_vertices)  # type: ignore[arg-type]
        # A step is replayed without data; the objective then knows the light already.
        known = {} if train_set is None else {"data_configs": train_set.configs()}
        made = objective(faces=self.faces, num_vertices=num_vertices, **known)
        self.objective = made.to(self.device)
        if train_set is not None:
            require_image_size(self.renderer, train_set.image_size)
            require_colors(self.objective, self.model, train_set.image_size)
        self.network = self._distributed(self.model, compile)
        self.optimizer = make_optimizer(optimizer, self.model, parameter_groups)
        self.schedule = {name: schedule.get(name, Constant()) for name in ("lr", "sigma", "gamma")}
        self.train_set, self.val_set, self.validation = train_set, val_set, validation
        self.seed, self.max_steps, self.num_workers = seed, max_steps, num_workers
        self.batch_size, self.views_per_object = batch_size, views_per_object
        self.batches = StepBatches(
            train_set,
            seed,
            batch_size,
            views_per_object,
            self.objective.maps,
            rank=self.processes.rank,
            world_size=self.processes.world_size,
            augmentation=augmentation,
        )
        self.log_every, self.image_every = log_every, image_every
        self.checkpoint_every, self.validate_every = checkpoint_every, validate_every
        self.show_progress, self.stopping = progress, stopping
        self.guard = StepGuard(self.model, max_skipped_steps)
        self.step = TrainingStep(
            network=self.network,
            renderer=self.renderer,
            objective=self.objective,
            optimizer=self.optimizer,
            schedule=self.schedule,
            guard=self.guard,
            timer=self.timer,
            processes=self.processes,
            device=self.device,
            precision=self.precision,
            layout=self.layout,
            input_views=input_views,
        )
        self.show_objects = show_objects
        self.state = RunState(
            self.model, self.optimizer, self.processes, initial, average=self.average
        )

    @property
    def progress(self) -> Progress:
        """Where the run stands."""
        return self.state.progress

    def _distributed(self, model: nn.Module, compile: bool) -> nn.Module:
        """Returns what computes: the model itself, or with its gradients averaged."""
        # What is compiled shares its parameters with the model, which validation calls uncompiled.
        network: nn.Module = torch.compile(model) if compile else model  # type: ignore[assignment]
        if not compile:  # its parts can be told from each other
            self.timer.modules(model)
        if self.processes.world_size == 1:
            return network
        use_global_batch_norm(model)
        return DistributedDataParallel(network, gradient_as_bucket_view=True)

    def run(self, run: RunDirectory) -> dict[str, Any]:
        """Trains to `max_steps`, from the last checkpoint of the run directory if it has one.

        Args:
            run: The run directory of checkpoints, logs and the result.

        Returns:
            The result, which is also stored: the fields of `Progress` and `figures`.

        Raises:
            FloatingPointError: Too many losses or gradients were not finite, or a parameter is not.
            SystemExit: SIGINT or SIGTERM came; `last.pt` is saved, the status is 128 + the signal.
            ValueError: The last checkpoints are not readable or of another configuration, or
                another process is training in the directory.
            OSError: A file could not be written.
        """
        first = self.processes.is_first
        self.state.start_clock()
        self._train_mode()
        with ExitStack() as stack:
            if first:
                stack.enter_context(run.writing())
            checkpoints = RunCheckpoints(run)
            if self.state.resume(checkpoints) and first:
                log.info("continuing at step %d of %d", self.progress.step, self.max_steps)
            interruption = stack.enter_context(Interruption())
            stack.enter_context(logging_redirect_tqdm())
            report = None
            if first:
                self.state.framing = self.state.framing or find_framing(self.train_set).plain()
                images = self.batch_size * self.views_per_object
                report = stack.enter_context(
                    reporting(
                        run,
                        self.progress.step,
                        self.val_set if self.validate_every else None,
                        self.show_objects,
                        images,
                        self.num_workers,
                    )
                )
            self._loop(checkpoints, report, interruption)
            result = self.state.result()
            if report is not None:
                report.finish(result)
        return result

    def _loop(
        self,
        checkpoints: RunCheckpoints,
        report: TrainingReport | None,
        interruption: Interruption,
    ) -> None:
        """Takes the steps that are left."""
        if self.progress.stopped:  # and broke before it wrote its result
            return
        for batch in self._batches():
            taken = self.take_step(batch, interruption, checkpoints)
            if report is not None:
                self._report_step(report, batch, taken)
            self._validate_if_due(checkpoints, report)
            ends = bool(taken.signum or self.progress.stopped) or self._is_last
            if self._is_due(self.checkpoint_every) or ends:
                self._save(checkpoints)
            if taken.signum:
                if report is not None:
                    log.warning("stopped by a signal at step %d; saved", self.progress.step)
                raise SystemExit(128 + taken.signum)
            if self.progress.stopped:
                log.info("stopped at step %d: %s", self.progress.step, self.progress.stopped)
                return

    def take_step(
        self,
        batch: Mapping[str, Tensor],
        interruption: Interruption | None = None,
        checkpoints: RunCheckpoints | None = None,
    ) -> StepTaken:
        """Takes one optimiser step, or skips it when its numbers are not finite.

        Args:
            batch: This process's share of the batch of the step.
            interruption: An entered context, which knows the signals this process got.
            checkpoints: The checkpoints of the run, to which a skipped step is dumped.

        Raises:
            FloatingPointError: That was one skipped step too many, or a parameter is not finite.
        """
        taken = self.step.take(self.progress.step, batch, interruption)
        if taken.broken:
            self._skip(batch, taken.losses, checkpoints)
        elif self.average is not None:
            self.average.update(self.model, self.progress.step)
        self.timer.end_step()
        self.progress.step += 1
        return taken

    def _skip(
        self,
        batch: Mapping[str, Tensor],
        losses: Mapping[str, float],
        checkpoints: RunCheckpoints | None,
    ) -> None:
        """Leaves the state as it was before the step, and dumps that and the whole batch.

        Raises:
            FloatingPointError: That was one skipped step too many, or a parameter is not finite.
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
            ValueError: It is a checkpoint without a batch, or of another model.
        """
        if "batch" not in dump:
            raise ValueError("this is no dump of a step: it has no batch")
        self.state.take_up(dump)
        rates = self.step.rates(self.progress.step)
        terms, _, _ = self.step.losses(dump["batch"], rates["sigma"], rates["gamma"])
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

    @property
    def _is_last(self) -> bool:
        """Whether all steps are done."""
        return self.progress.step == self.max_steps

    def _report_step(
        self, report: TrainingReport, batch: Mapping[str, Tensor], taken: StepTaken
    ) -> None:
        step = self.progress.step
        report.add_step(batch, taken)
        if self._is_due(self.log_every):
            report.scalars(step, taken, self.timer)
        if self._is_due(self.image_every):
            report.images(step, taken)

    def _validate_if_due(self, checkpoints: RunCheckpoints, report: TrainingReport | None) -> None:
        """Measures, and keeps the best checkpoint; random states stay as they are."""
        if self.val_set is None or not self._is_due(self.validate_every):
            return
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
        """Lets batch norms learn, but for those of frozen parts."""
        self.model.train()
        for part in self.frozen:
            part.eval()
