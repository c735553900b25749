"""Parametric rifles and other long arms, muzzle at +X."""

from __future__ import annotations

import numpy as np

from recon.preparation.sources.shape_models.parts import (
    DARK_METALS,
    METALS,
    PAINTS,
    WOODS,
    Color,
    Parts,
    Random,
    all_scaled,
    both,
    chance,
    draw_style,
    pick,
)
from recon.preparation.sources.solids import (
    Solid,
    block,
    box,
    cushion,
    lathe,
    loft,
    prism,
    rod,
    tube,
)


def rifle(rng: Random) -> Parts:
    """A rifle for hunting or for war, a shotgun, a launcher, or one of a game of the future.

    Many are made higher and thicker than life: the models of games are, so that a player sees
    them well.
    """
    parts = draw_style(rng, RIFLES)
    if chance(rng, 0.3):
        return parts
    return all_scaled(parts, y=rng.uniform(1.0, 1.7), z=rng.uniform(1.1, 2.4))


def _scope(rng: Random, x: float, y: float, long: float, radius: float, color: Color) -> Parts:
    """Returns a telescope on two mounts, its axis `radius * 1.6` above y."""
    high = y + radius * 1.6
    shares = ((-0.5, 1.0), (-0.3, 1.0), (-0.22, 0.6), (0.15, 0.6), (0.3, 1.15), (0.5, 1.15))
    body = lathe([(long * s, radius * r) for s, r in shares], "x", 10).moved(x, high)
    parts: Parts = [(body, color)]
    for place in (-0.15, 0.1):
        parts.append(
            (block((x + long * place, y + radius * 0.6, 0), (0.02, radius * 2, radius)), color)
        )
    return parts


def _grip(x: float, y: float, long: float, lean: float, half: float, color: Color) -> Parts:
    """Returns a pistol grip below (x, y)."""
    shape = [(x, y), (x + 0.045, y), (x + 0.04 - lean, y - long), (x - 0.012 - lean, y - long)]
    return [(prism(shape, "z", -half, half), color)]


def _magazine(rng: Random, x: float, y: float, half: float, color: Color) -> Parts:
    """Returns a magazine below (x, y): straight, bent forward, or a drum."""
    style, long, wide = int(rng.integers(3)), rng.uniform(0.07, 0.17), rng.uniform(0.035, 0.06)
    if style == 2 and chance(rng, 0.5):
        return [
            (rod((x, y - 0.05, -half * 1.6), (x, y - 0.05, half * 1.6), 0.055, sides=14), color)
        ]
    bend = rng.uniform(0.02, 0.06) if style == 1 else 0.0
    sections = []
    for share in (0.0, 0.5, 1.0):
        front = x + bend * share**1.6
        sections.append(
            [
                (front, y - long * share, -half),
                (front + wide, y - long * share, -half),
                (front + wide, y - long * share, half),
                (front, y - long * share, half),
            ]
        )
    return [(loft(sections), color)]


def _stock(rng: Random, x: float, y: float, long: float, half: float, color: Color) -> Parts:
    """Returns a butt behind (x, y): solid, with a hole, or a bent wire."""
    style, drop = int(rng.integers(4)), rng.uniform(0.01, 0.06)
    low, rear = rng.uniform(0.08, 0.13), x - long
    if style == 0:
        wire = tube(
            [
                (x, y, 0),
                (rear, y - drop * 0.4, 0),
                (rear - 0.01, y - low, 0),
                (rear + 0.02, y - low, 0),
                (x, y - 0.03, 0),
            ],
            0.008,
            6,
        )
        return [(wire, color), (block((rear, y - low * 0.5, 0), (0.015, low, half * 2)), color)]
    if style == 1:
        bars: Parts = [
            (
                prism(
                    [
                        (x, y + 0.01),
                        (x, y - 0.025),
                        (rear, y - drop * 0.5 - 0.03),
                        (rear, y - drop * 0.3),
                    ],
                    "z",
                    -half,
                    half,
                ),
                color,
            )
        ]
        bars.append(
            (
                prism(
                    [
                        (rear + 0.05, y - 0.01),
                        (rear, y),
                        (rear, y - low),
                        (rear + 0.05, y - low + 0.02),
                    ],
                    "z",
                    -half,
                    half,
                ),
                color,
            )
        )
        return bars
    neck = rng.uniform(0.02, 0.035)
    shape = [
        (x, y + 0.015),
        (x, y - neck),
        (x - long * 0.3, y - neck - drop * 0.7),
        (rear, y - low - drop * 0.6),
        (rear - 0.005, y - drop * 0.6),
        (x - long * 0.35, y - drop * 0.2),
    ]
    return [
        (prism(shape, "z", -half, half), color),
        (
            block((rear - 0.008, y - low * 0.5 - drop * 0.6, 0), (0.016, low, half * 2.1)),
            DARK_METALS[1],
        ),
    ]


def _hunting_rifle(rng: Random) -> Parts:
    """Long and slim, stock and fore-end of one piece; also muskets and shotguns."""
    steel, wood = pick(rng, DARK_METALS), pick(rng, (*WOODS, *WOODS, *DARK_METALS))
    barrel, receiver, half = (
        rng.uniform(0.45, 0.8),
        rng.uniform(0.15, 0.22),
        rng.uniform(0.012, 0.018),
    )
    thick = rng.uniform(0.007, 0.013)
    fore = barrel * rng.uniform(0.3, 0.95)
    parts: Parts = [(cushion((-receiver, -0.022, -half), (fore, 0.012, half), 0.008), wood)]
    parts += _stock(rng, -receiver, 0.0, rng.uniform(0.28, 0.36), half, wood)
    parts.append((box((-receiver * 0.9, 0.005, -half * 0.8), (0.02, 0.028, half * 0.8)), steel))
    heights = (0.018, 0.018 - thick * 2) if chance(rng, 0.25) else (0.018,)
    for y in heights:
        parts.append((rod((0, y, 0), (barrel, y, 0), thick, thick * 0.85, 8), steel))
    if chance(rng, 0.25):
        parts += both(rod((0, 0.018, thick), (barrel, 0.018, thick), thick * 0.9, sides=8), steel)
    guard = tube(
        [
            (-receiver * 0.75, -0.02, 0),
            (-receiver * 0.7, -0.05, 0),
            (-receiver * 0.45, -0.05, 0),
            (-receiver * 0.4, -0.02, 0),
        ],
        0.004,
        5,
    )
    parts.append((guard, steel))
    if chance(rng, 0.45):
        parts += _scope(
            rng, -receiver * 0.4, 0.025, rng.uniform(0.2, 0.32), rng.uniform(0.014, 0.022), steel
        )
    elif chance(rng, 0.5):
        parts.append((block((barrel - 0.02, 0.018 + thick * 2, 0), (0.01, 0.02, 0.005)), steel))
    if chance(rng, 0.3):
        parts += _magazine(rng, -receiver * 0.3, -0.02, half * 0.8, steel)
    if chance(rng, 0.3):
        parts.append(
            (
                rod(
                    (-receiver * 0.7, 0.015, half),
                    (-receiver * 0.75, -0.005, half + 0.05),
                    0.005,
                    sides=6,
                ),
                steel,
            )
        )
    if chance(rng, 0.15):
        parts += both(
            rod((barrel * 0.7, 0.01, 0.005), (barrel * 0.75, -0.2, 0.08), 0.006, sides=6), steel
        )
    return parts


def _assault_rifle(rng: Random) -> Parts:
    """Receiver, pistol grip, magazine, hand guard and butt; sights, rails, a scope, a bipod."""
    steel, grip = pick(rng, DARK_METALS), pick(rng, (*DARK_METALS, *DARK_METALS, *WOODS, *PAINTS))
    half, receiver = rng.uniform(0.016, 0.026), rng.uniform(0.2, 0.32)
    low, high = -rng.uniform(0.03, 0.05), rng.uniform(0.025, 0.045)
    fore, barrel = rng.uniform(0.15, 0.34), rng.uniform(0.12, 0.4)
    parts: Parts = [(box((-receiver, low, -half), (0, high, half)), steel)]
    tall = rng.uniform(0.6, 1.0)
    guard = cushion(
        (0, low * tall, -half * 1.05), (fore, high * tall, half * 1.05), rng.uniform(0.003, 0.015)
    )
    parts.append((guard, grip))
    parts.append(
        (
            rod((fore, 0.005, 0), (fore + barrel, 0.005, 0), rng.uniform(0.007, 0.012), sides=8),
            steel,
        )
    )
    if chance(rng, 0.5):
        parts.append(
            (
                rod(
                    (fore + barrel - 0.05, 0.005, 0),
                    (fore + barrel + 0.02, 0.005, 0),
                    rng.uniform(0.012, 0.026),
                    sides=8,
                ),
                steel,
            )
        )
    bullpup = chance(rng, 0.2)
    back = rng.uniform(0.1, 0.16)
    if bullpup:
        parts.append(
            (
                prism(
                    [
                        (-receiver, high),
                        (-receiver, low),
                        (-receiver - back, low - 0.05),
                        (-receiver - back, high - 0.01),
                    ],
                    "z",
                    -half,
                    half,
                ),
                steel,
            )
        )
        parts += _grip(
            -receiver * 0.3, low, rng.uniform(0.09, 0.12), rng.uniform(0.0, 0.04), half * 0.8, grip
        )
        parts += _magazine(rng, -receiver * 0.9, low, half * 0.7, steel)
    else:
        parts += _stock(rng, -receiver, high * 0.4, rng.uniform(0.18, 0.3), half * 0.9, grip)
        parts += _grip(
            -receiver * rng.uniform(0.75, 0.9),
            low,
            rng.uniform(0.09, 0.12),
            rng.uniform(0.0, 0.04),
            half * 0.8,
            grip,
        )
        parts += _magazine(rng, -receiver * rng.uniform(0.25, 0.45), low, half * 0.7, steel)
    return parts + _attachments(rng, receiver, fore, barrel, low, high, half, steel)


def _attachments(
    rng: Random,
    receiver: float,
    fore: float,
    barrel: float,
    low: float,
    high: float,
    half: float,
    steel: Color,
) -> Parts:
    """Returns sights, a handle, a scope, a second barrel or a bipod, some of them."""
    parts: Parts = []
    style = int(rng.integers(4))
    if style == 0:
        parts += _scope(
            rng, -receiver * 0.4, high, rng.uniform(0.12, 0.3), rng.uniform(0.014, 0.026), steel
        )
    elif style == 1:
        handle = tube(
            [
                (-receiver * 0.85, high, 0),
                (-receiver * 0.8, high + 0.045, 0),
                (-receiver * 0.2, high + 0.045, 0),
                (-receiver * 0.1, high, 0),
            ],
            0.008,
            6,
        )
        parts.append((handle, steel))
    elif style == 2:
        parts.append((block((-receiver * 0.3, high + 0.02, 0), (0.06, 0.04, half * 1.4)), steel))
    sight = prism(
        [(fore, high * 0.5), (fore + 0.03, high * 0.5), (fore + 0.015, high + 0.03)],
        "z",
        -0.004,
        0.004,
    )
    parts.append((sight, steel))
    if chance(rng, 0.25):
        parts.append(
            (
                rod(
                    (fore * 0.3, low - 0.015, 0),
                    (fore + barrel * 0.5, low - 0.015, 0),
                    0.02,
                    sides=10,
                ),
                steel,
            )
        )
    if chance(rng, 0.15):
        parts += both(
            rod((fore, low, 0.005), (fore + 0.05, low - 0.18, 0.08), 0.006, sides=6), steel
        )
    if chance(rng, 0.2):
        parts += _grip(fore * 0.5, low, 0.08, 0.0, half * 0.7, steel)
    return parts


def _shotgun(rng: Random) -> Parts:
    """A pump-action gun, a short gun with a thick barrel, or a grenade launcher."""
    steel, wood = pick(rng, DARK_METALS), pick(rng, (*WOODS, *DARK_METALS))
    half, receiver, barrel = (
        rng.uniform(0.018, 0.03),
        rng.uniform(0.14, 0.22),
        rng.uniform(0.2, 0.5),
    )
    thick = rng.uniform(0.012, 0.035)
    parts: Parts = [
        (cushion((-receiver, -0.035, -half), (0, 0.035, half), 0.01), steel),
        (rod((-0.02, 0.02, 0), (barrel, 0.02, 0), thick, sides=10), steel),
    ]
    parts.append(
        (
            rod(
                (0, 0.02 - thick * 1.9, 0),
                (barrel * rng.uniform(0.6, 0.95), 0.02 - thick * 1.9, 0),
                thick * 0.9,
                sides=8,
            ),
            steel,
        )
    )
    pump = rod(
        (barrel * 0.3, 0.02 - thick * 1.9, 0),
        (barrel * 0.65, 0.02 - thick * 1.9, 0),
        thick * 1.5,
        sides=10,
    )
    parts.append((pump, wood))
    if chance(rng, 0.35):
        parts.append(
            (
                rod(
                    (-receiver * 0.3, -0.005, 0),
                    (0.06, -0.005, 0),
                    rng.uniform(0.045, 0.07),
                    sides=12,
                ),
                steel,
            )
        )
    if chance(rng, 0.7):
        parts += _stock(rng, -receiver, 0.0, rng.uniform(0.2, 0.3), half * 0.8, wood)
    if chance(rng, 0.6):
        parts += _grip(
            -receiver * 0.95,
            -0.02,
            rng.uniform(0.09, 0.12),
            rng.uniform(0.02, 0.06),
            half * 0.7,
            wood,
        )
    return parts


def _launcher(rng: Random) -> Parts:
    """A tube on the shoulder with grips and a sight, perhaps with a rocket in front."""
    paint, steel = pick(rng, ((0.3, 0.34, 0.2), *DARK_METALS)), pick(rng, DARK_METALS)
    radius, front, rear = rng.uniform(0.035, 0.075), rng.uniform(0.35, 0.6), rng.uniform(0.3, 0.6)
    flare = rng.uniform(1.0, 1.6)
    profile = [
        (-rear, radius * flare),
        (-rear + 0.1, radius * 1.02),
        (front - 0.05, radius),
        (front, radius * rng.uniform(1.0, 1.25)),
    ]
    parts: Parts = [(lathe(profile, "x", 14), paint)]
    if chance(rng, 0.4):
        rocket = [
            (front, radius * 0.6),
            (front + 0.05, radius * 1.5),
            (front + 0.15, radius * 1.4),
            (front + 0.28, radius * 0.15),
        ]
        parts.append((lathe(rocket, "x", 12), paint))
    parts += _grip(0.05, -radius * 0.9, rng.uniform(0.09, 0.12), 0.02, 0.014, steel)
    if chance(rng, 0.7):
        parts += _grip(rng.uniform(0.15, 0.25), -radius * 0.9, 0.09, 0.0, 0.014, steel)
    if chance(rng, 0.6):
        parts.append(
            (
                block((0.1, radius * 1.2, radius), (rng.uniform(0.08, 0.2), radius * 0.9, 0.04)),
                steel,
            )
        )
    if chance(rng, 0.4):
        parts.append(
            (
                cushion(
                    (-rear * 0.7, -radius * 1.7, -radius * 0.6),
                    (-rear * 0.2, -radius * 0.8, radius * 0.6),
                    0.01,
                ),
                steel,
            )
        )
    return parts


def _future_gun(rng: Random) -> Parts:
    """Bulky: a body of a few swelling sections, one thick barrel or several, fins and tanks."""
    steel, paint = pick(rng, DARK_METALS + METALS), pick(rng, (*PAINTS, *DARK_METALS, *DARK_METALS))
    count = int(rng.integers(3, 6))
    xs = np.linspace(-rng.uniform(0.25, 0.4), rng.uniform(0.15, 0.35), count)
    heights, widths = rng.uniform(0.04, 0.12, count), rng.uniform(0.025, 0.07, count)
    parts: Parts = [(_bulky(xs, heights, widths), paint)]
    nose, barrel = float(xs[-1]), rng.uniform(0.1, 0.4)
    style = int(rng.integers(4))
    if style == 0:
        number, ring = int(rng.integers(3, 7)), rng.uniform(0.02, 0.035)
        for angle in np.arange(number) * 2 * np.pi / number:
            y, z = ring * float(np.cos(angle)), ring * float(np.sin(angle))
            parts.append((rod((nose - 0.05, y, z), (nose + barrel, y, z), 0.011, sides=6), steel))
        parts.append(
            (
                rod((nose + barrel * 0.7, 0, 0), (nose + barrel * 0.8, 0, 0), ring * 1.6, sides=12),
                steel,
            )
        )
    elif style == 1:
        shares = rng.uniform(0.5, 1.0, 4)
        size = rng.uniform(0.03, 0.07)
        parts.append(
            (
                lathe(
                    [
                        (nose - 0.03 + barrel * s, size * float(r))
                        for s, r in zip((0, 0.4, 0.7, 1.0), shares, strict=True)
                    ],
                    "x",
                    12,
                ),
                steel,
            )
        )
    elif style == 2:  # prongs
        prong = tube(
            [
                (nose - 0.05, 0.0, 0.03),
                (nose + barrel * 0.4, rng.uniform(-0.02, 0.03), 0.06),
                (nose + barrel, 0.0, 0.02),
            ],
            [0.025, 0.02, 0.006],
            6,
        )
        parts += both(prong, paint)
        if chance(rng, 0.5):
            parts.append(
                (
                    rod((nose - 0.05, 0.03, 0), (nose + barrel * 0.8, 0.04, 0), 0.022, 0.006, 6),
                    paint,
                )
            )
    else:
        parts.append((box((nose - 0.02, -0.035, -0.03), (nose + barrel, 0.03, 0.03)), steel))
        parts.append(
            (rod((nose, -0.045, 0), (nose + barrel * 0.8, -0.045, 0), 0.015, sides=8), steel)
        )
    if chance(rng, 0.65):
        parts += _grip(
            rng.uniform(-0.2, -0.05),
            -0.03,
            rng.uniform(0.1, 0.16),
            rng.uniform(0.0, 0.05),
            0.017,
            steel,
        )
    if chance(rng, 0.5):
        parts += _magazine(rng, rng.uniform(-0.05, 0.1), -0.02, 0.02, steel)
    if chance(rng, 0.6):
        parts += _stock(rng, float(xs[0]) + 0.03, 0.0, rng.uniform(0.12, 0.3), 0.02, paint)
    if chance(rng, 0.45):
        high = float(heights[count // 2])
        if chance(rng, 0.5):
            parts += _scope(
                rng, 0.0, high * 0.8, rng.uniform(0.12, 0.25), rng.uniform(0.018, 0.03), steel
            )
        else:
            fin = prism(
                [(-0.2, high * 0.6), (0.15, high * 0.5), (0.05, high + 0.05), (-0.15, high + 0.06)],
                "z",
                -0.01,
                0.01,
            )
            parts.append((fin, steel))
    if chance(rng, 0.3):
        tank = rod((-0.18, -0.01, 0.075), (0.08, -0.01, 0.075), 0.03, sides=10)
        parts += both(tank, steel) if chance(rng, 0.5) else [(tank, steel)]
    return parts


def _block_gun(rng: Random) -> Parts:
    """A short gun of thick slabs, as of a low-polygon game: body, barrel, butt, grip, magazine."""
    steel, paint = pick(rng, DARK_METALS), pick(rng, (*DARK_METALS, *METALS, *PAINTS, *WOODS))
    long, half = rng.uniform(0.25, 0.5), rng.uniform(0.02, 0.055)
    high, low = rng.uniform(0.03, 0.08), rng.uniform(0.03, 0.08)
    slope = rng.uniform(0.0, 0.6)
    side = [(-long, -low), (0, -low * rng.uniform(0.5, 1)), (0, high * (1 - slope))]
    side += [(-long * rng.uniform(0.2, 0.7), high), (-long, high * rng.uniform(0.6, 1))]
    parts: Parts = [(prism(side, "z", -half, half), paint)]
    barrel, thick = rng.uniform(0.08, 0.45), rng.uniform(0.012, 0.045)
    if chance(rng, 0.5):
        tip = rod((-0.01, 0, 0), (barrel, 0, 0), thick, thick * rng.uniform(0.8, 1.2), 8)
    else:
        tip = cushion((-0.01, -thick, -half * 0.8), (barrel, thick, half * 0.8), 0.006)
    parts.append((tip, steel))
    if chance(rng, 0.6):
        shroud = rng.uniform(0.3, 0.8) * barrel
        parts.append((block((shroud / 2, -low * 0.2, 0), (shroud, low * 1.4, half * 1.7)), paint))
    grip = -long * rng.uniform(0.35, 0.85)
    parts += _grip(
        grip, -low * 0.9, rng.uniform(0.1, 0.16), rng.uniform(0, 0.05), half * 0.8, steel
    )
    place = grip + rng.uniform(0.08, 0.2) if chance(rng, 0.7) else -long * 0.95
    parts += _magazine(rng, place, -low * 0.8, half * 0.7, steel)
    if chance(rng, 0.65):
        butt, drop = rng.uniform(0.1, 0.28), rng.uniform(0.0, 0.05)
        rear = -long - butt
        shape = [(-long + 0.01, high * 0.6), (-long + 0.01, -low * 0.6)]
        shape += [(rear, -low * rng.uniform(1, 1.8) - drop), (rear, high * 0.6 - drop)]
        parts.append((prism(shape, "z", -half * 0.8, half * 0.8), paint))
    return parts + _top_of_gun(rng, long, high, half, steel)


def _top_of_gun(rng: Random, long: float, high: float, half: float, steel: Color) -> Parts:
    """Returns a rail, a thick telescope or a carrying handle on a body of some height."""
    style = int(rng.integers(4))
    if style == 0:
        return [(block((-long * 0.4, high, 0), (long * 0.8, 0.02, half * 0.8)), steel)]
    if style == 1:
        size = rng.uniform(0.02, 0.04)
        return _scope(rng, -long * 0.4, high * 0.9, rng.uniform(0.12, 0.28), size, steel)
    if style == 2:
        bow = [(-long * 0.8, high * 0.6, 0), (-long * 0.65, high + 0.06, 0)]
        bow += [(-long * 0.2, high + 0.06, 0), (-long * 0.05, high * 0.3, 0)]
        return [(tube(bow, rng.uniform(0.01, 0.02), 6), steel)]
    return []


def _organic_gun(rng: Random) -> Parts:
    """A gun of a game of the future, all curves: a swollen hull that ends in claws or a snout."""
    paint, steel = pick(rng, (*PAINTS, *DARK_METALS, *METALS)), pick(rng, DARK_METALS + METALS)
    long, count = rng.uniform(0.5, 0.9), 9
    shares, middle = np.linspace(0, 1, count), rng.uniform(0.25, 0.6)
    swell = np.exp(-(((shares - middle) / rng.uniform(0.18, 0.35)) ** 2))
    heights = rng.uniform(0.02, 0.04) + rng.uniform(0.04, 0.1) * swell
    widths = rng.uniform(0.015, 0.035) + rng.uniform(0.03, 0.08) * swell
    parts: Parts = [(_bulky(shares * long, heights, widths), paint)]
    nose = long
    if chance(rng, 0.6):
        for lift in (0.0, *((0.05,) if chance(rng, 0.4) else ())):
            claw = tube(
                [
                    (nose * 0.7, lift, 0.03),
                    (nose * 0.95, lift * 1.5, rng.uniform(0.06, 0.14)),
                    (nose * rng.uniform(1.1, 1.4), lift * 0.5, rng.uniform(0.01, 0.06)),
                ],
                [0.03, 0.022, 0.004],
                6,
            )
            parts += both(claw, steel)
    else:
        snout = [(nose - 0.03, 0.03), (nose + 0.1, rng.uniform(0.02, 0.05))]
        snout.append((nose + rng.uniform(0.15, 0.3), rng.uniform(0.02, 0.06)))
        parts.append((lathe(snout, "x", 10), steel))
    if chance(rng, 0.7):
        at = long * rng.uniform(0.15, 0.45)
        parts += _grip(at, -0.03, rng.uniform(0.1, 0.16), rng.uniform(0, 0.06), 0.018, steel)
    if chance(rng, 0.5):
        x0, x1 = long * middle - 0.12, long * middle + 0.12
        tall = float(heights.max()) * rng.uniform(1.1, 1.6)
        fin = [(x0, 0.02), (x1, 0.02), (x1 - 0.08, tall), (x0 - 0.03, tall * 0.9)]
        parts.append((prism(fin, "z", -0.012, 0.012), steel))
    return parts


def _bulky(xs: np.ndarray, heights: np.ndarray, widths: np.ndarray) -> Solid:
    """Returns a body along x with octagonal cross-sections of some half heights and widths."""
    angles = np.radians(np.arange(8) * 45 + 22.5)
    sections = [
        [(x, h * float(np.sin(a)), w * float(np.cos(a))) for a in angles]
        for x, h, w in zip(xs.tolist(), heights, widths, strict=True)
    ]
    return loft(sections)


RIFLES = (
    (0.18, _hunting_rifle),
    (0.28, _assault_rifle),
    (0.10, _shotgun),
    (0.08, _launcher),
    (0.17, _future_gun),
    (0.12, _block_gun),
    (0.07, _organic_gun),
)
