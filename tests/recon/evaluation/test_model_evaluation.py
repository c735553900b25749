"""One evaluation: resumed to the same figures, and never mixed with another."""

from __future__ import annotations

import json
import math
import signal
from collections.abc import Sequence
from dataclasses import replace
from functools import partial
from pathlib import Path
from typing import Any

import pytest
import torch
from torch import Tensor, nn

from recon.datasets.multiview import MultiViewDataset
from recon.evaluation import model_evaluation
from recon.evaluation.model_evaluation import (
    EvaluationConfig,
    ModelEvaluation,
    require_finite,
)
from recon.evaluation.result import EvaluationResult, ObjectResult
from recon.evaluation.scoring import ViewPredictions
from recon.models import (
    DirectionHead,
    MeshDecoder,
    PaletteHead,
    Prediction,
    Reconstructor,
    SoftRasEncoder,
)
from recon.runs.checkpoints import save_checkpoint, seed_everything
from recon.runs.trained_models import TrainedModel
from recon.timing import StepTimer

CPU = torch.device("cpu")
QUICK = EvaluationConfig(views=[0, 12], baselines=False, batch_size=4)


def trained(
    folder: Path, seed: int = 0, colored: bool = False, directed: bool = False
) -> TrainedModel:
    seed_everything(seed)
    encoder = SoftRasEncoder(channels=(4, 4, 4), hidden=(8,), latent=4)
    decoder = MeshDecoder(latent=4, hidden=(8,), subdivisions=2)
    head = partial(PaletteHead, latent=4, palette=2, modes=4, hidden=(4,)) if colored else None
    camera = DirectionHead(4, channels=(4,), features=4, hidden=(4,)) if directed else None
    model = Reconstructor(encoder, decoder, head, camera_head=camera)
    content = {"model": model.state_dict(), "optimizer": {}, "step": 5, "config": {}}
    path = folder / f"model-{seed}.pt"
    save_checkpoint(path, content)
    return TrainedModel(model.eval(), content, path)


def evaluation(
    data: Path, folder: Path, settings: EvaluationConfig = QUICK, **of_model: Any
) -> ModelEvaluation:
    folder.mkdir(exist_ok=True)
    return ModelEvaluation(settings, trained(folder, **of_model), data, folder, CPU, False)


def test_the_result_says_what_and_where_from(shapes_file: Path, tmp_path: Path) -> None:
    result = evaluation(shapes_file, tmp_path, EvaluationConfig(views=[0, 12])).run()
    assert result.predictors == ("model", "template", "mean shape", "category mean", "retrieval")
    macro = {name: table["softras_iou"]["mean"].mean for name, table in result.means.items()}
    # The category's mean of three near equal ellipsoids is nearly right; a sphere is not.
    assert macro["category mean"] > 0.8 > macro["template"]
    assert [row.id for row in result.objects] == MultiViewDataset(shapes_file, "test").ids
    about = result.about
    assert (about["step"], about["data"]) == (5, [str(shapes_file)])
    assert about["settings"]["views"] == [0, 12]
    for key in ("checkpoint_fingerprint", "objects_fingerprint", "code_fingerprint", "evaluation"):
        assert len(about[key].rpartition(":")[2]) == 64
    assert about["data_fingerprints"][0].startswith("sha256:")
    # The template of a model need not be a sphere: the text names what every model has.
    (note,) = [one for one in result.notes if one.startswith("template: ")]
    assert "template_vertices of the model" in note
    assert "sphere" not in note
    assert list(result.protocols) == ["softras"]


def test_refined_predictions_are_scored_and_noted(shapes_file: Path, tmp_path: Path) -> None:
    plain = evaluation(shapes_file, tmp_path).run()
    for changes in ({"refine": 2}, {"refine": 3, "refine_camera": "found"}):
        made = evaluation(shapes_file, tmp_path, replace(QUICK, **changes))
        result = made.run()
        assert any(note.startswith(f"refine: {changes['refine']}") for note in result.notes)
        assert result.about["evaluation"] != plain.about["evaluation"]
        assert result.objects != plain.objects
        # What is shown is what was scored, also when it was not kept.
        expected = made._shape_rows([0, 1])
        assert expected == list(result.objects[:2])
        shown = made.predictions.get(0, 12)
        assert shown.vertices.shape == (1, 162, 3)
        assert torch.equal(shown.vertices, made.predictions.get(0, 12).vertices)
    with pytest.raises(ValueError, match="refine must be >= 0, got -1"):
        replace(QUICK, refine=-1)
    with pytest.raises(ValueError, match="must be known, found or predicted, got 'guessed'"):
        replace(QUICK, refine_camera="guessed")
    predicted = replace(QUICK, refine=2, refine_camera="predicted")
    with pytest.raises(ValueError, match=r"needs a model with a camera_head, and .*pt has none"):
        evaluation(shapes_file, tmp_path, predicted)


def test_directions_are_scored_where_images_tell_them(shapes_file: Path, tmp_path: Path) -> None:
    keys = ["softras_iou", "camera_within_15", "camera_error"]
    statements = set()
    for number, (changes, directed) in enumerate(
        [
            ({}, True),
            ({"refine": 1, "refine_camera": "predicted"}, True),
            ({"refine": 1, "refine_camera": "found"}, False),
        ]
    ):
        settings = replace(QUICK, **changes)
        result = evaluation(shapes_file, tmp_path / str(number), settings, directed=directed).run()
        assert [metric.key for metric in result.metrics] == keys
        statements.add(result.protocols["camera"])
        for row in result.objects:
            errors = row.per_view["camera_error"]
            assert all(0 <= error <= 180 for error in errors)
            assert row.per_view["camera_within_15"] == tuple(float(e <= 15.001) for e in errors)
        table = result.means["model"]["camera_within_15"]
        assert 0 <= table["mean"].mean <= 1
        assert set(table) == {"mean", *(category.name for category in result.categories)}
    assert len(statements) == 3
    known = evaluation(shapes_file, tmp_path / "known", replace(QUICK, refine=1)).run()
    assert list(known.protocols) == ["softras"]


class BrokenError(Exception):
    """What ends an evaluation in the middle here."""


def break_after(monkeypatch: pytest.MonkeyPatch, batches: int) -> list[list[int]]:
    """Lets so many batches be scored, and returns the objects of all that were begun."""
    begun: list[list[int]] = []
    score = model_evaluation.score_predictions

    def limited(predicted: ViewPredictions, *arguments: Any) -> Sequence[ObjectResult]:
        begun.append(list(predicted.objects))
        if len(begun) > batches:
            raise BrokenError
        return score(predicted, *arguments)

    monkeypatch.setattr(model_evaluation, "score_predictions", limited)
    return begun


def test_a_broken_evaluation_goes_on_to_the_same_result(
    shapes_file: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    whole = evaluation(shapes_file, tmp_path).run()
    begun = break_after(monkeypatch, batches=2)
    with pytest.raises(BrokenError):
        evaluation(shapes_file, tmp_path / "b").run()
    assert begun == [[0, 1], [2, 3], [4, 5]]
    rows = next((tmp_path / "b" / "rows").glob("*.jsonl"))
    rows.write_bytes(rows.read_bytes()[:-20])  # the kill came while a row was written
    monkeypatch.undo()
    begun = break_after(monkeypatch, batches=9)
    resumed = evaluation(shapes_file, tmp_path / "b").run()
    # Whole batches, as what is beside an image may change the rounding of its prediction.
    assert begun == [[2, 3], [4, 5]]
    assert (resumed.objects, resumed.means) == (whole.objects, whole.means)
    break_after(monkeypatch, batches=0)
    assert evaluation(shapes_file, tmp_path / "b").run().means == whole.means


def test_rows_of_another_evaluation_are_not_taken(
    shapes_file: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    evaluation(shapes_file, tmp_path).run()
    others = [
        {"seed": 1},
        {"settings": EvaluationConfig(views=[0, 11], baselines=False, batch_size=4)},
        {"settings": EvaluationConfig(views=[0, 12], baselines=False, batch_size=2)},
        {"settings": EvaluationConfig(views=[0, 12], baselines=True, batch_size=4)},
    ]
    for other in others:
        assert not evaluation(shapes_file, tmp_path, **other).rows.done("shape")
    assert len(evaluation(shapes_file, tmp_path).rows.done("shape")) == 6
    monkeypatch.setattr(model_evaluation, "code_fingerprint", lambda: "changed")
    assert not evaluation(shapes_file, tmp_path).rows.done("shape")


def test_colors_are_metrics_like_others(shapes_file: Path, tmp_path: Path) -> None:
    settings = EvaluationConfig(views=[0, 8, 16], color_inputs=2, color_targets=2)
    result = evaluation(shapes_file, tmp_path, settings, colored=True).run()
    keys = ["softras_iou", "color_l1", "color_psnr", "color_ssim"]
    assert [metric.key for metric in result.metrics] == keys
    assert [metric.higher_is_better for metric in result.metrics] == [True, False, True, True]
    assert set(result.means["mean colour"]) == set(result.means["retrieval"]) - {"softras_iou"}
    assert set(result.means["template"]) == {"softras_iou"}
    # The objects have one colour each and no light: a palette takes it, as the mean does.
    scores = result.objects[0].scores
    assert scores["model"]["color_l1"] == pytest.approx(scores["mean colour"]["color_l1"], abs=1e-3)
    assert math.isfinite(result.means["model"]["color_ssim"]["mean"].low)
    assert result.protocols["color"].startswith("colours: ")
    assert "each object seen from 2 views" in result.protocols["color"]
    assert list(result.objects[0].per_view) == ["softras_iou"]


def test_colors_are_resumed_apart(
    shapes_file: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(model_evaluation, "_COLORS_AT_ONCE", 4)
    whole = evaluation(shapes_file, tmp_path, colored=True)
    result = whole.run()
    rows = whole.rows.path
    lines = rows.read_text().splitlines(keepends=True)
    assert sum('"part": "color"' in line for line in lines) == 6
    rows.write_text("".join(lines[:-2]))  # the second batch of colours is missing
    break_after(monkeypatch, batches=0)  # no shape is scored again
    again = evaluation(shapes_file, tmp_path, colored=True).run()
    assert (again.objects, again.means) == (result.objects, result.means)
    assert rows.read_text() == "".join(lines)


def test_one_view_leaves_colors_out(
    shapes_file: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    one = evaluation(shapes_file, tmp_path, EvaluationConfig(views=[0]), colored=True)
    monkeypatch.setattr(one.data, "num_views", 1)
    result = one.run()
    assert [metric.key for metric in result.metrics] == ["softras_iou"]
    assert "colours: not measured, as the objects have no unseen view" in result.notes


def test_a_signal_ends_it_after_the_batch(
    shapes_file: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    score = model_evaluation.score_predictions

    def interrupted(*arguments: Any) -> Sequence[ObjectResult]:
        signal.raise_signal(signal.SIGTERM)
        return score(*arguments)

    monkeypatch.setattr(model_evaluation, "score_predictions", interrupted)
    stopped = evaluation(shapes_file, tmp_path)
    with pytest.raises(SystemExit) as caught:
        stopped.run()
    assert caught.value.code == 128 + signal.SIGTERM
    assert len(stopped.rows.done("shape")) == 2


def test_a_timer_is_told_of_every_part(shapes_file: Path, tmp_path: Path) -> None:
    timer = StepTimer(CPU)
    settings = EvaluationConfig(["softras", "silhouette"], views=[0], categories=["lamp"])
    result: EvaluationResult = ModelEvaluation(
        settings, trained(tmp_path), shapes_file, tmp_path, CPU, False, timer
    ).run()
    assert [row.synset for row in result.objects] == ["03636649"] * 2
    times = timer.flush()
    assert set(times) == {
        *("step", "reading", "network", "softras", "silhouette", "baselines", "rows")
    }
    assert min(value for name, value in times.items() if name != "step") > 0


def test_a_category_called_like_the_mean_is_refused_at_once(
    shapes_file: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    class Odd(MultiViewDataset):
        @property
        def synsets(self) -> list[str]:
            return ["mean", *self._texts[1:]]

        @synsets.setter
        def synsets(self, texts: list[str]) -> None:
            self._texts = texts

    monkeypatch.setattr(model_evaluation, "MultiViewDataset", Odd)
    with pytest.raises(ValueError, match=r"shapes\.h5: no category may be called 'mean'"):
        evaluation(shapes_file, tmp_path)


@pytest.mark.parametrize("value", [math.nan, math.inf])
def test_weights_which_are_no_numbers_are_refused(tmp_path: Path, value: float) -> None:
    broken = trained(tmp_path)
    require_finite(broken)
    with torch.no_grad():
        broken.model.decoder.offset.weight[3, 2] = value
    with pytest.raises(ValueError, match=r"0\.pt: 1 of \d+ tensors are not finite, the first"):
        require_finite(broken)


class Moved(nn.Module):
    """Moves what a model predicts of the first image of each batch."""

    def __init__(self, inner: nn.Module, shift: float) -> None:
        super().__init__()
        self.inner, self.shift = inner, shift
        self.faces, self.template_vertices = inner.faces, inner.template_vertices

    def forward(self, images: Tensor) -> Prediction:
        shift = torch.zeros(len(images), 1, 3)
        shift[0] = self.shift
        return Prediction(self.inner.decoder(self.inner.encoder(images)) + shift)


def test_broken_and_far_predictions_are_counted_in_one_warning_each(
    shapes_file: Path, tmp_path: Path, caplog: pytest.LogCaptureFixture
) -> None:
    evaluation(shapes_file, tmp_path).run()
    assert not caplog.messages
    for name, shift in (("far", 3.0), ("broken", math.nan)):
        (tmp_path / name).mkdir()
        changed = trained(tmp_path / name)
        moved = TrainedModel(Moved(changed.model, shift).eval(), changed.checkpoint, changed.path)
        ModelEvaluation(QUICK, moved, shapes_file, tmp_path / name, CPU, False).run()
    assert caplog.messages == [
        "3 of 12 predictions leave the cube [-0.5, 0.5]^3 of the objects; voxels outside of it are "
        "not compared",
        "3 of 12 predictions are not finite; their faces that are not are left out",
    ]


def test_shown_predictions_are_those_that_were_scored(
    shapes_file: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    settings = EvaluationConfig(views=[0, 3, 12], baselines=False, batch_size=6)
    model = trained(tmp_path)
    whole = ModelEvaluation(
        settings, model, shapes_file, tmp_path, CPU, False, keep_predictions=True
    )
    result = whole.run()
    again = ModelEvaluation(
        settings, model, shapes_file, tmp_path, CPU, False, keep_predictions=True
    )
    again.run()  # nothing is left to be predicted
    monkeypatch.setattr("recon.evaluation.kept_predictions.predict_views", None)
    kept = {}
    for index, row in enumerate(result.objects):
        for view in (3, row.typical_view("softras_iou")[0]):
            kept[index, view] = whole.predictions.get(index, view).vertices
    monkeypatch.undo()
    for (index, view), vertices in kept.items():
        assert torch.equal(again.predictions.get(index, view).vertices, vertices)


def test_the_defaults_are_the_protocol_of_softras() -> None:
    settings = EvaluationConfig()
    assert (settings.metrics, settings.split, settings.views) == (("softras",), "test", None)
    assert settings.baselines
    assert not settings.without_baselines().baselines


def test_settings_are_plain_data() -> None:
    plain = EvaluationConfig(["softras", "onet"], views=(0, 3), seed=5).plain()
    assert json.loads(json.dumps(plain)) == plain
    assert (plain["metrics"], plain["views"], plain["seed"]) == (["softras", "onet"], [0, 3], 5)


@pytest.mark.parametrize(
    ("changes", "message"),
    [
        ({"batch_size": 0}, "batch_size must be >= 1 and seed >= 0, got 0 and 0"),
        ({"seed": -1}, "batch_size must be >= 1 and seed >= 0, got 512 and -1"),
        ({"color_inputs": 0}, "color_inputs and color_targets must be >= 1, got 0 and 3"),
    ],
)
def test_numbers_out_of_range_are_refused(changes: dict[str, Any], message: str) -> None:
    with pytest.raises(ValueError, match=message):
        EvaluationConfig(**changes)
