"""Training: exact resume, signals, numbers which are not finite, and that it learns."""

from __future__ import annotations

import itertools
import math
import os
import re
import signal
from collections.abc import Callable, Mapping
from functools import partial
from pathlib import Path
from typing import Any

import pytest
import torch
from torch import Tensor, nn

from recon.datasets.framing import find_framing, framing_of
from recon.datasets.multiview import MultiViewDataset
from recon.evaluation.baselines import template_shape
from recon.evaluation.validation import VoxelValidation
from recon.losses.camera import camera_direction_loss
from recon.losses.color import ColorSmoothnessLoss, color_l1_loss, shading_l1_loss
from recon.losses.objective import Objective, Renderings
from recon.losses.perceptual import PerceptualLoss
from recon.losses.silhouette import silhouette_iou_loss
from recon.losses.smoothness import FlattenLoss, LaplacianLoss
from recon.losses.terms import Term
from recon.models import (
    DirectionHead,
    MeshDecoder,
    PaletteHead,
    Prediction,
    Reconstructor,
    SoftRasEncoder,
    VertexColorHead,
)
from recon.rendering.renderer import SoftRenderer
from recon.runs.checkpoints import load_checkpoint, seed_everything
from recon.runs.directory import RunDirectory, read_validations
from recon.schedules import Adaptive, Constant, StepDecay
from recon.training.augmentation import ViewAugmentation
from recon.training.run_checkpoints import RunCheckpoints
from recon.training.step_guard import SkippedStepsError
from recon.training.trainer import Trainer

TERMS = {
    "silhouette": Term(silhouette_iou_loss),
    "laplacian": Term(LaplacianLoss, 5e-3),
    "flatten": Term(FlattenLoss, 5e-4),
}


def make_trainer(
    file: Path,
    max_steps: int,
    color_head: Callable[..., nn.Module] | None = None,
    camera_head: nn.Module | None = None,
    **more: Any,
) -> Trainer:
    seed_everything(0)
    model = Reconstructor(
        SoftRasEncoder(channels=(4, 8, 8, 8), hidden=(16,), latent=8),
        MeshDecoder(latent=8, hidden=(16,), subdivisions=1),
        color_head,
        camera_head=camera_head,
    )
    settings: dict[str, Any] = {
        "model": model,
        "renderer": SoftRenderer(64, sigma=1e-4, dist_eps=1e-10),
        "objective": partial(Objective, terms=TERMS),
        "optimizer": partial(torch.optim.Adam, lr=1e-3, fused=True),
        "schedule": {"lr": StepDecay([4], 0.5), "sigma": StepDecay([4], 0.5)},
        "train_set": MultiViewDataset(file, "train"),
        "val_set": MultiViewDataset(file, "val"),
        "validation": VoxelValidation(views=[0]),
        "seed": 0,
        "batch_size": 4,
        "log_every": 2,
        "checkpoint_every": 2,
        "validate_every": 3,
        "device": "cpu",
    }
    return Trainer(max_steps=max_steps, **{**settings, **more})


def run_in(folder: Path) -> RunDirectory:
    return RunDirectory(folder, {"seed": 0})


def assert_same(a: object, b: object) -> None:
    """Equal to the last bit, tensors in nested containers included."""
    if isinstance(a, Tensor):
        assert isinstance(b, Tensor)
        assert torch.equal(a, b)
    elif isinstance(a, Mapping):
        assert isinstance(b, Mapping)
        assert a.keys() == b.keys()
        for key in a:
            assert_same(a[key], b[key])
    elif isinstance(a, list | tuple):
        assert isinstance(b, list | tuple)
        for one, other in zip(a, b, strict=True):
            assert_same(one, other)
    else:
        assert a == b


def last(folder: Path) -> dict[str, Any]:
    """The last checkpoint, without the time it took."""
    checkpoint = load_checkpoint(folder / "checkpoints" / "last.pt")
    assert checkpoint.pop("seconds") > 0
    return checkpoint


@pytest.fixture(scope="module")
def straight(shapes_file: Path, tmp_path_factory: pytest.TempPathFactory) -> dict[str, Any]:
    """The last checkpoint of six uninterrupted steps."""
    folder = tmp_path_factory.mktemp("straight")
    result = make_trainer(shapes_file, 6).run(run_in(folder))
    assert result["step"] == 6
    return last(folder)


def test_three_steps_and_three_more_are_six(
    straight: dict[str, Any], shapes_file: Path, tmp_path: Path
) -> None:
    make_trainer(shapes_file, 3).run(run_in(tmp_path))
    assert last(tmp_path)["step"] == 3
    trainer = make_trainer(shapes_file, 6)
    torch.rand(100)  # whatever happened to the random states before the resume does not matter
    trainer.run(run_in(tmp_path))
    assert_same(last(tmp_path), straight)


def test_adaptive_smoothing_is_resumed_exactly(shapes_file: Path, tmp_path: Path) -> None:
    def train(folder: str, steps: int) -> None:
        # At a large sigma the loss asks for a smaller one from the start.
        sigma = Adaptive(factor=0.5, every=2, start=2, measure_every=1)
        more = {"renderer": SoftRenderer(64, sigma=1e-2), "schedule": {"sigma": sigma}}
        make_trainer(shapes_file, steps, **more).run(run_in(tmp_path / folder))

    train("whole", 6)
    train("broken", 3)
    kept = last(tmp_path / "broken")["schedule"]["sigma"]
    train("broken", 6)
    whole = last(tmp_path / "whole")
    assert_same(last(tmp_path / "broken"), whole)
    assert 0 < kept["falls"] < whole["schedule"]["sigma"]["falls"]


def test_a_mixture_that_narrows_is_resumed_exactly(
    straight: dict[str, Any], shapes_file: Path, more_shapes: Path, tmp_path: Path
) -> None:
    """The second file ends at step 4, after the resume at 3."""
    entries = {"real": {"weight": 1}, "more": {"path": str(more_shapes), "until": 4}}
    mixed = MultiViewDataset(shapes_file, "train", mixture=entries)
    make_trainer(shapes_file, 6, train_set=mixed).run(run_in(tmp_path / "whole"))
    make_trainer(shapes_file, 3, train_set=mixed).run(run_in(tmp_path / "broken"))
    make_trainer(shapes_file, 6, train_set=mixed).run(run_in(tmp_path / "broken"))
    assert_same(last(tmp_path / "broken"), last(tmp_path / "whole"))
    whole, alone = last(tmp_path / "whole")["model"], straight["model"]
    assert not all(torch.equal(whole[name], alone[name]) for name in alone)


def test_a_checkpoint_tells_how_its_data_frame_objects(
    straight: dict[str, Any], shapes_file: Path
) -> None:
    measured = find_framing(MultiViewDataset(shapes_file, "train"))
    kept = framing_of(straight)
    assert (kept.fill, kept.center, kept.source) == (
        measured.fill,
        measured.center,
        "the checkpoint",
    )
    assert torch.equal(kept.cameras, measured.cameras)


def test_a_worker_process_changes_nothing(
    straight: dict[str, Any], shapes_file: Path, tmp_path: Path
) -> None:
    make_trainer(shapes_file, 6, num_workers=1).run(run_in(tmp_path))
    assert_same(last(tmp_path), straight)


def test_validation_leaves_no_trace(
    straight: dict[str, Any], shapes_file: Path, tmp_path: Path
) -> None:
    def noisy(model: nn.Module, data: MultiViewDataset, _: object) -> dict[str, float]:
        with torch.no_grad():
            model(torch.rand(5, 4, 64, 64))
        return {"iou": 0.5}

    make_trainer(shapes_file, 6, validation=noisy, validate_every=1).run(run_in(tmp_path))
    for part in ("model", "optimizer", "random"):
        assert_same(last(tmp_path)[part], straight[part])


@pytest.mark.parametrize(("signum", "status"), [(signal.SIGTERM, 143), (signal.SIGINT, 130)])
def test_a_signal_saves_and_a_second_start_ends_the_same(
    straight: dict[str, Any], shapes_file: Path, tmp_path: Path, signum: int, status: int
) -> None:
    trainer = make_trainer(shapes_file, 6, checkpoint_every=100)
    trainer.objective.register_forward_hook(send_at(3, signum))
    with pytest.raises(SystemExit) as stopped:
        trainer.run(run_in(tmp_path))
    assert stopped.value.code == status
    assert last(tmp_path)["step"] == 3
    make_trainer(shapes_file, 6).run(run_in(tmp_path))
    assert_same(last(tmp_path), straight)


def send_at(call: int, signum: int) -> Callable[..., None]:
    """A hook which sends this process a signal at a call."""
    calls = iter(range(1, 1000))

    def hook(*_: object) -> None:
        if next(calls) == call:
            os.kill(os.getpid(), signum)

    return hook


OPTIONS = {
    "augmentation": ViewAugmentation(mirror=0.5, recolor=0.5, damage=0.5),
    "average_decay": 0.5,
    "views_per_object": 3,
    "input_views": 2,
}


def test_averaged_and_augmented_runs_continue_exactly(shapes_file: Path, tmp_path: Path) -> None:
    whole, parts = tmp_path / "whole", tmp_path / "parts"
    trainer = make_trainer(shapes_file, 6, **OPTIONS)
    trainer.run(run_in(whole))
    make_trainer(shapes_file, 3, **OPTIONS).run(run_in(parts))
    make_trainer(shapes_file, 6, **OPTIONS, num_workers=1).run(run_in(parts))
    assert_same(last(parts), last(whole))
    # What is saved as the model, and so what is validated and evaluated, is the average.
    assert_same(last(whole)["model"], trainer.average.state())
    assert_same(last(whole)["trained"], trainer.model.state_dict())
    assert not torch.equal(
        trainer.model.decoder.offset.bias, trainer.average.model.decoder.offset.bias
    )


def test_an_average_begins_with_the_initial_weights(
    straight: dict[str, Any], shapes_file: Path, tmp_path: Path
) -> None:
    make_trainer(shapes_file, 6).run(run_in(tmp_path / "first"))
    initial = str(tmp_path / "first" / "checkpoints" / "last.pt")
    trainer = make_trainer(shapes_file, 6, average_decay=0.5, initial=initial)
    trainer.state.resume(RunCheckpoints(run_in(tmp_path / "second")))
    assert_same(trainer.average.state(), straight["model"])


def test_more_input_views_than_views_are_refused(shapes_file: Path) -> None:
    with pytest.raises(ValueError, match=r"input_views must lie in 1..views_per_object = 2, got 3"):
        make_trainer(shapes_file, 6, input_views=3)


class BreaksAt(Objective):
    """An objective whose silhouette term is not a number at one call."""

    def __init__(self, *args: Any, call: int, **keywords: Any) -> None:
        super().__init__(*args, **keywords)
        self.remaining = call

    def forward(
        self, renderings: Renderings, prediction: Prediction, batch: Mapping[str, Tensor]
    ) -> dict[str, Tensor]:
        terms = super().forward(renderings, prediction, batch)
        self.remaining -= 1
        return (
            {**terms, "silhouette": terms["silhouette"] * float("nan")}
            if not self.remaining
            else terms
        )


def test_a_loss_which_is_not_finite_is_skipped_and_dumped(
    shapes_file: Path, tmp_path: Path, caplog: pytest.LogCaptureFixture
) -> None:
    objective = partial(BreaksAt, terms=TERMS, call=4)
    trainer = make_trainer(shapes_file, 6, objective=objective)
    before: dict[str, Tensor] = {}

    def note(module: nn.Module, *_: object) -> None:
        if trainer.progress.step == 3 and not before:
            before.update({k: v.clone() for k, v in trainer.model.state_dict().items()})

    trainer.network.register_forward_pre_hook(note)
    assert trainer.run(run_in(tmp_path))["skipped"] == 1
    dump = load_checkpoint(tmp_path / "dumps" / "step_4.pt")
    assert_same(dump["model"], before)  # the statistics of batch norm too
    assert dump["terms"]["silhouette"] != dump["terms"]["silhouette"]
    assert_same(dump["batch"]["images"], trainer.batches[3]["images"])
    assert re.search(r"not finite at step 4: .*'silhouette': nan.*step_4\.pt", caplog.text)
    assert last(tmp_path)["skipped"] == 1
    assert all(bool(torch.isfinite(value).all()) for value in last(tmp_path)["model"].values())

    # Replayed, the step computes what it did without the fault.
    losses, broken = make_trainer(shapes_file, 6).replay(dump)
    assert broken == []
    assert losses["laplacian"] == dump["terms"]["laplacian"]


def test_a_run_ends_after_too_many_skipped_steps_and_keeps_its_checkpoint(
    shapes_file: Path, tmp_path: Path
) -> None:
    trainer = make_trainer(shapes_file, 6, checkpoint_every=2, max_skipped_steps=1)

    def poison(gradient: Tensor) -> Tensor:
        return gradient * float("nan") if trainer.progress.step >= 2 else gradient

    trainer.model.decoder.offset.weight.register_hook(poison)
    with pytest.raises(
        SkippedStepsError, match=r"skipped step 2 of.*max_skipped_steps is 1"
    ) as end:
        trainer.run(run_in(tmp_path))
    assert end.value.step == 4
    assert sorted(path.name for path in (tmp_path / "dumps").iterdir()) == [
        "step_3.pt",
        "step_4.pt",
    ]
    assert last(tmp_path)["step"] == 2


def test_a_parameter_which_is_not_finite_ends_the_run(shapes_file: Path, tmp_path: Path) -> None:
    trainer = make_trainer(shapes_file, 6, optimizer=partial(torch.optim.SGD, lr=float("inf")))
    with pytest.raises(FloatingPointError, match=r"parameter .* is not finite"):
        trainer.run(run_in(tmp_path))
    assert not (tmp_path / "checkpoints" / "last.pt").exists()


def test_a_dump_is_needed_to_replay(straight: dict[str, Any], shapes_file: Path) -> None:
    with pytest.raises(ValueError, match="no batch"):
        make_trainer(shapes_file, 6).replay(straight)


def test_the_best_checkpoint_is_that_of_the_best_validation(
    shapes_file: Path, tmp_path: Path
) -> None:
    ious = iter([0.2, 0.4, 0.3])
    trainer = make_trainer(
        shapes_file, 6, validate_every=2, validation=lambda *_: {"iou": next(ious)}
    )
    result = trainer.run(run_in(tmp_path))
    assert run_in(tmp_path).result(6) == result
    assert result.pop("seconds") > 0
    assert result == {
        "step": 6,
        "best_iou": 0.4,
        "best_step": 4,
        "last_iou": 0.3,
        "figures": {"iou": 0.4},
        "skipped": 0,
        "stopped": None,
    }
    assert load_checkpoint(tmp_path / "checkpoints" / "best.pt")["step"] == 4
    rows = read_validations(run_in(tmp_path).validations)
    assert [(row["step"], row["iou"]) for row in rows] == [(2, 0.2), (4, 0.4), (6, 0.3)]


def test_a_damaged_checkpoint_gives_way_to_the_one_before(
    straight: dict[str, Any], shapes_file: Path, tmp_path: Path, caplog: pytest.LogCaptureFixture
) -> None:
    make_trainer(shapes_file, 4, validate_every=1).run(run_in(tmp_path))
    newest = tmp_path / "checkpoints" / "last.pt"
    newest.write_bytes(newest.read_bytes()[:1000])
    make_trainer(shapes_file, 6).run(run_in(tmp_path))
    assert "truncated" in caplog.text
    for part in ("model", "optimizer", "random"):
        assert_same(last(tmp_path)[part], straight[part])
    # Validations of the start which broke are replaced from the resumed step on.
    assert [row["step"] for row in read_validations(run_in(tmp_path).validations)] == [1, 2, 3, 6]


def test_a_validation_may_end_the_run(shapes_file: Path, tmp_path: Path) -> None:
    def stopping(step: int, metrics: Mapping[str, float]) -> str | None:
        return f"hopeless at {step}" if step >= 4 else None

    trainer = make_trainer(shapes_file, 6, validate_every=2, stopping=stopping)
    result = trainer.run(run_in(tmp_path))
    assert (result["step"], result["stopped"]) == (4, "hopeless at 4")
    assert run_in(tmp_path).result(6) == result
    assert last(tmp_path)["step"] == 4


class CubeDecoder(nn.Module):
    """Moves the corners of a cube, which it holds at its true scale."""

    def __init__(self, latent: int = 8) -> None:
        super().__init__()
        self.latent = latent
        corners = torch.tensor(list(itertools.product((-0.2, 0.2), repeat=3)))
        sides = [(0, 1, 3, 2), (4, 6, 7, 5), (0, 4, 5, 1), (2, 3, 7, 6), (0, 2, 6, 4), (1, 5, 7, 3)]
        faces = [face for a, b, c, d in sides for face in ((a, b, c), (a, c, d))]
        self.register_buffer("template_vertices", corners)
        self.register_buffer("faces", torch.tensor(faces))
        self.offset = nn.Linear(latent, 24)

    def forward(self, latent: Tensor) -> Tensor:
        moved = 0.1 * torch.tanh(self.offset(latent)).float().unflatten(1, (8, 3))
        return self.template_vertices + moved


EVERY_TERM = {
    **TERMS,
    "color": Term(color_l1_loss),
    "perceptual": Term(PerceptualLoss, options={"layers": (1,)}),
    "shading": Term(shading_l1_loss),
    "color_smoothness": Term(ColorSmoothnessLoss),
}


@pytest.mark.parametrize("head", [PaletteHead, VertexColorHead])
@pytest.mark.parametrize("texels", [0, 2])
def test_another_template_works_with_every_head_and_every_loss(
    shaded_file: Path, tmp_path: Path, head: type[nn.Module], texels: int
) -> None:
    torch.manual_seed(0)
    model = Reconstructor(
        SoftRasEncoder(channels=(4, 8, 8, 8), hidden=(16,), latent=8),
        CubeDecoder(),
        partial(head, latent=8, texels=texels, hidden=(8,)),
    )
    trainer = make_trainer(
        shaded_file,
        2,
        model=model,
        renderer=SoftRenderer(64, sigma=1e-4, texture="surface" if texels else "vertex"),
        objective=partial(Objective, terms=EVERY_TERM, texels=texels),
        validate_every=2,
    )
    before = {name: value.clone() for name, value in model.named_parameters()}
    losses = trainer.take_step(trainer.batches[0]).losses
    assert set(EVERY_TERM) < set(losses)
    assert trainer.run(run_in(tmp_path))["best_iou"] > 0
    unmoved = [name for name, value in model.named_parameters() if torch.equal(value, before[name])]
    assert not unmoved
    # Measured in its true size: 0.4 wide in a grid of 32 voxels.
    voxels = template_shape(model, 32)(torch.zeros(1, 4, 8, 8), ["chair"])
    assert 12**3 < float(voxels.sum()) < 16**3


def test_bfloat16_is_near_float32(shapes_file: Path) -> None:
    batch = make_trainer(shapes_file, 1).batches[0]
    losses = {
        precision: make_trainer(shapes_file, 1, precision=precision).take_step(batch).losses
        for precision in ("float32", "bfloat16")
    }
    assert losses["bfloat16"] == pytest.approx(losses["float32"], rel=0.05)
    assert losses["bfloat16"] != losses["float32"]


def test_without_validation_there_is_a_result_but_no_best(
    shapes_file: Path, tmp_path: Path
) -> None:
    trainer = make_trainer(shapes_file, 2, validate_every=0, val_set=None)
    assert trainer.run(run_in(tmp_path))["best_iou"] is None
    assert [path.name for path in (tmp_path / "checkpoints").iterdir()] == ["last.pt"]


def test_schedules_reach_the_optimiser_and_the_renderer(
    shapes_file: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    trainer = make_trainer(shapes_file, 6, validate_every=0)
    seen: list[tuple[float, float]] = []
    render = trainer.renderer.silhouette

    def spy(vertices: Tensor, faces: Tensor, cameras: Any, sigma: float) -> Tensor:
        seen.append((trainer.optimizer.param_groups[0]["lr"], sigma))
        return render(vertices, faces, cameras, sigma)

    monkeypatch.setattr(trainer.renderer, "silhouette", spy)
    trainer.run(run_in(tmp_path))
    assert seen == [(1e-3, 1e-4)] * 4 + [(5e-4, 5e-5)] * 2


def test_it_learns(shapes_file: Path, tmp_path: Path) -> None:
    trainer = make_trainer(
        shapes_file,
        80,
        optimizer=partial(torch.optim.Adam, lr=3e-3),
        schedule={"lr": Constant(), "sigma": Constant()},
        batch_size=8,
        checkpoint_every=100,
        validate_every=80,
    )
    before = trainer.validation(trainer.model, trainer.val_set)["iou"]
    assert trainer.run(run_in(tmp_path))["best_iou"] > before + 0.1


COLORS = TERMS | {"color": Term(color_l1_loss), "color_smoothness": Term(ColorSmoothnessLoss, 0.01)}


def make_colored(file: Path, max_steps: int, **more: Any) -> Trainer:
    seed_everything(1)
    head = partial(PaletteHead, latent=8, palette=4, width=4, modes=8, hidden=(8,))
    objective = partial(Objective, terms=COLORS)
    return make_trainer(file, max_steps, color_head=head, **{"objective": objective, **more})


def test_shape_and_colors_are_learned_together_and_resumed(
    shapes_file: Path, tmp_path: Path
) -> None:
    schedule = {"gamma": StepDecay([2], 0.5)}
    make_colored(shapes_file, 4, schedule=schedule).run(run_in(tmp_path / "straight"))
    start = make_colored(shapes_file, 2, schedule=schedule)
    before = {name: value.clone() for name, value in start.model.state_dict().items()}
    start.run(run_in(tmp_path / "parts"))
    after = start.model.state_dict()
    for name in ("decoder.offset.weight", "color_head.fields"):
        assert not torch.equal(after[name], before[name]), name
    make_colored(shapes_file, 4, schedule=schedule).run(run_in(tmp_path / "parts"))
    assert_same(last(tmp_path / "parts"), last(tmp_path / "straight"))


def test_gamma_follows_its_schedule(shapes_file: Path) -> None:
    trainer = make_colored(shapes_file, 4, schedule={"gamma": StepDecay([1], 0.5)})
    rates = [trainer.take_step(trainer.batches[step]).rates for step in range(2)]
    assert rates == [
        {"lr": 1e-3, "sigma": 1e-4, "gamma": 1e-4},
        {"lr": 1e-3, "sigma": 1e-4, "gamma": 5e-5},
    ]


def test_colors_are_learned_on_a_shape_that_stands_still(
    shapes_file: Path, straight: dict[str, Any], tmp_path: Path
) -> None:
    first = tmp_path / "shape"
    make_trainer(shapes_file, 6).run(run_in(first))
    settings: dict[str, Any] = {
        "initial": str(first / "checkpoints" / "last.pt"),
        "frozen": ["encoder", "decoder"],
        "validate_every": 1,
    }
    make = partial(make_colored, shapes_file, **settings)
    learned = weights_of_a_head_that_resumes(make, straight["model"], tmp_path)
    start = make_colored(shapes_file, 4).model.state_dict()
    assert not torch.equal(learned["color_head.fields"], start["color_head.fields"])


def weights_of_a_head_that_resumes(
    make: Callable[..., Trainer], frozen: dict[str, Tensor], folder: Path
) -> dict[str, Tensor]:
    """Trains a head in one run and in two parts, which agree and leave the frozen weights alone."""
    make(4).run(run_in(folder / "straight"))
    make(2).run(run_in(folder / "parts"))
    make(4).run(run_in(folder / "parts"))
    assert_same(last(folder / "parts"), last(folder / "straight"))
    model: dict[str, Tensor] = last(folder / "parts")["model"]
    for name, value in frozen.items():  # the statistics of batch norm too
        assert torch.equal(model[name], value), name
    return model


def make_directed(file: Path, max_steps: int, **more: Any) -> Trainer:
    seed_everything(1)
    head = DirectionHead(8, channels=(4, 8), features=8, hidden=(8,))
    objective = partial(Objective, terms={"camera": Term(camera_direction_loss)})
    settings: dict[str, Any] = {"frozen": ["encoder", "decoder"], "camera_head": head}
    return make_trainer(file, max_steps, **{"objective": objective, **settings, **more})


def test_directions_are_learned_on_a_shape_that_stands_still(
    shapes_file: Path, straight: dict[str, Any], tmp_path: Path
) -> None:
    first = tmp_path / "shape"
    make_trainer(shapes_file, 6).run(run_in(first))
    settings: dict[str, Any] = {
        "initial": str(first / "checkpoints" / "last.pt"),
        "augmentation": ViewAugmentation(mirror=0.5),
        "validate_every": 1,
    }
    make = partial(make_directed, shapes_file, **settings)
    learned = weights_of_a_head_that_resumes(make, straight["model"], tmp_path)
    start = make_directed(shapes_file, 4).model.state_dict()
    assert not torch.equal(learned["camera_head.logits.weight"], start["camera_head.logits.weight"])
    header = (tmp_path / "parts" / "validation.csv").read_text().splitlines()[0].split(",")
    assert {"iou", "camera_within_15", "camera_error"} <= set(header)


def test_a_camera_head_learns_the_directions_of_a_batch(shapes_file: Path) -> None:
    optimizer = partial(torch.optim.Adam, lr=3e-3)
    head = DirectionHead(8, channels=(16, 32, 64), features=64, hidden=(64,))
    more: dict[str, Any] = {"optimizer": optimizer, "schedule": {"lr": Constant()}}
    trainer = make_directed(shapes_file, 100, camera_head=head, batch_size=8, **more)
    batch = trainer.batches[0]
    losses = [trainer.take_step(batch).losses["camera"] for _ in range(100)]
    assert losses[0] == pytest.approx(math.log(144), abs=0.5)
    # An ellipsoid looks alike from four azimuths at most.
    assert losses[-1] < math.log(8)


def test_parts_that_are_not_there_are_refused(shapes_file: Path) -> None:
    with pytest.raises(ValueError, match=r"trainer\.frozen takes parts .*'encoder'.*got \['head'"):
        make_trainer(shapes_file, 2, frozen=["head"])
    with pytest.raises(ValueError, match="nothing to train"):
        make_trainer(shapes_file, 2, frozen=["encoder", "decoder"])
    with pytest.raises(ValueError, match=r"need a model\.color_head"):
        make_trainer(shapes_file, 2, objective=partial(Objective, terms=COLORS))
    with pytest.raises(ValueError, match=r"needs loss\.weights\.color"):
        make_colored(shapes_file, 2, objective=partial(Objective, terms=TERMS))


def test_shading_needs_data_that_have_it(shapes_file: Path) -> None:
    shading = partial(Objective, terms={"shading": Term(shading_l1_loss)})
    with pytest.raises(ValueError, match="needs the light of the data"):
        make_trainer(shapes_file, 2, objective=shading)
    lit = partial(Objective, terms={"shading": Term(shading_l1_loss)}, data_configs=[{}])
    with pytest.raises(ValueError, match="needs the light of the data"):
        make_trainer(shapes_file, 2, objective=lit)


def test_shading_is_learned(shaded_file: Path, tmp_path: Path) -> None:
    shading = partial(
        Objective, terms={"shading": Term(shading_l1_loss), "laplacian": TERMS["laplacian"]}
    )
    slow = {"optimizer": partial(torch.optim.Adam, lr=3e-3), "schedule": {}}
    trainer = make_trainer(shaded_file, 100, objective=shading, **slow)
    losses = [
        float(trainer.take_step(trainer.batches[step]).losses["shading"]) for step in range(100)
    ]
    # From 0.5 to 0.3; 0.8 leaves room for the last bits of other processors.
    assert sum(losses[-10:]) < 0.8 * sum(losses[:10])


@pytest.mark.parametrize(
    "bad",
    [
        {"batch_size": 0},
        {"num_workers": -1},
        {"device": "tpu:0"},
        {"log_every": -1},
        {"max_skipped_steps": -1},
        {"precision": "float8"},
    ],
)
def test_bad_numbers_are_refused_by_name(shapes_file: Path, bad: dict[str, Any]) -> None:
    with pytest.raises(ValueError, match=next(iter(bad))):
        make_trainer(shapes_file, 2, **bad)


def test_intervals_of_zero_mean_never(shapes_file: Path, tmp_path: Path) -> None:
    never = dict.fromkeys(("log_every", "image_every", "checkpoint_every", "validate_every"), 0)
    result = make_trainer(shapes_file, 2, **never).run(run_in(tmp_path))
    assert result["step"] == 2
    assert [path.name for path in (tmp_path / "checkpoints").iterdir()] == ["last.pt"]


def test_validating_needs_something_to_validate_on(shapes_file: Path) -> None:
    with pytest.raises(ValueError, match="val_set"):
        make_trainer(shapes_file, 2, val_set=None)
