"""The evaluation of one model on a data set, which continues where it was interrupted."""

from __future__ import annotations

import logging
from collections import Counter
from collections.abc import Iterator, Sequence
from dataclasses import asdict, dataclass, replace
from functools import cached_property
from pathlib import Path
from typing import Any, Literal

import torch
from torch import Tensor
from tqdm import tqdm

from recon.arguments import BatchSize, NonNegativeInt, PositiveInt, Seed, Steps
from recon.command_line import Interruption
from recon.datasets.multiview import MultiViewDataset
from recon.datasets.storage.shards import Paths
from recon.evaluation.baselines import BASELINE_NOTES, Baselines
from recon.evaluation.colors import COLOR_METRICS, SUITE, ColorEvaluation
from recon.evaluation.directions import direction_statement
from recon.evaluation.kept_predictions import KeptPredictions
from recon.evaluation.provenance import (
    code_fingerprint,
    config_fingerprint,
    data_fingerprint,
    file_fingerprint,
    texts_fingerprint,
    versions,
)
from recon.evaluation.result import MACRO, EvaluationResult, ObjectResult
from recon.evaluation.rows import EvaluationRows
from recon.evaluation.scoring import (
    REFINE_CAMERAS,
    ViewPredictions,
    choose_suites,
    choose_views,
    predict_views,
    score_predictions,
)
from recon.evaluation.statistics import RESAMPLES, summarize
from recon.geometry.voxels import leaves_grid
from recon.inference.refinement import Refinement
from recon.metrics import Metric
from recon.metrics.directions import DIRECTION_METRICS
from recon.metrics.directions import SUITE as DIRECTIONS
from recon.models.prediction import blank_prediction
from recon.runs.trained_models import TrainedModel
from recon.timing import StepTimer

log = logging.getLogger(__name__)

# The parts of the rows of an object.
SHAPE, COLOR = "shape", SUITE
# Objects whose colours are scored, and written down, together: as many as the search of their
# nearest training images takes at once.
_COLORS_AT_ONCE = 64


@dataclass(frozen=True)
class EvaluationConfig:
    """Everything that determines the values of an evaluation besides model and data.

    Args:
        metrics: The names of metric suites, see `recon.metrics`.
        split: The split whose objects are scored; None means all objects.
        categories: The names or synsets of the categories that are scored; None means all.
        views: The views of each object that are scored; None means all, as the SoftRas protocol
            does.
        baselines: Whether predictions without learning are scored beside the model.
        batch_size: The number of images per call of the model. The rounding of predictions depends
            on it.
        color_inputs: The number of evenly spread views of each object from which colours are
            predicted.
        color_targets: The number of other views in which the colours of each prediction are
            compared.
        seed: The seed of the samples that suites draw, and of the bootstrap.
        refine: The number of steps that fit each prediction to the mask of its image, with the
            camera of that image; see `recon.inference.refinement`. Colours are scored without this.
        refine_camera: The camera of the refinement: 'known' from the data; 'found' among the
            cameras of the data by the silhouette of the prediction; or 'predicted', in one of the
            probable directions of the camera head of the model, chosen by the silhouette.

    Raises:
        ValueError: A number is out of range.
    """

    metrics: Sequence[str] = ("softras",)
    split: str | None = "test"
    categories: Sequence[str] | None = None
    views: Sequence[NonNegativeInt] | None = None
    baselines: bool = True
    batch_size: BatchSize = 512
    color_inputs: PositiveInt = 8
    color_targets: PositiveInt = 3
    seed: Seed = 0
    refine: Steps = 0
    refine_camera: Literal["known", "found", "predicted"] = "known"

    def __post_init__(self) -> None:
        if self.batch_size < 1 or self.seed < 0:
            raise ValueError(
                f"batch_size must be >= 1 and seed >= 0, got {self.batch_size} and {self.seed}"
            )
        if self.refine < 0:
            raise ValueError(f"refine must be >= 0, got {self.refine}")
        if self.refine_camera not in REFINE_CAMERAS:
            raise ValueError(
                f"refine_camera must be known, found or predicted, got {self.refine_camera!r}"
            )
        if self.color_inputs < 1 or self.color_targets < 1:
            raise ValueError(
                "color_inputs and color_targets must be >= 1, "
                f"got {self.color_inputs} and {self.color_targets}"
            )

    def without_baselines(self) -> EvaluationConfig:
        """Returns the same configuration for the model alone."""
        return replace(self, baselines=False)

    def plain(self) -> dict[str, Any]:
        """Returns the configuration as plain data."""
        return {
            key: list(value) if isinstance(value, tuple) else value
            for key, value in asdict(self).items()
        }


class ModelEvaluation:
    """Scores a model on the objects of a data set, and keeps the rows of finished objects.

    Args:
        config: The configuration of the evaluation: what is scored, and by which metrics.
        trained: The trained model that is evaluated.
        data_path: The path or paths of the prepared files; the baselines learn from their training
            split.
        folder: The folder whose subfolder `rows` keeps the rows of finished objects; it is created
            when `run` writes the first.
        device: The device of the model.
        progress: Whether to draw a progress bar; None draws it on a terminal only.
        timer: The timer of the parts of an evaluation, see `score_predictions`.
        keep_predictions: Whether predictions are kept to be shown afterwards.

    Attributes:
        data: The objects that are scored.
        views: The views from which each object is predicted, one at a time.
        model: The model on its device.
        blank: The prediction for a blank image, which shows whether the model has colours.
        predictions: The predictions which can be shown.
        protocols: What the numbers of each metric suite mean, one line for each.

    Raises:
        ValueError, OSError: The data or the model cannot be used.
    """

    def __init__(
        self,
        config: EvaluationConfig,
        trained: TrainedModel,
        data_path: Paths,
        folder: Path,
        device: torch.device,
        progress: bool | None = None,
        timer: StepTimer | None = None,
        keep_predictions: bool = False,
    ) -> None:
        require_finite(trained)
        self.config, self.trained = config, trained
        self.data = MultiViewDataset(data_path, config.split, config.categories)
        _require_category_names(self.data)
        self.views = choose_views(self.data, config.views)
        self.suites = choose_suites(config.metrics, self.data)
        # Suites that score object by object are not made to wait for others of a batch.
        batched = all(suite.batched for suite in self.suites)
        self._batch_objects = max(1, config.batch_size // len(self.views)) if batched else 1
        self._resolution = min(self.data.layout.voxel_resolutions, default=32)
        self.model = trained.model.to(device)
        self.refinement = Refinement(config.refine) if config.refine else None
        self.blank = blank_prediction(self.model, self.data.layout.image_size)
        if config.refine_camera == "predicted" and self.blank.direction_logits is None:
            raise ValueError(
                f"refine_camera=predicted needs a model with a camera_head, and {trained.path} has "
                "none"
            )
        self.predictions = KeptPredictions(
            self.model,
            self.data,
            self.views,
            self._batch_objects,
            self.refinement,
            config.refine_camera,
        )
        self._keep_predictions = keep_predictions
        self._hidden = None if progress is None else not progress
        self._timer = timer or StepTimer(device, active=False)
        self._colors = ColorEvaluation(config.color_inputs, config.color_targets)
        self._baselines = Baselines(self.model, data_path, self._resolution, device, progress)
        self._warnings: Counter[str] = Counter()
        self.protocols = self._protocols()
        self.about = self._about(device)
        self._folder = folder

    @cached_property
    def rows(self) -> EvaluationRows:
        """The rows of finished objects, which are read, and repaired, when they are first used."""
        fingerprint = self.about["evaluation"]
        return EvaluationRows(self._folder / "rows" / f"{fingerprint[:16]}.jsonl", fingerprint)

    def run(self) -> EvaluationResult:
        """Scores what is not in the rows yet, and returns everything.

        Raises:
            OSError: The data cannot be read or the rows cannot be written; finished objects are
                kept.
            SystemExit: A signal asked to stop; finished objects are kept.
        """
        done = len(self.rows.done(SHAPE))
        if done:
            log.info("%d of %d objects are scored already", done, len(self.data))
        with Interruption() as interruption:
            for part, rows in self._missing_rows():
                with self._timer.part("rows"):
                    self.rows.add(part, rows)
                if interruption.signum is not None:
                    log.warning("stopped by a signal; the same command goes on from here")
                    raise SystemExit(interruption.exit_status)
        self._warn()
        parts = [SHAPE, *([COLOR] if self._has_colors else [])]
        return summarize(
            self.rows.merged(parts, self.data.ids),
            self.metrics,
            {**self.about, "resamples": RESAMPLES},
            self.protocols,
            self._notes(),
            self.config.seed,
        )

    def _missing_rows(self) -> Iterator[tuple[str, list[ObjectResult]]]:
        """Yields the rows which are not there, a batch at a time.

        Batches are the same ones whatever is there already, as the rounding of a prediction may
        depend on what else is in its batch.
        """
        for objects in self._batches(SHAPE, "evaluation", self._batch_objects):
            yield SHAPE, self._shape_rows(objects)
        if self._has_colors:
            for objects in self._batches(COLOR, "colours", _COLORS_AT_ONCE):
                yield COLOR, self._color_rows(objects)

    def _batches(self, part: str, title: str, size: int) -> Iterator[list[int]]:
        """Yields the batches of which a row is missing, and shows how far they are."""
        ids, done = self.data.ids, self.rows.done(part)
        there = sum(id_ in done for id_ in ids)
        with tqdm(
            total=len(ids), initial=there, unit="object", desc=title, disable=self._hidden
        ) as bar:
            for start in range(0, len(ids), size):
                objects = list(range(start, min(start + size, len(ids))))
                missing = sum(ids[index] not in done for index in objects)
                if missing:
                    yield objects
                    bar.update(missing)

    def _shape_rows(self, objects: list[int]) -> list[ObjectResult]:
        predicted = predict_views(
            self.model,
            self.data,
            objects,
            self.views,
            self._timer,
            self.refinement,
            self.config.refine_camera,
        )
        self._count_warnings(predicted)
        faces: Tensor = self.model.faces  # type: ignore[assignment]
        baselines = self._baselines.predictors if self._has_shape_baselines else None
        rows = score_predictions(
            predicted, faces, self.suites, self.data, baselines, self.config.seed, self._timer
        )
        if self._keep_predictions:
            self.predictions.keep(predicted, rows, self.metrics[0].key)
        return rows

    def _color_rows(self, objects: list[int]) -> list[ObjectResult]:
        part = self.data.subset(objects)
        retrieval = self._baselines.retrieval if self._has_retrieval else None
        with self._timer.part("colours"):
            return self._colors(self.model, part, self.views, retrieval, self.config.baselines)

    def _count_warnings(self, predicted: ViewPredictions) -> None:
        """Counts predictions whose scores are not what their meshes look like."""
        vertices = predicted.vertices.flatten(0, 1)
        finite = torch.isfinite(vertices).flatten(1).all(1)
        self._warnings["predicted"] += len(vertices)
        self._warnings["not finite"] += int((~finite).sum())
        if any(suite.voxel_metric for suite in self.suites):
            self._warnings["outside"] += int(leaves_grid(vertices, self._resolution).sum())

    def _warn(self) -> None:
        count = self._warnings["predicted"]
        if broken := self._warnings["not finite"]:
            log.warning(
                "%d of %d predictions are not finite; their faces that are not are left out",
                broken,
                count,
            )
        if outside := self._warnings["outside"]:
            log.warning(
                "%d of %d predictions leave the cube [-0.5, 0.5]^3 of the objects; voxels outside "
                "of it are not compared",
                outside,
                count,
            )

    @property
    def metrics(self) -> list[Metric]:
        """The metrics of the result, in the order of the tables."""
        shapes = [metric for suite in self.suites for metric in suite.metrics]
        directions = DIRECTION_METRICS if self._has_directions else ()
        return [*shapes, *directions, *(COLOR_METRICS if self._has_colors else ())]

    @property
    def _searched_camera(self) -> str:
        """How a refinement finds the directions of cameras, or '' where none does."""
        searches = self.config.refine and self.config.refine_camera != "known"
        return self.config.refine_camera if searches else ""

    @property
    def _has_directions(self) -> bool:
        return self.blank.direction_logits is not None or bool(self._searched_camera)

    @property
    def _has_colors(self) -> bool:
        return self.blank.colors is not None and self.data.num_views > 1

    @property
    def _has_shape_baselines(self) -> bool:
        """Whether there is a metric of voxels, which is what baselines predict."""
        return self.config.baselines and any(suite.voxel_metric for suite in self.suites)

    @property
    def _has_retrieval(self) -> bool:
        return self.config.baselines and bool(self.data.layout.voxel_resolutions)

    def _protocols(self) -> dict[str, str]:
        protocols = {suite.name: suite.statement() for suite in self.suites}
        if self._has_directions:
            protocols[DIRECTIONS] = direction_statement(self._searched_camera)
        if self._has_colors:
            protocols[COLOR] = self._color_notes()[0]
        return protocols

    def _color_notes(self) -> list[str]:
        return self._colors.notes(len(self.views), self.config.baselines)

    def _notes(self) -> list[str]:
        notes = list(BASELINE_NOTES) if self._has_shape_baselines else []
        if self.config.refine:
            notes.append(
                f"refine: {self.config.refine} steps fit each mesh to the mask of its image, "
                f"whose camera is {self.config.refine_camera}"
            )
        if self._has_colors:
            notes += self._color_notes()[1:]
        elif self.blank.colors is not None:
            notes.append("colours: not measured, as the objects have no unseen view")
        return notes

    def _about(self, device: torch.device) -> dict[str, Any]:
        """Returns where the values come from; `evaluation` is the fingerprint of all which
        determines them, so neither the names of files nor the number of threads.
        """
        determining = {
            "checkpoint_fingerprint": file_fingerprint(self.trained.path),
            "data_fingerprints": [data_fingerprint(path) for path in self.data.paths],
            "objects_fingerprint": texts_fingerprint([*self.data.ids, *self.data.synsets]),
            "settings": {**self.config.plain(), "views": self.views},
            "protocols": self.protocols,
            "device": device.type,
            "versions": versions(),
            "code_fingerprint": code_fingerprint(),
        }
        return {
            "checkpoint": str(self.trained.path),
            "step": self.trained.checkpoint["step"],
            "data": [str(path) for path in self.data.paths],
            **{key: value for key, value in determining.items() if key != "protocols"},
            "evaluation": config_fingerprint(determining),
        }


def require_finite(trained: TrainedModel) -> None:
    """Refuses a model with a weight that is not finite.

    Raises:
        ValueError: A weight or statistic is NaN or infinite.
    """
    state = trained.model.state_dict()
    bad = [
        name
        for name, value in state.items()
        if value.is_floating_point() and not bool(torch.isfinite(value).all())
    ]
    if bad:
        raise ValueError(
            f"checkpoint {trained.path}: {len(bad)} of {len(state)} tensors are not finite, "
            f"the first is {bad[0]}"
        )


def _require_category_names(data: MultiViewDataset) -> None:
    """Refuses a category which a result could not tell from the mean over all."""
    if MACRO in data.synsets:
        raise ValueError(
            f"{data.paths[0]}: no category may be called {MACRO!r}, which is their mean; leave it "
            "out with categories=[...]"
        )
