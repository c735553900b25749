"""Train a model: python train.py experiment=NAME data.path=FILE output_dir=DIR [key=value ...]."""

from __future__ import annotations

from typing import Any

import hydra
from hydra.core.hydra_config import HydraConfig
from hydra.errors import CompactHydraException
from hydra.utils import instantiate
from omegaconf import DictConfig, OmegaConf

from recon.checkpoints import seed_everything
from recon.errors import concise_errors
from recon.runs import RunDirectory


@hydra.main(version_base="1.3", config_path="configs", config_name="train")
def main(cfg: DictConfig) -> float | None:
    """Train, or repeat the result of a finished run; returns the best validation IoU."""
    with concise_errors(raised_as=CompactHydraException):
        settings: dict[str, Any] = OmegaConf.to_container(cfg, resolve=True)  # type: ignore
        run = RunDirectory(HydraConfig.get().runtime.output_dir, settings)
        result = run.result(cfg.trainer.max_steps) or build(cfg).run(run)
    print(f"best validation IoU {result['best_iou']} at step {result['best_step']} in {run.path}")
    return result["best_iou"]


def build(cfg: DictConfig) -> Any:
    """Build the trainer and everything else the configuration names."""
    seed_everything(cfg.seed)
    parts = {name: cfg[name] for name in ("model", "renderer", "optimizer", "schedule", "seed")}
    data = {"train_set": cfg.data.train, "val_set": cfg.data.val, "objective": cfg.loss}
    return instantiate(cfg.trainer, **parts, **data)


if __name__ == "__main__":
    main()
