"""Settings of an evaluation: defaults, plain data, refusals."""

from __future__ import annotations

import json
from typing import Any

import pytest

from recon.evaluation.settings import EvaluationSettings


def test_the_defaults_are_the_protocol_of_softras() -> None:
    settings = EvaluationSettings()
    assert (settings.metrics, settings.split, settings.views) == (("softras",), "test", None)
    assert settings.baselines
    assert not settings.without_baselines().baselines


def test_settings_are_plain_data() -> None:
    plain = EvaluationSettings(["softras", "onet"], views=(0, 3), seed=5).plain()
    assert json.loads(json.dumps(plain)) == plain
    assert (plain["metrics"], plain["views"], plain["seed"]) == (["softras", "onet"], [0, 3], 5)


@pytest.mark.parametrize(
    ("changes", "message"),
    [
        ({"batch_size": 0}, "batch_size must be >= 1 and seed >= 0, got 0 and 0"),
        ({"seed": -1}, "batch_size must be >= 1 and seed >= 0, got 512 and -1"),
        ({"color_inputs": 0}, "color_inputs and color_targets must be >= 1, got 0 and 3"),
    ],
)
def test_numbers_out_of_range_are_refused(changes: dict[str, Any], message: str) -> None:
    with pytest.raises(ValueError, match=message):
        EvaluationSettings(**changes)
