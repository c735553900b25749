"""What a training run writes for its user: TensorBoard scalars and images, and its pace."""

from __future__ import annotations

from collections.abc import Mapping
from pathlib import Path
from types import TracebackType

import torch
from torch import Tensor
from torch.utils.tensorboard import SummaryWriter

from recon.objectives import Renderings
from recon.timing import StepTimer


class LossWindow:
    """The sums of figures of the steps since the last flush."""

    def __init__(self) -> None:
        self._sums: dict[str, float] = {}
        self._count = 0

    def append(self, figures: Mapping[str, float]) -> None:
        """Adds the figures of a step; all steps have the same names."""
        for name, value in figures.items():
            self._sums[name] = self._sums.get(name, 0.0) + value
        self._count += 1

    def flush(self) -> dict[str, float]:
        """Returns the mean of each figure over the window; the next window starts empty."""
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
        """Shows the configuration as text."""
        self._writer.add_text("settings", f"```json\n{text}\n```", 0)

    def scalars(self, group: str, values: Mapping[str, float], step: int) -> None:
        """Writes scalars as `group/name`."""
        for name, value in values.items():
            self._writer.add_scalar(f"{group}/{name}", value, step)

    def timing(self, timer: StepTimer, images: int, reading: float, step: int) -> None:
        """Writes the seconds per step and its parts, the pace, and the share of rendering.

        Args:
            timer: what measured them; it starts anew.
            images: pictures of a step, of all processes.
            reading: pictures per second that can be read.
            step: the step of the event.
        """
        values = timer.flush()
        self.scalars("seconds", values, step)
        if values["step"] <= 0:
            return
        share = (values.get("render", 0.0) + values.get("render_backward", 0.0)) / values["step"]
        pace = images / values["step"]
        self.scalars("share", {"render": share}, step)
        self.scalars("images_per_second", {"training": pace, "reading": reading}, step)
        self.pace = (
            f"{values['step']:.3f} s per step, {100 * share:.0f} % of it rendering;"
            f" {pace:.0f} images/s, and {reading:.0f} could be read"
        )

    def pictures(self, images: Tensor, renderings: Renderings, step: int, count: int = 8) -> None:
        """Shows inputs, what is rendered of them and what should be, one row each.

        Args:
            images: [N, n, 4, H, W] in [0, 1].
            renderings: of the predictions; the rows are silhouettes, then colours and shading where
                there are any.
            step: the step of the event.
            count: how many objects to show.
        """
        inputs = images[:count, 0].detach()
        truth = inputs[:, 3:].expand(-1, 3, -1, -1)
        rows = [_on_white(inputs[:, :3] * inputs[:, 3:], inputs[:, 3:])]
        rows += [renderings.alpha[:count, 0, 0].detach()[:, None].expand(-1, 3, -1, -1), truth]
        for rgba in (renderings.rgba, renderings.shading):
            if rgba is not None:
                shown = rgba[:count, 0, 0].detach()
                rows.append(_on_white(shown[:, :3], shown[:, 3:]))
        grid = torch.cat([torch.cat(list(row), dim=2) for row in rows], dim=1).clamp(0, 1).cpu()
        self._writer.add_image("input_rendered_truth", grid, step)


def _on_white(rgb: Tensor, alpha: Tensor) -> Tensor:
    """Returns colours over black [B, 3, H, W] over white."""
    return rgb + (1 - alpha)
