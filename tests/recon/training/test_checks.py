"""What is refused before a run starts."""

from __future__ import annotations

from types import SimpleNamespace
from typing import Any

import pytest
import torch
from torch import Tensor, nn

from recon.models import Prediction
from recon.training.checks import freeze, require_at_least, require_colors


def test_frozen_parts_have_no_gradients() -> None:
    model = nn.ModuleDict({"encoder": nn.Linear(2, 2), "decoder": nn.Linear(2, 2)})
    assert freeze(model, ["encoder"]) == [model["encoder"]]
    assert [p.requires_grad for p in model.parameters()] == [False, False, True, True]
    with pytest.raises(ValueError, match=r"takes parts of the model.*got \['head'\]"):
        freeze(model, ["head"])
    with pytest.raises(ValueError, match="leaves nothing to train"):
        freeze(model, ["decoder"])


class Colored(nn.Module):
    """Predicts a triangle, with colours or without."""

    def __init__(self, colored: bool) -> None:
        super().__init__()
        self.unused = nn.Parameter(torch.zeros(()))
        self.faces, self.template_vertices = torch.tensor([[0, 1, 2]]), torch.zeros(3, 3)
        self.colors = torch.zeros(1, 3, 3) if colored else None

    def forward(self, image: Tensor) -> Prediction:
        return Prediction(torch.zeros(1, 3, 3), self.colors)


def test_colors_are_predicted_and_learned_or_neither() -> None:
    def judge(*needs: str) -> Any:
        return SimpleNamespace(needs=lambda *inputs: bool(set(inputs) & set(needs)))

    require_colors(judge("alpha"), Colored(False), (8, 8))
    require_colors(judge("rgba"), Colored(True), (8, 8))
    for needed in ("rgba", "colors"):
        with pytest.raises(ValueError, match=r"need a model\.color_head"):
            require_colors(judge(needed), Colored(False), (8, 8))
    for needed in ("alpha", "colors"):  # smoothness alone teaches no colours
        with pytest.raises(ValueError, match=r"needs loss\.weights\.color or perceptual"):
            require_colors(judge(needed), Colored(True), (8, 8))


def test_too_small_settings_are_named() -> None:
    require_at_least(1, batch_size=1, log_every=5)
    with pytest.raises(ValueError, match=r"trainer\.log_every must be >= 1, got 0"):
        require_at_least(1, batch_size=1, log_every=0)
