"""Parametric chairs of wood, of cloth and of thick blocks that the styles in `seats` leave out."""

from __future__ import annotations

import numpy as np

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
    all_turned,
    both,
    chance,
    hoop,
    legs,
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
    ribbon,
    rod,
    tube,
)


def block_chair(rng: Random) -> Parts:
    """A chair or a stool of few thick pieces, as children and low-polygon games have them."""
    color = pick(rng, WOODS + PAINTS + PLASTICS)
    cover = pick(rng, FABRICS + WOODS) if chance(rng, 0.4) else color
    depth, width = rng.uniform(0.34, 0.55), rng.uniform(0.34, 0.55)
    top, thick, leg = rng.uniform(0.28, 0.5), rng.uniform(0.03, 0.12), rng.uniform(0.05, 0.13)
    x, z, round_ = depth / 2 - leg / 2, width / 2 - leg / 2, chance(rng, 0.4)
    parts: Parts = [(_thick_seat(rng, depth, width, top, thick), cover)]
    for sign in (1, -1):
        if round_:
            foot = rod(
                (sign * x * 1.05, 0, z * 1.05), (sign * x, top - thick, z), leg * 0.6, leg / 2
            )
        else:
            foot = block((sign * x, (top - thick) / 2, z), (leg, top - thick, leg))
        parts += both(foot, color)
    if chance(rng, 0.22):
        return parts
    high = rng.uniform(0.3, 0.6)
    back = _thick_back(rng, high, width, leg * rng.uniform(0.5, 1.0), color, cover)
    parts += all_moved(all_turned(back, "z", rng.uniform(0, 8)), -depth / 2, top - 0.01)
    if chance(rng, 0.2):
        arm = top + rng.uniform(0.12, 0.24)
        parts += both(box((-depth / 2, arm, z - leg / 2), (x, arm + leg * 0.6, z + leg / 2)), color)
        parts += both(box((x - leg, top, z - leg / 2), (x, arm, z + leg / 2)), color)
    return parts


def _thick_seat(rng: Random, depth: float, width: float, top: float, thick: float) -> Solid:
    """Returns a seat below `top`: a board, a soft block or a disc."""
    x, z, style = depth / 2, width / 2, int(rng.integers(3))
    if style == 0:
        return box((-x, top - thick, -z), (x, top, z))
    if style == 1:
        return cushion((-x, top - thick, -z), (x, top, z), thick * 0.45)
    shares = ((-1.0, 0.94), (-0.7, 1.0), (-0.3, 1.0), (0.0, 0.94))
    return lathe([(top + thick * y, r) for y, r in shares]).scaled(x * 1.05, 1, z * 1.05)


def _thick_back(
    rng: Random, high: float, width: float, thick: float, color: Color, cover: Color
) -> Parts:
    """Returns a back at x >= 0 above y = 0: a board, or posts with boards across or upright."""
    half, style = width / 2, int(rng.integers(4))
    if style == 0:
        low = rng.uniform(0.0, 0.3) * high
        parts: Parts = [(cushion((0, low, -half), (thick, high, half), thick * 0.4), cover)]
        if low > 0:
            parts += both(box((0, 0, half * 0.5), (thick * 0.8, high * 0.6, half * 0.8)), color)
        return parts
    parts = both(box((0, 0, half - thick), (thick, high, half)), color)
    rail = rng.uniform(0.12, 0.4) * high
    parts.append((box((0, high - rail, -half), (thick, high, half)), color))
    if style == 1:
        bars = int(rng.integers(1, 4))
        for z in np.linspace(-half, half, bars + 2)[1:-1]:
            wide = half * rng.uniform(0.12, 0.5) / bars
            parts.append((box((0, 0, z - wide), (thick * 0.8, high, z + wide)), color))
    elif style == 2:
        for share in (0.15, 0.5)[: int(rng.integers(1, 3))]:
            y = share * (high - rail)
            parts.append((box((0, y, -half), (thick * 0.8, y + rail * 0.8, half)), color))
    return parts


def post_chair(rng: Random) -> Parts:
    """A wooden chair whose rear legs go on, bent, as the posts of its back; perhaps it rocks."""
    wood = pick(rng, WOODS + PAINTS[2:4] + METALS)
    cover = pick(rng, FABRICS) if chance(rng, 0.45) else wood
    depth, width = rng.uniform(0.38, 0.52), rng.uniform(0.38, 0.6)
    top, high, size = rng.uniform(0.4, 0.5), rng.uniform(0.75, 1.15), rng.uniform(0.022, 0.055)
    x, z = depth / 2, width / 2
    splay, rake = rng.uniform(0, 0.08), rng.uniform(0.02, 0.2)
    posts = [(-x - splay, 0.0), (-x, top), (-x - rake * 0.35, (top + high) / 2), (-x - rake, high)]
    parts = both(ribbon(posts, size * 0.5, size).moved(z=z - size / 2), wood)
    armed = chance(rng, 0.35)
    arm = top + rng.uniform(0.16, 0.26)
    front = block((x - size / 2, arm / 2 if armed else top / 2, z - size / 2), (size, top, size))
    parts += both(front.scaled(1, arm / top, 1) if armed else front, wood)
    if armed:
        parts += both(
            box((-x - rake * 0.3, arm, z - size * 1.3), (x + 0.03, arm + 0.025, z + 0.01)), wood
        )
    parts.append((cushion((-x, top - 0.03, -z), (x + 0.01, top + 0.02, z), 0.015), cover))
    apron = rng.uniform(0.03, 0.09)
    parts.append((box((-x, top - apron, -z + 0.01), (x - 0.005, top - 0.01, z - 0.01)), wood))
    parts += _post_back(rng, posts, top, width - size, size * 0.6, wood, cover)
    if chance(rng, 0.5):
        y = top * rng.uniform(0.2, 0.5)
        parts += both(
            rod((-x, y, z - size / 2), (x - 0.01, y, z - size / 2), size * 0.3, sides=6), wood
        )
        parts.append((rod((0, y, -z + size / 2), (0, y, z - size / 2), size * 0.3, sides=6), wood))
    return parts + (_rockers(x + splay, z - size / 2, size, wood) if chance(rng, 0.12) else [])


def _post_back(
    rng: Random,
    posts: list[tuple[float, float]],
    top: float,
    width: float,
    thick: float,
    wood: Color,
    cover: Color,
) -> Parts:
    """Returns rails, bars or a pad between bent posts, from a seat's height up."""
    (x0, y0), (x1, y1), half = posts[1], posts[3], width / 2

    def at(share: float) -> tuple[float, float]:
        bend = 0.3 * share * (1 - share) * (x0 - x1)  # the posts are bent, not straight
        return x0 + (x1 - x0) * share + bend, y0 + (y1 - y0) * share

    def rail(low: float, high: float, color: Color = wood) -> tuple[Solid, Color]:
        return ribbon([at(low), at(high)], half, thick), color

    crest = rng.uniform(0.1, 0.25)
    parts = [rail(1 - crest, rng.uniform(0.98, 1.04))]
    style = int(rng.integers(4))
    if style == 0:
        count = int(rng.integers(2, 5))
        for share in np.linspace(0.15, 1 - crest, count, endpoint=False):
            parts.append(rail(share, share + rng.uniform(0.35, 0.7) * 0.8 / count))
    elif style == 1:
        parts.append(rail(rng.uniform(0.1, 0.4), 0.97, cover))
    else:
        low = rng.uniform(0.08, 0.3)
        parts.append(rail(low, low + 0.07))
        count = int(rng.integers(1, 9))
        wide = half * min(rng.uniform(0.25, 0.7) / count, 0.35)
        for z in np.linspace(-half, half, count + 2)[1:-1]:
            bar = ribbon([at(low), at(0.5), at(0.95)], wide, thick * 0.6)
            parts.append((bar.moved(z=z), wood))
    return parts


def _rockers(reach: float, z: float, size: float, color: Color) -> Parts:
    """Returns two bows below the feet at (+-reach, +-z)."""
    xs = np.linspace(-1.5, 1.3, 8) * reach
    line = [(float(x), size * 0.3 + 0.12 * (float(x) / reach) ** 2 - 0.1) for x in xs]
    return both(ribbon(line, size * 0.5, size * 0.8).moved(z=z), color)


def spindle_chair(rng: Random) -> Parts:
    """A chair with a round seat, splayed legs and a back of thin bars below a bow or a crest."""
    wood, top = pick(rng, WOODS + PAINTS[2:4]), rng.uniform(0.42, 0.48)
    radius, thick = rng.uniform(0.2, 0.25), rng.uniform(0.02, 0.05)
    seat = lathe([(top - thick, 0.92), (top - thick * 0.5, 1.0), (top, 0.97)])
    parts: Parts = [(seat.scaled(radius, 1, radius * rng.uniform(1.0, 1.15)), wood)]
    splay, size = rng.uniform(1.1, 1.45), rng.uniform(0.012, 0.028)
    for sign in (1, -1):
        high_end = (sign * radius * 0.6, top - thick, radius * 0.6)
        low_end = (sign * radius * splay * 0.75, 0, radius * splay * 0.75)
        parts += both(rod(low_end, high_end, size * rng.uniform(0.5, 1), size, 8), wood)
    if chance(rng, 0.7):
        y, x = top * 0.4, radius * (0.6 + (splay * 0.75 - 0.6) * 0.6)
        parts += both(rod((-x, y, x), (x, y, x), size * 0.6, sides=6), wood)
        parts.append((rod((0, y, -x), (0, y, x), size * 0.6, sides=6), wood))
    return parts + _spindle_back(rng, radius, top, size * 0.7, wood)


def _spindle_back(rng: Random, radius: float, top: float, size: float, wood: Color) -> Parts:
    """Returns a bow or a crest with thin bars on the rear rim of a round seat."""
    high, rake, count = rng.uniform(0.3, 0.6), rng.uniform(0.03, 0.16), int(rng.integers(4, 9))
    half, rear = radius * rng.uniform(0.7, 0.9), -radius * 0.75
    bowed = chance(rng, 0.5)
    parts: Parts = []
    if bowed:
        angles = np.linspace(0, np.pi, 11)
        line = [
            (rear - rake * float(np.sin(a)), top + high * float(np.sin(a)), half * float(np.cos(a)))
            for a in angles
        ]
        parts.append((tube(line, size * 1.3, 6), wood))
    else:
        crest = ribbon(
            [(rear - rake * 0.85, top + high * 0.85), (rear - rake, top + high)], half, 0.02
        )
        parts.append((crest, wood))
        post = rod(
            (rear, top - 0.01, half * 0.9),
            (rear - rake, top + high, half * 0.9),
            size * 1.6,
            sides=6,
        )
        parts += both(post, wood)
    for z in np.linspace(-half, half, count + 2)[1:-1]:
        share = float(np.sqrt(1 - (z / half) ** 2)) if bowed else 0.9
        tip = (rear - rake * share, top + high * share, z)
        parts.append((rod((rear, top - 0.01, z * 0.85), tip, size * 0.7, sides=5), wood))
    if chance(rng, 0.3):
        arm, front = top + rng.uniform(0.16, 0.24), radius * 0.4
        share = (arm - top) / high
        line = [(rear - rake * share, arm, half * 0.9), (-0.02, arm, radius), (front, arm, radius)]
        parts += both(tube(line, size * 1.5, 6), wood)
        parts += both(
            rod((front * 0.8, top - 0.01, radius * 0.8), (front, arm, radius), size, sides=6), wood
        )
    return parts


def parsons_chair(rng: Random) -> Parts:
    """An upright chair that is covered all over, on four straight legs or down to the floor."""
    cover, wood = pick(rng, FABRICS), pick(rng, WOODS + METALS)
    depth, width, top = rng.uniform(0.42, 0.6), rng.uniform(0.42, 0.62), rng.uniform(0.4, 0.5)
    pad, back = rng.uniform(0.07, 0.22), rng.uniform(0.05, 0.14)
    high, soft, x, z = rng.uniform(0.7, 1.15), rng.uniform(0.01, 0.04), depth / 2, width / 2
    low = 0.02 if chance(rng, 0.15) else top - pad
    parts: Parts = [(cushion((-x, low, -z), (x, top, z), soft), cover)]
    rest = cushion((-back, 0, -z), (0, high - low, z), soft)
    if chance(rng, 0.3):  # curved at the top
        rest = ribbon([(0, 0), (0, (high - low) * 0.6), (-0.06, high - low)], z, back)
    parts.append((rest.turned("z", rng.uniform(0, 10)).moved(-x + back * 0.5, low), cover))
    if chance(rng, 0.45):
        arm, wide = top + rng.uniform(0.1, 0.22), rng.uniform(0.04, 0.14)
        floor = rng.choice([0.0, low])
        near = x * rng.uniform(0.6, 1.0)
        parts += both(cushion((-x, floor, z - wide * 0.2), (near, arm, z + wide), soft), cover)
    if low > 0.05:
        parts += legs(rng, depth, width, low + 0.01, rng.uniform(0.03, 0.07), wood, 0.15)
    return parts


def swivel_armchair(rng: Random) -> Parts:
    """A soft bowl, an egg or a reclined chair with a head rest, on one column."""
    cover, metal = pick(rng, FABRICS + PAINTS), pick(rng, METALS)
    top, half, thick = rng.uniform(0.36, 0.46), rng.uniform(0.24, 0.36), rng.uniform(0.05, 0.16)
    high, rake, front = rng.uniform(0.35, 0.85), rng.uniform(0.1, 0.35), rng.uniform(0.2, 0.3)
    rear = -rng.uniform(0.18, 0.26)
    line = [
        (front, top),
        (rear * 0.5, top - 0.03),
        (rear - rake * 0.2, top + high * 0.25),
        (rear - rake * 0.6, top + high * 0.65),
        (rear - rake, top + high),
    ]
    shares = np.array([0.85, 1.0, 1.0, rng.uniform(0.8, 1.05), rng.uniform(0.5, 0.95)])
    parts: Parts = [(ribbon(line, (half * shares).tolist(), thick), cover)]
    if chance(rng, 0.6):  # the sides of a bowl
        arm = top + rng.uniform(0.12, 0.25)
        side = [(front * 0.8, arm * 0.95), (rear * 0.8, arm + 0.03), (rear - rake * 0.5, arm + 0.1)]
        wing = tube([(x, y, half * 0.95) for x, y in side], thick * rng.uniform(0.4, 0.8), 6)
        parts += both(wing, cover)
        panel = cushion(
            (rear, top - 0.04, half * 0.9), (front * 0.8, arm, half + thick * 0.4), thick * 0.2
        )
        parts += both(panel, cover)
    if chance(rng, 0.4):
        pad = cushion((0, 0, -half * 0.6), (thick, 0.16, half * 0.6), 0.04)
        parts.append((pad.turned("z", 12).moved(rear - rake * 0.9, top + high * 0.85), cover))
    return parts + _column_base(rng, top - thick * 0.3, metal)


def _column_base(rng: Random, top: float, metal: Color) -> Parts:
    """Returns a column on a disc, a trumpet or a star, up to some height."""
    style, radius = int(rng.integers(3)), rng.uniform(0.2, 0.32)
    if style == 0:
        thick = rng.uniform(0.02, 0.06)
        disc = lathe([(0, radius), (0.02, radius * 0.97), (0.05, thick), (top, thick)])
        return [(disc, metal)]
    if style == 1:
        profile = [(0, radius), (0.015, radius * 0.95), (top * 0.25, 0.07), (top * 0.7, 0.035)]
        return [(lathe([*profile, (top, 0.08)]), metal)]
    column = rod((0, top * 0.5, 0), (0, top, 0), 0.03, sides=8)
    arms = star_base(rng, radius, top * 0.6, metal, int(rng.integers(4, 6)), chance(rng, 0.4))
    return [*arms, (column, metal)]


def bar_chair(rng: Random) -> Parts:
    """A high seat with a low round back, on a column or on four splayed legs with a foot rest."""
    cover, metal = pick(rng, FABRICS + WOODS + PLASTICS), pick(rng, METALS + WOODS)
    top, radius = rng.uniform(0.6, 0.85), rng.uniform(0.17, 0.24)
    thick, high = rng.uniform(0.03, 0.12), rng.uniform(0.08, 0.4)
    profile = [(top - thick, radius * 0.85), (top - thick * 0.5, radius), (top, radius * 0.95)]
    parts: Parts = [(lathe(profile), cover)]
    sections = []
    opening, wall = rng.uniform(60, 130), rng.uniform(0.015, 0.05)
    for angle in np.linspace(np.radians(opening), 2 * np.pi - np.radians(opening), 9):
        rise = high * (0.35 + 0.65 * (0.5 - 0.5 * float(np.cos(angle))))
        ring = [(radius - wall, -0.02), (radius, -0.02), (radius * 1.1, rise)]
        ring.append((radius * 1.1 - wall, rise))
        sections.append([(r * np.cos(angle), top + y, r * np.sin(angle)) for r, y in ring])
    parts.append((loft(sections), cover))
    if chance(rng, 0.5):
        y = top * rng.uniform(0.3, 0.45)
        parts += _column_base(rng, top - thick, metal)
        parts += [
            (hoop(0.16, y, 0.01), metal),
            (rod((0, y, 0), (0.16, y, 0), 0.01, sides=6), metal),
        ]
        return parts
    size, splay = rng.uniform(0.012, 0.022), rng.uniform(1.1, 1.6)
    for sign in (1, -1):
        foot = (sign * radius * splay * 0.75, 0, radius * splay * 0.75)
        parts += both(
            rod(foot, (sign * radius * 0.5, top - thick, radius * 0.5), size, sides=6), metal
        )
    return [*parts, (hoop(radius * (0.3 + 0.65 * splay), top * 0.33, size * 0.7), metal)]


def period_chair(rng: Random) -> Parts:
    """An old chair with bent legs and an oval, a shield or a tall padded back."""
    wood, cover = pick(rng, WOODS), pick(rng, FABRICS)
    depth, width, top = rng.uniform(0.42, 0.56), rng.uniform(0.46, 0.64), rng.uniform(0.4, 0.47)
    x, z, size = depth / 2, width / 2, rng.uniform(0.018, 0.035)
    parts: Parts = [
        (cushion((-x, top - 0.06, -z), (x, top + 0.03, z), 0.04), cover),
        (box((-x, top - 0.1, -z * 0.97), (x * 0.98, top - 0.05, z * 0.97)), wood),
    ]
    parts += bent_legs(rng, x - size, z - size, top - 0.06, size, wood)
    high, wide = rng.uniform(0.25, 0.36), z * rng.uniform(0.65, 0.95)
    gap = rng.uniform(0.0, 0.14)
    rim = lathe([(-0.02, 0.9), (0.0, 1.0), (0.02, 0.9)], "x", 20).scaled(1, high, wide)
    pad = lathe([(-0.01, 0.7), (0.01, 0.85), (0.035, 0.6)], "x", 20).scaled(1, high, wide)
    back: Parts = [(rim.moved(y=gap + high), wood), (pad.moved(y=gap + high), cover)]
    back += both(
        rod((0, -0.06, wide * 0.6), (0, gap + high * 0.5, wide * 0.85), size, sides=6), wood
    )
    parts += all_moved(all_turned(back, "z", rng.uniform(4, 16)), -x + 0.02, top)
    if chance(rng, 0.5):
        arm = top + rng.uniform(0.18, 0.26)
        line = [(-x - 0.04, arm, wide), (0, arm - 0.02, z), (x * 0.4, arm - 0.01, z + 0.02)]
        parts += both(tube([*line, (x * 0.35, top - 0.02, z - 0.01)], size * 0.8, 6), wood)
        if chance(rng, 0.5):
            side = cushion((-x, top, z - 0.05), (x * 0.3, arm - 0.03, z - 0.01), 0.015)
            parts += both(side, cover)
    if chance(rng, 0.4):
        knob = ball((-x - 0.03, top + gap + high * 2, 0), (0.03, 0.05, wide * 0.4), rings=4)
        parts.append((knob, wood))
    return parts


def bent_legs(rng: Random, x: float, z: float, top: float, size: float, color: Color) -> Parts:
    """Returns four legs at (+-x, +-z) that swell outward at the knee, or turned ones."""
    parts: Parts = []
    turned = chance(rng, 0.25)
    bulge = rng.uniform(0.02, 0.05)
    for sign in (1, -1):
        if turned:
            parts += both(turned_leg(rng, top, size * 1.2).moved(sign * x, 0, z), color)
            continue
        line = [
            (sign * (x + bulge), 0.0, z + bulge),
            (sign * (x + bulge * 0.3), size, z + bulge * 0.3),
            (sign * (x - bulge * 0.4), top * 0.35, z - bulge * 0.4),
            (sign * (x + bulge * 0.6), top * 0.8, z + bulge * 0.6),
            (sign * x, top, z),
        ]
        parts += both(tube(line, [size * 1.1, size * 0.7, size * 0.6, size * 1.2, size], 6), color)
    return parts
