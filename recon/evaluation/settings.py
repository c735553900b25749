"""What determines the figures of an evaluation, besides model and data."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import asdict, dataclass, replace
from typing import Any


@dataclass(frozen=True)
class EvaluationSettings:
    """What to measure of a model, and on which objects.

    Args:
        metrics: names of presets of `recon.metrics`.
        split: which objects of the data; None for all.
        categories: names or synsets; None means all.
        views: which views of each object; None means all, as the SoftRas protocol does.
        baselines: whether to score predictions without learning beside the model.
        batch_size: images per call of the model. Rounding depends on it.
        color_inputs: from how many of the views of each object a model with colours is judged by
            them; they are spread evenly.
        color_targets: in how many other views each of these predictions is compared.
        seed: of samples which presets draw, and of the bootstrap.

    Raises:
        ValueError: a number is out of range.
    """

    metrics: Sequence[str] = ("softras",)
    split: str | None = "test"
    categories: Sequence[str] | None = None
    views: Sequence[int] | None = None
    baselines: bool = True
    batch_size: int = 512
    color_inputs: int = 8
    color_targets: int = 3
    seed: int = 0

    def __post_init__(self) -> None:
        if self.batch_size < 1 or self.seed < 0:
            raise ValueError(
                f"batch_size must be >= 1 and seed >= 0, got {self.batch_size} and {self.seed}"
            )
        if self.color_inputs < 1 or self.color_targets < 1:
            raise ValueError(
                "color_inputs and color_targets must be >= 1, "
                f"got {self.color_inputs} and {self.color_targets}"
            )

    def without_baselines(self) -> EvaluationSettings:
        """Returns the same settings for the model alone."""
        return replace(self, baselines=False)

    def plain(self) -> dict[str, Any]:
        """Returns the settings as plain data."""
        return {
            key: list(value) if isinstance(value, tuple) else value
            for key, value in asdict(self).items()
        }
