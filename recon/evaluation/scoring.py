"""Objects, predicted from single views and scored by metric suites."""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, replace

import torch
import torch.nn.functional as F
from torch import Tensor, nn

from recon.datasets.multiview import MultiViewDataset
from recon.evaluation.directions import add_direction_scores
from recon.evaluation.result import MODEL, ObjectResult
from recon.geometry.cameras import Cameras
from recon.inference.refinement import Refinement
from recon.inference.viewpoint_search import find_directions, predict_directions
from recon.metrics import METRIC_SUITES, MetricSuite, Truth, object_seed, voxel_iou
from recon.metrics.softras import SoftRas
from recon.models.prediction import Prediction, predict
from recon.timing import StepTimer

# (images [n, 4, H, W] uint8 RGBA, synset of each) -> voxels [n, R, R, R] bool in world axes.
VoxelPredictor = Callable[[Tensor, Sequence[str]], Tensor]
# Where the cameras of a refinement come from.
REFINE_CAMERAS = ("known", "found", "predicted")
# What is compared where there are no voxels.
SILHOUETTE = "silhouette"
# By metric, [objects, views].
Table = dict[str, Tensor]


def choose_suites(names: Sequence[str], data: MultiViewDataset) -> list[MetricSuite]:
    """Returns the metric suites of some names, as they score the objects of a data set.

    Where voxels are asked for and nothing else (which is the default), and the data has none,
    silhouettes are compared instead.

    Raises:
        ValueError: A name is unknown or given twice, there is none, or the data lack what a suite
            requires; the message names the file.
    """
    if isinstance(names, str) or not names or len(set(names)) != len(names):
        raise ValueError(
            f"metrics must be a list of different suites, as [softras,onet], got {names!r}"
        )
    for name in names:
        if name not in METRIC_SUITES:
            raise ValueError(
                f"unknown metric suite {name!r} in metrics; there are {', '.join(METRIC_SUITES)}"
            )
    if list(names) == [SoftRas.name] and not data.layout.voxel_resolutions:
        names = [SILHOUETTE]
    try:
        return [METRIC_SUITES[name]().for_layout(data.layout) for name in names]
    except ValueError as error:
        raise ValueError(f"{data.paths[0]}: {error}") from error


def choose_views(data: MultiViewDataset, views: Sequence[int] | None) -> list[int]:
    """Returns which views of each object are shown; None means all.

    Raises:
        ValueError: A view is not in the data or is given twice, or there is none.
    """
    chosen = list(range(data.num_views)) if views is None else views
    sound = (
        isinstance(chosen, Sequence)
        and len(chosen) > 0
        and all(isinstance(view, int) and 0 <= view < data.num_views for view in chosen)
        and len(set(chosen)) == len(chosen)
    )
    if not sound:
        raise ValueError(
            f"views must be a list of different ones of 0..{data.num_views - 1} and not empty, "
            f"got {views}"
        )
    return list(chosen)


@dataclass(frozen=True)
class ViewPredictions:
    """Predictions of some objects, each from single views.

    Args:
        objects: The indices of N objects in the data.
        views: The n views of each object from which it was predicted.
        images: [N * n, 4, H, W] uint8 input images.
        prediction: The prediction of N * n meshes; those of one object follow each other.
        directions: [N * n, 3] the directions of the cameras as the images tell them, unit vectors
            from the object to the camera: those of the refinement, or without one the most probable
            ones of the camera head. None where there is neither, or the cameras are known.
    """

    objects: Sequence[int]
    views: Sequence[int]
    images: Tensor
    prediction: Prediction
    directions: Tensor | None = None

    @property
    def vertices(self) -> Tensor:
        """The predicted vertices [N, n, V, 3] float32."""
        vertices = self.prediction.vertices.float()
        return vertices.unflatten(0, (len(self.objects), len(self.views)))


def predict_views(
    model: nn.Module,
    data: MultiViewDataset,
    objects: Sequence[int],
    views: Sequence[int],
    timer: StepTimer | None = None,
    refinement: Refinement | None = None,
    camera: str = "known",
) -> ViewPredictions:
    """Predicts some objects from each of some views alone; the images of all are one batch.

    Args:
        model: Makes a `Prediction` of images [B, 4, H, W] in [0, 1].
        data: The data set of the objects.
        objects: The indices of the objects in the data.
        views: The views of each object from which it is predicted.
        timer: The timer of the parts `reading`, `network` and `refinement`.
        refinement: Fits each mesh to the mask of its image, with the camera of that image; None
            leaves the predictions as they are.
        camera: The cameras of the refinement, one of `REFINE_CAMERAS`: those of the data; or those
            found by the silhouettes of the meshes among the cameras of all views of the first
            object; or those predicted by the camera head of the model, at the median distance and
            field of view of these.

    Raises:
        ValueError, OSError: The data cannot be read, or the model has no camera head to predict
            with.
    """
    timer = timer or StepTimer(torch.device("cpu"), active=False)
    with timer.part("reading"):
        images = torch.cat([data.images(index, views) for index in objects])
    with timer.part("network"):
        prediction = predict(model, images)
    directions = None
    if prediction.direction_logits is not None:
        directions = prediction.likely_directions()[0][:, 0]
    if refinement is not None:
        faces: Tensor = model.faces  # type: ignore[assignment]
        vertices = prediction.vertices.float()
        alpha = images[:, 3].to(vertices.device)
        with timer.part("refinement"):
            if camera == "known":
                rows = torch.cat([data.cameras(index, views) for index in objects])
                cameras = Cameras.from_rows(rows.to(vertices.device))
            else:
                rows = data.cameras(objects[0], range(data.num_views)).to(vertices.device)
                cameras = _cameras_by_image(
                    prediction, faces, alpha, Cameras.from_rows(rows), camera
                )
                directions = F.normalize(cameras.eye(), dim=1)
            refined = refinement(vertices, faces, alpha.float() / 255, cameras)
        prediction = replace(prediction, vertices=refined)
    return ViewPredictions(objects, views, images, prediction, directions)


def _cameras_by_image(
    prediction: Prediction, faces: Tensor, alpha: Tensor, known: Cameras, camera: str
) -> Cameras:
    """Returns the cameras of images that are found or predicted, see `predict_views`."""
    if camera == "predicted":
        return predict_directions(prediction, faces, alpha, known).cameras
    return find_directions(prediction.vertices.float(), faces, alpha, known).cameras


def score_predictions(
    predicted: ViewPredictions,
    faces: Tensor,
    suites: Sequence[MetricSuite],
    data: MultiViewDataset,
    baselines: Mapping[str, VoxelPredictor] | None = None,
    seed: int = 0,
    timer: StepTimer | None = None,
) -> list[ObjectResult]:
    """Scores predictions of some objects, and the directions of their cameras where there are some.

    Args:
        predicted: The predictions that are scored.
        faces: [F, 3] int64, the faces of every predicted mesh.
        suites: The metric suites by which they are scored.
        data: The data set of the objects.
        baselines: Predictors of voxels at the resolution of `data.voxel_resolution`; they are
            scored by the `voxel_metric` of the suites that have one.
        seed: The seed of the surface samples that suites draw.
        timer: The timer of the parts: each suite by its name, and `baselines`.

    Raises:
        ValueError, OSError: The data lack what a suite requires, or cannot be read.
    """
    timer = timer or StepTimer(torch.device("cpu"), active=False)
    objects, views = predicted.objects, predicted.views
    seeds = [object_seed(seed, data.ids[index]) for index in objects]
    tables: dict[str, Table] = {MODEL: {}}
    for suite in suites:
        with timer.part(suite.name):
            truths = [Truth.read(data, index, suite.fields) for index in objects]
            tables[MODEL] |= suite.score_objects(predicted.vertices, faces, truths, views, seeds)
    with timer.part("baselines"):
        if baselines:
            keys = [suite.voxel_metric.key for suite in suites if suite.voxel_metric]
            for name, ious in _score_voxels(baselines, predicted, data).items():
                tables[name] = dict.fromkeys(keys, ious)
    rows = [
        _object_result(data, index, views, tables, number) for number, index in enumerate(objects)
    ]
    if predicted.directions is None:
        return rows
    return add_direction_scores(rows, predicted.directions, data, objects)


def score_objects(
    model: nn.Module,
    suites: Sequence[MetricSuite],
    data: MultiViewDataset,
    objects: Sequence[int],
    views: Sequence[int],
) -> list[ObjectResult]:
    """Predicts some objects from each of some views alone, and scores the predictions.

    Args:
        model: Makes a `Prediction` of images [B, 4, H, W] in [0, 1], and has `faces` [F, 3].
        suites: The metric suites by which the predictions are scored.
        data: The data set of the objects.
        objects: The indices of the objects in the data; the images of all are one batch.
        views: The views of each object from which it is predicted.

    Raises:
        ValueError, OSError: The data lack what a suite requires, or cannot be read.
    """
    faces: Tensor = model.faces  # type: ignore[assignment]
    return score_predictions(predict_views(model, data, objects, views), faces, suites, data)


def _score_voxels(
    baselines: Mapping[str, VoxelPredictor], predicted: ViewPredictions, data: MultiViewDataset
) -> dict[str, Tensor]:
    """Returns the IoU [N, n] of the voxels which each baseline predicts."""
    objects, views = predicted.objects, predicted.views
    truth = torch.stack([data.voxels(index) for index in objects])
    repeated = truth.repeat_interleave(len(views), dim=0)
    synsets = [data.synsets[index] for index in objects for _ in views]
    return {
        name: voxel_iou(predict(predicted.images, synsets).to(repeated.device), repeated).reshape(
            len(objects), -1
        )
        for name, predict in baselines.items()
    }


def _object_result(
    data: MultiViewDataset,
    index: int,
    views: Sequence[int],
    tables: Mapping[str, Table],
    number: int,
) -> ObjectResult:
    """Returns what all predictors have of the object in a row of the tables."""
    values = {
        predictor: {key: column[number].tolist() for key, column in table.items()}
        for predictor, table in tables.items()
    }
    return ObjectResult(
        data.ids[index],
        data.names[index],
        data.synsets[index],
        tuple(views),
        {name: {k: sum(v) / len(v) for k, v in row.items()} for name, row in values.items()},
        {key: tuple(row) for key, row in values[MODEL].items()},
    )
