"""Every configuration file composes, and everything it names can be built."""

from __future__ import annotations

import inspect
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import hydra
import pytest
import torch
from hydra.utils import instantiate
from omegaconf import DictConfig, OmegaConf

from recon.datasets.mixture import MixtureFile
from recon.evaluation.assessment import Assessment
from recon.losses.objective import Objective
from recon.preparation.augmentation import MeshAugmentation
from recon.preparation.rendering.objects import ObjectRenderer
from recon.training.start import build_trainer
from recon.training.trainer import Trainer

ROOT = Path(__file__).resolve().parents[1]
CONFIGS = ROOT / "configs"
GROUPS = ("model", "data", "renderer", "loss", "optimizer", "schedule", "trainer")


def options(group: str) -> list[str]:
    return sorted(path.stem for path in (CONFIGS / group).glob("*.yaml"))


@pytest.fixture(autouse=True)
def config_folder() -> Iterator[None]:
    with hydra.initialize_config_dir(str(CONFIGS), version_base="1.3"):
        yield


def build(cfg: DictConfig) -> Any:
    config: dict[str, Any] = OmegaConf.to_container(cfg, resolve=True)  # type: ignore[assignment]
    return build_trainer(config, instantiate)


def compose(name: str, *overrides: str) -> DictConfig:
    return hydra.compose(name, list(overrides))


@pytest.mark.parametrize("experiment", options("experiment"))
def test_every_experiment_is_built(experiment: str, shaded_file: Path) -> None:
    # The generated objects of a mixture are in a file that is made first.
    more = ["data.mixture=null"] if experiment == "open" else []
    cfg = compose("train", f"experiment={experiment}", f"data.path={shaded_file}", *more)
    assert cfg.name == experiment
    trainer = build(cfg)
    assert isinstance(trainer.objective, Objective)
    assert trainer.max_steps == cfg.trainer.max_steps
    settings = OmegaConf.to_container(cfg, resolve=True)
    assert isinstance(settings, dict)


def test_open_data_ends_on_real_objects() -> None:
    cfg = compose("train", "experiment=open", "data.path=real.h5")
    mixture = OmegaConf.to_container(cfg.data.mixture, resolve=True)
    entries = {name: MixtureFile(**entry) for name, entry in mixture.items()}
    last = cfg.trainer.max_steps - 1
    assert {name: entry.weight_at(0) > 0 for name, entry in entries.items()} == {
        "real": True,
        "generated": True,
    }
    assert [name for name, entry in entries.items() if entry.weight_at(last) > 0] == ["real"]
    assert entries["real"].path is None


@pytest.mark.parametrize(
    ("group", "option"),
    [
        (group, option)
        for group in GROUPS
        for option in options(group)
        if option != "shapes"  # makes its own file, see below
    ],
)
def test_every_option_of_every_group_is_built(group: str, option: str, shaded_file: Path) -> None:
    heads = {"color": ["model/color_head=palette"], "camera": ["model/camera_head=directions"]}
    more = heads.get(option, []) if group == "loss" else []
    overrides = ["model=small", f"{group}={option}", f"data.path={shaded_file}", *more]
    assert isinstance(build(compose("train", *overrides)), Trainer)


@pytest.mark.parametrize("renderer", options("renderer"))
@pytest.mark.parametrize("loss", ["softras", "color"])
def test_every_renderer_takes_a_step(renderer: str, loss: str, shaded_file: Path) -> None:
    more = ["model/color_head=palette"] if loss == "color" else []
    cfg = compose(
        "train",
        "experiment=smoke",
        f"renderer={renderer}",
        f"loss={loss}",
        f"data.path={shaded_file}",
        "trainer.device=cpu",
        *more,
    )
    trainer = build(cfg)
    before = [parameter.clone() for parameter in trainer.model.decoder.parameters()]
    result = trainer.take_step(trainer.batches[0])
    assert not result.broken
    assert 0 < result.losses["silhouette"] < 1
    after = trainer.model.decoder.parameters()
    assert any(not torch.equal(a, b) for a, b in zip(before, after, strict=True))


@pytest.mark.parametrize("size", options("model"))
@pytest.mark.parametrize("head", options("model/camera_head"))
def test_every_camera_head_fits_every_model(head: str, size: str) -> None:
    cfg = compose("train", f"model={size}", f"model/camera_head={head}", "data.path=x.h5")
    model = instantiate(cfg.model)
    with torch.no_grad():
        prediction = model.eval()(torch.rand(2, 4, 64, 64))
    assert prediction.direction_logits.shape == (2, len(prediction.directions))
    assert compose("train", f"model={size}", "data.path=x.h5").model.get("camera_head") is None


def test_a_camera_head_learns_alone_on_a_model_that_stands_still(shaded_file: Path) -> None:
    cfg = compose(
        "train",
        "experiment=smoke",
        "model/camera_head=directions",
        "loss=camera",
        "trainer.frozen=[encoder,decoder]",
        f"data.path={shaded_file}",
        "trainer.device=cpu",
    )
    trainer = build(cfg)
    before = {name: value.clone() for name, value in trainer.model.named_parameters()}
    result = trainer.take_step(trainer.batches[0])
    assert not result.broken
    assert set(result.losses) >= {"camera", "total"}
    assert result.losses["total"] == result.losses["camera"] > 0
    changed = [n for n, v in trainer.model.named_parameters() if not torch.equal(v, before[n])]
    assert changed
    assert all(name.startswith("camera_head.") for name in changed)


@pytest.mark.parametrize("size", options("model"))
@pytest.mark.parametrize("head", options("model/color_head"))
def test_every_color_head_fits_every_model(head: str, size: str) -> None:
    cfg = compose("train", f"model={size}", f"model/color_head={head}", "data.path=x.h5")
    model = instantiate(cfg.model)
    image = torch.rand(2, 4, 64, 64)
    with torch.no_grad():
        colors = model.eval()(image).colors
    assert colors.shape == (2, len(model.template_vertices), 3)
    assert compose("train", f"model={size}", "data.path=x.h5").model.get("color_head") is None


def test_generated_shapes_are_prepared_and_trained_on(tmp_path: Path) -> None:
    path = tmp_path / "x.h5"
    small = [
        "source.objects_per_category=3",
        "source.categories=[chair]",
        "renderer.image_size=16",
        "renderer.voxel_resolutions=[8]",
    ]
    overrides = [f"data.preparation.{text}" for text in small]
    overrides += ["model=small", "image_size=16", "data=shapes", f"data.path={path}"]
    trainer = build(compose("train", *overrides))
    assert trainer.train_set.ids == ["chair-0-00000"]
    assert trainer.val_set.ids == ["chair-0-00001"]
    assert path.is_file()


@pytest.mark.parametrize("option", options("augmentation"))
def test_every_augmentation_of_meshes_is_built(option: str) -> None:
    cfg = compose("prepare_data", f"augmentation={option}", "output=x.h5")
    assert isinstance(instantiate(cfg.augmentation), MeshAugmentation)


@pytest.mark.parametrize("option", options("rendering"))
def test_every_rendering_is_built(option: str) -> None:
    assert isinstance(
        instantiate(compose("prepare_data", f"rendering={option}", "output=x.h5").rendering),
        ObjectRenderer,
    )


@pytest.mark.parametrize("option", options("source"))
def test_every_source_is_named_after_its_file(option: str) -> None:
    source = compose("prepare_data", f"source={option}", "output=x.h5").source
    target = hydra.utils.get_class(source._target_)
    assert target.name == option
    assert source._convert_ == "all"
    accepted = set(inspect.signature(target).parameters)
    assert set(source) - {"_target_", "_convert_"} == accepted


def test_every_file_is_one_of_these() -> None:
    """A group which no test above knows would be a file nobody checks."""
    known = {*GROUPS, "experiment", "search"}
    folders = {path.parent.name for path in CONFIGS.glob("*/*.yaml")}
    assert folders - known == {"source", "rendering", "augmentation"}
    roots = {path.stem for path in CONFIGS.glob("*.yaml")}
    scripts = {path.stem for path in [*ROOT.glob("*.py"), *(ROOT / "scripts").glob("*.py")]}
    assert roots <= scripts  # which the tests of that script check


def test_evaluation_is_built() -> None:
    cfg = compose("eval", "checkpoint=last.pt", "categories=[chair,car]", "save_meshes=3")
    assessment = instantiate(cfg.assessment)
    assert isinstance(assessment, Assessment)
    config = assessment.config
    assert config.categories == ["chair", "car"]
    assert type(config.categories) is type(config.metrics) is list
    assert (config.metrics, config.split, config.views) == (["softras"], "test", None)
    assert assessment.examples.count == 3


def test_a_command_line_wins_over_an_experiment(shapes_file: Path) -> None:
    cfg = compose(
        "train",
        "experiment=smoke",
        f"data.path={shapes_file}",
        "trainer.max_steps=7",
        "trainer.checkpoint_every=3",
        "trainer.validate_every=2",
        "optimizer.lr=0.5",
        "renderer.sigma=2e-5",
        "loss.weights.laplacian=0.25",
        "seed=9",
    )
    trainer = build(cfg)
    assert (trainer.max_steps, trainer.checkpoint_every, trainer.validate_every) == (7, 3, 2)
    assert trainer.optimizer.defaults["lr"] == 0.5
    assert trainer.renderer.sigma == 2e-5
    assert trainer.objective.weights["laplacian"] == 0.25
    assert trainer.seed == 9


def test_lists_arrive_as_lists(shapes_file: Path) -> None:
    cfg = compose("train", "model=small", f"data.path={shapes_file}", "data.categories=[lamp]")
    trainer = build(cfg)
    assert set(trainer.train_set.synsets) == {"03636649"}
    assert type(trainer.step.schedule["lr"].milestones) is list
    assert type(trainer.validation.views) is list


def test_an_experiment_combines_with_a_model_of_ones_own() -> None:
    """The keys of the network that it replaces do not stay."""
    cfg = compose("train", "experiment=smoke", "data.path=x.h5", "model=small")
    assert cfg.model.encoder.channels == [16, 32, 64, 128]
    assert compose("train", "experiment=smoke", "data.path=x.h5").model.encoder.latent == 8
    own = Path(__file__).parents[1] / "docs" / "examples" / "configs"
    cfg = compose(
        "train",
        "experiment=smoke",
        "data.path=x.h5",
        "model=ellipsoid",
        f"hydra.searchpath=[{own}]",
    )
    assert set(cfg.model) == {"_target_", "subdivisions", "hidden"}
    assert cfg.trainer.max_steps == 4


def test_one_image_size_reaches_model_and_renderer(shapes_file: Path) -> None:
    cfg = compose("train", "model=small", "data.path=x.h5", "image_size=32")
    assert (cfg.model.encoder.image_size, cfg.renderer.image_size) == (32, 32)
    message = "renderer.image_size must be 64 x 64 as the images of data.path, got 32 x 32"
    with pytest.raises(ValueError, match=message):
        build(compose("train", "model=small", f"data.path={shapes_file}", "image_size=32"))
    own = "model.encoder.image_size=32"
    message = "the model cannot take the images of data.path, which are 64 x 64 pixels: image must"
    with pytest.raises(ValueError, match=message):
        build(compose("train", "model=small", f"data.path={shapes_file}", own))


def test_groups_of_parameters_have_their_own_rates(shapes_file: Path) -> None:
    groups = "optimizer.groups=[{match: encoder, lr: 1e-5}, {match: '*.bias', lr: 0.5}]"
    cfg = compose("train", "model=small", f"data.path={shapes_file}", "optimizer.lr=0.1", groups)
    trainer = build(cfg)
    assert [group["lr"] for group in trainer.optimizer.param_groups] == [0.1, 1e-5, 0.5]


# Sources: arXiv 1904.01786, section 5.1, and the values of its released code.
PAPER: dict[str, Any] = {
    "trainer.max_steps": 250_000,
    "trainer.batch_size": 64,
    "trainer.views_per_object": 2,
    "optimizer.lr": 1e-4,
    "renderer.sigma": 1e-4,
    "renderer.dist_eps": 1e-10,
    "renderer.image_size": 64,
    "loss.weights.silhouette": 1.0,
    "loss.weights.laplacian": 5e-3,
    "loss.weights.flatten": 5e-4,
    "seed": 0,
}


def test_the_papers_experiment_has_the_papers_values(shapes_file: Path) -> None:
    cfg = compose("train", "experiment=softras_silhouette", f"data.path={shapes_file}")
    assert {key: OmegaConf.select(cfg, key) for key in PAPER} == PAPER
    trainer = build(cfg)
    assert trainer.model.faces.shape == (1280, 3)
    assert list(trainer.optimizer.defaults["betas"]) == [0.9, 0.999]
    assert isinstance(trainer.optimizer, torch.optim.Adam)
    for name in ("lr", "sigma"):
        schedule = trainer.step.schedule[name]
        assert [schedule(step) for step in (0, 149_999, 150_000)] == [1.0, 1.0, 0.3]


@pytest.mark.parametrize("head", options("model/color_head"))
@pytest.mark.parametrize(("texels", "texture"), [(0, "vertex"), (2, "surface")])
def test_a_quick_variant_of_the_color_experiment_takes_a_step(
    head: str, texels: int, texture: str, shaded_file: Path
) -> None:
    cfg = compose(
        "train",
        "experiment=softras_color",
        "model=small",
        f"model/color_head={head}",
        f"model.color_head.texels={texels}",
        f"renderer.texture={texture}",
        f"data.path={shaded_file}",
        "trainer.batch_size=2",
        "trainer.device=cpu",
        "model.decoder.subdivisions=1",
    )
    trainer = build(cfg)
    losses = trainer.take_step(trainer.batches[0]).losses
    assert {"silhouette", "color", "color_smoothness", "laplacian", "flatten"} < set(losses)
    assert trainer.objective.texels == texels


def test_a_quick_variant_of_the_shading_experiment_takes_a_step(shaded_file: Path) -> None:
    cfg = compose(
        "train",
        "experiment=softras_shading",
        "model=small",
        f"data.path={shaded_file}",
        "trainer.batch_size=2",
        "trainer.device=cpu",
    )
    trainer = build(cfg)
    assert trainer.objective.lighting.two_sided
    assert 0 < trainer.take_step(trainer.batches[0]).losses["shading"] < 1
