"""Parametric ships and boats, bow at +X."""

from __future__ import annotations

from collections.abc import Sequence
from itertools import pairwise

import numpy as np

from recon.preparation.sources.shape_models.parts import (
    DARK_METALS,
    FABRICS,
    GLASS,
    PAINTS,
    WHITE,
    WOODS,
    Color,
    Parts,
    Random,
    both,
    chance,
    draw_style,
    pick,
)
from recon.preparation.sources.solids import Solid, ball, block, box, loft, prism, rod, tube

GREYS = ((0.45, 0.47, 0.50), (0.55, 0.56, 0.57), (0.35, 0.37, 0.40))
HULLS = (*PAINTS, (0.40, 0.12, 0.10), (0.08, 0.08, 0.10))


def vessel(rng: Random) -> Parts:
    """A ship for goods, people or war, a boat with sails, an engine or oars, or a submarine."""
    return draw_style(rng, VESSELS)


# Shares of a hull's half width along it, from the stern (0) to the bow (1).
FULL = ((0.0, 0.75), (0.06, 0.95), (0.2, 1.0), (0.8, 1.0), (0.92, 0.7), (1.0, 0.05))
FINE = ((0.0, 0.6), (0.1, 0.8), (0.35, 1.0), (0.6, 0.9), (0.82, 0.5), (1.0, 0.03))
POINTED = ((0.0, 0.05), (0.12, 0.5), (0.35, 0.95), (0.6, 1.0), (0.85, 0.55), (1.0, 0.03))


def _hull(
    rng: Random,
    length: float,
    beam: float,
    depth: float,
    plan: Sequence[tuple[float, float]],
    sheer: float = 0.2,
) -> Solid:
    """Returns a hull from y = 0 to `depth` amidships, rising by `sheer` towards the bow."""
    keel, rake = rng.uniform(0.3, 0.75), rng.uniform(0.0, 0.08) * length
    sections = []
    for share, half in plan:
        x, z = (share - 0.5) * length, half * beam / 2
        top = depth * (
            1 + sheer * max(0.0, share - 0.4) ** 2 * 2.8 + sheer * 0.3 * (1 - share) ** 2
        )
        foot = x - rake * share**3
        low = depth * 0.25 * max(0.0, 0.15 - share) / 0.15
        sections.append(
            [
                (x, top, -z),
                (foot, depth * 0.35 + low, -z * 0.92),
                (foot, low, -z * keel),
                (foot, low, z * keel),
                (foot, depth * 0.35 + low, z * 0.92),
                (x, top, z),
            ]
        )
    return loft(sections)


def _deck(
    length: float, beam: float, y: float, plan: Sequence[tuple[float, float]], high: float = 0.05
) -> Solid:
    """Returns a plate in the plan of a hull, a little narrower."""
    right = [((share - 0.5) * length * 0.97, half * beam * 0.46) for share, half in plan]
    return prism([*right, *((x, -z) for x, z in reversed(right))], "y", y, y + high)


def _house(
    x0: float,
    x1: float,
    low: float,
    high: float,
    width: float,
    slope: float,
    color: Color,
    band: bool = True,
) -> Parts:
    """Returns a deck house whose front leans back by `slope`, with a band of windows."""
    side = [(x0, low), (x1, low), (x1 - slope, high), (x0 + slope * 0.3, high)]
    parts: Parts = [(prism(side, "z", -width / 2, width / 2), color)]
    if band:
        y0, y1 = low + (high - low) * 0.55, low + (high - low) * 0.82
        front = x1 - slope * 0.55 + 0.02
        parts.append(
            (
                box(
                    (x0 + slope * 0.3 + 0.05, y0, -width / 2 - 0.015),
                    (front - slope * 0.3, y1, width / 2 + 0.015),
                ),
                GLASS,
            )
        )
    return parts


def _mast(rng: Random, x: float, y: float, high: float, color: Color) -> Parts:
    parts: Parts = [(rod((x, y, 0), (x, y + high, 0), 0.05, 0.025, 6), color)]
    if chance(rng, 0.6):
        parts.append(
            (block((x, y + high * rng.uniform(0.5, 0.8), 0), (0.05, 0.05, high * 0.35)), color)
        )
    if chance(rng, 0.3):
        parts.append((block((x, y + high * 0.6, 0), (0.12, 0.15, 0.5)), color))
    return parts


def _cargo_ship(rng: Random) -> Parts:
    """A long full hull with its house at the stern: a tanker, a bulk carrier, a container ship."""
    beam, depth = rng.uniform(1.2, 1.9), rng.uniform(0.55, 0.95)
    paint, deck = pick(rng, HULLS), pick(rng, WOODS + GREYS)
    parts: Parts = [
        (_hull(rng, 10, beam, depth, FULL, 0.25), paint),
        (_deck(10, beam, depth, FULL), deck),
    ]
    tall, start = rng.uniform(0.7, 1.5), -4.6
    parts += _house(
        start, start + rng.uniform(0.9, 1.5), depth, depth + tall, beam * 0.85, 0.1, WHITE
    )
    parts.append((block((start + 0.9, depth + tall + 0.08, 0), (0.5, 0.16, beam * 1.0)), WHITE))
    parts.append(
        (
            rod(
                (start + 0.3, depth + tall, 0), (start + 0.25, depth + tall + 0.5, 0), 0.2, 0.17, 10
            ),
            pick(rng, PAINTS),
        )
    )
    kind, begin, end = int(rng.integers(4)), start + 1.9, 3.4
    if kind == 0:  # containers
        for x in np.arange(begin, end, 0.75):
            for row in np.linspace(-0.5, 0.5, 3) * beam * 0.62:
                high = 0.26 * rng.integers(1, 4)
                parts.append(
                    (
                        box(
                            (x, depth, row - beam * 0.14),
                            (x + 0.68, depth + high, row + beam * 0.14),
                        ),
                        pick(rng, PAINTS),
                    )
                )
    elif kind == 1:  # tanks or pipes
        parts.append(
            (tube([(begin, depth + 0.18, 0), (end, depth + 0.18, 0)], 0.08, 6), DARK_METALS[0])
        )
        if chance(rng, 0.4):
            for x in np.arange(begin + 0.5, end, 1.4):
                parts.append((ball((x, depth + 0.1, 0), (0.6, 0.55, beam * 0.38), 6), deck))
        parts.append((block((0, depth + 0.3, 0), (0.2, 0.5, beam * 0.6)), DARK_METALS[0]))
    elif kind == 2:  # hatches and cranes
        for x in np.arange(begin, end, 1.25):
            parts.append((box((x, depth, -beam * 0.3), (x + 0.95, depth + 0.15, beam * 0.3)), deck))
            if chance(rng, 0.6):
                crane = tube(
                    [(x - 0.12, depth, 0), (x - 0.12, depth + 0.8, 0), (x + 0.7, depth + 1.0, 0)],
                    0.06,
                    6,
                )
                parts.append((crane, pick(rng, PAINTS)))
    if chance(rng, 0.5):
        parts += _house(3.6, 4.4, depth, depth + 0.35, beam * 0.4, 0.05, paint, band=False)
    return parts + _mast(rng, 4.0, depth, rng.uniform(0.5, 0.9), WHITE)


def _passenger_ship(rng: Random) -> Parts:
    """A ferry or a cruise ship: white decks one on the other over nearly the whole length."""
    beam, depth = rng.uniform(1.3, 2.2), rng.uniform(0.6, 1.0)
    plan = FULL if chance(rng, 0.5) else FINE
    parts: Parts = [(_hull(rng, 10, beam, depth, plan, 0.25), pick(rng, (*HULLS, WHITE, WHITE)))]
    rear, front, y = -rng.uniform(4.0, 4.7), rng.uniform(1.5, 3.4), depth
    color = WHITE if chance(rng, 0.75) else pick(rng, PAINTS)
    for level in range(int(rng.integers(2, 6))):
        high = rng.uniform(0.25, 0.34)
        parts += _house(
            rear, front, y, y + high, beam * (0.9 - 0.06 * level), rng.uniform(0.05, 0.4), color
        )
        rear, front, y = rear + rng.uniform(0.1, 0.7), front - rng.uniform(0.1, 0.6), y + high
    for x in np.linspace(rear + 0.6, (rear + front) / 2, int(rng.integers(1, 3))):
        parts.append(
            (
                rod((x, y, 0), (x - 0.12, y + rng.uniform(0.4, 0.8), 0), 0.26, 0.22, 10),
                pick(rng, PAINTS),
            )
        )
    return parts + _mast(rng, front - 0.3, y, rng.uniform(0.4, 0.9), WHITE)


def _warship(rng: Random) -> Parts:
    """Long and narrow, with towers, guns and masts, or a flat flight deck."""
    beam, depth, paint = rng.uniform(0.9, 1.35), rng.uniform(0.5, 0.75), pick(rng, GREYS)
    parts: Parts = [
        (_hull(rng, 10, beam, depth, FINE, 0.4), paint),
        (_deck(10, beam, depth, FINE), paint),
    ]
    if chance(rng, 0.15):
        plan = [
            (-5.0, -beam * 0.6),
            (3.2, -beam * 0.75),
            (5.1, -beam * 0.3),
            (5.1, beam * 0.3),
            (3.2, beam * 0.9),
            (-5.0, beam * 0.9),
        ]
        parts.append((prism(plan, "y", depth + 0.1, depth + 0.25), DARK_METALS[0]))
        return (
            parts
            + _house(-0.5, 1.2, depth + 0.2, depth + 0.9, 0.35, 0.1, paint)
            + _mast(rng, 0.3, depth + 0.9, 0.7, paint)
        )
    y, front = depth, rng.uniform(1.2, 2.2)
    rear = -rng.uniform(1.5, 3.2)
    for _ in range(int(rng.integers(2, 4))):
        high = rng.uniform(0.3, 0.45)
        parts += _house(
            rear,
            front,
            y,
            y + high,
            beam * 0.7 * (0.9 ** (y * 2)),
            rng.uniform(0.05, 0.25),
            paint,
            chance(rng, 0.5),
        )
        y, front, rear = y + high, front - rng.uniform(0.1, 0.6), rear + rng.uniform(0.4, 1.4)
        rear = min(rear, front - 0.6)
    for x in np.linspace(rear, front - 0.3, int(rng.integers(1, 3))):
        mast = [(x - 0.2, y), (x + 0.2, y), (x + 0.05, y + 0.8), (x - 0.05, y + 0.8)]
        parts.append((prism(mast, "z", -0.12, 0.12), paint))
        parts += _mast(rng, float(x), y + 0.6, rng.uniform(0.3, 0.9), paint)
    if chance(rng, 0.5):
        parts.append(
            (rod((rear - 0.3, depth + 0.3, 0), (rear - 0.35, y + 0.1, 0), 0.22, 0.18, 10), paint)
        )
    places = [(2.9, 1), (-3.4, -1)] if chance(rng, 0.5) else [(2.9, 1)]
    if chance(rng, 0.4):
        places += [(2.2, 1), (-4.0, -1)]
    for x, sign in places:
        turret = depth + 0.08 + 0.1 * rng.random()
        parts.append((block((x, turret + 0.1, 0), (0.5, 0.24, 0.45)), paint))
        for z in (-0.08, 0.08):
            parts.append(
                (
                    rod((x, turret + 0.14, z), (x + sign * 0.8, turret + 0.22, z), 0.035, sides=6),
                    paint,
                )
            )
    return parts


def _sailing_boat(rng: Random) -> Parts:
    """One mast or two, sails set or none, often with its keel; or two hulls."""
    beam, depth = rng.uniform(2.4, 3.4), rng.uniform(0.9, 1.4)
    paint, deck = pick(rng, (*HULLS, WHITE, WHITE)), pick(rng, WOODS)
    plan = FINE if chance(rng, 0.6) else POINTED
    if chance(rng, 0.15):
        hull = _hull(rng, 10, beam * 0.35, depth, POINTED, 0.1).moved(z=beam * 0.8)
        parts = [*both(hull, paint), (block((-0.5, depth, 0), (4.5, 0.3, beam * 1.7)), paint)]
    else:
        parts = [
            (_hull(rng, 10, beam, depth, plan, 0.35), paint),
            (_deck(10, beam, depth * 0.98, plan), deck),
        ]
        if chance(rng, 0.5):
            keel = [
                (-1.2, 0.3),
                (1.0, 0.3),
                (0.4, -rng.uniform(0.8, 1.8)),
                (-0.9, -rng.uniform(0.8, 1.8)),
            ]
            parts.append((prism(keel, "z", -0.1, 0.1), paint))
    start = rng.uniform(-2.0, -0.5)
    parts += _house(
        start - rng.uniform(0.8, 1.6),
        start + rng.uniform(1.5, 3.0),
        depth,
        depth + rng.uniform(0.3, 0.7),
        beam * 0.5,
        0.5,
        WHITE,
    )
    cloth, metal = pick(rng, (WHITE, WHITE, *FABRICS)), pick(rng, WOODS)
    sails, tall = chance(rng, 0.55), rng.uniform(8.0, 14.0)
    places = (
        [rng.uniform(0.3, 1.2)]
        if chance(rng, 0.75)
        else [rng.uniform(1.0, 1.8), -rng.uniform(2.0, 3.0)]
    )
    for number, x in enumerate(places):
        parts += _rig(
            rng,
            x,
            depth,
            tall * (0.75 if number else 1.0),
            4.7 if not number else 0.0,
            cloth if sails else None,
            metal,
        )
    return parts


def _rig(
    rng: Random, x: float, y: float, tall: float, bow: float, cloth: Color | None, metal: Color
) -> Parts:
    """Returns mast, boom and stays, and sails where there is a colour for them."""
    top, boom, low = y + tall, rng.uniform(2.6, 4.2), y + 1.1
    parts: Parts = [
        (rod((x, y, 0), (x, top, 0), 0.09, 0.05, 6), metal),
        (rod((x, low, 0), (x - boom, low, 0), 0.07, sides=6), metal),
    ]
    if bow:
        parts.append((rod((x, top, 0), (bow, y + 0.4, 0), 0.02, sides=4), metal))
        parts.append((rod((x, top, 0), (-4.8, y + 0.2, 0), 0.02, sides=4), metal))
    if cloth is None:
        if chance(rng, 0.6):
            parts.append(
                (
                    rod((x - 0.2, low + 0.15, 0), (x - boom * 0.9, low + 0.12, 0), 0.16, 0.1, 8),
                    WHITE,
                )
            )
        return parts
    belly = rng.uniform(0.0, 0.5)
    rows = []
    for share in (0.0, 0.35, 0.7, 0.97):
        width, height = boom * (1 - share) ** 0.85, low + 0.1 + (top - low - 0.3) * share
        bulge = belly * (1 - share) * 2 * 0.5
        rows.append(
            [
                (x - 0.1, height, 0.03),
                (x - 0.1 - width * 0.5, height, bulge + 0.03),
                (x - 0.1 - width, height, bulge * 0.4 + 0.03),
                (x - 0.1 - width, height, bulge * 0.4 - 0.03),
                (x - 0.1 - width * 0.5, height, bulge - 0.03),
                (x - 0.1, height, -0.03),
            ]
        )
    parts.append((loft(rows), cloth))
    if bow:
        jib = [
            (x + 0.25, y + 0.9),
            (x + 0.15, top - rng.uniform(0.5, tall * 0.35)),
            (bow - 0.1, y + 0.6),
        ]
        parts.append((prism(jib, "z", -0.04, 0.04), cloth))
    return parts


def _motor_boat(rng: Random) -> Parts:
    """A yacht, a fishing boat or a launch with a raked cabin."""
    beam, depth = rng.uniform(2.0, 3.2), rng.uniform(1.0, 1.7)
    paint, deck = pick(rng, (*HULLS, WHITE, WHITE)), pick(rng, WOODS)
    parts: Parts = [
        (_hull(rng, 10, beam, depth, FINE, rng.uniform(0.2, 0.7)), paint),
        (_deck(10, beam, depth, FINE), deck),
    ]
    rear, front, y = -rng.uniform(1.0, 4.2), rng.uniform(0.5, 2.6), depth
    for _ in range(int(rng.integers(1, 4))):
        high, slope = rng.uniform(0.6, 0.95), rng.uniform(0.2, 1.3)
        parts += _house(rear, front, y, y + high, beam * 0.62 * (0.9 ** (y - depth)), slope, WHITE)
        y, rear, front = (
            y + high,
            rear + rng.uniform(0.1, 0.9),
            front - slope - rng.uniform(0.0, 0.6),
        )
        if front - rear < 1.3:
            break
    parts += _mast(rng, (rear + front) / 2, y, rng.uniform(0.7, 2.6), WHITE)
    if chance(rng, 0.4):
        rail = [
            ((share - 0.5) * 9.6, depth * 1.35 + 0.3 * share, half * beam * 0.45)
            for share, half in FINE[2:]
        ]
        parts += both(tube(rail, 0.035, 4), DARK_METALS[0])
    if chance(rng, 0.3):
        crane = tube([(-3.8, depth, 0), (-3.8, depth + 2.4, 0), (-4.8, depth + 2.6, 0)], 0.09, 6)
        parts.append((crane, pick(rng, PAINTS)))
    return parts


def _open_boat(rng: Random) -> Parts:
    """A rowing boat, a canoe, a dinghy or a rubber boat, hollow and with seats."""
    beam, depth = rng.uniform(2.0, 4.2), rng.uniform(1.0, 1.8)
    paint, wood = pick(rng, (*HULLS, *WOODS)), pick(rng, WOODS)
    plan = POINTED if chance(rng, 0.5) else FINE
    wall = rng.uniform(0.06, 0.18)
    parts: Parts = []
    for (s0, h0), (s1, h1) in pairwise(plan):
        rows = []
        for share, half in ((s0, h0), (s1, h1)):
            x, z = (share - 0.5) * 10, half * beam / 2
            top = depth * (1 + 0.9 * (share - 0.5) ** 2)
            rows.append(
                [
                    (x, 0.15, z * 0.5),
                    (x, depth * 0.45, z * 0.93),
                    (x, top, z),
                    (x, top, max(z - wall, 0.0)),
                    (x, depth * 0.5, max(z * 0.93 - wall, 0.0)),
                    (x, 0.3, max(z * 0.5 - wall, 0.0)),
                ]
            )
        parts += both(loft(rows), paint)
    bottom = [((share - 0.5) * 10 * 0.97, half * beam * 0.27) for share, half in plan]
    parts.append((prism([*bottom, *((x, -z) for x, z in reversed(bottom))], "y", 0.0, 0.3), paint))
    for x in np.linspace(-3.2, 2.2, int(rng.integers(2, 5))):
        parts.append((block((float(x), depth * 0.68, 0), (0.6, 0.12, beam * 0.8)), wood))
    if plan is FINE:
        parts.append((block((-4.9, depth * 0.7, 0), (0.2, depth * 0.8, beam * 0.5)), paint))
    if chance(rng, 0.3):
        parts += both(
            rod((0, depth, beam * 0.4), (-1.5, depth * 0.8, beam * 1.1), 0.06, sides=6), wood
        )
    if chance(rng, 0.3):
        parts.append((block((-5.1, depth * 0.9, 0), (0.6, depth * 0.9, 0.5)), DARK_METALS[0]))
    return parts


def _barge(rng: Random) -> Parts:
    """A pontoon, a river barge, a tug or a flat ferry."""
    beam, depth, length = rng.uniform(1.6, 3.4), rng.uniform(0.6, 1.2), 10.0
    paint = pick(rng, HULLS)
    side = [(-5, depth * 0.4), (-4.4, 0), (4.2, 0), (5, depth * 0.5), (5, depth), (-5, depth)]
    parts: Parts = [(prism(side, "z", -beam / 2, beam / 2), paint)]
    parts += both(
        box((-4.9, depth, beam / 2 - 0.12), (4.9, depth + rng.uniform(0.1, 0.4), beam / 2)), paint
    )
    if chance(rng, 0.6):
        start = -4.6 if chance(rng, 0.7) else 0.5
        parts += _house(
            start,
            start + rng.uniform(1.2, 2.4),
            depth,
            depth + rng.uniform(0.8, 1.6),
            beam * 0.6,
            0.1,
            WHITE,
        )
    if chance(rng, 0.5):
        for x in np.arange(-2.5, length * 0.4, 1.5):
            parts.append(
                (
                    box(
                        (x, depth, -beam * 0.32),
                        (x + 1.3, depth + rng.uniform(0.2, 0.7), beam * 0.32),
                    ),
                    pick(rng, PAINTS + WOODS),
                )
            )
    return parts


def _submarine(rng: Random) -> Parts:
    paint, radius = pick(rng, (*GREYS, (0.1, 0.1, 0.11))), rng.uniform(0.45, 0.7)
    shares = ((-5.0, 0.08), (-3.5, 0.6), (-2.0, 0.95), (3.6, 1.0), (4.6, 0.75), (5.0, 0.2))
    parts: Parts = [
        (tube([(x, 0, 0) for x, _ in shares], [radius * r for _, r in shares], 14), paint)
    ]
    x = rng.uniform(0.2, 1.8)
    tower = [
        (x - 0.8, radius * 0.8),
        (x + 0.6, radius * 0.8),
        (x + 0.45, radius + 0.75),
        (x - 0.6, radius + 0.75),
    ]
    parts += [
        (prism(tower, "z", -0.2, 0.2), paint),
        (rod((x, radius, 0), (x, radius + 1.2, 0), 0.05, sides=6), paint),
    ]
    for turn in (0, 90, 180, 270):
        fin = prism(
            [(-4.6, 0.1), (-4.0, 0.1), (-4.2, radius * 1.2), (-4.7, radius * 1.2)], "z", -0.05, 0.05
        )
        parts.append((fin.turned("x", turn), paint))
    return parts


VESSELS = (
    (0.22, _cargo_ship),
    (0.14, _passenger_ship),
    (0.18, _warship),
    (0.17, _sailing_boat),
    (0.14, _motor_boat),
    (0.07, _open_boat),
    (0.05, _barge),
    (0.03, _submarine),
)
