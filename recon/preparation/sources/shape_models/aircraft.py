"""Parametric aeroplanes."""

from __future__ import annotations

from collections.abc import Sequence

import numpy as np

from recon.preparation.sources.shape_models.parts import (
    DARK_METALS,
    GLASS,
    METALS,
    PAINTS,
    RUBBER,
    STEEL,
    Color,
    Parts,
    Random,
    both,
    chance,
    draw_style,
    pick,
)
from recon.preparation.sources.solids import Solid, ball, block, lathe, loft, prism, rod, tube

ARMY = (
    (0.35, 0.38, 0.25),
    (0.45, 0.46, 0.47),
    (0.60, 0.62, 0.64),
    (0.25, 0.26, 0.28),
    (0.50, 0.45, 0.32),
    (0.10, 0.10, 0.11),
)


def airplane(rng: Random) -> Parts:
    """An airliner, a light aeroplane, a fighter of either age, a transport or a glider."""
    return draw_style(rng, AIRPLANES)


def _wing(
    root: tuple[float, float],
    tip: tuple[float, float],
    chord: float,
    end: float,
    span: float,
    thickness: float = 0.09,
    start: float = 0.0,
) -> Solid:
    """Returns the wing at z > 0 whose leading edge goes from (x, y) `root` to `tip`."""
    outlines = []
    for (x, y), width, z in ((root, chord, start), (tip, end, span)):
        half = thickness * width / 2
        outlines.append(
            [
                (x, y, z),
                (x - width * 0.3, y + half, z),
                (x - width, y, z),
                (x - width * 0.3, y - half, z),
            ]
        )
    return loft(outlines)


def _fin(
    x: float,
    y: float,
    chord: float,
    end: float,
    high: float,
    sweep: float,
    lean: float = 0.0,
    z: float = 0.0,
) -> Solid:
    """Returns an upright fin whose leading edge begins at (x, y), leaning out by `lean`."""
    sections = []
    for share, width in ((0.0, chord), (1.0, end)):
        front, top, side = x - sweep * share, y + high * share, z + lean * share
        half = 0.05 * width + 0.01
        sections.append(
            [
                (front, top, side),
                (front - width * 0.4, top, side + half),
                (front - width, top, side),
                (front - width * 0.4, top, side - half),
            ]
        )
    return loft(sections)


def _fuselage(stations: Sequence[tuple[float, float, float]], squeeze: float = 1.0) -> Solid:
    """Returns a round body through (x, height of the middle, radius), widened by `squeeze`."""
    body = tube([(x, y, 0) for x, y, _ in stations], [r for _, _, r in stations], 14)
    return body.scaled(z=squeeze)


def _propeller(rng: Random, x: float, y: float, z: float, radius: float, spinner: Color) -> Parts:
    blades = int(rng.integers(2, 5))
    start = rng.uniform(0, 180)
    parts: Parts = [
        (
            lathe(
                [(-0.15, radius * 0.13), (0.05, radius * 0.12), (0.2, radius * 0.02)], "x", 8
            ).moved(x, y, z),
            spinner,
        )
    ]
    for angle in start + np.arange(blades) * 360 / blades:
        blade = block((0, radius * 0.52, 0), (0.03, radius * 0.96, radius * 0.13)).turned(
            "x", float(angle)
        )
        parts.append((blade.moved(x, y, z), DARK_METALS[1]))
    return parts


def _jet(x: float, y: float, z: float, radius: float, long: float, color: Color) -> Parts:
    """Returns an engine about (x, y, z) with its hanger above."""
    shares = ((-0.5, 0.55), (-0.1, 0.9), (0.35, 1.0), (0.5, 0.88))
    case = lathe([(long * s, radius * r) for s, r in shares], "x", 12)
    mouth = rod((long * 0.5, 0, 0), (long * 0.505, 0, 0), radius * 0.78, sides=12)
    return [(case.moved(x, y, z), color), (mouth.moved(x, y, z), GLASS)]


def _tail(
    rng: Random, x: float, y: float, size: float, paint: Color, trim: Color, swept: float
) -> Parts:
    """Returns fin and tailplane before (x, y); the plane is low, half high or on the fin."""
    chord = size * rng.uniform(0.6, 0.9)
    high = size * rng.uniform(0.7, 1.1)
    fin = _fin(x + chord, y, chord, chord * rng.uniform(0.4, 0.7), high, swept * high + chord * 0.3)
    place = float(rng.choice([0.05, 0.05, 0.3, 1.0]))
    front = x + chord * 0.8 - (swept * high + chord * 0.3) * place
    span, width = size * rng.uniform(0.8, 1.2), chord * rng.uniform(0.55, 0.8)
    plane = _wing(
        (front, y + high * place),
        (front - swept * span * 0.8, y + high * place + rng.uniform(0, 0.1)),
        width,
        width * rng.uniform(0.4, 0.8),
        span,
    )
    return [(fin, trim), *both(plane, paint)]


def _gear(x: float, y: float, z: float, size: float, fixed: Color = STEEL) -> Parts:
    """Returns a pair of wheels on legs from height y down."""
    leg = rod((x, y, z * 0.5), (x, y - size * 2, z), size * 0.15, sides=6)
    tyre = rod(
        (x, y - size * 2, z - size * 0.2), (x, y - size * 2, z + size * 0.2), size * 0.55, sides=12
    )
    return both(leg, fixed) + both(tyre, RUBBER)


def _airliner(rng: Random) -> Parts:
    long, radius = 10.0, rng.uniform(0.42, 0.62)
    paint, trim = pick(rng, (*PAINTS, (0.9, 0.9, 0.9), (0.9, 0.9, 0.9))), pick(rng, PAINTS)
    nose, tail = long / 2, -long / 2
    body = _fuselage(
        [
            (nose, -radius * 0.25, radius * 0.06),
            (nose - 0.25, -radius * 0.18, radius * 0.45),
            (nose - 0.9, -0.02, radius * 0.9),
            (nose - 1.5, 0, radius),
            (tail + 3.2, 0, radius),
            (tail + 1.2, radius * 0.35, radius * 0.6),
            (tail, radius * 0.6, radius * 0.12),
        ]
    )
    parts: Parts = [
        (body, paint),
        (block((nose - 0.75, radius * 0.45, 0), (0.35, 0.16, radius * 0.9)), GLASS),
    ]
    span, chord, sweep = rng.uniform(4.0, 5.3), rng.uniform(1.6, 2.3), rng.uniform(1.6, 3.2)
    root, y, rise = rng.uniform(0.7, 1.6), -radius * 0.55, rng.uniform(0.2, 0.7)
    parts += both(
        _wing((root, y), (root - sweep, y + rise), chord, chord * rng.uniform(0.2, 0.35), span),
        paint,
    )
    if chance(rng, 0.4):
        parts += both(_fin(root - sweep, y + rise, 0.4, 0.2, 0.4, 0.3, 0.1, span), trim)
    parts += _tail(
        rng, tail + 0.3, radius * 0.6, rng.uniform(1.4, 1.9), paint, trim, rng.uniform(0.5, 0.9)
    )
    color = pick(rng, (*METALS, paint))
    if chance(rng, 0.25):
        return parts + [
            part
            for jet in _jet(tail + 2.2, radius * 0.5, radius + 0.35, 0.3, 1.4, color)
            for part in both(*jet)
        ]
    for share in np.linspace(0.35, 0.62, int(rng.choice([1, 1, 2]))):
        place = (root - sweep * share + 0.35, y + rise * share - 0.32, span * share)
        parts += [
            part for jet in _jet(*place, rng.uniform(0.22, 0.32), 1.3, color) for part in both(*jet)
        ]
    return parts


def _light_airplane(rng: Random) -> Parts:
    """A propeller in the nose, straight wings high or low, and a fixed gear."""
    paint, trim = pick(rng, PAINTS), pick(rng, PAINTS)
    long, radius = rng.uniform(6.0, 8.0), rng.uniform(0.42, 0.6)
    nose, tail = long / 2, -long / 2
    stations = [
        (nose - 0.1, 0, radius * 0.5),
        (nose - 0.4, 0, radius * 0.75),
        (nose - 1.6, 0.05, radius),
        (nose - 3.2, 0.1, radius * 0.95),
        (tail + 1.0, 0.15, radius * 0.35),
        (tail, 0.2, radius * 0.15),
    ]
    parts: Parts = [(_fuselage(stations, rng.uniform(0.8, 1.0)), paint)]
    high = chance(rng, 0.5)
    span, chord = rng.uniform(4.0, 5.8), rng.uniform(1.1, 1.6)
    y, front = (radius * 1.25, nose - 1.5) if high else (-radius * 0.6, nose - 1.6)
    parts += both(
        _wing(
            (front, y),
            (front - rng.uniform(0, 0.4), y + rng.uniform(0.0, 0.5)),
            chord,
            chord * rng.uniform(0.5, 1.0),
            span,
            0.12,
        ),
        trim if chance(rng, 0.4) else paint,
    )
    cabin = [
        (nose - 1.3, radius * 0.6),
        (nose - 1.8, radius * 1.25),
        (nose - 3.0, radius * 1.25),
        (nose - 3.6, radius * 0.7),
    ]
    parts.append((prism(cabin, "z", -radius * 0.6, radius * 0.6), GLASS))
    if high:
        parts += both(
            rod(
                (front - 0.5, -radius * 0.5, radius * 0.8),
                (front - 0.5, y, span * 0.5),
                0.05,
                sides=6,
            ),
            paint,
        )
    parts += _tail(rng, tail, 0.2, rng.uniform(1.2, 1.6), paint, trim, rng.uniform(0.1, 0.4))
    parts += _propeller(rng, nose, 0, 0, rng.uniform(0.8, 1.05), trim)
    if chance(rng, 0.75):
        parts += _gear(front - 0.6, -radius * 0.6, rng.uniform(0.8, 1.1), 0.38)
        if chance(rng, 0.5):
            parts.append(
                (
                    rod(
                        (nose - 0.7, -radius, -0.08),
                        (nose - 0.7, -radius - 0.01, 0.08),
                        0.02,
                        sides=6,
                    ),
                    STEEL,
                )
            )
            parts.append(
                (
                    rod(
                        (nose - 0.7, -radius - 0.55, -0.07),
                        (nose - 0.7, -radius - 0.55, 0.07),
                        0.2,
                        sides=12,
                    ),
                    RUBBER,
                )
            )
            parts.append(
                (
                    rod(
                        (nose - 0.7, -radius * 0.6, 0),
                        (nose - 0.7, -radius - 0.55, 0),
                        0.05,
                        sides=6,
                    ),
                    STEEL,
                )
            )
    return parts


def _biplane(rng: Random) -> Parts:
    paint, trim = pick(rng, PAINTS + ARMY), pick(rng, PAINTS)
    long, radius = rng.uniform(5.5, 7.0), rng.uniform(0.42, 0.55)
    nose, tail = long / 2, -long / 2
    parts: Parts = [
        (
            _fuselage(
                [
                    (nose, 0, radius * 0.85),
                    (nose - 0.6, 0, radius),
                    (nose - 2.5, 0, radius * 0.9),
                    (tail, 0.15, radius * 0.15),
                ]
            ),
            paint,
        )
    ]
    span, chord, gap = rng.uniform(3.2, 4.6), rng.uniform(1.0, 1.4), rng.uniform(1.1, 1.6)
    low, front, stagger = -radius * 0.6, nose - 1.2, rng.uniform(0.0, 0.6)
    third = chance(rng, 0.15)
    for level in (0.0, 0.5, 1.0) if third else (0.0, 1.0):
        place = (front + stagger * (level - 0.5), low + gap * level)
        parts += both(
            _wing(
                place,
                (place[0] - rng.uniform(0, 0.2), place[1] + 0.1),
                chord,
                chord * 0.9,
                span * (0.9 + 0.1 * level),
                0.09,
            ),
            trim if chance(rng, 0.5) else paint,
        )
    for z in (span * 0.6, radius * 0.8):
        for back in (0.2, 0.8):
            x = front - chord * back
            parts += both(
                rod(
                    (x, low if z > 1 else radius * 0.5, z),
                    (x + stagger * 0.5, low + gap, z),
                    0.04,
                    sides=6,
                ),
                METALS[1],
            )
    parts += _tail(rng, tail, 0.15, rng.uniform(1.0, 1.3), paint, trim, 0.2)
    parts += _propeller(rng, nose + 0.1, 0, 0, rng.uniform(0.85, 1.1), trim)
    parts.append((rod((nose - 0.25, 0, 0), (nose + 0.02, 0, 0), radius * 1.1, radius), METALS[1]))
    return parts + _gear(front - 0.2, -radius * 0.7, 0.8, 0.36)


def _propeller_fighter(rng: Random) -> Parts:
    """Of the forties: low tapered wings, a glass hood, one or two engines."""
    paint, trim = pick(rng, ARMY + PAINTS), pick(rng, ARMY)
    long, radius = rng.uniform(7.5, 9.0), rng.uniform(0.45, 0.6)
    nose, tail = long / 2, -long / 2
    body = _fuselage(
        [
            (nose - 0.1, 0, radius * 0.6),
            (nose - 0.6, 0, radius * 0.92),
            (nose - 2.2, 0, radius),
            (nose - 4.5, 0.1, radius * 0.85),
            (tail, 0.3, radius * 0.12),
        ],
        0.85,
    )
    hood = ball((nose - long * 0.45, radius * 0.85, 0), (0.85, 0.38, 0.32), 6)
    parts: Parts = [(body, paint), (hood, GLASS)]
    span, chord, front = rng.uniform(4.3, 5.6), rng.uniform(1.9, 2.4), nose - long * 0.27
    y = -radius * 0.5
    middle = chord * rng.uniform(0.75, 0.92)
    parts += both(_wing((front, y), (front - 0.3, y + 0.2), chord, middle, span * 0.6, 0.11), paint)
    end = _wing(
        (front - 0.3, y + 0.2),
        (front - rng.uniform(0.5, 1.0), y + 0.4),
        middle,
        middle * rng.uniform(0.2, 0.5),
        span,
        0.1,
        span * 0.6,
    )
    parts += both(end, paint)
    if chance(rng, 0.2):
        for part in _propeller(rng, front + 1.0, y + 0.1, span * 0.35, 1.0, trim):
            parts += both(*part)
        engine = lathe([(-2.2, 0.1), (-0.6, 0.38), (0.8, 0.36), (1.0, 0.2)], "x", 12).moved(
            front, y + 0.1, span * 0.35
        )
        parts += both(engine, paint)
    else:
        parts += _propeller(rng, nose, 0, 0, rng.uniform(1.1, 1.4), trim)
    return parts + _tail(rng, tail, 0.3, rng.uniform(1.4, 1.7), paint, trim, rng.uniform(0.15, 0.4))


def _jet_fighter(rng: Random) -> Parts:
    """A pointed nose, swept or delta wings, one fin or two, intakes at the sides."""
    paint, trim = pick(rng, ARMY), pick(rng, ARMY + PAINTS)
    long, radius = 10.0, rng.uniform(0.42, 0.6)
    nose, tail = long / 2, -long / 2
    body = _fuselage(
        [
            (nose, 0, 0.03),
            (nose - 1.2, 0.02, radius * 0.5),
            (nose - 3.0, 0.05, radius * 0.9),
            (0, 0, radius),
            (tail + 1.5, 0, radius * 0.95),
            (tail, 0, radius * 0.7),
        ],
        rng.uniform(0.9, 1.5),
    )
    parts: Parts = [
        (body, paint),
        (ball((nose - 2.6, radius * 0.85, 0), (1.2, 0.36, 0.33), 6), GLASS),
    ]
    wide = rng.uniform(0.6, 1.0)
    intake = [
        [(x, y, z * s) for y, z in ((-0.35, 0.3), (-0.35, wide), (0.3, wide), (0.3, 0.3))]
        for x, s in ((nose - 3.8, 0.95), (tail + 0.8, 0.8))
    ]
    parts += both(loft(intake), paint)
    span, chord = rng.uniform(2.6, 3.6), rng.uniform(3.0, 5.0)
    front, sweep = nose - rng.uniform(3.6, 4.8), rng.uniform(1.6, 4.0)
    end = max(0.2, chord - sweep - rng.uniform(0.3, 1.2))
    parts += both(
        _wing((front, 0), (front - sweep, rng.uniform(-0.2, 0.15)), chord, end, span, 0.05), paint
    )
    if chance(rng, 0.7):
        place = (tail + 1.2, -0.05) if chance(rng, 0.75) else (nose - 3.2, 0.2)
        parts += both(
            _wing(place, (place[0] - 1.0, place[1]), 1.5, 0.5, span * rng.uniform(0.5, 0.75), 0.05),
            paint,
        )
    if chance(rng, 0.5):
        parts += both(
            _fin(
                tail + 2.6,
                radius * 0.6,
                1.8,
                0.7,
                rng.uniform(1.2, 1.7),
                1.4,
                rng.uniform(0.0, 0.6),
                wide * 0.85,
            ),
            trim,
        )
        nozzle = rod((tail - 0.3, 0, radius * 0.8), (tail + 0.6, 0, radius * 0.8), 0.34, 0.42, 12)
        return parts + both(nozzle, DARK_METALS[0])
    parts.append((_fin(tail + 3.0, radius * 0.7, 2.4, 0.8, rng.uniform(1.4, 1.9), 1.8), trim))
    return [
        *parts,
        (
            rod((tail - 0.3, 0, 0), (tail + 0.2, 0, 0), radius * 0.6, radius * 0.75, 12),
            DARK_METALS[0],
        ),
    ]


def _flying_wing(rng: Random) -> Parts:
    """Wings alone, or a flat body that goes over into them."""
    paint = pick(rng, ARMY)
    span, sweep, chord = rng.uniform(3.0, 5.0), rng.uniform(1.8, 3.5), rng.uniform(3.0, 4.5)
    parts: Parts = [
        *both(
            _wing(
                (chord * 0.6, 0), (chord * 0.6 - sweep, 0), chord, rng.uniform(0.3, 1.2), span, 0.1
            ),
            paint,
        ),
        (ball((0, 0.1, 0), (chord * 0.58, rng.uniform(0.3, 0.5), rng.uniform(0.5, 0.9)), 8), paint),
        (ball((chord * 0.2, 0.42, 0), (0.6, 0.22, 0.3), 6), GLASS),
    ]
    if chance(rng, 0.5):
        parts += both(
            _fin(
                -chord * 0.1, 0.1, 1.2, 0.5, rng.uniform(0.7, 1.2), 0.9, rng.uniform(0.2, 0.7), 0.6
            ),
            paint,
        )
    return parts


def _transport(rng: Random) -> Parts:
    """High wings with two or four propellers or jets, a thick body and a raised tail."""
    paint, trim = pick(rng, ARMY + PAINTS), pick(rng, PAINTS)
    long, radius = 9.0, rng.uniform(0.5, 0.75)
    nose, tail = long / 2, -long / 2
    body = _fuselage(
        [
            (nose, -0.1, 0.08),
            (nose - 0.4, 0, radius * 0.65),
            (nose - 1.3, 0, radius),
            (tail + 3.0, 0, radius),
            (tail, radius * 0.7, radius * 0.2),
        ]
    )
    parts: Parts = [
        (body, paint),
        (block((nose - 0.8, radius * 0.6, 0), (0.4, 0.2, radius)), GLASS),
    ]
    span, chord, front, y = rng.uniform(4.5, 6.0), rng.uniform(1.3, 1.8), nose - 2.9, radius * 0.95
    parts += both(
        _wing(
            (front, y),
            (front - rng.uniform(0.1, 0.8), y + rng.uniform(-0.3, 0.2)),
            chord,
            chord * rng.uniform(0.4, 0.6),
            span,
            0.12,
        ),
        paint,
    )
    for share in (0.3, 0.6) if chance(rng, 0.5) else (0.35,):
        case = lathe([(-1.3, 0.08), (-0.4, 0.26), (0.5, 0.27), (0.7, 0.15)], "x", 12).moved(
            front, y - 0.12, span * share
        )
        parts += both(case, paint)
        for part in _propeller(rng, front + 0.7, y - 0.12, span * share, 0.72, trim):
            parts += both(*part)
    if chance(rng, 0.4):
        parts += both(ball((front - 1.0, -radius * 0.8, radius * 0.9), (1.3, 0.35, 0.3), 6), paint)
    return parts + _tail(
        rng, tail, radius * 0.7, rng.uniform(1.7, 2.2), paint, trim, rng.uniform(0.2, 0.5)
    )


def _glider(rng: Random) -> Parts:
    paint = pick(rng, PAINTS)
    long, radius = rng.uniform(5.5, 7.0), rng.uniform(0.28, 0.4)
    nose, tail = long / 2, -long / 2
    parts: Parts = [
        (
            _fuselage(
                [
                    (nose, 0, 0.05),
                    (nose - 0.5, 0, radius * 0.8),
                    (nose - 1.4, 0, radius),
                    (nose - 2.6, 0.1, radius * 0.6),
                    (nose - 3.3, 0.15, 0.14),
                    (tail, 0.2, 0.08),
                ],
                0.85,
            ),
            paint,
        ),
        (ball((nose - 1.1, radius * 0.6, 0), (0.75, 0.3, 0.24), 6), GLASS),
    ]
    span, chord = rng.uniform(5.5, 8.5), rng.uniform(0.6, 0.9)
    y = rng.uniform(0.0, 0.9) * radius
    parts += both(
        _wing(
            (nose - 1.8, y),
            (nose - 2.0, y + rng.uniform(0.2, 0.6)),
            chord,
            chord * 0.45,
            span,
            0.13,
        ),
        paint,
    )
    return parts + _tail(rng, tail, 0.2, rng.uniform(0.9, 1.2), paint, paint, 0.2)


AIRPLANES = (
    (0.30, _airliner),
    (0.18, _light_airplane),
    (0.08, _biplane),
    (0.12, _propeller_fighter),
    (0.14, _jet_fighter),
    (0.04, _flying_wing),
    (0.09, _transport),
    (0.05, _glider),
)
