"""The running average of a model's weights, which is often better than the last of them."""

from __future__ import annotations

import copy

import torch
from torch import Tensor, nn


class WeightAverage:
    """An exponential moving average of the parameters and statistics of a model.

    average = d * average + (1 - d) * weights after every step, with d = min(decay, (1 + step) /
    (10 + step)), so that the first weights, which are random, are soon forgotten.

    Source: Polyak and Juditsky (1992); the growing decay is that of TensorFlow's
    `ExponentialMovingAverage`.

    Args:
        model: The model that is trained.
        decay: The share of the average that each step keeps, in (0, 1).

    Attributes:
        model: A copy of the model which holds the average.

    Raises:
        ValueError: `decay` is not in (0, 1).
    """

    def __init__(self, model: nn.Module, decay: float) -> None:
        if not 0 < decay < 1:
            raise ValueError(f"decay must lie in (0, 1), got {decay}")
        self.decay = decay
        self.model = copy.deepcopy(model).requires_grad_(False).eval()
        self.restart(model)

    def restart(self, model: nn.Module) -> None:
        """Makes the average that of one set of weights, those a model has now."""
        self.model.load_state_dict(model.state_dict())

    def update(self, model: nn.Module, step: int) -> None:
        """Takes the weights after a step into the average.

        Args:
            model: The model that is trained.
            step: The number of steps done before this one.
        """
        share = 1 - min(self.decay, (1 + step) / (10 + step))
        own, new = self.model.state_dict(), model.state_dict()
        with torch.no_grad():
            for name, value in own.items():
                if value.is_floating_point():
                    value.lerp_(new[name], share)
                else:  # counters and faces have no average
                    value.copy_(new[name])

    def state(self) -> dict[str, Tensor]:
        """Returns the state dict of the average."""
        return self.model.state_dict()
