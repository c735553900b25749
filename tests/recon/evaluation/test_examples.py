"""Which meshes and images are written, and what is refused before hours of work."""

from __future__ import annotations

from functools import partial
from pathlib import Path

import pytest
from PIL import Image

from recon.datasets.multiview import MultiViewDataset
from recon.evaluation.examples import ExampleFiles
from recon.evaluation.voxel_scores import MeshPredictor
from recon.models import MeshDecoder, PaletteHead, Reconstructor, SoftRasEncoder


def model(texels: int | None = None) -> Reconstructor:
    encoder = SoftRasEncoder(channels=(2, 2, 2), hidden=(4,), latent=4)
    decoder = MeshDecoder(latent=4, hidden=(4,), subdivisions=1)
    if texels is None:
        return Reconstructor(encoder, decoder)
    head = partial(PaletteHead, latent=4, texels=texels, palette=2, modes=4, hidden=(4,))
    return Reconstructor(encoder, decoder, head)


def test_meshes_turntables_and_a_sheet(shapes_file: Path, tmp_path: Path) -> None:
    data = MultiViewDataset(shapes_file, "test")
    paths = ExampleFiles(1).save(MeshPredictor(model(0)), data, tmp_path)
    assert [path.name for path in paths] == ["contact_sheet.png", "airplane_test-airplane-0.obj"]
    with Image.open(next((tmp_path / "meshes").glob("*.gif"))) as film:
        assert film.n_frames == 36


def test_nothing_is_written_of_no_objects(shapes_file: Path, tmp_path: Path) -> None:
    data = MultiViewDataset(shapes_file, "test")
    assert ExampleFiles(0).save(MeshPredictor(model()), data, tmp_path) == []
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
    textured = model(2)
    with pytest.raises(ValueError, match="format must be obj or glb for a model with texels"):
        ExampleFiles(1, "ply").require_room_for_texels(textured)
    ExampleFiles(0, "ply").require_room_for_texels(textured)
    ExampleFiles(1, "glb").require_room_for_texels(textured)
    ExampleFiles(1, "ply").require_room_for_texels(model(0))
