"""Measures the time of the parts of a training step."""

from __future__ import annotations

import time
from collections import defaultdict
from collections.abc import Iterator, Sequence
from contextlib import contextmanager

import torch
from torch import Tensor, nn


class StepTimer:
    """Adds up the seconds of named parts of a step.

    On CUDA the clock waits for the device at both ends of a part, which costs speed: switch the
    timer on for single steps there.

    Args:
        device: The device that is measured.
        active: Whether to measure; otherwise a part costs nothing.
    """

    def __init__(self, device: torch.device, active: bool = True) -> None:
        self.device = device
        self.active = active
        self._seconds: dict[str, float] = defaultdict(float)
        self._steps = 0
        self._begun: float | None = None

    def begin_step(self) -> None:
        """Starts the clock of a whole step."""
        self._begun = self._now() if self.active else None

    @contextmanager
    def part(self, name: str) -> Iterator[None]:
        """Adds the time of the block to `name`."""
        if not self.active:
            yield
            return
        start = self._now()
        yield
        self._seconds[name] += self._now() - start

    def backward_between(self, name: str, begin: Sequence[Tensor], end: Tensor) -> None:
        """Adds to `name` the time of the backward pass from tensors `begin` back to tensor `end`.

        The hooks fire when the gradients of the tensors are there; the first of `begin` counts, and
        those without a gradient do not. What lies between them in time is the part of the graph
        between them, because autograd runs the nodes made last first.
        """
        if not self.active or not end.requires_grad:
            return
        marks: list[float] = []

        def started(_: Tensor) -> None:
            marks.append(self._now())

        def ended(_: Tensor) -> None:
            if marks:
                self._seconds[name] += self._now() - marks[0]

        for tensor in begin:
            if tensor.requires_grad:
                tensor.register_hook(started)
        end.register_hook(ended)

    def modules(self, parent: nn.Module) -> None:
        """Adds the time that each child of a module takes forward to the name of the child."""
        for name, child in parent.named_children():
            marks = [0.0]

            def entered(*_: object, marks: list[float] = marks) -> None:
                if self.active:
                    marks[0] = self._now()

            def left(*_: object, marks: list[float] = marks, name: str = name) -> None:
                if self.active:
                    self._seconds[name] += self._now() - marks[0]

            child.register_forward_pre_hook(entered)
            child.register_forward_hook(left)

    def end_step(self) -> None:
        """Stops the clock of the step."""
        if self.active and self._begun is not None:
            self._seconds["step"] += self._now() - self._begun
            self._steps += 1

    def flush(self) -> dict[str, float]:
        """Returns the mean seconds per measured step of each part, and of the `step`; starts anew.

        The step is more than the sum of its parts; `..._backward` parts lie inside `backward`.
        """
        steps = max(1, self._steps)
        means = {"step": 0.0} | {name: value / steps for name, value in self._seconds.items()}
        self._seconds.clear()
        self._steps = 0
        return means

    def _now(self) -> float:
        if self.device.type == "cuda":
            torch.cuda.synchronize(self.device)
        return time.perf_counter()
