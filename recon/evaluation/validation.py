"""The validation of a training run: the IoU of an evaluation on the validation split."""

from __future__ import annotations

from collections.abc import Mapping, Sequence

from torch import nn

from recon.arguments import BatchSize, NonNegativeInt
from recon.datasets.categories import present_categories
from recon.datasets.multiview import MultiViewDataset
from recon.evaluation.result import MODEL, ObjectResult
from recon.evaluation.scoring import choose_suites, choose_views, score_objects
from recon.metrics.directions import DIRECTION_METRICS
from recon.training.distributed import Processes


class VoxelValidation:
    """Scores the validation objects by the voxel IoU of `metrics=[softras]`.

    Where the data has no voxels it is the IoU of silhouettes in unseen views. Of a model with a
    camera head the most probable directions are scored, too.

    Args:
        views: The views of each object that are scored; None means all. A few evenly spread views
            estimate the mean over all at a fraction of the cost.
        batch_size: The number of images per call of the model.
    """

    def __init__(
        self, views: Sequence[NonNegativeInt] | None = None, batch_size: BatchSize = 128
    ) -> None:
        self.views = views
        self.batch_size = batch_size

    def __call__(
        self, model: nn.Module, data: MultiViewDataset, processes: Processes | None = None
    ) -> dict[str, float]:
        """Returns the macro mean IoU as `iou`, and `iou_NAME` of each category.

        With a camera head there are also the macro means `camera_within_15`, the share of images
        whose direction is within 15 degrees of the true one, and `camera_error`, the median angle
        over the views of an object in degrees.

        Args:
            model: Makes a `Prediction` of images [B, 4, H, W] in [0, 1], and has `faces` [F, 3].
            data: The validation objects.
            processes: The processes that share the objects; all of them return the values of all
                objects.

        Raises:
            ValueError: A view is not in the data.
        """
        processes = processes or Processes()
        suites, views = choose_suites(["softras"], data), choose_views(data, self.views)
        size = max(1, self.batch_size // len(views))
        share = processes.share(len(data))
        own = [
            row
            for start in range(0, len(share), size)
            for row in score_objects(model, suites, data, share[start : start + size], views)
        ]
        rows = processes.collect(own)
        means = category_means(rows, suites[0].metrics[0].key)
        named = {f"iou_{name}": mean for name, mean in means.items()}
        cameras = {
            metric.key: macro_mean(category_means(rows, metric.key))
            for metric in DIRECTION_METRICS
            if metric.key in rows[0].scores[MODEL]
        }
        return {"iou": macro_mean(means), **named, **cameras}


def category_means(objects: Sequence[ObjectResult], key: str) -> dict[str, float]:
    """Returns the mean of a metric of the model over the objects of each category, by name."""
    means = {}
    for category in present_categories(row.synset for row in objects):
        values = [row.scores[MODEL][key] for row in objects if row.synset == category.synset]
        means[category.name] = sum(values) / len(values)
    return means


def macro_mean(means: Mapping[str, float]) -> float:
    """Returns the mean over categories of what `category_means` returns."""
    return sum(means.values()) / len(means)
