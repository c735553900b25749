from __future__ import annotations

import pytest

from recon.metrics.seeds import generator, object_seed


def test_objects_and_runs_have_seeds_of_their_own() -> None:
    seeds = {object_seed(seed, name) for seed in (0, 1, 12) for name in ("a", "b", "2/a")}
    assert len(seeds) == 9
    assert all(0 <= seed < 2**63 for seed in seeds)
    # A result that was stored must be found again by every later version.
    assert object_seed(0, "a") == 7606779636460171844


def test_predictions_have_generators_of_their_own() -> None:
    drawn = {generator(seed, view).random() for seed in (0, 5, 2**63 - 1) for view in (0, 23)}
    assert len(drawn) == 6
    assert generator(5, 23).random() == generator(5, 23).random()


def test_negative_numbers_are_refused() -> None:
    with pytest.raises(ValueError, match="seed must be >= 0, got -1"):
        object_seed(-1, "a")
    with pytest.raises(ValueError, match="seed and view must be >= 0, got 0 and -2"):
        generator(0, -2)
