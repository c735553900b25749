"""Profiles training steps: a table of the time of each part, and a trace."""

from __future__ import annotations

from pathlib import Path
from statistics import median

import torch
from torch.profiler import ProfilerActivity, profile
from tqdm import tqdm

from recon.files import atomic_file, replacing
from recon.training.trainer import Trainer

# The first steps choose kernels and fill caches.
WARM_UP, MEASURED, TRACED = 3, 12, 2


def profile_training(trainer: Trainer, folder: Path) -> str:
    """Takes some steps of a run that is thrown away, and writes `profile.txt` and `trace.json`.

    Args:
        trainer: A trainer that has taken no step yet; its weights change.
        folder: The folder of both files, which the first process makes and writes; `trace.json`
            is for chrome://tracing or Perfetto.

    Returns:
        The table: milliseconds per step of each part, and its share. Parts named `..._backward`
        lie inside `backward`; the rest is what no part accounts for, and medians do not add up.

    Raises:
        OSError: A file could not be written.
    """
    rows = []
    for number in tqdm(range(WARM_UP + MEASURED), desc="profile", unit="step", disable=None):
        _step(trainer, number)
        rows.append(trainer.timer.flush())
    # Medians: another program may take the processor for a while.
    seconds = {name: median(row[name] for row in rows[WARM_UP:]) for name in rows[-1]}
    activities = [ProfilerActivity.CPU]
    if trainer.device.type == "cuda":
        activities.append(ProfilerActivity.CUDA)
    with profile(activities=activities) as trace:
        for number in range(TRACED):
            _step(trainer, WARM_UP + MEASURED + number)
    table = _table(seconds, trainer)
    if not trainer.processes.is_first:
        return table
    folder.mkdir(parents=True, exist_ok=True)
    with replacing(folder / "trace.json") as temporary:
        trace.export_chrome_trace(str(temporary))
    with atomic_file(folder / "profile.txt") as file:
        file.write(f"{table}\n".encode())
    return table


def _step(trainer: Trainer, number: int) -> None:
    trainer.timer.active = True
    trainer.timer.begin_step()
    with trainer.timer.part("data"):
        batch = trainer.batches[number]
    trainer.take_step(batch)


def _table(seconds: dict[str, float], trainer: Trainer) -> str:
    whole = seconds["step"]
    parts = {name: value for name, value in seconds.items() if name != "step"}
    inside = sum(value for name, value in parts.items() if not name.endswith("_backward"))
    images = trainer.batch_size * trainer.views_per_object
    rows = [
        f"{trainer.batch_size} objects x {trainer.views_per_object} views per step,"
        f" {trainer.processes.world_size} process(es), {torch.get_num_threads()} threads,"
        f" {trainer.device}, {str(trainer.precision).removeprefix('torch.')};"
        f" median of {MEASURED} steps",
        f"{'part':<18}{'ms':>9}{'share':>9}",
        *(_row(name, value, whole) for name, value in {**parts, "rest": whole - inside}.items()),
        _row("step", whole, whole),
        f"{images / whole:.0f} images/s; reading alone {images / seconds['data']:.0f} images/s",
    ]
    return "\n".join(rows)


def _row(name: str, value: float, whole: float) -> str:
    return f"{name:<18}{1e3 * value:>9.2f}{100 * value / whole:>8.1f}%"
