"""Which objects and views the batch of a step holds."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Literal, get_args

import numpy as np
from numpy.typing import ArrayLike, NDArray

from recon.datasets.mixture import MixtureFile, weights_at

Sampling = Literal["balanced", "uniform"]
SAMPLINGS = get_args(Sampling)


class StepSampler:
    """Draws the batch of a step as a pure function of (seed, step).

    Balanced draws a category uniformly, then one of its objects (SoftRas); uniform draws from all
    objects alike. With a mixture, the entry is drawn by weight between the two: among the entries
    that have objects of the category and a weight at the step. A category that none of these has is
    not drawn. The views of an object are drawn uniformly and may coincide.

    Args:
        categories: The category of every object, any word.
        num_views: The number K of views per object.
        sampling: How objects are drawn, 'balanced' or 'uniform'.
        mixture: The entries that the objects belong to, at least one without `until`; none means
            that all objects are of one entry.
        entries: The index of the entry of every object, [N]; needed for a mixture.

    Raises:
        ValueError: If the sampling is unknown, or no object is of an entry without `until`.
    """

    def __init__(
        self,
        categories: Sequence[str],
        num_views: int,
        sampling: Sampling = "balanced",
        mixture: Sequence[MixtureFile] = (),
        entries: ArrayLike = 0,
    ) -> None:
        if sampling not in SAMPLINGS:
            raise ValueError(f"sampling must be one of {SAMPLINGS}, got {sampling!r}")
        self._mixture = list(mixture) or [MixtureFile()]
        # Uniform is balanced over a single category.
        words = np.array(categories) if sampling == "balanced" else np.zeros(len(categories))
        names, category = np.unique(words, return_inverse=True)
        # A cell is what a category and an entry have in common; `_sizes` [C, E] of objects.
        shape = (len(names), len(self._mixture))
        cell = category * shape[1] + np.broadcast_to(entries, len(category))
        self._sizes = np.bincount(cell, minlength=shape[0] * shape[1]).reshape(shape)
        # The objects ordered by cell, and where each cell begins among them.
        self._objects = np.argsort(cell, kind="stable")
        self._starts = (np.cumsum(self._sizes) - self._sizes.ravel()).reshape(shape)
        self._num_views = num_views
        if not any(size for size, one in self._entry_sizes() if one.until is None):
            raise ValueError("the entries of the mixture without until have no object to draw")

    def _entry_sizes(self) -> list[tuple[int, MixtureFile]]:
        return list(zip(self._sizes.sum(0).tolist(), self._mixture, strict=True))

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
        # [C, E]: cumulative weights of the entries that have objects of a category.
        weights = np.cumsum((self._sizes > 0) * weights_at(self._mixture, step), axis=1)
        drawn = np.flatnonzero(weights[:, -1])
        category = drawn[rng.integers(len(drawn), size=batch_size)[part]]
        place = rng.random(batch_size)[part]
        views = rng.integers(self._num_views, size=(batch_size, views_per_object))[part]
        # Drawn last, so that without a mixture all else is as it would be without this.
        level = rng.random(batch_size)[part] * weights[category, -1]
        entry = (weights[category] <= level[:, None]).sum(1)
        within = (place * self._sizes[category, entry]).astype(np.int64)
        return self._objects[self._starts[category, entry] + within], views


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
