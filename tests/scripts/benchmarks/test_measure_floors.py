"""Perfect predictions are perfect where nothing is sampled, and at the known floor elsewhere."""

from __future__ import annotations

import math
from pathlib import Path

import pytest
import torch

SCRIPTS = Path(__file__).parents[3] / "scripts" / "benchmarks"
POINTS = 10_000


@pytest.fixture
def rows(monkeypatch, capsys) -> dict[tuple[str, str], list[float]]:  # type: ignore[no-untyped-def]
    """The printed cells by preset and measure: sphere, mean, least, greatest."""
    monkeypatch.syspath_prepend(str(SCRIPTS))
    import measure_floors

    threads = torch.get_num_threads()
    measure_floors.main(["--points", str(POINTS), "--categories", "chair", "car"])
    assert torch.get_num_threads() == threads
    lines = capsys.readouterr().out.splitlines()
    assert lines[1] == "|---|---|--:|--:|--:|--:|"
    cells = [[cell.strip() for cell in line.strip("|").split("|")] for line in lines[2:]]
    return {(name, label): [float(text) for text in rest] for name, label, *rest in cells}


def test_floors(rows: dict[tuple[str, str], list[float]]) -> None:
    for exact in (
        ("softras", "voxel IoU"),
        ("silhouette", "silhouette IoU at 64"),
        ("silhouette_256", "silhouette IoU at 256"),
    ):
        assert rows[exact] == [100, 100, 100, 100]
    assert rows["onet", "volumetric IoU"][0] == 100
    # Area pi: the nearest of N points is at sqrt(pi / N) / 2 in the mean, squared at 1 / N.
    assert rows["onet", "completeness x10"][0] == pytest.approx(
        10 * math.sqrt(math.pi / 100_000) / 2, rel=0.03
    )
    assert rows["onet", "accuracy x10"][0] == pytest.approx(
        10 * math.sqrt(math.pi / POINTS) / 2, rel=0.03
    )
    assert rows["meshrcnn", "Chamfer-L2"][0] == pytest.approx(2 * 100 / 10_000, rel=0.05)
    for values in rows.values():
        _, mean, least, greatest = values
        assert least <= mean <= greatest
    assert len(rows) == 1 + 6 + 6 + 3 + 1 + 1 + 6
