"""Parametric lanterns, candle holders and thin lamps that the styles in `lamps` leave out."""

from __future__ import annotations

import numpy as np

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
    all_moved,
    all_turned,
    both,
    chance,
    hoop,
    pick,
    turned_leg,
)
from recon.preparation.sources.solids import ball, block, box, cushion, lathe, rod, tube

SHADES: tuple[Color, ...] = (*FABRICS, (0.93, 0.90, 0.80), (0.95, 0.95, 0.93), (0.85, 0.80, 0.55))
STONES: tuple[Color, ...] = (
    (0.5, 0.5, 0.48),
    (0.32, 0.31, 0.28),
    (0.62, 0.6, 0.55),
    (0.2, 0.18, 0.16),
)


def stone_lantern(rng: Random) -> Parts:
    """A lantern of a garden: foot, column, open chamber for the light, wide roof, knob."""
    stone, glow = pick(rng, STONES), pick(rng, (*STONES, (0.9, 0.8, 0.5)))
    sides, wide = int(rng.choice([4, 6, 8, 12])), rng.uniform(0.13, 0.24)
    column, chamber, roof = rng.uniform(0.05, 0.5), rng.uniform(0.12, 0.28), rng.uniform(0.08, 0.25)
    thin = wide * rng.uniform(0.35, 0.65)
    parts: Parts = [
        (lathe([(0, wide), (0.05, wide), (0.1, thin)], sides=sides), stone),
        (lathe([(0.06, thin), (0.08 + column, thin * 0.9)], sides=sides), stone),
    ]
    y = 0.07 + column
    parts.append(
        (lathe([(y, thin), (y + 0.05, wide * 0.95), (y + 0.08, wide)], sides=sides), stone)
    )
    y += 0.08
    if chance(rng, 0.5):  # four pillars about the light
        inner = wide * 0.6
        for sign in (1, -1):
            pillar = block((sign * inner, y + chamber / 2, inner), (0.05, chamber, 0.05))
            parts += both(pillar, stone)
        parts.append((rod((0, y, 0), (0, y + chamber, 0), inner * 0.5, sides=8), glow))
    else:
        body = wide * rng.uniform(0.6, 0.9)
        parts.append((rod((0, y, 0), (0, y + chamber, 0), body, sides=sides), stone))
        window = block((body * 0.9, y + chamber / 2, 0), (0.04, chamber * 0.5, body * 0.7))
        parts += [(window.turned("y", 180 / sides), glow), (window.turned("y", 90), glow)]
    y += chamber
    eaves = wide * rng.uniform(1.1, 1.7)
    shape = [(y, eaves * 0.93), (y + 0.03, eaves), (y + roof * 0.5, eaves * 0.5)]
    parts.append((lathe([*shape, (y + roof, 0.04)], sides=sides), stone))
    if chance(rng, 0.7):
        parts.append((ball((0, y + roof + 0.03, 0), (0.045, 0.06, 0.045), rings=4), stone))
    return all_turned(parts, "y", 180 / sides)


def framed_lantern(rng: Random) -> Parts:
    """A lantern of thin posts about a candle, to carry, to stand or on an arm from a wall."""
    metal = pick(rng, DARK_METALS + WOODS + METALS)
    glow = pick(rng, (WHITE, (0.9, 0.8, 0.5), (0.8, 0.5, 0.2)))
    low, high = rng.uniform(0.04, 0.09), rng.uniform(0.05, 0.12)
    tall, sides = rng.uniform(0.15, 0.32), int(rng.choice([4, 4, 6]))
    size = rng.uniform(0.004, 0.014)
    ring, turn = np.arange(sides) * 2 * np.pi / sides, 180 / sides
    parts: Parts = [
        (rod((0, 0, 0), (0, 0.02, 0), low * 1.3, low * 1.2, sides), metal),
        (rod((0, tall, 0), (0, tall + 0.015, 0), high * 1.3, high * 1.35, sides), metal),
        (
            rod(
                (0, tall + 0.015, 0), (0, tall * rng.uniform(1.15, 1.5), 0), high * 1.3, 0.02, sides
            ),
            metal,
        ),
    ]
    for angle in ring + np.pi / sides:
        c, s = float(np.cos(angle)), float(np.sin(angle))
        parts.append(
            (
                rod(
                    (low * 1.1 * c, 0.01, low * 1.1 * s),
                    (high * 1.1 * c, tall, high * 1.1 * s),
                    size,
                    sides=4,
                ),
                metal,
            )
        )
    if chance(rng, 0.5):
        parts.append((rod((0, 0.02, 0), (0, tall, 0), low, high, sides), glow))
    else:
        parts.append(
            (rod((0, 0.02, 0), (0, tall * rng.uniform(0.3, 0.6), 0), 0.025, sides=8), glow)
        )
    parts = all_turned(parts, "y", turn if chance(rng, 0.5) else 0.0)
    peak = max(float(solid.vertices[:, 1].max()) for solid, _ in parts)
    if chance(rng, 0.4):
        parts.append((hoop(0.035, 0, 0.006).turned("x", 90).moved(y=peak + 0.03), metal))
    elif chance(rng, 0.6):
        reach = high + rng.uniform(0.05, 0.15)
        arm = [(0, peak - 0.01, 0), (0, peak + 0.06, 0), (-reach * 0.5, peak + 0.1, 0)]
        arm += [(-reach, peak + 0.03, 0), (-reach, tall * 0.2, 0)]
        parts.append((tube(arm, 0.01, 6), metal))
        parts.append((block((-reach, tall * 0.6, 0), (0.02, tall * 0.8, 0.07)), metal))
    return parts


def candle_holder(rng: Random) -> Parts:
    """Candles on one stem or on several arms, or on a ring that hangs from chains."""
    metal, wax = pick(rng, METALS + DARK_METALS + WOODS), pick(rng, (WHITE, (0.85, 0.78, 0.6)))
    size, long = rng.uniform(0.008, 0.02), rng.uniform(0.05, 0.18)

    def candle(x: float, y: float, z: float) -> Parts:
        cup = lathe([(y - 0.01, size), (y, size * 2.2), (y + 0.01, size * 2)]).moved(x, 0, z)
        return [(cup, metal), (rod((x, y, z), (x, y + long, z), size, sides=8), wax)]

    count, reach = int(rng.integers(3, 9)), rng.uniform(0.12, 0.4)
    angles = np.arange(count) * 2 * np.pi / count + rng.uniform(0, 1)
    places = [(reach * float(np.cos(a)), reach * float(np.sin(a))) for a in angles]
    if chance(rng, 0.5):
        parts: Parts = [(hoop(reach, 0, rng.uniform(0.008, 0.025)), metal)]
        drop = rng.uniform(0.2, 0.7)
        for x, z in places:
            parts += candle(x, 0.02, z)
        for x, z in places[:: max(1, count // 4)]:
            parts.append((rod((x, 0, z), (0, drop, 0), 0.005, sides=5), metal))
            parts.append((rod((x, 0, z), (0, 0, 0), 0.007, sides=5), metal))
        return [*parts, (rod((0, drop - 0.01, 0), (0, drop * 1.4, 0), 0.006, sides=5), metal)]
    tall = rng.uniform(0.15, 0.5) if chance(rng, 0.7) else rng.uniform(0.8, 1.4)
    foot = max(tall * 0.22, 0.05)
    parts = [
        (lathe([(0, foot), (0.01, foot), (0.03, 0.02)]), metal),
        (turned_leg(rng, tall, rng.uniform(0.012, 0.03)), metal),
        *candle(0, tall, 0),
    ]
    if chance(rng, 0.6):
        for x, z in places:
            near, far = (x * 0.3, tall * 0.62, z * 0.3), (x * 0.6, tall * 0.85 - 0.01, z * 0.6)
            parts.append((tube([(0, tall * 0.7, 0), near, far], size * 0.6, 6), metal))
            parts += candle(x * 0.6, tall * 0.85, z * 0.6)
    return parts


def oil_lantern(rng: Random) -> Parts:
    """A storm lantern: a tank, a glass, a chimney between two side tubes, and a wire handle."""
    metal, glass = pick(rng, METALS + PAINTS + DARK_METALS), pick(rng, SHADES)
    wide, tall = rng.uniform(0.06, 0.09), rng.uniform(0.22, 0.34)
    tank = [(0, wide), (tall * 0.15, wide), (tall * 0.24, wide * 0.5)]
    belly = [(tall * 0.24, wide * 0.5), (tall * 0.42, wide * rng.uniform(0.65, 0.9))]
    cap = [(tall * 0.66, wide * 0.5), (tall * 0.72, wide * 0.65), (tall * 0.92, wide * 0.3)]
    parts: Parts = [
        (lathe(tank), metal),
        (lathe([*belly, (tall * 0.67, wide * 0.45)]), glass),
        (lathe([*cap, (tall, wide * 0.35)]), metal),
    ]
    side = wide * rng.uniform(1.2, 1.6)
    frame = [(0, tall * 0.1, wide * 0.9), (0, tall * 0.2, side), (0, tall * 0.75, side)]
    parts += both(tube([*frame, (0, tall * 0.92, wide * 0.3)], wide * 0.13, 6), metal)
    if chance(rng, 0.6):
        angles = np.linspace(0.0, np.pi, 9)
        bow = [
            (0.0, tall * 0.7 + side * 1.1 * float(np.sin(a)), side * float(np.cos(a)))
            for a in angles
        ]
        parts.append((tube(bow, wide * 0.05, 5), metal))
    return parts


def paper_lantern(rng: Random) -> Parts:
    """A light body of paper or cloth: a lampion on a cord, or a column with or without a foot."""
    paper, trim = pick(rng, SHADES + PAINTS), pick(rng, WOODS + DARK_METALS)
    radius, tall = rng.uniform(0.07, 0.18), rng.uniform(0.25, 0.9)
    if chance(rng, 0.55):
        tall *= 0.5
        shares = np.linspace(-0.85, 0.85, int(rng.integers(5, 10)))
        body = [
            (tall * (0.5 + 0.55 * s), radius * float(np.sqrt(1 - s * s * 0.85))) for s in shares
        ]
        parts: Parts = [(lathe(body), paper)]
        for y, sign in ((body[-1][0], 1), (body[0][0], -1)):
            end = rod((0, y, 0), (0, y + sign * 0.03, 0), radius * 0.45, sides=12)
            parts.append((end, trim))
        parts.append(
            (rod((0, tall, 0), (0, tall + rng.uniform(0.1, 0.6), 0), 0.006, sides=5), trim)
        )
        if chance(rng, 0.6):  # a tassel
            drop = rng.uniform(0.08, 0.25)
            parts.append((rod((0, 0, 0), (0, -drop, 0), 0.01, 0.02, 6), paper))
        return parts
    sides, foot = int(rng.choice([4, 16])), rng.uniform(0.0, 0.25)
    narrow = rng.uniform(0.75, 1.1)
    parts = [(rod((0, foot, 0), (0, foot + tall, 0), radius, radius * narrow, sides), paper)]
    for y in (foot, foot + tall):
        wide = radius * (1.0 if y == foot else narrow) * 1.04
        parts.append((rod((0, y - 0.015, 0), (0, y + 0.015, 0), wide, sides=sides), trim))
    if foot > 0.05:
        parts.append((rod((0, 0, 0), (0, foot, 0), 0.015, sides=6), trim))
        parts.append((cushion((-radius, 0, -radius), (radius, 0.03, radius), 0.01), trim))
    return parts


def pole_lamp(rng: Random) -> Parts:
    """Long and very thin: a torch, a bollard, a pole with a small or a square head."""
    metal, glass = pick(rng, METALS + DARK_METALS + WOODS), pick(rng, SHADES)
    tall, thin = rng.uniform(0.9, 2.5), rng.uniform(0.015, 0.045)
    style, foot = int(rng.integers(4)), rng.uniform(1.2, 4.0)
    parts: Parts = [(rod((0, 0, 0), (0, tall, 0), thin, thin * rng.uniform(0.6, 1), 8), metal)]
    if chance(rng, 0.6):
        parts.append((rod((0, 0, 0), (0, rng.uniform(0.02, 0.1), 0), thin * foot, sides=12), metal))
    size = tall * rng.uniform(0.03, 0.09)
    if style == 0:
        bowl = [
            (tall - size, thin),
            (tall, size),
            (tall + size * 0.6, size * rng.uniform(0.8, 1.4)),
        ]
        return [*parts, (lathe(bowl, sides=12), glass if chance(rng, 0.5) else metal)]
    if style == 1:
        return [*parts, (ball((0, tall, 0), (size, size, size), rings=6), glass)]
    if style == 2:
        reach = tall * rng.uniform(0.08, 0.3)
        head = block((reach, tall, 0), (size * 3, size * 0.6, size * rng.uniform(0.8, 1.8)))
        arm = rod((0, tall - 0.02, 0), (reach, tall, 0), thin * 0.6, sides=6)
        pieces: Parts = [(head, metal), (arm, metal)]
        return parts + pieces + (all_turned(pieces, "y", 180) if chance(rng, 0.3) else [])
    case = rod((0, tall, 0), (0, tall + size * 2, 0), size * 0.7, size, 4)
    roof = rod((0, tall + size * 2, 0), (0, tall + size * 2.8, 0), size * 1.3, size * 0.3, 4)
    return [*parts, (case, glass), (roof, metal)]


def tube_light(rng: Random) -> Parts:
    """A bar with small spots, a long tube in a flat case, or a flat disc below a ceiling."""
    metal, glass = pick(rng, METALS + DARK_METALS), pick(rng, (WHITE, *SHADES))
    style, long = int(rng.integers(3)), rng.uniform(0.3, 0.9)
    wide = long * rng.uniform(0.04, 0.14)
    if style == 0:
        parts: Parts = [(box((-wide, 0, -long), (wide, wide * rng.uniform(0.4, 1.2), long)), metal)]
        for x in (0.0,) if chance(rng, 0.5) else (-wide * 0.5, wide * 0.5):
            lit = rod(
                (x, -wide * 0.2, -long * 0.94), (x, -wide * 0.2, long * 0.94), wide * 0.3, sides=8
            )
            parts.append((lit, glass))
        return all_turned(parts, "y", float(rng.choice([0, 90])))
    if style == 1:
        parts = [(rod((0, 0, -long), (0, 0, long), long * 0.02, sides=6), metal)]
        count, size = int(rng.integers(2, 6)), long * rng.uniform(0.05, 0.11)
        for z in np.linspace(-long * 0.85, long * 0.85, count):
            spot = rod((0, 0, 0), (0, -size * 2.2, 0), size * 0.55, size * rng.uniform(0.6, 1), 10)
            aimed = all_turned([(spot, glass)], "x", float(rng.uniform(-40, 40)))
            aimed = all_turned(aimed, "z", float(rng.uniform(0, 50)))
            parts += all_moved(aimed, 0, -size, float(z))
            parts.append((rod((0, 0, z), (0, -size * 1.3, z), size * 0.2, sides=6), metal))
        return parts
    high = long * rng.uniform(0.12, 0.3)
    dome = [(-high, long * rng.uniform(0.3, 0.8)), (-high * 0.6, long * 0.9), (0, long * 0.96)]
    return [(lathe(dome), glass), (rod((0, -high * 0.15, 0), (0, high * 0.15, 0), long), metal)]
