"""Tries and measures everything on a machine with a GPU that nobody has seen.

    python scripts/first_gpu_contact.py [--core] [--deep] [--device cpu] --output FILE.json

--core, the default, checks values, synchronisation and capture, and measures; --deep runs NVIDIA's
tools, where they are installed. Every stage is a process of its own with a limit of time; one that
fails or hangs does not stop the others. The results are written after every stage, and a table at
the end has what was expected, what was measured, and their ratio. With --device cpu all but CUDA is
run on a small scale.
"""

from __future__ import annotations

import argparse
import json
import os
import shutil
import subprocess
import sys
import time
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import recon.entry_point  # noqa: F401  (before torch)

from recon.command_line import CommandParser

ROOT = Path(__file__).resolve().parents[1]

# Seconds for all stages of a kind together.
LIMITS = {"core": 330, "deep": 220}
# A dry run may be on a busy machine, where the time says nothing.
DRY_RUN_PATIENCE = 10
TABLE_LINES = 40


@dataclass(frozen=True)
class Stage:
    """One process.

    Args:
        name: What it is called.
        limit: Seconds it may take.
        command: What is run; nothing for a function of `gpu_contact` of the same name.
    """

    name: str
    limit: float
    command: tuple[str, ...] = ()


TESTS = (
    *(sys.executable, "-m", "pytest", "-q", "--confcutdir=tests/renderer_cuda"),
    *("-p", "no:cacheprovider", "tests/renderer_cuda"),
)
CORE = (
    Stage("facts", 30),
    Stage("build", 120),
    Stage("smoke", 60),
    Stage("shapes", 60),
    Stage("synchronisation", 30),
    Stage("baseline", 60),
    Stage("benchmark", 90),
    Stage("fit", 30),
    Stage("train", 90),
    Stage("tests", 90, (*TESTS, "-k", "cuda and not emulat")),
)
SMALL_TESTS = Stage("tests", 90, (*TESTS, "-k", "test_compilers"))


def deep_stages() -> list[Stage]:
    """Return the stages of NVIDIA's tools, on the small shapes."""
    tools = ("memcheck", "racecheck", "initcheck", "synccheck")
    child = (sys.executable, str(Path(__file__).resolve()), "--stage", "shapes", "--small")
    stages = [
        Stage(tool, 50, ("compute-sanitizer", "--tool", tool, "--error-exitcode", "9", *child))
        for tool in tools
    ]
    counters = ("ncu", "--set", "base", "--launch-count", "20", *child)
    return [*stages, Stage("counters", 50, counters)]


def run_stage(name: str, device: str, small: bool) -> None:
    """Run a function of `gpu_contact` in this process and print its rows as the last line."""
    import torch
    from gpu_contact import checks, speed

    function = getattr(speed, name, None) or getattr(checks, name)
    print(json.dumps(function(torch.device(device), small)))


def start(stage: Stage, device: str, seconds: float) -> dict[str, Any]:
    """Run a stage in a process of its own and return what became of it.

    Args:
        stage: What to run.
        device: "cuda" or "cpu".
        seconds: The longest it may take.
    """
    command = list(stage.command)
    if not command:
        command = [sys.executable, str(Path(__file__).resolve()), "--stage", stage.name]
        command += ["--device", device, *(["--small"] if device == "cpu" else [])]
    if shutil.which(command[0]) is None:
        return {"status": "skipped", "seconds": 0.0, "note": f"{command[0]} is not installed"}
    begun = time.perf_counter()
    try:
        done = subprocess.run(
            command,
            cwd=ROOT,
            env=os.environ | {"RENDERER_CUDA_REQUIRE_NATIVE": "1"},
            capture_output=True,
            text=True,
            timeout=seconds,
        )
    except subprocess.TimeoutExpired:
        return {"status": "timed out", "seconds": time.perf_counter() - begun}
    result: dict[str, Any] = {"seconds": time.perf_counter() - begun}
    result["status"] = "done" if done.returncode == 0 else "failed"
    if done.returncode != 0:
        result["note"] = (done.stderr.strip() or done.stdout.strip())[-2000:]
    elif stage.command:
        result["note"] = done.stdout.strip()[-2000:]
    else:
        result["rows"] = json.loads(done.stdout.splitlines()[-1])
        if device == "cpu":  # what is expected is expected of a GPU
            result["rows"] = {k: row | {"expected": None} for k, row in result["rows"].items()}
        if any(row.get("passed") is False for row in result["rows"].values()):
            result["status"] = "failed"
    return result


def run_all(
    stages: Sequence[Stage], device: str, total: float, output: Path, results: dict[str, Any]
) -> None:
    """Run stages one after the other and write the results after each.

    Args:
        stages: What to run.
        device: "cuda" or "cpu".
        total: Seconds for all of them; what does not fit is skipped.
        output: The JSON file.
        results: What was found before; added to.
    """
    end = time.perf_counter() + total
    for stage in stages:
        patience = DRY_RUN_PATIENCE if device == "cpu" else 1
        left = min(patience * stage.limit, end - time.perf_counter())
        print(f"{stage.name} ...", file=sys.stderr, flush=True)
        if left <= 0:
            results[stage.name] = {"status": "skipped", "seconds": 0.0, "note": "no time was left"}
        else:
            results[stage.name] = start(stage, device, left)
        unfinished = output.with_name(f"{output.name}.unfinished")
        unfinished.write_text(json.dumps(results, indent=1))
        unfinished.replace(output)


def table(results: dict[str, Any]) -> str:
    """Return what was expected and measured, in `TABLE_LINES` lines at most.

    Rows which only passed are counted; those that failed or were measured are shown.
    """
    lines = [f"{'':44}{'expected':>12}{'measured':>12}{'ratio':>8}"]
    for name, result in results.items():
        rows = result.get("rows", {})
        passed = sum(row.get("passed") is True for row in rows.values())
        checks = f", {passed} checks passed" if passed else ""
        note = str(result.get("note", "")).strip().splitlines()
        ending = f": {note[-1][:60]}" if note and result["status"] != "done" else ""
        lines.append(f"{name}: {result['status']} in {result['seconds']:.0f} s{checks}{ending}")
        lines += [_line(title, row) for title, row in rows.items() if _worth_showing(row)]
    if len(lines) > TABLE_LINES:
        hidden = len(lines) - TABLE_LINES + 1
        lines = [*lines[: TABLE_LINES - 1], f"... {hidden} more lines in the file"]
    return "\n".join(lines)


def _worth_showing(row: dict[str, Any]) -> bool:
    if row.get("passed") is False or row.get("expected") is not None:
        return True
    return row.get("measured") is not None and not str(row.get("unit", "")).startswith("share")


def _line(title: str, row: dict[str, Any]) -> str:
    measured, expected = row.get("measured"), row.get("expected")
    numbers = [_number(expected), _number(measured)]
    ratio = f"{measured / expected:.2f}" if measured is not None and expected else ""
    failed = "  FAILED " + str(row.get("note", ""))[:40] if row.get("passed") is False else ""
    return (
        f"  {title:42.42}{numbers[0]:>12}{numbers[1]:>12}{ratio:>8} {row.get('unit', '')}{failed}"
    )


def _number(value: float | None) -> str:
    return "" if value is None else f"{value:.4g}"


def parse(arguments: Sequence[str] | None = None) -> argparse.Namespace:
    """Read the command line."""
    parser = CommandParser(__doc__)
    parser.add_argument("--core", action="store_true", help="the stages of the project (default)")
    parser.add_argument("--deep", action="store_true", help="compute-sanitizer and ncu")
    parser.add_argument("--device", choices=("cuda", "cpu"), default="cuda")
    parser.add_argument("--output", type=Path, metavar="FILE.json", help="for the results")
    parser.add_argument("--only", nargs="+", metavar="STAGE", help="some of the stages")
    parser.add_argument("--stage", help=argparse.SUPPRESS)
    parser.add_argument("--small", action="store_true", help=argparse.SUPPRESS)
    options = parser.parse_args(arguments)
    if options.stage is None and options.output is None:
        parser.error("--output FILE.json is needed")
    known = {stage.name for stage in (*CORE, *deep_stages())}
    if unknown := sorted({*(options.only or ())} - known):
        parser.error(
            f"--only: no stage is called {unknown[0]}; there are {', '.join(sorted(known))}"
        )
    return options


def main() -> None:
    """Run what the command line asks for."""
    options = parse()
    if options.stage:
        run_stage(options.stage, options.device, options.small)
        return
    core = [SMALL_TESTS if s.name == "tests" and options.device == "cpu" else s for s in CORE]
    plan = [("core", core)] if options.core or not options.deep else []
    plan += [("deep", deep_stages())] if options.deep else []
    options.output.parent.mkdir(parents=True, exist_ok=True)
    results: dict[str, Any] = {}
    for kind, stages in plan:
        chosen = [stage for stage in stages if options.only is None or stage.name in options.only]
        patience = DRY_RUN_PATIENCE if options.device == "cpu" else 1
        run_all(chosen, options.device, patience * LIMITS[kind], options.output, results)
    print(table(results))
    if any(result["status"] in ("failed", "timed out") for result in results.values()):
        raise SystemExit(1)


if __name__ == "__main__":
    main()
