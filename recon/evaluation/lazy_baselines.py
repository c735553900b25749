"""The baselines of an evaluation, made only when they are needed."""

from __future__ import annotations

from functools import cached_property

import torch
from torch import nn

from recon.datasets.multiview import MultiViewDataset
from recon.datasets.storage.shards import Paths
from recon.evaluation.baselines import Retrieval, category_mean_shape, mean_shape, template_shape
from recon.evaluation.colors import Neighbours
from recon.evaluation.voxel_scores import Predictor

BASELINE_NOTES = (
    "template: the undeformed template sphere of the model",
    "mean shape: training voxels of all categories, cut at the rate best on the training split",
    "category mean: the same per category; it is told the category of each object",
    "retrieval: the training object with the nearest image (L2 on premultiplied RGBA pixels)",
)


class Baselines:
    """Predictions without learning, made when the first is asked for.

    Args:
        model: has the template.
        data_path: of the file or files with the training split.
        resolution: R, voxels along a side.
        device: where images are compared.
        progress: whether to draw a progress bar.
    """

    def __init__(
        self,
        model: nn.Module,
        data_path: Paths,
        resolution: int,
        device: torch.device,
        progress: bool | None,
    ) -> None:
        self._model, self._data_path, self._resolution = model, data_path, resolution
        self._device, self._progress = device, progress

    @cached_property
    def neighbours(self) -> Neighbours:
        """Training objects by their images.

        Raises:
            ValueError: the data has no training split.
        """
        try:
            train_set = MultiViewDataset(self._data_path, "train")
        except ValueError as error:
            raise ValueError(f"{error}; baselines=false evaluates the model alone") from error
        return Neighbours(Retrieval(train_set, self._device, progress=self._progress), train_set)

    @cached_property
    def predictors(self) -> dict[str, Predictor]:
        """Predictors of voxels by name."""
        return {
            "template": template_shape(self._model, self._resolution),
            "mean shape": mean_shape(self.neighbours.train_set),
            "category mean": category_mean_shape(self.neighbours.train_set),
            "retrieval": self.neighbours.retrieval,
        }
