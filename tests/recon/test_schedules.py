"""Schedules: their values at the steps which matter, and what they refuse."""

from __future__ import annotations

import math
import re

import pytest
from hypothesis import given
from hypothesis import strategies as st

from recon.schedules import Adaptive, Chain, Constant, Geometric, StepDecay, WarmupCosine


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


# ---- adaptive -----------------------------------------------------------------------------------


def told(schedule: Adaptive, sensitivities: list[float]) -> list[float]:
    """The factor after each step of these sensitivities."""
    factors = []
    for step, value in enumerate(sensitivities):
        schedule.end_step(step, value if schedule.measures(step) else None)
        factors.append(schedule(step + 1))
    return factors


def test_an_adaptive_factor_falls_where_sharper_renders_would_lower_the_loss() -> None:
    schedule = Adaptive(factor=0.5, every=2, start=4, measure_every=1, memory=0.0, final=0.2)
    assert schedule(0) == 1.0
    # Decisions are made after steps 4, 6, 8, ...; 0.5^3 is below the final factor.
    factors = told(schedule, [1, 1, 1, 1, 1, -1, 1, 1, 1, 1, 1, 1])
    assert factors == pytest.approx([1, 1, 1, 0.5, 0.5, 0.5, 0.5, 0.25, 0.25, 0.2, 0.2, 0.2])


def test_an_adaptive_factor_stays_where_the_loss_is_insensitive_or_wants_soft_edges() -> None:
    for sensitivity in (0.0, -1.0):
        schedule = Adaptive(every=1, start=0, measure_every=1)
        assert told(schedule, [sensitivity] * 10) == [1.0] * 10


def test_an_adaptive_schedule_averages_what_it_measures() -> None:
    schedule = Adaptive(factor=0.5, every=4, start=0, measure_every=2, memory=0.5)
    assert [schedule.measures(step) for step in range(5)] == [True, False, True, False, True]
    # Averages: 0.5 after step 0, then 0.25 - 1 after step 2; the others are not measured.
    assert told(schedule, [1, 100, -2, 100]) == [1.0] * 4
    assert schedule.average == pytest.approx(-0.75)
    schedule.end_step(4, math.nan)
    assert schedule.average == pytest.approx(-0.75)


def test_an_adaptive_schedule_continues_from_its_state() -> None:
    values = [math.sin(step) + 0.3 for step in range(40)]
    whole, broken = (Adaptive(factor=0.7, every=3, start=2, measure_every=2) for _ in range(2))
    expected = told(whole, values)
    told(broken, values[:17])
    state = broken.state()
    resumed = Adaptive(factor=0.7, every=3, start=2, measure_every=2)
    resumed.load_state(state)
    for step in range(17, 40):
        resumed.end_step(step, values[step] if resumed.measures(step) else None)
        assert resumed(step + 1) == expected[step]
    assert resumed.state() == whole.state()


@pytest.mark.parametrize(
    ("arguments", "message"),
    [
        ({"factor": 1.0}, "factor must be between 0 and 1, exclusive, got 1.0"),
        ({"factor": math.nan}, "factor must be between 0 and 1"),
        ({"final": 0.0}, "final must be in (0, 1], got 0.0"),
        ({"memory": 1.0}, "memory must be in [0, 1), got 1.0"),
        ({"start": -1}, "start must be >= 0, got -1"),
        ({"every": 4}, "measure_every must be in 1..every = 4, got 5"),
        ({"measure_every": 0}, "measure_every must be in 1..every = 50, got 0"),
    ],
)
def test_an_adaptive_schedule_refuses_bad_numbers(
    arguments: dict[str, float], message: str
) -> None:
    with pytest.raises(ValueError, match=re.escape(message)):
        Adaptive(**arguments)  # type: ignore[arg-type]


def test_a_chain_refuses_an_adaptive_schedule() -> None:
    with pytest.raises(ValueError, match="then must be a function of the step alone"):
        Chain(Constant(), 3, Adaptive())
