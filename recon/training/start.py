"""Builds a trainer from a configuration, and trains the model of a run directory."""

from __future__ import annotations

import os
from collections.abc import Callable, Mapping
from typing import TYPE_CHECKING, Any, Literal

from recon.arguments import ImageSide, LearningRate, Momentum, NonNegativeFloat, Seed, Weight
from recon.runs.directory import RunDirectory
from recon.runs.former_names import current_config

if TYPE_CHECKING:  # torch takes a while to import, and a finished run does not need it
    from recon.training.trainer import Trainer

# Large tensors on huge pages, which the system clears faster: some 15 % less time per step on a
# CPU. torch reads it at its first allocation.
os.environ.setdefault("THP_MEM_ALLOC_ENABLE", "1")

# The types of the keys which training reads itself; the rest are arguments of what is built.
KEYS: dict[str, Any] = {
    **{"seed": Seed, "profile": bool, "name": str, "output_dir": str, "image_size": ImageSide},
    "extend": Literal["keep", "stretch", "restart"] | None,
    "optimizer.groups": list[dict[str, Any]] | None,
    "optimizer.groups.*.lr": LearningRate,
    "optimizer.lr?": LearningRate,
    "optimizer.betas?": tuple[Momentum, Momentum],
    "optimizer.weight_decay?": NonNegativeFloat,
    "loss.terms.*.weight": Weight,
}

# Makes objects of nested dicts with `_target_`, as `hydra.utils.instantiate` does.
Instantiate = Callable[[Mapping[str, Any]], Any]


def train(
    run: RunDirectory, instantiate: Instantiate, accepted: Callable[[], None] | None = None
) -> dict[str, Any]:
    """Trains the model of a run directory, or profiles some steps where its `profile` is true.

    Args:
        run: The run directory; its configuration is used.
        instantiate: Makes objects of the configuration.
        accepted: A function that the first process calls once everything is built, that is when no
            value of the configuration has been refused; None means nothing.

    Returns:
        The result of `Trainer.run`; nothing for a profile.
    """
    from recon.training.distributed import joined_processes
    from recon.training.profiling import profile_training

    with joined_processes() as processes, run.recording_failure(processes.is_first):
        trainer = build_trainer(run.config, instantiate, processes=processes)
        if accepted is not None and processes.is_first:
            accepted()
        if not run.config.get("profile"):
            return trainer.run(run)
        table = profile_training(trainer, run.path / "profile")
    if processes.is_first:
        print(table)
    return {}


def build_trainer(
    config: Mapping[str, Any], instantiate: Instantiate, data: bool = True, **more: Any
) -> Trainer:
    """Builds the trainer and all that it needs; the seed of the configuration is set before.

    Args:
        config: The resolved configuration, with the groups of `configs/train.yaml`.
        instantiate: Makes objects of the configuration.
        data: Whether the data sets are opened too.
        more: Further arguments of `Trainer`, which are objects and not configurations.
    """
    from recon.runs.checkpoints import seed_everything

    config = current_config(config)
    seed_everything(config["seed"])
    optimizer = dict(config["optimizer"])
    groups = optimizer.pop("groups", None)
    parts = {name: config[name] for name in ("model", "renderer", "schedule", "seed")}
    parts |= {"objective": config["loss"]}
    parts |= {"optimizer": optimizer, "parameter_groups": groups or []}
    if data:
        parts |= {"train_set": config["data"]["train"], "val_set": config["data"]["val"]}
    make = instantiate({**config["trainer"], **parts, "_partial_": True})
    trainer: Trainer = make(**more)
    return trainer
