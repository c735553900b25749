"""A made-up evaluation of a made-up model on the ellipsoids of `tests.conftest.write_shapes`."""

from __future__ import annotations

import math
from collections.abc import Callable
from pathlib import Path

import pytest
import torch
from torch import Tensor, nn

from recon.datasets.multiview import MultiViewDataset
from recon.evaluation.kept_predictions import KeptPredictions
from recon.evaluation.result import EvaluationResult, Metric, ObjectResult
from recon.evaluation.statistics import summarize
from recon.geometry.meshes import icosphere
from recon.models import Prediction

IOU = Metric("iou", "IoU", "softras", percent=True)
CHAMFER = Metric("chamfer_l1", "Chamfer-L1", "onet", higher_is_better=False)
PROTOCOLS = {"softras": "softras: voxels & views.", "onet": "onet: 100,000 samples."}


class EllipsoidModel(nn.Module):
    """Predicts an ellipsoid as high as the image is covered, with colours or without."""

    def __init__(self, colored: bool) -> None:
        super().__init__()
        sphere = icosphere(2)
        self.colored = colored
        self.register_buffer("faces", sphere.faces)
        self.register_buffer("sphere", sphere.vertices)
        self.weight = nn.Parameter(torch.tensor(0.3))

    def forward(self, images: Tensor) -> Prediction:
        covered = images[:, 3].mean((1, 2))[:, None] * torch.tensor([0.0, 1.0, 0.0])
        vertices = self.weight * self.sphere * (1 + covered[:, None])
        colors = (self.sphere + 1) / 2 if self.colored else None
        return Prediction(vertices, None if colors is None else colors.expand(len(images), -1, -1))


@pytest.fixture(scope="session")
def ellipsoids(shapes_file: Path) -> MultiViewDataset:
    """Eighteen objects with voxels and without triangles: airplanes, tables and lamps."""
    return MultiViewDataset(shapes_file)


@pytest.fixture
def predictions(ellipsoids: MultiViewDataset) -> KeptPredictions:
    return KeptPredictions(EllipsoidModel(colored=True), ellipsoids)


@pytest.fixture
def grey_shown(ellipsoids: MultiViewDataset) -> KeptPredictions:
    return KeptPredictions(EllipsoidModel(colored=False), ellipsoids)


@pytest.fixture
def make_result(ellipsoids: MultiViewDataset) -> Callable[..., EvaluationResult]:
    def make(views: tuple[int, ...] = (0, 3), undefined: tuple[int, ...] = ()) -> EvaluationResult:
        return made_up_result(ellipsoids, views, undefined)

    return make


def made_up_result(
    data: MultiViewDataset, views: tuple[int, ...], undefined: tuple[int, ...]
) -> EvaluationResult:
    """A result in which the k-th object of the data has an IoU of k / 20, or an undefined one."""
    rows = []
    for k, id_ in enumerate(data.ids):
        iou = math.nan if k in undefined else k / 20
        scores = {"model": {"iou": iou, "chamfer_l1": 0.2 - iou / 10}, "template": {"iou": 0.1}}
        per_view = tuple(iou + 0.01 * (place - 1) for place in range(len(views)))
        name = f"<{data.names[k]}> & more"
        rows.append(ObjectResult(id_, name, data.synsets[k], views, scores, {"iou": per_view}))
    about = {"checkpoint": "a/<b>.pt", "settings": {"split": "test", "views": list(views)}}
    return summarize(rows, [IOU, CHAMFER], about, PROTOCOLS, ["a <note>"], 0)
