"""Lets the tests of this folder import their helpers by name, and run on emulated CUDA kernels."""

from __future__ import annotations

import ctypes
import os
import sys
from pathlib import Path

import pytest

from renderer_cuda import build

sys.path.insert(0, str(Path(__file__).parent))

# Set by test_emulator.py: the library of emulated CUDA kernels that serves CPU tensors instead of
# the native one.
EMULATOR = os.environ.get("RENDERER_CUDA_EMULATOR")


def _emulator(back_end: str = "cpu") -> Path:
    assert EMULATOR is not None
    assert back_end == "cpu"
    return Path(EMULATOR)


if EMULATOR:
    build.build = _emulator


def pytest_terminal_summary(terminalreporter: pytest.TerminalReporter) -> None:
    """Tell how much ran in the emulator, which shows that it was there."""
    if EMULATOR:
        counts = (ctypes.c_long * 3)()
        ctypes.CDLL(EMULATOR).emulator_counts(counts)
        launches, blocks, switches = counts
        terminalreporter.write_line(
            f"emulator: {launches} launches, {blocks} blocks, {switches} switches"
        )
