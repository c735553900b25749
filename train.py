"""Train a model: python train.py experiment=NAME data.path=FILE output_dir=DIR [key=value ...]."""

from __future__ import annotations

import os
import sys
from typing import Any, Literal

from hydra.core.hydra_config import HydraConfig
from hydra.utils import instantiate
from omegaconf import DictConfig, OmegaConf

from hydra_plugins.recon_command_line import command
from recon.arguments import ImageSide, NonNegativeFloat, Seed
from recon.runs.directory import RunDirectory
from recon.runs.next_command import run_summary
from recon.training.start import train

# What is read here and in `recon.training.start`; the rest are arguments of what is built.
KEYS = {
    **{"seed": Seed, "profile": bool, "name": str, "output_dir": str, "image_size": ImageSide},
    "extend": Literal["keep", "stretch", "restart"] | None,
    "optimizer.groups": list[dict[str, Any]] | None,
    "loss.terms.*.weight": NonNegativeFloat,
}
# Of the processes that torchrun starts, the first alone writes files.
OTHER_PROCESSES = ("hydra.output_subdir=null", "hydra/job_logging=stdout")


@command("train", KEYS)
def main(cfg: DictConfig) -> float | None:
    """Train, or repeat the result of a finished run; returns the best validation IoU."""
    config: dict[str, Any] = OmegaConf.to_container(cfg, resolve=True)  # type: ignore[assignment]
    run = RunDirectory(HydraConfig.get().runtime.output_dir, config)
    finished = None if cfg.profile else run.result(cfg.trainer.max_steps)
    result = finished or train(run, instantiate)
    if result and os.environ.get("RANK", "0") == "0":
        print(run_summary(run.path, run.config, result))
    return result.get("best_iou")


if __name__ == "__main__":
    if os.environ.get("RANK", "0") != "0":
        sys.argv += OTHER_PROCESSES
    main()
