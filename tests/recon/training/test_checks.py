"""What is refused before a run starts."""

from __future__ import annotations

from functools import partial
from types import SimpleNamespace

import pytest
from torch import nn

from recon.training.checks import freeze, require_at_least, require_colors


def test_frozen_parts_have_no_gradients() -> None:
    model = nn.ModuleDict({"encoder": nn.Linear(2, 2), "decoder": nn.Linear(2, 2)})
    assert freeze(model, ["encoder"]) == [model["encoder"]]
    assert [p.requires_grad for p in model.parameters()] == [False, False, True, True]
    with pytest.raises(ValueError, match=r"takes parts of the model.*got \['head'\]"):
        freeze(model, ["head"])
    with pytest.raises(ValueError, match="leaves nothing to train"):
        freeze(model, ["decoder"])


def test_colors_are_predicted_and_learned_or_neither() -> None:
    objective = partial(SimpleNamespace, colored=False, learns_colors=False)
    with_head, without = SimpleNamespace(color_head=object()), SimpleNamespace()
    require_colors(objective(), without)
    require_colors(objective(colored=True, learns_colors=True), with_head)
    with pytest.raises(ValueError, match=r"need a model\.color_head"):
        require_colors(objective(colored=True), without)
    with pytest.raises(ValueError, match=r"color_head needs loss\.weights"):
        require_colors(objective(), with_head)


def test_too_small_settings_are_named() -> None:
    require_at_least(1, batch_size=1, log_every=5)
    with pytest.raises(ValueError, match=r"trainer\.log_every must be >= 1, got 0"):
        require_at_least(1, batch_size=1, log_every=0)
