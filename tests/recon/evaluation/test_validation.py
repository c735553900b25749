"""Validation of a training run: the values of an evaluation, and the order of its means."""

from __future__ import annotations

import shutil
from pathlib import Path

import h5py
import pytest
import torch
from torch import Tensor, nn

from recon.datasets.multiview import MultiViewDataset
from recon.evaluation.result import ObjectResult
from recon.evaluation.scoring import choose_suites, score_objects
from recon.evaluation.validation import VoxelValidation, category_means
from recon.geometry.meshes import icosphere
from recon.models import Prediction
from recon.models.directions import direction_grid

CHAIR, TABLE = "03001627", "04379243"


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


def row(synset: str, *ious: float) -> ObjectResult:
    mean = sum(ious) / len(ious)
    views = tuple(range(len(ious)))
    return ObjectResult("x", "x", synset, views, {"model": {"iou": mean}}, {"iou": ious})


def test_means_are_per_object_then_per_category() -> None:
    rows = [row(CHAIR, 0.2, 0.4), row(CHAIR, 0.6, 0.8), row(CHAIR, 0.5, 0.5), row(TABLE, 1.0, 0.8)]
    assert category_means(rows, "iou") == pytest.approx({"chair": 0.5, "table": 0.9})


def test_it_gives_the_macro_mean_and_each_category(shapes_file: Path) -> None:
    data, model = MultiViewDataset(shapes_file, "val"), SphereModel()
    values = VoxelValidation(views=[0, 12])(model, data)
    names = {"airplane", "table", "lamp"}
    assert values.keys() == {"iou"} | {f"iou_{name}" for name in names}
    assert values["iou"] == pytest.approx(sum(values[f"iou_{name}"] for name in names) / 3)
    # The same as an evaluation, whatever the size of the batches.
    suites = choose_suites(["softras"], data)
    rows = score_objects(model, suites, data, range(len(data)), [0, 12])
    expected = category_means(rows, "softras_iou")
    for size in (1, 3, 1000):
        values = VoxelValidation(views=[0, 12], batch_size=size)(model, data)
        assert {name: values[f"iou_{name}"] for name in names} == expected


def test_directions_of_a_camera_head_are_validated(shapes_file: Path) -> None:
    class Directed(SphereModel):
        """Predicts for every image the direction of view 0."""

        def forward(self, image: Tensor) -> Prediction:
            logits = torch.tensor([[1.0, 0.0]]).expand(len(image), -1)
            directions = direction_grid(2, (30.0,))
            vertices = super().forward(image).vertices
            return Prediction(vertices, None, logits, directions)

    data = MultiViewDataset(shapes_file, "val")
    values = VoxelValidation(views=[0, 1, 12, 13])(Directed(), data)
    assert values["camera_within_15"] == pytest.approx(0.5)
    # The median of 0, 13, 119 and 120 degrees.
    assert values["camera_error"] == pytest.approx((12.98 + 118.33) / 2, abs=0.2)
    plain = VoxelValidation(views=[0, 1, 12, 13])(SphereModel(), data)
    assert values["iou"] == plain["iou"]
    assert not [name for name in plain if name.startswith("camera")]


def test_what_cannot_be_validated_is_refused(shapes_file: Path) -> None:
    data = MultiViewDataset(shapes_file, "val")
    for views in ([], [24], [-1], 0):
        with pytest.raises(ValueError, match=r"views must be a list of different ones of 0\.\.23"):
            VoxelValidation(views=views)(SphereModel(), data)  # type: ignore[arg-type]


def test_without_voxels_silhouettes_are_compared(shapes_file: Path, tmp_path: Path) -> None:
    copy = Path(shutil.copy(shapes_file, tmp_path / "bare.h5"))
    with h5py.File(copy, "r+") as file:
        for name in [name for name in file if name.startswith("voxels_")]:
            del file[name]
    data, model = MultiViewDataset(copy, "val"), SphereModel()
    (suite,) = choose_suites(["softras"], data)
    assert suite.name == "silhouette"
    values = VoxelValidation(views=[0, 12])(model, data)
    rows = score_objects(model, [suite], data, range(len(data)), [0, 12])
    means = category_means(rows, "silhouette_iou_64")
    assert values["iou"] == pytest.approx(sum(means.values()) / len(means))
    assert 0 < values["iou"] < 1
