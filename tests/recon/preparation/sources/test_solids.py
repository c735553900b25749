from __future__ import annotations

import numpy as np
import pytest

from recon.preparation.sources.solids import SIDES, Solid, ball, block, box, lathe, loft, prism, rod

POLYGON_AREA = SIDES / 2 * np.sin(2 * np.pi / SIDES)  # of the regular polygon in the unit circle

SOLIDS = {
    "box": (box((0, 0, 0), (2, 3, 4)), 24.0),
    "block": (block((5, 5, 5), (1, 2, 3)), 6.0),
    "rod": (rod((1, 1, 1), (1, 4, 5), 0.5), 5 * 0.25 * POLYGON_AREA),
    "cone": (rod((0, 0, 0), (0, 0, 3), 1, 0.5), 1.75 * POLYGON_AREA),
    "lathe": (lathe([(0, 1), (2, 1)], "x"), 2 * POLYGON_AREA),
    "reversed lathe": (lathe([(2, 1), (0, 1)], "z"), 2 * POLYGON_AREA),
    "ball": (ball((1, 2, 3), (1, 2, 3), rings=40), 6 * 4 / 3 * POLYGON_AREA),
    "concave prism": (prism([(0, 0), (2, 0), (2, 2), (1, 0.5), (0, 2)], "y", -1, 1), 5.0),
    "mirrored": (rod((0, 0, 1), (0, 2, 1), 1).mirrored(), 2 * POLYGON_AREA),
    "turned": (box((0, 0, 0), (1, 2, 3)).turned("y", 33).moved(1, 2, 3), 6.0),
}


def volume(solid: Solid) -> float:
    a, b, c = (solid.vertices[solid.faces[:, k]] for k in range(3))
    return float(np.einsum("fk,fk->", a, np.cross(b, c)) / 6)


@pytest.mark.parametrize("name", SOLIDS)
def test_solids_are_closed_and_wound_outward(name: str) -> None:
    solid, expected = SOLIDS[name]
    sides = np.concatenate([solid.faces[:, [0, 1]], solid.faces[:, [1, 2]], solid.faces[:, [2, 0]]])
    there = {tuple(side) for side in sides.tolist()}
    assert len(there) == len(sides)  # every directed edge once ...
    assert there == {(b, a) for a, b in there}  # ... and once the other way
    assert volume(solid) == pytest.approx(expected, rel=0.01)


def test_turns_are_right_handed() -> None:
    point = Solid(np.array([[1.0, 0, 0]]), np.zeros((0, 3), int))
    assert point.turned("z", 90).vertices[0] == pytest.approx([0, 1, 0])
    assert point.turned("y", 90).vertices[0] == pytest.approx([0, 0, -1])
    assert point.turned("x", 90).vertices[0] == pytest.approx([1, 0, 0])


def test_loft_joins_corresponding_corners() -> None:
    low = [(0, 0, 0), (1, 0, 0), (0, 1, 0)]
    solid = loft([low, [(x, y, 2) for x, y, _ in low]])
    assert solid.faces.shape == (8, 3)
    assert volume(solid) == pytest.approx(1.0)
