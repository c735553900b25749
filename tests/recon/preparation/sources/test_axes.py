from __future__ import annotations

import itertools

import numpy as np
import pytest

from recon.preparation.sources.axes import orientation

NAMES = [sign + letter for sign in "+-" for letter in "xyz"]


@pytest.mark.parametrize(
    ("front", "up"), [pair for pair in itertools.permutations(NAMES, 2) if pair[0][1] != pair[1][1]]
)
def test_front_goes_to_x_and_up_to_y_without_mirroring(front: str, up: str) -> None:
    directions = {name: np.eye(3)["xyz".index(name[1])] * float(name[0] + "1") for name in NAMES}
    rotation = orientation(f"{front},{up}")
    assert (rotation @ directions[front]).tolist() == [1, 0, 0]
    assert (rotation @ directions[up]).tolist() == [0, 1, 0]
    assert np.linalg.det(rotation) == pytest.approx(1)


def test_a_rotation_is_applied_before() -> None:
    quarter = [0, 1, 0, -1, 0, 0, 0, 0, 1]
    turned = orientation("-z,+y", quarter) @ [1, 2, 3]
    assert turned.tolist() == (orientation("-z,+y") @ [2, -1, 3]).tolist()


@pytest.mark.parametrize(
    ("axes", "message"),
    [
        ("+z,+z", "two different directions"),
        ("+z,-z", "two different directions"),
        ("z,+y", "axes must be two of .* got 'z'"),
        ("+x", "got ''"),
        ("+x,+y,+z", "axes must be two of"),
    ],
)
def test_other_words_are_refused(axes: str, message: str) -> None:
    with pytest.raises(ValueError, match=message):
        orientation(axes)


def test_a_rotation_needs_nine_numbers() -> None:
    with pytest.raises(ValueError, match="needs 9 numbers, got 2"):
        orientation("+x,+y", [1, 2])
