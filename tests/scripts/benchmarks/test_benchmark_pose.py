"""The benchmark of poses runs as its users run it, and goes on where it was interrupted."""

from __future__ import annotations

import csv
import os
import re
import signal
from dataclasses import replace
from pathlib import Path

import pytest
from PIL import Image

from recon.runs.directory import read_json

SCRIPTS = Path(__file__).parents[3] / "scripts" / "benchmarks"
SMALL = ["--objects", "cube", "--problems", "3", "--image-size", "16", "--degrees", "10", "30"]


@pytest.fixture
def benchmark(monkeypatch: pytest.MonkeyPatch):  # type: ignore[no-untyped-def]
    monkeypatch.syspath_prepend(str(SCRIPTS))
    import benchmark_pose
    import pose_cases

    for name in ("COARSE", "FINE"):
        stage = replace(getattr(pose_cases, name), steps=8, image_size=16)
        monkeypatch.setattr(pose_cases, name, stage)
    monkeypatch.setattr(pose_cases, "PoseFitter", short_fitter(pose_cases.PoseFitter, pose_cases))
    return benchmark_pose


def short_fitter(fitter, cases):  # type: ignore[no-untyped-def]
    def make(coarse=None, fine=None, **options):  # type: ignore[no-untyped-def]
        return fitter(coarse or cases.COARSE, fine or cases.FINE, **options)

    return make


def test_tables_errors_and_images_are_written(benchmark, tmp_path: Path, capsys) -> None:  # type: ignore[no-untyped-def]
    benchmark.main([str(tmp_path), *SMALL, "--methods", "channels", "multi", "--starts", "2"])
    printed = capsys.readouterr().out
    content = read_json(tmp_path / "errors.json")
    assert content["settings"] == {"problems": 3, "image_size": 16, "seed": 1}
    assert [(row["method"], row["degrees"]) for row in content["rows"]] == [
        ("channels", 10),
        ("channels", 30),
        ("multi", 10),
        ("multi", 30),
    ]
    assert all(len(row["errors"]) == len(row["apart"]) == 3 for row in content["rows"])
    table = (tmp_path / "table.md").read_text()
    assert table.strip() in printed
    assert "| cube | multi, 2 starts | " in table
    assert "| object | method | 10° | 30° | seconds |" in table
    with (tmp_path / "table.csv").open() as file:
        rows = list(csv.DictReader(file))
    for row, exact in zip(rows, content["rows"], strict=True):
        solved = sum(error < 10 for error in exact["errors"])
        assert float(row["solved"]) == pytest.approx(100 * solved / 3, abs=0.1)
    assert Image.open(tmp_path / "cube_channels_10.png").size == (3 * 128, 3 * 128)


def test_an_interrupted_benchmark_keeps_its_rows_and_goes_on(  # type: ignore[no-untyped-def]
    benchmark, tmp_path: Path, capsys, monkeypatch: pytest.MonkeyPatch
) -> None:
    solve, calls = benchmark.solve, []

    def interrupted_at_second(*arguments: object):  # type: ignore[no-untyped-def]
        calls.append(1)
        if len(calls) == 2:
            os.kill(os.getpid(), signal.SIGINT)
        return solve(*arguments)

    monkeypatch.setattr(benchmark, "solve", interrupted_at_second)
    arguments = [str(tmp_path), *SMALL, "--methods", "channels"]
    with pytest.raises(SystemExit) as stopped:
        benchmark.main(arguments)
    assert stopped.value.code == 128 + signal.SIGINT
    assert "interrupted" in capsys.readouterr().out
    first = read_json(tmp_path / "errors.json")["rows"]
    assert [row["degrees"] for row in first] == [10]
    benchmark.main(arguments)
    assert len(calls) == 3
    rows = read_json(tmp_path / "errors.json")["rows"]
    assert rows[0] == first[0]
    assert [row["degrees"] for row in rows] == [10, 30]


def test_rows_of_other_settings_are_not_mixed(benchmark, tmp_path: Path) -> None:  # type: ignore[no-untyped-def]
    arguments = [str(tmp_path), *SMALL, "--methods", "channels"]
    benchmark.main([*arguments[:-1], "channels", "--degrees", "10"])
    before = (tmp_path / "errors.json").read_bytes()
    with pytest.raises(SystemExit, match="name another folder"):
        benchmark.main([*arguments, "--seed", "2"])
    assert (tmp_path / "errors.json").read_bytes() == before


def test_every_method_has_the_same_problems(benchmark, tmp_path: Path) -> None:  # type: ignore[no-untyped-def]
    seen = []

    def remember(problems, interruption):  # type: ignore[no-untyped-def]
        seen.append(problems)
        return problems.start

    options = benchmark.parse([str(tmp_path), *SMALL])
    interruption = benchmark.Interruption()
    cube = benchmark.read_object("cube")
    rows = [
        benchmark.solve(cube, remember, False, degrees, options, interruption)[0]
        for degrees in (30.0, 30.0, 10.0)
    ]
    assert rows[0]["errors"] == pytest.approx([30] * 3, abs=0.01)
    assert rows[2]["errors"] == pytest.approx([10] * 3, abs=0.01)
    assert (seen[0].images == seen[1].images).all()
    assert benchmark.percent([1, 9.99, 10, 11]) == 50


@pytest.mark.parametrize(
    ("arguments", "expected"),
    [
        (["--problems", "0"], "--problems: must be a whole number >= 1"),
        (["--degrees", "200"], "--degrees: must be a finite number >= 0 and <= 180"),
        (["--methods", "magic"], "methods must be of"),
        (["--objects", "absent.obj"], "no mesh file absent.obj"),
    ],
)
def test_bad_arguments_are_named(  # type: ignore[no-untyped-def]
    benchmark, tmp_path: Path, capsys, arguments: list[str], expected: str
) -> None:
    with pytest.raises(SystemExit) as stopped:
        benchmark.main([str(tmp_path), *arguments])

    assert re.search(expected, f"{stopped.value.code}{capsys.readouterr().err}")


def test_the_landscape_is_drawn_alone(  # type: ignore[no-untyped-def]
    benchmark, tmp_path: Path, capsys, monkeypatch: pytest.MonkeyPatch
) -> None:
    import pose_landscape

    monkeypatch.setattr(pose_landscape, "LINES", 1)
    monkeypatch.setattr(pose_landscape, "ANGLES", 12)
    benchmark.main([str(tmp_path / "new"), "--landscape"])
    assert {path.name for path in (tmp_path / "new").iterdir()} == {
        "landscape.png",
        "landscape.md",
    }
    assert "| loss | percent |" in capsys.readouterr().out
