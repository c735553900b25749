"""Shapes scored by presets: which need what, one path for batches and single objects, keys."""

from __future__ import annotations

import math
from collections.abc import Sequence
from pathlib import Path
from typing import Any

import pytest
import torch
from torch import Tensor, nn

from recon.datasets.multiview import MultiViewDataset
from recon.evaluation.baselines import ConstantShape
from recon.evaluation.scoring import (
    choose_presets,
    result_key,
    result_measures,
    score_shapes,
    true_shape,
)
from recon.evaluation.voxel_scores import MeshPredictor
from recon.geometry.meshes import icosphere
from recon.metrics import PRESETS, Measure, Truth
from recon.metrics.seeds import object_seed
from recon.metrics.softras import SoftRas
from recon.models import Prediction


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


class Radius:
    """A preset which measures how far vertices are from the origin, and what it was given."""

    name = "radius"
    measures = (
        Measure("far", "far x10", 10, higher_is_better=False),
        Measure("radius_view", "view", 100),
    )
    fields = ("voxels_32", "cameras", "images")

    def __init__(self) -> None:
        self.seen: list[tuple[Truth, Sequence[int], int]] = []

    def statement(self) -> str:
        return "radius"

    def require(self, layout: Any) -> None:
        return None

    def score(
        self, vertices: Tensor, faces: Tensor, truth: Truth, views: Sequence[int], seed: int
    ) -> dict[str, Tensor]:
        self.seen.append((truth, views, seed))
        far = vertices.norm(dim=2).amax(dim=1).double()
        return {"far": far, "radius_view": torch.tensor(views, dtype=torch.float64)}


@pytest.fixture
def data(shapes_file: Path) -> MultiViewDataset:
    return MultiViewDataset(shapes_file, "test")


def test_a_batch_of_objects_gives_what_single_ones_give(data: MultiViewDataset) -> None:
    predictor, presets = MeshPredictor(SphereModel()), choose_presets(["softras"], data)
    first = ConstantShape(data.voxels(0))
    rows = score_shapes(predictor, presets, {"first": first}, data, [0, 3, 4], [2, 7])
    for number, index in enumerate([0, 3, 4]):
        (alone,) = score_shapes(predictor, presets, {"first": first}, data, [index], [2, 7])
        assert rows[number] == alone
        assert (alone.id, alone.synset, alone.views) == (
            data.ids[index],
            data.synsets[index],
            (2, 7),
        )
        for view, iou in zip((2, 7), alone.per_view["softras_iou"], strict=True):
            vertices = predictor.vertices(data.images(index, [view]))
            truth = data.voxels(index)[None]
            assert iou == float(SoftRas().ious(vertices, predictor.faces, truth))
        assert alone.scores["model"]["softras_iou"] == sum(alone.per_view["softras_iou"]) / 2
    assert rows[0].scores["first"] == {"softras_iou": 1.0}
    assert 0 < rows[1].scores["first"]["softras_iou"] < 1
    assert set(rows[0].per_view) == {"softras_iou"}  # of the model alone


def test_a_preset_sees_one_object_at_a_time(data: MultiViewDataset) -> None:
    preset = Radius()
    predictor = MeshPredictor(SphereModel())
    rows = score_shapes(predictor, [preset], {}, data, [1, 5], [4, 0, 9], seed=3)
    for index, row, (truth, views, seed) in zip([1, 5], rows, preset.seen, strict=True):
        alpha = data.images(index, [4, 0, 9])[:, 3].float().mean(dim=(1, 2)) / 255
        # As the label says, ten times; a share stays one.
        assert row.per_view["radius_far"] == pytest.approx((10 * alpha / 2).tolist())
        assert row.per_view["radius_view"] == (4.0, 0.0, 9.0)
        assert (list(views), seed) == ([4, 0, 9], object_seed(3, data.ids[index]))
        assert torch.equal(truth.require("voxels"), data.voxels(index))
        assert torch.equal(truth.require("silhouettes"), data.images(index, range(24))[:, 3])
        assert torch.equal(truth.require("cameras"), data.cameras(index, range(24)))
        assert truth.points is None
    assert list(rows[0].scores) == ["model"]


def test_predictions_which_are_no_numbers_are_told_of(
    data: MultiViewDataset, caplog: pytest.LogCaptureFixture
) -> None:
    model = SphereModel()
    presets = choose_presets(["softras"], data)
    score_shapes(MeshPredictor(model), presets, {}, data, [0, 1], [0, 1])
    assert not caplog.messages
    model.sphere[3, 1] = torch.nan
    rows = score_shapes(MeshPredictor(model), presets, {}, data, [0, 1], [0, 1])
    assert caplog.messages == [
        f"object {data.ids[index]}: 2 predictions are not finite" for index in (0, 1)
    ]
    assert all(math.isfinite(value) for row in rows for value in row.per_view["softras_iou"])


def test_measures_of_a_result_have_keys_of_their_own() -> None:
    keys = [m.key for make in PRESETS.values() for m in result_measures(make())]
    assert len(set(keys)) == len(keys) > 10
    assert result_key("onet", "iou") == "onet_iou"
    assert result_key("silhouette_256", "silhouette_iou_256") == "silhouette_iou_256"
    far, view = result_measures(Radius())
    assert (far.label, far.preset, far.higher_is_better, far.percent) == (
        "far x10",
        "radius",
        False,
        False,
    )
    assert (view.key, view.percent) == ("radius_view", True)


def test_presets_are_chosen_by_name(data: MultiViewDataset) -> None:
    softras, silhouette = choose_presets(["softras", "silhouette"], data)
    assert (softras.name, silhouette.name) == ("softras", "silhouette")
    for names, message in (
        ([], r"metrics must be a list of different presets, as \[softras,onet\], got \[\]"),
        ("softras", "must be a list of different presets, .* got 'softras'"),
        (["softras", "softras"], "must be a list of different presets"),
        (["iou"], "unknown preset 'iou' in metrics; there are softras, onet"),
        (["onet"], r"shapes\.h5: preset onet needs the field pointcloud"),
    ):
        with pytest.raises(ValueError, match=message):
            choose_presets(names, data)


def test_a_truth_has_only_what_is_asked_for(data: MultiViewDataset) -> None:
    assert set(vars(true_shape(data, 0, [])).values()) == {None}
    with pytest.raises(ValueError, match="has no field pointcloud"):
        true_shape(data, 0, ["pointcloud"])
