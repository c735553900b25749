from __future__ import annotations

import hashlib

import numpy as np
import pytest

from recon.datasets.mixture import MixtureFile
from recon.datasets.sampling import StepSampler

NINE_CHAIRS_THREE_CARS = ["03001627"] * 9 + ["02958343"] * 3


def test_batches_stay_as_they_were() -> None:
    """Values stored when the draw was first written: a seed must go on meaning the same run."""
    sampler = StepSampler(NINE_CHAIRS_THREE_CARS, 3, "balanced")
    objects, views = sampler.draw(0, 0, 8, 2)
    assert objects.tolist() == [11, 9, 8, 9, 9, 9, 7, 10]
    assert views.tolist() == [[0, 2], [0, 2], [1, 0], [1, 0], [2, 2], [0, 0], [0, 0], [2, 0]]
    objects, views = sampler.draw(3, 14, 6, 2)
    assert objects.tolist() == [11, 0, 5, 5, 4, 5]
    assert views.tolist() == [[2, 2], [2, 2], [1, 0], [0, 1], [2, 2], [2, 0]]
    objects, views = sampler.draw(7, 1000, 4, 3)
    assert objects.tolist() == [0, 11, 11, 11]
    assert views.tolist() == [[1, 0, 1], [2, 0, 2], [2, 0, 2], [2, 1, 1]]


def test_a_large_batch_of_uneven_categories_stays_as_it_was() -> None:
    rng = np.random.default_rng(0)
    words = rng.choice(list("edcba"), 1000, p=[0.5, 0.3, 0.1, 0.09, 0.01]).tolist()
    objects, views = StepSampler(words, 24, "balanced").draw(5, 123456, 64, 2)
    content = objects.astype("<i8").tobytes() + views.astype("<i8").tobytes()
    assert hashlib.sha256(content).hexdigest()[:16] == "6e9839a774625aa0"


def test_balanced_draws_categories_alike_and_uniform_objects() -> None:
    shares = {}
    for sampling in ("balanced", "uniform"):
        sampler = StepSampler(NINE_CHAIRS_THREE_CARS, 3, sampling)
        batches = [sampler.draw(0, step, 100, 2) for step in range(40)]
        drawn = np.concatenate([objects for objects, _ in batches])
        views = np.concatenate([views for _, views in batches])
        shares[sampling] = np.bincount(drawn, minlength=12) / len(drawn)
        assert np.bincount(views.ravel()) / views.size == pytest.approx(np.full(3, 1 / 3), abs=0.03)
        assert 0.25 < (views[:, 0] == views[:, 1]).mean() < 0.42  # views may coincide
    # The spread of a share is under 0.006.
    assert shares["balanced"] == pytest.approx([1 / 18] * 9 + [1 / 6] * 3, abs=0.03)
    assert shares["uniform"] == pytest.approx([1 / 12] * 12, abs=0.02)


@pytest.mark.parametrize("sampling", ["balanced", "uniform"])
@pytest.mark.parametrize("world_size", [1, 2, 3, 12])
def test_the_ranks_of_any_world_share_one_batch(sampling: str, world_size: int) -> None:
    sampler = StepSampler(NINE_CHAIRS_THREE_CARS, 3, sampling)
    objects, views = sampler.draw(1, 5, 12, 4)
    parts = [sampler.draw(1, 5, 12, 4, rank, world_size) for rank in range(world_size)]
    assert np.array_equal(np.concatenate([part[0] for part in parts]), objects)
    assert np.array_equal(np.concatenate([part[1] for part in parts]), views)
    assert {len(part[0]) for part in parts} == {12 // world_size}


@pytest.mark.parametrize(
    ("arguments", "message"),
    [
        ((-1, 0, 4, 2), "seed and step must be >= 0"),
        ((0, -1, 4, 2), "seed and step must be >= 0"),
        ((0, 0, 0, 2), "must be >= 1, got 0 and 2"),
        ((0, 0, 4, 0), "must be >= 1, got 4 and 0"),
        ((0, 0, 4, 2, 0, 3), "multiple of world_size, got 4 and 3"),
        ((0, 0, 4, 2, 2, 2), "rank in .* got 2 and 2"),
        ((0, 0, 4, 2, -1, 2), "rank in .* got 2 and -1"),
        ((0, 0, 4, 2, 0, 0), "world_size must be >= 1"),
    ],
)
def test_bad_arguments_are_named(arguments: tuple[int, ...], message: str) -> None:
    with pytest.raises(ValueError, match=message):
        StepSampler(NINE_CHAIRS_THREE_CARS, 3, "balanced").draw(*arguments)


def test_unknown_sampling_is_refused() -> None:
    with pytest.raises(ValueError, match=r"sampling must be one of .* got 'random'"):
        StepSampler(NINE_CHAIRS_THREE_CARS, 3, "random")


# ---- mixtures of entries -------------------------------------------------------------------------

# Chairs and cars of entry 0, chairs of entry 1, lamps of entry 2 alone, which ends at step 10.
MIXED = ["chair"] * 4 + ["car"] * 2 + ["chair"] * 20 + ["lamp"] * 3
ENTRIES = [0] * 6 + [1] * 20 + [2] * 3
MIXTURE = [MixtureFile(weight=3.0), MixtureFile(weight=1.0), MixtureFile(weight=5.0, until=10)]


def shares(sampler: StepSampler, steps: range) -> np.ndarray:
    drawn = np.concatenate([sampler.draw(0, step, 1000, 1)[0] for step in steps])
    return np.bincount(drawn, minlength=len(MIXED)) / len(drawn)


def test_entries_are_drawn_by_weight_within_a_category() -> None:
    sampler = StepSampler(MIXED, 3, "balanced", MIXTURE, ENTRIES)
    wanted = [0.75 / 3 / 4] * 4 + [1 / 3 / 2] * 2 + [0.25 / 3 / 20] * 20 + [1 / 3 / 3] * 3
    # 10,000 draws: the spread of a share is under 0.004.
    assert shares(sampler, range(10)) == pytest.approx(wanted, abs=0.015)


def test_an_entry_that_ends_leaves_its_categories_behind() -> None:
    sampler = StepSampler(MIXED, 3, "balanced", MIXTURE, ENTRIES)
    found = shares(sampler, range(10, 20))
    wanted = [0.75 / 2 / 4] * 4 + [1 / 2 / 2] * 2 + [0.25 / 2 / 20] * 20 + [0.0] * 3
    assert found == pytest.approx(wanted, abs=0.015)
    assert found[26:].sum() == 0


def test_uniform_sampling_draws_entries_by_weight() -> None:
    sampler = StepSampler(MIXED, 3, "uniform", MIXTURE, ENTRIES)
    wanted = [3 / 9 / 6] * 6 + [1 / 9 / 20] * 20 + [5 / 9 / 3] * 3
    assert shares(sampler, range(10)) == pytest.approx(wanted, abs=0.015)


def test_a_mixture_of_one_entry_draws_as_none() -> None:
    alone = StepSampler(NINE_CHAIRS_THREE_CARS, 3)
    mixed = StepSampler(NINE_CHAIRS_THREE_CARS, 3, mixture=[MixtureFile(weight=7.0)])
    for step in range(20):
        for one, other in zip(alone.draw(4, step, 16, 2), mixed.draw(4, step, 16, 2), strict=True):
            assert np.array_equal(one, other)


@pytest.mark.parametrize("world_size", [2, 3])
def test_the_ranks_share_one_batch_of_a_mixture(world_size: int) -> None:
    sampler = StepSampler(MIXED, 3, "balanced", MIXTURE, ENTRIES)
    whole, _ = sampler.draw(1, 5, 12, 4)
    parts = [sampler.draw(1, 5, 12, 4, rank, world_size)[0] for rank in range(world_size)]
    assert np.array_equal(np.concatenate(parts), whole)


def test_a_mixture_that_leaves_no_object_is_refused() -> None:
    with pytest.raises(ValueError, match="without until have no object"):
        StepSampler(["car"], 3, mixture=[MixtureFile(), MixtureFile(until=3)], entries=[1])
