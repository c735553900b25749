"""Finds the pose of a humanoid in one image: fit_articulation.py image=FILE output_dir=DIR."""

from __future__ import annotations

import logging
from pathlib import Path
from typing import Any

import recon.entry_point  # noqa: F401  (before torch)

import torch
from hydra.core.hydra_config import HydraConfig
from hydra.utils import instantiate
from omegaconf import DictConfig, OmegaConf

from hydra_plugins.recon_command_line import command
from recon.arguments import Degrees, Elevation, FieldOfView, ImageSide, Length, NonNegativeInt, Seed
from recon.command_line import Interruption
from recon.fitting.articulation.humanoid import SHAPE_NAMES, humanoid_limits, make_humanoid
from recon.fitting.articulation.run import ArticulationRun
from recon.fitting.articulation.scores import HIDDEN, random_cases
from recon.fitting.run import FitFolder
from recon.fitting.viewpoint.run import read_image
from recon.geometry.cameras import Cameras

log = logging.getLogger(__name__)


# What this file itself reads of the configuration; the rest are arguments of what it builds.
KEYS = {
    "image": str | None,
    "mask": str | None,
    "azimuth": Degrees,
    "elevation": Elevation,
    "distance": Length,
    "fov": FieldOfView,
    "output_dir": str,
    "overwrite": bool,
    "move": bool,
    "reshape": bool,
    "seed": Seed,
    "image_size": ImageSide,
    "frames": NonNegativeInt,
    "progress": bool | None,
}


@command("fit_articulation", KEYS)
def main(cfg: DictConfig) -> float:
    """Fits, writes everything and prints the angles; returns the IoU of the silhouettes."""
    with Interruption() as interruption:
        fitter = instantiate(cfg.fitter)
        run = prepare(cfg, Path(HydraConfig.get().runtime.output_dir))
        with run.folder.writing():
            fitted = run.fit(fitter, cfg.move, cfg.reshape, interruption, cfg.progress)
            result = run.write(fitted)
    print(report(result))
    print(f"written to {run.folder.path}")
    if result["interrupted"]:
        log.warning("interrupted: this is the pose so far")
        raise SystemExit(interruption.exit_status)
    return float(result["silhouette_iou"])


def prepare(cfg: DictConfig, folder: Path) -> ArticulationRun:
    """Reads the image, or makes one.

    Raises:
        ValueError: A file or a value of the configuration cannot be used.
        FileNotFoundError: There is no such image.
    """
    body, truth = make_humanoid(), None
    if cfg.image is None:
        if cfg.image_size < 1:
            raise ValueError(f"image_size must be >= 1, got {cfg.image_size}")
        truth = random_cases(body, 1, cfg.image_size, cfg.seed, cfg.reshape)
        image, cameras = truth.images[0], truth.cameras
    else:
        image = read_image(cfg.image, cfg.mask)
        values = (cfg.azimuth, cfg.elevation, cfg.distance, cfg.fov)
        cameras = Cameras.orbit(*(torch.tensor([float(value)]) for value in values))
    config: dict[str, Any] = OmegaConf.to_container(cfg, resolve=True)  # type: ignore
    return ArticulationRun(
        FitFolder(folder, config, ("image", "mask")),
        body,
        humanoid_limits(),
        SHAPE_NAMES,
        image,
        cameras,
        cfg.frames,
        truth,
    )


def report(result: dict[str, Any]) -> str:
    """Returns angles, and errors where the truth is known, as text for a terminal."""
    errors = result["truth"]["errors"] if "truth" in result else {}
    lines = [f"{'joint':15} {'angles, degrees':>24}" + "   error before  after" * bool(errors)]
    for name, angles in result["joints"].items():
        line = f"{name:15} " + " ".join(f"{angle:7.1f}" for angle in angles) + " "
        if errors:
            row = errors[name]
            line += f"{row['degrees_before']:15.1f} {row['degrees_after']:6.1f}"
            line += "  hidden" * (row["shown"] < HIDDEN)
        lines.append(line)
    lines.append("translation " + " ".join(f"{value:.4f}" for value in result["translation"]))
    lines += [f"{name}: {value:.3f}" for name, value in result["shapes"].items()]
    lines.append(f"silhouette IoU {100 * result['silhouette_iou']:.2f} %")
    return "\n".join(lines)


if __name__ == "__main__":
    main()
