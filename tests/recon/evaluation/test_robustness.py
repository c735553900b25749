"""The table of corruptions of a small model."""

from __future__ import annotations

import csv
import math
from pathlib import Path

import pytest
import torch

from recon.datasets.image_changes import noisy
from recon.datasets.multiview import MultiViewDataset
from recon.evaluation import robustness
from recon.evaluation.assessment import Assessment
from recon.evaluation.corruptions import ORIGINAL, RENDERED, Corruption, corruptions
from recon.evaluation.model_evaluation import EvaluationConfig, ModelEvaluation
from recon.evaluation.result import MODEL, ObjectResult
from recon.evaluation.robustness import (
    CorruptedImages,
    measure_corruptions,
)
from recon.evaluation.validation import category_means, macro_mean
from recon.preparation.prepare import as_images, prepare
from recon.preparation.rendering.objects import ObjectRenderer
from recon.preparation.rendering.viewpoints import StandardViews
from recon.preparation.sources.shapes import ShapesSource
from recon.runs.trained_models import load_trained_model

CONFIG = EvaluationConfig(views=[1, 9], baselines=False)


@pytest.fixture(scope="module")
def objects(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A chair and a lamp with their triangles."""
    path = tmp_path_factory.mktemp("objects") / "objects.h5"
    renderer = ObjectRenderer(viewpoints=StandardViews(), supersample=1, triangles=2048)
    source = ShapesSource(1, categories=["chair", "lamp"], split="test")
    prepare(as_images(source, renderer), path, workers=1)
    return path


def evaluate(checkpoint: Path, data: Path, folder: Path) -> ModelEvaluation:
    trained = load_trained_model(checkpoint)
    return ModelEvaluation(CONFIG, trained, data, folder, torch.device("cpu"), progress=False)


def test_every_corruption_has_a_row_and_the_first_is_the_evaluation(
    tiny_checkpoint: Path, objects: Path, tmp_path: Path
) -> None:
    evaluation = evaluate(tiny_checkpoint, objects, tmp_path)
    table = measure_corruptions(evaluation, progress=False)
    rows = {row.corruption: row for row in table.rows}
    assert list(rows) == [corruption.title for corruption in corruptions()]
    expected = evaluation.run().means[MODEL]["softras_iou"]["mean"].mean
    assert rows[ORIGINAL].value == pytest.approx(expected)
    assert all(0 < row.value < 1 for row in table.rows)
    for row in table.rows:
        assert row.change == row.value - rows[row.reference].value
    assert rows["elevation +15 degrees"].reference == RENDERED
    assert rows["noise 0.1"].reference == ORIGINAL
    changes = [row.change for row in table.rows[2:]]
    assert table.mean_change == pytest.approx(sum(changes) / len(changes))
    again = measure_corruptions(evaluate(tiny_checkpoint, objects, tmp_path), progress=False)
    assert again == table


def test_without_triangles_what_must_be_rendered_is_said_to_be_missing(
    tiny_checkpoint: Path, shapes_file: Path, tmp_path: Path
) -> None:
    table = measure_corruptions(evaluate(tiny_checkpoint, shapes_file, tmp_path), progress=False)
    rows = {row.corruption: row for row in table.rows}
    missing = [RENDERED, "elevation -30 degrees", "distance x 1.6", "resolution 256 px"]
    for title in missing:
        assert math.isnan(rows[title].value)
        assert rows[title].note == "the file keeps no triangles to render anew"
    assert 0 < rows["blur 1 px of 64"].value < 1
    assert not math.isnan(table.mean_change)
    assert ["distance x 1.6", "-", "-", RENDERED, rows["distance x 1.6"].note] in table.table()


def test_images_depend_on_seed_object_and_view_alone(shapes_file: Path) -> None:
    data = MultiViewDataset(shapes_file, "test")
    noise = Corruption("noise", "0.1", image=noisy(0.1))
    images = CorruptedImages(data, [0, 5], seed=1).make(2, noise)
    assert torch.equal(images[1:], CorruptedImages(data, [5], seed=1).make(2, noise))
    assert not torch.equal(images, CorruptedImages(data, [0, 5], seed=2).make(2, noise))
    assert not torch.equal(images[0], images[1])


def test_the_mean_is_over_categories() -> None:
    def row(synset: str, value: float) -> ObjectResult:
        return ObjectResult("", "", synset, (0,), {MODEL: {"iou": value}}, {"iou": (value,)})

    rows = [row("03001627", 0.2), row("03001627", 0.4), row("02958343", 0.9)]
    assert macro_mean(category_means(rows, "iou")) == pytest.approx(0.6)


def test_images_that_are_taken_whole_are_counted(
    tiny_checkpoint: Path, shapes_file: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    def opaque(image: object, generator: object) -> object:
        changed = image.copy()  # type: ignore[attr-defined]
        changed[3] = 255
        return changed

    some = (Corruption(ORIGINAL), Corruption("background", "any", image=opaque))  # type: ignore[arg-type]
    monkeypatch.setattr(robustness, "corruptions", lambda: some)
    table = measure_corruptions(evaluate(tiny_checkpoint, shapes_file, tmp_path), progress=False)
    assert table.rows[1].note == "no mask found in 12 of 12 images"


def test_an_evaluation_writes_the_table_and_the_figure(
    tiny_checkpoint: Path,
    objects: Path,
    tmp_path: Path,
    capsys: pytest.CaptureFixture[str],
) -> None:
    trained = load_trained_model(tiny_checkpoint)
    folder = tmp_path / "out"
    Assessment(CONFIG, corruptions=True, report=True, progress=False).run(trained, folder, objects)
    with open(folder / "corruptions.csv", newline="") as file:
        rows = list(csv.DictReader(file))
    assert len(rows) == len(corruptions()) + 1
    assert rows[-1]["images"] == "mean change"
    text = (folder / "corruptions.txt").read_text()
    assert text.rstrip() in capsys.readouterr().out
    page = (folder / "report.html").read_text()
    for row in rows[:-1]:
        assert row["images"] in page
        assert f">{row['voxel IoU %']}<" in page


def test_nothing_is_written_unless_it_is_asked_for(
    tiny_checkpoint: Path, objects: Path, tmp_path: Path
) -> None:
    Assessment(CONFIG, report=True, progress=False).run(
        load_trained_model(tiny_checkpoint), tmp_path / "out", objects
    )
    assert not (tmp_path / "out" / "corruptions.txt").exists()
    assert "Corrupted images" not in (tmp_path / "out" / "report.html").read_text()
