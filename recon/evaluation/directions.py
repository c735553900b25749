"""Directions of cameras that images tell, scored beside the shapes of the same predictions."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import replace

import torch
import torch.nn.functional as F
from torch import Tensor

from recon.datasets.multiview import MultiViewDataset
from recon.evaluation.result import MODEL, ObjectResult
from recon.geometry.cameras import Cameras
from recon.metrics.directions import ERROR, WITHIN, direction_errors, within_limit

# What the directions come from, by `refine_camera`; '' is the camera head alone.
_SOURCES = {
    "": "the most probable direction of the camera head",
    "found": "the direction in which the silhouette overlaps the mask best",
    "predicted": "a probable direction of the camera head, chosen by silhouette and mask",
}


def direction_statement(camera: str = "") -> str:
    """Returns one line that says what the metrics of directions mean.

    Args:
        camera: What the directions come from: 'found' or 'predicted' by a refinement, or '' for the
            camera head alone.
    """
    return (
        f"camera: {_SOURCES[camera]}, against that from which the image was taken; share of views "
        "within 15 degrees, and the median angle over the views of an object"
    )


def add_direction_scores(
    rows: Sequence[ObjectResult], directions: Tensor, data: MultiViewDataset, objects: Sequence[int]
) -> list[ObjectResult]:
    """Returns rows of objects with the metrics of `recon.metrics.directions` of the model added.

    Args:
        rows: The rows of N objects, from n views each.
        directions: [N * n, 3] the directions of the cameras as the images tell them, unit vectors
            from the object to the camera; those of one object follow each other.
        data: The data set of the objects.
        objects: The indices of the N objects in the data.

    Raises:
        ValueError: The shapes disagree.
        OSError: The data cannot be read.
    """
    cameras = [data.cameras(index, row.views) for index, row in zip(objects, rows, strict=True)]
    true = F.normalize(Cameras.from_rows(torch.cat(cameras)).eye(), dim=1)
    tables = direction_errors(directions.cpu(), true).unflatten(0, (len(rows), -1))
    return [_with_scores(row, errors) for row, errors in zip(rows, tables, strict=True)]


def _with_scores(row: ObjectResult, errors: Tensor) -> ObjectResult:
    """Returns the row of an object with the angles [n] of its views."""
    within = within_limit(errors)
    # The median of an even number of views is the mean of the two in the middle.
    scores = {WITHIN.key: float(within.mean()), ERROR.key: float(errors.quantile(0.5))}
    per_view = {WITHIN.key: tuple(within.tolist()), ERROR.key: tuple(errors.tolist())}
    return replace(
        row,
        scores={**row.scores, MODEL: {**row.scores[MODEL], **scores}},
        per_view={**row.per_view, **per_view},
    )
