"""Metrics, and suites of metrics which one publication defines together."""

from __future__ import annotations

from abc import ABC, abstractmethod
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np
import torch
from numpy.typing import NDArray
from torch import Tensor

from recon.datasets.storage.layout import Layout
from recon.metrics.truth import Truth

# The values of one prediction by the keys of the metrics.
Scores = dict[str, float]
# (vertices [V, 3], faces [F, 3], view) -> the scores of one prediction.
ScoreOne = Callable[[NDArray[Any], NDArray[np.int64], int], Scores]


@dataclass(frozen=True)
class Metric:
    """One number that says how good a prediction is.

    Args:
        key: The name in files, such as 'onet_chamfer_l1'.
        label: The name in tables, such as 'Chamfer-L1 x10'.
        suite: The name of the suite that it belongs to.
        higher_is_better: Whether a higher value is a better one.
        percent: Whether the value is a share of one, which tables show in percent.
    """

    key: str
    label: str
    suite: str
    higher_is_better: bool = True
    percent: bool = False


class MetricSuite(ABC):
    """An evaluation protocol of the literature.

    Attributes:
        name: The short name of its source, such as 'softras'.
        metrics: The metrics that it computes, the most important one first.
        fields: The fields of `recon.datasets.storage.layout` that an object must have.
        batched: Whether it scores the predictions of many objects at once. Others take long for
            each object, so an evaluation writes down object by object.
        voxel_metric: The metric that is the IoU of voxel grids, by which baselines that predict
            voxels are scored too; None if the suite has none.
    """

    name: str
    metrics: tuple[Metric, ...]
    fields: tuple[str, ...]
    batched: bool = False
    voxel_metric: Metric | None = None

    @abstractmethod
    def statement(self) -> str:
        """Returns one line which says the samples, the scale and the source."""

    def for_layout(self, layout: Layout) -> MetricSuite:
        """Returns the suite as it scores objects of a data set.

        Args:
            layout: The layout of the data set.

        Raises:
            ValueError: If a field is missing or too small.
        """
        present = layout.fields()
        missing = [name for name in self.fields if name not in present]
        if missing:
            raise ValueError(
                f"metric suite {self.name} needs the field {', '.join(missing)}, the data has only "
                f"{', '.join(present)}"
            )
        return self

    @abstractmethod
    def score(
        self, vertices: Tensor, faces: Tensor, truth: Truth, views: Sequence[int], seed: int
    ) -> dict[str, Tensor]:
        """Scores n predictions of one object.

        Args:
            vertices: [n, V, 3] in the world.
            faces: [F, 3] int64, the faces of all predictions.
            truth: The truth about the object, with what `fields` name.
            views: The n views from which the object was predicted.
            seed: The seed of all sampling. What is drawn for a prediction depends on the seed and
                its view alone, see `recon.metrics.seeds.object_seed`.

        Returns:
            By the key of each metric [n] float64; NaN only where the class says so.

        Raises:
            ValueError: If shapes disagree or the truth lacks something.
        """

    def score_objects(
        self,
        vertices: Tensor,
        faces: Tensor,
        truths: Sequence[Truth],
        views: Sequence[int],
        seeds: Sequence[int],
    ) -> dict[str, Tensor]:
        """Scores n predictions of each of N objects.

        Args:
            vertices: [N, n, V, 3] in the world.
            faces: [F, 3] int64, the faces of all predictions.
            truths: The truth about each of the N objects.
            views: The n views from which each object was predicted.
            seeds: The seed of each of the N objects.

        Returns:
            By the key of each metric [N, n] float64.

        Raises:
            ValueError: If shapes disagree or a truth lacks something.
        """
        rows = [
            self.score(meshes, faces, truth, views, seed)
            for meshes, truth, seed in zip(vertices, truths, seeds, strict=True)
        ]
        return {
            metric.key: torch.stack([row[metric.key] for row in rows]) for metric in self.metrics
        }


def score_each(
    score_one: ScoreOne,
    metrics: Sequence[Metric],
    vertices: Tensor,
    faces: Tensor,
    views: Sequence[int],
) -> dict[str, Tensor]:
    """Scores the predictions of an object one after the other.

    Args:
        score_one: The function that returns the scores of one prediction by the keys of all
            metrics.
        metrics: The metrics of the suite.
        vertices: [n, V, 3] in the world.
        faces: [F, 3].
        views: The n views from which the object was predicted.

    Returns:
        By key [n] float64.

    Raises:
        ValueError: If shapes disagree.
    """
    require_predictions(vertices, faces, views)
    positions = vertices.detach().cpu().double().numpy()
    indices = faces.cpu().numpy()
    rows = [score_one(mesh, indices, view) for mesh, view in zip(positions, views, strict=True)]
    return {
        metric.key: torch.tensor([row[metric.key] for row in rows], dtype=torch.float64)
        for metric in metrics
    }


def require_predictions(vertices: Tensor, faces: Tensor, views: Sequence[int]) -> None:
    """Refuses arguments of `MetricSuite.score` whose shapes disagree.

    Raises:
        ValueError: If an argument has the wrong shape; the message names it.
    """
    if vertices.dim() != 3 or vertices.shape[2] != 3 or not vertices.is_floating_point():
        raise ValueError(
            "vertices must be floating point of shape [n, V, 3], "
            f"got {vertices.dtype} {tuple(vertices.shape)}"
        )
    if faces.dim() != 2 or faces.shape[1] != 3 or faces.is_floating_point():
        raise ValueError(
            f"faces must be integers of shape [F, 3], got {faces.dtype} {tuple(faces.shape)}"
        )
    if len(views) != len(vertices):
        raise ValueError(
            f"views must name the view of each of {len(vertices)} predictions, got {list(views)}"
        )
