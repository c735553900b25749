"""Parametric displays, loudspeakers and telephones."""

from __future__ import annotations

import numpy as np

from recon.preparation.sources.shape_models.parts import (
    DARK_METALS,
    METALS,
    PAINTS,
    PLASTICS,
    RUBBER,
    SCREEN,
    STEEL,
    WOODS,
    Color,
    Parts,
    Random,
    all_moved,
    all_turned,
    both,
    chance,
    draw_style,
    pick,
    star_base,
)
from recon.preparation.sources.solids import (
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

CASES: tuple[Color, ...] = (*PLASTICS, (0.06, 0.06, 0.07), (0.06, 0.06, 0.07))


def display(rng: Random) -> Parts:
    """A flat screen, a tube or a computer that can be folded."""
    return draw_style(rng, DISPLAYS)


def _panel(rng: Random, width: float, height: float, depth: float, case: Color) -> Parts:
    """Returns a flat screen whose lower edge is at y = 0, with or without a box behind it."""
    border = rng.uniform(0.01, 0.06) * width
    half, x = width / 2, depth / 2
    if chance(rng, 0.5):
        frame = box((-x, 0, -half), (x, height, half))
    else:
        frame = cushion((-x, 0, -half), (x, height, half), depth * 0.45)
    low = border * rng.uniform(1.0, 2.5)
    screen = box((x - 0.003, low, -half + border), (x + 0.003, height - border, half - border))
    parts: Parts = [(frame, case), (screen, SCREEN)]
    if chance(rng, 0.5):
        share, thick = rng.uniform(0.3, 0.8), rng.uniform(0.01, 0.06)
        rear = [
            [
                (-x, height * (0.5 + sy * 0.45 * share * 1.1), half * sz * share * 1.1)
                for sy, sz in ((-1, -1), (-1, 1), (1, 1), (1, -1))
            ],
            [
                (-x - thick, height * (0.5 + sy * 0.45 * share), half * sz * share)
                for sy, sz in ((-1, -1), (-1, 1), (1, 1), (1, -1))
            ],
        ]
        parts.append((loft(rear), case))
    return parts


def _stand(rng: Random, width: float, gap: float, case: Color) -> Parts:
    """Returns what a flat screen stands on: a plate, a disc, feet, a bow or a cross."""
    style, metal = int(rng.integers(6)), pick(rng, (*METALS, case))
    neck = rng.uniform(0.03, 0.12) * width
    column: Parts = [(box((-0.05, 0.005, -neck), (-0.02, gap + 0.12, neck)), metal)]
    reach = rng.uniform(0.09, 0.15)
    if style == 0:
        return [*column, (box((-reach, 0, -width * 0.25), (reach, 0.012, width * 0.25)), metal)]
    if style == 1:
        disc = lathe([(0, 1.0), (0.01, 0.95), (0.02, 0.4)]).scaled(
            reach, 1, width * rng.uniform(0.18, 0.3)
        )
        return [*column, (disc, metal)]
    if style in (2, 3):
        z = width * rng.uniform(0.25, 0.42)
        foot = prism(
            [
                (-reach, 0),
                (reach, 0),
                (reach * 0.9, 0.01),
                (0.01, gap + 0.02),
                (-0.01, gap + 0.02),
                (-reach * 0.9, 0.01),
            ],
            "z",
            z,
            z + 0.02,
        )
        return both(foot, metal)
    if style == 4:
        bow = tube(
            [(reach, 0.01, width * 0.22), (-reach * 0.5, 0.01, width * 0.1), (-0.03, gap, 0)],
            0.012,
            6,
        )
        return both(bow, metal) + column[:1]
    parts = list(column)
    for angle in (25, -25, 155, 205):
        arm = tube([(0, 0.03, 0), (width * 0.25, 0.008, 0)], 0.01, 6)
        parts.append((arm.turned("y", angle + 90), metal))
    return parts


def _flat_display(rng: Random) -> Parts:
    width = rng.uniform(0.4, 1.3)
    height, depth = (
        width / rng.choice([rng.uniform(1.25, 1.35), rng.uniform(1.6, 1.85)], p=[0.25, 0.75]),
        rng.uniform(0.015, 0.06),
    )
    case, gap = pick(rng, CASES), rng.uniform(0.02, 0.16)
    parts = _panel(rng, width, height, depth, case)
    if chance(rng, 0.25):  # hangs on a wall
        return parts
    parts = all_turned(parts, "z", rng.uniform(-2, 10) if chance(rng, 0.5) else 0.0)
    return all_moved(parts, 0, gap) + _stand(rng, width, gap, case)


def _tube_display(rng: Random) -> Parts:
    """A screen with a tube behind it, in a case that narrows to the rear."""
    width = rng.uniform(0.38, 0.75)
    height, depth = width / rng.uniform(1.1, 1.35), width * rng.uniform(0.7, 1.1)
    case = pick(rng, (*CASES, (0.75, 0.72, 0.62), *PAINTS[:2]))
    lip, border = depth * rng.uniform(0.15, 0.45), rng.uniform(0.03, 0.07)
    half, soft = width / 2, rng.uniform(0.01, 0.05)
    parts: Parts = [
        (cushion((-lip, 0, -half), (0, height, half), soft), case),
        (
            cushion(
                (-0.01, border * 1.5, -half + border),
                (0.008, height - border, half - border),
                0.008,
            ),
            SCREEN,
        ),
    ]
    sections = []
    for share, size in (
        (0.0, 0.96),
        (0.4, rng.uniform(0.75, 0.92)),
        (1.0, rng.uniform(0.35, 0.65)),
    ):
        x = -lip * 0.9 - (depth - lip) * share
        middle = height * (0.5 + (0.15 if chance(rng, 0.5) else 0.0) * share)
        sections.append(
            [
                (x, middle + sy * height / 2 * size, sz * half * size)
                for sy, sz in ((-1, -1), (-1, 1), (1, 1), (1, -1))
            ]
        )
    parts.append((loft(sections), case))
    if chance(rng, 0.4):
        foot = lathe([(-0.05, 0.16), (-0.03, 0.17), (0.005, 0.08)]).moved(-depth * 0.35)
        parts.append((foot, case))
    elif chance(rng, 0.3):
        parts.append((block((-depth * 0.4, -0.05, 0), (depth * 0.9, 0.1, width * 0.95)), case))
    return parts


def _laptop(rng: Random) -> Parts:
    width = rng.uniform(0.28, 0.40)
    depth, thick = width * rng.uniform(0.62, 0.78), rng.uniform(0.012, 0.03)
    case, half = pick(rng, CASES), width / 2
    parts: Parts = [(cushion((0, 0, -half), (depth, thick, half), 0.006), case)]
    parts.append(
        (
            box(
                (depth * 0.12, thick - 0.002, -half * 0.9),
                (depth * 0.58, thick + 0.003, half * 0.9),
            ),
            RUBBER,
        )
    )
    parts.append(
        (
            box(
                (depth * 0.65, thick - 0.002, -half * 0.25),
                (depth * 0.92, thick + 0.002, half * 0.25),
            ),
            STEEL,
        )
    )
    screen = _panel(rng, width, depth * 0.98, 0.01, case)[:2]
    return parts + all_moved(all_turned(screen, "z", rng.uniform(5, 35)), 0.005, thick * 0.8)


def _all_in_one(rng: Random) -> Parts:
    """A screen on a bent foot of metal, its computer below the screen."""
    width = rng.uniform(0.45, 0.65)
    height, case, metal = width * rng.uniform(0.6, 0.8), pick(rng, CASES), pick(rng, METALS)
    gap, half = rng.uniform(0.06, 0.14), width / 2
    parts = all_moved(_panel(rng, width, height, 0.03, case), 0, gap)
    parts.append((box((-0.014, gap, -half), (0.016, gap + height * 0.2, half)), metal))
    foot = ribbon(
        [(0.12, 0.006), (-0.05, 0.006), (-0.09, 0.03), (-0.03, gap + height * 0.4)],
        width * rng.uniform(0.12, 0.2),
        0.01,
    )
    return [*parts, (foot, metal)]


def _thick_display(rng: Random) -> Parts:
    """A flat screen of the first years: a deep case on a wide foot, with loudspeakers beside it."""
    case, foot = pick(rng, (*CASES, *PAINTS[2:4])), pick(rng, (*CASES, *METALS))
    width, depth = rng.uniform(0.4, 1.0), rng.uniform(0.05, 0.2)
    height, gap = width / rng.uniform(1.2, 1.8), rng.uniform(0.0, 0.15)
    half, soft, edge = width / 2, rng.uniform(0.004, 0.03), rng.uniform(0.02, 0.09) * width
    body: Parts = [
        (cushion((-depth, 0, -half), (0, height, half), soft), case),
        (box((-0.02, edge, -half + edge), (0.003, height - edge, half - edge)), SCREEN),
    ]
    if chance(rng, 0.3):
        tall = height * rng.uniform(0.5, 1.0)
        side = cushion((-depth, 0, half - 0.01), (0, tall, half * rng.uniform(1.1, 1.3)), soft)
        body += both(side, case)
    parts = all_moved(all_turned(body, "z", rng.uniform(0, 15)), depth / 2, gap + 0.02)
    deep, wide = rng.uniform(0.06, 0.14), half * rng.uniform(0.3, 0.8)
    parts.append((cushion((-deep, 0, -wide), (deep, 0.03, wide), 0.012), foot))
    neck = wide * rng.uniform(0.2, 0.7)
    parts.append((box((-depth * 0.4, 0.02, -neck), (depth * 0.2, gap + height * 0.3, neck)), foot))
    return parts


def _cabinet_display(rng: Random) -> Parts:
    """A large television of one piece: a deep box whose rear is cut off, on a plinth or legs."""
    case, trim = pick(rng, (*CASES, *WOODS, METALS[4])), pick(rng, (*CASES, *METALS))
    width, foot = rng.uniform(0.6, 1.4), rng.uniform(0.0, 0.2)
    height, depth = width * rng.uniform(0.6, 0.95), width * rng.uniform(0.3, 0.75)
    half, cut = width / 2, rng.uniform(0.2, 0.9)
    rear, slope = half * rng.uniform(0.4, 0.95), rng.uniform(0.6, 1.0)
    sections = []
    for x, z, top in ((0, half, 1.0), (-depth * cut, half * 0.98, 0.98), (-depth, rear, slope)):
        y0, y1 = foot, foot + height * top
        sections.append([(x, y0, -z), (x, y0, z), (x, y1, z), (x, y1, -z)])
    parts: Parts = [(loft(sections), case)]
    low, edge = foot + height * rng.uniform(0.08, 0.35), width * rng.uniform(0.04, 0.12)
    parts.append(
        (box((-0.02, low, -half + edge), (0.012, foot + height - edge, half - edge)), SCREEN)
    )
    if chance(rng, 0.4):
        parts.append(
            (box((-0.02, foot + 0.02, -half * 0.9), (0.008, low - 0.02, half * 0.9)), trim)
        )
    if foot > 0.05 and chance(rng, 0.4):
        leg = rod((-depth * 0.15, 0, half * 0.75), (-depth * 0.2, foot, half * 0.7), 0.02, sides=6)
        parts += both(leg, trim) + both(leg.moved(-depth * 0.5).scaled(1, 1, 0.6), trim)
    elif foot > 0.02:
        parts.append((box((-depth * 0.8, 0, -rear * 0.9), (-0.02, foot, rear * 0.9)), trim))
    return parts


def _round_display(rng: Random) -> Parts:
    """A screen in a round or egg-shaped case, leaning back on short feet or on a stalk."""
    case, glass = pick(rng, (*PAINTS, *CASES)), pick(rng, (SCREEN, (0.3, 0.3, 0.32)))
    width = rng.uniform(0.3, 0.5)
    height, depth = width * rng.uniform(0.8, 1.1), width * rng.uniform(0.8, 1.2)
    angles = np.radians(np.arange(12) * 30 + 15)
    shares = ((0.0, 0.95), (0.12, 1.0), (0.4, 0.97), (0.7, rng.uniform(0.6, 0.85)), (1.0, 0.3))
    power = rng.uniform(0.4, 0.9)  # between a rectangle and an ellipse
    sections = []
    for share, size in shares:
        outline = []
        for a in angles:
            c, s = float(np.cos(a)), float(np.sin(a))
            z = np.sign(c) * abs(c) ** power * width / 2 * size
            y = np.sign(s) * abs(s) ** power * height / 2 * size
            outline.append((-depth * share, y - 0.1 * height * share, z))
        sections.append(outline)
    pane = cushion(
        (-0.02, -height * 0.34, -width * 0.38), (0.012, height * 0.38, width * 0.38), 0.01
    )
    body: Parts = [(loft(sections), case), (pane, glass)]
    lean = rng.uniform(0, 15)
    if chance(rng, 0.7):
        return all_moved(all_turned(body, "z", lean), 0, height * 0.55)
    stalk = rng.uniform(0.05, 0.2)
    parts = all_moved(all_turned(body, "z", lean), 0, height * 0.5 + stalk)
    parts.append((rod((-depth * 0.4, 0, 0), (-depth * 0.4, stalk + 0.08, 0), 0.03, sides=8), case))
    base = lathe([(0, width * 0.4), (0.02, width * 0.38), (0.04, 0.04)]).moved(-depth * 0.4)
    return [*parts, (base, case)]


DISPLAYS = (
    (0.46, _flat_display),
    (0.15, _tube_display),
    (0.08, _laptop),
    (0.08, _all_in_one),
    (0.10, _thick_display),
    (0.08, _cabinet_display),
    (0.05, _round_display),
)


# ---- loudspeakers --------------------------------------------------------------------------------


CONE: Color = (0.12, 0.12, 0.13)


def speaker(rng: Random) -> Parts:
    """A loudspeaker for shelf, floor, stage, desk or pocket."""
    return draw_style(rng, SPEAKERS)


def _driver(x: float, y: float, radius: float, rim: Color, z: float = 0.0) -> Parts:
    """Returns a round driver on a front at x."""
    return [
        (rod((x - 0.002, y, z), (x + 0.006, y, z), radius, sides=16), rim),
        (rod((x, y, z), (x + 0.012, y, z), radius * 0.85, radius * 0.3, 16), CONE),
    ]


def _box_speaker(rng: Random) -> Parts:
    """A cabinet with one to four drivers: for a shelf, the floor, or nearly a cube."""
    width = rng.uniform(0.16, 0.32)
    height = width * float(
        rng.choice([rng.uniform(0.95, 1.2), rng.uniform(1.4, 1.9), rng.uniform(2.8, 5.0)])
    )
    depth, case = width * rng.uniform(0.75, 1.4), pick(rng, (*WOODS, *CASES))
    half, x = width / 2, depth / 2
    style = int(rng.integers(4))
    if style == 0:
        body = cushion((-x, 0, -half), (x, height, half), width * rng.uniform(0.05, 0.2))
    elif style == 1:  # leans back or narrows upwards
        lean = rng.uniform(0.0, 0.25) * depth
        side = [(-x, 0), (x, 0), (x - lean, height), (-x, height)]
        body = prism(side, "z", -half, half)
    elif style == 2:
        narrow = rng.uniform(0.6, 1.0)
        plan = [(-x, -half * narrow), (x, -half), (x, half), (-x, half * narrow)]
        body = prism(plan, "y", 0, height)
    else:
        body = box((-x, 0, -half), (x, height, half))
    parts: Parts = [(body, case)]
    if chance(rng, 0.35):  # a cloth before the drivers
        parts.append(
            (
                block((x, height * 0.5, 0), (0.015, height * 0.9, width * 0.88)),
                pick(rng, (CONE, *DARK_METALS)),
            )
        )
    elif style != 1:
        parts += _drivers(rng, x, height, half)
    if chance(rng, 0.3):
        for sign in (1, -1):
            parts += both(
                rod(
                    (sign * x * 0.8, -0.03, half * 0.8),
                    (sign * x * 0.8, 0.003, half * 0.8),
                    0.012,
                    sides=6,
                ),
                RUBBER,
            )
    elif chance(rng, 0.2):
        parts.append((block((0, -0.012, 0), (depth * 1.2, 0.025, width * 1.25)), CONE))
    elif chance(rng, 0.12):
        stand = rod((0, -0.6, 0), (0, 0.005, 0), 0.025, sides=8)
        parts += [(stand, STEEL), (block((0, -0.6, 0), (depth, 0.02, width)), STEEL)]
    return parts


def _drivers(rng: Random, x: float, height: float, half: float) -> Parts:
    parts: Parts = []
    count, y, rim = int(rng.integers(1, 4)), 0.0, pick(rng, METALS)
    size = min(half * 0.88, height * 0.48 / count)
    for number in range(count):
        radius = size * (0.55 if count > 1 and number == count - 1 else 1.0)
        parts += _driver(x, y + height / count / 2, radius, rim)
        y += height / count
    return parts


def _round_speaker(rng: Random) -> Parts:
    """A cylinder, upright or lying, a ball, a pill with a handle."""
    case, rim = pick(rng, (*CASES, *PAINTS)), pick(rng, METALS)
    radius, long = rng.uniform(0.035, 0.08), rng.uniform(0.1, 0.25)
    style = int(rng.integers(4))
    if style == 0:
        return [
            (
                lathe(
                    [
                        (0, radius * 0.9),
                        (0.01, radius),
                        (long, radius),
                        (long + 0.01, radius * 0.85),
                    ],
                    sides=20,
                ),
                case,
            ),
            (rod((0, long * 0.1, 0), (0, long * 0.2, 0), radius * 1.03), rim),
        ]
    if style == 1:
        angles = np.linspace(-1.2, 1.2, 8)
        return [
            (
                lathe(
                    [
                        (radius * 2 * float(np.sin(a)), radius * 2 * float(np.cos(a)))
                        for a in angles
                    ],
                    sides=20,
                ),
                case,
            ),
            *_driver(radius * 1.9, 0, radius, rim),
        ]
    half = long * rng.uniform(0.8, 1.4)
    shares = ((-1.0, 0.85), (-0.95, 1.0), (0.95, 1.0), (1.0, 0.85))
    parts: Parts = [
        (lathe([(half * s, radius * r) for s, r in shares], "z", 20).moved(y=radius), case)
    ]
    for sign in (1, -1):
        parts.append(
            (
                rod(
                    (0, radius, sign * half),
                    (0, radius, sign * half * 1.03),
                    radius * 0.7,
                    sides=14,
                ),
                rim,
            )
        )
    if style == 2:
        handle = tube(
            [
                (radius, radius * 0.9, -half * 0.4),
                (radius * 1.8, radius * 0.3, -half * 0.4),
                (radius * 1.8, radius * 0.3, half * 0.4),
                (radius, radius * 0.9, half * 0.4),
            ],
            0.006,
            6,
        )
        parts.append((handle, rim))
    else:
        parts.append(
            (rod((0, radius, -half * 0.25), (0, radius, half * 0.25), radius * 1.04, sides=20), rim)
        )
        parts += both(
            block((0, radius * 0.1, half * 0.5), (radius * 1.2, radius * 0.25, 0.02)), RUBBER
        )
    return parts


def _wide_speaker(rng: Random) -> Parts:
    """A sound bar, a radio with two drivers, or a dock for a player."""
    case, rim = pick(rng, CASES), pick(rng, METALS)
    style = int(rng.integers(3))
    if style == 0:
        half, high, deep = rng.uniform(0.35, 0.6), rng.uniform(0.05, 0.1), rng.uniform(0.06, 0.12)
        return [
            (
                cushion((-deep / 2, 0, -half), (deep / 2, high, half), rng.uniform(0.004, 0.03)),
                case,
            ),
            (block((deep / 2, high / 2, 0), (0.006, high * 0.8, half * 1.9)), CONE),
        ]
    half, high, deep = rng.uniform(0.13, 0.28), rng.uniform(0.09, 0.2), rng.uniform(0.08, 0.2)
    lean = rng.uniform(0.0, 0.5) * deep
    side = [
        (-deep / 2, 0),
        (deep / 2, 0),
        (deep / 2 - lean, high),
        (-deep / 2, high * rng.uniform(0.8, 1.0)),
    ]
    parts: Parts = [(prism(side, "z", -half, half), case)]
    if style == 1:
        for sign in (1, -1):
            parts += _driver(
                deep / 2 - lean / 2, high / 2, min(high * 0.38, half * 0.4), rim, sign * half * 0.55
            )
        handle = tube(
            [
                (0, high * 0.9, half * 0.8),
                (0, high * 1.3, half * 0.7),
                (0, high * 1.3, -half * 0.7),
                (0, high * 0.9, -half * 0.8),
            ],
            0.007,
            6,
        )
        return [*parts, (handle, rim)]
    player = block((0, 0, 0), (0.012, high * 0.6, 0.06)).turned("z", 12).moved(0, high * 1.2)
    return [*parts, (player, SCREEN)]


def _stage_speaker(rng: Random) -> Parts:
    """A wedge or a box with a horn, or a sphere of a satellite on a tripod."""
    case, half = pick(rng, DARK_METALS + PAINTS[2:4]), rng.uniform(0.18, 0.3)
    high, deep = rng.uniform(0.4, 0.75), rng.uniform(0.3, 0.4)
    if chance(rng, 0.5):
        side = [(-deep / 2, 0), (deep / 2, 0), (deep * 0.3, high * 0.4), (-deep * 0.4, high)]
        parts: Parts = [(prism(side, "z", -half, half), case)]
        return parts
    plan = [(-deep / 2, -half * 0.6), (deep / 2, -half), (deep / 2, half), (-deep / 2, half * 0.6)]
    parts = [(prism(plan, "y", 0, high), case), *_driver(deep / 2, high * 0.32, half * 0.8, RUBBER)]
    parts.append((block((deep / 2, high * 0.8, 0), (0.02, high * 0.2, half * 1.4)), RUBBER))
    if chance(rng, 0.35):
        parts = all_moved(parts, 0, 0.9)
        parts += star_base(rng, 0.4, 0.9, DARK_METALS[1], 3, castors=False)
        parts.append((rod((0, 0.3, 0), (0, 0.92, 0), 0.02, sides=8), DARK_METALS[1]))
    return parts


SPEAKERS = (
    (0.62, _box_speaker),
    (0.15, _round_speaker),
    (0.13, _wide_speaker),
    (0.10, _stage_speaker),
)


# ---- telephones ----------------------------------------------------------------------------------


def telephone(rng: Random) -> Parts:
    """A telephone for the pocket, the desk, the wall or a cradle."""
    return draw_style(rng, TELEPHONES)


def _keys(rng: Random, x: float, low: float, high: float, half: float) -> Parts:
    """Returns three by four keys on a front at x."""
    color, parts = pick(rng, PLASTICS), []
    gap = (high - low) / 4
    for row in range(4):
        for column in (-1, 0, 1):
            at = (x, low + gap * (row + 0.5), column * half * 0.6)
            parts.append((block(at, (0.003, gap * 0.6, half * 0.42)), color))
    return parts


def _upright_or_lying(rng: Random, parts: Parts, lying: float) -> Parts:
    """Lays an upright telephone on its back, with its top to the rear, with some probability."""
    if not chance(rng, lying):
        return parts
    turned = all_turned(parts, "z", 90)
    return turned if chance(rng, 0.6) else all_turned(turned, "y", float(rng.choice([90, -90])))


def _smart_phone(rng: Random) -> Parts:
    case, half = pick(rng, (*CASES, *PAINTS)), rng.uniform(0.029, 0.042)
    high, thick = half * rng.uniform(3.7, 4.5), rng.uniform(0.007, 0.013)
    x, edge = thick / 2, rng.uniform(0.001, 0.006)
    if chance(rng, 0.5):
        body = cushion((-x, 0, -half), (x, high, half), edge)
    else:  # round corners of the front
        outline = cushion((-half, 0, -high / 2), (half, thick, high / 2), half * 0.25)
        body = outline.turned("y", 90).turned("z", -90).moved(-x, high / 2)
    bezel = rng.uniform(0.02, 0.12) * high
    screen = box((x - 0.001, bezel, -half * 0.92), (x + 0.0006, high - bezel, half * 0.92))
    parts: Parts = [(body, case), (screen, SCREEN)]
    if bezel > 0.06 * high:
        parts.append(
            (rod((x, bezel * 0.5, 0), (x + 0.0008, bezel * 0.5, 0), bezel * 0.3, sides=12), STEEL)
        )
    return _upright_or_lying(rng, parts, 0.5)


def _key_phone(rng: Random) -> Parts:
    """A pocket telephone with keys, perhaps with an aerial, or one that is folded."""
    case, half = pick(rng, (*CASES, *PAINTS)), rng.uniform(0.021, 0.028)
    high, thick = half * rng.uniform(4.0, 5.2), rng.uniform(0.012, 0.026)
    x = thick / 2
    if chance(rng, 0.3):  # folded open
        lower: Parts = [
            (cushion((-x, -high * 0.9, -half), (x * 0.4, 0, half), 0.005), case),
            *_keys(rng, x * 0.4, -high * 0.8, -high * 0.15, half),
        ]
        upper: Parts = [
            (cushion((-x, 0, -half), (x * 0.2, high * 0.85, half), 0.005), case),
            (box((0, high * 0.15, -half * 0.8), (x * 0.25, high * 0.7, half * 0.8)), SCREEN),
        ]
        return _upright_or_lying(rng, lower + all_turned(upper, "z", -rng.uniform(0, 40)), 0.3)
    parts: Parts = [(cushion((-x, 0, -half), (x, high, half), rng.uniform(0.003, 0.012)), case)]
    parts.append((box((0, high * 0.52, -half * 0.8), (x + 0.001, high * 0.85, half * 0.8)), SCREEN))
    parts += _keys(rng, x, high * 0.06, high * 0.45, half)
    if chance(rng, 0.4):
        parts.append(
            (
                rod(
                    (-x * 0.3, high * 0.98, half * 0.7),
                    (-x * 0.3, high * rng.uniform(1.12, 1.4), half * 0.7),
                    half * 0.17,
                    sides=8,
                ),
                RUBBER,
            )
        )
    return _upright_or_lying(rng, parts, 0.4)


def _handset(rng: Random, long: float, size: float, case: Color) -> Parts:
    """Returns a bent handset along z whose ends look down, resting at y = 0."""
    bow = long * rng.uniform(0.12, 0.22)
    line = [
        (0, bow * 0.5, -long / 2),
        (0, bow, -long * 0.35),
        (0, bow * 1.15, 0),
        (0, bow, long * 0.35),
        (0, bow * 0.5, long / 2),
    ]
    parts: Parts = [
        (tube(line, [size * 0.9, size * 0.75, size * 0.6, size * 0.75, size * 0.9], 8), case)
    ]
    for sign in (1, -1):
        ear = rod(
            (0, 0, sign * long * 0.44),
            (0, bow * 0.7, sign * long * 0.44),
            size * 1.35,
            size * 0.95,
            10,
        )
        parts.append((ear, case))
    return parts


def _cord(
    rng: Random,
    start: tuple[float, float, float],
    end: tuple[float, float, float],
    drop: float,
    color: Color,
) -> Parts:
    """Returns a cord that hangs between two points."""
    a, b = np.array(start), np.array(end)
    line = [
        a + (b - a) * s - np.array([0, drop * 4 * s * (1 - s), 0]) for s in np.linspace(0, 1, 8)
    ]
    return [(tube([tuple(p) for p in line], 0.004, 5), color)]


def _desk_phone(rng: Random) -> Parts:
    """A wedge with keys or a dial; the handset lies across it or at its side."""
    case = pick(rng, (*CASES, (0.80, 0.78, 0.70), *PAINTS[:1]))
    width, depth = rng.uniform(0.15, 0.22), rng.uniform(0.17, 0.24)
    low, high = rng.uniform(0.015, 0.04), rng.uniform(0.05, 0.1)
    side = [
        (-depth / 2, 0),
        (depth / 2, 0),
        (depth / 2, low),
        (-depth * 0.4, high),
        (-depth / 2, high),
    ]
    parts: Parts = [(prism(side, "z", -width / 2, width / 2), case)]
    slope = float(np.degrees(np.arctan2(high - low, depth * 0.9)))
    beside = chance(rng, 0.65)
    place = width * 0.17 if beside else 0.0
    pad = all_turned(_keys(rng, 0, -0.035, 0.035, 0.04), "z", 90 - slope)
    parts += all_moved(pad, depth * 0.12, low + (high - low) * 0.42 + 0.002, place)
    if beside:
        if chance(rng, 0.5):
            screen = block((0, 0, 0), (depth * 0.2, 0.006, width * 0.4)).turned("z", -slope)
            parts.append((screen.moved(-depth * 0.25, high * 0.85, place), SCREEN))
        hand = all_turned(_handset(rng, depth * 1.02, 0.017, case), "y", 90)
        parts += all_moved(
            all_turned(hand, "z", -slope), 0, (low + high) / 2 + 0.006, -width * 0.36
        )
    else:
        parts += all_moved(
            _handset(rng, width * rng.uniform(1.05, 1.25), 0.017, case), -depth * 0.35, high
        )
    if chance(rng, 0.3):
        parts += _cord(rng, (0, 0.02, -width / 2), (depth * 0.3, 0.012, -width * 0.75), 0.0, RUBBER)
    return parts


def _dial_phone(rng: Random) -> Parts:
    """An old telephone: a curved body, a dial, and the handset on a cradle."""
    case, metal = (
        pick(rng, ((0.08, 0.08, 0.08), (0.85, 0.82, 0.74), (0.6, 0.1, 0.1), (0.3, 0.2, 0.1))),
        pick(rng, METALS),
    )
    width, depth, high = rng.uniform(0.15, 0.2), rng.uniform(0.16, 0.2), rng.uniform(0.08, 0.13)
    sections = []
    for share in np.linspace(0, 1, 5):
        x, z = depth / 2 * (1 - share * 0.6), width / 2 * (1 - 0.5 * share**0.7)
        sections.append(
            [
                (-depth / 2 * (1 - share * 0.35), high * share, -z),
                (x, high * share, -z),
                (x, high * share, z),
                (-depth / 2 * (1 - share * 0.35), high * share, z),
            ]
        )
    parts: Parts = [(loft(sections), case)]
    slope = float(np.degrees(np.arctan2(depth * 0.3, high)))
    dial = rod((0, 0, 0), (0.012, 0, 0), width * 0.24, width * 0.22, 16).turned("z", slope)
    parts.append((dial.moved(depth * 0.34, high * 0.5), metal))
    for z in (width * 0.22, -width * 0.22):
        for x in (-depth * 0.22, 0.0):
            parts.append(
                (rod((x - 0.02, high * 0.95, z), (x - 0.02, high + 0.025, z), 0.007, sides=6), case)
            )
    return parts + all_moved(
        _handset(rng, width * rng.uniform(1.2, 1.45), 0.016, case), -depth * 0.17, high + 0.012
    )


def _cordless_phone(rng: Random) -> Parts:
    """A slim handset that leans in its cradle."""
    case, half = pick(rng, CASES), rng.uniform(0.022, 0.028)
    high, lean = rng.uniform(0.15, 0.19), rng.uniform(8, 35)
    hand: Parts = [
        (cushion((-0.012, 0, -half), (0.012, high, half), 0.009), case),
        (box((0, high * 0.6, -half * 0.75), (0.0135, high * 0.82, half * 0.75)), SCREEN),
    ]
    hand += _keys(rng, 0.0125, high * 0.15, high * 0.52, half)
    deep, wide, low = rng.uniform(0.06, 0.12), rng.uniform(0.045, 0.08), rng.uniform(0.02, 0.05)
    side = [(-deep, 0), (deep, 0), (deep, 0.012), (-deep * 0.3, low * 1.6), (-deep, low)]
    cradle: Parts = [(prism(side, "z", -wide, wide), pick(rng, CASES))]
    return cradle + all_moved(all_turned(hand, "z", lean), 0.0, low * 0.3)


def _wall_phone(rng: Random) -> Parts:
    """A flat box with a handset that hangs at its side or on its front, and a cord."""
    case = pick(rng, CASES)
    high, half, deep = rng.uniform(0.19, 0.26), rng.uniform(0.04, 0.1), rng.uniform(0.025, 0.05)
    parts: Parts = [(cushion((-deep, 0, -half), (0, high, half), 0.008), case)]
    side = -half * 0.45 if half > 0.06 else 0.0
    hand = all_turned(_handset(rng, high * rng.uniform(0.9, 1.05), 0.016, case), "x", 90)
    hand = all_turned(hand, "y", 90)
    parts += all_moved(hand, 0.004, high * 0.52, side)
    if side:
        if chance(rng, 0.6):
            parts += all_moved(
                _keys(rng, 0.001, 0.0, high * 0.35, half * 0.4), 0, high * 0.12, half * 0.45
            )
        parts.append(
            (box((-0.002, high * 0.55, half * 0.1), (0.003, high * 0.9, half * 0.85)), SCREEN)
        )
    return parts + _cord(
        rng, (0.01, 0.02, side), (-deep / 2, 0.0, side + half * 0.5), rng.uniform(0.03, 0.1), case
    )


def _intercom(rng: Random) -> Parts:
    """A handset, thick and bowed, beside a small screen on the wall, or alone above its cord."""
    case, glass = pick(rng, CASES), pick(rng, (SCREEN, (0.1, 0.5, 0.6)))
    high, thick = rng.uniform(0.18, 0.24), rng.uniform(0.02, 0.035)
    half = rng.uniform(0.02, 0.032)
    bow = rng.uniform(0.012, 0.03)
    line = [
        (0.01, 0.0),
        (bow, high * 0.25),
        (bow * 1.2, high * 0.5),
        (bow, high * 0.8),
        (0.01, high),
    ]
    widths = (half * np.array([1.0, 0.9, 0.85, 0.9, 1.0])).tolist()
    parts: Parts = [(ribbon(line, widths, thick).moved(thick * 0.6), case)]
    plate, deep = rng.uniform(1.1, 1.5) * half, rng.uniform(0.01, 0.03)
    parts.append((box((-deep, high * 0.04, -plate), (0, high * 0.97, plate)), pick(rng, CASES)))
    if chance(rng, 0.5):
        wide, tall = rng.uniform(0.07, 0.14), high * rng.uniform(0.8, 1.05)
        body = cushion((-deep * 1.5, 0, plate * 0.9), (thick * 0.6, tall, plate + wide), 0.006)
        pane = box((0, tall * 0.45, plate + 0.012), (thick * 0.65, tall * 0.9, plate + wide - 0.01))
        parts += [(body, case), (pane, glass)]
        for z in np.linspace(plate + wide * 0.25, plate + wide * 0.8, int(rng.integers(2, 4))):
            parts.append((block((thick * 0.6, tall * 0.2, z), (0.008, 0.012, 0.012)), STEEL))
    if chance(rng, 0.7):
        start = (0.01, 0.0, 0.0)
        parts += _cord(rng, start, (-deep, 0.0, -half * 1.6), rng.uniform(0.04, 0.12), case)
    return parts


def _office_phone(rng: Random) -> Parts:
    """A broad flat set with many keys, a raised screen, and a thick handset on its left side."""
    case = pick(rng, (*CASES, (0.80, 0.78, 0.70)))
    width, depth, high = rng.uniform(0.2, 0.3), rng.uniform(0.17, 0.25), rng.uniform(0.015, 0.035)
    lean = rng.uniform(4, 30)
    x, z = depth / 2, width / 2
    parts: Parts = [(cushion((-x, 0, -z), (x, high, z), high * 0.3), case)]
    hand = all_turned(_handset(rng, depth * 1.0, rng.uniform(0.017, 0.026), case), "y", 90)
    parts += all_moved(hand, 0, high * 0.9, -z * 0.68)
    pad = all_turned(_keys(rng, 0, -0.04, 0.04, 0.05), "z", 90)
    parts += all_moved(pad, x * 0.35, high + 0.002, z * 0.1)
    for row in np.linspace(-x * 0.6, x * 0.7, int(rng.integers(3, 7))):
        parts.append((block((row, high, z * 0.72), (0.012, 0.006, z * 0.35)), pick(rng, PLASTICS)))
    hinge = rng.uniform(0.0, 0.9)
    screen: Parts = [
        (box((-0.004, 0, -z * 0.4), (0.004, depth * 0.36, z * 0.6)), case),
        (box((0.0, 0.012, -z * 0.35), (0.006, depth * 0.33, z * 0.55)), SCREEN),
    ]
    parts += all_moved(all_turned(screen, "z", 25 + 55 * hinge), -x * 0.4, high)
    parts = all_turned(parts, "z", -lean)
    low = min(float(solid.vertices[:, 1].min()) for solid, _ in parts)
    parts = all_moved(parts, 0, -low)
    if lean > 10:
        rise = depth * float(np.sin(np.radians(lean)))
        parts.append((box((-x * 0.85, 0, -z * 0.6), (-x * 0.75, rise * 0.85, z * 0.6)), case))
    return parts


TELEPHONES = (
    (0.21, _smart_phone),
    (0.13, _key_phone),
    (0.17, _desk_phone),
    (0.09, _dial_phone),
    (0.14, _cordless_phone),
    (0.10, _wall_phone),
    (0.08, _intercom),
    (0.08, _office_phone),
)
