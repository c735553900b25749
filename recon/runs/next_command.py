"""The summary of a finished run: its result, and the command that evaluates its model."""

from __future__ import annotations

import shlex
from collections.abc import Iterator, Mapping
from pathlib import Path
from typing import Any

# What evaluation builds without being told.
_OURS = "recon.models."


def run_summary(run: Path, config: Mapping[str, Any], result: Mapping[str, Any]) -> str:
    """Returns the result of a run in words, and the command to type next.

    Args:
        run: The run directory.
        config: The configuration of the run.
        result: The result that `Trainer.run` returned.
    """
    lines = [f"trained {result['step']} steps in {run}"]
    if result.get("best_iou") is not None:
        best = f"{result['best_iou']} at step {result['best_step']}"
        lines = [f"best validation IoU {best} in {run}"]
    command = evaluation_command(run, config)
    return "\n".join([*lines, *([f"evaluate it: {command}"] if command else [])])


def evaluation_command(run: Path, config: Mapping[str, Any]) -> str | None:
    """Returns the command which evaluates the best model of a run, ready for a shell.

    Args:
        run: The run directory.
        config: The configuration of the run; a model of another package has to be allowed by name.

    Returns:
        None where the run has no checkpoint.
    """
    names = ("best.pt", "last.pt")
    found = [path for name in names if (path := run / "checkpoints" / name).exists()]
    if not found:
        return None
    words = ["python", "eval.py", f"checkpoint={found[0]}", f"output_dir={run / 'evaluation'}"]
    targets = {str(target).partition(".")[0] for target in _foreign_targets(config.get("model"))}
    if targets:
        allowed = ",".join([_OURS, *(f"{package}." for package in sorted(targets))])
        words.append(f"allowed_targets=[{allowed}]")
    return shlex.join(words)


def _foreign_targets(node: Any) -> Iterator[str]:
    if isinstance(node, Mapping):
        target = str(node.get("_target_", _OURS))
        if not target.startswith(_OURS):
            yield target
        node = list(node.values())
    for child in node if isinstance(node, list) else []:
        yield from _foreign_targets(child)
