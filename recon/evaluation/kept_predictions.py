"""Predictions of an evaluation that are kept to be shown after it."""

from __future__ import annotations

from collections.abc import Sequence

from torch import Tensor, nn

from recon.datasets.multiview import MultiViewDataset
from recon.evaluation.result import ObjectResult
from recon.evaluation.scoring import ViewPredictions, predict_views
from recon.inference.refinement import Refinement
from recon.models.prediction import Prediction

# The input view of examples: among the 24 ShapeNet views it shows the front and one side.
INPUT_VIEW = 3
# Kept in memory, in numbers of 4 bytes: those of 13,000 objects with 642 coloured vertices.
_MOST_KEPT = 100_000_000


class KeptPredictions:
    """Predictions of single views, kept from the evaluation that made them.

    What was not kept (an object scored before an interruption) is predicted in the same batch as
    in the evaluation, since the rounding of a prediction depends on what else is in its batch.

    Args:
        model: Makes a `Prediction` of images [B, 4, H, W] in [0, 1], and has `faces` [F, 3].
        data: The data set of the objects.
        views: The views from which the evaluation predicts; empty if there was no evaluation.
        batch_objects: The number of objects in a batch of the evaluation.
        refinement: The refinement of the evaluation, see `predict_views`.
        camera: The cameras of the refinement, see `predict_views`.
    """

    def __init__(
        self,
        model: nn.Module,
        data: MultiViewDataset,
        views: Sequence[int] = (),
        batch_objects: int = 1,
        refinement: Refinement | None = None,
        camera: str = "known",
    ) -> None:
        self.model, self.data = model, data
        self.refinement, self.camera = refinement, camera
        self._views, self._batch_objects = list(views), batch_objects
        self._kept: dict[tuple[int, int], Prediction] = {}
        self._size = 0

    @property
    def faces(self) -> Tensor:
        """The faces [F, 3] of all predictions, on the CPU."""
        faces: Tensor = self.model.faces  # type: ignore[assignment]
        return faces.cpu()

    def get(self, index: int, view: int) -> Prediction:
        """Returns the prediction of one object from one view, on the CPU.

        Raises:
            ValueError, OSError: The data cannot be read.
        """
        if (index, view) in self._kept:
            return self._kept[index, view]
        if view not in self._views:
            return _single(self._predict([index], [view]), index, view)
        first = index - index % self._batch_objects
        objects = range(first, min(first + self._batch_objects, len(self.data)))
        return _single(self._predict(objects, self._views), index, view)

    def _predict(self, objects: Sequence[int], views: Sequence[int]) -> ViewPredictions:
        return predict_views(
            self.model,
            self.data,
            objects,
            views,
            refinement=self.refinement,
            camera=self.camera,
        )

    def keep(self, predicted: ViewPredictions, rows: Sequence[ObjectResult], key: str) -> None:
        """Keeps of each object the views that may be shown, as long as there is room.

        Args:
            predicted: The predictions of some objects.
            rows: The scores of these objects.
            key: The key of the metric by which the report chooses a view.
        """
        for index, row in zip(predicted.objects, rows, strict=True):
            for view in {INPUT_VIEW, row.typical_view(key)[0]} & set(predicted.views):
                if self._size < _MOST_KEPT:
                    kept = _single(predicted, index, view)
                    self._kept[index, view] = kept
                    self._size += kept.vertices.numel()
                    self._size += 0 if kept.colors is None else kept.colors.numel()


def _single(predicted: ViewPredictions, index: int, view: int) -> Prediction:
    """Returns one of the predictions on the CPU, with memory of its own."""
    place = predicted.objects.index(index) * len(predicted.views) + predicted.views.index(view)
    found = predicted.prediction
    colors = None if found.colors is None else found.colors[place, None].cpu().clone()
    return Prediction(found.vertices[place, None].float().cpu().clone(), colors)
