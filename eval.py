"""Evaluates a checkpoint: python eval.py checkpoint=PATH output_dir=DIR [key=value ...]."""

from __future__ import annotations

from pathlib import Path

import recon.entry_point  # noqa: F401  (before torch)

from hydra.core.hydra_config import HydraConfig
from hydra.utils import instantiate
from omegaconf import DictConfig

from hydra_plugins.recon_command_line import command
from recon.evaluation.result import MACRO, MODEL
from recon.runs.trained_models import load_trained_model

# What this file itself reads of the configuration; the rest are arguments of what it builds.
KEYS = {
    "checkpoint": str,
    "output_dir": str,
    "allowed_targets": list[str],
    "data.path": str | list[str] | None,
}


@command("eval", KEYS)
def main(cfg: DictConfig) -> float:
    """Scores the model of a checkpoint; returns the macro mean of the first metric."""
    assessment = instantiate(cfg.assessment)
    trained = load_trained_model(cfg.checkpoint, allowed_targets=cfg.allowed_targets)
    folder = Path(HydraConfig.get().runtime.output_dir)
    result = assessment.run(trained, folder, cfg.data.path)
    return result.means[MODEL][result.metrics[0].key][MACRO].mean


if __name__ == "__main__":
    main()
