"""Training from a configuration of plain dicts and numbers, without Hydra: `recon.train`."""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from functools import partial
from pathlib import Path
from typing import Any

import torch

from recon.arguments import LearningRate, Seed, check_arguments, check_value, nearest
from recon.datasets.multiview import MultiViewDataset
from recon.evaluation.validation import VoxelValidation
from recon.losses.objective import Objective
from recon.rendering.renderer import SoftRenderer
from recon.runs.checkpoints import ALLOWED_TARGETS, seed_everything
from recon.runs.directory import RunDirectory
from recon.runs.trained_models import build_model
from recon.training.trainer import Trainer

# What a group of the configuration has the arguments of; `model` is a tree of classes.
_GROUPS: dict[str, Callable[..., Any]] = {
    "data": MultiViewDataset,
    "loss": Objective,
    "renderer": SoftRenderer,
    "optimizer": torch.optim.Adam,
    "trainer": Trainer,
}
# Arguments that are no plain data, or that follow from another group.
_MADE = {
    "data": {"split"},
    "loss": {"faces", "num_vertices", "data_configs"},
    "renderer": {"image_size"},
    "optimizer": {"params"},
    "trainer": {"model", "renderer", "objective", "optimizer", "schedule", "train_set", "val_set"}
    | {"validation", "seed", "augmentation", "stopping", "processes"},
}
# The losses, weights, renderer and learning rate of SoftRas, as in configs/.
_DEFAULTS: dict[str, Any] = {
    "loss": {
        "terms": {
            "silhouette": {"_target_": "recon.losses.silhouette.silhouette_iou_loss"},
            "laplacian": {"_target_": "recon.losses.smoothness.LaplacianLoss", "weight": 5e-3},
            "flatten": {"_target_": "recon.losses.smoothness.FlattenLoss", "weight": 5e-4},
        }
    },
    "renderer": {"sigma": 1e-4, "dist_eps": 1e-10},
    "optimizer": {"lr": 1e-4},
    "trainer": {"max_steps": 10000, "batch_size": 64, "validate_every": 0},
}


def train(
    config: Mapping[str, Any],
    output_dir: str | Path,
    allowed_targets: Sequence[str] = ALLOWED_TARGETS,
) -> Path:
    """Trains a model, or continues the run in a folder; without Hydra.

    Args:
        config: Plain data in groups, of which `data.path` alone is needed: `data` has arguments of
            `MultiViewDataset`, `trainer` of `Trainer`, `loss` of `Objective`, `renderer` of
            `SoftRenderer` and `optimizer` of `torch.optim.Adam`; `model` is a class by `_target_`
            with its arguments, by default the network of SoftRas; `seed` is a number. With
            `trainer.validate_every` the split `val` of the data is validated on.
        output_dir: The run directory.
        allowed_targets: Packages whose classes `model` may name, each with a dot at its end.

    Returns:
        The path of the checkpoint: of the best validation, or of the last step where there was
        none.

    Raises:
        ValueError: A key is unknown, or a value is not of the type and range of its argument; the
            message names the key.
        FileNotFoundError: There is no such data.
        RunRefusedError: The folder holds a run of another configuration.
    """
    parts = _checked(config)
    seed_everything(parts["seed"])
    train_set = MultiViewDataset(**parts["data"], split="train")
    model = parts.setdefault("model", _softras(train_set.image_size[0]))
    validates = parts["trainer"]["validate_every"] > 0
    renderer = SoftRenderer(image_size=train_set.image_size, **parts["renderer"])
    trainer = Trainer(
        model=build_model({"config": {"model": model}}, allowed_targets),
        renderer=renderer,
        objective=partial(Objective, **parts["loss"]),
        optimizer=partial(torch.optim.Adam, **parts["optimizer"]),
        schedule={},
        train_set=train_set,
        val_set=_validation_set(parts["data"]) if validates else None,
        validation=VoxelValidation(),
        seed=parts["seed"],
        **parts["trainer"],
    )
    run = RunDirectory(output_dir, parts)
    result = trainer.run(run)
    best = result.get("best_iou") is not None
    return run.checkpoints / ("best.pt" if best else "last.pt")


def _validation_set(data: Mapping[str, Any]) -> MultiViewDataset:
    """Opens the validation split; a mixture and licences are of training alone."""
    kept = {key: value for key, value in data.items() if key in ("path", "categories")}
    return MultiViewDataset(**kept, split="val")


def _softras(image_size: int) -> dict[str, Any]:
    return {
        "_target_": "recon.models.Reconstructor",
        "encoder": {"_target_": "recon.models.SoftRasEncoder", "image_size": image_size},
        "decoder": {"_target_": "recon.models.MeshDecoder"},
    }


def _checked(config: Mapping[str, Any]) -> dict[str, Any]:
    """Returns all groups with their defaults, their values checked."""
    known = [*_GROUPS, "model", "seed"]
    for key in config:
        if key not in known:
            raise ValueError(
                f"{key} is unknown: the configuration takes {', '.join(known)}{nearest(key, known)}"
            )
    parts = {key: _checked_group(key, config.get(key, {})) for key in _GROUPS}
    if "path" not in parts["data"]:
        raise ValueError("data.path is missing: give the prepared file")
    check_value(parts["optimizer"]["lr"], LearningRate, "optimizer.lr")
    given = {"model": config["model"]} if "model" in config else {}
    return {**given, **parts, "seed": check_value(config.get("seed", 0), Seed, "seed")}


def _checked_group(group: str, values: object) -> dict[str, Any]:
    if not isinstance(values, Mapping):
        raise ValueError(f"{group} must be a mapping of arguments, got {values!r}")
    if made := sorted(_MADE[group] & values.keys()):
        raise ValueError(f"{group}.{made[0]} is no key of a configuration: training sets it")
    names = {name: f"{group}.{name}" for name in values}
    return {**_DEFAULTS.get(group, {}), **check_arguments(_GROUPS[group], values, names)}
