"""A whole evaluation of a small model: what it writes, prints, compares and refuses."""

from __future__ import annotations

import csv
import logging
from pathlib import Path
from typing import Any

import pytest

from recon.evaluation.assessment import Assessment, log_file
from recon.evaluation.examples import ExampleFiles
from recon.evaluation.model_evaluation import EvaluationConfig
from recon.evaluation.result import EvaluationResult
from recon.models import MeshDecoder, PaletteHead, SoftRasEncoder
from recon.runs.checkpoints import save_checkpoint, seed_everything
from recon.runs.directory import read_json
from recon.runs.trained_models import TrainedModel, build_model, load_trained_model

QUICK = EvaluationConfig(views=[0, 12], baselines=False)


def checkpoint(folder: Path, seed: int = 0, texels: int | None = None) -> Path:
    """Writes a small model, named after its seed."""
    seed_everything(seed)
    parts: dict[str, tuple[type, dict[str, Any]]] = {
        "encoder": (SoftRasEncoder, {"channels": [4, 4, 4], "hidden": [8], "latent": 4}),
        "decoder": (MeshDecoder, {"latent": 4, "hidden": [8], "subdivisions": 2}),
    }
    if texels is not None:
        sizes = {"_partial_": True, "latent": 4, "texels": texels}
        parts["color_head"] = (PaletteHead, {**sizes, "palette": 2, "modes": 4, "hidden": [4]})
    built = {n: {"_target_": f"recon.models.{k.__name__}", **s} for n, (k, s) in parts.items()}
    config = {"model": {"_target_": "recon.models.Reconstructor", **built}}
    model = build_model({"config": config})
    path = folder / f"model-{seed}.pt"
    content = {"model": model.state_dict(), "optimizer": {}, "step": 5, "config": config}
    save_checkpoint(path, content)
    return path


@pytest.fixture
def trained(tmp_path: Path) -> TrainedModel:
    return load_trained_model(checkpoint(tmp_path))


def test_tables_and_images_are_written_and_printed(
    trained: TrainedModel,
    shapes_file: Path,
    tmp_path: Path,
    capsys: pytest.CaptureFixture[str],
) -> None:
    folder = tmp_path / "out"
    assessment = Assessment(examples=ExampleFiles(2, turntable=None))
    result = assessment.run(trained, folder, shapes_file)
    assert result.predictors == ("model", "template", "mean shape", "category mean", "retrieval")
    assert len(result.objects[0].per_view["softras_iou"]) == 24
    assert [path.suffix for path in (folder / "meshes").iterdir()] == [".obj", ".obj"]
    printed = capsys.readouterr().out
    last = printed.rstrip().splitlines()[-1]
    mean = result.means["model"]["softras_iou"]["mean"].mean
    assert last.startswith(f"voxel IoU %, mean over 3 categories: {100 * mean:.2f} [")
    assert "retrieval" in last
    assert f"tables: {folder / 'table.txt'}" in printed
    assert len(printed.splitlines()) < 20  # the long tables are in the file
    assert "retrieval" in (folder / "table.txt").read_text()
    assert str(folder / "contact_sheet.png") in printed
    stored = EvaluationResult.read(folder / "result.json")
    assert (stored.means, stored.objects) == (result.means, result.objects)
    with open(folder / "objects.csv", newline="") as file:
        rows = list(csv.DictReader(file))
    assert {row["evaluation"] for row in rows} == {result.about["evaluation"][:16]}
    for name in ("comparison.txt", "reference.txt", "report.html"):  # which nobody asked for
        assert not (folder / name).exists()


def test_two_checkpoints_are_compared_and_a_file_does_as_well(
    trained: TrainedModel, shapes_file: Path, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    other = checkpoint(tmp_path, seed=1)
    folders = {name: tmp_path / name for name in ("pair", "alone", "folder", "file")}
    Assessment(QUICK, against=other).run(trained, folders["pair"], shapes_file)
    pair = read_json(folders["pair"] / "comparison.json")
    printed = capsys.readouterr().out
    assert f"this:  {trained.path}\nother: {other}" in printed
    assert str(folders["pair"] / "comparison.txt") in printed
    assert "softras, voxel IoU % (higher" in (folders["pair"] / "comparison.txt").read_text()
    assert (pair["this"], pair["other"]) == (str(trained.path), str(other))
    mean = pair["rows"]["softras_iou"]["mean"]
    assert mean["objects"] == mean["wins"] + mean["ties"] + mean["losses"] == 6
    assert mean["difference"]["low"] <= mean["difference"]["mean"] <= mean["difference"]["high"]
    alone = Assessment(QUICK).run(load_trained_model(other), folders["alone"], shapes_file)
    compared = EvaluationResult.read(folders["pair"] / "against" / "result.json")
    assert (compared.objects, compared.means) == (alone.objects, alone.means)
    for name, against in (("folder", folders["alone"]), ("file", folders["alone"] / "result.json")):
        Assessment(QUICK, against=against).run(trained, folders[name], shapes_file)
        assert read_json(folders[name] / "comparison.json")["rows"] == pair["rows"]
    table = list(csv.DictReader((folders["file"] / "comparison.csv").read_text().splitlines()))
    assert float(table[-1]["difference"]) == pytest.approx(
        100 * mean["difference"]["mean"], abs=1e-4
    )


def test_a_model_is_no_better_than_itself(
    trained: TrainedModel, shapes_file: Path, tmp_path: Path
) -> None:
    Assessment(QUICK, against=trained.path).run(trained, tmp_path / "out", shapes_file)
    rows = read_json(tmp_path / "out" / "comparison.json")["rows"]["softras_iou"]
    assert all(row["ties"] == row["objects"] for row in rows.values())


def test_what_to_compare_with_is_read_first(
    trained: TrainedModel, shapes_file: Path, tmp_path: Path
) -> None:
    (tmp_path / "old.json").write_text('{"iou": {}}')
    for against, message in (
        ("old.json", "no result of an evaluation of version 2"),
        ("none.pt", "no such file"),
        (".", "result.json"),
    ):
        with pytest.raises((ValueError, OSError), match=message):
            Assessment(QUICK, against=tmp_path / against).run(trained, tmp_path / "o", shapes_file)
    assert not (tmp_path / "o").exists()


def test_what_cannot_be_compared_is_refused_before_it_is_evaluated(
    trained: TrainedModel, shapes_file: Path, tmp_path: Path
) -> None:
    Assessment(QUICK).run(trained, tmp_path / "a", shapes_file)
    silhouettes = EvaluationConfig(["silhouette"], views=[0, 12], baselines=False)
    for settings, message in (
        (EvaluationConfig(views=[0, 6], baselines=False), r"views \[0, 6\] in .*\[0, 12\] in"),
        (EvaluationConfig(split="val", baselines=False), "have no object in common"),
        (silhouettes, "no metric of the same protocol in common: silhouette and softras"),
    ):
        assessment = Assessment(settings, against=tmp_path / "a")
        with pytest.raises(ValueError, match=message):
            assessment.run(trained, tmp_path / "b", shapes_file)
        with pytest.raises(ValueError, match="reference needs the metric softras_iou"):
            Assessment(silhouettes, reference="vpl").run(trained, tmp_path / "b", shapes_file)
        assert not (tmp_path / "b").exists()


def test_references_are_a_table_of_their_own(
    trained: TrainedModel, shapes_file: Path, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    Assessment(QUICK, reference="softras").run(trained, tmp_path / "out", shapes_file)
    table, _ = (tmp_path / "out" / "reference.txt").read_text().split("\n\n")
    assert table in capsys.readouterr().out
    assert "SoftRas full" in (tmp_path / "out" / "reference.csv").read_text()
    for name in ("table.txt", "table.csv", "objects.csv", "result.json"):
        assert "SoftRas full" not in (tmp_path / "out" / name).read_text()
    with pytest.raises(ValueError, match="reference must be among softras, vpl"):
        Assessment(reference="nmr")


def test_a_report_is_written_of_the_result(
    trained: TrainedModel, shapes_file: Path, tmp_path: Path
) -> None:
    result = Assessment(QUICK, report=True).run(trained, tmp_path / "out", shapes_file)
    page = (tmp_path / "out" / "report.html").read_text()
    assert page.lstrip().lower().startswith("<!doctype html>")
    assert result.objects[0].name in page


def test_the_data_of_the_training_are_the_default(shapes_file: Path, tmp_path: Path) -> None:
    trained = load_trained_model(checkpoint(tmp_path))
    trained.checkpoint["config"]["data"] = {"path": str(shapes_file)}
    result = Assessment(QUICK).run(trained, tmp_path / "out")
    assert result.about["data"] == [str(shapes_file)]


def test_a_format_without_textures_is_refused_first(shapes_file: Path, tmp_path: Path) -> None:
    trained = load_trained_model(checkpoint(tmp_path, texels=2))
    assessment = Assessment(examples=ExampleFiles(1, "ply"))
    with pytest.raises(ValueError, match="format must be obj or glb for a model with texels"):
        assessment.run(trained, tmp_path / "out", shapes_file)
    assert not (tmp_path / "out").exists()


def test_the_folder_of_a_run_keeps_its_result(
    trained: TrainedModel, shapes_file: Path, tmp_path: Path
) -> None:
    run = tmp_path / "run"
    run.mkdir()
    (run / "result.json").write_text("{}")
    (run / "settings.json").write_text("{}")
    with pytest.raises(ValueError, match=r"run is the folder of a training run, whose result"):
        Assessment(QUICK).run(trained, run, shapes_file)
    assert (run / "result.json").read_text() == "{}"


def test_bad_choices_are_refused_by_name(
    trained: TrainedModel, shapes_file: Path, tmp_path: Path
) -> None:
    for settings, message in (
        (EvaluationConfig(categories=["cheir"]), "unknown category 'cheir'"),
        (EvaluationConfig(views=[24]), r"views must be a list of different ones of 0\.\.23"),
        (EvaluationConfig(["onet"]), "metric suite onet needs the field pointcloud"),
        (EvaluationConfig(split="tset"), "no object of split 'tset'"),
    ):
        with pytest.raises(ValueError, match=message):
            Assessment(settings).run(trained, tmp_path / "out", shapes_file)


def test_a_log_is_written_when_there_is_something_to_say(tmp_path: Path) -> None:
    path = tmp_path / "eval.log"
    with log_file(path):
        pass
    assert not path.exists()
    for number in range(2):
        with log_file(path):
            logging.getLogger("recon.evaluation.rows").warning("row %d", number)
    logging.getLogger("recon.evaluation.rows").warning("outside")
    lines = path.read_text().splitlines()
    assert [line.partition("[WARNING] - ")[2] for line in lines] == ["row 0", "row 1"]
    assert "[recon.evaluation.rows]" in lines[0]
