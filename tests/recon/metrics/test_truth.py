from __future__ import annotations

import pytest
import torch

from recon.metrics.truth import Truth


def test_what_is_there_is_returned_and_what_is_not_is_named() -> None:
    points = torch.zeros(4, 3)
    truth = Truth(points=points)
    assert truth.require("points") is points
    with pytest.raises(ValueError, match="truth must have occupancies, got None"):
        truth.require("occupancies")
