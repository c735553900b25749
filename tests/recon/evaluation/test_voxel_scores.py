"""Scoring: the protocol's order of means, the same images for all, and its placement."""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path

import pytest
import torch
from torch import Tensor, nn

from recon.datasets.multiview import MultiViewDataset
from recon.evaluation.baselines import ConstantShape
from recon.evaluation.voxel_scores import (
    MeshPredictor,
    ObjectScore,
    VoxelValidation,
    category_means,
    count_objects,
    evaluate,
    macro_mean,
)
from recon.geometry.meshes import icosphere
from recon.geometry.voxels import voxelize_mesh
from recon.metrics import voxel_iou
from recon.models import Prediction

CHAIR, TABLE, LAMP = "03001627", "04379243", "03636649"


class SphereModel(nn.Module):
    """Predicts a sphere whose radius is half of the mean alpha of the image."""

    def __init__(self) -> None:
        super().__init__()
        sphere = icosphere(2)
        self.register_buffer("faces", sphere.faces)
        self.register_buffer("sphere", sphere.vertices)
        self.norm = nn.BatchNorm2d(4)  # feeding it in evaluation would change it
        self.seen: list[Tensor] = []

    def forward(self, image: Tensor) -> Prediction:
        self.norm(image)
        self.seen.append(image)
        return Prediction(self.sphere * image[:, 3].mean(dim=(1, 2))[:, None, None] / 2)


def score(synset: str, *ious: float, name: str = "x") -> ObjectScore:
    return ObjectScore(name, name, synset, tuple(range(len(ious))), ious)


def test_means_are_per_object_then_per_category_then_over_categories() -> None:
    scores = [score(CHAIR, 0.2, 0.4), score(CHAIR, 0.6, 0.8), score(CHAIR, 0.5, 0.5)]
    scores += [score(TABLE, 1.0, 0.8)]
    assert category_means(scores) == pytest.approx({"chair": 0.5, "table": 0.9})
    assert macro_mean(scores) == pytest.approx(0.7)  # not the mean over objects, 0.6
    assert count_objects(scores) == {"chair": 3, "table": 1}
    with pytest.raises(ValueError, match="no objects"):
        macro_mean([])


def test_every_view_of_every_object_is_scored_once(shapes_file: Path) -> None:
    data = MultiViewDataset(shapes_file, "test")
    shown: list[Tensor] = []

    def spy(images: Tensor, synsets: Sequence[str]) -> Tensor:
        assert len(synsets) == len(images)
        shown.append(images)
        return torch.zeros(len(images), 32, 32, 32, dtype=torch.bool)

    scores = evaluate({"spy": spy}, data, batch_size=50)["spy"]
    assert [score.id for score in scores] == data.ids
    assert {score.views for score in scores} == {tuple(range(24))}
    expected = [data.images(index, range(24)) for index in range(len(data))]
    assert torch.equal(torch.cat(shown), torch.cat(expected))


def test_a_score_is_the_iou_of_that_image(shapes_file: Path) -> None:
    data, model = MultiViewDataset(shapes_file, "test"), SphereModel()
    (scores,) = evaluate({"model": MeshPredictor(model)}, data, [2, 7], batch_size=3).values()
    for index, row in enumerate(scores):
        for view, iou in zip((2, 7), row.ious, strict=True):
            alpha = data.images(index, [view])[0, 3].float() / 255
            voxels = voxelize_mesh((model.sphere * alpha.mean() / 2)[None], model.faces)
            assert iou == pytest.approx(float(voxel_iou(voxels, data.voxels(index)[None])))


def test_the_truth_scores_one_and_the_batch_size_changes_nothing(shapes_file: Path) -> None:
    data = MultiViewDataset(shapes_file, "test")
    predictors = {"first": ConstantShape(data.voxels(0)), "none": ConstantShape(~data.voxels(0))}
    small = evaluate(predictors, data, [0, 1], batch_size=1)
    assert small == evaluate(predictors, data, [0, 1], batch_size=1000)
    assert small["first"][0].iou == 1.0
    assert small["none"][0].iou == 0.0
    assert 0.0 < small["first"][1].iou < 1.0


def test_prediction_neither_feeds_batch_norm_nor_leaves_the_mode_changed() -> None:
    model = SphereModel()
    before = {name: value.clone() for name, value in model.state_dict().items()}
    images = torch.randint(0, 256, (3, 4, 8, 8), dtype=torch.uint8)
    MeshPredictor(model)(images, [CHAIR] * 3)
    assert all(torch.equal(before[name], value) for name, value in model.state_dict().items())
    assert model.training
    assert torch.equal(model.seen[0], images.float() / 255)


def test_voxels_are_placed_as_the_protocol_says() -> None:
    """A box of half side 10/31 fills the voxels whose centres, (i - 15.5) / 31, lie inside it."""
    corners = torch.cartesian_prod(*[torch.tensor([-10.0, 10.0]) / 31] * 3) + 1e-4
    sides = [(0, 1, 3, 2), (4, 6, 7, 5), (0, 4, 5, 1), (2, 3, 7, 6), (0, 2, 6, 4), (1, 5, 7, 3)]
    faces = torch.tensor([half for a, b, c, d in sides for half in ((a, b, c), (a, c, d))])
    model = SphereModel()
    model.faces = faces
    (voxels,) = MeshPredictor(model).voxelize(corners[None])
    occupied = voxels.any(2).any(1).nonzero().flatten()
    centre = (occupied.min() + occupied.max()) / 2
    assert abs(float(centre) - 15.5) <= 0.5
    assert 20 <= len(occupied) <= 22


def test_validation_gives_the_macro_mean_and_each_category(shapes_file: Path) -> None:
    data = MultiViewDataset(shapes_file, "val")
    figures = VoxelValidation(views=[0, 12])(SphereModel(), data)
    names = {"airplane", "table", "lamp"}
    assert figures.keys() == {"iou"} | {f"iou_{name}" for name in names}
    assert figures["iou"] == pytest.approx(sum(figures[f"iou_{name}"] for name in names) / 3)


@pytest.mark.parametrize("views", [[], [24], [-1]])
def test_views_which_are_not_there_are_refused(shapes_file: Path, views: list[int]) -> None:
    data = MultiViewDataset(shapes_file, "val")
    with pytest.raises(ValueError, match=r"views must be in 0\.\.23"):
        evaluate({}, data, views)
