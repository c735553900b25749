"""The state from which an interrupted run continues: weights, optimiser, random states."""

from __future__ import annotations

import logging
import time
from collections.abc import Mapping
from typing import Any

import torch
from torch import Tensor, nn

from recon.runs.checkpoints import (
    load_checkpoint,
    load_initial_state,
    load_model_state,
    random_states,
    restore_random_states,
)
from recon.runs.shipped_models import find_model
from recon.schedules import Adaptive, Schedule
from recon.training.averaging import WeightAverage
from recon.training.distributed import Processes
from recon.training.progress import Progress
from recon.training.run_checkpoints import RunCheckpoints

log = logging.getLogger(__name__)

# Where a checkpoint whose model is an average keeps the weights that the optimiser moves.
TRAINED = "trained"
# Where a checkpoint keeps the states of adaptive schedules.
SCHEDULE = "schedule"


class RunState:
    """The state of a run, as a checkpoint keeps it.

    Args:
        model: The model, whose weights are saved and loaded.
        optimizer: The optimiser of its parameters.
        processes: The processes which share the run.
        initial: A checkpoint of a model with some parts of this one, or the name of one that comes
            with the package, which a new run starts from.
        average: The average of the weights. It is then the model of checkpoints, which keep the
            weights that the optimiser moves beside it.
        schedule: The schedules by their names, of which checkpoints keep the `Adaptive` ones.

    Attributes:
        progress: The steps and validations of the run so far.
        framing: How the training data frame their objects, which images from elsewhere need; None
            until it is measured.
    """

    def __init__(
        self,
        model: nn.Module,
        optimizer: torch.optim.Optimizer,
        processes: Processes,
        initial: str | None = None,
        average: WeightAverage | None = None,
        schedule: Mapping[str, Schedule] | None = None,
    ) -> None:
        self.average = average
        self.adaptive = {
            name: one for name, one in (schedule or {}).items() if isinstance(one, Adaptive)
        }
        self.model, self.optimizer, self.processes = model, optimizer, processes
        self.initial = initial
        self.progress = Progress()
        self.framing: dict[str, Any] | None = None
        self._started = time.monotonic()

    def start_clock(self) -> None:
        """Counts the seconds of this start from now on."""
        self._started = time.monotonic()

    def content(self, random: Mapping[str, Any] | None = None) -> dict[str, Any]:
        """Returns all that a run continues from; all processes must ask for it together.

        Args:
            random: The random states of this process that are saved instead of the present ones.
        """
        weights = self.model.state_dict()
        models = {"model": weights}
        if self.average is not None:
            models = {"model": self.average.state(), TRAINED: weights}
        schedule = {name: one.state() for name, one in self.adaptive.items()}
        return {
            **models,
            **({SCHEDULE: schedule} if schedule else {}),
            "optimizer": self.optimizer.state_dict(),
            **vars(self.progress),
            "seconds": self._seconds(),
            "random": self.processes.gather(random or random_states()),
            **({} if self.framing is None else {"framing": self.framing}),
        }

    def result(self) -> dict[str, Any]:
        """Returns the result of a finished run: the fields of `Progress` and `figures`."""
        result = {**vars(self.progress), "seconds": self._seconds()}
        metrics = result.pop("best_metrics")
        return {**result, "figures": metrics}

    def _seconds(self) -> float:
        return self.progress.seconds + time.monotonic() - self._started

    def resume(self, checkpoints: RunCheckpoints) -> bool:
        """Takes up the last checkpoint of a run, or starts from the initial one, if there are any.

        Returns:
            Whether there was a last one, so that the run continues.

        Raises:
            ValueError: A checkpoint is not readable, of another configuration or of another model;
                or the initial one lacks a part that is frozen.
            FileNotFoundError: There is no such initial checkpoint.
        """
        # One process reads, so that all continue from the same and machines need not share a disk.
        own = initial = None
        if self.processes.is_first:
            own = checkpoints.resume()
            if own is None and self.initial is not None:
                initial = load_checkpoint(find_model(self.initial))["model"]
        checkpoint, initial = self.processes.broadcast((own, initial))
        if checkpoint is not None:
            self.take_up(checkpoint)
        elif initial is not None:
            self._require_frozen_parts(initial)
            left_out = load_initial_state(self.model, initial)
            if left_out:
                log.info("%s: the model has no %s", self.initial, ", ".join(left_out))
            if self.average is not None:
                self.average.restart(self.model)
        return checkpoint is not None

    def _require_frozen_parts(self, initial: Mapping[str, Tensor]) -> None:
        """Refuses initial weights without a frozen part, which would stay as it was drawn."""
        there = {name.partition(".")[0] for name in initial}
        for name, part in self.model.named_children():
            learned = [parameter.requires_grad for parameter in part.parameters()]
            if learned and not any(learned) and name not in there:
                raise ValueError(
                    f"trainer.initial must have the parts of trainer.frozen, got {self.initial}, "
                    f"which has no {name}"
                )

    def take_up(self, checkpoint: Mapping[str, Any]) -> None:
        """Makes everything as it was when a checkpoint was made.

        Raises:
            ValueError: The checkpoint is of another model.
        """
        load_model_state(self.model, checkpoint.get(TRAINED, checkpoint["model"]))
        if self.average is not None:
            load_model_state(self.average.model, checkpoint["model"])
        self.optimizer.load_state_dict(checkpoint["optimizer"])
        self.progress = Progress(**{name: checkpoint[name] for name in vars(self.progress)})
        self.framing = checkpoint.get("framing")
        for name, state in checkpoint.get(SCHEDULE, {}).items():
            self.adaptive[name].load_state(state)
        # Should there be more processes now than there were, the others repeat their numbers.
        states = checkpoint["random"]
        restore_random_states(states[self.processes.rank % len(states)])
