"""Trains a model: python train.py experiment=NAME data.path=FILE output_dir=DIR [key=value ...]."""

from __future__ import annotations

import os
import sys
from pathlib import Path
from typing import Any

import recon.entry_point  # noqa: F401  (before torch)

from hydra.core.hydra_config import HydraConfig
from hydra.utils import instantiate
from omegaconf import DictConfig, OmegaConf

from hydra_plugins.recon_command_line import command, record_config
from recon.runs.directory import RunDirectory, read_config
from recon.runs.next_command import run_summary
from recon.training.start import KEYS, train

# Of the processes that torchrun starts, the first alone writes files.
FIRST = os.environ.get("RANK", "0") == "0"


def is_finished(cfg: DictConfig, folder: Path) -> bool:
    """Tells whether the folder has the result of a run of just this configuration."""
    complete = (folder / "result.json").exists() and not OmegaConf.missing_keys(cfg)
    return complete and read_config(folder) == OmegaConf.to_container(cfg, resolve=True)


@command("train", KEYS, known=is_finished)
def main(cfg: DictConfig) -> float | None:
    """Trains, or repeats the result of a finished run; returns the best validation IoU."""
    config: dict[str, Any] = OmegaConf.to_container(cfg, resolve=True)  # type: ignore[assignment]
    run = RunDirectory(HydraConfig.get().runtime.output_dir, config)
    result = None if cfg.profile else run.result(cfg.trainer.max_steps)
    if result is None:
        result = train(run, instantiate, lambda: record_config(cfg))
    if result and FIRST:
        print(run_summary(run.path, run.config, result))
    return result.get("best_iou")


if __name__ == "__main__":
    if not FIRST:
        sys.argv.append("hydra/job_logging=stdout")
    main()
