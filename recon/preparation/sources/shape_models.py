"""Parametric objects of the thirteen categories, front +X, up +Y, in arbitrary units.

Each function draws one object's proportions and colours from `rng` and returns coloured solids.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence

import numpy as np

from recon.preparation.sources.solids import Solid, ball, block, box, lathe, loft, prism, rod

Color = tuple[float, float, float]
Parts = list[tuple[Solid, Color]]
Random = np.random.Generator

WOODS = ((0.45, 0.27, 0.13), (0.62, 0.42, 0.22), (0.76, 0.58, 0.36), (0.30, 0.17, 0.09))
FABRICS = ((0.55, 0.14, 0.15), (0.20, 0.30, 0.52), (0.42, 0.47, 0.36), (0.72, 0.66, 0.56),
           (0.30, 0.30, 0.33), (0.78, 0.55, 0.20))  # fmt: skip
METALS = ((0.62, 0.63, 0.66), (0.25, 0.26, 0.28), (0.70, 0.58, 0.30), (0.12, 0.12, 0.13))
PAINTS = ((0.75, 0.10, 0.10), (0.10, 0.25, 0.65), (0.90, 0.90, 0.88), (0.12, 0.12, 0.14),
          (0.15, 0.45, 0.25), (0.90, 0.72, 0.10), (0.60, 0.62, 0.66))  # fmt: skip
GLASS: Color = (0.10, 0.13, 0.17)
RUBBER: Color = (0.07, 0.07, 0.07)


def _pick(rng: Random, colors: Sequence[Color]) -> Color:
    """Draws a colour and varies it a little."""
    base = np.array(colors[int(rng.integers(len(colors)))]) + rng.uniform(-0.05, 0.05, 3)
    red, green, blue = np.clip(base, 0.02, 0.98).tolist()
    return red, green, blue


def _both(part: Solid, color: Color) -> Parts:
    """Returns a solid and its mirror image at z = 0."""
    return [(part, color), (part.mirrored(), color)]


def _chance(rng: Random, probability: float) -> bool:
    return bool(rng.random() < probability)


def _legs(
    rng: Random, depth: float, width: float, top: float, thickness: float, color: Color
) -> Parts:
    """Returns four legs below the corners of a depth x width plate, straight, round or splayed."""
    style, splay = rng.integers(3), rng.uniform(0.0, 0.08) * top
    parts: Parts = []
    for sign in (1, -1):
        x, z = sign * (depth / 2 - thickness), width / 2 - thickness
        if style == 0:
            leg = box((x - thickness / 2, 0, z - thickness / 2),
                      (x + thickness / 2, top, z + thickness / 2))  # fmt: skip
        else:
            foot = thickness * (0.35 if style == 1 else 0.6)
            leg = rod((x + sign * splay, 0, z + splay), (x, top, z), foot, thickness * 0.6, 10)
        parts += _both(leg, color)
    return parts


def _back(
    rng: Random, x: float, low: float, high: float, width: float, thickness: float, color: Color
) -> Parts:
    """Returns an upright back: a panel, vertical bars or horizontal slats between two posts."""
    style = rng.integers(3)
    half = width / 2
    if style == 0:
        return [(box((x, low, -half), (x + thickness, high, half)), color)]
    post = box((x, low, half - thickness), (x + thickness, high, half))
    parts = _both(post, color)
    count = int(rng.integers(3, 6))
    if style == 1:
        rail = box((x, high - thickness * 1.5, -half), (x + thickness, high, half))
        parts.append((rail, color))
        for z in np.linspace(-half, half, count + 2)[1:-1]:
            bar = block((x + thickness / 2, (low + high) / 2, z),
                        (thickness * 0.5, high - low, thickness * 0.6))  # fmt: skip
            parts.append((bar, color))
    else:
        gap = (high - low) / (count + 0.5)
        for y in high - gap * np.arange(count):
            slat = box((x, y - gap * 0.55, -half), (x + thickness * 0.6, y, half))
            parts.append((slat, color))
    return parts


def chair(rng: Random) -> Parts:
    """Seat, back, four legs or a pedestal, sometimes arms."""
    depth, width = rng.uniform(0.40, 0.52, 2)
    top, thickness = rng.uniform(0.38, 0.52), rng.uniform(0.03, 0.05)
    high = top + rng.uniform(0.35, 0.65)
    frame, cover = _pick(rng, WOODS + METALS), _pick(rng, FABRICS + WOODS)
    seat = box((-depth / 2, top, -width / 2), (depth / 2, top + thickness * 1.5, width / 2))
    parts: Parts = [(seat, cover)]
    back_color = cover if _chance(rng, 0.4) else frame
    # Parts touch and do not overlap: coinciding sides of two colours would be seen in patches.
    seat_top = top + thickness * 1.5
    parts += _back(rng, -depth / 2, seat_top, high, width, thickness, back_color)
    if _chance(rng, 0.25):
        parts.append((rod((0, 0.06, 0), (0, top, 0), 0.03), frame))
        for angle in np.arange(5) * 72:
            foot = box((0, 0.02, -0.025), (depth * 0.6, 0.07, 0.025)).turned("y", float(angle))
            parts.append((foot, frame))
    else:
        parts += _legs(rng, depth, width, top, thickness, frame)
    if _chance(rng, 0.4):
        arm_y = top + rng.uniform(0.15, 0.24)
        z0, z1 = width / 2 - thickness, width / 2
        rest = box((-depth / 2 + thickness, arm_y, z0), (depth * 0.4, arm_y + thickness, z1))
        post = box((depth * 0.4 - thickness, seat_top, z0), (depth * 0.4, arm_y, z1))
        parts += _both(rest, frame) + _both(post, frame)
    return parts


def bench(rng: Random) -> Parts:
    """A long seat on legs or panels, half of them with a back."""
    width, depth = rng.uniform(1.1, 2.0), rng.uniform(0.35, 0.5)
    top, thickness = rng.uniform(0.38, 0.5), rng.uniform(0.04, 0.07)
    seat_color, frame = _pick(rng, WOODS + PAINTS), _pick(rng, WOODS + METALS)
    parts: Parts = []
    slats = int(rng.integers(1, 5))
    for x in np.arange(slats) * depth / slats - depth / 2:
        slat = box((x, top, -width / 2), (x + depth / slats * 0.85, top + thickness, width / 2))
        parts.append((slat, seat_color))
    if _chance(rng, 0.5):
        inset = width * rng.uniform(0.0, 0.2)
        z = width / 2 - inset
        panel = box((-depth / 2, 0, z - thickness * 1.5), (depth / 2, top, z))
        parts += _both(panel, frame)
    else:
        parts += _legs(rng, depth, width, top, thickness * 1.2, frame)
    if _chance(rng, 0.55):
        high = top + rng.uniform(0.3, 0.5)
        parts += _back(rng, -depth / 2, top, high, width, thickness, seat_color)
    return parts


def cabinet(rng: Random) -> Parts:
    """A carcass with doors, drawers or open shelves, on feet or a plinth."""
    depth, height, width = rng.uniform(0.3, 0.6), rng.uniform(0.5, 1.9), rng.uniform(0.5, 1.4)
    body, front, metal = _pick(rng, WOODS + PAINTS), _pick(rng, WOODS + PAINTS), METALS[0]
    foot = rng.uniform(0.03, 0.12)
    half, wall = width / 2, 0.025
    parts: Parts = _legs(rng, depth, width, foot, 0.05, body)
    shelves = _chance(rng, 0.25)
    if shelves:
        parts.append((box((-depth / 2, foot, -half), (-depth / 2 + wall, height, half)), body))
        parts += _both(box((-depth / 2, foot, half - wall), (depth / 2, height, half)), body)
        for y in np.linspace(foot, height - wall, int(rng.integers(3, 6))):
            board = box((-depth / 2, y, -half), (depth / 2, y + wall, half))
            parts.append((board, body))
        return parts
    parts.append((box((-depth / 2, foot, -half), (depth / 2, height, half)), body))
    columns = int(rng.integers(1, 4))
    rows = 1 if _chance(rng, 0.5) else int(rng.integers(2, 5))
    for column in range(columns):
        for row in range(rows):
            z0 = -half + width * column / columns + 0.015
            y0 = foot + (height - foot) * row / rows + 0.015
            z1, y1 = z0 + width / columns - 0.03, y0 + (height - foot) / rows - 0.03
            parts.append((box((depth / 2, y0, z0), (depth / 2 + 0.02, y1, z1)), front))
            middle = (depth / 2 + 0.035, (y0 + y1) / 2, (z0 + z1) / 2 if rows > 1 else z1 - 0.05)
            parts.append((block(middle, (0.03, 0.03, 0.1 if rows > 1 else 0.03)), metal))
    return parts


def car(rng: Random) -> Parts:
    """A body with bonnet and boot, a cabin with windows, and four wheels."""
    length, width = rng.uniform(3.4, 5.0), rng.uniform(1.6, 1.9)
    wheel = rng.uniform(0.28, 0.38)
    floor, waist = wheel * 0.7, wheel * 0.7 + rng.uniform(0.5, 0.65)
    roof = waist + rng.uniform(0.35, 0.75)
    paint = _pick(rng, PAINTS)
    nose, tail = length / 2, -length / 2
    bonnet, boot = rng.uniform(0.12, 0.32) * length, rng.choice([0.0, 0.05, 0.18]) * length
    side = [(tail, floor), (nose, floor), (nose, waist - rng.uniform(0.1, 0.25)),
            (nose - bonnet, waist), (tail, waist)]  # fmt: skip
    parts: Parts = [(prism(side, "z", -width / 2, width / 2), paint)]
    slope, inset = rng.uniform(0.2, 0.7), width * 0.06
    front, rear = nose - bonnet, tail + boot
    back_slope = rng.uniform(0.05, 0.5) if boot else 0.08
    if _chance(rng, 0.15):  # a pick-up truck keeps only the front of its cabin
        rear, back_slope = front - length * 0.35, 0.1
    low_ring = _ring(rear, front, waist, width / 2 - inset * 0.5)
    top_ring = _ring(rear + back_slope, front - slope, roof, width / 2 - inset * 2)
    parts.append((loft([low_ring, top_ring]), GLASS))
    roof_ring = _ring(rear + back_slope, front - slope, roof + 0.05, width / 2 - inset * 2)
    parts.append((loft([top_ring, roof_ring]), paint))
    for x in (nose - length * 0.18, tail + length * 0.19):
        tyre = rod((x, wheel, width / 2 - 0.18), (x, wheel, width / 2 + 0.03), wheel)
        hub = rod((x, wheel, width / 2), (x, wheel, width / 2 + 0.04), wheel * 0.55)
        parts += _both(tyre, RUBBER) + _both(hub, METALS[0])
    for x, color in ((nose, (0.95, 0.93, 0.80)), (tail, (0.7, 0.05, 0.05))):
        light = block((x, (floor + waist) / 2, width * 0.36), (0.06, 0.14, width * 0.18))
        parts += _both(light, color)
    return parts


def _ring(back: float, front: float, y: float, half: float) -> list[tuple[float, float, float]]:
    return [(back, y, -half), (front, y, -half), (front, y, half), (back, y, half)]


def airplane(rng: Random) -> Parts:
    """A fuselage, swept wings, a tail, and jets or a propeller."""
    length, radius = 10.0, rng.uniform(0.45, 0.8)
    paint, trim = _pick(rng, PAINTS), _pick(rng, PAINTS)
    nose, tail = length / 2, -length / 2
    fuselage = lathe(
        [(nose, radius * 0.08), (nose - 0.4, radius * 0.5), (nose - 1.2, radius),
         (tail + length * 0.35, radius), (tail, radius * 0.2)], "x")  # fmt: skip
    parts: Parts = [(fuselage, paint)]
    span, chord = rng.uniform(3.8, 6.0), rng.uniform(1.2, 2.2)
    sweep, rise = rng.uniform(0.0, 3.0), rng.uniform(-0.1, 0.5)
    y = rng.choice([-0.5, 0.0, 0.8]) * radius
    root = rng.uniform(0.0, 1.0)
    wing = _wing((root, y), (root - sweep, y + rise), chord, chord * rng.uniform(0.25, 0.8), span)
    parts += _both(wing, trim if _chance(rng, 0.3) else paint)
    size = rng.uniform(1.2, 2.0)
    high_tail = size * rng.choice([0.0, 0.9])
    plane = _wing((tail + 1.0, radius * 0.3 + high_tail), (tail + 0.4, radius * 0.3 + high_tail),
                  1.0, 0.5, size)  # fmt: skip
    fin = [(tail + 1.6, 0.0), (tail, 0.0), (tail - 0.2, size), (tail + 0.5, size)]
    parts += [*_both(plane, paint), (prism(fin, "z", -0.08, 0.08), trim)]
    if _chance(rng, 0.65):
        for z in np.linspace(0.35, 0.65, int(rng.integers(1, 3))) * span:
            x = root - sweep * z / span + 0.2
            jet = lathe([(-0.7, 0.18), (0.6, 0.30), (0.7, 0.26)], "x").moved(x, y - 0.35, z)
            parts += _both(jet, METALS[0])
    else:
        blade = block((nose + 0.1, 0, 0), (0.08, 0.25, radius * 4.0))
        parts.append((blade.turned("x", rng.uniform(0, 90)), METALS[1]))
    return parts


def _wing(
    root: tuple[float, float], tip: tuple[float, float], chord: float, end: float, span: float
) -> Solid:
    """Returns the wing at z > 0 whose leading edge goes from (x, y) `root` to `tip`."""
    outlines = []
    for (x, y), width, z in ((root, chord, 0.0), (tip, end, span)):
        thickness = 0.06 * width + 0.03
        outlines.append([(x, y, z), (x - width * 0.4, y + thickness, z), (x - width, y, z),
                         (x - width * 0.4, y - thickness, z)])  # fmt: skip
    return loft(outlines)


def display(rng: Random) -> Parts:
    """A flat screen or a tube in a frame, on a stand, on feet or without."""
    width = rng.uniform(0.5, 1.2)
    height, depth = width / rng.uniform(1.3, 1.9), rng.uniform(0.03, 0.07)
    frame = _pick(rng, ((0.06, 0.06, 0.07), (0.75, 0.75, 0.76), (0.25, 0.25, 0.27)))
    style, low = rng.integers(4), rng.uniform(0.08, 0.2)
    low = 0.0 if style == 3 else low
    border = rng.uniform(0.015, 0.05)
    case = box((-depth / 2, low, -width / 2), (depth / 2, low + height, width / 2))
    screen = box((0, low + border, -width / 2 + border),
                 (depth / 2 + 0.004, low + height - border, width / 2 - border))  # fmt: skip
    parts: Parts = [(case, frame), (screen, (0.05, 0.08, 0.13))]
    if style == 0:
        parts.append((block((-depth / 2, low, 0), (0.03, low * 2, 0.06)), frame))
        base = lathe([(0, 1), (0.02, 0.9)])
        scale = np.array([0.12, 1, width * rng.uniform(0.15, 0.3)])
        parts.append((Solid(base.vertices * scale, base.faces), frame))
    elif style == 1:
        parts.append((block((0, low * 0.6, 0), (0.04, low * 1.2, width * 0.12)), frame))
        parts.append((block((0, 0.01, 0), (0.22, 0.02, width * rng.uniform(0.3, 0.6))), frame))
    elif style == 2:
        foot = block((0, low / 2, width * 0.35), (0.2, low, 0.03))
        parts += _both(foot, frame)
    if _chance(rng, 0.25):  # a tube behind the screen
        back = [[(x, low + height * (0.5 + s * k), width * t * k) for s, t in
                 ((-1, -1), (-1, 1), (1, 1), (1, -1))]
                for x, k in ((-depth / 2, 0.48), (-width * 0.6, 0.25))]  # fmt: skip
        parts.append((loft(back), frame))
    return parts


def lamp(rng: Random) -> Parts:
    """A standing lamp, a jointed desk lamp or a pendant."""
    metal, cloth = _pick(rng, METALS + WOODS), _pick(rng, (*FABRICS, (0.93, 0.90, 0.80)))
    style = rng.integers(4)
    low, high, tall = rng.uniform(0.12, 0.3), rng.uniform(0.05, 0.15), rng.uniform(0.15, 0.35)
    if style == 3:
        cord = rng.uniform(0.2, 0.8)
        shade = rod((0, 0, 0), (0, tall, 0), low, high)
        return [(shade, cloth), (rod((0, tall, 0), (0, tall + cord, 0), 0.008), metal),
                (rod((0, tall + cord, 0), (0, tall + cord + 0.03, 0), 0.06), metal)]  # fmt: skip
    base = rod((0, 0, 0), (0, 0.03, 0), rng.uniform(0.1, 0.18))
    if style == 2:
        elbow, hand = (-rng.uniform(0.05, 0.2), rng.uniform(0.3, 0.45)), rng.uniform(0.15, 0.3)
        top = elbow[1] + rng.uniform(0.05, 0.2)
        return [(base, metal), (rod((0, 0, 0), (*elbow, 0), 0.012), metal),
                (rod((*elbow, 0), (hand, top, 0), 0.012), metal),
                (rod((hand + 0.1, top - 0.14, 0), (hand - 0.02, top + 0.02, 0), 0.1, 0.04),
                 cloth)]  # fmt: skip
    pole = rng.uniform(1.0, 1.5) if style == 0 else rng.uniform(0.2, 0.45)
    parts: Parts = [(base, metal), (rod((0, 0, 0), (0, pole + tall * 0.5, 0), 0.014), metal)]
    parts.append((rod((0, pole, 0), (0, pole + tall, 0), low, high), cloth))
    if style == 1 and _chance(rng, 0.7):
        parts.append((ball((0, pole * 0.45, 0), (0.09, pole * 0.42, 0.09)), metal))
    return parts


def speaker(rng: Random) -> Parts:
    """A box with round drivers, or a cylinder with a band."""
    case = _pick(rng, (*WOODS, (0.06, 0.06, 0.07), (0.85, 0.85, 0.85)))
    cone, rim = (0.12, 0.12, 0.13), METALS[0]
    if _chance(rng, 0.2):
        radius, height = rng.uniform(0.08, 0.12), rng.uniform(0.2, 0.4)
        return [(rod((0, 0, 0), (0, height, 0), radius), case),
                (rod((0, height * 0.1, 0), (0, height * 0.2, 0), radius * 1.03), rim)]  # fmt: skip
    width, depth = rng.uniform(0.18, 0.35), rng.uniform(0.18, 0.35)
    height = width * rng.uniform(1.2, 4.0)
    parts: Parts = [(box((-depth / 2, 0, -width / 2), (depth / 2, height, width / 2)), case)]
    count = 1 + int(rng.integers(1, 3))
    radius = min(width, height / count) * 0.42
    front = depth / 2
    for index in range(count):
        y = height * (index + 0.5) / count
        size = radius * (0.6 if index == count - 1 else 1.0)
        parts.append((rod((front, y, 0), (front + 0.012, y, 0), size), rim))
        parts.append((rod((front, y, 0), (front + 0.02, y, 0), size * 0.85, size * 0.3), cone))
    if _chance(rng, 0.4):
        parts.append((block((0, -0.02, 0), (depth * 1.2, 0.04, width * 1.2)), cone))
    return parts


def rifle(rng: Random) -> Parts:
    """Barrel, receiver, stock, grip and magazine, sometimes a scope; the muzzle at +X."""
    barrel, receiver = rng.uniform(0.35, 0.65), rng.uniform(0.22, 0.35)
    stock = rng.uniform(0.2, 0.35)
    steel, wood = _pick(rng, METALS[1:2] + METALS[3:]), _pick(rng, WOODS + METALS[1:2])
    half, thick = 0.018, rng.uniform(0.012, 0.018)
    parts: Parts = [(box((-receiver, -0.03, -half), (0, 0.03, half)), steel)]
    parts.append((rod((0, 0.01, 0), (barrel, 0.01, 0), thick * 0.7), steel))
    guard = barrel * rng.uniform(0.35, 0.75)
    parts.append((box((0, -0.025, -half), (guard, 0.018, half)), wood))
    drop = rng.uniform(0.03, 0.08)
    butt = [(-receiver, 0.025), (-receiver, -0.02), (-receiver - stock, -0.07 - drop),
            (-receiver - stock, 0.01 - drop * 0.3)]  # fmt: skip
    parts.append((prism(butt, "z", -half * 0.9, half * 0.9), wood))
    grip = -receiver * rng.uniform(0.7, 0.95)
    parts.append((prism([(grip, -0.02), (grip + 0.045, -0.02), (grip + 0.01, -0.12),
                         (grip - 0.035, -0.11)], "z", -half * 0.8, half * 0.8), wood))  # fmt: skip
    if _chance(rng, 0.7):
        x, depth = -receiver * rng.uniform(0.15, 0.4), rng.uniform(0.08, 0.16)
        lean = rng.uniform(0.0, 0.06)
        clip = [(x, -0.02), (x + 0.05, -0.02), (x + 0.05 + lean, -depth), (x + lean, -depth)]
        parts.append((prism(clip, "z", -half * 0.7, half * 0.7), steel))
    if _chance(rng, 0.5):
        parts.append((rod((-receiver * 0.8, 0.065, 0), (-receiver * 0.1, 0.065, 0), 0.018), steel))
        parts.append((block((-receiver * 0.45, 0.04, 0), (0.03, 0.03, 0.015)), steel))
    else:
        parts.append((block((barrel * 0.95, 0.035, 0), (0.01, 0.03, 0.006)), steel))
    return parts


def sofa(rng: Random) -> Parts:
    """Base, back, arms and cushions; sometimes a corner piece."""
    width, depth = rng.uniform(1.2, 2.4), rng.uniform(0.75, 0.95)
    seat, back_height = rng.uniform(0.36, 0.46), rng.uniform(0.7, 0.95)
    arm, foot = rng.uniform(0.1, 0.25), rng.uniform(0.03, 0.12)
    cover, wood = _pick(rng, FABRICS), _pick(rng, WOODS)
    cushion = _pick(rng, FABRICS) if _chance(rng, 0.3) else cover
    half, front = width / 2, depth / 2
    parts: Parts = _legs(rng, depth, width, foot, 0.06, wood)
    parts.append((box((-front, foot, -half), (front, seat - 0.14, half)), cover))
    lean, thickness = rng.uniform(0.0, 0.12), rng.uniform(0.15, 0.25)
    back = [(-front, foot), (-front + thickness + 0.08, foot),
            (-front + thickness - lean, back_height), (-front - lean, back_height)]  # fmt: skip
    parts.append((prism(back, "z", -half, half), cover))
    arm_top = seat + rng.uniform(0.1, 0.25)
    if _chance(rng, 0.8):
        parts += _both(box((-front, foot, half - arm), (front, arm_top, half)), cover)
    else:
        arm = 0.0
    seats = max(1, round(width / 0.75))
    inner = width - 2 * arm
    for index in range(seats):
        z = -inner / 2 + inner * index / seats
        pad = box((-front + thickness, seat - 0.14, z + 0.01),
                  (front + 0.02, seat, z + inner / seats - 0.01))  # fmt: skip
        parts.append((pad, cushion))
    if _chance(rng, 0.25):
        sign = 1 if _chance(rng, 0.5) else -1
        z0, z1 = sorted((sign * half, sign * (half - rng.uniform(0.6, 0.8))))
        parts.append((box((front, foot, z0), (front + rng.uniform(0.5, 0.9), seat, z1)), cushion))
    return parts


def table(rng: Random) -> Parts:
    """A rectangular or round top on legs, a pedestal or panels, sometimes with drawers."""
    depth, width = rng.uniform(0.5, 1.0), rng.uniform(0.6, 2.0)
    height, thickness = rng.uniform(0.35, 0.8), rng.uniform(0.02, 0.06)
    wood, frame = _pick(rng, WOODS + PAINTS), _pick(rng, WOODS + METALS)
    if _chance(rng, 0.3):
        radius = width / 2
        parts: Parts = [(rod((0, height - thickness, 0), (0, height, 0), radius, sides=24), wood)]
        if _chance(rng, 0.6):
            parts.append((rod((0, 0, 0), (0, height - thickness / 2, 0), 0.06, 0.04), frame))
            parts.append((rod((0, 0, 0), (0, 0.04, 0), radius * 0.55, radius * 0.3), frame))
            return parts
        return parts + _legs(rng, radius * 1.4, radius * 1.4, height - thickness, 0.05, frame)
    top = height - thickness
    parts = [(box((-depth / 2, top, -width / 2), (depth / 2, height, width / 2)), wood)]
    if _chance(rng, 0.3):
        inset = width * rng.uniform(0.0, 0.15)
        panel = box((-depth / 2, 0, width / 2 - inset - 0.04), (depth / 2, top, width / 2 - inset))
        parts += _both(panel, frame)
    else:
        parts += _legs(rng, depth, width, top, rng.uniform(0.04, 0.08), frame)
    if _chance(rng, 0.4):
        low = top * rng.uniform(0.1, 0.8)
        z0 = width / 2 - 0.05 - width * rng.uniform(0.2, 0.35)
        chest = box((-depth * 0.45, low, z0), (depth * 0.47, top, width / 2 - 0.05))
        parts.append((chest, wood))
        knob = block((depth * 0.48, (low + top) / 2, (z0 + width / 2) / 2), (0.03, 0.03, 0.08))
        parts.append((knob, METALS[0]))
    return parts


def telephone(rng: Random) -> Parts:
    """A pocket telephone with a screen or keys, or a desk telephone with its handset."""
    case = _pick(rng, (*PAINTS, (0.08, 0.08, 0.09), (0.80, 0.78, 0.70)))
    dark = (0.05, 0.06, 0.08)
    if _chance(rng, 0.4):
        return _desk_telephone(rng, case, dark)
    width = 0.07 * rng.uniform(0.7, 1.2)
    height, depth = width * rng.uniform(1.8, 2.6), rng.uniform(0.008, 0.022)
    front, half = depth / 2, width / 2
    parts: Parts = [(box((-front, 0, -half), (front, height, half)), case)]
    keys = _chance(rng, 0.5)
    low = height * (0.5 if keys else 0.08)
    screen = box((0, low, -half * 0.86), (front + 0.001, height * 0.93, half * 0.86))
    parts.append((screen, dark))
    if keys:
        for row in range(4):
            for column in (-1, 0, 1):
                key = block((front, height * (0.08 + 0.1 * row), column * half * 0.58),
                            (0.003, height * 0.06, half * 0.42))  # fmt: skip
                parts.append((key, (0.85, 0.85, 0.85)))
        if _chance(rng, 0.5):
            stub = rod((0, height, half * 0.7), (0, height * 1.2, half * 0.7), half * 0.15)
            parts.append((stub, dark))
    return parts


def _desk_telephone(rng: Random, case: Color, dark: Color) -> Parts:
    width, depth = rng.uniform(0.16, 0.22), rng.uniform(0.16, 0.22)
    low, high = rng.uniform(0.02, 0.05), rng.uniform(0.07, 0.12)
    side = [(depth / 2, 0.0), (depth / 2, low), (-depth / 4, high), (-depth / 2, high),
            (-depth / 2, 0.0)]  # fmt: skip
    parts: Parts = [(prism(side, "z", -width / 2, width / 2), case)]
    slope = np.degrees(np.arctan2(high - low, depth * 0.75))
    middle = (depth / 8, (low + high) / 2)
    if _chance(rng, 0.5):
        dial = rod((0, 0, 0), (0, 0.012, 0), min(width, depth) * 0.3).turned("z", -slope)
        parts.append((dial.moved(*middle), dark))
    else:
        for x in (-1, 0, 1):
            for z in (-1, 0, 1):
                key = block((x * depth * 0.16, 0.002, z * width * 0.16), (0.02, 0.012, 0.02))
                parts.append((key.turned("z", -slope).moved(*middle), dark))
    span, bar = width * 0.6, (-depth * 0.36, high + 0.03)
    parts.append((rod((*bar, -span), (*bar, span), 0.015), case))
    for sign in (-1, 1):
        ear = rod((bar[0], high - 0.005, sign * span), (*bar, sign * span), 0.03, 0.022)
        parts.append((ear, case))
    return parts


def vessel(rng: Random) -> Parts:
    """A hull with a pointed bow at +X and a deck house and funnel, or a mast and sails."""
    beam, depth = rng.uniform(1.2, 3.0), rng.uniform(0.8, 1.6)
    paint, deck = _pick(rng, PAINTS), _pick(rng, WOODS)
    white = (0.90, 0.90, 0.88)
    stations = []
    for x, k, rise in ((-5, 0.75, 0.1), (-3.5, 0.95, 0.0), (0, 1.0, 0.0), (2.5, 0.8, 0.1),
                       (4.2, 0.35, 0.35), (5, 0.04, 0.6)):  # fmt: skip
        half, sheer = beam / 2 * k, depth + rise * depth * 0.6
        stations.append([(x, sheer, -half), (x, 0.0, -half * 0.5), (x, 0.0, half * 0.5),
                         (x, sheer, half)])  # fmt: skip
    parts: Parts = [(loft(stations), paint)]
    plate = [(-4.9, -beam * 0.36), (2.4, -beam * 0.38), (4.0, 0.0), (2.4, beam * 0.38),
             (-4.9, beam * 0.36)]  # fmt: skip
    parts.append((prism(plate, "y", depth * 0.9, depth * 1.03), deck))
    if _chance(rng, 0.35):
        return parts + _rigging(rng, depth, beam, white)
    x, y = rng.uniform(-4.0, -1.0), depth
    size = rng.uniform(1.5, 4.0)
    for level in range(int(rng.integers(1, 4))):
        shrink = 1 - 0.25 * level
        house = block((x, y + 0.3, 0), (size * shrink, 0.6, beam * 0.64 * shrink))
        band = block((x, y + 0.38, 0), (size * shrink + 0.04, 0.15, beam * 0.64 * shrink + 0.04))
        parts += [(house, white), (band, GLASS)]
        y += 0.6
    if _chance(rng, 0.6):
        parts.append((rod((x - 0.3, y, 0), (x - 0.4, y + 0.9, 0), 0.25), _pick(rng, PAINTS)))
    for start in np.arange(x + size / 2 + 0.5, 2.6, 1.0) if _chance(rng, 0.5) else ():
        crate = box((start, depth, -beam * 0.28), (start + 0.8, depth + 0.6, beam * 0.28))
        parts.append((crate, _pick(rng, PAINTS)))
    return parts


def _rigging(rng: Random, depth: float, beam: float, white: Color) -> Parts:
    parts: Parts = []
    for x in np.linspace(-1.5, 2.0, int(rng.integers(1, 3))) - 0.5:
        top = depth + rng.uniform(5.0, 8.0)
        parts.append((rod((x, depth, 0), (x, top, 0), 0.1), WOODS[1]))
        low, boom = depth + 0.8, rng.uniform(1.8, 2.8)
        sail = [(x - 0.1, low), (x - 0.1, top - 0.3), (x - boom, low)]
        parts.append((prism(sail, "z", -0.05, 0.05), white))
    jib = [(x + 0.2, depth + 0.8), (x + 0.2, top - 1.0), (4.4, depth + 0.6)]
    parts.append((prism(jib, "z", -0.05, 0.05), white))
    parts.append((box((-3.5, depth, -beam * 0.2), (-2.4, depth + 0.6, beam * 0.2)), white))
    return parts


MODELS: dict[str, Callable[[Random], Parts]] = {
    "airplane": airplane,
    "bench": bench,
    "cabinet": cabinet,
    "car": car,
    "chair": chair,
    "display": display,
    "lamp": lamp,
    "speaker": speaker,
    "rifle": rifle,
    "sofa": sofa,
    "table": table,
    "telephone": telephone,
    "vessel": vessel,
}
