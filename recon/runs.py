"""A run directory: where one training run keeps its settings, checkpoints and result.

    OUTPUT_DIR/
      settings.json        the resolved configuration of the last start
      checkpoints/last.pt  where a broken run continues
      checkpoints/best.pt  the best validation so far
      tensorboard/         scalars and images
      result.json          written when the run is finished

Typing the command of a run again continues it when it broke, and repeats its result when it is
finished. Another configuration in the same directory is refused.
"""

from __future__ import annotations

import fcntl
import json
from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from pathlib import Path
from typing import Any

from recon.atomic_files import SUFFIX, atomic_file
from recon.checkpoints import load_checkpoint, save_checkpoint

# What may differ between two starts of one run: how long and how often, where, and on what. None
# of these changes which numbers a step computes (other than by the rounding of another device).
FREE_SETTINGS = (
    "output_dir",
    "data.cache",
    "data.train.cache",
    "trainer.max_steps",
    "trainer.log_every",
    "trainer.image_every",
    "trainer.checkpoint_every",
    "trainer.validate_every",
    "trainer.num_workers",
    "trainer.device",
    "trainer.progress",
)


class RunDirectory:
    """The files of one run.

    Args:
        path: the folder; `writing` makes it.
        settings: the resolved configuration of this start, plain dicts, lists and scalars.

    Raises:
        ValueError: the folder holds a run of other settings which has a checkpoint or a result.
    """

    def __init__(self, path: str | Path, settings: Mapping[str, Any]) -> None:
        self.path = Path(path)
        self.settings = dict(settings)
        self.checkpoints = self.path / "checkpoints"
        self.tensorboard = self.path / "tensorboard"
        self._settings_path = self.path / "settings.json"
        self._result_path = self.path / "result.json"
        if self._settings_path.exists() and (self.last.exists() or self._result_path.exists()):
            refuse_other_settings(read_json(self._settings_path), self.settings, self.path)

    @property
    def last(self) -> Path:
        """Where the newest checkpoint lies."""
        return self.checkpoints / "last.pt"

    @property
    def best(self) -> Path:
        """Where the checkpoint of the best validation lies."""
        return self.checkpoints / "best.pt"

    @contextmanager
    def writing(self) -> Iterator[None]:
        """Make the folders and record the settings; keep other writers out during the block.

        Entered when training can start, so that a start which failed before (no data, a bad value)
        leaves nothing which would refuse the mended command.

        Raises:
            ValueError: another process is writing here.
            OSError: the folder is not writable.
        """
        self.checkpoints.mkdir(parents=True, exist_ok=True)
        with open(self.path / ".lock", "w") as lock:
            try:
                # Record locks end with the process and are not inherited by its data workers.
                fcntl.lockf(lock, fcntl.LOCK_EX | fcntl.LOCK_NB)
            except BlockingIOError as error:
                raise ValueError(f"{self.path}: another process is training here") from error
            for unfinished in self.checkpoints.glob(f".*{SUFFIX}"):  # of a process which was killed
                unfinished.unlink()
            write_json(self._settings_path, self.settings)
            yield

    def result(self, max_steps: int) -> dict[str, Any] | None:
        """The stored result when the run is finished, that is, has done `max_steps` or more."""
        if not self._result_path.exists():
            return None
        result = read_json(self._result_path)
        return result if result.get("step", -1) >= max_steps else None

    def finish(self, result: Mapping[str, Any]) -> None:
        """Store the result of a finished run."""
        write_json(self._result_path, result)

    def resume(self) -> dict[str, Any] | None:
        """The newest checkpoint, or None when there is none yet.

        Raises:
            ValueError: it is not readable or was made with other settings.
        """
        if not self.last.exists():
            return None
        checkpoint = load_checkpoint(self.last)
        refuse_other_settings(checkpoint["config"], self.settings, self.last)
        return checkpoint

    def save(self, content: Mapping[str, Any], *, best: bool = False) -> None:
        """Write `last.pt`, or `best.pt`, with this run's settings as its `config`."""
        save_checkpoint(self.best if best else self.last, {**content, "config": self.settings})


def refuse_other_settings(
    stored: Mapping[str, Any], current: Mapping[str, Any], where: Path
) -> None:
    """Raise when two configurations differ in more than `FREE_SETTINGS`.

    Raises:
        ValueError: they differ; the message names each key with both values.
    """
    before, after = flatten_settings(stored), flatten_settings(current)
    absent = "(absent)"
    changed = [
        f"{key}: {before.get(key, absent)} -> {after.get(key, absent)}"
        for key in sorted(before.keys() | after.keys())
        if key not in FREE_SETTINGS and before.get(key, absent) != after.get(key, absent)
    ]
    if changed:
        raise ValueError(
            f"{where} holds a run with other settings; choose another output_dir, or remove it. "
            f"Changed: {'; '.join(changed)}"
        )


def flatten_settings(node: object, prefix: str = "") -> dict[str, object]:
    """Nested settings as one dict of dotted names, lists by index."""
    if isinstance(node, Mapping):
        children = [(str(key), value) for key, value in node.items()]
    elif isinstance(node, list | tuple):
        children = [(str(index), value) for index, value in enumerate(node)]
    else:
        return {prefix: node}
    flat: dict[str, object] = {prefix: "(empty)"} if prefix and not children else {}
    for name, value in children:
        flat.update(flatten_settings(value, f"{prefix}.{name}" if prefix else name))
    return flat


def read_json(path: Path) -> dict[str, Any]:
    """Read a JSON object.

    Raises:
        ValueError: the file is not a JSON object; the message names it.
    """
    try:
        content = json.loads(path.read_text(encoding="utf-8"))
    except ValueError as error:
        raise ValueError(f"{path}: not readable as JSON ({error})") from error
    if not isinstance(content, dict):
        raise ValueError(f"{path}: holds no JSON object")
    return content


def write_json(path: Path, content: object) -> None:
    """Write JSON atomically, keys in the order given."""
    with atomic_file(path) as file:
        file.write((json.dumps(content, indent=2) + "\n").encode())
