"""Seeds of the random numbers of a prediction, which depend on nothing else that is scored."""

from __future__ import annotations

import hashlib

import numpy as np


def object_seed(seed: int, object_id: str) -> int:
    """Returns the seed of one object of a run, below 2^63.

    Args:
        seed: The seed of the run, >= 0.
        object_id: The identifier of the object in its data set.

    Raises:
        ValueError: If `seed` is < 0.
    """
    if seed < 0:
        raise ValueError(f"seed must be >= 0, got {seed}")
    digest = hashlib.sha256(f"{seed}/{object_id}".encode("utf-8", "surrogateescape")).digest()
    return int.from_bytes(digest[:8], "big") >> 1


def generator(seed: int, view: int) -> np.random.Generator:
    """Returns the generator of the prediction from one view; equal arguments, equal numbers.

    Args:
        seed: The seed of the object, >= 0.
        view: The view that the prediction was made from, >= 0.

    Raises:
        ValueError: If an argument is negative.
    """
    if min(seed, view) < 0:
        raise ValueError(f"seed and view must be >= 0, got {seed} and {view}")
    return np.random.default_rng([seed, view])
