"""Finds viewpoint and light of a known mesh: fit_camera.py image=FILE mesh=FILE output_dir=DIR."""

from __future__ import annotations

import logging
from pathlib import Path
from typing import Any

import recon.entry_point  # noqa: F401  (before torch)

from hydra.core.hydra_config import HydraConfig
from hydra.utils import instantiate
from omegaconf import DictConfig, OmegaConf

from hydra_plugins.recon_command_line import command
from recon.arguments import (
    Elevation,
    FieldOfView,
    Fraction,
    ImageSide,
    Intensity,
    Length,
    PositiveInt,
    Seed,
    StartCount,
)
from recon.command_line import Interruption
from recon.fitting.run import FitFolder
from recon.fitting.viewpoint.benchmark import Benchmark, table
from recon.fitting.viewpoint.fitter import ViewpointFitter
from recon.fitting.viewpoint.run import known_mesh, read_image, write_benchmark, write_fit
from recon.fitting.viewpoint.shaded_mesh import ShadedMesh
from recon.fitting.viewpoint.viewpoints import Viewpoints, grid_of_starts

log = logging.getLogger(__name__)


# What this file itself reads of the configuration; the rest are arguments of what it builds.
KEYS = {
    "image": str | None,
    "mask": str | None,
    "mesh": str,
    "color": tuple[Fraction, Fraction, Fraction] | None,
    "ambient": Intensity,
    "directional": Intensity,
    "fov": FieldOfView,
    "output_dir": str,
    "overwrite": bool,
    "azimuths": StartCount,
    "elevations": list[Elevation],
    "distance": Length,
    "keep": PositiveInt,
    "truths": StartCount,
    "around": bool,
    "image_size": ImageSide,
    "seed": Seed,
    "progress": bool | None,
}


@command("fit_camera", KEYS)
def main(cfg: DictConfig) -> None:
    """Finds the viewpoint of an image, or measure how well that works."""
    with Interruption() as interruption:
        config: dict[str, Any] = OmegaConf.to_container(cfg, resolve=True)  # type: ignore
        path = Path(HydraConfig.get().runtime.output_dir)
        folder = FitFolder(path, config, ("image", "mask", "mesh"))
        mesh = ShadedMesh(
            known_mesh(cfg.mesh, config["color"]), cfg.fov, cfg.ambient, cfg.directional
        )
        fitter = ViewpointFitter(mesh, instantiate(cfg.coarse), instantiate(cfg.fine))
        starts = grid_of_starts(cfg.azimuths, config["elevations"], cfg.distance)
        image = None if cfg.image is None else read_image(cfg.image, cfg.mask)
        with folder.writing():
            if image is not None:
                fitted = fitter.search(image, starts, cfg.keep, interruption, cfg.progress)
                print(sentence(write_fit(folder, mesh, image, fitted)))
            else:
                print(table(measure(cfg, fitter, starts, folder, interruption)))
    print(f"written to {path}")
    if interruption.signum is not None:
        log.warning("interrupted: these are the results so far")
        raise SystemExit(interruption.exit_status)


def sentence(result: dict[str, Any]) -> str:
    """Returns what was found in words."""
    light = ", ".join(f"{value:.3f}" for value in result["light"])
    return (
        f"azimuth {result['azimuth']:.2f}, elevation {result['elevation']:.2f} degrees,"
        f" distance {result['distance']:.3f}, light from ({light})"
    )


def measure(
    cfg: DictConfig,
    fitter: ViewpointFitter,
    starts: Viewpoints,
    folder: FitFolder,
    interruption: Interruption,
) -> dict[str, dict[str, Any]]:
    """Measures on images from random viewpoints, and returns the errors before and after."""
    if cfg.truths < 1:
        raise ValueError(f"truths must be >= 1, got {cfg.truths}")
    benchmark = Benchmark(fitter.mesh, cfg.truths, (cfg.image_size, cfg.image_size), cfg.seed)
    found = {"start beside": benchmark.starts()}
    found["found from beside"] = benchmark.from_beside(fitter, interruption, cfg.progress)
    if cfg.around and interruption.signum is None:
        found["found from around"] = benchmark.from_around(
            fitter, starts, cfg.keep, interruption, cfg.progress
        )
    return write_benchmark(folder, benchmark, found)


if __name__ == "__main__":
    main()
