"""Rows of finished objects survive a kill, and nothing else is taken for one."""

from __future__ import annotations

import json
import logging
import math
from pathlib import Path

import pytest

from recon.evaluation.result import ObjectResult
from recon.evaluation.rows import EvaluationRows


def row(name: str, value: float = 0.1) -> ObjectResult:
    return ObjectResult(
        name, f"the {name}", "chair", (0, 3), {"model": {"iou": value}}, {"iou": (0.0, 2 * value)}
    )


@pytest.fixture
def path(tmp_path: Path) -> Path:
    path = tmp_path / "rows.jsonl"
    rows = EvaluationRows(path, "this")
    rows.add("shape", [row("a"), row("b", 1 / 3)])
    rows.add("shape", [row("ç", math.nan)])
    return path


def test_rows_come_back_exactly(path: Path) -> None:
    done = EvaluationRows(path, "this").done("shape")
    assert list(done) == ["a", "b", "ç"]
    assert done["b"] == row("b", 1 / 3)
    assert math.isnan(done["ç"].scores["model"]["iou"])
    assert EvaluationRows(path, "this").done("color") == {}
    for line in path.read_text().splitlines():
        assert json.loads(line, parse_constant=pytest.fail)["part"] == "shape"


@pytest.mark.parametrize("cut", range(1, 130, 16))
def test_a_torn_line_is_left_out_wherever_it_broke(
    path: Path, cut: int, caplog: pytest.LogCaptureFixture
) -> None:
    whole = path.read_bytes()
    path.write_bytes(whole[:-cut])
    with caplog.at_level(logging.WARNING):
        rows = EvaluationRows(path, "this")
    assert list(rows.done("shape")) == ["a", "b"]
    assert "left out 1 damaged or foreign lines" in caplog.text
    rows.add("shape", [row("ç", math.nan)])
    assert path.read_bytes() == whole  # the torn line is not in the way of the new one


def test_a_changed_or_foreign_line_is_left_out(path: Path) -> None:
    lines = path.read_text().splitlines(keepends=True)
    path.write_text("".join([lines[0].replace("0.1", "0.9"), "\x00\xff{\n", *lines[1:]]))
    assert list(EvaluationRows(path, "this").done("shape")) == ["b", "ç"]
    assert list(EvaluationRows(path, "this").done("shape")) == ["b", "ç"]
    # The rows of another evaluation, whatever the name of the file.
    assert EvaluationRows(path, "other").done("shape") == {}


def test_parts_of_an_object_are_put_together(tmp_path: Path) -> None:
    rows = EvaluationRows(tmp_path / "rows.jsonl", "this")
    rows.add("shape", [row("a"), row("b")])
    color = ObjectResult("a", "", "chair", (0, 3), {"model": {"l1": 0.5}, "mean": {"l1": 1.0}}, {})
    rows.add("color", [color])
    (merged,) = rows.merged(["shape", "color"], ["a"])
    assert merged.scores == {"model": {"iou": 0.1, "l1": 0.5}, "mean": {"l1": 1.0}}
    assert (merged.name, merged.per_view) == ("the a", {"iou": (0.0, 0.2)})
    with pytest.raises(KeyError):
        rows.merged(["shape", "color"], ["b"])


def test_what_cannot_be_written_is_named(tmp_path: Path) -> None:
    path = tmp_path / "folder.jsonl"
    rows = EvaluationRows(path, "this")
    path.mkdir()
    with pytest.raises(OSError, match=r"could not write .*folder\.jsonl: Is a directory"):
        rows.add("shape", [row("a")])
    assert rows.done("shape") == {}
