from __future__ import annotations

import numpy as np
import pytest

from recon.preparation.sources.solids import (
    SIDES,
    Solid,
    ball,
    block,
    box,
    cushion,
    lathe,
    loft,
    prism,
    ribbon,
    rod,
    tube,
)

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
    "straight tube": (tube([(0, 0, 0), (0, 0, 2), (0, 0, 3)], 0.5, 16), 3 * 0.25 * POLYGON_AREA),
    "tube of two radii": (tube([(0, 0, 0), (3, 0, 0)], [1, 0.5], 16), 1.75 * POLYGON_AREA),
    "straight ribbon": (ribbon([(0, 0), (2, 1), (4, 2)], 1.5, 0.5), 3 * 0.5 * np.sqrt(20)),
    "ribbon of two widths": (ribbon([(0, 0), (0, 2)], [1.0, 0.5], 0.1), 2 * 1.5 * 0.1),
    # Round edges of radius r take (4 - pi) r^2 / 4 off each unit of length; the octagons of the
    # corners a little more.
    "cushion": (cushion((0, 0, 0), (20, 20, 20), 1), 8000 - 12 * 20 * 0.293),
    "scaled": (box((0, 0, 0), (1, 1, 1)).scaled(2, 3, 4), 24.0),
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


def test_a_bent_tube_goes_through_its_points_at_right_angles() -> None:
    line = [(0.0, 0.0, 0.0), (0.0, 2.0, 0.0), (2.0, 2.0, 0.0), (2.0, 2.0, 2.0)]
    bent = tube(line, 0.1, 8)
    rings = bent.vertices.reshape(4, 8, 3)
    assert rings.mean(axis=1) == pytest.approx(np.array(line), abs=1e-12)
    assert np.ptp(rings[0][:, 1]) == pytest.approx(0)
    assert np.ptp(rings[3][:, 2]) == pytest.approx(0)
    assert np.ptp(rings[1] @ [1, 1, 0]) == pytest.approx(0, abs=1e-12)  # a mitre


def test_a_cushion_fills_its_box_and_has_no_sharp_edges() -> None:
    solid = cushion((1, 2, 3), (4, 3, 8), 0.25)
    assert solid.vertices.min(axis=0) == pytest.approx([1, 2, 3])
    assert solid.vertices.max(axis=0) == pytest.approx([4, 3, 8])
    from_corner = np.linalg.norm(solid.vertices - [4, 3, 8], axis=1)
    assert from_corner.min() > 0.25 * (np.sqrt(3) - 1) * 0.95


def test_a_cushion_takes_no_more_than_half_of_its_shortest_side_as_radius() -> None:
    solid = cushion((0, 0, 0), (1, 9, 9), 5)
    assert np.array_equal(solid.vertices, cushion((0, 0, 0), (1, 9, 9), 0.49).vertices)
