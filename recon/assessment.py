"""The evaluation of one trained model: its scores beside the baselines, tables and pictures."""

from __future__ import annotations

import platform
import time
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any

import torch
from torch import nn

from recon.baselines import Retrieval, category_mean_shape, mean_shape, template_shape
from recon.datasets.multiview import MultiViewDataset
from recon.datasets.shards import Paths
from recon.devices import choose_device
from recon.evaluation import MeshPredictor, Predictor, evaluate
from recon.gallery import make_examples, pick_objects, save_examples
from recon.report import ScoreTable, write_report

BASELINE_NOTES = (
    "template: the undeformed template sphere of the model",
    "mean shape: training voxels of all categories, cut at the rate best on the training split",
    "category mean: the same per category; it is told the category of each object",
    "retrieval: the training object with the nearest picture (L2 on premultiplied RGBA pixels)",
)


class Assessment:
    """What to measure of a model, by the SoftRas protocol (voxel IoU; see `recon.evaluation`).

    Args:
        split: which objects of the data.
        categories: names or synsets; None means all.
        views: which views of each object; None means all, as the protocol does.
        save_meshes: how many objects to write as OBJ files and to show on the contact sheet.
        baselines: whether to score predictions without learning beside the model.
        batch_size: images per call of the model.
        device: as `recon.devices.choose_device`.
        progress: whether to draw a progress bar; None draws it on a terminal only.

    Raises:
        ValueError: a number is out of range, or there is no such device.
    """

    def __init__(
        self,
        split: str = "test",
        categories: Sequence[str] | None = None,
        views: Sequence[int] | None = None,
        save_meshes: int = 0,
        baselines: bool = True,
        batch_size: int = 512,
        device: str = "auto",
        progress: bool | None = None,
    ) -> None:
        if save_meshes < 0 or batch_size < 1:
            raise ValueError(
                f"save_meshes must be >= 0 and batch_size >= 1, got {save_meshes} and {batch_size}"
            )
        self.split, self.categories, self.views = split, categories, views
        self.save_meshes, self.baselines = save_meshes, baselines
        self.batch_size, self.progress = batch_size, progress
        self.device = choose_device(device)

    def run(
        self, model: nn.Module, data_path: Paths, folder: Path, about: Mapping[str, Any]
    ) -> ScoreTable:
        """Score a model, write the report into a folder and print the table.

        Args:
            model: with its trained weights.
            data_path: the file or files of the objects; the baselines learn from their training
                split.
            folder: where the report goes; made when it is not there.
            about: plain data for `result.json`: which checkpoint this is.

        Raises:
            ValueError, OSError: the data or a file is not as needed.
        """
        start = time.perf_counter()
        data = MultiViewDataset(data_path, self.split, self.categories)
        predictor = MeshPredictor(model.to(self.device), data.voxel_resolution)
        predictors: dict[str, Predictor] = {"model": predictor}
        if self.baselines:
            predictors |= self._baselines(model, data_path, data.voxel_resolution)
        scores = evaluate(predictors, data, self.views, self.batch_size, self.progress)
        seen = data.num_views if self.views is None else len(self.views)
        title = (
            f"voxel IoU in percent at {data.voxel_resolution}^3, split {self.split}, "
            f"{seen} views of each object one at a time"
        )
        facts = {**about, **self._facts(data_path), "seconds": time.perf_counter() - start}
        notes = BASELINE_NOTES if self.baselines else ()
        table = write_report(folder, scores, title, facts, notes)
        print(table.text())
        self._save_examples(predictor, data, folder)
        return table

    def _baselines(
        self, model: nn.Module, data_path: Paths, resolution: int
    ) -> dict[str, Predictor]:
        train_set = MultiViewDataset(data_path, "train")
        return {
            "template": template_shape(model, resolution),
            "mean shape": mean_shape(train_set),
            "category mean": category_mean_shape(train_set),
            "retrieval": Retrieval(train_set, self.device, progress=self.progress),
        }

    def _facts(self, data_path: Paths) -> dict[str, Any]:
        return {
            "data": str(data_path),
            "split": self.split,
            "categories": self.categories,
            "views": self.views,
            "protocol": "softras",
            "device": str(self.device),
            "versions": {"python": platform.python_version(), "torch": torch.__version__},
        }

    def _save_examples(
        self, predictor: MeshPredictor, data: MultiViewDataset, folder: Path
    ) -> None:
        if self.save_meshes:
            examples = make_examples(predictor, data, pick_objects(data, self.save_meshes))
            paths = save_examples(folder, examples)
            print(f"pictures: {paths[0]}\nmeshes: {paths[1].parent} ({len(paths) - 1} files)")
        print(f"tables: {folder}")
