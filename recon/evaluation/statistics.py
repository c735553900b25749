"""Means over objects, per category and over categories, with bootstrap intervals.

The objects of each category are drawn anew, with replacement and as many as there are, some
thousand times; the 2.5th and 97.5th percentile of the means are the ends of the interval (Efron
and Tibshirani, An Introduction to the Bootstrap, 1993, chapter 13). The macro mean is stratified:
each of its draws is the unweighted mean of one draw of every category. So the interval says how
much a mean would change with other objects of the same categories. It does not contain the spread
over training seeds.

All columns are means over the same draws, and the draws of a category depend on the seed, its name
and its number of objects alone, not on which other categories are evaluated.
"""

from __future__ import annotations

import zlib
from collections.abc import Mapping, Sequence
from typing import Any

import numpy as np
from numpy.typing import NDArray

from recon.datasets.categories import category_of, present_categories
from recon.evaluation.result import (
    MACRO,
    CategoryCount,
    Estimate,
    EvaluationResult,
    ObjectResult,
)
from recon.metrics import Metric

RESAMPLES = 10_000
# Of the interval, in percent.
ENDS = (2.5, 97.5)
# Numbers of draws held at once; 2 million are 16 MB as int64.
_CELLS = 2_000_000
# Below this many objects the mean of a category says more about its objects than about the model.
FEW_OBJECTS = 3


def summarize(
    objects: Sequence[ObjectResult],
    metrics: Sequence[Metric],
    about: Mapping[str, Any],
    protocols: Mapping[str, str],
    notes: Sequence[str],
    seed: int,
) -> EvaluationResult:
    """Returns a result with the means and intervals of some objects.

    Args:
        objects: The values of the objects, all with the same predictors and metrics, the model
            first.
        metrics: The metrics in the order of the tables.
        about: Plain data that describe the evaluation, see `EvaluationResult`.
        protocols: What the numbers of each metric suite mean, see `EvaluationResult`.
        notes: Notes that follow those on the means.
        seed: The seed of the bootstrap.
    """
    categories = [
        CategoryCount(
            category.name, category.synset, sum(row.synset == category.synset for row in objects)
        )
        for category in present_categories(row.synset for row in objects)
    ]
    return EvaluationResult(
        about,
        protocols,
        tuple(metrics),
        tuple(objects[0].scores),
        tuple(objects),
        tuple(categories),
        _object_means(objects, [category.name for category in categories], seed),
        (*_mean_notes(categories), *notes),
    )


def _object_means(
    objects: Sequence[ObjectResult], order: Sequence[str], seed: int
) -> dict[str, dict[str, dict[str, Estimate]]]:
    columns = [(name, key) for name, table in objects[0].scores.items() for key in table]
    values = np.array([[row.scores[name][key] for name, key in columns] for row in objects])
    groups = [category_of(row.synset).name for row in objects]
    means: dict[str, dict[str, dict[str, Estimate]]] = {}
    tables = category_estimates(values, groups, order, seed)
    for (name, key), table in zip(columns, tables, strict=True):
        means.setdefault(name, {})[key] = table
    return means


def _mean_notes(categories: Sequence[CategoryCount]) -> list[str]:
    notes = [
        f"mean: unweighted over the {len(categories)} categories with objects",
        f"intervals: 95 percent, from {RESAMPLES} bootstrap draws of the objects of each category",
    ]
    few = [category.name for category in categories if category.objects < FEW_OBJECTS]
    if few:
        notes.append(f"fewer than {FEW_OBJECTS} objects: {', '.join(few)}")
    return notes


def category_estimates(
    values: NDArray[np.float64],
    groups: Sequence[str],
    order: Sequence[str],
    seed: int = 0,
    resamples: int = RESAMPLES,
) -> list[dict[str, Estimate]]:
    """Returns the means of columns of values per category and over the categories.

    Args:
        values: [N, M] values of M metrics of N objects; NaN where a value is undefined, which
            leaves the object out of that mean.
        groups: [N] category of each object.
        order: The categories in the order of the result.
        seed: The seed of the draws.
        resamples: The number of draws, >= 1.

    Returns:
        For each column by category, then as `MACRO`, the mean and its interval. A category without
        a defined value has the mean NaN and no part in the macro mean; a category with one object
        has no interval, and gives the macro mean's interval nothing to vary.

    Raises:
        ValueError: Shapes disagree, the category of an object is not in `order`, or a category of
            `order` has no object.
    """
    if values.ndim != 2 or len(values) != len(groups) or set(groups) != set(order):
        raise ValueError(
            f"values must be [N, M] with one group each of {list(order)}, got {values.shape} and "
            f"{len(groups)} groups of {sorted(set(groups))}"
        )
    labels = np.array(groups)
    parts = {name: values[labels == name] for name in order}
    draws = {name: _draws(part, name, seed, resamples) for name, part in parts.items()}
    means = {name: _means(part) for name, part in parts.items()}
    macro = _mean_known(np.stack(list(means.values())))
    macro_draws = _macro_draws(np.stack(list(means.values())), np.stack(list(draws.values())))
    varying = np.stack([_count(part) for part in parts.values()]).max(axis=0) > 1
    tables = []
    for column in range(values.shape[1]):
        table = {
            name: _estimate(means[name][column], draws[name][:, column], _count(part)[column] > 1)
            for name, part in parts.items()
        }
        table[MACRO] = _estimate(macro[column], macro_draws[:, column], varying[column])
        tables.append(table)
    return tables


def _count(part: NDArray[np.float64]) -> NDArray[np.int64]:
    """Returns the number [M] of defined values."""
    return (~np.isnan(part)).sum(axis=0)


def _means(part: NDArray[np.float64]) -> NDArray[np.float64]:
    """Returns the means [M] of the defined values [n, M]."""
    return _mean_known(part[:, None])[0]


def _mean_known(values: NDArray[np.float64]) -> NDArray[np.float64]:
    """Returns the means over the first axis [k, ...] of what is not NaN, NaN of nothing."""
    known = ~np.isnan(values)
    count = known.sum(axis=0)
    total = np.where(known, values, 0.0).sum(axis=0)
    return np.where(count > 0, total / np.maximum(count, 1), np.nan)


def _draws(part: NDArray[np.float64], name: str, seed: int, resamples: int) -> NDArray[np.float64]:
    """Returns the means [resamples, M] of objects drawn with replacement.

    A draw is how often each object came, so all means of a chunk are one matrix product.
    """
    objects = len(part)
    generator = np.random.default_rng([seed, zlib.crc32(name.encode())])
    known = (~np.isnan(part)).astype(np.float64)
    filled = np.where(known > 0, part, 0.0)
    chunk = max(1, _CELLS // objects)
    means = []
    for start in range(0, resamples, chunk):
        rows = min(chunk, resamples - start)
        drawn = generator.integers(objects, size=(rows, objects))
        places = drawn + objects * np.arange(rows)[:, None]
        times = np.bincount(places.ravel(), minlength=rows * objects).reshape(rows, objects)
        count = times @ known
        means.append(np.where(count > 0, (times @ filled) / np.maximum(count, 1), np.nan))
    return np.concatenate(means)


def _macro_draws(means: NDArray[np.float64], draws: NDArray[np.float64]) -> NDArray[np.float64]:
    """Returns the draws [resamples, M] of the mean over categories [C, M] of [C, resamples, M].

    A draw which met only undefined objects of a category that has others does not count: without
    the category it would be a mean of something else.
    """
    there = ~np.isnan(means)[:, None]
    total = np.where(there, draws, 0.0).sum(axis=0)
    return total / np.maximum(there.sum(axis=0), 1)


def _estimate(mean: float, draws: NDArray[np.float64], varies: bool) -> Estimate:
    known = draws[~np.isnan(draws)]
    if not varies or not len(known):
        return Estimate(float(mean))
    low, high = np.percentile(known, ENDS)
    return Estimate(float(mean), float(low), float(high))
