"""Parametric cars."""

from __future__ import annotations

from collections.abc import Sequence

import numpy as np

from recon.preparation.sources.shape_models.parts import (
    DARK_METALS,
    FABRICS,
    GLASS,
    METALS,
    PAINTS,
    RUBBER,
    STEEL,
    Color,
    Parts,
    Random,
    all_mirrored,
    both,
    chance,
    draw_style,
    pick,
    wheel,
)
from recon.preparation.sources.solids import Solid, block, box, cushion, loft, prism, rod, tube

# (x, half width, lowest y, highest y) of a cross-section.
Station = tuple[float, float, float, float]
HEADLIGHT: Color = (0.95, 0.93, 0.80)
TAIL_LIGHT: Color = (0.7, 0.05, 0.05)


def car(rng: Random) -> Parts:
    """A car for the road, for races or for goods."""
    return draw_style(rng, CARS)


def _body(stations: Sequence[Station]) -> Solid:
    """Returns a body along x whose cross-sections are rectangles with bevelled edges."""
    sections = []
    for x, half, low, high in stations:
        sill, shoulder = (high - low) * 0.2, (high - low) * 0.25
        side = [
            (low, half * 0.86),
            (low + sill, half),
            (high - shoulder, half * 0.98),
            (high, half * 0.85),
        ]
        sections.append([(x, y, -z) for y, z in side] + [(x, y, z) for y, z in reversed(side)])
    return loft(sections)


def _ring(back: float, front: float, y: float, half: float) -> list[tuple[float, float, float]]:
    """Returns the outline of a cabin at a height, a little narrower in front and behind."""
    middle = (back + front) / 2
    return [
        (back, y, -half * 0.85),
        (middle, y, -half),
        (front, y, -half * 0.85),
        (front, y, half * 0.85),
        (middle, y, half),
        (back, y, half * 0.85),
    ]


def _cabin(
    rear: float,
    front: float,
    low: float,
    high: float,
    half: float,
    slopes: tuple[float, float],
    paint: Color,
) -> Parts:
    """Returns windows and roof between two places on x; slopes are those of rear and front."""
    roof_half = half * 0.78
    rings = [
        _ring(rear, front, low, half),
        _ring(rear + slopes[0] * 0.9, front - slopes[1] * 0.9, high - 0.06, roof_half),
    ]
    roof = [
        rings[1],
        _ring(rear + slopes[0] + 0.08, front - slopes[1] - 0.08, high, roof_half * 0.9),
    ]
    parts: Parts = [(loft(rings), GLASS), (loft(roof), paint)]
    for share in (0.0, 0.5, 1.0):  # pillars between the windows
        x0, x1 = (
            rear + (front - rear) * share,
            rings[1][0][0] + (rings[1][2][0] - rings[1][0][0]) * share,
        )
        z0 = half * (1.0 if share == 0.5 else 0.86)
        z1 = roof_half * (1.0 if share == 0.5 else 0.86)
        parts += both(rod((x0, low, z0), (x1, high - 0.05, z1), 0.035, sides=4), paint)
    return parts


def _wheels(axles: Sequence[float], radius: float, half: float, thick: float, hub: Color) -> Parts:
    parts: Parts = []
    for x in axles:
        pair = wheel(x, radius, half + 0.02, radius, thick, hub)
        parts += pair + all_mirrored(pair)
    return parts


def _lights(nose: float, tail: float, y: float, half: float) -> Parts:
    parts: Parts = []
    for x, color in ((nose, HEADLIGHT), (tail, TAIL_LIGHT)):
        parts += both(block((x, y, half * 0.68), (0.08, 0.12, half * 0.3)), color)
    return parts


def _saloon(rng: Random) -> Parts:
    """A saloon, coupe, hatchback or estate car, by where its cabin ends."""
    length, half = rng.uniform(3.5, 5.0), rng.uniform(0.80, 0.95)
    radius, paint = rng.uniform(0.29, 0.36), pick(rng, PAINTS)
    low, waist = radius * 0.6, radius * 0.6 + rng.uniform(0.55, 0.70)
    roof = waist + rng.uniform(0.38, 0.58)
    nose, tail = length / 2, -length / 2
    hood, drop = rng.uniform(0.20, 0.30) * length, rng.uniform(0.05, 0.22)
    boot = float(rng.choice([0.02, 0.02, 0.12, 0.18])) * length
    stations = [
        (tail, half * 0.85, low + 0.15, waist - 0.12),
        (tail + 0.12, half * 0.95, low + 0.05, waist - 0.02),
        (tail + boot, half, low, waist),
        (nose - hood, half, low, waist),
        (nose - 0.25, half * 0.94, low, waist - drop),
        (nose, half * 0.75, low + 0.1, waist - drop - 0.18),
    ]
    parts: Parts = [(_body(stations), paint)]
    slopes = (rng.uniform(0.1, 0.9), rng.uniform(0.45, 0.95))
    front = nose - hood + 0.1
    slopes = (min(slopes[0], (front - tail - boot) * 0.35), slopes[1])
    parts += _cabin(tail + boot, front, waist - 0.03, roof, half * 0.94, slopes, paint)
    hub = pick(rng, METALS)
    parts += _wheels((nose - length * 0.19, tail + length * 0.2), radius, half, 0.2, hub)
    parts += _lights(nose - 0.12, tail + 0.04, (low + waist) / 2, half)
    parts += both(block((nose - hood + 0.05, waist + 0.08, half + 0.06), (0.1, 0.09, 0.12)), paint)
    if chance(rng, 0.12):
        parts.append(
            (block((front - slopes[1] - 0.5, roof + 0.05, 0), (0.2, 0.1, half)), pick(rng, PAINTS))
        )
    return parts


def _sports_car(rng: Random) -> Parts:
    """A low wedge with a short cabin, perhaps open, perhaps with a wing."""
    length, half = rng.uniform(3.9, 4.7), rng.uniform(0.9, 1.02)
    radius, paint = rng.uniform(0.31, 0.36), pick(rng, PAINTS)
    low, waist = 0.14, rng.uniform(0.72, 0.85)
    nose, tail = length / 2, -length / 2
    edge = waist - rng.uniform(0.25, 0.4)
    stations = [
        (tail, half * 0.9, low + 0.2, waist - 0.05),
        (tail + 0.15, half, low + 0.05, waist + 0.02),
        (tail + length * 0.3, half * 0.97, low, waist),
        (nose - length * 0.35, half * 0.95, low, waist - 0.05),
        (nose - 0.4, half, low, edge + 0.06),
        (nose, half * 0.8, low + 0.02, edge - 0.12),
    ]
    parts: Parts = [(_body(stations), paint)]
    rear, front = tail + length * rng.uniform(0.1, 0.25), nose - length * rng.uniform(0.25, 0.35)
    roof = waist + rng.uniform(0.28, 0.42)
    if chance(rng, 0.8):
        parts += _cabin(
            rear,
            front,
            waist - 0.06,
            roof,
            half * 0.85,
            (rng.uniform(0.5, 1.1), rng.uniform(0.7, 1.0)),
            paint,
        )
    else:
        screen = prism(
            [(front, waist), (front - 0.35, roof), (front - 0.4, roof), (front - 0.08, waist)],
            "z",
            -half * 0.8,
            half * 0.8,
        )
        parts += [
            (screen, GLASS),
            (
                cushion(
                    (rear + 0.5, waist - 0.2, -half * 0.7),
                    (rear + 0.8, waist + 0.2, half * 0.7),
                    0.1,
                ),
                pick(rng, FABRICS),
            ),
        ]
    parts += _wheels(
        (nose - length * 0.2, tail + length * 0.2), radius, half, 0.26, pick(rng, METALS)
    )
    parts += _lights(nose - 0.3, tail + 0.02, edge, half)
    if chance(rng, 0.55):
        parts += _rear_wing(rng, tail, waist, half, paint)
    return parts


def _rear_wing(rng: Random, tail: float, y: float, half: float, paint: Color) -> Parts:
    """Returns a wing on two struts above the boot."""
    high, chord = rng.uniform(0.12, 0.4), rng.uniform(0.2, 0.4)
    parts: Parts = [
        (block((tail + chord / 2, y + high, 0), (chord, 0.04, half * 1.8)).turned("z", 0), paint)
    ]
    return parts + both(
        block((tail + chord / 2, y + high / 2, half * 0.7), (0.12, high, 0.04)), paint
    )


def _racing_car(rng: Random) -> Parts:
    """A slim body with open wheels and wings before and behind."""
    length, paint = rng.uniform(3.8, 4.8), pick(rng, PAINTS)
    nose, tail, radius = length / 2, -length / 2, rng.uniform(0.30, 0.36)
    slim = rng.uniform(0.28, 0.4)
    stations = [
        (tail + 0.3, slim * 0.6, 0.2, 0.55),
        (tail + length * 0.25, slim * 1.4, 0.12, 0.75),
        (0.0, slim * 1.5, 0.12, 0.62),
        (nose - length * 0.3, slim, 0.15, 0.55),
        (nose, slim * 0.3, 0.2, 0.32),
    ]
    parts: Parts = [
        (_body(stations), paint),
        (cushion((-length * 0.2, 0.6, -0.17), (-0.1, 0.98, 0.17), 0.1), paint),
    ]
    parts += _wheels((nose - length * 0.2, tail + length * 0.15), radius, 0.88, 0.34, STEEL)
    for x in (nose - length * 0.2, tail + length * 0.15):
        parts.append((rod((x, radius, -0.7), (x, radius, 0.7), 0.03, sides=6), DARK_METALS[0]))
    parts.append((block((nose - 0.1, 0.2, 0), (0.4, 0.04, 1.7)), paint))
    return parts + _rear_wing(rng, tail, 0.6, 0.6, paint)


def _off_road_car(rng: Random) -> Parts:
    """Boxy and high: an off-road car, perhaps with a spare wheel behind, or a pick-up truck."""
    length, half = rng.uniform(3.7, 5.0), rng.uniform(0.82, 0.98)
    radius, paint = rng.uniform(0.36, 0.46), pick(rng, PAINTS)
    low, waist = radius * 0.9, radius * 0.9 + rng.uniform(0.65, 0.8)
    roof, nose, tail = waist + rng.uniform(0.5, 0.72), length / 2, -length / 2
    hood = rng.uniform(0.22, 0.3) * length
    parts: Parts = [
        (
            _body(
                [
                    (tail, half * 0.96, low, waist),
                    (nose - 0.15, half * 0.97, low, waist - 0.04),
                    (nose, half * 0.92, low + 0.1, waist - 0.15),
                ]
            ),
            paint,
        )
    ]
    pickup = chance(rng, 0.35)
    rear = nose - hood - length * rng.uniform(0.25, 0.4) if pickup else tail + 0.05
    parts += _cabin(
        rear,
        nose - hood,
        waist - 0.03,
        roof,
        half * 0.97,
        (rng.uniform(0.03, 0.2), rng.uniform(0.1, 0.5)),
        paint,
    )
    if pickup:
        bed = box(
            (tail + 0.08, waist - 0.02, -half * 0.8), (rear - 0.05, waist + 0.005, half * 0.8)
        )
        parts.append((bed, RUBBER))
    elif chance(rng, 0.4):
        parts.append(
            (rod((tail - 0.22, waist - 0.1, 0), (tail, waist - 0.1, 0), radius * 0.9), RUBBER)
        )
    parts += _wheels(
        (nose - length * 0.18, tail + length * 0.2), radius, half, 0.26, pick(rng, METALS)
    )
    for x in (nose - length * 0.18, tail + length * 0.2):
        arch = block((x, radius * 1.9, half + 0.02), (radius * 2.3, 0.08, 0.16))
        parts += both(arch, paint if chance(rng, 0.5) else RUBBER)
    parts += _lights(nose - 0.05, tail, waist - 0.3, half)
    parts.append(
        (block((nose + 0.02, low + 0.1, 0), (0.12, 0.16, half * 1.9)), pick(rng, DARK_METALS))
    )
    return parts


def _van(rng: Random) -> Parts:
    """A van, a small bus, or a lorry with a box behind its cab."""
    length, half = rng.uniform(4.2, 6.2), rng.uniform(0.88, 1.05)
    radius, paint = rng.uniform(0.32, 0.40), pick(rng, PAINTS)
    low, roof, waist = radius * 0.7, rng.uniform(1.8, 2.6), rng.uniform(1.0, 1.3)
    nose, tail = length / 2, -length / 2
    lorry = chance(rng, 0.3)
    rear = nose - rng.uniform(1.4, 1.9) if lorry else tail
    top = rng.uniform(1.7, 2.0) if lorry else roof
    snout = rng.uniform(0.0, 0.7)
    side = [
        (rear, low),
        (nose, low),
        (nose, waist - 0.15),
        (nose - snout, waist),
        (nose - snout - rng.uniform(0.2, 0.8), top - 0.03),
        (nose - snout - 0.95, top),
        (rear, top),
    ]
    parts: Parts = [(prism(side, "z", -half, half), paint)]
    start = nose - snout - 0.05
    window = [
        (start - 0.3, waist + 0.03),
        (start - 0.5, top - 0.2),
        (max(rear + 0.1, start - 1.3), top - 0.2),
        (max(rear + 0.1, start - 1.3), waist + 0.03),
    ]
    parts += both(prism(window, "z", half, half + 0.012), GLASS)
    if not lorry and chance(rng, 0.5):
        parts += both(box((tail + 0.2, waist, half), (start - 1.4, top - 0.2, half + 0.012)), GLASS)
    if lorry:
        parts.append(
            (
                box((tail, low + 0.35, -half * 1.08), (rear - 0.08, roof + 0.3, half * 1.08)),
                pick(rng, PAINTS),
            )
        )
        parts.append(
            (box((tail, low, -half * 0.6), (rear, low + 0.35, half * 0.6)), DARK_METALS[0])
        )
    parts += _wheels(
        (nose - length * 0.17, tail + length * 0.2), radius, half, 0.24, pick(rng, METALS)
    )
    return parts + _lights(nose, tail, low + 0.35, half)


def _old_car(rng: Random) -> Parts:
    """From before 1950: wings apart from a narrow bonnet, round lamps, running boards."""
    length, half = rng.uniform(3.4, 4.4), rng.uniform(0.70, 0.85)
    radius, paint, trim = rng.uniform(0.34, 0.42), pick(rng, PAINTS), pick(rng, PAINTS)
    nose, tail, low, waist = length / 2, -length / 2, radius * 0.9, rng.uniform(1.0, 1.15)
    hood = length * rng.uniform(0.3, 0.42)
    parts: Parts = [
        (
            _body(
                [
                    (tail + 0.2, half * 0.7, low + 0.1, waist - 0.15),
                    (tail + 0.5, half * 0.9, low, waist),
                    (nose - hood, half * 0.85, low, waist),
                    (nose - 0.25, half * 0.5, low, waist - 0.05),
                    (nose - 0.2, half * 0.45, low + 0.1, waist - 0.12),
                ]
            ),
            paint,
        )
    ]
    axles = (nose - length * 0.17, tail + length * 0.2)
    for x in axles:
        angles = np.linspace(-0.2, np.pi + 0.1, 7)
        line = [
            (x + radius * 1.18 * float(np.cos(a)), radius + radius * 1.18 * float(np.sin(a)))
            for a in angles
        ]
        sections = [
            [
                (px, py, half * 0.62),
                (px, py, half + 0.06),
                (px * 1.0, py + 0.04, half + 0.06),
                (px, py + 0.04, half * 0.62),
            ]
            for px, py in line
        ]
        parts += both(loft(sections), trim)
    parts += both(box((axles[1], low - 0.08, half * 0.7), (axles[0], low - 0.02, half)), trim)
    parts += _wheels(axles, radius, half, 0.14, pick(rng, METALS))
    if chance(rng, 0.55):
        parts += _cabin(
            tail + 0.35,
            nose - hood,
            waist - 0.03,
            waist + rng.uniform(0.4, 0.6),
            half * 0.88,
            (rng.uniform(0.05, 0.4), rng.uniform(0.05, 0.3)),
            paint,
        )
    else:
        parts.append(
            (
                block((nose - hood - 0.05, waist + 0.18, 0), (0.04, 0.36, half * 1.4)).turned(
                    "z", 0
                ),
                GLASS,
            )
        )
        parts.append(
            (
                cushion(
                    (tail + 0.5, waist - 0.1, -half * 0.7),
                    (tail + 0.75, waist + 0.3, half * 0.7),
                    0.1,
                ),
                pick(rng, FABRICS),
            )
        )
    lamp = rod(
        (nose - 0.35, waist - 0.2, half * 0.65),
        (nose - 0.12, waist - 0.2, half * 0.65),
        0.08,
        0.12,
        10,
    )
    return parts + both(lamp, STEEL)


def _buggy(rng: Random) -> Parts:
    """An open frame of tubes on four free wheels."""
    length, half, radius = rng.uniform(2.6, 3.6), rng.uniform(0.7, 0.9), rng.uniform(0.3, 0.42)
    frame, paint = pick(rng, PAINTS + DARK_METALS), pick(rng, PAINTS)
    nose, tail, slim = length / 2, -length / 2, half * 0.55
    roof, low = rng.uniform(1.2, 1.5), radius
    parts = both(
        tube(
            [(nose - 0.2, low, slim * 0.6), (0.2, low, slim), (tail + 0.2, low, slim * 0.7)],
            0.035,
            6,
        ),
        frame,
    )
    parts += both(
        tube(
            [
                (nose - 0.2, low + 0.1, slim * 0.6),
                (0.5, low + 0.4, slim),
                (0.1, roof, slim * 0.8),
                (-0.6, roof, slim * 0.8),
                (tail + 0.2, low + 0.35, slim * 0.7),
                (tail + 0.2, low, slim * 0.7),
            ],
            0.035,
            6,
        ),
        frame,
    )
    for x, y in ((0.1, roof), (-0.6, roof), (0.5, low + 0.4)):
        parts.append((rod((x, y, -slim * 0.8), (x, y, slim * 0.8), 0.03, sides=6), frame))
    parts.append(
        (
            _body([(0.3, slim * 0.8, low - 0.05, low + 0.35), (nose, slim * 0.4, low, low + 0.15)]),
            paint,
        )
    )
    parts.append((box((-0.9, low - 0.08, -slim), (0.4, low, slim)), paint))
    parts.append(
        (
            cushion((-0.65, low, -slim * 0.8), (-0.4, low + 0.65, slim * 0.8), 0.08),
            pick(rng, FABRICS),
        )
    )
    parts.append((block((tail + 0.55, low + 0.2, 0), (0.5, 0.35, slim)), DARK_METALS[0]))
    axles = (nose - 0.4, tail + 0.4)
    for x in axles:
        parts.append((rod((x, radius, -half * 0.8), (x, radius, half * 0.8), 0.03, sides=6), frame))
    return parts + _wheels(axles, radius, half, 0.28, STEEL)


CARS = (
    (0.36, _saloon),
    (0.20, _sports_car),
    (0.05, _racing_car),
    (0.14, _off_road_car),
    (0.12, _van),
    (0.07, _old_car),
    (0.06, _buggy),
)
