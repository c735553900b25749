"""The first contact with a GPU, dry-run on the CPU: all stages but those of CUDA."""

from __future__ import annotations

import json
import subprocess
import sys
from pathlib import Path
from typing import Any

import pytest

ROOT = Path(__file__).resolve().parents[2]


@pytest.fixture
def contact(monkeypatch: pytest.MonkeyPatch) -> Any:
    monkeypatch.syspath_prepend(str(ROOT / "scripts"))
    import first_gpu_contact

    return first_gpu_contact


def run(*arguments: str) -> subprocess.CompletedProcess[str]:
    command = [sys.executable, "scripts/first_gpu_contact.py", *arguments]
    return subprocess.run(command, cwd=ROOT, capture_output=True, text=True, timeout=560)


def test_a_dry_run_on_the_cpu_writes_all_that_it_measures(tmp_path: Path) -> None:
    output = tmp_path / "results" / "contact.json"
    stages = (
        "facts",
        "build",
        "smoke",
        "shapes",
        "synchronisation",
        "baseline",
        "benchmark",
        "fit",
    )
    done = run("--device", "cpu", "--output", str(output), "--only", *stages)
    assert done.returncode == 0, done.stdout + done.stderr
    results = json.loads(output.read_text())
    assert list(results) == list(stages)
    assert {result["status"] for result in results.values()} == {"done"}
    assert len(results["smoke"]["rows"]) == 45
    assert all(row["passed"] for row in results["smoke"]["rows"].values())
    assert results["baseline"]["rows"]["brute force"]["note"] == "needs CUDA"
    assert all(row["measured"] > 0 for row in results["benchmark"]["rows"].values())
    assert len(done.stdout.splitlines()) <= 40
    assert "smoke: done" in done.stdout
    assert "45 checks passed" in done.stdout


def test_a_stage_that_fails_or_hangs_does_not_stop_the_others(contact: Any, tmp_path: Path) -> None:
    python = sys.executable
    stages = [
        contact.Stage("broken", 60, (python, "-c", "raise SystemExit('on fire')")),
        contact.Stage("endless", 0.1, (python, "-c", "while True: pass")),
        contact.Stage("missing", 60, ("no-such-tool", "--version")),
        contact.Stage("good", 60, (python, "-c", "print('all is well')")),
    ]
    output, results = tmp_path / "contact.json", {}
    contact.run_all(stages, "cpu", 300, output, results)
    assert json.loads(output.read_text()) == results
    assert results["broken"]["status"] == "failed"
    assert results["broken"]["note"] == "on fire"
    assert results["endless"]["status"] == "timed out"
    assert results["missing"]["note"] == "no-such-tool is not installed"
    assert results["good"]["status"] == "done"
    assert "broken: failed in 0 s: on fire" in contact.table(results)


def test_what_does_not_fit_into_the_time_is_skipped(contact: Any, tmp_path: Path) -> None:
    results: dict[str, Any] = {}
    contact.run_all(contact.CORE[:2], "cpu", 0, tmp_path / "contact.json", results)
    assert [result["note"] for result in results.values()] == ["no time was left"] * 2


def test_the_table_has_the_ratio_and_forty_lines_at_most(contact: Any) -> None:
    rows = {f"case {i}": {"measured": 3.0, "expected": 2.0, "unit": "ms"} for i in range(60)}
    rows["wrong"] = {"passed": False, "note": "bits differ"}
    text = contact.table({"benchmark": {"status": "failed", "seconds": 2.0, "rows": rows}})
    lines = text.splitlines()
    assert len(lines) == 40
    assert lines[2].split() == ["case", "0", "2", "3", "1.50", "ms"]
    assert lines[-1] == "... 24 more lines in the file"
    failed = {"smoke": {"status": "failed", "seconds": 1.0, "rows": {"wrong": rows["wrong"]}}}
    assert "FAILED bits differ" in contact.table(failed)


@pytest.mark.parametrize(
    ("arguments", "message"),
    [
        ([], "--output FILE.json is needed"),
        (["--output", "x.json", "--only", "magic"], "no stage is called magic; there are"),
    ],
)
def test_bad_arguments_are_refused(
    contact: Any, arguments: list[str], message: str, capsys: pytest.CaptureFixture[str]
) -> None:
    with pytest.raises(SystemExit, match="2"):
        contact.parse(arguments)
    assert message in capsys.readouterr().err
