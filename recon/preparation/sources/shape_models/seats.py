"""Parametric chairs, benches and sofas."""

from __future__ import annotations

import numpy as np

from recon.preparation.sources.shape_models.chairs import (
    bar_chair,
    block_chair,
    parsons_chair,
    period_chair,
    post_chair,
    spindle_chair,
    swivel_armchair,
)
from recon.preparation.sources.shape_models.parts import (
    FABRICS,
    METALS,
    PAINTS,
    PLASTICS,
    WOODS,
    Color,
    Parts,
    Random,
    all_moved,
    all_scaled,
    all_turned,
    both,
    chance,
    draw_style,
    hoop,
    legs,
    metal_legs,
    pick,
    star_base,
    turned_leg,
)
from recon.preparation.sources.solids import (
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


def chair(rng: Random) -> Parts:
    """A chair for the table, the office, the bar, the garden or the fireside, or a stool."""
    # Real chairs are deeper, in relation to their height, than the measures of the styles.
    return all_scaled(draw_style(rng, CHAIRS), x=rng.uniform(0.95, 1.35))


def _back(
    rng: Random, height: float, width: float, thickness: float, color: Color, cover: Color
) -> Parts:
    """Returns an upright back on the plane x = 0 above y = 0, in one of six styles."""
    half, style = width / 2, int(rng.integers(6))
    if style == 0:
        return [(cushion((0, 0, -half), (thickness * 1.3, height, half), thickness), cover)]
    slim = thickness * rng.uniform(0.6, 1.0)
    parts = both(box((0, 0, half - slim), (slim, height, half)), color)
    rail = rng.uniform(0.06, 0.2) * height
    parts.append((box((0, height - rail, -half), (slim, height + slim * 0.3, half)), color))
    if style == 1:  # upright bars
        low = rng.uniform(0.0, 0.35) * height
        parts.append((box((0, low, -half), (slim * 0.8, low + slim, half)), color))
        for z in np.linspace(-half, half, int(rng.integers(5, 10)))[1:-1]:
            parts.append(
                (rod((slim / 2, low, z), (slim / 2, height, z), slim * 0.25, sides=6), color)
            )
    elif style == 2:  # a ladder
        gap = height / rng.integers(3, 6)
        for y in np.arange(height - gap, 0.1 * height, -gap):
            parts.append((box((0, y - gap * 0.35, -half), (slim * 0.6, y, half)), color))
    elif style == 3:  # a board in the middle
        board = rng.uniform(0.15, 0.6) * half
        parts.append((box((slim * 0.2, 0, -board), (slim * 0.8, height, board)), color))
    elif style == 4:  # a cross
        for sign in (1, -1):
            bar = rod(
                (slim / 2, 0.1 * height, -sign * half),
                (slim / 2, height - rail, sign * half),
                slim * 0.35,
                sides=6,
            )
            parts.append((bar, color))
    else:  # a panel between the posts
        low = rng.uniform(0.1, 0.6) * height
        parts.append((box((slim * 0.1, low, -half), (slim * 0.9, height, half)), cover))
    return parts


def _arms(rng: Random, depth: float, width: float, high: float, seat: float, color: Color) -> Parts:
    """Returns arm rests on posts at both sides of a seat of that depth, centred at x = 0."""
    thick, z = rng.uniform(0.02, 0.045), width / 2
    front = depth * rng.uniform(0.15, 0.45)
    rest = cushion(
        (-depth / 2, high, z - thick), (front + 0.02, high + thick, z + thick * 0.6), 0.01
    )
    post = rod((front, seat, z - thick * 0.2), (front, high, z - thick * 0.2), thick * 0.5, sides=8)
    return both(rest, color) + both(post, color)


def _seat(rng: Random, depth: float, width: float, top: float, thick: float, color: Color) -> Parts:
    """Returns a seat whose upper side is at `top`: a board, a pad or narrower behind."""
    style = int(rng.integers(3))
    x, z = depth / 2, width / 2
    if style == 0:
        return [(box((-x, top - thick, -z), (x, top, z)), color)]
    if style == 1:
        return [(cushion((-x, top - thick * 1.6, -z), (x, top, z), thick * 0.8), color)]
    narrow = z * rng.uniform(0.75, 0.95)
    plan = [(-x, -narrow), (x, -z), (x, z), (-x, narrow)]
    return [(prism(plan, "y", top - thick, top), color)]


def _dining_chair(rng: Random) -> Parts:
    depth, width = rng.uniform(0.38, 0.50), rng.uniform(0.38, 0.52)
    top, thick = rng.uniform(0.42, 0.50), rng.uniform(0.02, 0.05)
    frame = pick(rng, WOODS + PAINTS[2:4])
    cover = pick(rng, FABRICS) if chance(rng, 0.5) else frame
    parts = _seat(rng, depth, width, top, thick, cover)
    parts += legs(rng, depth, width, top - thick, rng.uniform(0.025, 0.05), frame, 0.4)
    height, rake = rng.uniform(0.35, 0.62), rng.uniform(0.0, 14.0)
    back = _back(rng, height, width * rng.uniform(0.85, 1.0), rng.uniform(0.02, 0.04), frame, cover)
    parts += all_moved(all_turned(back, "z", rake), -depth / 2, top - 0.01)
    if chance(rng, 0.25):
        parts += _arms(rng, depth, width, top + rng.uniform(0.16, 0.24), top, frame)
    return parts


def _shell_chair(rng: Random) -> Parts:
    """Seat and back of one bent shell on thin legs, sleds, a star or a trumpet foot."""
    color, metal = pick(rng, PAINTS + PLASTICS + WOODS), pick(rng, METALS)
    top, width = rng.uniform(0.42, 0.48), rng.uniform(0.40, 0.55)
    high, rake = rng.uniform(0.30, 0.48), rng.uniform(0.05, 0.18)
    front, rear = 0.23, -rng.uniform(0.16, 0.22)
    line = [
        (front, top - 0.02),
        (front - 0.06, top),
        (rear + 0.06, top - 0.015),
        (rear, top + 0.05),
        (rear - rake * 0.4, top + high * 0.5),
        (rear - rake, top + high),
    ]
    waist = rng.uniform(0.6, 1.0)
    shares = np.array([0.9, 1.0, 1.0, 0.95, waist, rng.uniform(0.6, 1.0)])
    parts: Parts = [(ribbon(line, (width / 2 * shares).tolist(), rng.uniform(0.015, 0.04)), color)]
    if chance(rng, 0.2):
        parts += _arms(rng, 0.44, width * 1.05, top + 0.2, top, color)
    return parts + _thin_legs(rng, 0.42, width * 0.9, top - 0.02, metal)


def _thin_legs(rng: Random, depth: float, width: float, top: float, metal: Color) -> Parts:
    """Returns what holds a light seat: splayed tubes, sleds, a trumpet foot or a cantilever."""
    style = int(rng.integers(4))
    if style == 0:
        x, z, splay = depth / 2 - 0.05, width / 2 - 0.05, rng.uniform(0.02, 0.08)
        parts: Parts = []
        for sign in (1, -1):
            leg = rod(
                (sign * (x + splay), 0, z + splay), (sign * x * 0.8, top, z * 0.8), 0.011, sides=6
            )
            parts += both(leg, metal)
        return parts
    if style == 1:
        return metal_legs(depth, width, top, 0.011, metal)
    if style == 2:
        foot = lathe([(0, 0.22), (0.012, 0.21), (0.05, 0.06), (top * 0.5, 0.025), (top, 0.05)])
        return [(foot, metal)]
    x, z = depth / 2, width / 2 - 0.03  # the seat hangs over its feet
    frame = [
        (-x, top - 0.01, z),
        (x - 0.03, top - 0.01, z),
        (x, top - 0.06, z),
        (x, 0.05, z),
        (x - 0.04, 0.012, z),
        (-x, 0.012, z),
    ]
    bar = rod((-x, 0.012, -z), (-x, 0.012, z), 0.012, sides=6)
    return [*both(tube(frame, 0.012, 6), metal), (bar, metal)]


def _office_chair(rng: Random) -> Parts:
    cover, frame = pick(rng, FABRICS), pick(rng, METALS + PLASTICS)
    top, width, depth = rng.uniform(0.42, 0.54), rng.uniform(0.44, 0.54), rng.uniform(0.42, 0.50)
    parts = star_base(rng, rng.uniform(0.26, 0.34), top * 0.55, frame)
    parts.append((rod((0, top * 0.5, 0), (0, top - 0.06, 0), 0.022, sides=8), frame))
    thick = rng.uniform(0.05, 0.10)
    parts.append(
        (cushion((-depth / 2, top - thick, -width / 2), (depth / 2, top, width / 2), 0.04), cover)
    )
    gap, high = rng.uniform(0.02, 0.18), rng.uniform(0.35, 0.72)
    curve = rng.uniform(0.0, 0.05)
    line = [(0.0, gap), (curve, gap + high * 0.3), (-0.02, gap + high * 0.7), (-0.06, gap + high)]
    half = width / 2 * rng.uniform(0.75, 1.0)
    panel = ribbon(line, [half * 0.9, half, half, half * rng.uniform(0.6, 0.95)], 0.05)
    parts.append((panel.moved(-depth / 2, top), cover))
    post = tube(
        [
            (0, top - thick, 0),
            (-depth / 2 - 0.04, top - thick, 0),
            (-depth / 2 - 0.045, top + gap + high * 0.5, 0),
        ],
        0.02,
        6,
    )
    parts.append((post, frame))
    if chance(rng, 0.65):
        parts += _arms(
            rng, depth * 0.8, width * 1.12, top + rng.uniform(0.15, 0.22), top - thick, frame
        )
    return parts


def _stool(rng: Random) -> Parts:
    """Without a back or with a low one, of the height of a chair or of a bar."""
    top, radius = rng.uniform(0.40, 0.80), rng.uniform(0.14, 0.22)
    wood = pick(rng, WOODS + PAINTS)
    cover = pick(rng, FABRICS) if chance(rng, 0.4) else wood
    thick = rng.uniform(0.025, 0.09)
    if chance(rng, 0.7):
        seat = lathe(
            [
                (top - thick, radius * 0.93),
                (top - thick * 0.7, radius),
                (top - thick * 0.3, radius),
                (top, radius * 0.93),
            ]
        )
    else:
        seat = cushion((-radius, top - thick, -radius), (radius, top, radius), thick * 0.4)
    parts: Parts = [(seat, cover)]
    if chance(rng, 0.35):
        metal = pick(rng, METALS)
        parts.append((lathe([(0, 0.2), (0.015, 0.19), (0.04, 0.04), (top - thick, 0.025)]), metal))
        ring = hoop(0.15, top * 0.35, 0.009)
        parts += [
            (ring, metal),
            (rod((-0.15, top * 0.35, 0), (0, top * 0.35, 0), 0.008, sides=6), metal),
        ]
    else:
        size = radius * rng.uniform(1.4, 1.9)
        parts += legs(rng, size, size, top - thick, rng.uniform(0.025, 0.06), wood, 0.7)
    if chance(rng, 0.3):
        back = _back(rng, rng.uniform(0.15, 0.4), radius * 1.8, 0.025, wood, cover)
        parts += all_moved(back, -radius, top - 0.02)
    return parts


def _armchair(rng: Random) -> Parts:
    """A soft chair for one, or a wing chair with a high back."""
    width, depth = rng.uniform(0.68, 0.95), rng.uniform(0.70, 0.92)
    parts = _upholstered(rng, width, depth, 1)
    if chance(rng, 0.3):
        cover = parts[0][1]
        side = [
            (-depth / 2, 0.55),
            (-depth / 2 + 0.32, 0.55),
            (-depth / 2 + 0.22, 1.05),
            (-depth / 2 - 0.06, 1.05),
        ]
        parts += both(prism(side, "z", width / 2 - 0.1, width / 2), cover)
        parts.append(
            (
                cushion(
                    (-depth / 2 - 0.04, 0.5, -width / 2 + 0.05),
                    (-depth / 2 + 0.14, 1.1, width / 2 - 0.05),
                    0.05,
                ),
                cover,
            )
        )
    return parts


def _tub_chair(rng: Random) -> Parts:
    """A round back that is arm rest too, about a round seat."""
    cover, cushion_color = pick(rng, FABRICS), pick(rng, FABRICS)
    radius, thick = rng.uniform(0.30, 0.40), rng.uniform(0.05, 0.12)
    foot, seat = rng.uniform(0.0, 0.2), rng.uniform(0.38, 0.45)
    back, arm = seat + rng.uniform(0.25, 0.5), seat + rng.uniform(0.05, 0.25)
    opening = rng.uniform(40, 75)
    parts: Parts = [
        (
            lathe(
                [
                    (foot, radius * 0.85),
                    (foot + 0.05, radius * 0.95),
                    (seat - 0.02, radius * 0.97),
                    (seat, radius * 0.9),
                ]
            ),
            cushion_color,
        )
    ]
    parts.append((_round_wall(radius, thick, foot + 0.05, arm, back, opening), cover))
    if foot > 0.05:
        x = radius * 0.6
        parts += legs(rng, x * 2, x * 2, foot + 0.02, 0.035, pick(rng, WOODS + METALS), 0)
    return parts


def _round_wall(
    radius: float, thick: float, low: float, arm: float, back: float, opening: float
) -> Solid:
    """Returns a wall about the y axis, open at the front by twice `opening` degrees."""
    sections = []
    for angle in np.linspace(np.radians(opening), 2 * np.pi - np.radians(opening), 13):
        high = arm + (back - arm) * (0.5 - 0.5 * np.cos(angle)) ** 1.5
        ring = [(radius, low), (radius + thick, low), (radius + thick * 1.1, high), (radius, high)]
        sections.append([(r * np.cos(angle), y, r * np.sin(angle)) for r, y in ring])
    return loft(sections)


def _folding_chair(rng: Random) -> Parts:
    """Two crossing frames of tube with seat and back between them."""
    metal, cover = pick(rng, METALS + WOODS), pick(rng, FABRICS + WOODS)
    width, top, high = rng.uniform(0.40, 0.48), rng.uniform(0.42, 0.47), rng.uniform(0.75, 0.9)
    z, thick = width / 2, rng.uniform(0.010, 0.018)
    parts = both(tube([(0.26, 0, z), (-0.05, top, z), (-0.22, high, z)], thick, 6), metal)
    parts += both(tube([(-0.26, 0, z - 0.03), (0.18, top, z - 0.03)], thick, 6), metal)
    for x in (0.255, -0.255):
        parts.append((rod((x, 0.02, -z), (x, 0.02, z), thick * 0.8, sides=6), metal))
    parts.append(
        (cushion((-0.2, top - 0.02, -z + 0.02), (0.2, top + 0.02, z - 0.02), 0.015), cover)
    )
    low = rng.uniform(0.15, 0.25)
    line = [(-0.05 - 0.17 * (high - low - top) / (high - top), high - low), (-0.225, high)]
    parts.append((ribbon(line, z, 0.02), cover))
    return parts


def _lounge_chair(rng: Random) -> Parts:
    """Reclined: a deck chair, a relaxing chair or a garden chair of slats."""
    wood, cover = pick(rng, WOODS + METALS), pick(rng, FABRICS)
    width, low = rng.uniform(0.5, 0.65), rng.uniform(0.2, 0.35)
    long, high = rng.uniform(0.5, 1.0), rng.uniform(0.75, 1.0)
    line = [
        (0.3, low + 0.1),
        (0.15, low + 0.12),
        (-0.3, low),
        (-0.45, low + 0.15),
        (-0.3 - long * 0.6, high),
    ]
    half, thick = width / 2, rng.uniform(0.03, 0.10)
    parts: Parts = [(ribbon(line, half * 0.9, thick), cover)]
    rail = tube([(x, y - thick * 0.6, half) for x, y in line], 0.02, 6)
    parts += both(rail, wood)
    parts += both(tube([(0.28, 0, half), (0.25, low + 0.1, half)], 0.02, 6), wood)
    parts += both(tube([(-0.55, 0, half), (-0.25, low, half)], 0.02, 6), wood)
    if chance(rng, 0.6):
        parts += both(box((-0.5, low + 0.25, half - 0.02), (0.25, low + 0.28, half + 0.05)), wood)
        parts += both(rod((0.2, low, half), (0.2, low + 0.25, half), 0.018, sides=6), wood)
    if chance(rng, 0.3):
        parts += all_moved(
            [
                (cushion((-0.25, 0.25, -half * 0.9), (0.2, 0.35, half * 0.9), 0.04), cover),
                *legs(rng, 0.4, width * 0.85, 0.26, 0.04, wood, 0.3),
            ],
            0.75,
        )
    return parts


CHAIRS = (
    (0.17, _dining_chair),
    (0.08, _shell_chair),
    (0.10, _office_chair),
    (0.07, _stool),
    (0.09, _armchair),
    (0.03, _tub_chair),
    (0.04, _folding_chair),
    (0.05, _lounge_chair),
    (0.07, block_chair),
    (0.11, post_chair),
    (0.04, spindle_chair),
    (0.05, parsons_chair),
    (0.04, swivel_armchair),
    (0.03, bar_chair),
    (0.03, period_chair),
)


# ---- benches -------------------------------------------------------------------------------------


def bench(rng: Random) -> Parts:
    """A bench of a park, of a hall, of a piano, or of stone."""
    return all_scaled(draw_style(rng, BENCHES), y=rng.uniform(0.75, 1.1))


def _park_bench(rng: Random) -> Parts:
    """Slats on two or three frames, with a raked back and perhaps arm rests."""
    wood, frame = pick(rng, WOODS + PAINTS), pick(rng, METALS + WOODS)
    width, top = rng.uniform(1.1, 2.0), rng.uniform(0.40, 0.47)
    high, rake, half = rng.uniform(0.32, 0.5), rng.uniform(0.05, 0.2), width / 2
    thick = rng.uniform(0.02, 0.045)
    seat = np.linspace(0.22, -0.2, int(rng.integers(3, 8)))
    gap = float(seat[0] - seat[1])
    parts: Parts = [(block((x, top, 0), (gap * 0.8, thick, width)), wood) for x in seat]
    slats = int(rng.integers(2, 6))
    for share in (np.arange(slats) + 0.8) / slats:
        board = block((0, 0, 0), (thick, high / slats * 0.75, width)).turned("z", np.degrees(rake))
        parts.append((board.moved(-0.22 - rake * high * share, top + 0.05 + high * share), wood))
    inset = half * rng.uniform(0.0, 0.3)
    for z in (half - inset - 0.03, *((0.0,) if chance(rng, 0.3) else ())):
        lines = [
            [(0.2, 0), (0.2, top)],
            [(-0.24, 0), (-0.2, top), (-0.22 - rake * high, top + high)],
            [(0.22, top - 0.03), (-0.22, top - 0.03)],
        ]
        if chance(rng, 0.5):
            lines.append([(-0.24, top + 0.22), (0.2, top + 0.24), (0.2, top)])
        for line in lines:
            parts += both(ribbon(line, 0.025, 0.045).moved(z=z), frame)
    return parts


def _plain_bench(rng: Random) -> Parts:
    """A board or slats without a back, on legs, panels, trestles or sleds."""
    width, depth = rng.uniform(0.9, 1.9), rng.uniform(0.25, 0.5)
    top, thick = rng.uniform(0.36, 0.5), rng.uniform(0.03, 0.09)
    wood, frame = pick(rng, WOODS + PAINTS + FABRICS), pick(rng, WOODS + METALS)
    count = 1 if chance(rng, 0.6) else int(rng.integers(2, 5))
    parts: Parts = []
    for x in (np.arange(count) + 0.5) * depth / count - depth / 2:
        plank = depth / count * (1.0 if count == 1 else 0.88)
        parts.append((block((x, top - thick / 2, 0), (plank, thick, width)), wood))
    style, z = int(rng.integers(4)), width / 2 * rng.uniform(0.6, 0.98)
    if style == 0:
        parts += legs(rng, depth, z * 2, top - thick, rng.uniform(0.04, 0.08), frame, 0.3)
    elif style == 1:
        parts += both(box((-depth / 2, 0, z - 0.05), (depth / 2, top - thick, z)), frame)
    elif style == 2:
        parts += metal_legs(depth, z * 2, top - thick, 0.02, frame)
    else:
        foot = [
            (-depth / 2, 0),
            (-depth * 0.3, 0),
            (0, top * 0.4),
            (depth * 0.3, 0),
            (depth / 2, 0),
            (depth * 0.3, top - thick),
            (-depth * 0.3, top - thick),
        ]
        parts += both(prism(foot, "z", z - 0.06, z), frame)
    return parts


def _settle(rng: Random) -> Parts:
    """A bench with an upright back in the style of chairs, and perhaps arms."""
    width, depth = rng.uniform(0.9, 1.6), rng.uniform(0.38, 0.5)
    top, wood = rng.uniform(0.42, 0.48), pick(rng, WOODS + PAINTS)
    parts = _seat(rng, depth, width, top, rng.uniform(0.03, 0.06), wood)
    parts += legs(rng, depth, width, top - 0.03, rng.uniform(0.04, 0.06), wood, 0.4)
    back = _back(rng, rng.uniform(0.3, 0.5), width, 0.035, wood, wood)
    parts += all_moved(all_turned(back, "z", rng.uniform(0, 12)), -depth / 2, top - 0.01)
    if chance(rng, 0.5):
        parts += _arms(rng, depth, width, top + rng.uniform(0.16, 0.24), top, wood)
    return parts


def _piano_bench(rng: Random) -> Parts:
    width, depth = rng.uniform(0.55, 0.8), rng.uniform(0.32, 0.4)
    top, wood = rng.uniform(0.46, 0.56), pick(rng, (*WOODS, (0.05, 0.05, 0.05)))
    cover = pick(rng, FABRICS)
    x, z = depth / 2, width / 2
    parts: Parts = [
        (cushion((-x, top - 0.07, -z), (x, top, z), 0.025), cover),
        (box((-x * 0.95, top - 0.16, -z * 0.95), (x * 0.95, top - 0.07, z * 0.95)), wood),
    ]
    for sign in (1, -1):
        leg = turned_leg(rng, top - 0.1, 0.035).moved(sign * (x - 0.04), 0, z - 0.05)
        parts += both(leg, wood)
    return parts


def _stone_bench(rng: Random) -> Parts:
    """A solid seat, perhaps bent and with a back, on blocks."""
    stone = pick(rng, ((0.65, 0.64, 0.62), (0.5, 0.5, 0.5), (0.75, 0.72, 0.66)))
    width, depth = rng.uniform(1.0, 2.0), rng.uniform(0.4, 0.6)
    top, thick = rng.uniform(0.38, 0.48), rng.uniform(0.1, 0.2)
    curve = rng.uniform(0.0, 0.35) if chance(rng, 0.4) else 0.0
    back = rng.uniform(0.25, 0.4) if chance(rng, 0.5) else 0.0
    parts: Parts = [(_bent_block(depth, width, top - thick, top, curve), stone)]
    if back:
        wall = _bent_block(0.12, width, top, top + back, curve)
        parts.append((wall.moved(-depth / 2 + 0.06), stone))
    for z in (width * rng.uniform(0.25, 0.42),):
        x = curve * (2 * z / width) ** 2
        foot = block((x, (top - thick) / 2, z), (depth * 0.8, top - thick, rng.uniform(0.1, 0.3)))
        parts += both(foot, stone)
    return parts


def _bent_block(depth: float, width: float, low: float, high: float, curve: float) -> Solid:
    """Returns a block along z whose ends are bent forward by `curve`."""
    sections = []
    for share in np.linspace(-1, 1, 9):
        x, z = curve * share**2, share * width / 2
        sections.append(
            [
                (x - depth / 2, low, z),
                (x + depth / 2, low, z),
                (x + depth / 2, high, z),
                (x - depth / 2, high, z),
            ]
        )
    return loft(sections)


def _low_bench(rng: Random) -> Parts:
    """A thick seat without a back, or a long stool: straight, round at its ends, or half a log."""
    color, foot = pick(rng, WOODS + PAINTS + FABRICS), pick(rng, WOODS + METALS + PAINTS)
    width, depth, top = rng.uniform(0.7, 2.2), rng.uniform(0.22, 0.55), rng.uniform(0.22, 0.5)
    thick, leg = rng.uniform(0.02, 0.14), rng.uniform(0.03, 0.12)
    x, z, style = depth / 2, width / 2, int(rng.integers(3))
    if style == 0:
        plank = box((-x, top - thick, -z), (x, top, z))
    elif style == 1:
        angles = np.linspace(0, np.pi, 7)
        ends = [(x * float(np.cos(a)), z - x + x * float(np.sin(a))) for a in angles]
        plank = prism([*ends, *[(-x_, -z_) for x_, z_ in ends]], "y", top - thick, top)
    else:
        angles = np.linspace(np.pi, 2 * np.pi, 7)
        log = [(x * float(np.cos(a)), top + x * 0.9 * float(np.sin(a))) for a in angles]
        plank, thick = prism(log, "z", -z, z), x * 0.5
    parts: Parts = [(plank, color)]
    place, high = z * rng.uniform(0.45, 0.9), top - thick
    if chance(rng, 0.5):
        wide = rng.uniform(0.6, 1.0) * x
        return parts + both(box((-wide, 0, place - leg), (wide, high + 0.01, place)), foot)
    splay = rng.uniform(0, 0.08)
    for sign in (1, -1):
        low = (sign * (x * 0.7 + splay), 0, place + splay)
        parts += both(
            rod(low, (sign * x * 0.6, high + 0.01, place - leg), leg * 0.4, sides=8), foot
        )
    return parts


def _row_of_seats(rng: Random) -> Parts:
    """Separate seats with backs on one beam, as in a waiting room."""
    cover, metal = pick(rng, PAINTS + FABRICS + METALS), pick(rng, METALS)
    count, wide, top = int(rng.integers(2, 6)), rng.uniform(0.48, 0.6), rng.uniform(0.38, 0.45)
    high, rake, thick = rng.uniform(0.3, 0.5), rng.uniform(0.05, 0.2), rng.uniform(0.02, 0.07)
    half = wide * rng.uniform(0.4, 0.48)
    line = [(0.24, top), (-0.14, top - 0.02), (-0.2, top + 0.06), (-0.2 - rake, top + high)]
    shell = ribbon(line, half, thick)
    places = (np.arange(count) - (count - 1) / 2) * wide
    parts: Parts = [(shell.moved(z=float(place)), cover) for place in places]
    end = float(places[-1]) + half
    y = top - thick - rng.uniform(0.02, 0.08)
    parts.append((block((0, y, 0), (0.06, 0.05, end * 2)), metal))
    parts.append((block((0, (top + y) / 2 - 0.01, 0), (0.1, top - y, end * 1.6)), metal))
    stand = end * rng.uniform(0.5, 0.9)
    parts += both(box((-0.03, 0.02, stand - 0.03), (0.03, y, stand + 0.03)), metal)
    parts += both(box((-0.24, 0, stand - 0.03), (0.24, 0.03, stand + 0.03)), metal)
    if chance(rng, 0.4):
        arm = tube([(-0.2, y, end), (-0.1, top + 0.2, end), (0.2, top + 0.2, end)], 0.018, 6)
        parts += both(arm, metal)
    return parts


def _plank_bench(rng: Random) -> Parts:
    """A bench of thick boards: seat and back of one or two planks between blocks or panels."""
    wood, side = pick(rng, WOODS + PAINTS), pick(rng, WOODS + METALS + PAINTS)
    width, depth, top = rng.uniform(0.9, 2.0), rng.uniform(0.35, 0.55), rng.uniform(0.3, 0.47)
    thick, high, rake = rng.uniform(0.03, 0.1), rng.uniform(0.2, 0.5), rng.uniform(0, 14)
    x, z = depth / 2, width / 2
    parts: Parts = [(box((-x, top - thick, -z), (x, top, z)), wood)]
    low = rng.uniform(0, 0.5) * high
    board: Parts = [(box((0, low, -z), (thick * 0.8, high, z)), wood)]
    post = z * rng.uniform(0.6, 0.95)
    board += both(box((-thick * 0.5, -0.05, post - 0.06), (0, high * 0.95, post)), side)
    parts += all_moved(all_turned(board, "z", rake), -x + 0.02, top)
    if chance(rng, 0.5):
        arm = top + rng.uniform(0.12, 0.26)
        front = x * rng.uniform(0.7, 1.0)
        parts += both(box((-x, 0, z - 0.05), (front, arm, z + 0.02)), side)
        return parts
    wide = rng.uniform(0.05, 0.3)
    return parts + both(box((-x * 0.95, 0, post - wide), (x * 0.9, top - thick, post)), side)


BENCHES = (
    (0.25, _park_bench),
    (0.23, _plain_bench),
    (0.10, _settle),
    (0.07, _piano_bench),
    (0.09, _stone_bench),
    (0.13, _low_bench),
    (0.04, _row_of_seats),
    (0.09, _plank_bench),
)


# ---- sofas ---------------------------------------------------------------------------------------


def sofa(rng: Random) -> Parts:
    """A sofa for two or more, straight or round a corner, or a frame with cushions."""
    return draw_style(rng, SOFAS)


def _upholstered(rng: Random, width: float, depth: float, seats: int) -> Parts:
    """Returns a soft seat for some people: base, back, arms and cushions."""
    cover = pick(rng, FABRICS)
    pads = pick(rng, FABRICS) if chance(rng, 0.25) else cover
    foot, seat = rng.uniform(0.02, 0.14), rng.uniform(0.38, 0.46)
    high, arm = rng.uniform(0.68, 0.95), rng.uniform(0.08, 0.26)
    soft, half, front = rng.uniform(0.015, 0.07), width / 2, depth / 2
    thick = rng.uniform(0.14, 0.26)
    parts: Parts = [
        (cushion((-front, foot, -half), (front * 0.97, seat - 0.12, half), soft), cover)
    ]
    back = cushion((-front, foot, -half), (-front + thick, high, half), soft)
    parts.append((back, cover))
    parts += _sofa_arms(rng, depth, half, arm, foot, seat, high, soft, cover)
    inner = width - 2 * arm
    for index in range(seats):
        z = -inner / 2 + inner * index / seats
        low = (-front + thick * 0.8, seat - 0.13, z + 0.004)
        parts.append((cushion(low, (front, seat, z + inner / seats - 0.004), 0.04), pads))
        if chance(rng, 0.6):
            pad = cushion(
                (0, 0, 0), (0.15, min(high - seat + 0.03, 0.5), inner / seats - 0.01), 0.06
            )
            pad = pad.turned("z", rng.uniform(5, 14))
            parts.append((pad.moved(-front + thick * 0.9, seat - 0.01, z + 0.005), pads))
    metal_or_wood = pick(rng, WOODS + METALS)
    if foot > 0.04:
        parts += legs(rng, depth * 0.95, width * 0.97, foot + 0.02, 0.05, metal_or_wood, 0)
    return parts


def _sofa_arms(
    rng: Random,
    depth: float,
    half: float,
    arm: float,
    foot: float,
    seat: float,
    high: float,
    soft: float,
    cover: Color,
) -> Parts:
    """Returns the arms of a sofa: blocks, rolls, slopes, as high as the back, or none."""
    top = seat + rng.uniform(0.10, 0.24)
    style = int(rng.integers(6))
    if style == 5:
        return []
    if style == 1:  # a roll along the arm
        radius = arm * 0.6
        low = box((-depth / 2, foot, half - arm), (depth / 2, top - radius, half))
        roll = rod(
            (-depth / 2, top - radius, half - arm * 0.45),
            (depth / 2 + 0.01, top - radius, half - arm * 0.45),
            radius,
            sides=12,
        )
        return both(low, cover) + both(roll, cover)
    if style == 2:  # from the back down to the front
        side = [
            (-depth / 2, foot),
            (depth / 2, foot),
            (depth / 2, top - 0.06),
            (depth * 0.1, top),
            (-depth * 0.35, high),
            (-depth / 2, high),
        ]
        return both(prism(side, "z", half - arm, half), cover)
    top = high if style == 3 else top
    return both(cushion((-depth / 2, foot, half - arm), (depth / 2, top, half), soft), cover)


def _straight_sofa(rng: Random) -> Parts:
    seats = int(rng.integers(2, 5))
    width = seats * rng.uniform(0.55, 0.75) + rng.uniform(0.1, 0.4)
    return _upholstered(rng, width, rng.uniform(0.75, 1.0), seats)


def _corner_sofa(rng: Random) -> Parts:
    """An L: a second seat goes forward from one end, with a back or as a chaise longue."""
    seats, depth = int(rng.integers(2, 4)), rng.uniform(0.8, 0.95)
    width = seats * rng.uniform(0.65, 0.8) + 0.4
    parts = _upholstered(rng, width, depth, seats)
    cover, base = parts[0]
    foot, high = float(cover.vertices[:, 1].min()), float(parts[1][0].vertices[:, 1].max())
    long, wide, seat = rng.uniform(0.5, 1.4), rng.uniform(0.7, 0.95), 0.43
    low = (depth / 2 - 0.1, foot, width / 2 - wide)
    more: Parts = [
        (cushion(low, (depth / 2 + long, seat - 0.12, width / 2), 0.03), base),
        (
            cushion((low[0], seat - 0.13, low[2]), (depth / 2 + long, seat, width / 2), 0.04),
            parts[-1][1] if foot <= 0.04 else base,
        ),
    ]
    if chance(rng, 0.55):
        more.append(
            (
                cushion(
                    (-depth / 2, foot, width / 2 - 0.2), (depth / 2 + long, high, width / 2), 0.04
                ),
                base,
            )
        )
        if chance(rng, 0.5):
            more.append(
                (
                    cushion(
                        (depth / 2 + long - 0.15, foot, low[2]),
                        (depth / 2 + long, 0.6, width / 2),
                        0.03,
                    ),
                    base,
                )
            )
    parts += more
    return [(solid.mirrored(), color) for solid, color in parts] if chance(rng, 0.5) else parts


def _round_back_sofa(rng: Random) -> Parts:
    """An older style: the back rises in the middle or sweeps round as one with the arms."""
    cover, wood = pick(rng, FABRICS), pick(rng, WOODS)
    width, depth, seat = rng.uniform(1.2, 2.0), rng.uniform(0.7, 0.85), 0.44
    half, front, foot = width / 2, depth / 2, rng.uniform(0.08, 0.16)
    shares = np.linspace(-1, 1, 9)
    rise, side = rng.uniform(0.05, 0.2), rng.uniform(0.68, 0.85)
    crest = [(side + rise * (np.cos(s * np.pi) + 1) / 2, s * half) for s in shares]
    back = [(foot, -half), *crest, (foot, half)]
    parts: Parts = [
        (prism(back, "x", -front, -front + 0.18), cover),
        (cushion((-front, foot, -half), (front, seat, half), 0.05), cover),
    ]
    arm, radius = rng.uniform(0.58, 0.66), rng.uniform(0.06, 0.1)
    parts += both(box((-front, foot, half - radius), (front - 0.05, arm, half)), cover)
    parts += both(rod((-front, arm, half), (front - 0.03, arm, half), radius, sides=12), cover)
    return parts + legs(rng, depth, width, foot + 0.02, 0.06, wood, 0)


def _frame_sofa(rng: Random) -> Parts:
    """Cushions on a frame of wood or tube: a futon, a garden sofa, a day bed."""
    frame, cover = pick(rng, WOODS + METALS), pick(rng, FABRICS)
    width, depth, seat = rng.uniform(1.3, 2.0), rng.uniform(0.7, 0.9), rng.uniform(0.34, 0.44)
    half, front, thick = width / 2, depth / 2, rng.uniform(0.1, 0.18)
    high, lean = seat + rng.uniform(0.3, 0.5), rng.uniform(4, 18)
    parts: Parts = [
        (box((-front, seat - thick - 0.05, -half), (front, seat - thick, half)), frame),
        (cushion((-front, seat - thick, -half), (front, seat, half), 0.05), cover),
    ]
    pad = cushion((0, 0, -half), (thick, high - seat, half), 0.05).turned("z", lean)
    parts.append((pad.moved(-front, seat), cover))
    arm, size = seat + rng.uniform(0.15, 0.25), rng.uniform(0.015, 0.035)
    if chance(rng, 0.5):
        side = [
            (-front, 0, half + size),
            (-front, arm, half + size),
            (front, arm, half + size),
            (front, 0, half + size),
        ]
        parts += both(tube(side, size, 6), frame)
    else:
        for x in (-front, front):
            parts += both(block((x, arm / 2, half + size), (size * 2, arm, size * 2)), frame)
        parts += both(block((0, arm, half + size), (depth + size * 2, size, size * 4)), frame)
    if chance(rng, 0.3):
        side_pad = ball((0, seat + 0.15, half - 0.2), (0.1, 0.16, 0.2), rings=4)
        parts += both(side_pad, pick(rng, FABRICS))
    return parts


SOFAS = (
    (0.50, _straight_sofa),
    (0.22, _corner_sofa),
    (0.12, _round_back_sofa),
    (0.16, _frame_sofa),
)
