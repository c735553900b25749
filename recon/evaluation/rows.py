"""Rows of finished objects, so that a broken evaluation goes on where it was.

Each line of a rows file holds one object's values of one part of an evaluation, and a checksum over
them and the evaluation's fingerprint. So a line which is torn, damaged or of another evaluation is
found: it is left out, and its object is scored again.
"""

from __future__ import annotations

import json
import logging
import os
import zlib
from collections.abc import Iterable, Mapping
from dataclasses import replace
from pathlib import Path
from typing import Any

from recon.evaluation.result import ObjectResult, object_from_json, plain
from recon.files import write_text

log = logging.getLogger(__name__)


class EvaluationRows:
    """The rows file of one evaluation.

    Args:
        path: The path of the rows file. Rows of this evaluation in an existing file are read.
        fingerprint: The fingerprint of everything that determines the values.

    Raises:
        OSError: The file cannot be read, or cannot be repaired.
    """

    def __init__(self, path: Path, fingerprint: str) -> None:
        self.path, self._fingerprint = path, fingerprint
        self._rows: dict[str, dict[str, ObjectResult]] = {}
        self._load()

    def done(self, part: str) -> Mapping[str, ObjectResult]:
        """Returns the finished objects of a part by id."""
        return self._rows.get(part, {})

    def add(self, part: str, rows: Iterable[ObjectResult]) -> None:
        """Appends finished objects; they are on the disk when the call returns.

        Raises:
            OSError: The file could not be written; the message names it, and earlier objects are
                kept.
        """
        new = list(rows)
        text = "".join(self._line(part, row) for row in new)
        try:
            self.path.parent.mkdir(parents=True, exist_ok=True)
            with open(self.path, "a", encoding="utf-8") as file:
                file.write(text)
                file.flush()
                os.fsync(file.fileno())
        except OSError as error:
            raise OSError(f"could not write {self.path}: {error.strerror}") from error
        self._rows.setdefault(part, {}).update({row.id: row for row in new})

    def merged(self, parts: Iterable[str], ids: Iterable[str]) -> list[ObjectResult]:
        """Returns objects with the values of several parts together.

        Raises:
            KeyError: A part of the evaluation lacks one of the objects.
        """
        tables = [self._rows.get(part, {}) for part in parts]
        return [_joined([table[id_] for table in tables]) for id_ in ids]

    def _load(self) -> None:
        """Reads the lines that are whole, and writes the file anew when others are among them."""
        if not self.path.exists():
            return
        lines = self.path.read_bytes().decode("utf-8", errors="replace").splitlines(keepends=True)
        whole = [line for line in lines if self._read(line)]
        if len(whole) < len(lines):
            log.warning(
                "%s: left out %d damaged or foreign lines, whose objects are scored again",
                self.path,
                len(lines) - len(whole),
            )
            write_text(self.path, "".join(whole))

    def _read(self, line: str) -> bool:
        """Keeps the object of a line; tells whether it is whole and of this evaluation."""
        try:
            content = json.loads(line)
            part, row = content["part"], object_from_json(content["row"])
        except (ValueError, KeyError, TypeError, AttributeError):
            return False
        if line != self._line(part, row):
            return False
        self._rows.setdefault(part, {})[row.id] = row
        return True

    def _line(self, part: str, row: ObjectResult) -> str:
        content: dict[str, Any] = {"part": part, "row": plain(vars(row))}
        checked = f"{self._fingerprint} {json.dumps(content)}"
        return json.dumps({**content, "crc32": f"{zlib.crc32(checked.encode()):08x}"}) + "\n"


def _joined(parts: list[ObjectResult]) -> ObjectResult:
    scores: dict[str, dict[str, float]] = {}
    per_view: dict[str, tuple[float, ...]] = {}
    for part in parts:
        per_view |= part.per_view
        for predictor, values in part.scores.items():
            scores.setdefault(predictor, {}).update(values)
    return replace(parts[0], scores=scores, per_view=per_view)
