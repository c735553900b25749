"""A whole evaluation of a small model."""

from __future__ import annotations

import json
from pathlib import Path

import pytest

from recon.assessment import Assessment
from recon.checkpoints import seed_everything
from recon.models import MeshDecoder, Reconstructor, SoftRasEncoder

COLUMNS = ["model", "template", "mean shape", "category mean", "retrieval"]


def model() -> Reconstructor:
    seed_everything(0)
    encoder = SoftRasEncoder(channels=(4, 4, 4), hidden=(8,), latent=4)
    return Reconstructor(encoder, MeshDecoder(latent=4, hidden=(8,), subdivisions=2))


def test_the_report_has_all_columns_and_files(
    shapes_file: Path, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    table = Assessment(save_meshes=2).run(model(), shapes_file, tmp_path, {"step": 5})
    assert table.columns == COLUMNS
    # The category's mean of three near equal ellipsoids is nearly right; a sphere is not.
    assert table.macro["category mean"] > 0.8 > table.macro["template"]
    assert table.macro["retrieval"] > table.macro["mean shape"]
    result = json.loads((tmp_path / "result.json").read_text())
    assert (result["step"], result["split"], result["protocol"]) == (5, "test", "softras")
    assert len(result["rows"]["model"][0]["ious"]) == 24
    assert len(list((tmp_path / "meshes").glob("*.obj"))) == 2
    printed = capsys.readouterr().out
    assert table.text() in printed
    assert str(tmp_path / "contact_sheet.png") in printed


def test_a_choice_of_categories_views_and_no_baselines(shapes_file: Path, tmp_path: Path) -> None:
    assessment = Assessment(split="val", categories=["lamp"], views=[1, 2], baselines=False)
    table = assessment.run(model(), shapes_file, tmp_path, {})
    assert (table.columns, table.counts) == (["model"], {"lamp": 1})
    assert "split val, 2 views" in table.title
    assert not (tmp_path / "contact_sheet.png").exists()


def test_bad_choices_are_refused_by_name(shapes_file: Path, tmp_path: Path) -> None:
    with pytest.raises(ValueError, match="unknown category 'cheir'"):
        Assessment(categories=["cheir"]).run(model(), shapes_file, tmp_path, {})
    with pytest.raises(ValueError, match="save_meshes"):
        Assessment(save_meshes=-1)
