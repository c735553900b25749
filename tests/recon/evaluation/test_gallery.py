"""The contact sheet and the mesh files: the right object, the right view, readable again."""

from __future__ import annotations

from dataclasses import replace
from functools import partial
from pathlib import Path

import numpy as np
import pytest
import torch
from PIL import Image
from torch import Tensor, nn

from recon.datasets.multiview import MultiViewDataset
from recon.evaluation.gallery import CELL, make_examples, pick_objects, save_examples
from recon.evaluation.voxel_scores import MeshPredictor
from recon.formats.meshes import read_mesh
from recon.geometry.meshes import icosphere
from recon.models import MeshDecoder, PaletteHead, Prediction, Reconstructor, SoftRasEncoder
from recon.visualization.contact_sheet import GAP, LINE


class Ellipsoid(nn.Module):
    """Predicts the mean shape of the airplanes of the generated data, whatever it is shown."""

    def __init__(self) -> None:
        super().__init__()
        sphere = icosphere(2)
        self.register_buffer("faces", sphere.faces)
        self.register_buffer("shape", sphere.vertices * torch.tensor([0.44, 0.14, 0.27]))
        self.unused = nn.Parameter(torch.zeros(()))

    def forward(self, image: Tensor) -> Prediction:
        return Prediction(self.shape.expand(len(image), -1, -1))


@pytest.fixture(scope="module")
def data(shapes_file: Path) -> MultiViewDataset:
    return MultiViewDataset(shapes_file, "test")


def test_objects_are_picked_in_turn_from_all_categories(data: MultiViewDataset) -> None:
    picked = [data.ids[index] for index in pick_objects(data, 5)]
    assert picked == [
        f"test-{name}" for name in ("airplane-0", "lamp-0", "table-0", "airplane-1", "lamp-1")
    ]
    assert len(pick_objects(data, 100)) == 6


def cell(sheet: np.ndarray, row: int, column: int) -> np.ndarray:
    top = LINE + row * (CELL + LINE + GAP) + LINE
    left = GAP + column * (CELL + GAP)
    return sheet[top : top + CELL, left : left + CELL]


def test_the_sheet_shows_the_same_object_from_the_same_side(
    data: MultiViewDataset, tmp_path: Path
) -> None:
    examples = make_examples(MeshPredictor(Ellipsoid()), data, [0, 1])
    paths = save_examples(tmp_path, examples)
    sheet = np.asarray(Image.open(paths[0])).astype(float)
    shown = [cell(sheet, 0, column).min(axis=2) < 240 for column in range(9)]
    for prediction, truth in ((1, 0), (1, 5), (2, 6), (3, 7), (4, 8)):
        both = (shown[prediction] & shown[truth]).sum()
        assert both / (shown[prediction] | shown[truth]).sum() > 0.75
    different = (shown[1] & shown[2]).sum() / (shown[1] | shown[2]).sum()
    assert different < 0.75  # the two views are not the same image


def test_the_meshes_are_read_back(data: MultiViewDataset, tmp_path: Path) -> None:
    examples = make_examples(MeshPredictor(Ellipsoid()), data, [0])
    (_, path) = save_examples(tmp_path, examples)
    assert path == tmp_path / "meshes" / "airplane_test-airplane-0.obj"
    mesh = read_mesh(path)
    # In the frame of models, where fronts face +X.
    x, y, z = mesh.vertices.unbind(1)
    world = torch.stack((-z, y, -x), dim=1)
    assert torch.allclose(world, examples[0].mesh.vertices, atol=1e-6)
    assert torch.equal(mesh.faces.flip(1), examples[0].mesh.faces)
    assert examples[0].caption.startswith("airplane: airplane 0   IoU ")


def test_a_caption_without_true_voxels_has_no_iou(data: MultiViewDataset) -> None:
    part = data.subset([0])
    part.layout = replace(data.layout, voxel_resolutions=())
    (example,) = make_examples(MeshPredictor(Ellipsoid()), part, [0])
    assert example.caption == "airplane: airplane 0"


def test_colored_predictions_are_shown_and_written_in_color(
    data: MultiViewDataset, tmp_path: Path
) -> None:
    torch.manual_seed(0)
    encoder = SoftRasEncoder(channels=(2, 2, 2), hidden=(4,), latent=5)
    decoder = MeshDecoder(5, (4,), 1)
    head = partial(PaletteHead, latent=5, texels=2, palette=2, modes=4, hidden=(4,))
    model = Reconstructor(encoder, decoder, head)
    (example,) = make_examples(MeshPredictor(model), data, [1])
    assert model.training
    assert example.colors is not None
    assert example.colors.shape == (80, 4, 3)
    paths = save_examples(tmp_path, [example], ".glb", turntable=".gif")
    assert [path.name for path in paths[1:]] == [f"{example.stem}.glb"]
    files = {path.name for path in (tmp_path / "meshes").iterdir()}
    assert files == {f"{example.stem}.glb", f"{example.stem}.gif"}
    # The objects of the data have one colour each, and a palette can take no other.
    sheet = np.asarray(Image.open(paths[0])).astype(float)
    truth, prediction = cell(sheet, 0, 0), cell(sheet, 0, 1)
    middle = CELL // 2
    np.testing.assert_allclose(prediction[middle, middle], truth[middle, middle], atol=3)
