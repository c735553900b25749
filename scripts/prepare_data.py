"""Prepares a data set: python scripts/prepare_data.py source=NAME output=FILE [key=value ...]."""

from __future__ import annotations

import logging
from pathlib import Path
from typing import Literal

import recon.entry_point  # noqa: F401  (before torch)

from hydra.core.hydra_config import HydraConfig
from hydra.utils import instantiate
from omegaconf import DictConfig, OmegaConf

from hydra_plugins.recon_command_line import command
from recon.arguments import Workers
from recon.datasets.storage.compression import COMPRESSIONS
from recon.preparation.augmentation import AugmentedSource
from recon.preparation.checks.camera_sheet import camera_sheet_path
from recon.preparation.checks.preview import preview_path
from recon.preparation.prepare import Summary, as_images, is_made_by, prepare, typed_command
from recon.preparation.sources.interface import ImageSource, MeshSource, SourceUnreachableError

SOURCES = Path(__file__).resolve().parents[1] / "configs" / "source"

log = logging.getLogger(__name__)


# The keys that this file reads itself; the others are arguments of the objects that it builds.
KEYS = {
    "output": str,
    "overwrite": bool,
    "workers": Workers | None,
    "compression": Literal[COMPRESSIONS],
    "fallback": str | None,
    "licences": list[str] | None,
}


@command("prepare_data", KEYS)
def main(cfg: DictConfig) -> None:
    """Prepares the data set that the configuration describes and says what is in it."""
    source = images(cfg.source, cfg)
    substitute = None if cfg.fallback is None else images(fallback_source(cfg.fallback), cfg)
    if substitute is not None and is_made_by(cfg.output, substitute, cfg.licences):
        log.warning("%s was made of source=%s, as before", cfg.output, cfg.fallback)
        source = substitute
    try:
        summary = make(source, cfg)
    except SourceUnreachableError as error:
        if substitute is None:
            raise
        log.warning("%s\n*** using source=%s instead ***", error, cfg.fallback)
        summary = make(substitute, cfg)
    report(summary)


def images(source_config: DictConfig, cfg: DictConfig) -> ImageSource:
    """Builds a source, with the renderer that makes images of its meshes where it has any.

    Raises:
        ValueError: If rendering or augmentation was asked for but the source has images of its own.
    """
    source = instantiate(source_config)
    if isinstance(source, MeshSource):
        if cfg.get("augmentation") is not None:
            source = AugmentedSource(source, instantiate(cfg.augmentation))
        return as_images(source, instantiate(cfg.rendering))
    typed = HydraConfig.get().overrides.task
    unused = [text for text in typed if text.lstrip("+~").startswith(("rendering", "augmentation"))]
    if unused:
        raise ValueError(f"source={source.name} has images of its own, so {unused} does nothing")
    return source


def fallback_source(name: str) -> DictConfig:
    """Returns the config of the source of that name.

    Raises:
        ValueError: If there is no source of that name.
    """
    path = SOURCES / f"{name}.yaml"
    if not path.is_file():
        known = ", ".join(sorted(path.stem for path in SOURCES.glob("*.yaml")))
        raise ValueError(f"fallback must be the name of a source ({known}), got {name!r}")
    source_config = OmegaConf.load(path)
    assert isinstance(source_config, DictConfig)
    return source_config


def make(source: ImageSource, cfg: DictConfig) -> Summary:
    """Prepares the file of one source."""
    return prepare(
        source,
        output=cfg.output,
        workers=cfg.workers,
        overwrite=cfg.overwrite,
        command=typed_command(),
        compression=cfg.compression,
        licences=cfg.licences,
    )


def report(summary: Summary) -> None:
    """Prints the counts, the failures and where things are."""
    print(f"\nobjects per category and split\n{summary.table()}\n")
    for name, reason in summary.failures.items():
        print(f"left out: {name}: {reason}")
    if summary.leaving:
        print(f"{len(summary.leaving)} objects leave the image in some view")
    if summary.seconds:
        print(f"made {summary.output} in {summary.seconds:.0f} s")
    else:
        print(f"{summary.output} is there already, made by the same configuration; nothing to do")
    sheets = [preview_path(summary.output), camera_sheet_path(summary.output)]
    print("images to look at:", *(sheet for sheet in sheets if sheet.exists()))


if __name__ == "__main__":
    main()
