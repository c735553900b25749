"""The evaluation of one trained model: its scores beside the baselines, tables and pictures."""

from __future__ import annotations

import platform
import time
from collections.abc import Mapping, Sequence
from importlib.util import find_spec
from pathlib import Path
from typing import Any

import torch
from torch import nn

from recon.baselines import Retrieval, category_mean_shape, mean_shape, template_shape
from recon.color_evaluation import ColorEvaluation, ColorScore, Neighbours, has_colors
from recon.datasets.multiview import MultiViewDataset
from recon.datasets.shards import Paths
from recon.devices import choose_device
from recon.evaluation import MeshPredictor, Predictor, evaluate
from recon.gallery import make_examples, pick_objects, save_examples
from recon.mesh_files import COLORED_FORMATS, TEXTURED_FORMATS
from recon.report import ScoreTable, write_report
from recon.turntable import VIDEO_FORMATS

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
        save_meshes: how many objects to write as mesh files and to show on the contact sheet.
        baselines: whether to score predictions without learning beside the model.
        batch_size: images per call of the model.
        device: as `recon.devices.choose_device`.
        progress: whether to draw a progress bar; None draws it on a terminal only.
        format: of the mesh files: obj, ply or glb; texels need obj or glb.
        turntable: of the animation of each saved object: gif, or mp4, which needs the package
            imageio-ffmpeg; None makes none.
        color_inputs: from how many of the views of each object a model with colours is judged by
            them; they are spread evenly.
        color_targets: in how many other views each of these predictions is compared.

    Raises:
        ValueError: a number is out of range, or there is no such device, format or turntable.
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
        format: str = "obj",
        turntable: str | None = "gif",
        color_inputs: int = 8,
        color_targets: int = 3,
    ) -> None:
        if save_meshes < 0 or batch_size < 1:
            raise ValueError(
                f"save_meshes must be >= 0 and batch_size >= 1, got {save_meshes} and {batch_size}"
            )
        if color_inputs < 1 or color_targets < 1:
            raise ValueError(
                "color_inputs and color_targets must be >= 1, "
                f"got {color_inputs} and {color_targets}"
            )
        _require_format(format)
        _require_turntable(turntable)
        self.format, self.turntable = format, turntable
        self.colors = ColorEvaluation(color_inputs, color_targets, progress)
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
            ValueError, OSError: the data or a file is not as needed, or the format cannot hold the
                colours of the model.
        """
        start = time.perf_counter()
        self._require_room_for_texels(model)
        data = MultiViewDataset(data_path, self.split, self.categories)
        predictor = MeshPredictor(model.to(self.device), data.voxel_resolution)
        predictors: dict[str, Predictor] = {"model": predictor}
        neighbours = None
        if self.baselines:
            train_set = MultiViewDataset(data_path, "train")
            neighbours = Neighbours(self._retrieval(train_set), train_set)
            predictors |= self._baselines(model, neighbours, data.voxel_resolution)
        scores = evaluate(predictors, data, self.views, self.batch_size, self.progress)
        colors, color_notes = self._colors(predictor, data, neighbours)
        seen = data.num_views if self.views is None else len(self.views)
        title = (
            f"voxel IoU in percent at {data.voxel_resolution}^3, split {self.split}, "
            f"{seen} views of each object one at a time"
        )
        facts = {**about, **self._facts(data_path), "seconds": time.perf_counter() - start}
        notes = [*(BASELINE_NOTES if self.baselines else ()), *color_notes]
        table = write_report(folder, scores, title, facts, notes, colors)
        print(table.text())
        self._save_examples(predictor, data, folder)
        return table

    def _retrieval(self, train_set: MultiViewDataset) -> Retrieval:
        return Retrieval(train_set, self.device, progress=self.progress)

    def _baselines(
        self, model: nn.Module, neighbours: Neighbours, resolution: int
    ) -> dict[str, Predictor]:
        return {
            "template": template_shape(model, resolution),
            "mean shape": mean_shape(neighbours.train_set),
            "category mean": category_mean_shape(neighbours.train_set),
            "retrieval": neighbours.retrieval,
        }

    def _colors(
        self, predictor: MeshPredictor, data: MultiViewDataset, neighbours: Neighbours | None
    ) -> tuple[dict[str, list[ColorScore]], list[str]]:
        """Returns the scores of a model with colours, and what to note about them."""
        if not has_colors(predictor.model):
            return {}, []
        if data.num_views < 2:
            return {}, ["colours: not measured, as the objects have no unseen view"]
        scores = self.colors(predictor, data, self.views, neighbours, self.baselines)
        shown = data.num_views if self.views is None else len(self.views)
        return scores, self.colors.notes(shown, self.baselines)

    def _require_room_for_texels(self, model: nn.Module) -> None:
        """Refuse a format which cannot hold textures before hours of evaluation, not after."""
        surface = getattr(getattr(model, "color_head", None), "surface", None)
        textured = getattr(surface, "texels", 0) > 0
        if self.save_meshes and textured and f".{self.format}" not in TEXTURED_FORMATS:
            raise ValueError(
                f"format must be {_named(TEXTURED_FORMATS)} for a model with texels, "
                f"got {self.format!r}"
            )

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
            turntable = None if self.turntable is None else f".{self.turntable}"
            paths = save_examples(folder, examples, f".{self.format}", turntable)
            print(f"pictures: {paths[0]}\nmeshes: {paths[1].parent} ({len(paths) - 1} objects)")
        print(f"tables: {folder}")


def _named(suffixes: Sequence[str]) -> str:
    return " or ".join(suffix[1:] for suffix in suffixes)


def _require_format(name: str) -> None:
    if f".{name}" not in COLORED_FORMATS:
        raise ValueError(f"format must be {_named(COLORED_FORMATS)}, got {name!r}")


def _require_turntable(name: str | None) -> None:
    if name is None:
        return
    if f".{name}" not in VIDEO_FORMATS:
        raise ValueError(f"turntable must be {_named(VIDEO_FORMATS)} or null, got {name!r}")
    if name == "mp4" and find_spec("imageio_ffmpeg") is None:
        raise ValueError(
            "turntable=mp4 needs the package imageio-ffmpeg (the extra 'video'); gif needs none"
        )
