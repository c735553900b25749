"""The result of an evaluation out of the figures of its objects."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any

import numpy as np

from recon.datasets.categories import category_of, present_categories
from recon.evaluation.bootstrap import RESAMPLES, category_estimates
from recon.evaluation.result import (
    CategoryCount,
    Estimate,
    EvaluationResult,
    ObjectResult,
    ResultMeasure,
)

# Below this many objects the mean of a category says more about its objects than about the model.
FEW_OBJECTS = 3


def summarised(
    objects: Sequence[ObjectResult],
    measures: Sequence[ResultMeasure],
    about: Mapping[str, Any],
    protocols: Mapping[str, str],
    notes: Sequence[str],
    seed: int,
) -> EvaluationResult:
    """Returns a result with the means and intervals of some objects.

    Args:
        objects: all with the same predictors and measures, the model first.
        measures: of these, in the order of the tables.
        about, protocols: as `EvaluationResult`.
        notes: lines which follow those on the means.
        seed: of the bootstrap.
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
        tuple(measures),
        tuple(objects[0].scores),
        tuple(objects),
        tuple(categories),
        _means(objects, [category.name for category in categories], seed),
        (*_mean_notes(categories), *notes),
    )


def _means(
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
