"""Voxel IoU of predictions over a data set: the protocol, the rows it makes and their means.

A prediction may come from a network or from a baseline; all pass through the same code.
"""

from __future__ import annotations

from collections import Counter
from collections.abc import Callable, Iterator, Mapping, Sequence
from contextlib import contextmanager
from dataclasses import dataclass

import torch
from torch import Tensor, nn
from tqdm import tqdm

from recon.datasets.categories import present_categories
from recon.datasets.multiview import MultiViewDataset
from recon.geometry.voxels import voxelize_mesh
from recon.metrics import voxel_iou
from recon.models import Prediction
from recon.training.distributed import Processes

# (images [n, 4, H, W] uint8 RGBA, synset of each) -> voxels [n, R, R, R] bool in world axes.
Predictor = Callable[[Tensor, Sequence[str]], Tensor]


@dataclass(frozen=True)
class ObjectScore:
    """How well one object was reconstructed.

    Args:
        id: identifier of the object in its data set.
        name: what it is called.
        synset: of its category.
        views: which of its views were shown, one at a time.
        ious: the voxel IoU of each of these views.
    """

    id: str
    name: str
    synset: str
    views: tuple[int, ...]
    ious: tuple[float, ...]

    @property
    def iou(self) -> float:
        """The mean over the views."""
        return sum(self.ious) / len(self.ious)


class MeshPredictor:
    """Predicts voxels with a reconstruction network, through the mesh it makes.

    The voxelisation is that of the SoftRas evaluation: vertices * 31/32 + 0.5 in [0, 1]^3, surface
    and filled inside.

    Args:
        model: makes a `Prediction` of images [B, 4, H, W] in [0, 1], and has `faces` [F, 3].
        resolution: R, voxels along a side.
    """

    def __init__(self, model: nn.Module, resolution: int = 32) -> None:
        self.model = model
        self.resolution = resolution

    def __call__(self, images: Tensor, synsets: Sequence[str]) -> Tensor:
        return self.voxelize(self.vertices(images))

    @property
    def faces(self) -> Tensor:
        """The faces [F, 3] of all predictions, on the device of the model."""
        return self.model.faces  # type: ignore[return-value]

    def vertices(self, images: Tensor) -> Tensor:
        """The predicted vertices [n, V, 3] of images [n, 4, H, W] uint8; batch norm is not fed."""
        return self.predict(images).vertices

    def predict(self, images: Tensor) -> Prediction:
        """The prediction from images [n, 4, H, W] uint8; batch norm is not fed."""
        device = next(self.model.parameters()).device
        pixels = images.to(device).float() / 255
        with torch.inference_mode(), evaluating(self.model):
            return self.model(pixels)

    def voxelize(self, vertices: Tensor) -> Tensor:
        """The voxels [n, R, R, R] of predicted vertices."""
        return voxelize_mesh(vertices, self.faces, self.resolution, mode="softras")


@contextmanager
def evaluating(model: nn.Module) -> Iterator[None]:
    """Put a model into evaluation mode for the block."""
    training = model.training
    model.eval()
    try:
        yield
    finally:
        model.train(training)


def evaluate(
    predictors: Mapping[str, Predictor],
    data: MultiViewDataset,
    views: Sequence[int] | None = None,
    batch_size: int = 128,
    progress: bool | None = False,
    objects: Sequence[int] | None = None,
) -> dict[str, list[ObjectScore]]:
    """Score predictors on every object of a data set, from each of some views alone.

    Args:
        predictors: by name; all see the same images in the same batches.
        data: the objects.
        views: which views; None means all, as the SoftRas protocol does.
        batch_size: images per call of a predictor, at least.
        progress: whether to draw a progress bar; None draws it on a terminal only.
        objects: indices in the data; None means all.

    Returns:
        For each predictor one score per object, in the order of `objects`.

    Raises:
        ValueError: a view is not in the data, or the data has no object.
    """
    shown = list(range(data.num_views)) if views is None else list(views)
    if not shown or not all(0 <= view < data.num_views for view in shown):
        raise ValueError(f"views must be in 0..{data.num_views - 1} and not empty, got {shown}")
    if len(data) == 0:
        raise ValueError("the data to evaluate on has no object")
    scores: dict[str, list[ObjectScore]] = {name: [] for name in predictors}
    per_batch = max(1, batch_size // len(shown))
    hidden = None if progress is None else not progress
    chosen = range(len(data)) if objects is None else objects
    with tqdm(total=len(chosen), unit="object", desc="evaluation", disable=hidden) as bar:
        for start in range(0, len(chosen), per_batch):
            part = chosen[start : start + per_batch]
            for name, rows in _score_batch(predictors, data, part, shown).items():
                scores[name] += rows
            bar.update(len(part))
    return scores


def _score_batch(
    predictors: Mapping[str, Predictor],
    data: MultiViewDataset,
    objects: Sequence[int],
    views: list[int],
) -> dict[str, list[ObjectScore]]:
    images = torch.cat([data.images(index, views) for index in objects])
    truth = torch.stack([data.voxels(index) for index in objects])
    repeated = truth.repeat_interleave(len(views), dim=0)
    synsets = [data.synsets[index] for index in objects for _ in views]
    rows: dict[str, list[ObjectScore]] = {}
    for name, predict in predictors.items():
        voxels = predict(images, synsets).to(repeated.device)
        ious = voxel_iou(voxels, repeated).reshape(len(objects), len(views)).tolist()
        rows[name] = [
            ObjectScore(
                data.ids[index], data.names[index], data.synsets[index], tuple(views), tuple(row)
            )
            for index, row in zip(objects, ious, strict=True)
        ]
    return rows


def category_means(scores: Sequence[ObjectScore]) -> dict[str, float]:
    """The mean IoU over the objects of each category, for those with objects, by name.

    The mean of an object is over its views; all objects have equally many, so this is also the
    protocol's mean over views and objects together.
    """
    means = {}
    for category in present_categories(score.synset for score in scores):
        ious = [score.iou for score in scores if score.synset == category.synset]
        means[category.name] = sum(ious) / len(ious)
    return means


def macro_mean(scores: Sequence[ObjectScore]) -> float:
    """The unweighted mean over the categories which have objects.

    Raises:
        ValueError: there are no scores.
    """
    means = category_means(scores)
    if not means:
        raise ValueError("a mean over no objects is not defined")
    return sum(means.values()) / len(means)


def count_objects(scores: Sequence[ObjectScore]) -> dict[str, int]:
    """The number of objects of each category which has some, by name."""
    counts = Counter(score.synset for score in scores)
    return {category.name: counts[category.synset] for category in present_categories(counts)}


class VoxelValidation:
    """What a training run measures on its validation split.

    Args:
        views: which views of each object; None means all. Few and evenly spread ones estimate the
            mean over all at a fraction of the cost.
        batch_size: images per call of the model.
    """

    def __init__(self, views: Sequence[int] | None = None, batch_size: int = 128) -> None:
        self.views = views
        self.batch_size = batch_size

    def __call__(
        self, model: nn.Module, data: MultiViewDataset, processes: Processes | None = None
    ) -> dict[str, float]:
        """Returns the macro mean IoU as `iou`, and `iou_NAME` of each category.

        Args:
            model: as `MeshPredictor`.
            data: the objects.
            processes: which share the objects; the figures are those of all.
        """
        processes = processes or Processes()
        predictors = {"model": MeshPredictor(model, data.voxel_resolution)}
        share = processes.share(len(data))
        own = evaluate(predictors, data, self.views, self.batch_size, objects=share)["model"]
        scores = processes.collect(own)
        means = {f"iou_{name}": mean for name, mean in category_means(scores).items()}
        return {"iou": macro_mean(scores), **means}
