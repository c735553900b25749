"""What is refused before a run starts."""

from __future__ import annotations

from types import SimpleNamespace
from typing import Any

import pytest
import torch
from torch import Tensor, nn

from recon.models import Prediction
from recon.training.checks import freeze, require_at_least, require_heads


def test_frozen_parts_have_no_gradients() -> None:
    model = nn.ModuleDict({"encoder": nn.Linear(2, 2), "decoder": nn.Linear(2, 2)})
    assert freeze(model, ["encoder"]) == [model["encoder"]]
    assert [p.requires_grad for p in model.parameters()] == [False, False, True, True]
    with pytest.raises(ValueError, match=r"takes parts of the model.*got \['head'\]"):
        freeze(model, ["head"])
    with pytest.raises(ValueError, match="leaves nothing to train"):
        freeze(model, ["decoder"])


class WithHeads(nn.Module):
    """Predicts a triangle, with colours and directions or without."""

    def __init__(self, colored: bool = False, directed: bool = False) -> None:
        super().__init__()
        self.color_head, self.camera_head = nn.Linear(1, 1), nn.Linear(1, 1)
        self.faces, self.template_vertices = torch.tensor([[0, 1, 2]]), torch.zeros(3, 3)
        self.colored, self.directed = colored, directed

    def forward(self, image: Tensor) -> Prediction:
        colors = torch.zeros(1, 3, 3) if self.colored else None
        if not self.directed:
            return Prediction(torch.zeros(1, 3, 3), colors)
        return Prediction(torch.zeros(1, 3, 3), colors, torch.zeros(1, 2), torch.eye(3)[:2])


def judge(*needs: str) -> Any:
    return SimpleNamespace(needs=lambda *inputs: bool(set(inputs) & set(needs)))


def test_colors_are_predicted_and_learned_or_neither() -> None:
    require_heads(judge("alpha"), WithHeads(), (8, 8))
    require_heads(judge("rgba"), WithHeads(colored=True), (8, 8))
    for needed in ("rgba", "colors"):
        with pytest.raises(ValueError, match=r"need a model\.color_head"):
            require_heads(judge(needed), WithHeads(), (8, 8))
    for needed in ("alpha", "colors"):  # smoothness alone teaches no colours
        with pytest.raises(ValueError, match=r"needs loss\.weights\.color or perceptual"):
            require_heads(judge(needed), WithHeads(colored=True), (8, 8))


def test_directions_are_predicted_and_learned_or_neither() -> None:
    require_heads(judge("direction_logits"), WithHeads(directed=True), (8, 8))
    with pytest.raises(ValueError, match=r"camera > 0 needs a model\.camera_head, got none"):
        require_heads(judge("direction_logits"), WithHeads(), (8, 8))
    with pytest.raises(ValueError, match=r"model\.camera_head needs loss\.weights\.camera > 0"):
        require_heads(judge("alpha"), WithHeads(directed=True), (8, 8))


def test_heads_that_are_frozen_need_no_loss() -> None:
    model = WithHeads(colored=True, directed=True)
    freeze(model, ["color_head"])
    require_heads(judge("direction_logits"), model, (8, 8))
    with pytest.raises(ValueError, match=r"model\.camera_head needs"):
        require_heads(judge("alpha"), model, (8, 8))
    model = WithHeads(colored=True, directed=True)
    freeze(model, ["camera_head"])
    require_heads(judge("rgba"), model, (8, 8))


def test_too_small_settings_are_named() -> None:
    require_at_least(1, batch_size=1, log_every=5)
    with pytest.raises(ValueError, match=r"trainer\.log_every must be >= 1, got 0"):
        require_at_least(1, batch_size=1, log_every=0)
