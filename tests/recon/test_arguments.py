"""Arguments are checked against signatures: what converts, what is refused, and in which words."""

from __future__ import annotations

import math
import re
from collections.abc import Callable, Mapping, Sequence
from pathlib import Path
from typing import Annotated, Any, Literal

import pytest
import torch
from annotated_types import Ge, Lt

from recon.arguments import (
    Fraction,
    PositiveInt,
    Seed,
    argument_hints,
    check_arguments,
    check_value,
    nearest,
    required,
)


@pytest.mark.parametrize(
    ("value", "hint", "expected"),
    [
        *((word, bool, True) for word in ("yes", "on", "true", "True", True)),
        *((word, bool, False) for word in ("no", "off", "false", "OFF", False)),
        ("off", bool | None, False),
        (None, bool | None, None),
        (1e4, int, 10000),
        (1, float, 1.0),
        (64.0, int | tuple[int, int], 64),
        ([64, 32], int | tuple[int, int], (64, 32)),
        (["a"], Sequence[str] | None, ["a"]),
        ({"a": 1}, Mapping[str, float], {"a": 1.0}),
        (2024, str, "2024"),
        ("a.png", str | Path, "a.png"),
        ("a", Literal["a", "b"], "a"),
        (0, Seed, 0),
    ],
)
def test_values_of_the_type_are_taken(value: object, hint: object, expected: object) -> None:
    found = check_value(value, hint, "key")
    assert found == expected
    assert type(found) is type(expected)


@pytest.mark.parametrize(
    ("value", "hint", "message"),
    [
        (1, bool, "key must be true or false, got 1"),
        ("maybe", bool, "key must be true or false, got 'maybe'"),
        (1.5, int, "key must be a whole number, got 1.5"),
        (math.inf, int, "key must be a whole number, got inf"),
        (True, int, "key must be a whole number, got True"),
        ("3", int, "key must be a whole number, got '3'"),
        (None, int, "key must be a whole number, got null"),
        (0, PositiveInt, "key must be a whole number >= 1, got 0"),
        (1.2, Fraction, "key must be a finite number >= 0 and <= 1, got 1.2"),
        (math.nan, float, "key must be a finite number, got nan"),
        (math.inf, float | None, "key must be a finite number or null, got inf"),
        ("x", Mapping[str, float], "key must be a mapping to a finite number, got 'x'"),
        ({"a": "x"}, Mapping[str, float], "key.a must be a finite number, got 'x'"),
        ("abc", Sequence[str], "key must be a list, each a text, got 'abc'"),
        ("c", Literal["a", "b"], "key must be one of a, b, got 'c'"),
        ([1], tuple[int, int], "key must be a list of 2, each a whole number"),
        ("x", torch.nn.Module | None, "key must be a mapping with the _target_ of a Module"),
        ("x", float | torch.Tensor, "key must be a finite number, got 'x'"),
        (5, Callable[..., int], "key must be a mapping with the _target_ of a Callable, got 5"),
    ],
)
def test_other_values_are_refused_in_words(value: object, hint: object, message: str) -> None:
    with pytest.raises(ValueError, match=f"^{re.escape(message)}"):
        check_value(value, hint, "key")


class Ball:
    """A class of a user's own."""

    def __init__(self, radius: Annotated[float, Ge(0), Lt(9)], name="plain") -> None: ...


def test_arguments_of_a_class_of_ones_own_are_checked() -> None:
    assert check_arguments(Ball, {"radius": 1, "name": [3]}, {}) == {"radius": 1.0, "name": [3]}
    with pytest.raises(ValueError, match=r"shape.radius must be .* >= 0 and < 9, got -1"):
        check_arguments(Ball, {"radius": -1}, {"radius": "shape.radius"})
    with pytest.raises(ValueError, match="radios is unknown: Ball takes radius, name; did you"):
        check_arguments(Ball, {"radios": 1}, {})


def test_functions_which_take_anything_and_types_which_cannot_be_resolved() -> None:
    def anything(**values: Any) -> None: ...

    def unknown(value: NowhereDefined) -> None: ...  # type: ignore[name-defined]  # noqa: F821

    assert check_arguments(anything, {"x": object}, {}) == {"x": object}
    assert argument_hints(unknown) == {}
    assert check_arguments(unknown, {"value": "x"}, {}) == {"value": "x"}


def test_optimizers_of_torch_are_checked() -> None:
    assert check_arguments(torch.optim.Adam, {"lr": 1, "fused": "no"}, {}) == {
        "lr": 1.0,
        "fused": False,
    }
    with pytest.raises(ValueError, match="fused must be true or false or null, got nan"):
        check_arguments(torch.optim.Adam, {"fused": math.nan}, {})


def test_the_nearest_name_is_suggested_where_one_is_near() -> None:
    assert nearest("max_step", ["max_steps", "seed"]) == "; did you mean max_steps?"
    assert nearest("xyz", ["max_steps", "seed"]) == ""
    assert required(dict[str, int]) == "a mapping to a whole number"
