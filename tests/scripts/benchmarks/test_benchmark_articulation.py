"""The benchmark of joint fitting measures what it says, on few and small poses."""

from __future__ import annotations

import csv
import sys
from dataclasses import replace
from pathlib import Path

import pytest
import torch
from PIL import Image

from recon.fitting.articulation.fitter import ArticulatedPoses, ArticulationFitter
from recon.fitting.articulation.humanoid import make_humanoid
from recon.fitting.articulation.scores import random_cases
from recon.fitting.stages import SoftStage
from recon.runs.directory import read_json
from recon.visualization.contact_sheet import GAP, LINE

sys.path.insert(0, str(Path(__file__).parents[3] / "scripts" / "benchmarks"))
import benchmark_articulation as benchmark


@pytest.fixture(autouse=True)
def few_steps(monkeypatch: pytest.MonkeyPatch) -> None:
    stage = SoftStage(2, 24, (1e-3, 1e-3), (0.3, 0.3), (0.05, 0.05))
    fitters = dict.fromkeys(benchmark.fitters(), ArticulationFitter(stage, stage))
    monkeypatch.setattr(benchmark, "fitters", lambda: fitters)


def test_tables_and_images_are_written(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    folder = tmp_path / "run"
    small = ["--poses", "2", "--image-size", "24", "--shown", "1"]
    benchmark.main([str(folder), *small, "--methods", "soft", "one colour", "shapes found"])
    names = ["soft", "one colour", "shapes found"]
    assert [row["method"] for row in read_json(folder / "result.json")["rows"]] == names
    rows = list(csv.DictReader((folder / "table.csv").open()))
    assert [row["method"] for row in rows] == names
    assert float(rows[2]["coefficients off before"]) > 0
    assert float(rows[0]["coefficients off after"]) == 0
    # The same poses for the first two methods.
    before = [row["all, mean degrees before"] for row in rows]
    assert before[0] == before[1]
    text = (folder / "table.md").read_text()
    assert text in capsys.readouterr().out + "\n"
    lines = text.splitlines()
    assert len({line.count("|") for line in lines[2:]}) == 1
    assert [line.split("|")[1].strip() for line in lines[4:]] == ["start", *names]
    assert Image.open(folder / "one_colour.png").size == (5 * (160 + GAP) + GAP, LINE + 160 + GAP)


def test_the_summary_of_the_truth_is_without_error() -> None:
    body = make_humanoid()
    cases = random_cases(body, 3, 24, 0, reshape=True)
    row = benchmark.Row("soft", body, cases, cases.truth, 0.0)
    groups, summary = row.groups(), row.summary()
    assert summary["all, joints"] == 33
    assert summary["hidden in the image, joints"] == int((cases.visible < 0.15).sum()) > 0
    assert summary["all, mean degrees after"] < 1e-3
    assert summary["coefficients off after"] == 0
    assert summary["coefficients off before"] > 0
    no_joint = replace(cases, visible=torch.ones_like(cases.visible))
    nothing = benchmark.Row("soft", body, no_joint, cases.truth, 0.0).summary()
    assert nothing["hidden in the image, mean degrees after"] is None
    assert "| - (-) |" in benchmark.table([nothing])
    turned = cases.truth.angles.clone()
    turned[groups["hidden in the image"]] = 0
    found = ArticulatedPoses(turned, cases.truth.translation, cases.truth.coefficients)
    summary = benchmark.Row("soft", body, cases, found, 0.0).summary()
    assert summary["hidden in the image, mean degrees after"] > 5
    assert torch.isfinite(torch.tensor(summary["all, mean % of height after"]))


def test_bad_command_lines_are_refused(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    with pytest.raises(SystemExit, match="2"):
        benchmark.main([str(tmp_path), "--poses", "0"])
    assert "--poses: must be a whole number >= 1" in capsys.readouterr().err
    (tmp_path / "file").write_text("")
    with pytest.raises(SystemExit, match=r"error: .*file"):
        benchmark.main([str(tmp_path / "file")])
