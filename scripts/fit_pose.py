"""Finds the pose of a mesh in an image: fit_pose.py image=PNG mesh=FILE [key=value ...]."""

from __future__ import annotations

import logging
from pathlib import Path
from typing import Annotated, Any

import recon.entry_point  # noqa: F401  (before torch)

import torch
from annotated_types import Ge, Le
from hydra.core.hydra_config import HydraConfig
from hydra.utils import instantiate
from omegaconf import DictConfig, OmegaConf

from hydra_plugins.recon_command_line import command
from recon.arguments import (
    Coordinate,
    Degrees,
    FieldOfView,
    ImageSide,
    PositiveInt,
    Seed,
    StartCount,
)
from recon.command_line import Interruption
from recon.fitting.pose.files import read_camera_image, read_colored_mesh
from recon.fitting.pose.run import PoseRun
from recon.fitting.run import FitFolder

log = logging.getLogger(__name__)

INPUTS = ("image", "mask", "mesh")


# What this file itself reads of the configuration; the rest are arguments of what it builds.
KEYS = {
    "image": str | None,
    "mask": str | None,
    "mesh": str | None,
    "output_dir": str,
    "overwrite": bool,
    "fov": FieldOfView,
    "intrinsics": tuple[Coordinate, Coordinate, Coordinate, Coordinate] | None,
    "size": ImageSide,
    "margin": Annotated[float, Ge(1), Le(100)],
    "start": tuple[Degrees, Degrees, Degrees],
    "starts": StartCount,
    "keep": PositiveInt,
    "seed": Seed,
    "progress": bool | None,
}


@command("fit_pose", KEYS)
def main(cfg: DictConfig) -> float:
    """Fits, writes everything and prints the pose; returns the IoU of the silhouettes."""
    with Interruption() as interruption:
        for name in ("image", "mesh"):
            if cfg[name] is None:
                raise ValueError(f"{name}= is missing; image= and mesh= name files")
        config: dict[str, Any] = OmegaConf.to_container(cfg, resolve=True)  # type: ignore
        path = Path(HydraConfig.get().runtime.output_dir)
        run = PoseRun(
            folder=FitFolder(path, config, INPUTS, "pose.json", "overlay.png"),
            observed=read_camera_image(
                cfg.image, cfg.mask, cfg.fov, config["intrinsics"], cfg.size, cfg.margin
            ),
            model=read_colored_mesh(cfg.mesh),
            search=instantiate(cfg.search),
            fitter=instantiate(cfg.fitter),
        )
        colors = run.model.mesh.face_colors
        if colors is None or len(colors.unique(dim=0)) == 1:
            log.warning("%s has one colour: silhouettes alone are compared", cfg.mesh)
        start = torch.tensor(config["start"], dtype=torch.float32)
        with run.folder.writing():
            fitted = run.fit(start, cfg.starts, cfg.keep, cfg.seed, interruption, cfg.progress)
            result = run.write(fitted)
    report(result, path)
    if result["interrupted"]:
        log.warning("interrupted: this is the pose so far")
        raise SystemExit(interruption.exit_status)
    return float(result["silhouette_iou"])


def report(result: dict[str, Any], folder: Path) -> None:
    """Prints the pose."""
    for row, shift in zip(result["rotation"], result["translation"], strict=True):
        print("  ".join(f"{value:9.5f}" for value in row), f"  | {shift:10.5g}")
    print(result["convention"])
    losses = sorted(result["losses"])
    rest = f", the next best {losses[1]:.3g}" if len(losses) > 1 else ""
    print(f"silhouette IoU {100 * result['silhouette_iou']:.2f} %, loss {losses[0]:.3g}{rest}")
    print(f"written to {folder}")


if __name__ == "__main__":
    main()
