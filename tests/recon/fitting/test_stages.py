"""Stages fall geometrically and then rest."""

from __future__ import annotations

import pytest
import torch

from recon.fitting.stages import SoftStage

STAGE = SoftStage(100, 32, (1e-2, 1e-4), (1.0, 0.5), (0.1, 0.01))


def test_what_is_given_as_a_pair_falls_from_one_to_the_other() -> None:
    assert STAGE.at("sigma", 0) == 1e-2
    assert STAGE.at("sigma", 45) == pytest.approx(1e-3)
    assert [STAGE.at("sigma", step) for step in (90, 99, 100)] == pytest.approx([1e-4] * 3)
    assert STAGE.at("gamma", 90) == pytest.approx(0.5)


def test_the_shorter_side_has_the_size() -> None:
    assert STAGE.raster_size(torch.zeros(1, 4, 64, 128)) == (32, 64)
    whole = SoftStage(1, None, (1, 1), (1, 1), (1, 1))
    assert whole.raster_size(torch.zeros(1, 4, 64, 128)) == (64, 128)


def test_the_best_state_is_kept_only_where_losses_compare() -> None:
    for compare, best in ((True, 95), (False, 100)):
        x = torch.zeros(1)
        fit = STAGE.optimise(
            {"x": x},
            lambda step, x=x: {"a": (x * 0 + abs(step - 95)).sum()},  # type: ignore[misc]
            {"x": 1.0},
            compare,
        )
        assert int(fit.best_step) == best


@pytest.mark.parametrize(
    ("values", "message"),
    [
        ((-1, 32, (1, 1), (1, 1), (1, 1)), "steps must be >= 0"),
        ((1, 0, (1, 1), (1, 1), (1, 1)), "image_size >= 1"),
        ((1, 32, (1, 0), (1, 1), (1, 1)), r"sigma must be two finite numbers > 0, got \[1, 0\]"),
        ((1, 32, (1, 1), (1,), (1, 1)), "gamma must be two"),
        ((1, 32, (1, 1), (1, 1), (1, float("nan"))), "learning_rate must be two"),
    ],
)
def test_bad_stages_are_named(values: tuple, message: str) -> None:  # type: ignore[type-arg]
    with pytest.raises(ValueError, match=message):
        SoftStage(*values)
