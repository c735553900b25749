"""How much a model loses when its input images are not what it was trained on."""

from __future__ import annotations

import math
from collections.abc import Iterator, Sequence

import numpy as np
import torch
from torch import Tensor
from tqdm import tqdm

from recon.datasets.multiview import MultiViewDataset
from recon.evaluation.corruption_table import CorruptionRow, CorruptionTable
from recon.evaluation.corruptions import ORIGINAL, RENDERED, Corruption, corruptions, resampled
from recon.evaluation.model_evaluation import ModelEvaluation
from recon.evaluation.rerendering import can_render, recorded_light, render_object
from recon.evaluation.scoring import ViewPredictions, score_predictions
from recon.evaluation.validation import category_means, macro_mean
from recon.geometry.cameras import Cameras
from recon.metrics import Metric, object_seed
from recon.models.prediction import predict

# Objects whose images are predicted together.
_OBJECTS_AT_ONCE = 16


def measure_corruptions(
    evaluation: ModelEvaluation, progress: bool | None = None
) -> CorruptionTable:
    """Scores a model on corrupted images of all objects and views of an evaluation.

    The metric is the first one of the first suite. Predictions are never fitted to their masks.
    Random numbers depend on the seed of the evaluation, the object, the view and the corruption
    alone.

    Args:
        evaluation: The evaluation of the model on the images as they are.
        progress: Whether to draw a progress bar; None draws it on a terminal only.

    Raises:
        ValueError, OSError: The data cannot be read.
    """
    metric = evaluation.suites[0].metrics[0]
    images = CorruptedImages(evaluation.data, evaluation.views, evaluation.config.seed)
    hidden = None if progress is None else not progress
    rows: dict[str, CorruptionRow] = {}
    for corruption in tqdm(corruptions(), desc="corruptions", disable=hidden):
        if images.can_make(corruption):
            value, note = _mean_score(evaluation, images, corruption, metric)
        else:
            value, note = math.nan, "the file keeps no triangles to render anew"
        reference = RENDERED if images.needs_rendering(corruption) else ORIGINAL
        base = rows[reference].value if reference in rows else value
        rows[corruption.title] = CorruptionRow(
            corruption.title, reference, value, value - base, note
        )
    return CorruptionTable(metric, tuple(rows.values()))


class CorruptedImages:
    """Makes the corrupted images of the objects of a data set.

    Args:
        data: The data set.
        views: The views of each object.
        seed: The seed of all random numbers.
    """

    def __init__(self, data: MultiViewDataset, views: Sequence[int], seed: int) -> None:
        self.data, self.views, self.seed = data, views, seed
        self._light = recorded_light(data) if can_render(data) else None

    def needs_rendering(self, corruption: Corruption) -> bool:
        """Tells whether the object has to be rendered anew."""
        return corruption.needs_rendering(self.data.image_size)

    def can_make(self, corruption: Corruption) -> bool:
        """Tells whether the file has what the images are made from."""
        return can_render(self.data) or not self.needs_rendering(corruption)

    def make(self, index: int, corruption: Corruption) -> Tensor:
        """Returns the corrupted images [n, 4, H, W] uint8 of an object, in the size of the data."""
        size = self.data.image_size
        images = self._rendered(index, corruption) if self.needs_rendering(corruption) else None
        if images is None:
            images = self.data.images(index, self.views)
        changed = []
        for view, image in zip(self.views, images.numpy(), strict=True):
            if corruption.image is not None:
                key = f"{self.data.ids[index]}/{view}/{corruption.title}"
                generator = np.random.default_rng(object_seed(self.seed, key))
                image = corruption.image(image, generator)
            changed.append(resampled(image, size, corruption.side))
        return torch.from_numpy(np.stack(changed))

    def _rendered(self, index: int, corruption: Corruption) -> Tensor:
        cameras = Cameras.from_rows(self.data.cameras(index, self.views))
        if corruption.camera is not None:
            cameras = corruption.camera(cameras)
        height, width = self.data.image_size
        scale = (corruption.side or min(height, width)) / min(height, width)
        size = (round(height * scale), round(width * scale))
        return render_object(self.data, index, cameras, size, self._light)


def _mean_score(
    evaluation: ModelEvaluation, images: CorruptedImages, corruption: Corruption, metric: Metric
) -> tuple[float, str]:
    """Returns the mean over the categories on corrupted images, and a note about them."""
    whole, rows = 0, []
    for objects in _batches(len(evaluation.data)):
        made = torch.cat([images.make(index, corruption) for index in objects])
        whole += int((made[:, 3] == 255).flatten(1).all(1).sum())
        prediction = predict(evaluation.model, made)
        views = ViewPredictions(objects, evaluation.views, made, prediction)
        faces: Tensor = evaluation.model.faces  # type: ignore[assignment]
        seed = evaluation.config.seed
        rows += score_predictions(views, faces, evaluation.suites[:1], evaluation.data, seed=seed)
    total = len(evaluation.data) * len(evaluation.views)
    note = f"no mask found in {whole} of {total} images" if whole else ""
    return macro_mean(category_means(rows, metric.key)), note


def _batches(count: int) -> Iterator[list[int]]:
    for start in range(0, count, _OBJECTS_AT_ONCE):
        yield list(range(start, min(start + _OBJECTS_AT_ONCE, count)))
