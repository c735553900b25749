"""Examples: which are picked, the right object and view on the sheet, files which can be read."""

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
from recon.evaluation.examples import CELL, ExampleFiles, make_example, pick_examples
from recon.evaluation.kept_predictions import KeptPredictions
from recon.formats.meshes import read_mesh
from recon.geometry.meshes import icosphere
from recon.models import MeshDecoder, PaletteHead, Prediction, Reconstructor, SoftRasEncoder
from recon.models.prediction import blank_prediction
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
    picked = [data.ids[index] for index in pick_examples(data, 5)]
    assert picked == [
        f"test-{name}" for name in ("airplane-0", "lamp-0", "table-0", "airplane-1", "lamp-1")
    ]
    assert len(pick_examples(data, 100)) == 6


def cell(sheet: np.ndarray, row: int, column: int) -> np.ndarray:
    top = LINE + row * (CELL + LINE + GAP) + LINE
    left = GAP + column * (CELL + GAP)
    return sheet[top : top + CELL, left : left + CELL]


def test_the_sheet_shows_the_same_object_from_the_same_side(
    data: MultiViewDataset, tmp_path: Path
) -> None:
    paths = ExampleFiles(4, turntable=None).save(KeptPredictions(Ellipsoid(), data), tmp_path)
    sheet = np.asarray(Image.open(paths[0])).astype(float)
    shown = [cell(sheet, 0, column).min(axis=2) < 240 for column in range(9)]
    for prediction, truth in ((1, 0), (1, 5), (2, 6), (3, 7), (4, 8)):
        both = (shown[prediction] & shown[truth]).sum()
        assert both / (shown[prediction] | shown[truth]).sum() > 0.75
    different = (shown[1] & shown[2]).sum() / (shown[1] | shown[2]).sum()
    assert different < 0.75  # the two views are not the same image


def test_the_meshes_are_read_back(data: MultiViewDataset, tmp_path: Path) -> None:
    predictions = KeptPredictions(Ellipsoid(), data)
    (_, path) = ExampleFiles(1, turntable=None).save(predictions, tmp_path)
    assert path == tmp_path / "meshes" / "airplane_test-airplane-0.obj"
    mesh, example = read_mesh(path), make_example(predictions, 0)
    # In the frame of models, where fronts face +X.
    x, y, z = mesh.vertices.unbind(1)
    world = torch.stack((-z, y, -x), dim=1)
    assert torch.allclose(world, example.mesh.vertices, atol=1e-6)
    assert torch.equal(mesh.faces.flip(1), example.mesh.faces)
    assert example.caption.startswith("airplane: airplane 0   IoU ")


def test_a_caption_without_true_voxels_has_no_iou(data: MultiViewDataset) -> None:
    part = data.subset([0])
    part.layout = replace(data.layout, voxel_resolutions=())
    example = make_example(KeptPredictions(Ellipsoid(), part), 0)
    assert example.caption == "airplane: airplane 0"


def test_colored_predictions_are_shown_and_written_in_color(
    data: MultiViewDataset, tmp_path: Path
) -> None:
    torch.manual_seed(0)
    encoder = SoftRasEncoder(channels=(2, 2, 2), hidden=(4,), latent=5)
    decoder = MeshDecoder(5, (4,), 1)
    head = partial(PaletteHead, latent=5, texels=2, palette=2, modes=4, hidden=(4,))
    model = Reconstructor(encoder, decoder, head)
    example = make_example(KeptPredictions(model, data), 0)
    assert model.training
    assert example.colors is not None
    assert example.colors.shape == (80, 4, 3)
    paths = ExampleFiles(1, "glb").save(KeptPredictions(model, data), tmp_path)
    assert [path.name for path in paths[1:]] == [f"{example.stem}.glb"]
    files = {path.name for path in (tmp_path / "meshes").iterdir()}
    assert files == {f"{example.stem}.glb", f"{example.stem}.gif"}
    # The objects of the data have one colour each, and a palette can take no other.
    sheet = np.asarray(Image.open(paths[0])).astype(float)
    truth, prediction = cell(sheet, 0, 0), cell(sheet, 0, 1)
    middle = CELL // 2
    np.testing.assert_allclose(prediction[middle, middle], truth[middle, middle], atol=3)


def model(texels: int | None = None) -> Reconstructor:
    encoder = SoftRasEncoder(channels=(2, 2, 2), hidden=(4,), latent=4)
    decoder = MeshDecoder(latent=4, hidden=(4,), subdivisions=1)
    if texels is None:
        return Reconstructor(encoder, decoder)
    head = partial(PaletteHead, latent=4, texels=texels, palette=2, modes=4, hidden=(4,))
    return Reconstructor(encoder, decoder, head)


def test_meshes_turntables_and_a_sheet(data: MultiViewDataset, tmp_path: Path) -> None:
    paths = ExampleFiles(1).save(KeptPredictions(model(0), data), tmp_path)
    assert [path.name for path in paths] == ["contact_sheet.png", "airplane_test-airplane-0.obj"]
    with Image.open(next((tmp_path / "meshes").glob("*.gif"))) as film:
        assert film.n_frames == 36


def test_nothing_is_written_of_no_objects(data: MultiViewDataset, tmp_path: Path) -> None:
    assert ExampleFiles(0).save(KeptPredictions(model(), data), tmp_path) == []
    assert not list(tmp_path.iterdir())


@pytest.mark.parametrize(
    ("settings", "message"),
    [
        ({"count": -1}, "save_meshes must be >= 0, got -1"),
        ({"format": "stl"}, "format must be obj or ply or glb, got 'stl'"),
        ({"turntable": "avi"}, "turntable must be gif or mp4 or null, got 'avi'"),
    ],
)
def test_bad_settings_are_refused(settings: dict[str, object], message: str) -> None:
    with pytest.raises(ValueError, match=message):
        ExampleFiles(**settings)  # type: ignore[arg-type]


def test_a_video_needs_its_package(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("recon.evaluation.examples.find_spec", lambda name: None)
    with pytest.raises(ValueError, match="turntable=mp4 needs the package imageio-ffmpeg"):
        ExampleFiles(turntable="mp4")


def test_texels_need_a_format_which_has_them() -> None:
    textured = blank_prediction(model(2), (64, 64))
    with pytest.raises(ValueError, match="format must be obj or glb for a model with texels"):
        ExampleFiles(1, "ply").require_room_for_texels(textured)
    ExampleFiles(0, "ply").require_room_for_texels(textured)
    ExampleFiles(1, "glb").require_room_for_texels(textured)
    ExampleFiles(1, "ply").require_room_for_texels(blank_prediction(model(0), (64, 64)))
    ExampleFiles(1, "ply").require_room_for_texels(blank_prediction(model(), (64, 64)))
