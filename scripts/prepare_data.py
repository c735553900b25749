"""Make a data set: python scripts/prepare_data.py source=NAME output=FILE [key=value ...]."""

from __future__ import annotations

import shlex
import sys

import hydra
from hydra.errors import CompactHydraException
from hydra.utils import instantiate
from omegaconf import DictConfig

from recon.datasets.prepare import Summary, prepare
from recon.datasets.preview import preview_path
from recon.errors import concise_errors


@hydra.main(version_base="1.3", config_path="../configs", config_name="prepare_data")
def main(cfg: DictConfig) -> None:
    """Prepare the data set that the configuration describes and say what is in it."""
    with concise_errors(raised_as=CompactHydraException):
        summary = prepare(
            source=instantiate(cfg.source),
            renderer=instantiate(cfg.rendering),
            output=cfg.output,
            workers=cfg.workers,
            overwrite=cfg.overwrite,
            command=shlex.join([sys.executable.rsplit("/", 1)[-1], *sys.argv]),
        )
    report(summary)


def report(summary: Summary) -> None:
    """Print the counts, the failures and where things are."""
    print(f"\nobjects per category and split\n{summary.table()}\n")
    for name, reason in summary.failures.items():
        print(f"left out: {name}: {reason}")
    if summary.leaving:
        print(f"{len(summary.leaving)} objects leave the picture in some view")
    if summary.seconds:
        print(f"made {summary.output} in {summary.seconds:.0f} s")
    else:
        print(f"{summary.output} is there already, made by the same recipe; nothing to do")
    print(f"pictures to look at: {preview_path(summary.output)}")


if __name__ == "__main__":
    main()
