from __future__ import annotations

import pytest

from recon.datasets.mixture import MixtureFile, read_mixture, weights_at


def test_entries_have_paths_weights_and_a_last_step() -> None:
    entries = read_mixture(
        {"real": {"weight": 3}, "generated": {"path": "g.h5", "until": 100.0}}, "real.h5"
    )
    assert entries == [MixtureFile("real.h5", 3), MixtureFile("g.h5", 1.0, 100)]
    assert weights_at(entries, 0) == [3, 1]
    assert weights_at(entries, 99) == [3, 1]
    assert weights_at(entries, 100) == [3, 0]


@pytest.mark.parametrize(
    ("mixture", "message"),
    [
        ({}, "at least one entry"),
        ({"real": "real.h5"}, r"mixture\.real must be a mapping .* got 'real.h5'"),
        ({"real": {"weight": 0}}, r"mixture\.real\.weight must be a finite number > 0, got 0"),
        ({"real": {"weight": float("nan")}}, r"mixture\.real\.weight must be a finite number"),
        ({"real": {"until": -1}}, r"mixture\.real\.until must be a whole number >= 0"),
        ({"real": {"path": 7.5, "wieght": 1}}, r"mixture\.real\.wieght is unknown"),
        ({"real": {"until": 5}, "more": {"path": "x", "until": 9}}, "without until.* step 9 on"),
    ],
)
def test_bad_mixtures_are_refused(mixture: dict, message: str) -> None:
    with pytest.raises(ValueError, match=message):
        read_mixture(mixture, "real.h5")
