"""Evaluate a checkpoint: python eval.py checkpoint=PATH output_dir=DIR [key=value ...]."""

from __future__ import annotations

from pathlib import Path

import hydra
from hydra.core.hydra_config import HydraConfig
from hydra.errors import CompactHydraException
from hydra.utils import instantiate
from omegaconf import DictConfig

from recon.checkpoints import load_checkpoint, load_model_state, model_settings
from recon.errors import concise_errors


@hydra.main(version_base="1.3", config_path="configs", config_name="eval")
def main(cfg: DictConfig) -> float:
    """Score the model of a checkpoint beside its baselines; returns the macro mean IoU."""
    with concise_errors(raised_as=CompactHydraException):
        checkpoint = load_checkpoint(cfg.checkpoint)
        model = instantiate(model_settings(checkpoint, tuple(cfg.allowed_targets)))
        load_model_state(model, checkpoint["model"])
        data_path = cfg.data.path or checkpoint["config"]["data"]["path"]
        folder = Path(HydraConfig.get().runtime.output_dir)
        about = {"checkpoint": str(cfg.checkpoint), "step": checkpoint["step"]}
        table = instantiate(cfg.assessment).run(model, data_path, folder, about)
    return table.macro["model"]


if __name__ == "__main__":
    main()
