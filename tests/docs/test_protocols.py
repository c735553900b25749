"""The page of the protocols names what there is, and its floors are those of theory."""

from __future__ import annotations

import math
from pathlib import Path

import pytest

from recon.metrics import METRIC_SUITES

PAGE = (Path(__file__).resolve().parents[2] / "docs" / "protocols.md").read_text(encoding="utf-8")
# The samples of the page's table.
MANY, FEW = 100_000, 10_000


def floors() -> dict[tuple[str, str], list[float]]:
    """Sphere, mean, least and greatest of the table, by suite and label."""
    table = PAGE[PAGE.index("| suite | metric | sphere |") :].split("\n\n")[0]
    rows = [[cell.strip() for cell in line.strip("|").split("|")] for line in table.splitlines()]
    return {(row[0], row[1]): [float(cell) for cell in row[2:]] for row in rows[2:]}


@pytest.mark.parametrize("name", METRIC_SUITES)
def test_every_preset_is_told(name: str) -> None:
    labels = [metric.label for metric in METRIC_SUITES[name]().metrics]
    assert [key for key in floors() if key[0] == name] == [(name, label) for label in labels]
    assert f"\n## {name.removesuffix('_256')}\n" in PAGE


@pytest.mark.parametrize(
    ("key", "expected"),
    [
        (("onet", "Chamfer-L1 x10"), 10 * math.sqrt(math.pi / MANY) / 2),
        (("onet", "Chamfer-L2 x100"), 100 / MANY),
        (("meshrcnn", "Chamfer-L2"), 2 * 100 / FEW),
        (("meshrcnn", "F1 at 0.1"), 100 * (1 - math.exp(-FEW * 0.1**2 / 100))),
        (("fscore", "F-score (1 %)"), 100 * (1 - math.exp(-MANY * 0.01**2))),
        (("softras", "voxel IoU"), 100),
        (("silhouette", "silhouette IoU at 64"), 100),
    ],
)
def test_floors_of_the_sphere(key: tuple[str, str], expected: float) -> None:
    # Of area pi; 3 % are what the draw and 5120 faces for a sphere make of it.
    assert floors()[key][0] == pytest.approx(expected, rel=0.03)
