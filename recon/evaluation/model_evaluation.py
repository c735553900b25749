"""The evaluation of one model on a data set: what is measured, resumed where it broke."""

from __future__ import annotations

import logging
from collections.abc import Iterator, Sequence
from pathlib import Path
from typing import Any

import torch
from tqdm import tqdm

from recon.command_line import Interruption
from recon.datasets.multiview import MultiViewDataset
from recon.datasets.storage.shards import Paths
from recon.evaluation.bootstrap import RESAMPLES
from recon.evaluation.colors import MEASURES, ColorEvaluation, has_colors
from recon.evaluation.lazy_baselines import BASELINE_NOTES, Baselines
from recon.evaluation.provenance import (
    code_fingerprint,
    data_fingerprint,
    file_fingerprint,
    settings_fingerprint,
    texts_fingerprint,
    versions,
)
from recon.evaluation.result import MACRO, EvaluationResult, ObjectResult, ResultMeasure
from recon.evaluation.rows import EvaluationRows
from recon.evaluation.scoring import choose_presets, result_measures, score_shapes
from recon.evaluation.settings import EvaluationSettings
from recon.evaluation.summary import summarised
from recon.evaluation.voxel_scores import MeshPredictor
from recon.runs.trained_models import TrainedModel
from recon.timing import StepTimer

log = logging.getLogger(__name__)

SHAPE, COLOR = "shape", "color"
# Objects whose colours are measured, and written down, together: as many as the search of their
# nearest training images takes at once.
_COLORS_AT_ONCE = 64


class ModelEvaluation:
    """One evaluation: a model, the objects, and the rows of those which are finished.

    Args:
        settings: what to measure.
        trained: the model.
        data_path: the file or files of the objects; the baselines learn from their training split.
        folder: where the rows are kept, below `rows`; made when it is not there.
        device: where the model runs.
        progress: whether to draw a progress bar; None draws it on a terminal only.
        timer: adds up the seconds of the parts, see `score_shapes`.

    Raises:
        ValueError, OSError: the data or the model is not as needed.
    """

    def __init__(
        self,
        settings: EvaluationSettings,
        trained: TrainedModel,
        data_path: Paths,
        folder: Path,
        device: torch.device,
        progress: bool | None = None,
        timer: StepTimer | None = None,
    ) -> None:
        require_finite(trained)
        self.settings, self.trained = settings, trained
        self.data = MultiViewDataset(data_path, settings.split, settings.categories)
        _require_category_names(self.data)
        self.views = chosen_views(self.data, settings.views)
        self.presets = choose_presets(settings.metrics, self.data)
        resolutions = self.data.layout.voxel_resolutions
        model = trained.model.to(device)
        self.predictor = MeshPredictor(model, min(resolutions, default=32))
        self._hidden = None if progress is None else not progress
        self._timer = timer or StepTimer(device, active=False)
        self._colors = ColorEvaluation(settings.color_inputs, settings.color_targets)
        self._baselines = Baselines(model, data_path, self.predictor.resolution, device, progress)
        self.about = self._about(device)
        rows = folder / "rows"
        rows.mkdir(parents=True, exist_ok=True)
        name = f"{self.about['evaluation'][:16]}.jsonl"
        self.rows = EvaluationRows(rows / name, self.about["evaluation"])

    def run(self) -> EvaluationResult:
        """Measures what is not in the rows yet, and returns everything.

        Raises:
            OSError: the data cannot be read or the rows not be written; what is done is safe.
            SystemExit: a signal asked to stop; what is done is safe.
        """
        done = len(self.rows.done(SHAPE))
        if done:
            log.info("%d of %d objects are measured already", done, len(self.data))
        with Interruption() as interruption:
            for part, rows in self._missing_rows():
                with self._timer.part("rows"):
                    self.rows.add(part, rows)
                if interruption.signum is not None:
                    log.warning("stopped by a signal; the same command goes on from here")
                    raise SystemExit(interruption.exit_status)
        parts = [SHAPE, *([COLOR] if self._has_colors else [])]
        return summarised(
            self.rows.merged(parts, self.data.ids),
            [*self._measures(), *(_color_measures() if self._has_colors else [])],
            {**self.about, "resamples": RESAMPLES},
            self._protocols(),
            self._notes(),
            self.settings.seed,
        )

    def _missing_rows(self) -> Iterator[tuple[str, list[ObjectResult]]]:
        """Yields the rows which are not there, a batch at a time.

        Batches are the same ones whatever is there already, as the rounding of a prediction may
        depend on what else is in its batch.
        """
        # A preset which takes long for one object is not made to wait for others.
        batched = [preset.name for preset in self.presets] == ["softras"]
        size = max(1, self.settings.batch_size // len(self.views)) if batched else 1
        for objects in self._batches(SHAPE, "evaluation", size):
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
        baselines = self._baselines.predictors if self._has_shape_baselines else {}
        return score_shapes(
            self.predictor,
            self.presets,
            baselines,
            self.data,
            objects,
            self.views,
            self.settings.seed,
            self._timer,
        )

    def _color_rows(self, objects: list[int]) -> list[ObjectResult]:
        part = self.data.subset(objects)
        neighbours = self._baselines.neighbours if self._has_neighbours else None
        with self._timer.part("colours"):
            scores = self._colors(
                self.predictor, part, self.views, neighbours, self.settings.baselines
            )
        return [
            ObjectResult(
                part.ids[number],
                part.names[number],
                part.synsets[number],
                tuple(self.views),
                {name: dict(column[number].values) for name, column in scores.items()},
                {},
            )
            for number in range(len(part))
        ]

    @property
    def _has_colors(self) -> bool:
        return has_colors(self.predictor.model) and self.data.num_views > 1

    @property
    def _has_shape_baselines(self) -> bool:
        """Baselines predict voxels, which only `softras` compares."""
        return self.settings.baselines and "softras" in self.settings.metrics

    @property
    def _has_neighbours(self) -> bool:
        return self.settings.baselines and bool(self.data.layout.voxel_resolutions)

    def _measures(self) -> list[ResultMeasure]:
        return [measure for preset in self.presets for measure in result_measures(preset)]

    def _protocols(self) -> dict[str, str]:
        protocols = {preset.name: preset.statement() for preset in self.presets}
        if self._has_colors:
            protocols[COLOR] = self._color_notes()[0]
        return protocols

    def _color_notes(self) -> list[str]:
        return self._colors.notes(len(self.views), self.settings.baselines)

    def _notes(self) -> list[str]:
        notes = list(BASELINE_NOTES) if self._has_shape_baselines else []
        if self._has_colors:
            notes += self._color_notes()[1:]
        elif has_colors(self.predictor.model):
            notes.append("colours: not measured, as the objects have no unseen view")
        return notes

    def _about(self, device: torch.device) -> dict[str, Any]:
        """Returns where the figures come from; `evaluation` is the fingerprint of all which
        determines them, so neither the names of files nor the number of threads.
        """
        determining = {
            "checkpoint_fingerprint": file_fingerprint(self.trained.path),
            "data_fingerprints": [data_fingerprint(path) for path in self.data.paths],
            "objects_fingerprint": texts_fingerprint([*self.data.ids, *self.data.synsets]),
            "settings": {**self.settings.plain(), "views": self.views},
            "protocols": self._protocols(),
            "device": device.type,
            "versions": versions(),
            "code_fingerprint": code_fingerprint(),
        }
        return {
            "checkpoint": str(self.trained.path),
            "step": self.trained.checkpoint["step"],
            "data": [str(path) for path in self.data.paths],
            **{key: value for key, value in determining.items() if key != "protocols"},
            "evaluation": settings_fingerprint(determining),
        }


def require_finite(trained: TrainedModel) -> None:
    """Refuses a model whose predictions would mean nothing.

    Raises:
        ValueError: a weight or statistic is NaN or infinite.
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


def chosen_views(data: MultiViewDataset, views: Sequence[int] | None) -> list[int]:
    """Returns which views of each object are shown; None means all.

    Raises:
        ValueError: a view is not in the data or is there twice, or there is none.
    """
    chosen = list(range(data.num_views)) if views is None else list(views)
    there = all(isinstance(view, int) and 0 <= view < data.num_views for view in chosen)
    if not chosen or not there or len(set(chosen)) != len(chosen):
        raise ValueError(
            f"views must be different ones of 0..{data.num_views - 1} and not empty, got {chosen}"
        )
    return chosen


def _color_measures() -> list[ResultMeasure]:
    """Returns the measures of colours as a result has them; of L1 less is better."""
    return [
        ResultMeasure(key, label, COLOR, key != "color_l1", False)
        for key, label in MEASURES.items()
    ]
