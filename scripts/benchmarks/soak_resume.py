"""Kills a training run again and again, and compares its end with that of a run left alone.

python scripts/benchmarks/soak_resume.py OUTPUT_DIR \
        [--kills 10] [--seed 0] [experiment=smoke key=value ...]
"""

from __future__ import annotations

import os
import random
import signal
import subprocess
import sys
import time
from collections.abc import Iterator, Mapping, Sequence
from pathlib import Path

import recon.entry_point  # noqa: F401  (before torch)

import torch
from torch import Tensor
from tqdm import tqdm

from recon.arguments import PositiveInt, Seed, option_type
from recon.command_line import CommandParser, concise_errors
from recon.runs.checkpoints import load_checkpoint
from recon.runs.directory import read_json

ROOT = Path(__file__).resolve().parents[2]
# Small enough for seconds between checkpoints, long enough to be killed at any stage.
DEFAULTS = ("experiment=smoke", "trainer.max_steps=600", "trainer.checkpoint_every=7")
# A start lives at most this share of the time of a whole run after its first new checkpoint.
MOST = 0.05
# What may differ between two runs of the same numbers.
TIMES = ("seconds",)


def main() -> None:
    """Runs both, prints a table of the kills, and fails when the ends differ."""
    parser = CommandParser(__doc__)
    parser.add_argument("output_dir", type=Path)
    parser.add_argument("--kills", type=option_type(PositiveInt), default=10)
    parser.add_argument(
        "--seed", type=option_type(Seed), default=0, help="of the moments of the kills"
    )
    parser.add_argument("overrides", nargs="*", help="of train.py")
    arguments = parser.parse_intermixed_args()
    with concise_errors(raised_as=SystemExit):
        soak(arguments.output_dir, arguments.kills, arguments.seed, arguments.overrides)


def soak(folder: Path, kills: int, seed: int, overrides: Sequence[str]) -> None:
    """Compares a run that is killed with one that is not.

    Raises:
        ValueError: The folder is in use, a run fails by itself, or the two ends differ.
    """
    if folder.exists() and any(folder.iterdir()):
        raise ValueError(f"output_dir must be empty or new, got {folder}")
    command = [sys.executable, "train.py", *DEFAULTS, *overrides]
    alone, killed = folder / "alone", folder / "killed"
    begin = time.monotonic()
    if (status := start(command, alone).wait()) != 0:
        raise ValueError(f"the run left alone ended with status {status}; see {alone}")
    duration = time.monotonic() - begin
    print(f"left alone: {duration:.1f} s")
    moments = random.Random(seed)
    for kill in tqdm(range(kills), unit="kill", disable=None):
        process = start(command, killed)
        wait_for_progress(process, killed)
        print(kill_after(process, moments.uniform(0, MOST) * duration, killed, kill + 1))
    if (status := start(command, killed).wait()) != 0:
        raise ValueError(f"the killed run ended with status {status}; see {killed}")
    differences = list(compare(alone, killed))
    if differences:
        raise ValueError(f"the two runs differ in {', '.join(differences)}")
    print(f"after {kills} kills all weights, optimiser states, results and validations are equal")


def start(command: Sequence[str], folder: Path) -> subprocess.Popen[bytes]:
    """Starts a run in a session of its own, so that its workers can be killed with it."""
    folder.mkdir(parents=True, exist_ok=True)
    with open(folder / "output.txt", "ab") as output:
        return subprocess.Popen(
            [*command, f"output_dir={folder}", "trainer.progress=false"],
            cwd=ROOT,
            stdout=output,
            stderr=output,
            start_new_session=True,
        )


def wait_for_progress(process: subprocess.Popen[bytes], folder: Path) -> None:
    """Waits until a start has written a checkpoint, or has ended."""
    last = folder / "checkpoints" / "last.pt"
    before = last.stat().st_mtime_ns if last.exists() else 0
    while process.poll() is None and (not last.exists() or last.stat().st_mtime_ns == before):
        time.sleep(0.001)


def kill_after(process: subprocess.Popen[bytes], seconds: float, folder: Path, number: int) -> str:
    """Kills a run with all its workers after some seconds; returns a line about it."""
    try:
        process.wait(seconds)
        return f"kill {number}: the run was over before"
    except subprocess.TimeoutExpired:
        os.killpg(process.pid, signal.SIGKILL)
        process.wait()
    last = folder / "checkpoints" / "last.pt"
    step = load_checkpoint(last)["step"] if last.exists() else None
    return f"kill {number}: {seconds:.2f} s after a checkpoint; the last one is of step {step}"


def compare(one: Path, other: Path) -> Iterator[str]:
    """Yields the names of what differs between two runs."""
    checkpoints = [load_checkpoint(folder / "checkpoints" / "last.pt") for folder in (one, other)]
    flat = [dict(leaves(checkpoint)) for checkpoint in checkpoints]
    for name in sorted(flat[0].keys() | flat[1].keys()):
        a, b = (part.get(name) for part in flat)
        same = torch.equal(a, b) if isinstance(a, Tensor) and isinstance(b, Tensor) else a == b
        if not same and name not in TIMES and name != "config.output_dir":
            yield name
    results = [read_json(folder / "result.json") for folder in (one, other)]
    yield from (n for n in results[0] if n not in TIMES and results[0][n] != results[1].get(n))
    tables = [(folder / "validation.csv").read_bytes() for folder in (one, other)]
    if tables[0] != tables[1]:
        yield "validation.csv"


def leaves(node: object, prefix: str = "") -> Iterator[tuple[str, object]]:
    """Yields what lies in nested containers, by dotted name."""
    if isinstance(node, Mapping):
        children = [(str(key), value) for key, value in node.items()]
    elif isinstance(node, list | tuple):
        children = [(str(index), value) for index, value in enumerate(node)]
    else:
        yield prefix, node
        return
    for name, child in children:
        yield from leaves(child, f"{prefix}.{name}" if prefix else name)


if __name__ == "__main__":
    main()
