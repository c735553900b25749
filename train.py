"""Train a model: python train.py experiment=NAME data.path=FILE output_dir=DIR [key=value ...]."""

from __future__ import annotations

import logging
import os
import sys
from typing import Any

from hydra.core.hydra_config import HydraConfig
from hydra.errors import CompactHydraException
from hydra.types import RunMode
from hydra.utils import instantiate
from omegaconf import DictConfig, OmegaConf

from hydra_plugins.recon_command_line import command
from recon.arguments import Seed
from recon.command_line import concise_errors
from recon.runs.directory import RunDirectory
from recon.runs.former_names import current_config

log = logging.getLogger(__name__)

# Of the processes that torchrun starts, the first alone writes files.
OTHER_PROCESSES = ("hydra.output_subdir=null", "hydra/job_logging=stdout")
# Large tensors on huge pages, which the system clears faster: some 15 % less time per step on a
# CPU. torch reads it at its first allocation.
os.environ.setdefault("THP_MEM_ALLOC_ENABLE", "1")


# What this file itself reads of the configuration; the rest are arguments of what it builds.
KEYS = {
    "seed": Seed,
    "profile": bool,
    "name": str,
    "output_dir": str,
}


@command("train", KEYS)
def main(cfg: DictConfig) -> float | None:
    """Train, or repeat the result of a finished run; returns the best validation IoU."""
    with concise_errors(raised_as=CompactHydraException):
        settings = current_config(OmegaConf.to_container(cfg, resolve=True))  # type: ignore
        cfg = OmegaConf.create(settings)
        run = RunDirectory(HydraConfig.get().runtime.output_dir, settings)
        result = None if cfg.profile else run.result(cfg.trainer.max_steps)
        try:
            result = result or train(cfg, run)
        except Exception as error:
            if HydraConfig.get().mode == RunMode.MULTIRUN:  # which shows the first error alone
                log.error("%s failed: %s", run.path, error)
            raise
    if "best_iou" in result and os.environ.get("RANK", "0") == "0":
        print(
            f"best validation IoU {result['best_iou']} at step {result['best_step']} in {run.path}"
        )
    return result.get("best_iou")


def train(cfg: DictConfig, run: RunDirectory) -> dict[str, Any]:
    """Train, or profile some steps; what needs torch is imported here, which takes a while."""
    from recon.training.distributed import joined_processes
    from recon.training.profiling import profile_training

    with joined_processes() as processes, run.recording_failure(processes.is_first):
        trainer = build(cfg, processes=processes)
        if not cfg.profile:
            return trainer.run(run)
        table = profile_training(trainer, run.path / "profile")
    if processes.is_first:
        print(table)
    return {}


def build(cfg: DictConfig, **more: Any) -> Any:
    """Build the trainer and everything else the configuration names."""
    from recon.runs.checkpoints import seed_everything

    seed_everything(cfg.seed)
    parts = {name: cfg[name] for name in ("model", "renderer", "optimizer", "schedule", "seed")}
    data = {"train_set": cfg.data.train, "val_set": cfg.data.val, "objective": cfg.loss}
    # What is no configuration is passed to the call itself: instantiate would make dicts of it.
    return instantiate(cfg.trainer, _partial_=True, **parts, **data)(**more)


if __name__ == "__main__":
    if os.environ.get("RANK", "0") != "0":
        sys.argv += OTHER_PROCESSES
    main()
