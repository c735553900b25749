"""Calls are counted as dispatched, and those of the paper's experiments stay few."""

from __future__ import annotations

import sys
from pathlib import Path

import pytest
import torch

sys.path.insert(0, str(Path(__file__).parents[3] / "scripts" / "benchmarks"))
import count_calls

# Those of the paper's experiments. More of them are slower training on a GPU (docs/scaling.md).
MOST_CALLS = {"softras_silhouette": 183, "softras_color": 234}


def test_counts_operations_and_views_forward_and_backward() -> None:
    values = torch.ones(3, 2, requires_grad=True)
    with count_calls.CallCounter() as forward:
        total = (values.T * 2).sum()
    assert (forward.calls, forward.views) == (3, 1)
    with count_calls.CallCounter() as backward:
        torch.autograd.grad(total, values)
    # ones_like, expand, mul, and the transpose back.
    assert (backward.calls, backward.views) == (4, 2)
    torch.ones(3).add(1)
    assert (forward.calls, backward.calls) == (3, 4)


def test_prints_the_calls_of_experiments_which_stay_few(capsys: pytest.CaptureFixture[str]) -> None:
    count_calls.main(["--experiments", *MOST_CALLS])
    header, _, *lines = capsys.readouterr().out.splitlines()
    assert header == "| experiment | part | calls | of these views |"
    rows = [[cell.strip() for cell in line.strip("|").split("|")] for line in lines]
    for name, most in MOST_CALLS.items():
        counts = {part: (int(calls), int(views)) for row, part, calls, views in rows if row == name}
        assert list(counts) == [*count_calls.PARTS, "all"]
        parts = [counts[part] for part in count_calls.PARTS]
        assert counts["all"] == tuple(map(sum, zip(*parts, strict=True)))
        assert all(0 < views < calls for calls, views in counts.values())
        assert counts["all"][0] <= most


def test_other_experiments_are_refused() -> None:
    with pytest.raises(SystemExit, match="Could not find 'experiment/gone'"):
        count_calls.main(["--experiments", "gone"])
    with pytest.raises(SystemExit, match="the term shading needs the light of the data"):
        count_calls.main(["--experiments", "softras_shading"])
