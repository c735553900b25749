"""Parametric lamps."""

from __future__ import annotations

import numpy as np

from recon.preparation.sources.shape_models.lanterns import (
    SHADES,
    candle_holder,
    framed_lantern,
    oil_lantern,
    paper_lantern,
    pole_lamp,
    stone_lantern,
    tube_light,
)
from recon.preparation.sources.shape_models.parts import (
    DARK_METALS,
    FABRICS,
    METALS,
    PAINTS,
    WHITE,
    WOODS,
    Color,
    Parts,
    Random,
    all_scaled,
    chance,
    draw_style,
    pick,
    turned_leg,
)
from recon.preparation.sources.solids import (
    ball,
    block,
    box,
    cushion,
    lathe,
    prism,
    rod,
    tube,
)


def lamp(rng: Random) -> Parts:
    """A lamp for a table, the floor, a desk, the ceiling, a wall or a street."""
    parts = draw_style(rng, LAMPS)
    return all_scaled(parts, y=rng.uniform(1.0, 1.5)) if chance(rng, 0.5) else parts


def _shade(rng: Random, radius: float, height: float, color: Color) -> Parts:
    """Returns a shade from y = 0 up to `height`: a cone, a drum, a dome, a bell or a ball."""
    style = int(rng.integers(6))
    if style in (0, 1):
        return [
            (rod((0, 0, 0), (0, height, 0), radius, radius * rng.uniform(0.3, 0.75), 20), color)
        ]
    if style == 2:
        return [(rod((0, 0, 0), (0, height, 0), radius, radius * rng.uniform(0.9, 1.0), 20), color)]
    angles = np.linspace(0, np.pi / 2 * 0.95, 6)
    if style == 3:
        return [
            (lathe([(height * float(np.sin(a)), radius * float(np.cos(a))) for a in angles]), color)
        ]
    if style == 4:
        shares = ((0, 1.0), (0.1, 0.9), (0.35, 0.65), (0.7, 0.5), (0.9, 0.4), (1.0, 0.15))
        return [(lathe([(height * y, radius * r) for y, r in shares]), color)]
    return [(ball((0, height / 2, 0), (radius * 0.8, height / 2, radius * 0.8), 7), color)]


def _placed(parts: Parts, x: float, y: float, z: float = 0.0) -> Parts:
    return [(solid.moved(x, y, z), color) for solid, color in parts]


def _table_lamp(rng: Random) -> Parts:
    body, cloth = pick(rng, METALS + WOODS + PAINTS + FABRICS), pick(rng, SHADES)
    tall, radius = rng.uniform(0.22, 0.5), rng.uniform(0.12, 0.24)
    style = int(rng.integers(4))
    foot = rng.uniform(0.07, 0.14)
    if style == 0:
        parts: Parts = [
            (turned_leg(rng, tall, rng.uniform(0.03, 0.07)), body),
            (lathe([(0, foot), (0.02, foot * 0.95), (0.035, 0.03)]), body),
        ]
    elif style == 1:  # a vase
        shares = np.array([0.5, 0.8, 1.0, 0.9, 0.5, 0.25]) * rng.uniform(0.8, 1.2, 6)
        parts = [
            (
                lathe(
                    [
                        (tall * y, foot * float(r))
                        for y, r in zip(np.linspace(0, 1, 6), shares, strict=True)
                    ]
                ),
                body,
            )
        ]
    elif style == 2:
        parts = [
            (rod((0, 0, 0), (0, 0.025, 0), foot), body),
            (rod((0, 0, 0), (0, tall, 0), rng.uniform(0.006, 0.02), sides=8), body),
        ]
    else:
        side = foot * rng.uniform(0.5, 0.9)
        parts = [
            (box((-side, 0, -side), (side, tall * rng.uniform(0.4, 0.95), side)), body),
            (rod((0, 0, 0), (0, tall, 0), 0.012, sides=8), body),
        ]
    high = rng.uniform(0.10, 0.26)
    return parts + _placed(
        _shade(rng, radius, high, cloth), 0, tall - high * rng.uniform(0.0, 0.35)
    )


def _floor_lamp(rng: Random) -> Parts:
    metal, cloth = pick(rng, METALS + WOODS), pick(rng, SHADES)
    tall, foot, radius = rng.uniform(1.2, 1.7), rng.uniform(0.11, 0.18), rng.uniform(0.12, 0.28)
    thin = rng.uniform(0.008, 0.02)
    style = int(rng.integers(5))
    if style == 0:  # three legs
        parts: Parts = [
            (rod((0.0, tall, 0), (0.28 * np.cos(a), 0, 0.28 * np.sin(a)), thin, thin, 6), metal)
            for a in np.radians([10, 130, 250])
        ]
    else:
        parts = [(lathe([(0, foot), (0.02, foot * 0.95), (0.04, thin * 1.5)]), metal)]
    if style == 1:  # an arc that reaches forward
        reach = rng.uniform(0.5, 1.0)
        angles = np.linspace(np.pi, rng.uniform(0.05, 0.5), 8)
        arc = [
            (reach / 2 * (1 + float(np.cos(a))), tall * 0.7 + reach / 2 * float(np.sin(a)), 0.0)
            for a in angles
        ]
        parts.append((tube([(0, 0, 0), *arc], thin, 6), metal))
        return parts + _placed(
            _shade(rng, radius * 0.7, 0.16, cloth), arc[-1][0], arc[-1][1] - 0.15
        )
    parts.append((rod((0, 0, 0), (0, tall, 0), thin, sides=8), metal))
    if style == 2:  # light upwards
        parts.append(
            (lathe([(tall, 0.03), (tall + 0.06, radius * 0.7), (tall + 0.1, radius)]), cloth)
        )
        if chance(rng, 0.4):
            parts.append(
                (
                    tube(
                        [(0, tall * 0.6, 0), (0.2, tall * 0.65, 0), (0.3, tall * 0.62, 0)],
                        thin * 0.7,
                        6,
                    ),
                    metal,
                )
            )
            parts.append(
                (rod((0.3, tall * 0.63, 0), (0.36, tall * 0.56, 0), 0.03, 0.06, 10), cloth)
            )
        return parts
    if style == 3 and chance(rng, 0.5):
        parts.append((rod((0, tall * 0.35, 0), (0, tall * 0.37, 0), radius), metal))
    high = rng.uniform(0.18, 0.4)
    return parts + _placed(_shade(rng, radius, high, cloth), 0, tall - high * 0.4)


def _desk_lamp(rng: Random) -> Parts:
    """An arm of two joints or a goose neck, with a small head."""
    metal, head = pick(rng, METALS + PAINTS), pick(rng, PAINTS + METALS)
    foot, thin = rng.uniform(0.07, 0.12), rng.uniform(0.005, 0.012)
    parts: Parts = [(lathe([(0, foot), (0.02, foot), (0.035, foot * 0.5)]), metal)]
    if chance(rng, 0.35):  # a clamp or a heavy block
        parts = [(block((0, 0.02, 0), (foot * 2, 0.04, foot * 1.6)), metal)]
    elbow = (-rng.uniform(0.02, 0.2), rng.uniform(0.22, 0.42))
    reach = rng.uniform(0.12, 0.35)
    hand = (elbow[0] + reach, elbow[1] + rng.uniform(-0.02, 0.2))
    if chance(rng, 0.35):
        neck = [
            (0, 0.02, 0),
            (0, elbow[1] * 0.7, 0),
            (reach * 0.2, elbow[1] * 1.05, 0),
            (reach * 0.6, elbow[1] * 1.1, 0),
            (reach, elbow[1] * 0.95, 0),
        ]
        parts.append((tube(neck, thin, 6), metal))
        hand = (reach, elbow[1] * 0.95)
    else:
        gap = rng.choice([0.0, 0.02])
        for z in (gap, -gap) if gap else (0.0,):
            parts.append((tube([(0, 0.03, z), (*elbow, z)], thin, 6), metal))
            parts.append((tube([(*elbow, z), (*hand, z)], thin, 6), metal))
        parts.append((rod((*elbow, -0.02), (*elbow, 0.02), thin * 2, sides=8), metal))
    size, tilt = rng.uniform(0.05, 0.1), rng.uniform(0.2, 0.9)
    toward = np.array([np.sin(tilt), -np.cos(tilt), 0]) * size * rng.uniform(1.2, 2.2)
    start = np.array([*hand, 0.0])
    parts.append(
        (
            rod((start - toward * 0.2).tolist(), (start + toward).tolist(), size * 0.35, size, 14),
            head,
        )
    )
    return parts


def _pendant(rng: Random) -> Parts:
    """A shade, a ball or several on a cord or on a pole from the ceiling."""
    metal, cloth = pick(rng, METALS), pick(rng, SHADES + PAINTS)
    radius, high, cord = rng.uniform(0.12, 0.35), rng.uniform(0.1, 0.3), rng.uniform(0.1, 0.8)
    parts = _shade(rng, radius, high, cloth)
    if chance(rng, 0.2):
        tiers = int(rng.integers(2, 4))
        for tier in range(1, tiers):
            parts += _placed(
                _shade(rng, radius * 0.7**tier, high * 0.5, cloth), 0, high * 0.6 * tier
            )
        high *= 0.6 * tiers
    parts.append(
        (rod((0, high * 0.7, 0), (0, high + cord, 0), rng.uniform(0.004, 0.012), sides=6), metal)
    )
    rose = lathe([(high + cord - 0.05, 0.02), (high + cord, rng.uniform(0.04, 0.09))])
    return [*parts, (rose, metal)]


def _chandelier(rng: Random) -> Parts:
    metal, glass = pick(rng, METALS + WOODS), pick(rng, SHADES)
    count, reach = int(rng.integers(3, 9)), rng.uniform(0.25, 0.45)
    tall, thin = rng.uniform(0.35, 0.8), rng.uniform(0.008, 0.016)
    parts: Parts = [
        (turned_leg(rng, tall * 0.5, 0.05), metal),
        (rod((0, 0, 0), (0, tall, 0), thin, sides=6), metal),
        (lathe([(tall - 0.04, 0.03), (tall, 0.07)]), metal),
    ]
    rise, size = rng.uniform(0.05, 0.3), rng.uniform(0.03, 0.09)
    arm = tube(
        [(0, 0.1, 0), (reach * 0.5, 0.0, 0), (reach * 0.9, 0.03, 0), (reach, rise, 0)], thin, 6
    )
    up = chance(rng, 0.65)
    for angle in np.arange(count) * 360 / count + rng.uniform(0, 60):
        head = rod(
            (reach, rise, 0),
            (reach, rise + (size * 2 if up else -size * 1.6), 0),
            size * (0.4 if up else 0.5),
            size,
            10,
        )
        parts += [(arm.turned("y", float(angle)), metal), (head.turned("y", float(angle)), glass)]
    if chance(rng, 0.3):
        angles = np.linspace(0, 2 * np.pi, 25)
        hoop = tube(
            [(reach * float(np.cos(a)), rise, reach * float(np.sin(a))) for a in angles],
            thin * 1.3,
            6,
        )
        parts.append((hoop, metal))
    return parts


def _street_lamp(rng: Random) -> Parts:
    """A tall mast with one or two arms, or with a lantern."""
    metal, glass = pick(rng, DARK_METALS + METALS), pick(rng, SHADES)
    tall, thin = rng.uniform(3.5, 8.0), rng.uniform(0.05, 0.1)
    parts: Parts = [(rod((0, 0, 0), (0, tall, 0), thin, thin * 0.6, 8), metal)]
    if chance(rng, 0.4):
        parts.append((lathe([(0, thin * 2.5), (0.3, thin * 2), (0.6, thin)], sides=8), metal))
    if chance(rng, 0.35):
        size = tall * rng.uniform(0.05, 0.09)
        return parts + _placed(_lantern(rng, size, metal, glass), 0, tall)
    reach, droop = rng.uniform(0.6, 2.2), rng.uniform(-0.1, 0.3)
    arm = tube(
        [(0, tall - 0.3, 0), (reach * 0.3, tall + 0.05, 0), (reach, tall + droop, 0)], thin * 0.5, 6
    )
    head = cushion(
        (reach - 0.1, tall + droop - 0.08, -0.13), (reach + 0.6, tall + droop + 0.06, 0.13), 0.05
    )
    pieces: Parts = [(arm, metal), (head, metal if chance(rng, 0.5) else glass)]
    parts += pieces
    if chance(rng, 0.25):
        parts += [(solid.turned("y", 180), color) for solid, color in pieces]
    return parts


def _lantern(rng: Random, size: float, metal: Color, glass: Color) -> Parts:
    """Returns a glass case with a roof, from y = 0 up."""
    sides = int(rng.choice([4, 6, 12]))
    high = size * rng.uniform(1.6, 2.8)
    narrow = rng.uniform(0.6, 1.0)
    return [
        (rod((0, 0, 0), (0, high * 0.08, 0), size * narrow, size * narrow * 1.1, sides), metal),
        (
            rod((0, high * 0.08, 0), (0, high * 0.72, 0), size * 0.9 * narrow, size * 0.9, sides),
            glass,
        ),
        (rod((0, high * 0.72, 0), (0, high * 0.95, 0), size * 1.2, size * 0.3, sides), metal),
        (rod((0, high * 0.95, 0), (0, high * 1.05, 0), size * 0.12, sides=6), metal),
    ]


def _hand_lantern(rng: Random) -> Parts:
    """A lantern to stand or to hang, an oil lamp, or a lamp of stone."""
    metal, glass = pick(rng, DARK_METALS + METALS + WOODS), pick(rng, SHADES)
    size = rng.uniform(0.06, 0.12)
    parts = _lantern(rng, size, metal, glass)
    top = max(float(solid.vertices[:, 1].max()) for solid, _ in parts)
    if chance(rng, 0.4):
        angles = np.linspace(0.15, np.pi - 0.15, 8)
        handle = [
            (0.0, top - 0.02 + size * float(np.sin(a)), size * float(np.cos(a))) for a in angles
        ]
        parts.append((tube(handle, size * 0.06, 6), metal))
    if chance(rng, 0.3):  # on a bracket from a wall
        arm = tube(
            [
                (0, top, 0),
                (0, top + size, 0),
                (-size * 1.5, top + size * 1.6, 0),
                (-size * 2.6, top + size, 0),
                (-size * 2.6, 0, 0),
            ],
            size * 0.1,
            6,
        )
        parts.append((arm, metal))
    if chance(rng, 0.3):
        parts.append(
            (
                lathe(
                    [
                        (-size * 2, size * 1.4),
                        (-size * 1.7, size),
                        (-size * 0.5, size * 0.5),
                        (0, size * 0.9),
                    ]
                ),
                metal,
            )
        )
    return parts


def _blown_lamp(rng: Random) -> Parts:
    """All body: a lava lamp, an oil lamp, a stack of balls, a column of light."""
    body, glass = pick(rng, METALS + WOODS + PAINTS), pick(rng, SHADES + PAINTS)
    style, radius, tall = int(rng.integers(3)), rng.uniform(0.05, 0.11), rng.uniform(0.3, 0.5)
    if style == 0:
        low, high = tall * 0.3, tall * 0.85
        return [
            (lathe([(0, radius), (low * 0.5, radius * 0.6), (low, radius)]), body),
            (lathe([(low, radius), (low + 0.08, radius * 1.1), (high, radius * 0.5)]), glass),
            (lathe([(high, radius * 0.5), (tall, radius * 0.4)]), body),
        ]
    if style == 1:
        return [
            (
                lathe(
                    [
                        (0, radius),
                        (0.02, radius),
                        (0.05, radius * 0.4),
                        (0.12, radius * 0.9),
                        (0.17, radius * 0.4),
                    ]
                ),
                body,
            ),
            (ball((0, 0.26, 0), (radius, 0.09, radius)), glass),
            (rod((0, 0.3, 0), (0, 0.3 + tall * 0.4, 0), radius * 0.35, radius * 0.3, 10), glass),
        ]
    return [
        (rod((0, 0, 0), (0, 0.03, 0), radius * 1.1), body),
        (
            cushion(
                (-radius, 0.03, -radius),
                (radius, tall * 1.6, radius),
                radius * rng.uniform(0.2, 0.95),
            ),
            glass,
        ),
    ]


def _wall_or_ceiling_lamp(rng: Random) -> Parts:
    """A disc, a tube, a bar of spots, a sconce or a spot on an arm."""
    metal, glass = pick(rng, METALS + DARK_METALS), pick(rng, SHADES)
    style = int(rng.integers(5))
    if style == 0:
        radius, high = rng.uniform(0.15, 0.3), rng.uniform(0.04, 0.12)
        return [
            (rod((0, 0, 0), (0, high * 0.4, 0), radius * 1.05, sides=24), metal),
            (
                lathe([(-high * 0.6, radius * 0.5), (-high * 0.3, radius * 0.85), (0, radius)]),
                glass,
            ),
        ]
    if style == 1:
        long, wide = rng.uniform(0.3, 0.7), rng.uniform(0.03, 0.07)
        case = prism(
            [(-wide, 0.08), (wide, 0.08), (wide * 0.5, 0.03), (-wide * 0.5, 0.03)], "z", -long, long
        )
        return [
            (case, metal),
            (rod((0, 0.02, -long * 0.95), (0, 0.02, long * 0.95), 0.018, sides=10), WHITE),
        ]
    if style == 2:
        long, count = rng.uniform(0.3, 0.7), int(rng.integers(2, 5))
        parts: Parts = [(block((0, 0, 0), (0.03, 0.02, long * 2)), metal)]
        for z in np.linspace(-long * 0.85, long * 0.85, count):
            aim = rng.uniform(-0.06, 0.08, 2)
            parts.append(
                (rod((0, -0.03, z), (0.06 + aim[0], -0.14, z + aim[1]), 0.03, 0.05, 10), glass)
            )
            parts.append((rod((0, 0, z), (0, -0.05, z), 0.008, sides=6), metal))
        return parts
    high = rng.uniform(0.08, 0.2)
    parts = [(rod((-0.02, 0, 0), (0, 0, 0), rng.uniform(0.05, 0.1), sides=12), metal)]
    if style == 3:
        reach = rng.uniform(0.1, 0.25)
        parts.append((tube([(0, 0, 0), (reach * 0.6, -0.04, 0), (reach, 0.03, 0)], 0.01, 6), metal))
        return parts + _placed(_shade(rng, rng.uniform(0.06, 0.12), high, glass), reach, 0.02)
    reach, size = rng.uniform(0.2, 0.5), rng.uniform(0.05, 0.1)
    parts.append((tube([(0, 0, 0), (reach, rng.uniform(-0.05, 0.2), 0)], 0.012, 6), metal))
    spot = rod((reach - 0.05, 0.05, 0), (reach + size * 1.8, -size, 0), size * 0.6, size, 12)
    return [*parts, (spot, metal)]


LAMPS = (
    (0.16, _table_lamp),
    (0.08, _floor_lamp),
    (0.12, _desk_lamp),
    (0.08, _pendant),
    (0.06, _chandelier),
    (0.08, _street_lamp),
    (0.04, _hand_lantern),
    (0.03, _blown_lamp),
    (0.05, _wall_or_ceiling_lamp),
    (0.06, stone_lantern),
    (0.06, framed_lantern),
    (0.04, candle_holder),
    (0.03, oil_lantern),
    (0.04, paper_lantern),
    (0.04, pole_lamp),
    (0.03, tube_light),
)
