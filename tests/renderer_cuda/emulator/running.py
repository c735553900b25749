"""Runs Python, and tests of the ops, in processes of their own on emulated kernels."""

from __future__ import annotations

import os
import re
import subprocess
import sys
from pathlib import Path

import pytest

FOLDER = Path(__file__).parents[1]


def run(arguments: list[str], **environment: str) -> subprocess.CompletedProcess[str]:
    """Run Python in a process of its own, where the emulated ops are the only ones."""
    hidden = {"OMP_NUM_THREADS": "1", "CUDA_VISIBLE_DEVICES": "", "PYTEST_ADDOPTS": ""}
    return subprocess.run(
        [sys.executable, *arguments],
        capture_output=True,
        text=True,
        env=os.environ | hidden | environment,
        cwd=FOLDER.parents[1],
        timeout=550,
    )


def sanitizer_environment() -> dict[str, str]:
    """The sanitizer has to be there before Python, and libstdc++ before it is first thrown."""
    names = ("libasan.so", "libubsan.so", "libstdc++.so")
    paths = [
        subprocess.run(["g++", f"-print-file-name={name}"], capture_output=True, text=True).stdout
        for name in names
    ]
    missing = [name for name, path in zip(names, paths, strict=True) if "/" not in path]
    if missing:
        pytest.skip(f"g++ has no {' and no '.join(missing)}")
    return {
        "LD_PRELOAD": " ".join(path.strip() for path in paths),
        "ASAN_OPTIONS": "detect_leaks=0",  # of Python
    }


def run_tests(library: Path, tests: str, selection: str, **environment: str) -> tuple[int, int]:
    """Run tests of this folder on a library of emulated kernels.

    Args:
        library: What `compilation.build` has built.
        tests: Name of a file of tests.
        selection: Which of them, as for `pytest -k`.
        environment: Variables to set besides.

    Returns:
        How many passed, and how many kernels were launched; none failed and none was skipped.
    """
    done = run(
        [
            *("-m", "pytest", str(FOLDER / tests), "-q", "-k", selection),
            *(f"--confcutdir={FOLDER}", "-p", "no:cacheprovider"),
        ],
        RENDERER_CUDA_EMULATOR=str(library),
        **environment,
    )
    assert done.returncode == 0, done.stdout[-6000:] + done.stderr[-6000:]
    assert "skipped" not in done.stdout, done.stdout[-2000:]
    passed = re.search(r"(\d+) passed", done.stdout)
    launches = re.search(r"emulator: (\d+) launches", done.stdout)
    assert passed is not None
    assert launches is not None
    return int(passed[1]), int(launches[1])
