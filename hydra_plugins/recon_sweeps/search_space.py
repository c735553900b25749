"""Converts the sweep overrides of a command line of Hydra to distributions of Optuna."""

from __future__ import annotations

import math

from hydra.core.override_parser.types import IntervalSweep, Override, RangeSweep
from optuna.distributions import (
    BaseDistribution,
    CategoricalDistribution,
    FloatDistribution,
    IntDistribution,
)


def distribution(override: Override) -> BaseDistribution:
    """Returns the values which an override lets a search choose from.

    `a,b` and `choice(a,b)` are these values, `range(1,9,2)` the integers 1, 3, 5, 7,
    `interval(0,1)` all numbers from 0 to 1, `int(interval(4,64))` all integers from 4 to 64;
    `tag(log, interval(1e-5,1e-2))` is drawn evenly on a logarithmic scale.

    Args:
        override: An override of the command line for which `is_sweep_override()` is true.

    Raises:
        ValueError: The values cannot be searched over; the message names the key.
    """
    value = override.value()
    try:
        if override.is_interval_sweep():
            assert isinstance(value, IntervalSweep)
            return _interval(value)
        if override.is_range_sweep() and _is_rising(value):
            return _range(value)
        return CategoricalDistribution(list(override.sweep_string_iterator()))
    except ValueError as error:
        raise ValueError(f"{override.get_key_element()}: {error}") from error


def _interval(sweep: IntervalSweep) -> BaseDistribution:
    unknown = sweep.tags - {"log"}
    if unknown:
        raise ValueError(f"the only tag of an interval is log, got {', '.join(sorted(unknown))}")
    low, high = sweep.start, sweep.end
    assert low is not None
    assert high is not None
    if isinstance(low, int) and isinstance(high, int):
        return IntDistribution(low, high, log="log" in sweep.tags)
    return FloatDistribution(low, high, log="log" in sweep.tags)


def _is_rising(sweep: object) -> bool:
    """Returns whether a range is one of rising integers; other ranges are lists of values."""
    if not isinstance(sweep, RangeSweep) or sweep.shuffle:
        return False
    numbers = (sweep.start, sweep.stop, sweep.step)
    return all(isinstance(n, int) for n in numbers) and sweep.step > 0


def _range(sweep: RangeSweep) -> BaseDistribution:
    assert sweep.start is not None
    assert sweep.stop is not None
    steps = math.ceil((sweep.stop - sweep.start) / sweep.step)
    if steps < 1:
        raise ValueError(f"range({sweep.start},{sweep.stop},{sweep.step}) is empty")
    last = sweep.start + (steps - 1) * sweep.step
    return IntDistribution(int(sweep.start), int(last), step=int(sweep.step))
