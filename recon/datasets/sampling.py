"""Which objects and views the batch of a step holds."""

from __future__ import annotations

from collections.abc import Sequence

import numpy as np
from numpy.typing import NDArray

SAMPLINGS = ("balanced", "uniform")


class StepSampler:
    """Draws the batch of a step as a pure function of (seed, step).

    Balanced draws a category uniformly, then one of its objects (SoftRas); uniform draws from all
    objects alike. The views of an object are drawn uniformly and may coincide.

    Args:
        categories: The category of every object, any word.
        num_views: The number K of views per object.
        sampling: How objects are drawn, 'balanced' or 'uniform'.

    Raises:
        ValueError: If the sampling is unknown.
    """

    def __init__(
        self, categories: Sequence[str], num_views: int, sampling: str = "balanced"
    ) -> None:
        if sampling not in SAMPLINGS:
            raise ValueError(f"sampling must be one of {SAMPLINGS}, got {sampling!r}")
        # Uniform is balanced over a single category.
        words = np.array(categories) if sampling == "balanced" else np.zeros(len(categories))
        _, category, self._sizes = np.unique(words, return_inverse=True, return_counts=True)
        # The objects ordered by category, and where each category begins among them.
        self._objects = np.argsort(category, kind="stable")
        self._starts = np.cumsum(self._sizes) - self._sizes
        self._num_views = num_views

    def draw(
        self,
        seed: int,
        step: int,
        batch_size: int,
        views_per_object: int,
        rank: int = 0,
        world_size: int = 1,
    ) -> tuple[NDArray[np.int64], NDArray[np.int64]]:
        """Returns one process's share of the batch of a step.

        The whole batch depends on seed and step alone; the process of rank r gets the r-th of
        `world_size` equal, contiguous parts of it.

        Args:
            seed: The seed of the whole run, >= 0.
            step: The step of the optimiser, >= 0.
            batch_size: The number N of objects in the whole batch.
            views_per_object: The number n of views of each object.
            rank: The rank of this process.
            world_size: The number W of processes, a divisor of N.

        Returns:
            objects [N / W] and views [N / W, n], indices.

        Raises:
            ValueError: If an argument is out of range.
        """
        _check(seed, step, batch_size, views_per_object)
        part = _part(batch_size, rank, world_size)
        rng = np.random.Generator(np.random.Philox(np.random.SeedSequence([seed, step])))
        category = rng.integers(len(self._sizes), size=batch_size)[part]
        place = rng.random(batch_size)[part]
        views = rng.integers(self._num_views, size=(batch_size, views_per_object))[part]
        within = (place * self._sizes[category]).astype(np.int64)
        return self._objects[self._starts[category] + within], views


def _check(seed: int, step: int, batch_size: int, views_per_object: int) -> None:
    if seed < 0 or step < 0:
        raise ValueError(f"seed and step must be >= 0, got {seed} and {step}")
    if batch_size < 1 or views_per_object < 1:
        raise ValueError(
            f"batch_size and views_per_object must be >= 1, got {batch_size} and {views_per_object}"
        )


def _part(batch_size: int, rank: int, world_size: int) -> slice:
    """Returns where in the batch the share of a process is."""
    if world_size < 1 or not 0 <= rank < world_size:
        raise ValueError(
            f"world_size must be >= 1 and rank in 0..world_size - 1, got {world_size} and {rank}"
        )
    if batch_size % world_size:
        raise ValueError(
            f"batch_size must be a multiple of world_size, got {batch_size} and {world_size}"
        )
    share = batch_size // world_size
    return slice(rank * share, (rank + 1) * share)
