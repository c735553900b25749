"""A whole evaluation of a small model."""

from __future__ import annotations

import csv
import json
import math
from pathlib import Path

import pytest
from PIL import Image

from recon.assessment import Assessment
from recon.checkpoints import seed_everything
from recon.datasets.multiview import MultiViewDataset
from recon.evaluation import MeshPredictor
from recon.models import MeshDecoder, PaletteHead, Reconstructor, SoftRasEncoder

COLUMNS = ["model", "template", "mean shape", "category mean", "retrieval"]


COLOR_COLUMNS = [
    f"{name} {measure}"
    for measure in ("L1", "PSNR", "SSIM")
    for name in ("model", "mean colour", "retrieval")
]


def model(colored: bool = False, texels: int = 0) -> Reconstructor:
    seed_everything(0)
    encoder = SoftRasEncoder(channels=(4, 4, 4), hidden=(8,), latent=4)
    decoder = MeshDecoder(latent=4, hidden=(8,), subdivisions=2)
    head = PaletteHead(4, 2, texels, palette=2, modes=4, hidden=(4,)) if colored else None
    return Reconstructor(encoder, decoder, head)


def test_the_report_has_all_columns_and_files(
    shapes_file: Path, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    assessment = Assessment(save_meshes=2, turntable=None)
    table = assessment.run(model(), shapes_file, tmp_path, {"step": 5})
    assert table.columns == COLUMNS
    # The category's mean of three near equal ellipsoids is nearly right; a sphere is not.
    assert table.macro["category mean"] > 0.8 > table.macro["template"]
    assert table.macro["retrieval"] > table.macro["mean shape"]
    result = json.loads((tmp_path / "result.json").read_text())
    assert (result["step"], result["split"], result["protocol"]) == (5, "test", "softras")
    assert len(result["rows"]["model"][0]["ious"]) == 24
    assert [path.suffix for path in (tmp_path / "meshes").iterdir()] == [".obj", ".obj"]
    assert "colors" not in result
    assert table.color_columns() == []
    printed = capsys.readouterr().out
    assert table.text() in printed
    assert str(tmp_path / "contact_sheet.png") in printed


def test_a_choice_of_categories_views_and_no_baselines(shapes_file: Path, tmp_path: Path) -> None:
    assessment = Assessment(split="val", categories=["lamp"], views=[1, 2], baselines=False)
    table = assessment.run(model(), shapes_file, tmp_path, {})
    assert (table.columns, table.counts) == (["model"], {"lamp": 1})
    assert "split val, 2 views" in table.title
    assert not (tmp_path / "contact_sheet.png").exists()


def test_a_model_with_colors_is_judged_by_them_too(shapes_file: Path, tmp_path: Path) -> None:
    assessment = Assessment(views=[0, 8, 16], color_inputs=2, color_targets=2, save_meshes=1)
    table = assessment.run(model(colored=True), shapes_file, tmp_path, {})
    assert (table.columns, table.color_columns()) == (COLUMNS, COLOR_COLUMNS)
    with open(tmp_path / "table.csv", newline="") as file:
        rows = {row["category"]: row for row in csv.DictReader(file)}
    assert list(rows["lamp"]) == ["category", "objects", *COLUMNS, *COLOR_COLUMNS]
    assert rows["chair"]["model L1"] == "-"
    result = json.loads((tmp_path / "result.json").read_text())
    assert list(result["colors"]) == ["model", "mean colour", "retrieval"]
    for measure, mean in table.colors["model"].items():
        assert result["colors"]["model"][measure] == pytest.approx(mean)
        assert math.isfinite(mean["mean"])
    assert float(rows["mean"]["model L1"]) == pytest.approx(
        result["colors"]["model"]["color_l1"]["mean"], abs=1e-4
    )
    # The objects have one colour each and no light: a palette takes it, as the mean does.
    first = {name: rows[0]["values"] for name, rows in result["color_rows"].items()}
    assert first["model"] == pytest.approx(first["mean colour"], abs=1e-3)
    assert first["model"]["color_l1"] < 0.4
    assert "each object seen from 2 views" in (tmp_path / "table.txt").read_text()
    with Image.open(next((tmp_path / "meshes").glob("*.gif"))) as film:
        assert film.n_frames == 36


def test_one_view_leaves_colors_out(tmp_path: Path, shapes_file: Path) -> None:
    """Files of single pictures have no view to compare with, and yet a table."""

    class OneView(MultiViewDataset):
        num_views = property(lambda self: 1, lambda self, count: None)  # type: ignore[assignment]

    data = OneView(shapes_file, "test")
    predictor = MeshPredictor(model(colored=True))
    scores, notes = Assessment()._colors(predictor, data, None)
    assert scores == {}
    assert notes == ["colours: not measured, as the objects have no unseen view"]


@pytest.mark.parametrize(
    ("name", "value", "message"),
    [
        ("format", "stl", "format must be obj or ply or glb, got 'stl'"),
        ("turntable", "avi", "turntable must be gif or mp4 or null, got 'avi'"),
        ("color_inputs", 0, "color_inputs and color_targets must be >= 1, got 0 and 3"),
    ],
)
def test_bad_settings_of_colors_are_refused(name: str, value: object, message: str) -> None:
    with pytest.raises(ValueError, match=message):
        Assessment(**{name: value})


def test_a_video_needs_its_package(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("recon.assessment.find_spec", lambda name: None)
    with pytest.raises(ValueError, match="turntable=mp4 needs the package imageio-ffmpeg"):
        Assessment(turntable="mp4")


def test_a_format_without_textures_is_refused_first(shapes_file: Path, tmp_path: Path) -> None:
    assessment = Assessment(save_meshes=1, format="ply")
    with pytest.raises(ValueError, match="format must be obj or glb for a model with texels"):
        assessment.run(model(colored=True, texels=2), shapes_file, tmp_path, {})
    assert not list(tmp_path.iterdir())


def test_bad_choices_are_refused_by_name(shapes_file: Path, tmp_path: Path) -> None:
    with pytest.raises(ValueError, match="unknown category 'cheir'"):
        Assessment(categories=["cheir"]).run(model(), shapes_file, tmp_path, {})
    with pytest.raises(ValueError, match="save_meshes"):
        Assessment(save_meshes=-1)
