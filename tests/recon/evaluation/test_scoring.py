"""Predictions scored by metric suites: which need what, and one path for batches and objects."""

from __future__ import annotations

import math
from collections.abc import Sequence
from dataclasses import replace
from pathlib import Path
from typing import Any

import pytest
import torch
from torch import Tensor, nn

from recon.datasets.multiview import MultiViewDataset
from recon.evaluation.baselines import ConstantShape
from recon.evaluation.result import ObjectResult
from recon.evaluation.scoring import (
    choose_suites,
    choose_views,
    predict_views,
    score_objects,
    score_predictions,
)
from recon.geometry.cameras import Cameras
from recon.geometry.meshes import icosphere
from recon.geometry.voxels import voxelize_mesh
from recon.inference.refinement import Refinement
from recon.inference.viewpoint_search import cameras_in_directions, find_directions
from recon.metrics import Metric, MetricSuite, Truth, object_seed, voxel_iou
from recon.models import Prediction
from recon.models.directions import direction_grid


class SphereModel(nn.Module):
    """Predicts a sphere whose radius is half of the mean alpha of the image."""

    def __init__(self) -> None:
        super().__init__()
        sphere = icosphere(2)
        self.register_buffer("faces", sphere.faces)
        self.register_buffer("sphere", sphere.vertices)
        self.unused = nn.Parameter(torch.zeros(1))

    def forward(self, image: Tensor) -> Prediction:
        return Prediction(self.sphere * image[:, 3].mean(dim=(1, 2))[:, None, None] / 2)


class Radius(MetricSuite):
    """Measures how far vertices are from the origin, and keeps what it was given."""

    name = "radius"
    metrics = (
        Metric("radius_far", "far", "radius", higher_is_better=False),
        Metric("radius_view", "view", "radius"),
    )
    fields = ("voxels_32", "cameras", "images")

    def __init__(self) -> None:
        self.seen: list[tuple[Truth, Sequence[int], int]] = []

    def statement(self) -> str:
        return "radius"

    def score(
        self, vertices: Tensor, faces: Tensor, truth: Truth, views: Sequence[int], seed: int
    ) -> dict[str, Tensor]:
        self.seen.append((truth, views, seed))
        far = vertices.norm(dim=2).amax(dim=1).double()
        return {"radius_far": far, "radius_view": torch.tensor(views, dtype=torch.float64)}


@pytest.fixture
def data(shapes_file: Path) -> MultiViewDataset:
    return MultiViewDataset(shapes_file, "test")


def test_a_batch_of_objects_gives_what_single_ones_give(data: MultiViewDataset) -> None:
    model, suites = SphereModel(), choose_suites(["softras"], data)
    baselines = {"first": ConstantShape(data.voxels(0))}

    def scored(objects: list[int]) -> list[ObjectResult]:
        predicted = predict_views(model, data, objects, [2, 7])
        return score_predictions(predicted, model.faces, suites, data, baselines)

    rows = scored([0, 3, 4])
    for number, index in enumerate([0, 3, 4]):
        (alone,) = scored([index])
        assert rows[number] == alone
        assert (alone.id, alone.name, alone.synset, alone.views) == (
            data.ids[index],
            data.names[index],
            data.synsets[index],
            (2, 7),
        )
        for view, iou in zip((2, 7), alone.per_view["softras_iou"], strict=True):
            alpha = data.images(index, [view])[0, 3].float() / 255
            voxels = voxelize_mesh((model.sphere * alpha.mean() / 2)[None], model.faces)
            assert iou == pytest.approx(float(voxel_iou(voxels, data.voxels(index)[None])))
        assert alone.scores["model"]["softras_iou"] == sum(alone.per_view["softras_iou"]) / 2
    assert rows[0].scores["first"] == {"softras_iou": 1.0}
    assert 0 < rows[1].scores["first"]["softras_iou"] < 1
    assert set(rows[0].per_view) == {"softras_iou"}  # of the model alone


def test_baselines_see_the_images_and_categories_of_the_model(data: MultiViewDataset) -> None:
    seen: list[tuple[Tensor, Sequence[str]]] = []

    def spy(images: Tensor, synsets: Sequence[str]) -> Tensor:
        seen.append((images, synsets))
        return torch.zeros(len(images), 32, 32, 32, dtype=torch.bool)

    model, suites = SphereModel(), choose_suites(["silhouette", "softras"], data)
    predicted = predict_views(model, data, [1, 4], [2, 7])
    rows = score_predictions(predicted, model.faces, suites, data, {"spy": spy})
    ((images, synsets),) = seen
    assert torch.equal(images, torch.cat([data.images(index, [2, 7]) for index in (1, 4)]))
    assert synsets == [data.synsets[index] for index in (1, 1, 4, 4)]
    assert [row.scores["spy"] for row in rows] == [{"softras_iou": 0.0}] * 2


def test_a_suite_sees_one_object_at_a_time(data: MultiViewDataset) -> None:
    suite, model = Radius(), SphereModel()
    predicted = predict_views(model, data, [1, 5], [4, 0, 9])
    rows = score_predictions(predicted, model.faces, [suite], data, seed=3)
    for index, row, (truth, views, seed) in zip([1, 5], rows, suite.seen, strict=True):
        alpha = data.images(index, [4, 0, 9])[:, 3].float().mean(dim=(1, 2)) / 255
        assert row.per_view["radius_far"] == pytest.approx((alpha / 2).tolist())
        assert row.per_view["radius_view"] == (4.0, 0.0, 9.0)
        assert (list(views), seed) == ([4, 0, 9], object_seed(3, data.ids[index]))
        assert torch.equal(truth.require("voxels"), data.voxels(index))
        assert torch.equal(truth.require("silhouettes"), data.images(index, range(24))[:, 3])
        assert torch.equal(truth.require("cameras"), data.cameras(index, range(24)))
        assert truth.points is None
    assert list(rows[0].scores) == ["model"]


def test_predictions_which_are_no_numbers_have_a_score(data: MultiViewDataset) -> None:
    model = SphereModel()
    model.sphere[3, 1] = torch.nan
    rows = score_objects(model, choose_suites(["softras"], data), data, [0, 1], [0, 1])
    assert all(math.isfinite(value) for row in rows for value in row.per_view["softras_iou"])


def test_suites_are_chosen_by_name(data: MultiViewDataset) -> None:
    softras, silhouette = choose_suites(["softras", "silhouette"], data)
    assert (softras.name, silhouette.name) == ("softras", "silhouette")
    for names, message in (
        ([], r"metrics must be a list of different suites, as \[softras,onet\], got \[\]"),
        ("softras", "must be a list of different suites, .* got 'softras'"),
        (["softras", "softras"], "must be a list of different suites"),
        (["iou"], "unknown metric suite 'iou' in metrics; there are softras, onet"),
        (["onet"], r"shapes\.h5: metric suite onet needs the field pointcloud"),
    ):
        with pytest.raises(ValueError, match=message):
            choose_suites(names, data)


@pytest.mark.parametrize("views", [[], [24], [-1], [0, 0], [0.5], ["0"], 0, "all"])
def test_views_which_are_not_there_are_refused(data: MultiViewDataset, views: Any) -> None:
    with pytest.raises(ValueError, match=r"views must be a list of different ones of 0\.\.23"):
        choose_views(data, views)


def test_all_views_are_the_default(data: MultiViewDataset) -> None:
    assert choose_views(data, None) == list(range(24))
    assert choose_views(data, (3, 1)) == [3, 1]


def test_refined_predictions_are_told_the_camera_of_their_image(data: MultiViewDataset) -> None:
    model, refinement = SphereModel(), Refinement(steps=2)
    plain = predict_views(model, data, [1, 4], [2, 7])
    refined = predict_views(model, data, [1, 4], [2, 7], refinement=refinement)
    rows = torch.cat([data.cameras(index, [2, 7]) for index in (1, 4)])
    masks = plain.images[:, 3].float() / 255
    expected = refinement(plain.prediction.vertices, model.faces, masks, Cameras.from_rows(rows))
    assert torch.equal(refined.prediction.vertices, expected)
    assert (expected - plain.prediction.vertices).abs().max() > 1e-3


class Directed(SphereModel):
    """Predicts the sphere, and for every image the same direction with the same certainty."""

    def __init__(self, number: int, certainty: float) -> None:
        super().__init__()
        self.register_buffer("directions", direction_grid(24, (30.0,)))
        self.number, self.certainty = number, certainty

    def forward(self, image: Tensor) -> Prediction:
        logits = torch.zeros(len(image), 24)
        logits[:, self.number] = self.certainty
        return replace(super().forward(image), direction_logits=logits, directions=self.directions)


def test_cameras_of_a_refinement_are_predicted(data: MultiViewDataset) -> None:
    model, refinement = Directed(20, certainty=60.0), Refinement(steps=2)
    plain = predict_views(model, data, [1, 4], [2, 7])
    predicted = predict_views(
        model, data, [1, 4], [2, 7], refinement=refinement, camera="predicted"
    )
    cameras = cameras_in_directions(model.directions[[20] * 4], 2.732, 30.0)
    masks = plain.images[:, 3].float() / 255
    expected = refinement(plain.prediction.vertices, model.faces, masks, cameras)
    torch.testing.assert_close(predicted.prediction.vertices, expected, atol=1e-5, rtol=0)
    assert (expected - plain.prediction.vertices).abs().max() > 1e-3
    for one in (plain, predicted):
        assert one.directions is not None
        torch.testing.assert_close(one.directions, model.directions[[20] * 4], atol=1e-5, rtol=0)
    with pytest.raises(ValueError, match="need a model with a camera_head"):
        predict_views(SphereModel(), data, [1], [2], refinement=refinement, camera="predicted")


def test_directions_of_a_camera_head_are_scored(data: MultiViewDataset) -> None:
    # The azimuth of view k is -15 k degrees, so number 22 is view 2.
    suites = choose_suites(["softras"], data)
    rows = score_objects(Directed(22, 1.0), suites, data, [0, 1], [2, 3, 14])
    for row in rows:
        assert row.per_view["camera_within_15"] == (1.0, 1.0, 0.0)
        assert row.per_view["camera_error"] == pytest.approx((0.0, 12.98, 120.0), abs=0.01)
        assert row.scores["model"]["camera_within_15"] == pytest.approx(2 / 3)
        assert row.scores["model"]["camera_error"] == pytest.approx(12.98, abs=0.01)
    (without,) = score_objects(SphereModel(), suites, data, [0], [2, 3, 14])
    assert "camera_error" not in without.scores["model"]
    assert without.scores["model"]["softras_iou"] == rows[0].scores["model"]["softras_iou"]


def test_cameras_of_a_refinement_are_found_by_the_outline(data: MultiViewDataset) -> None:
    model, refinement = SphereModel(), Refinement(steps=2)
    plain = predict_views(model, data, [1, 4], [2, 7])
    found = predict_views(model, data, [1, 4], [2, 7], refinement=refinement, camera="found")
    known = Cameras.from_rows(data.cameras(1, range(data.num_views)))
    vertices, alpha = plain.prediction.vertices, plain.images[:, 3]
    cameras = find_directions(vertices, model.faces, alpha, known).cameras
    expected = refinement(vertices, model.faces, alpha.float() / 255, cameras)
    assert torch.equal(found.prediction.vertices, expected)
    assert found.directions is not None
    torch.testing.assert_close(found.directions, cameras.eye() / 2.732, atol=1e-5, rtol=0)
    told = predict_views(model, data, [1, 4], [2, 7], refinement=refinement)
    assert told.directions is None
    assert not torch.equal(found.prediction.vertices, told.prediction.vertices)
