"""The checkpoints of a run directory: the last, the one before it, the best, and dumps."""

from __future__ import annotations

import logging
import os
from collections.abc import Mapping
from pathlib import Path
from typing import Any

from recon.runs.checkpoints import load_checkpoint, save_checkpoint
from recon.runs.directory import RunDirectory, refuse_other_config

log = logging.getLogger(__name__)

# A dump holds model and optimiser; more of them would fill the disk and tell nothing new.
MAX_DUMPS = 2


class RunCheckpoints:
    """Reads and writes the checkpoints of a run; each holds the run's configuration.

    Args:
        run: The run directory that holds the checkpoints.
    """

    def __init__(self, run: RunDirectory) -> None:
        self.config = run.config
        self.last = run.checkpoints / "last.pt"
        self.previous = run.checkpoints / "previous.pt"
        self.best = run.checkpoints / "best.pt"
        self.dumps = run.dumps

    def resume(self) -> dict[str, Any] | None:
        """Returns the newest checkpoint that can be read, or None when there is none yet.

        Raises:
            ValueError: There are checkpoints, but none can be read; the message has the reason of
                each.
            RunRefusedError: The checkpoint was made with another configuration.
        """
        reasons = []
        for path in (self.last, self.previous):
            if not path.exists():
                continue
            try:
                checkpoint = load_checkpoint(path)
            except ValueError as error:
                reasons.append(str(error))
                log.warning("%s; the one before it is used", error)
                continue
            refuse_other_config(checkpoint["config"], self.config, path)
            return checkpoint
        if reasons:
            raise ValueError(f"no checkpoint to continue from: {'; '.join(reasons)}")
        return None

    def save_last(self, content: Mapping[str, Any]) -> None:
        """Writes `last.pt`; the former one becomes `previous.pt`, and at every moment there is one.

        Raises:
            OSError: The disk is full or not writable; both files are then as they were, or
                `previous.pt` is a second name of `last.pt`.
        """
        if self.last.exists():
            spare = self.previous.with_name(f".{self.previous.name}.link")
            spare.unlink(missing_ok=True)
            try:  # a second name, not a renaming: whoever looks now must find a last.pt
                os.link(self.last, spare)
                os.replace(spare, self.previous)
            except OSError:  # a file system without links; `resume` finds previous.pt alone too
                os.replace(self.last, self.previous)
        save_checkpoint(self.last, {**content, "config": self.config})

    def save_best(self, content: Mapping[str, Any]) -> None:
        """Writes `best.pt`.

        Raises:
            OSError: The disk is full or not writable.
        """
        save_checkpoint(self.best, {**content, "config": self.config})

    def save_dump(self, content: Mapping[str, Any]) -> Path | None:
        """Writes `dumps/step_N.pt` of step N, unless there are `MAX_DUMPS` already.

        Returns:
            Its name, or None.

        Raises:
            OSError: The disk is full or not writable.
        """
        self.dumps.mkdir(parents=True, exist_ok=True)
        path = self.dumps / f"step_{content['step'] + 1}.pt"
        if not path.exists() and len(list(self.dumps.glob("step_*.pt"))) >= MAX_DUMPS:
            return None
        save_checkpoint(path, {**content, "config": self.config})
        return path
