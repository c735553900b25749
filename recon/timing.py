"""Where the time of a training step goes."""

from __future__ import annotations

import time
from collections import defaultdict
from collections.abc import Iterator
from contextlib import contextmanager

import torch
from torch import Tensor


class StepTimer:
    """Adds up the seconds of named parts of a step.

    On CUDA the clock waits for the device at both ends of a part, which costs speed: switch the
    timer on for single steps there.

    Args:
        device: where the work runs.
        active: whether to measure; else every part is free.
    """

    def __init__(self, device: torch.device, active: bool = True) -> None:
        self.device = device
        self.active = active
        self._seconds: dict[str, float] = defaultdict(float)
        self._steps = 0

    @contextmanager
    def part(self, name: str) -> Iterator[None]:
        """Add the time of the block to `name`."""
        if not self.active:
            yield
            return
        start = self._now()
        yield
        self._seconds[name] += self._now() - start

    def backward_between(self, name: str, begin: Tensor, end: Tensor) -> None:
        """Add to `name` the time of the backward pass from tensor `begin` back to tensor `end`.

        The hooks fire when the gradients of the two tensors are there. What lies between them in
        time is the part of the graph between them, because autograd runs the nodes made last first.
        """
        if not self.active:
            return
        mark = [0.0]

        def started(_: Tensor) -> None:
            mark[0] = self._now()

        def ended(_: Tensor) -> None:
            self._seconds[name] += self._now() - mark[0]

        begin.register_hook(started)
        end.register_hook(ended)

    def end_step(self) -> None:
        """Count a step, when it was measured."""
        self._steps += self.active

    def flush(self) -> dict[str, float]:
        """The mean seconds per measured step of each part, and of the whole `step`; starts anew.

        The whole is the sum of the parts, but for the `..._backward` parts, which lie inside
        `backward`.
        """
        steps = max(1, self._steps)
        means = {name: seconds / steps for name, seconds in self._seconds.items()}
        means["step"] = sum(v for name, v in means.items() if not name.endswith("_backward"))
        self._seconds.clear()
        self._steps = 0
        return means

    def _now(self) -> float:
        if self.device.type == "cuda":
            torch.cuda.synchronize(self.device)
        return time.perf_counter()
