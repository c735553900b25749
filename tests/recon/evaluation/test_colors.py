"""Colours in unseen views: known ones score as they must, and the right images are compared."""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path

import numpy as np
import pytest
import torch
from torch import Tensor, nn

from recon.datasets.categories import find_category
from recon.datasets.multiview import MultiViewDataset
from recon.datasets.storage.hdf5 import Header, Labels, write_dataset
from recon.datasets.storage.layout import Layout, ObjectArrays
from recon.evaluation.baselines import Retrieval
from recon.evaluation.colors import (
    ColorEvaluation,
    input_views,
    render_colors,
    unseen_views,
)
from recon.evaluation.result import ObjectResult
from recon.geometry.cameras import Cameras, shapenet_cameras
from recon.geometry.meshes import icosphere
from recon.geometry.voxels import pack_voxels, voxelize_mesh
from recon.metrics.colors import color_scores
from recon.models import Prediction
from recon.rendering.renderer import SoftRenderer
from renderer_cuda import gather_faces

SIZE, VIEWS = 32, 8
SPHERE = icosphere(3)
SHAPE = SPHERE.vertices * torch.tensor([0.45, 0.3, 0.4])
# Another colour on every side, so that a wrong view is a wrong image.
COLORS = (SPHERE.vertices * 0.45 + 0.5).clamp(0, 1)
CAMERAS = shapenet_cameras(range(0, 24, 3))
# The training object shows dimmer colours, and its views are stored in another order.
ROLL = 3


class Painted(nn.Module):
    """Predicts one shape and its colours, whatever it is shown."""

    def __init__(self, colors: Tensor = COLORS, vertices: Tensor = SHAPE) -> None:
        super().__init__()
        self.color_head = nn.Identity()
        self.register_buffer("faces", SPHERE.faces)
        self.unused = nn.Parameter(torch.zeros(()))
        self.colors, self.shape = colors, vertices

    def forward(self, image: Tensor) -> Prediction:
        count = len(image)
        return Prediction(self.shape.expand(count, -1, -1), self.colors.expand(count, -1, -1))


@pytest.fixture(scope="module")
def path(tmp_path_factory: pytest.TempPathFactory) -> Path:
    path = tmp_path_factory.mktemp("data") / "painted.h5"
    labels = [
        Labels(f"{split}-{name}", name, find_category(name).synset, "", split, "CC0")
        for split, name in (("train", "chair"), ("test", "chair"), ("test", "table"))
    ]
    layout = Layout((SIZE, SIZE), VIEWS, (32,))
    write_dataset(path, Header("painted", "tests", {}, {}, {}), layout, labels, samples(labels))
    return path


def samples(labels: list[Labels]) -> Iterator[ObjectArrays]:
    renderer = SoftRenderer(SIZE, distance="hard", alpha="hard", color="hard", anti_aliasing=4)
    voxels = pack_voxels(voxelize_mesh(SHAPE[None], SPHERE.faces))[0]
    for label in labels:
        train = label.split == "train"
        rows = CAMERAS.rows().roll(ROLL if train else 0, 0)
        colors = gather_faces(COLORS[None] * (0.5 if train else 1.0), SPHERE.faces)
        vertices, textures = SHAPE.expand(VIEWS, -1, -1), colors.expand(VIEWS, -1, -1, -1)
        rgba = renderer(vertices, SPHERE.faces, textures, Cameras.from_rows(rows))
        alpha = rgba[:, 3:]
        rgba = torch.cat((rgba[:, :3] / alpha.clamp(min=1e-3), alpha), dim=1).clamp(0, 1)
        yield {
            "images": (rgba * 255).round().to(torch.uint8).numpy(),
            "cameras": rows.numpy(),
            "voxels_32": np.asarray(voxels),
        }


@pytest.fixture(scope="module")
def data(path: Path) -> MultiViewDataset:
    return MultiViewDataset(path, "test")


@pytest.fixture(scope="module")
def rows(path: Path, data: MultiViewDataset) -> list[ObjectResult]:
    retrieval = Retrieval(MultiViewDataset(path, "train"))
    return ColorEvaluation(inputs=4)(Painted(), data, retrieval=retrieval)


def test_inputs_and_unseen_views_are_evenly_spread() -> None:
    assert input_views(range(24), 4) == [3, 9, 15, 21]
    assert input_views([5, 7], 8) == [5, 7]
    assert input_views(range(5), 1) == [2]
    assert unseen_views(20, 24, 3) == [2, 8, 14]
    assert unseen_views(1, 3, 3) == [2, 0]
    for views in range(1, 9):
        for view in range(views):
            others = unseen_views(view, views, 3)
            assert view not in others
            assert len(others) == len(set(others)) == min(3, views - 1)
    with pytest.raises(ValueError, match="count must be >= 1"):
        input_views([1], 0)


def test_true_colors_have_no_error_and_their_mean_has(
    data: MultiViewDataset, rows: list[ObjectResult]
) -> None:
    assert [row.id for row in rows] == data.ids
    for row in rows:
        assert list(row.scores) == ["model", "mean colour", "retrieval"]
        assert (row.views, row.per_view) == (tuple(range(VIEWS)), {})
        model, mean = row.scores["model"], row.scores["mean colour"]
        assert model["color_l1"] < 0.005  # the rounding of bytes, and the outline
        assert model["color_psnr"] > 35
        assert model["color_ssim"] > 0.995
        assert mean["color_l1"] > 0.1
        assert mean["color_psnr"] < 20
        assert mean["color_ssim"] < model["color_ssim"]


def test_retrieval_shows_the_same_side(data: MultiViewDataset, rows: list[ObjectResult]) -> None:
    """The training object is the same at half the brightness, so its L1 is half the truth."""
    targets = [other for view in (1, 3, 5, 7) for other in unseen_views(view, VIEWS, 3)]
    truth = data.images(0, targets).float() / 255
    half = torch.cat((truth[:, :3] * truth[:, 3:] / 2, truth[:, 3:]), dim=1)
    expected = color_scores(half, truth, data.images(0, targets)[:, 3] >= 128)
    for name, values in expected.items():
        error = 0.02 if name == "color_psnr" else 0.002
        assert rows[0].scores["retrieval"][name] == pytest.approx(float(values.mean()), abs=error)


def test_the_wrong_place_and_the_wrong_side_are_errors(data: MultiViewDataset) -> None:
    evaluation = ColorEvaluation(inputs=2, targets=2)
    for model in (Painted(COLORS.flip(1)), Painted(1 - COLORS), Painted(vertices=SHAPE * 0.5)):
        (row, _) = evaluation(model, data, baselines=False)
        assert row.scores["model"]["color_l1"] > 0.1


def test_each_image_shows_its_mesh_from_its_camera() -> None:
    vertices = torch.stack((SHAPE, SHAPE + torch.tensor([0.1, 0.0, 0.0])))
    colors = torch.stack((torch.full_like(SHAPE, 0.2), torch.full_like(SHAPE, 0.8)))
    rows = CAMERAS.rows()[:3]
    shown = render_colors(
        vertices, SPHERE.faces, colors, torch.tensor([1, 0, 1]), rows, (SIZE, SIZE)
    )
    middle = shown[:, 0, SIZE // 2, SIZE // 2]
    assert middle.tolist() == pytest.approx([0.8, 0.2, 0.8])
    alone = render_colors(
        vertices[1:], SPHERE.faces, colors[1:], torch.tensor([0]), rows[2:], (SIZE, SIZE)
    )
    torch.testing.assert_close(shown[2:], alone)
    texels = colors[:, None, :4].expand(-1, len(SPHERE.faces), -1, -1)
    textured = render_colors(
        vertices, SPHERE.faces, texels, torch.tensor([1, 0, 1]), rows, (SIZE, SIZE)
    )
    torch.testing.assert_close(textured, shown)


def test_what_cannot_be_measured_is_refused(data: MultiViewDataset, tmp_path: Path) -> None:
    with pytest.raises(ValueError, match="inputs and targets must be >= 1, got 0 and 3"):
        ColorEvaluation(inputs=0)
    plain = Painted()
    plain.forward = lambda image: Prediction(SHAPE.expand(len(image), -1, -1))  # type: ignore[method-assign]
    with pytest.raises(ValueError, match="the model predicts no colours"):
        ColorEvaluation()(plain, data)


def test_the_notes_say_how_many_views() -> None:
    first, *more = ColorEvaluation(inputs=8).notes(num_views=5, baselines=True)
    assert "seen from 5 views" in first
    assert "in 3 other views" in first
    assert len(more) == 2
