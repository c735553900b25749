"""Deforms a template to images: fit_shape.py images=DIR cameras=FILE output_dir=DIR [k=value]."""

from __future__ import annotations

import logging
from pathlib import Path
from typing import Any, Literal

import recon.entry_point  # noqa: F401  (before torch)

import torch
from hydra.core.hydra_config import HydraConfig
from hydra.utils import instantiate
from omegaconf import DictConfig, OmegaConf

from hydra_plugins.recon_command_line import command
from recon.arguments import FieldOfView, Length, NonNegativeInt, Seed, Subdivisions
from recon.command_line import Interruption
from recon.compute import choose_device
from recon.datasets.multiview import MultiViewDataset
from recon.fitting.run import FitFolder
from recon.fitting.shape.fitter import ShapeStage, read_template
from recon.fitting.shape.run import ShapeRun
from recon.fitting.shape.view_files import Views, read_views, views_of_object
from recon.preparation.calibrated_views import Placement
from recon.preparation.normalization import require_normalization

log = logging.getLogger(__name__)

INPUTS = ("images", "cameras", "data.path", "template")


# What this file itself reads of the configuration; the rest are arguments of what it builds.
KEYS = {
    "images": str | None,
    "cameras": str | None,
    "mask": Literal["given", "plain"],
    "camera_format": str,
    "frame": str | list[str],
    "center": str,
    "scale": str | Length,
    "fov": FieldOfView,
    "data.path": str | list[str] | None,
    "object": str | None,
    "output_dir": str,
    "overwrite": bool,
    "template": str,
    "subdivisions": Subdivisions,
    "radius": Length,
    "holdout": NonNegativeInt | None,
    "output_frame": Literal["model", "cameras"],
    "colors": bool,
    "seed": Seed,
    "frames": NonNegativeInt,
    "device": str,
    "progress": bool | None,
    "stages": list[dict[str, Any]],
    "stages.*": ShapeStage,
}


@command("fit_shape", KEYS)
def main(cfg: DictConfig) -> float | None:
    """Fits, writes everything and prints the scores; returns the IoU in the views held out."""
    with Interruption() as interruption:
        torch.manual_seed(cfg.seed)
        data = None if cfg.data.path is None else MultiViewDataset(cfg.data.path)
        views = read(cfg, data)
        config: dict[str, Any] = OmegaConf.to_container(cfg, resolve=True)  # type: ignore
        run = ShapeRun(
            folder=FitFolder(Path(HydraConfig.get().runtime.output_dir), config, INPUTS),
            views=views.to(choose_device(cfg.device)),
            cube=instantiate(cfg.cube),
            holdout=cfg.holdout,
            frame=cfg.output_frame,
        )
        stages = [ShapeStage(**stage) for stage in config["stages"]]
        template = read_template(cfg.template, run.cube, cfg.subdivisions, cfg.radius)
        with run.folder.writing():
            fitted = run.fit(
                template, stages, cfg.colors, cfg.seed, cfg.frames, interruption, cfg.progress
            )
            result = run.write(fitted, data, cfg.object)
    print(run.table(result))
    if fitted.interrupted:
        log.warning("interrupted: these are the results so far")
        raise SystemExit(interruption.exit_status)
    return result["held_out"]["iou"] if "held_out" in result else None


def read(cfg: DictConfig, data: MultiViewDataset | None) -> Views:
    """Reads the views which the command line names.

    Raises:
        ValueError: The command line names no views, or views of two kinds.
    """
    if data is not None:
        if cfg.images is not None or cfg.cameras is not None:
            raise ValueError("data.path has its own images; images and cameras must go")
        if cfg.object is None:
            raise ValueError(f"object=ID is missing; ids of {cfg.data.path} are {data.ids[:5]} ...")
        return views_of_object(data, str(cfg.object))
    if cfg.images is None:
        raise ValueError("images= is missing; images= and cameras=, or data.path= and object=")
    if cfg.cameras is None and not Path(cfg.images).is_dir():
        raise ValueError("cameras= is missing; only a folder of images may have them within")
    settings: dict[str, Any] = OmegaConf.to_container(cfg, resolve=True)  # type: ignore
    placement = Placement(settings["frame"], cfg.center, cfg.scale)
    require_normalization(placement.frame, placement.center, placement.scale)
    cameras = cfg.images if cfg.cameras is None else cfg.cameras
    return read_views(cfg.images, cameras, cfg.fov, cfg.mask, cfg.camera_format, placement)


if __name__ == "__main__":
    main()
