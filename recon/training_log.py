"""What a training run writes for its user: TensorBoard scalars and images, and the finite check."""

from __future__ import annotations

import math
from collections.abc import Mapping
from pathlib import Path
from types import TracebackType

import torch
from torch import Tensor
from torch.utils.tensorboard import SummaryWriter

from recon.timing import StepTimer


class LossWindow:
    """The loss terms of the steps since the last flush, kept on their device.

    Reading a number from a GPU waits for it, so the terms are read together, once per window.
    """

    def __init__(self) -> None:
        self._steps: list[int] = []
        self._terms: list[Tensor] = []
        self._names: tuple[str, ...] = ()
        self._sums: dict[str, float] = {}
        self._count = 0

    def append(self, step: int, terms: Mapping[str, Tensor]) -> None:
        """Keep the terms of a step, each a scalar; all steps have the same names."""
        self._names = tuple(terms)
        self._steps.append(step)
        self._terms.append(torch.stack([term.detach() for term in terms.values()]))

    def check(self) -> None:
        """Read the kept terms.

        Raises:
            FloatingPointError: one is not finite; the message names the first such step and its
                terms.
        """
        if not self._terms:
            return
        for step, row in zip(self._steps, torch.stack(self._terms).tolist(), strict=True):
            if not all(math.isfinite(value) for value in row):
                values = dict(zip(self._names, row, strict=True))
                raise FloatingPointError(f"the loss is not finite at step {step}: {values}")
            for name, value in zip(self._names, row, strict=True):
                self._sums[name] = self._sums.get(name, 0.0) + value
            self._count += 1
        self._steps, self._terms = [], []

    def flush(self) -> dict[str, float]:
        """The mean of each term over the window; the next window starts empty.

        Raises:
            FloatingPointError: as `check`.
        """
        self.check()
        means = {name: total / self._count for name, total in self._sums.items()}
        self._sums, self._count = {}, 0
        return means


class TrainingLog:
    """A TensorBoard writer which continues the curves of a broken run.

    Args:
        folder: where the event files go.
        step: steps already done; events after it, from a start which broke, are discarded.
    """

    def __init__(self, folder: Path, step: int) -> None:
        self._writer = SummaryWriter(str(folder), purge_step=step + 1 if step > 0 else None)
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

    def settings(self, text: str) -> None:
        """Show the configuration as text."""
        self._writer.add_text("settings", f"```json\n{text}\n```", 0)

    def scalars(self, group: str, values: Mapping[str, float], step: int) -> None:
        """Write scalars as `group/name`."""
        for name, value in values.items():
            self._writer.add_scalar(f"{group}/{name}", value, step)

    def timing(self, timer: StepTimer, step: int) -> None:
        """Write the seconds per step and its parts, and the share of rendering; start anew."""
        values = timer.flush()
        self.scalars("seconds", values, step)
        if values["step"] > 0:
            render = values.get("render", 0.0) + values.get("render_backward", 0.0)
            share = render / values["step"]
            self.scalars("share", {"render": share}, step)
            self.pace = f"{values['step']:.3f} s per step, {100 * share:.0f} % of it rendering"

    def silhouettes(self, images: Tensor, alpha: Tensor, step: int, count: int = 8) -> None:
        """Show inputs, their rendered silhouettes and the true ones, one row each.

        Args:
            images: [N, n, 4, H, W] in [0, 1].
            alpha: [N, n, n, H, W], see `recon.objectives`.
            step: the step of the event.
            count: how many objects to show.
        """
        inputs = images[:count, 0].detach()
        rgb = inputs[:, :3] * inputs[:, 3:] + (1 - inputs[:, 3:])  # on white
        rendered = alpha[:count, 0, 0].detach()[:, None].expand(-1, 3, -1, -1)
        truth = inputs[:, 3:].expand(-1, 3, -1, -1)
        rows = [torch.cat(list(row), dim=2) for row in (rgb, rendered, truth)]
        grid = torch.cat(rows, dim=1).clamp(0, 1).cpu()
        self._writer.add_image("input_rendered_truth", grid, step)
