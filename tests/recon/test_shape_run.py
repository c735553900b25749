"""Which views are held out."""

from __future__ import annotations

import pytest

from recon.shape_run import split_views


def test_views_held_out_are_spread_evenly() -> None:
    held, seen = split_views(120, 12)
    assert held == list(range(5, 120, 10))
    assert sorted(held + seen) == list(range(120))
    assert split_views(5, 0) == ([], [0, 1, 2, 3, 4])
    assert split_views(5, 4)[1] != []
    assert split_views(3, 3, every=True) == ([0, 1, 2], [])


@pytest.mark.parametrize("holdout", [-1, 5, 6])
def test_some_views_must_be_left(holdout: int) -> None:
    with pytest.raises(ValueError, match="leave some of the 5 views"):
        split_views(5, holdout)
