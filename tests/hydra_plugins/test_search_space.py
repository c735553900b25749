"""Overrides of Hydra as distributions of Optuna."""

from __future__ import annotations

import pytest
from hydra.core.override_parser.overrides_parser import OverridesParser
from hydra.core.override_parser.types import Override
from optuna.distributions import (
    BaseDistribution,
    CategoricalDistribution,
    FloatDistribution,
    IntDistribution,
)

from hydra_plugins.recon_sweeps.search_space import distribution


def override(line: str) -> Override:
    return OverridesParser.create().parse_override(line)


@pytest.mark.parametrize(
    ("line", "expected"),
    [
        ("x=interval(0,1)", FloatDistribution(0, 1)),
        ("x=tag(log, interval(1e-5,1e-2))", FloatDistribution(1e-5, 1e-2, log=True)),
        ("x=int(interval(4,64))", IntDistribution(4, 64)),
        ("x=tag(log, int(interval(4,64)))", IntDistribution(4, 64, log=True)),
        ("x=range(1,8)", IntDistribution(1, 7)),
        ("x=range(1,9,3)", IntDistribution(1, 7, step=3)),
        ("x=range(1,2)", IntDistribution(1, 1)),
        ("x=range(3,1,-1)", CategoricalDistribution(["3", "2"])),
        ("x=range(0,1,0.5)", CategoricalDistribution(["0.0", "0.5"])),
        ("x=1e-4,1e-3", CategoricalDistribution(["0.0001", "0.001"])),
        ("x=choice(a,b)", CategoricalDistribution(["a", "b"])),
        ("x=[a],[a,b]", CategoricalDistribution(["[a]", "[a,b]"])),
    ],
)
def test_what_a_command_line_says(line: str, expected: BaseDistribution) -> None:
    assert distribution(override(line)) == expected


@pytest.mark.parametrize(
    ("line", "message"),
    [
        ("optimizer.lr=interval(2,1)", "optimizer.lr: "),
        ("optimizer.lr=tag(log, interval(0,1))", "optimizer.lr: "),
        ("optimizer.lr=tag(exp, interval(1,2))", "the only tag of an interval is log, got exp"),
        ("seed=range(5,5)", "seed: .*empty"),
    ],
)
def test_what_makes_no_sense_is_refused(line: str, message: str) -> None:
    with pytest.raises(ValueError, match=message):
        distribution(override(line))
