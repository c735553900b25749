"""One step of training: images -> meshes -> renderings -> losses -> update."""

from __future__ import annotations

import math
from collections.abc import Mapping
from dataclasses import dataclass

import torch
from torch import Tensor, nn

from recon.command_line import Interruption
from recon.compute import computing_in
from recon.losses.objective import Objective, Renderings
from recon.models import Prediction
from recon.rendering.interface import Renderer
from recon.schedules import Adaptive, Schedule
from recon.timing import StepTimer
from recon.training.distributed import Processes
from recon.training.step_guard import StepGuard

# Of the central difference in log sigma or log gamma. Its error is the square of it, and below it
# rounding of losses, 1e-7 of them in float32, is divided by it.
LOG_STEP = 0.05


@dataclass(frozen=True, eq=False)
class StepResult:
    """The losses, images and renderings of a training step.

    Args:
        losses: The losses and the norm of the gradient, finite or not.
        images: [N, n, 4, H, W] n input images in [0, 1] of each of N objects.
        renderings: The renderings of the meshes predicted from these images.
        rates: The learning rate, sigma and gamma of the step.
        signum: The number of the signal which asks to stop after the step, or 0.
        broken: Whether a loss or the gradient was not finite, so that nothing was updated.
    """

    losses: dict[str, float]
    images: Tensor
    renderings: Renderings
    rates: dict[str, float]
    signum: int = 0
    broken: bool = False


class TrainingStep:
    """Computes optimiser steps; holds everything that is the same in all of them.

    Args:
        network: The network that makes a `Prediction` of images [B, 4, H, W] in [0, 1].
        renderer: The renderer; its `sigma` and `gamma` are the values at schedule 1.
        objective: The objective, which renders the predictions and computes the losses.
        optimizer: The optimiser of the parameters.
        schedule: The schedules of `lr`, `sigma` and `gamma`: factors as functions of the step;
            `Adaptive` ones of sigma and gamma are told the sensitivity of the loss.
        guard: The guard, which tells whether numbers are finite and keeps the state before the
            step.
        timer: The timer of the parts of a step.
        processes: The processes that share the batch.
        device: The device of the network.
        precision: The type in which the network computes.
        layout: The layout of the images in memory.
        input_views: The number of views of each object that the network sees, the first ones; each
            of their meshes is rendered in all views. None means all.

    Raises:
        ValueError: The schedule of the learning rate is `Adaptive`.
    """

    def __init__(
        self,
        *,
        network: nn.Module,
        renderer: Renderer,
        objective: Objective,
        optimizer: torch.optim.Optimizer,
        schedule: Mapping[str, Schedule],
        guard: StepGuard,
        timer: StepTimer,
        processes: Processes,
        device: torch.device,
        precision: torch.dtype,
        layout: torch.memory_format,
        input_views: int | None = None,
    ) -> None:
        self.network, self.renderer, self.objective = network, renderer, objective
        if isinstance(schedule["lr"], Adaptive):
            raise ValueError(
                "schedule.lr must be a function of the step alone, got Adaptive, which is for the "
                "softness of renders"
            )
        self.optimizer, self.schedule = optimizer, schedule
        # The learning rates of the configuration, which the schedule multiplies.
        self.base_rates = [float(group["lr"]) for group in optimizer.param_groups]
        self.guard, self.timer, self.processes = guard, timer, processes
        self.device, self.precision, self.layout = device, precision, layout
        self.input_views = input_views

    def take(
        self, step: int, batch: Mapping[str, Tensor], interruption: Interruption | None = None
    ) -> StepResult:
        """Computes a step and updates the parameters, unless a number is not finite.

        Args:
            step: The number of steps that were done before.
            batch: The share of this process in the batch of the step.
            interruption: An entered context, which notes the signals that this process receives.
        """
        rates = self.rates(step)
        factor = self.schedule["lr"](step)
        for group, base in zip(self.optimizer.param_groups, self.base_rates, strict=True):
            group["lr"] = base * factor
        self.guard.begin_step()
        prediction, truth = self.predict(batch)
        terms, renderings = self.losses(prediction, truth, rates["sigma"], rates["gamma"])
        self.backward(terms)
        with self.timer.part("guard"):
            losses = self.guard.read(terms)
            signum = (interruption.signum if interruption else None) or 0
            broken, signum = self.processes.all_reduce_max(
                not self.guard.all_finite(losses), signum
            )
        if not broken:
            self._adapt(step, prediction, truth, rates)
            with self.timer.part("optimizer"):
                self.optimizer.step()
        return StepResult(losses, truth["images"], renderings, rates, signum, bool(broken))

    def rates(self, step: int) -> dict[str, float]:
        """Returns the default learning rate, sigma and gamma that the schedules set at a step."""
        base = {
            "lr": self.optimizer.defaults["lr"],
            "sigma": self.renderer.sigma,
            "gamma": self.renderer.gamma,
        }
        return {name: value * self.schedule[name](step) for name, value in base.items()}

    def backward(self, terms: Mapping[str, Tensor]) -> None:
        """Computes the gradients of the total loss."""
        with self.timer.part("backward"):
            self.optimizer.zero_grad(set_to_none=True)
            terms["total"].backward()

    def predict(self, batch: Mapping[str, Tensor]) -> tuple[Prediction, dict[str, Tensor]]:
        """Predicts the meshes of a batch.

        Args:
            batch: A batch as `MultiViewDataset.sample_batch` returns it; where it has `inputs`
                [N, m, 4, H, W], the network sees these instead of the images.

        Returns:
            prediction: the meshes predicted from the input views.
            truth: the batch on the device, with `images` [N, n, 4, H, W] in [0, 1].
        """
        truth = self._to_device(batch)
        seen = truth.get("inputs", truth["images"])[:, : self.input_views]
        inputs = seen.flatten(0, 1).contiguous(memory_format=self.layout)
        with computing_in(self.precision, self.device):
            return self.network(inputs), truth

    def losses(
        self, prediction: Prediction, truth: Mapping[str, Tensor], sigma: float, gamma: float
    ) -> tuple[dict[str, Tensor], Renderings]:
        """Computes the losses of a batch, ready for the backward pass.

        Args:
            prediction: The meshes that `predict` returned.
            truth: The batch that `predict` returned.
            sigma: The softness of edges at this step, squared NDC units.
            gamma: The temperature of the softmax over depth at this step.

        Returns:
            terms: the scalar of each term, and their weighted sum as `total`.
            renderings: the meshes predicted from the input views, in the cameras of all views.
        """
        with self.timer.part("render"):
            renderings = self.objective.render(
                self.renderer, prediction, truth["cameras"], sigma, gamma
            )
        with self.timer.part("losses"):
            terms = self.objective(renderings, prediction, truth)
            total = self.objective.total(terms)
        shape, colors = prediction.vertices, prediction.colors
        end = shape if shape.requires_grad or colors is None else colors
        self.timer.backward_between("render_backward", list(renderings.flat.values()), end)
        return {"total": total, **terms}, renderings

    def _adapt(
        self,
        step: int,
        prediction: Prediction,
        truth: Mapping[str, Tensor],
        rates: Mapping[str, float],
    ) -> None:
        """Tells adaptive schedules of the sensitivity of the loss of a step, where they ask."""
        for name, schedule in self.schedule.items():
            if isinstance(schedule, Adaptive):
                measured = None
                if schedule.measures(step) and self._matters(name):
                    with self.timer.part("sensitivity"):
                        measured = self._sensitivity(name, prediction, truth, rates)
                schedule.end_step(step, measured)

    def _matters(self, name: str) -> bool:
        """Tells whether the loss depends on sigma or gamma at all."""
        if name == "gamma":
            return self.renderer.gamma > 0 and self.objective.needs("rgba", "shading")
        return self.renderer.sigma > 0

    @torch.no_grad()
    def _sensitivity(
        self,
        name: str,
        prediction: Prediction,
        truth: Mapping[str, Tensor],
        rates: Mapping[str, float],
    ) -> float:
        """Returns dL / dlog s of sigma or gamma by a central difference, of all processes.

        Two renders without a gradient cost less than a derivative of every kernel would, and serve
        every renderer and loss.
        """

        def loss(exponent: float) -> float:
            changed = {**rates, name: rates[name] * math.exp(exponent)}
            renderings = self.objective.render(
                self.renderer, prediction, truth["cameras"], changed["sigma"], changed["gamma"]
            )
            return self.objective.total(self.objective(renderings, prediction, truth)).item()

        own = (loss(LOG_STEP) - loss(-LOG_STEP)) / (2 * LOG_STEP)
        every = self.processes.gather(own)
        return sum(every) / len(every)

    def _to_device(self, batch: Mapping[str, Tensor]) -> dict[str, Tensor]:
        """Returns cameras, and images in [0, 1], which travel to the device as bytes."""
        moved = {
            name: batch[name].to(self.device, non_blocking=True)
            for name in ("images", "inputs", *self.objective.maps, "cameras")
            if name in batch
        }
        return {
            name: value.float().div_(255) if value.dtype == torch.uint8 else value
            for name, value in moved.items()
        }
