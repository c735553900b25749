"""Directions of cameras beside the scores of shapes: what is added, and what it says."""

from __future__ import annotations

from pathlib import Path

import pytest
import torch

from recon.datasets.multiview import MultiViewDataset
from recon.evaluation.directions import add_direction_scores, direction_statement
from recon.evaluation.result import ObjectResult
from recon.geometry.cameras import shapenet_cameras


def row(id_: str, views: tuple[int, ...]) -> ObjectResult:
    scores = {"model": {"iou": 0.5}, "template": {"iou": 0.1}}
    return ObjectResult(id_, id_, "03001627", views, scores, {"iou": (0.5,) * len(views)})


def test_shares_and_medians_are_added_to_the_model_alone(shapes_file: Path) -> None:
    data = MultiViewDataset(shapes_file, "test")
    rows = [row("a", (0, 5, 11)), row("b", (3, 4, 12))]
    # Right, off by one view, opposite; then right, right, off by two views.
    told = shapenet_cameras([0, 6, 23, 3, 4, 14]).eye() / 2.732
    one, other = add_direction_scores(rows, told, data, [2, 0])
    assert one.per_view["camera_within_15"] == (1.0, 1.0, 0.0)
    assert one.per_view["camera_error"] == pytest.approx((0.0, 12.98, 120.0), abs=0.01)
    assert one.scores["model"] == pytest.approx(
        {"iou": 0.5, "camera_within_15": 2 / 3, "camera_error": 12.98}, abs=0.01
    )
    assert other.scores["model"]["camera_error"] == pytest.approx(0.0, abs=1e-4)
    assert (one.per_view["iou"], one.scores["template"]) == ((0.5,) * 3, {"iou": 0.1})


def test_as_many_directions_as_images_are_needed(shapes_file: Path) -> None:
    data = MultiViewDataset(shapes_file, "test")
    with pytest.raises(ValueError, match=r"predicted and true must be \[N, 3\]"):
        add_direction_scores([row("a", (0, 5))], torch.zeros(3, 3), data, [0])


def test_the_statement_says_what_the_directions_come_from() -> None:
    statements = [direction_statement(camera) for camera in ("", "found", "predicted")]
    assert len(set(statements)) == 3
    assert all("within 15 degrees" in statement for statement in statements)
