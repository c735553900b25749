"""A run directory: the configuration, checkpoints and result of one training run.

    OUTPUT_DIR/
      config.json              the resolved configuration of the last start
      checkpoints/last.pt      where a broken run continues
      checkpoints/previous.pt  the one before, should `last.pt` be damaged
      checkpoints/best.pt      the best validation so far
      dumps/step_N.pt          steps whose loss or gradient was not finite, for replay
      validation.csv           all validations
      tensorboard/             scalars, images and meshes
      progress/                meshes of the same few objects at every validation
      result.json              written when the run is finished
      failure.json             the error which ended the last start, if one did

Typing the command of a run again continues it when it broke, and repeats its result when it is
finished. Another configuration in the same directory is refused.

Nothing here needs torch, so that the result of a finished run is there in an instant.
"""

from __future__ import annotations

import csv
import io
import json
from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from pathlib import Path
from typing import Any

from recon.files import SUFFIX, atomic_file, locked
from recon.runs.extension import extended_config, extension_hint
from recon.runs.former_names import current_config

# Keys that may differ between two starts of one run: durations, intervals, places and devices. None
# of them changes the numbers that a step computes (other than by the rounding of another device, or
# of sums over another number of processes).
FREE_KEYS = (
    "output_dir",
    "profile",
    "extend",
    "data.cache",
    "data.train.cache",
    "trainer.max_steps",
    "trainer.log_every",
    "trainer.image_every",
    "trainer.checkpoint_every",
    "trainer.validate_every",
    "trainer.max_skipped_steps",
    "trainer.show_objects",
    "trainer.num_workers",
    "trainer.device",
    "trainer.progress",
)
# A family of keys which say only when to stop.
_FREE_PREFIX = "trainer.stopping"


class RunRefusedError(ValueError):
    """A run directory is in use by another process, or holds a run of another configuration."""


class RunDirectory:
    """The files of one run.

    Args:
        path: The path of the folder, which `writing` creates.
        config: The resolved configuration of this start, plain dicts, lists and scalars. The
            attribute of this name has the schedule that its `extend` asks for.

    Raises:
        RunRefusedError: The folder holds a run of another configuration with a checkpoint or a
            result.
    """

    def __init__(self, path: str | Path, config: Mapping[str, Any]) -> None:
        self.path = Path(path)
        self.checkpoints = self.path / "checkpoints"
        self.dumps = self.path / "dumps"
        self.tensorboard = self.path / "tensorboard"
        self.progress = self.path / "progress"
        self.validations = self.path / "validation.csv"
        self._config_path = self.path / "config.json"
        self._result_path = self.path / "result.json"
        self._failure_path = self.path / "failure.json"
        self.config = current_config(config)
        begun = self._has_checkpoint() or self._result_path.exists()
        stored = read_config(self.path) if begun else None
        if stored is not None:
            self.config = extended_config(stored, self.config)
            refuse_other_config(stored, self.config, self.path)

    def _has_checkpoint(self) -> bool:
        return any(self.checkpoints.glob("*.pt"))

    @contextmanager
    def writing(self) -> Iterator[None]:
        """Makes the folders, records the configuration and keeps other writers out of the block.

        Entered when training can start, so that a start which failed before (no data, a bad value)
        leaves nothing which would refuse the mended command.

        Raises:
            RunRefusedError: Another process is writing in the folder.
            OSError: The folder is not writable.
        """
        self.checkpoints.mkdir(parents=True, exist_ok=True)
        with locked(self.path, "training", RunRefusedError):
            self._remove_unfinished()
            self._failure_path.unlink(missing_ok=True)
            write_json(self._config_path, self.config)
            yield

    def _remove_unfinished(self) -> None:
        """Removes the temporary files of a process which was killed; nobody else writes here."""
        folders = (self.path, self.checkpoints, self.dumps, self.progress, self.path / "profile")
        for folder in folders:
            for unfinished in folder.glob(f".*{SUFFIX}"):
                unfinished.unlink()

    @contextmanager
    def recording_failure(self, active: bool = True) -> Iterator[None]:
        """Writes an error which ends the block as `failure.json`, for those who look at a sweep.

        A refused start is not recorded: the directory belongs to another.

        Args:
            active: Whether this process writes files.
        """
        try:
            yield
        except Exception as error:
            if isinstance(error, RunRefusedError) or not active:
                raise
            self.path.mkdir(parents=True, exist_ok=True)
            content = {"error": type(error).__name__, "message": str(error)}
            write_json(self._failure_path, {**content, "step": getattr(error, "step", None)})
            raise

    def result(self, max_steps: int) -> dict[str, Any] | None:
        """Returns the stored result when the run is finished: stopped early, or at `max_steps`.

        Raises:
            ValueError: The file is not the result of a run; the message names it.
        """
        if not self._result_path.exists():
            return None
        result = read_result(self._result_path)
        done = result.get("stopped") is not None or result["step"] >= max_steps
        return result if done else None

    def finish(self, result: Mapping[str, Any]) -> None:
        """Stores the result of a finished run."""
        write_json(self._result_path, result)

    def add_validation(self, step: int, metrics: Mapping[str, float]) -> None:
        """Writes a row of `validation.csv`; rows of this step and later, of a broken start, go.

        Raises:
            ValueError: The file is not a table of validations.
            OSError: The file could not be written; it is then unchanged.
        """
        rows = [row for row in read_validations(self.validations) if row["step"] < step]
        rows.append({"step": step, **metrics})
        names = list(dict.fromkeys(name for row in rows for name in row))
        text = io.StringIO()
        writer = csv.DictWriter(text, names, lineterminator="\n")
        writer.writeheader()
        writer.writerows(rows)
        with atomic_file(self.validations) as file:
            file.write(text.getvalue().encode())


def read_config(path: Path) -> dict[str, Any] | None:
    """Reads the configuration of a run directory, with the names and keys of today.

    Returns:
        None where there is none yet.

    Raises:
        ValueError: The file is not a JSON object; the message names it.
    """
    for name in ("config.json", "settings.json"):  # the latter is the name of former versions
        if (path / name).exists():
            return current_config(read_json(path / name))
    return None


def read_validations(path: Path) -> list[dict[str, float]]:
    """Reads a `validation.csv`: a row of metrics by name for each validation, "step" among them.

    Returns:
        No rows when there is no such file.

    Raises:
        ValueError: The file is no table of numbers with a column `step`; the message names it.
    """
    if not path.exists():
        return []
    try:
        with open(path, newline="", encoding="utf-8") as file:
            rows = [
                {name: float(value) for name, value in row.items() if value}
                for row in csv.DictReader(file)
            ]
        return [{**row, "step": int(row["step"])} for row in rows]
    except (ValueError, TypeError, KeyError, AttributeError) as error:
        raise ValueError(f"{path}: not a table of validations ({error!r})") from error


def refuse_other_config(stored: Mapping[str, Any], current: Mapping[str, Any], where: Path) -> None:
    """Raises when two configurations differ in more than `FREE_KEYS`.

    Raises:
        RunRefusedError: The configurations differ; the message names each key with both values.
    """
    absent = "(absent)"
    if current.get("extend") is not None:  # which says what becomes of the schedule
        stored = {**stored, "schedule": current.get("schedule")}
    before, after = flatten_config(stored), flatten_config(current)
    changed = [
        f"{key}: {before.get(key, absent)} -> {after.get(key, absent)}"
        for key in sorted(before.keys() | after.keys())
        if key not in FREE_KEYS
        and not key.startswith(_FREE_PREFIX)
        and before.get(key, absent) != after.get(key, absent)
    ]
    if changed:
        raise RunRefusedError(
            f"{where} holds a run with another configuration; choose another "
            f"output_dir, or remove it. "
            f"Changed: {'; '.join(changed)}{extension_hint(stored, current)}"
        )


def flatten_config(node: object, prefix: str = "") -> dict[str, object]:
    """Returns a nested configuration as one dict of dotted names, lists by index."""
    if isinstance(node, Mapping):
        children = [(str(key), value) for key, value in node.items()]
    elif isinstance(node, list | tuple):
        children = [(str(index), value) for index, value in enumerate(node)]
    else:
        return {prefix: node}
    flat: dict[str, object] = {prefix: "(empty)"} if prefix and not children else {}
    for name, value in children:
        flat.update(flatten_config(value, f"{prefix}.{name}" if prefix else name))
    return flat


def read_json(path: Path) -> dict[str, Any]:
    """Reads a JSON object.

    Raises:
        ValueError: The file is not a JSON object; the message names it.
    """
    try:
        content = json.loads(path.read_text(encoding="utf-8"))
    except ValueError as error:
        raise ValueError(f"{path}: not readable as JSON ({error})") from error
    if not isinstance(content, dict):
        raise ValueError(f"{path}: holds no JSON object")
    return content


def read_result(path: Path) -> dict[str, Any]:
    """Reads the `result.json` of a training run.

    Raises:
        ValueError: The file is not the result of a run; the message names it.
    """
    result = read_json(path)
    required: dict[str, tuple[Any, bool]] = {
        "step": ("a whole number", _is_whole(result.get("step"))),
        "best_iou": ("a number or null", _is_number_or_none(result.get("best_iou"))),
        "seconds": ("a number or null", _is_number_or_none(result.get("seconds"))),
        "figures": ("a mapping to numbers or null", _are_numbers_or_none(result.get("figures"))),
    }
    for key, (what, right) in required.items():
        if not right:
            raise ValueError(f"{path}: {key} must be {what}, got {result.get(key)!r}")
    return {"best_step": None, **result}


def _is_whole(value: object) -> bool:
    return isinstance(value, int) and not isinstance(value, bool)


def _is_number_or_none(value: object) -> bool:
    return value is None or isinstance(value, float) or _is_whole(value)


def _are_numbers_or_none(value: object) -> bool:
    whole = isinstance(value, Mapping) and all(
        isinstance(one, int | float) for one in value.values()
    )
    return value is None or whole


def write_json(path: Path, content: object) -> None:
    """Writes JSON atomically, keys in the order given."""
    with atomic_file(path) as file:
        file.write((json.dumps(content, indent=2) + "\n").encode())
