"""The benchmark prints a row of plausible figures for each case."""

from __future__ import annotations

import sys
from pathlib import Path

import pytest
import torch

SCRIPTS = Path(__file__).parents[2] / "scripts"


@pytest.fixture
def benchmark(monkeypatch: pytest.MonkeyPatch):  # type: ignore[no-untyped-def]
    monkeypatch.syspath_prepend(str(SCRIPTS))
    import benchmark_rasterizer

    return benchmark_rasterizer


def test_prints_a_row_for_each_case_and_thread(benchmark, monkeypatch, capsys) -> None:  # type: ignore[no-untyped-def]
    cases = [benchmark.Case("silhouette", 2, 16, 1, 1e-3), benchmark.Case("rgb", 1, 16, 1, 1e-3)]
    monkeypatch.setattr(benchmark, "CASES", cases)
    monkeypatch.setattr(sys, "argv", ["benchmark", "--threads", "1", "--repeats", "1"])
    threads = torch.get_num_threads()
    benchmark.main()
    torch.set_num_threads(threads)
    header, *rows = capsys.readouterr().out.splitlines()
    assert "pairs/image" in header
    assert len(rows) == 2
    assert all(float(row.split()[-1]) > 0 for row in rows)


def test_counts_the_pairs_of_the_support(benchmark) -> None:  # type: ignore[no-untyped-def]
    """The pairs of one face are the pixels where its silhouette is not zero."""
    from renderer_cuda import soft_silhouette

    case = benchmark.Case("silhouette", 1, 32, 1, 1e-3)
    face = torch.tensor([[[[-0.51, -0.43, 2.0], [0.62, -0.37, 2.0], [0.13, 0.71, 2.0]]]])
    covered = soft_silhouette(face, 32, sigma=case.sigma) > 0
    assert benchmark.count_pairs(face, case) == int(covered.sum())
