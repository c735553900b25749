"""The runs of a sweep as read from disk: their overrides, status and metrics."""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from dataclasses import dataclass, field
from pathlib import Path

import yaml  # type: ignore[import-untyped]

from recon.files import LOCK_FILE, is_locked
from recon.runs.directory import (
    flatten_config,
    read_config,
    read_json,
    read_result,
    read_validations,
)

# Keys that name the folder of a job or its stopping rule are not part of what it tries.
NOT_TRIED = ("output_dir", "trainer.stopping")
FINISHED = ("finished", "stopped")


@dataclass(frozen=True)
class SweptRun:
    """One run of a sweep.

    Args:
        name: The name of the folder of the run.
        overrides: The values of the command line of the run, by their keys.
        config: The resolved configuration by dotted name; empty before the run could start.
        status: `finished`, `stopped` (early, by a rule), `pruned` (by a search), `running`,
            `failed`, or `interrupted`.
        message: Why the run failed, stopped or was pruned, or how many steps it has done.
        metrics: The metrics of the best validation so far, `iou` and `iou_CATEGORY`, in [0, 1].
        seconds: The seconds spent in training, over all starts; None before the run ended.
        validations: The validations in their order, with `step` among the metrics.
    """

    name: str
    overrides: Mapping[str, str]
    config: Mapping[str, object]
    status: str
    message: str = ""
    metrics: Mapping[str, float] = field(default_factory=dict)
    seconds: float | None = None
    validations: tuple[Mapping[str, float], ...] = ()

    @property
    def is_finished(self) -> bool:
        """Whether its metrics are those of a run which ended as it should."""
        return self.status in FINISHED

    def value(self, key: str) -> str | float | None:
        """Returns what it tried for a key, or had by default; None when that is not known."""
        setting = self.config.get(key)
        if isinstance(setting, bool):
            return str(setting).lower()
        text = self.overrides.get(key) if setting is None else str(setting)
        return None if text is None else _number_or_text(text)


def read_sweep(folder: Path) -> tuple[list[SweptRun], dict[str, str]]:
    """Reads all runs directly below a folder.

    Args:
        folder: The folder of the sweep.

    Returns:
        The runs by their names, and for every other folder why it is none.

    Raises:
        ValueError: There is no such folder, or no run in it.
    """
    if not folder.is_dir():
        raise ValueError(f"{folder} is not a folder")
    runs: list[SweptRun] = []
    bad: dict[str, str] = {}
    for path in sorted(folder.iterdir()):
        if not path.is_dir() or path.name.startswith("."):
            continue
        try:
            runs.append(read_run(path))
        except (ValueError, OSError) as error:
            bad[path.name] = str(error)
    if not runs:
        reasons = "; ".join(f"{name}: {reason}" for name, reason in bad.items())
        raise ValueError(f"{folder} holds no run of a sweep{': ' if reasons else ''}{reasons}")
    return runs, bad


def read_run(path: Path) -> SweptRun:
    """Reads one run directory.

    Raises:
        ValueError: The folder is no run directory, or one of its files cannot be read.
        OSError: A file could not be read.
    """
    config = read_config(path)
    result = read_result(path / "result.json") if (path / "result.json").exists() else None
    failure = read_json(path / "failure.json") if (path / "failure.json").exists() else None
    overrides = _read_overrides(path)
    if overrides is None and config is None:
        raise ValueError("no run: neither config.json nor .hydra/overrides.yaml is there")
    validations = tuple(read_validations(path / "validation.csv"))
    flat = flatten_config(config or {})
    if overrides is None:
        overrides = {key: str(value) for key, value in flat.items() if key not in NOT_TRIED}
    status, message = _status(path, result, failure, validations, flat)
    return SweptRun(
        name=path.name,
        overrides=overrides,
        config=flat,
        status=status,
        message=message,
        metrics=_best_metrics(result, validations),
        seconds=_number(result, "seconds"),
        validations=validations,
    )


def _read_overrides(path: Path) -> dict[str, str] | None:
    """Reads the overrides that Hydra records, without `+`; None when there are none recorded."""
    file = path / ".hydra" / "overrides.yaml"
    if not file.exists():
        return None
    try:
        lines = yaml.safe_load(file.read_text(encoding="utf-8"))
    except (yaml.YAMLError, UnicodeDecodeError) as error:
        raise ValueError(f"{file}: not readable as YAML ({error})") from error
    if not isinstance(lines, list):
        raise ValueError(f"{file}: holds no list of overrides")
    pairs = (str(line).lstrip("+").partition("=") for line in lines)
    return {key: value for key, _, value in pairs if key not in NOT_TRIED}


def _status(
    path: Path,
    result: Mapping[str, object] | None,
    failure: Mapping[str, object] | None,
    validations: tuple[Mapping[str, float], ...],
    config: Mapping[str, object],
) -> tuple[str, str]:
    step = f"validated at step {validations[-1]['step']:.0f}" if validations else "not validated"
    far = f"{step} of {config.get('trainer.max_steps', '?')}"
    if is_locked(path / LOCK_FILE):
        return "running", far
    if failure is not None:
        where = "" if failure.get("step") is None else f" (step {failure['step']})"
        return "failed", f"{failure.get('error')}: {failure.get('message')}{where}"
    if result is None:
        return "interrupted", far
    stopped = result.get("stopped")
    if stopped is None:
        return "finished", ""
    return "pruned" if str(stopped).startswith("pruned") else "stopped", str(stopped)


def _best_metrics(
    result: Mapping[str, object] | None, validations: Iterable[Mapping[str, float]]
) -> dict[str, float]:
    metrics = None if result is None else result.get("figures")
    if not isinstance(metrics, Mapping):
        rows = [row for row in validations if "iou" in row]
        metrics = max(rows, key=lambda row: row["iou"], default={})
    return {str(name): float(value) for name, value in metrics.items() if name != "step"}


def _number(result: Mapping[str, object] | None, name: str) -> float | None:
    value = None if result is None else result.get(name)
    return float(value) if isinstance(value, int | float) else None


def _number_or_text(text: str) -> str | float:
    try:
        return float(text)
    except ValueError:
        return text
