"""Schedules: their values at the steps which matter, and what they refuse."""

from __future__ import annotations

import math

import pytest
from hypothesis import given
from hypothesis import strategies as st

from recon.schedules import Chain, Constant, Geometric, StepDecay, WarmupCosine


def test_step_decay_falls_at_its_milestones_and_not_before() -> None:
    schedule = StepDecay(milestones=[150_000], factor=0.3)
    assert [schedule(step) for step in (0, 149_999, 150_000, 249_999)] == [1.0, 1.0, 0.3, 0.3]


def test_step_decay_multiplies_at_every_milestone() -> None:
    schedule = StepDecay(milestones=[2, 5], factor=0.5)
    assert [schedule(step) for step in range(7)] == [1, 1, 0.5, 0.5, 0.5, 0.25, 0.25]


def test_warmup_cosine_passes_through_its_corners() -> None:
    schedule = WarmupCosine(warmup_steps=4, max_steps=104, final=0.1)
    assert [schedule(step) for step in range(4)] == pytest.approx([0.2, 0.4, 0.6, 0.8])
    assert schedule(4) == 1.0
    assert schedule(54) == pytest.approx(0.55)  # half way down: the mean of 1 and final
    assert schedule(104) == pytest.approx(0.1)
    assert schedule(10_000) == pytest.approx(0.1)


@given(st.integers(0, 50), st.integers(1, 200), st.floats(0.0, 1.0), st.integers(0, 400))
def test_warmup_cosine_stays_in_its_range(
    warmup: int, length: int, final: float, step: int
) -> None:
    value = WarmupCosine(warmup, warmup + length, final)(step)
    assert 0.0 <= value <= 1.0 + 1e-12
    assert value >= final - 1e-12 or step < warmup


def test_geometric_has_equal_ratios() -> None:
    schedule = Geometric(max_steps=10, final=0.01)
    ratios = [schedule(step + 1) / schedule(step) for step in range(10)]
    assert ratios == pytest.approx([0.01**0.1] * 10)
    assert schedule(10) == schedule(11) == pytest.approx(0.01)


def test_a_chain_counts_its_second_schedule_anew() -> None:
    chain = Chain(Geometric(4, 0.1), 4, Geometric(2, 0.25))
    assert [chain(step) for step in (0, 4, 5, 6, 9)] == pytest.approx([1, 1, 0.5, 0.25, 0.25])
    assert chain(3) == Geometric(4, 0.1)(3)
    with pytest.raises(ValueError, match="steps must be >= 0, got -1"):
        Chain(Constant(), -1, Constant())


def test_constant_is_one() -> None:
    assert {Constant()(step) for step in (0, 1, 10**9)} == {1.0}
    assert math.isfinite(Constant()(0))


@pytest.mark.parametrize("milestones", [[5, 2], [2, 2], [-1]])
def test_step_decay_refuses_bad_milestones(milestones: list[int]) -> None:
    with pytest.raises(ValueError, match="milestones"):
        StepDecay(milestones, 0.3)


def test_schedules_refuse_bad_numbers() -> None:
    with pytest.raises(ValueError, match="factor"):
        StepDecay([1], 0.0)
    with pytest.raises(ValueError, match="warmup_steps"):
        WarmupCosine(10, 10)
    with pytest.raises(ValueError, match="final"):
        WarmupCosine(0, 10, final=1.5)
    with pytest.raises(ValueError, match="final"):
        Geometric(10, 0.0)
