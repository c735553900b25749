"""Shapes of objects, predicted from single views and scored by any presets of `recon.metrics`."""

from __future__ import annotations

import logging
from collections.abc import Mapping, Sequence

import torch
from torch import Tensor

from recon.datasets.multiview import MultiViewDataset
from recon.evaluation.result import MODEL, ObjectResult, ResultMeasure
from recon.evaluation.voxel_scores import MeshPredictor, Predictor
from recon.metrics import PRESETS, Measure, Preset, Truth, voxel_iou
from recon.metrics.seeds import object_seed
from recon.metrics.softras import SoftRas
from recon.timing import StepTimer

log = logging.getLogger(__name__)

# The fields of a data set by the part of `Truth` they are; voxels have their resolution in the name
# and silhouettes are the alpha of the images.
_FIELDS = {
    "surface_points": "pointcloud",
    "surface_normals": "pointcloud_normals",
    "points": "points",
    "occupancies": "occupancies",
    "cameras": "cameras",
}
# By measure, [objects, views].
Table = dict[str, Tensor]
# By predictor and measure, the values of the views of one object.
Row = dict[str, dict[str, list[float]]]


def choose_presets(names: Sequence[str], data: MultiViewDataset) -> list[Preset]:
    """Returns the presets of some names, which a data set has the fields for.

    `softras` takes the lowest resolution there are voxels of, as the training does.

    Raises:
        ValueError: a name is unknown or there twice, there is none, or the data has not what a
            preset needs; the message names the file.
    """
    if isinstance(names, str) or not names or len(set(names)) != len(names):
        raise ValueError(
            f"metrics must be a list of different presets, as [softras,onet], got {names!r}"
        )
    presets: list[Preset] = []
    for name in names:
        if name not in PRESETS:
            raise ValueError(f"unknown preset {name!r} in metrics; there are {', '.join(PRESETS)}")
        preset = PRESETS[name]()
        if isinstance(preset, SoftRas) and data.layout.voxel_resolutions:
            preset = SoftRas(data.voxel_resolution)
        try:
            preset.require(data.layout)
        except ValueError as error:
            raise ValueError(f"{data.paths[0]}: {error}") from error
        presets.append(preset)
    return presets


def result_measures(preset: Preset) -> list[ResultMeasure]:
    """Returns the measures of a preset as a result has them."""
    return [
        ResultMeasure(
            result_key(preset.name, measure.key),
            measure.label,
            preset.name,
            measure.higher_is_better,
            _is_share(measure),
        )
        for measure in preset.measures
    ]


def result_key(preset: str, key: str) -> str:
    """Returns the key of a measure in results: that of the preset, made to begin with its name."""
    return key if key.startswith(preset.split("_")[0]) else f"{preset}_{key}"


def _is_share(measure: Measure) -> bool:
    """Whether a measure is a part of one, which tables show in percent.

    Other measures are in results as their label says: 'Chamfer-L1 x10' is ten times the distance.
    """
    return measure.scale == 100 and measure.higher_is_better


def score_shapes(
    predictor: MeshPredictor,
    presets: Sequence[Preset],
    baselines: Mapping[str, Predictor],
    data: MultiViewDataset,
    objects: Sequence[int],
    views: Sequence[int],
    seed: int = 0,
    timer: StepTimer | None = None,
) -> list[ObjectResult]:
    """Scores some objects from each of some views alone.

    Args:
        predictor: the model.
        presets: by which it is scored.
        baselines: predict voxels of the predictor's resolution, and are scored by their IoU as
            `softras` does it.
        data: the objects.
        objects: indices; the images of all are one batch.
        views: of each object.
        seed: of the presets which draw samples.
        timer: is given the parts reading, network, each preset by name, and baselines.

    Raises:
        ValueError, OSError: the data has not what a preset needs, or cannot be read.
    """
    timer = timer or StepTimer(torch.device("cpu"), active=False)
    with timer.part("reading"):
        images = torch.cat([data.images(index, views) for index in objects])
    with timer.part("network"):
        vertices = predictor.vertices(images).float()
    _warn_of_no_numbers(vertices, data, objects)
    tables: dict[str, Table] = {MODEL: {}}
    for preset in presets:
        with timer.part(preset.name):
            if isinstance(preset, SoftRas):
                table = _score_at_once(preset, vertices, predictor.faces, data, objects)
            else:
                table = _score_each(preset, vertices, predictor.faces, data, objects, views, seed)
            tables[MODEL] |= table
    with timer.part("baselines"):
        if baselines:
            tables |= _score_baselines(baselines, images, data, objects, views)
    rows = _by_object(tables, len(objects))
    return [
        _object_result(data, index, views, row) for index, row in zip(objects, rows, strict=True)
    ]


def _warn_of_no_numbers(vertices: Tensor, data: MultiViewDataset, objects: Sequence[int]) -> None:
    """Tells of predictions which the presets score as if the faces in question were not there."""
    broken = ~torch.isfinite(vertices).all(dim=2).all(dim=1).reshape(len(objects), -1)
    for index, count in zip(objects, broken.sum(dim=1).tolist(), strict=True):
        if count:
            log.warning("object %s: %d predictions are not finite", data.ids[index], count)


def _score_at_once(
    preset: SoftRas,
    vertices: Tensor,
    faces: Tensor,
    data: MultiViewDataset,
    objects: Sequence[int],
) -> Table:
    """Returns the IoU of all objects, which is one call for the whole batch."""
    truth = _true_voxels(data, objects, preset.resolution).to(vertices.device)
    views = len(vertices) // len(objects)
    ious = preset.ious(vertices, faces, truth.repeat_interleave(views, dim=0))
    return {result_key(preset.name, "iou"): ious.reshape(len(objects), -1)}


def _score_each(
    preset: Preset,
    vertices: Tensor,
    faces: Tensor,
    data: MultiViewDataset,
    objects: Sequence[int],
    views: Sequence[int],
    seed: int,
) -> Table:
    """Returns the values of each measure of a preset, one object at a time."""
    rows = []
    for index, meshes in zip(objects, vertices.split(len(views)), strict=True):
        truth = true_shape(data, index, preset.fields)
        rows.append(preset.score(meshes, faces, truth, views, object_seed(seed, data.ids[index])))
    return {
        result_key(preset.name, measure.key): torch.stack([row[measure.key] for row in rows])
        * (1.0 if _is_share(measure) else measure.scale)
        for measure in preset.measures
    }


def _score_baselines(
    baselines: Mapping[str, Predictor],
    images: Tensor,
    data: MultiViewDataset,
    objects: Sequence[int],
    views: Sequence[int],
) -> dict[str, Table]:
    truth = _true_voxels(data, objects, data.voxel_resolution)
    repeated = truth.repeat_interleave(len(views), dim=0)
    synsets = [data.synsets[index] for index in objects for _ in views]
    tables = {}
    for name, predict in baselines.items():
        ious = voxel_iou(predict(images, synsets).to(repeated.device), repeated)
        tables[name] = {result_key(SoftRas.name, "iou"): ious.reshape(len(objects), -1)}
    return tables


def _true_voxels(data: MultiViewDataset, objects: Sequence[int], resolution: int) -> Tensor:
    return torch.stack([data.voxels(index, resolution) for index in objects])


def true_shape(data: MultiViewDataset, index: int, fields: Sequence[str]) -> Truth:
    """Returns of the truth of an object what some fields hold.

    Args:
        data: has the fields.
        index: which object.
        fields: as `Preset.fields`.

    Raises:
        ValueError, OSError: a field is not there or cannot be read.
    """
    parts = {part: data.field(index, field) for part, field in _FIELDS.items() if field in fields}
    if "images" in fields:
        parts["silhouettes"] = data.field(index, "images")[:, 3]
    for field in fields:
        if field.startswith("voxels_"):
            parts["voxels"] = data.field(index, field)
    return Truth(**parts)


def _by_object(tables: Mapping[str, Table], count: int) -> list[Row]:
    """Returns the values of each object of a batch."""
    lists = {
        predictor: {key: values.tolist() for key, values in table.items()}
        for predictor, table in tables.items()
    }
    return [
        {
            predictor: {key: values[number] for key, values in table.items()}
            for predictor, table in lists.items()
        }
        for number in range(count)
    ]


def _object_result(
    data: MultiViewDataset,
    index: int,
    views: Sequence[int],
    row: Row,
) -> ObjectResult:
    scores = {
        predictor: {key: sum(values) / len(values) for key, values in table.items()}
        for predictor, table in row.items()
    }
    per_view = {key: tuple(values) for key, values in row[MODEL].items()}
    return ObjectResult(
        data.ids[index], data.names[index], data.synsets[index], tuple(views), scores, per_view
    )
