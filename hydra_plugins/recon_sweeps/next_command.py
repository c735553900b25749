"""The summary of a sweep: the commands that compare its runs and evaluate the best of them."""

from __future__ import annotations

import shlex
from pathlib import Path
from typing import Any

from hydra.experimental.callback import Callback
from omegaconf import DictConfig


class NextCommand(Callback):
    """Prints the commands to type after a sweep."""

    def on_multirun_end(self, config: DictConfig, **kwargs: Any) -> None:
        """Prints them, or nothing where no run of the sweep has been validated."""
        print(sweep_summary(Path(config.hydra.sweep.dir)), end="")


def sweep_summary(folder: Path) -> str:
    """Returns the best run of a sweep in words, and the commands to type next; or nothing.

    Args:
        folder: The folder of the sweep.
    """
    # Imported here, as Hydra imports every plug-in at every start.
    from recon.runs.directory import read_config
    from recon.runs.next_command import evaluation_command
    from recon.runs.sweeps.runs import read_sweep

    try:
        runs, _ = read_sweep(folder)
    except ValueError:
        return ""
    finished = [run for run in runs if run.is_finished and "iou" in run.metrics]
    if not finished:
        return ""
    best = max(finished, key=lambda run: run.metrics["iou"])
    command = evaluation_command(folder / best.name, read_config(folder / best.name) or {})
    compare = shlex.join(["python", "scripts/compare_runs.py", str(folder)])
    return (
        f"best validation IoU {best.metrics['iou']} of {len(finished)} finished runs"
        f" in {folder / best.name}\ncompare them: {compare}\nevaluate the best: {command}\n"
    )
