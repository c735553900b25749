"""One step of training: images -> meshes -> renderings -> losses -> update."""

from __future__ import annotations

from collections.abc import Mapping

import torch
from torch import Tensor, nn

from recon.command_line import Interruption
from recon.compute import computing_in
from recon.losses.objective import Objective, Renderings
from recon.rendering.renderer import SoftRenderer
from recon.schedules import Schedule
from recon.timing import StepTimer
from recon.training.distributed import Processes
from recon.training.progress import StepTaken
from recon.training.step_guard import StepGuard


class TrainingStep:
    """Takes optimiser steps with all that stays the same from one to the next.

    Args:
        network: Makes a `Prediction` of images [B, 4, H, W] in [0, 1].
        renderer: The renderer; its `sigma` and `gamma` are the values at schedule 1.
        objective: Renders the predictions and computes the losses.
        optimizer: The optimiser of the parameters.
        schedule: `lr`, `sigma` and `gamma`, factors by the step.
        guard: Tells whether numbers are finite, and knows the state before the step.
        timer: Measures the parts of a step.
        processes: The processes which share the batch.
        device: The device of the network.
        precision: The type in which the network computes.
        layout: The layout of the images in memory.
        input_views: The number of views of each object that the network sees, the first ones; each
            of their meshes is rendered in all views. None means all.
    """

    def __init__(
        self,
        *,
        network: nn.Module,
        renderer: SoftRenderer,
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
        self.optimizer, self.schedule = optimizer, schedule
        # The learning rates of the configuration, which the schedule multiplies.
        self.base_rates = [float(group["lr"]) for group in optimizer.param_groups]
        self.guard, self.timer, self.processes = guard, timer, processes
        self.device, self.precision, self.layout = device, precision, layout
        self.input_views = input_views

    def take(
        self, step: int, batch: Mapping[str, Tensor], interruption: Interruption | None = None
    ) -> StepTaken:
        """Computes a step and updates the parameters, unless a number is not finite.

        Args:
            step: The number of steps done before.
            batch: This process's share of the batch of the step.
            interruption: An entered context, which knows the signals this process got.
        """
        rates = self.rates(step)
        factor = self.schedule["lr"](step)
        for group, base in zip(self.optimizer.param_groups, self.base_rates, strict=True):
            group["lr"] = base * factor
        self.guard.begin_step()
        terms, images, renderings = self.losses(batch, rates["sigma"], rates["gamma"])
        self.backward(terms)
        with self.timer.part("guard"):
            losses = self.guard.read(terms)
            signum = (interruption.signum if interruption else None) or 0
            broken, signum = self.processes.all_reduce_max(
                not self.guard.all_finite(losses), signum
            )
        if not broken:
            with self.timer.part("optimizer"):
                self.optimizer.step()
        return StepTaken(losses, images, renderings, rates, signum, bool(broken))

    def rates(self, step: int) -> dict[str, float]:
        """Returns what schedules say of a step: the default learning rate, sigma and gamma."""
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

    def losses(
        self, batch: Mapping[str, Tensor], sigma: float, gamma: float
    ) -> tuple[dict[str, Tensor], Tensor, Renderings]:
        """Computes the losses of a batch, ready for the backward pass.

        Args:
            batch: A batch as `MultiViewDataset.sample_batch` returns it; where it has `inputs`
                [N, n, 4, H, W], the network sees these instead of the images.
            sigma: Edge softness of this step, in squared NDC units.
            gamma: Temperature of the softmax over depth of this step.

        Returns:
            terms: a scalar of each, and their weighted sum as `total`.
            images: [N, n, 4, H, W] in [0, 1].
            renderings: of the meshes from the input views in the cameras of all views.
        """
        truth = self._to_device(batch)
        images = truth["images"]
        seen = truth.get("inputs", images)[:, : self.input_views]
        inputs = seen.flatten(0, 1).contiguous(memory_format=self.layout)
        with computing_in(self.precision, self.device):
            prediction = self.network(inputs)
        with self.timer.part("render"):
            renderings = self.objective.render(
                self.renderer, prediction, truth["cameras"], sigma, gamma
            )
        with self.timer.part("losses"):
            terms = self.objective(renderings, prediction, truth)
            total = self.objective.total(terms)
        shape, colors = prediction.vertices, prediction.colors
        end = shape if shape.requires_grad or colors is None else colors
        self.timer.backward_between("render_backward", renderings.tensors(), end)
        return {"total": total, **terms}, images, renderings

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
