"""Where a run stands."""

from __future__ import annotations

from recon.training.progress import Progress


def test_the_best_validation_is_kept_with_all_its_metrics() -> None:
    progress = Progress(step=10)
    assert progress.note_validation({"iou": 0.4, "iou_chair": 0.3})
    progress.step = 20
    assert not progress.note_validation({"iou": 0.4, "iou_chair": 0.5})  # no better
    assert (progress.best_step, progress.best_metrics) == (10, {"iou": 0.4, "iou_chair": 0.3})
    progress.step = 30
    assert progress.note_validation({"iou": 0.5})
    progress.step = 40
    assert not progress.note_validation({"iou": 0.1})
    assert (progress.best_iou, progress.best_step, progress.last_iou) == (0.5, 30, 0.1)
