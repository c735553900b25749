"""Parametric tables, desks and cabinets."""

from __future__ import annotations

import numpy as np

from recon.preparation.sources.shape_models.parts import (
    METALS,
    PAINTS,
    RUBBER,
    STEEL,
    WHITE,
    WOODS,
    Color,
    Parts,
    Random,
    both,
    chance,
    draw_style,
    legs,
    metal_legs,
    pick,
    turned_leg,
)
from recon.preparation.sources.shape_models.special_tables import (
    GLASS_PLATE,
    drawing_table,
    dressing_table,
    game_table,
    garden_table,
    picnic_table,
    thick_table,
)
from recon.preparation.sources.solids import block, box, cushion, lathe, prism, rod, tube


def table(rng: Random) -> Parts:
    """A table to eat, to write or to work at, or a low one."""
    return draw_style(rng, TABLES)


def _plate(
    rng: Random, depth: float, width: float, top: float, thick: float, color: Color
) -> Parts:
    """Returns a table top whose upper side is at `top`: rectangular, rounded or oval."""
    style = int(rng.integers(5))
    if style == 0:
        return [
            (
                cushion((-depth / 2, top - thick, -width / 2), (depth / 2, top, width / 2), 0.05),
                color,
            )
        ]
    if style == 1:
        oval = lathe([(top - thick, 0.5), (top, 0.5)], sides=24).scaled(depth, 1, width)
        return [(oval, color)]
    return [(box((-depth / 2, top - thick, -width / 2), (depth / 2, top, width / 2)), color)]


def _colors(rng: Random) -> tuple[Color, Color]:
    """Returns the colours of a table's plate and of what carries it."""
    wood = pick(rng, WOODS + PAINTS[2:4])
    if chance(rng, 0.5):
        return wood, wood
    return (GLASS_PLATE if chance(rng, 0.25) else wood), pick(rng, WOODS + METALS)


def _legged_table(rng: Random) -> Parts:
    depth, width = rng.uniform(0.6, 1.0), rng.uniform(0.7, 2.2)
    low = chance(rng, 0.3)
    top, thick = (
        rng.uniform(0.32, 0.5) if low else rng.uniform(0.68, 0.78),
        rng.uniform(0.015, 0.05),
    )
    plate, frame = _colors(rng)
    overhang = rng.uniform(0.0, 0.12)
    parts = _plate(rng, depth, width, top, thick, plate)
    size = rng.uniform(0.03, 0.09)
    parts += legs(rng, depth - overhang, width - overhang, top - thick, size, frame, 0.15)
    if chance(rng, 0.6):  # the frame below the plate
        x, z, high = (
            (depth - overhang) / 2 - size / 2,
            (width - overhang) / 2 - size / 2,
            rng.uniform(0.05, 0.12),
        )
        parts += both(box((-x, top - thick - high, z - 0.02), (x, top - thick, z)), frame)
        for side in (-x, x - 0.02):
            parts.append(
                (box((side, top - thick - high, -z), (side + 0.02, top - thick, z)), frame)
            )
    if chance(rng, 0.4 if low else 0.06):
        y = top * rng.uniform(0.15, 0.4)
        parts.append(
            (box((-depth * 0.43, y, -width * 0.44), (depth * 0.43, y + 0.02, width * 0.44)), plate)
        )
    return parts


def _round_table(rng: Random) -> Parts:
    radius, thick = rng.uniform(0.35, 0.75), rng.uniform(0.02, 0.05)
    top = rng.choice([rng.uniform(0.4, 0.55), rng.uniform(0.68, 0.78), rng.uniform(0.9, 1.1)])
    plate, frame = _colors(rng)
    radius = min(radius, top * 1.1)
    parts: Parts = [(rod((0, top - thick, 0), (0, top, 0), radius, sides=28), plate)]
    if chance(rng, 0.4):
        size = radius * rng.uniform(1.1, 1.5)
        return parts + legs(rng, size, size, top - thick, rng.uniform(0.03, 0.06), frame, 0.2)
    return parts + _pedestal(rng, top - thick, radius, frame)


def _pedestal(rng: Random, height: float, radius: float, color: Color) -> Parts:
    """Returns one leg in the middle, on a disc, on a cross or on bent feet."""
    style, reach = int(rng.integers(4)), radius * rng.uniform(0.55, 0.8)
    if style == 0:
        profile = [(0, reach * 0.8), (0.02, reach * 0.78), (0.06, reach * 0.15), (height, 0.04)]
        return [(lathe(profile), color)]
    if style == 1:
        column = lathe(
            [(0.0, 0.05), (height * 0.3, 0.07), (height * 0.6, 0.04), (height, 0.09)], sides=12
        )
        return [(column, color), (rod((0, 0, 0), (0, 0.05, 0), reach * 0.8, reach * 0.7, 8), color)]
    if style == 2:
        parts: Parts = [(rod((0, 0.02, 0), (0, height, 0), 0.03, sides=8), color)]
        for size in ((reach * 2, 0.03, 0.06), (0.06, 0.03, reach * 2)):
            parts.append((block((0, 0.02, 0), size), color))
            parts.append((block((0, height - 0.015, 0), size), color))
        return parts
    parts = [(turned_leg(rng, height * 0.85, 0.08).moved(y=height * 0.15), color)]
    for angle in np.arange(count := int(rng.integers(3, 5))) * 360 / count + rng.uniform(0, 90):
        foot = tube(
            [(0.03, height * 0.35, 0), (reach * 0.5, height * 0.25, 0), (reach, 0.02, 0)],
            [0.045, 0.035, 0.025],
            6,
        )
        parts.append((foot.turned("y", float(angle)), color))
    return parts


def _trestle_table(rng: Random) -> Parts:
    """Carried by an X, an A, a T, a panel or a sled at either end."""
    depth, width = rng.uniform(0.6, 0.95), rng.uniform(1.1, 2.2)
    top, thick = rng.uniform(0.5, 0.78), rng.uniform(0.02, 0.06)
    plate, frame = _colors(rng)
    parts: Parts = [
        (box((-depth / 2, top - thick, -width / 2), (depth / 2, top, width / 2)), plate)
    ]
    z, x, high = width / 2 * rng.uniform(0.7, 0.97), depth * 0.42, top - thick
    style, size = int(rng.integers(5)), rng.uniform(0.025, 0.06)
    if style in (0, 1):
        upper = x if style == 0 else x * 0.15
        for sign in (1, -1):
            far = -sign * upper if style == 0 else sign * upper
            parts += both(tube([(sign * x, 0, z), (far, high, z)], size * 0.6, 4), frame)
    elif style == 2:
        parts += both(box((-x, 0, z - size), (x, 0.05, z + size)), frame)
        parts += both(box((-0.05, 0.05, z - size), (0.05, high, z + size)), frame)
        parts += both(box((-x, high - 0.04, z - size), (x, high, z + size)), frame)
    elif style == 3:
        parts += both(box((-depth / 2, 0, z - size), (depth / 2, high, z)), frame)
    else:
        parts += metal_legs(depth * 0.95, z * 2, high, size * 0.6, frame)
    if chance(rng, 0.6):
        y = high * rng.uniform(0.15, 0.8)
        parts.append((box((-0.03, y, -z), (0.03, y + size * 1.5, z)), frame))
    return parts


def _drawers(
    low: tuple[float, float, float], high: tuple[float, float, float], rows: int, front: Color
) -> Parts:
    """Returns drawers with handles on the side +x of a box with some corners."""
    parts: Parts = []
    step = (high[1] - low[1]) / rows
    for row in range(rows):
        y = low[1] + row * step
        parts.append(
            (
                box(
                    (high[0], y + 0.01, low[2] + 0.01),
                    (high[0] + 0.015, y + step - 0.01, high[2] - 0.01),
                ),
                front,
            )
        )
        middle = (high[0] + 0.03, y + step * 0.6, (low[2] + high[2]) / 2)
        parts.append((block(middle, (0.02, 0.015, min(0.14, (high[2] - low[2]) * 0.4))), STEEL))
    return parts


def _desk(rng: Random) -> Parts:
    """A plate with drawers at one or both sides, legs or a panel, and perhaps a back."""
    depth, width = rng.uniform(0.55, 0.85), rng.uniform(1.0, 1.8)
    top, thick = rng.uniform(0.70, 0.76), rng.uniform(0.02, 0.05)
    plate, body = _colors(rng)
    parts: Parts = [
        (box((-depth / 2, top - thick, -width / 2), (depth / 2, top, width / 2)), plate)
    ]
    high, x, half = top - thick, depth / 2 - 0.03, width / 2 - 0.02
    chest, low = rng.uniform(0.28, 0.45), 0.0 if chance(rng, 0.6) else rng.uniform(0.1, 0.4)
    sides = (1, -1) if chance(rng, 0.35) else (1,)
    for sign in sides:
        corners = sorted((sign * half, sign * (half - chest)))
        lowest, highest = (-x, low, corners[0]), (x, high, corners[1])
        parts.append((box(lowest, highest), body))
        parts += _drawers(lowest, highest, int(rng.integers(2, 5)), plate)
    if len(sides) == 1 or low > 0:
        if chance(rng, 0.6):
            parts.append((box((-x, 0, -half), (x, high, -half + 0.035)), body))
            if low > 0:
                parts.append((box((-x, 0, half - 0.035), (x, high, half)), body))
        else:
            parts += legs(rng, depth, width, high, 0.05, body, 0)
    if chance(rng, 0.5):
        y = rng.uniform(0.0, 0.45)
        parts.append((box((-x, y, -half), (-x + 0.02, high, half)), body))
    if chance(rng, 0.12):
        parts += _hutch(rng, depth, width, top, body)
    if chance(rng, 0.12):  # a wing round the corner
        parts.append(
            (
                box((0, top - thick, -width / 2), (rng.uniform(0.9, 1.3), top, -width / 2 + 0.5)),
                plate,
            )
        )
        parts.append((box((0.8, 0, -width / 2 + 0.02), (0.84, high, -width / 2 + 0.48)), body))
    return parts if chance(rng, 0.5) else [(solid.mirrored(), color) for solid, color in parts]


def _hutch(rng: Random, depth: float, width: float, top: float, color: Color) -> Parts:
    """Returns a board with a shelf, standing on the rear of a plate."""
    high, x, half = rng.uniform(0.3, 0.7), -depth / 2, width / 2
    parts: Parts = [(box((x, top, -half), (x + 0.02, top + high, half)), color)]
    parts += both(box((x, top, half - 0.03), (x + 0.22, top + high, half)), color)
    for y in (top + high * 0.5, top + high - 0.03):
        parts.append((box((x, y, -half), (x + 0.25, y + 0.025, half)), color))
    return parts


def _work_bench(rng: Random) -> Parts:
    """Two or three boards on posts, the rear ones higher and with a panel."""
    depth, width, post = rng.uniform(0.45, 0.7), rng.uniform(0.7, 1.6), rng.uniform(0.03, 0.06)
    top, wood, frame = rng.uniform(0.75, 0.95), pick(rng, WOODS), pick(rng, METALS + WOODS)
    high = top + rng.uniform(0.4, 0.8)
    x, z = depth / 2, width / 2
    parts = both(block((-x, high / 2, z), (post, high, post)), frame)
    parts += both(block((x - post, top / 2, z), (post, top, post)), frame)
    for y in (top, top * rng.uniform(0.2, 0.35)):
        parts.append((box((-x, y - 0.03, -z), (x, y, z)), wood))
    parts.append((box((-x - 0.01, top + 0.1, -z), (-x + 0.01, high - 0.05, z)), wood))
    if chance(rng, 0.6):
        parts.append((box((-x, high - 0.03, -z), (-x + 0.25, high, z)), wood))
    return parts


def _block_table(rng: Random) -> Parts:
    """A low box, a cube, a billiard table, or a plate on two blocks."""
    wood, cloth = pick(rng, WOODS + PAINTS), pick(rng, ((0.05, 0.4, 0.15), (0.1, 0.2, 0.5)))
    depth, width = rng.uniform(0.5, 1.0), rng.uniform(0.6, 1.2)
    if chance(rng, 0.5):  # billiards
        depth, width, top = rng.uniform(1.0, 1.4), rng.uniform(1.9, 2.5), 0.8
        x, z = depth / 2, width / 2
        parts: Parts = [
            (box((-x, top - 0.2, -z), (x, top, z)), wood),
            (box((-x * 0.85, top, -z * 0.92), (x * 0.85, top + 0.01, z * 0.92)), cloth),
        ]
        for sign in (1, -1):
            parts += both(turned_leg(rng, top - 0.2, 0.08).moved(sign * x * 0.75, 0, z * 0.8), wood)
        return parts
    top, thick = rng.uniform(0.3, 0.5), rng.uniform(0.03, 0.15)
    parts = [(box((-depth / 2, top - thick, -width / 2), (depth / 2, top, width / 2)), wood)]
    inset = rng.uniform(0.0, 0.4)
    return parts + both(
        box(
            (-depth * 0.45, 0, width / 2 * (1 - inset) - 0.08),
            (depth * 0.45, top - thick, width / 2 * (1 - inset)),
        ),
        wood,
    )


TABLES = (
    (0.26, _legged_table),
    (0.13, _round_table),
    (0.11, _trestle_table),
    (0.14, _desk),
    (0.03, _work_bench),
    (0.04, _block_table),
    (0.11, thick_table),
    (0.04, drawing_table),
    (0.03, picnic_table),
    (0.05, garden_table),
    (0.03, game_table),
    (0.03, dressing_table),
)


# ---- cabinets ------------------------------------------------------------------------------------


def cabinet(rng: Random) -> Parts:
    """A chest, a cupboard, a wardrobe, shelves, or a unit of a kitchen."""
    return draw_style(rng, CABINETS)


def _front(
    rng: Random,
    x: float,
    low: tuple[float, float],
    high: tuple[float, float],
    columns: int,
    rows: int,
    color: Color,
) -> Parts:
    """Returns doors or drawers on the plane x between two corners (y, z), with handles."""
    parts: Parts = []
    height, width = (high[0] - low[0]) / rows, (high[1] - low[1]) / columns
    style = int(rng.integers(3))
    for column in range(columns):
        for row in range(rows):
            y, z = low[0] + row * height, low[1] + column * width
            door = box(
                (x, y + 0.008, z + 0.008), (x + 0.018, y + height - 0.008, z + width - 0.008)
            )
            parts.append((door, color))
            flat = width > height
            side = z + width * (0.12 if column % 2 else 0.88)
            middle = (x + 0.03, y + height * 0.55, z + width / 2 if flat else side)
            long = 0.3 * min(width, height) if style else 0.03
            size = (0.025, 0.015, long) if flat else (0.025, long, 0.015)
            if style < 2:
                parts.append((block(middle, size), STEEL))
    return parts


def _carcass(
    rng: Random, low_foot: float, depth: float, height: float, width: float, body: Color
) -> Parts:
    """Returns a closed box on feet, on a plinth, on castors or on the floor."""
    half, x = width / 2, depth / 2
    parts: Parts = [(box((-x, low_foot, -half), (x, height, half)), body)]
    if low_foot <= 0:
        return parts
    style = int(rng.integers(3))
    if style == 0:
        parts.append((box((-x, 0, -half * 0.97), (x * 0.9, low_foot, half * 0.97)), body))
    elif style == 1:
        parts += legs(rng, depth, width, low_foot, min(0.05, low_foot), body, 0)
    else:
        size = min(low_foot, 0.06)
        for sign in (1, -1):
            at = (sign * (x - size), low_foot / 2, half - size)
            parts += both(block(at, (size, low_foot, size * 0.6)), RUBBER)
    return parts


def _closed_cabinet(rng: Random) -> Parts:
    """A chest of drawers, a cupboard, a sideboard or a wardrobe."""
    kind = int(rng.integers(4))
    low, high = ((0.5, 1.3), (0.5, 1.1), (0.4, 0.9), (1.5, 2.2))[kind]
    height = rng.uniform(low, high)
    depth = rng.uniform(0.35, 0.65)
    width = rng.uniform(*((0.4, 0.9), (0.4, 0.8), (1.0, 2.0), (0.5, 1.6))[kind])
    body = pick(rng, WOODS + PAINTS)
    front = body if chance(rng, 0.5) else pick(rng, WOODS + PAINTS)
    foot = rng.uniform(0.04, 0.15) if chance(rng, 0.6) else 0.0
    parts = _carcass(rng, foot, depth, height, width, body)
    columns = (1, int(rng.integers(1, 3)), int(rng.integers(2, 4)), max(1, round(width / 0.5)))[
        kind
    ]
    rows = (int(rng.integers(2, 6)), 1, int(rng.integers(1, 4)), 1)[kind]
    parts += _front(rng, depth / 2, (foot, -width / 2), (height, width / 2), columns, rows, front)
    if chance(rng, 0.35):
        top = block((0, height + 0.015, 0), (depth + 0.05, 0.03, width + 0.05))
        parts.append((top, pick(rng, WOODS)))
    return parts


def _cube(rng: Random) -> Parts:
    """A box that is nearly a cube: a crate, a bedside cabinet, a washing machine or a fridge."""
    side = rng.uniform(0.4, 0.7)
    depth, width = side * rng.uniform(0.85, 1.1), side * rng.uniform(0.9, 1.15)
    height = side * rng.choice([rng.uniform(0.85, 1.3), rng.uniform(1.6, 2.6)], p=[0.75, 0.25])
    body = pick(rng, WOODS + PAINTS)
    parts: Parts = [(box((-depth / 2, 0, -width / 2), (depth / 2, height, width / 2)), body)]
    if chance(rng, 0.3):  # the frame of a crate
        edge, trim = 0.05, pick(rng, WOODS)
        for y in (edge / 2, height - edge / 2):
            parts.append((block((0, y, 0), (depth + 0.03, edge, width + 0.03)), trim))
        for x in (depth / 2, -depth / 2):
            parts += both(block((x, height / 2, width / 2), (edge, height, edge)), trim)
        return parts
    if chance(rng, 0.2):
        door = rod((depth / 2, height / 2, 0), (depth / 2 + 0.03, height / 2, 0), width * 0.3)
        return [*parts, (door, STEEL)]
    rows = int(rng.integers(1, 4))
    return parts + _front(rng, depth / 2, (0, -width / 2), (height, width / 2), 1, rows, body)


def _shelves(rng: Random) -> Parts:
    """Open shelves, some with a back, some with doors below."""
    depth, height, width = rng.uniform(0.22, 0.45), rng.uniform(0.7, 2.1), rng.uniform(0.4, 1.6)
    body, wall = pick(rng, WOODS + PAINTS), rng.uniform(0.018, 0.04)
    x, half = depth / 2, width / 2
    parts = both(box((-x, 0, half - wall), (x, height, half)), body)
    for y in np.linspace(0.05, height - wall, int(rng.integers(3, 7))):
        parts.append((box((-x, y, -half), (x, y + wall, half)), body))
    if chance(rng, 0.7):
        parts.append((box((-x, 0, -half), (-x + 0.012, height, half)), body))
    for z in np.linspace(-half, half, int(rng.integers(2, 5)))[1:-1]:
        parts.append((box((-x, 0.05, z - wall / 2), (x, height, z + wall / 2)), body))
    if chance(rng, 0.3):
        high = height * rng.uniform(0.25, 0.45)
        parts.append((box((-x, 0.05, -half), (x, high, half)), body))
        parts += _front(rng, x, (0.05, -half), (high, half), 2, 1, body)
    return parts


def _two_part_cabinet(rng: Random) -> Parts:
    """A deep lower part and a shallower upper one: a dresser, a secretary, a wall of shelves."""
    depth, width, low = rng.uniform(0.4, 0.6), rng.uniform(0.7, 1.6), rng.uniform(0.45, 0.95)
    height, body = low + rng.uniform(0.5, 1.2), pick(rng, WOODS + PAINTS)
    shallow, x = depth * rng.uniform(0.4, 0.75), depth / 2
    part = rng.uniform(0.4, 1.0)
    parts: Parts = [(box((-x, 0, -width / 2), (x, low, width / 2)), body)]
    parts += _front(
        rng,
        x,
        (0.05, -width / 2),
        (low, width / 2),
        int(rng.integers(1, 4)),
        int(rng.integers(1, 3)),
        body,
    )
    left, right = -width / 2, -width / 2 + width * part
    gap = rng.uniform(0.0, 0.35) if chance(rng, 0.5) else 0.0
    parts.append((box((-x, low + gap, left), (-x + shallow, height, right)), body))
    parts += _front(rng, -x + shallow, (low + gap, left), (height, right), 2, 1, body)
    if gap:
        parts.append((box((-x, low, left), (-x + 0.02, height, right)), body))
        for z in (left, right - 0.03):
            parts.append((box((-x, low, z), (-x + shallow * 0.9, height, z + 0.03)), body))
    return parts if chance(rng, 0.5) else [(solid.mirrored(), color) for solid, color in parts]


def _low_cabinet(rng: Random) -> Parts:
    """A long low one for a television, partly open, perhaps on castors."""
    depth, width, height = rng.uniform(0.35, 0.55), rng.uniform(1.0, 1.9), rng.uniform(0.35, 0.6)
    body, wall, x, half = pick(rng, WOODS + PAINTS), 0.03, depth / 2, width / 2
    foot = rng.uniform(0.03, 0.12)
    parts: Parts = [
        (box((-x, foot, -half), (x, foot + wall, half)), body),
        (box((-x, height - wall, -half), (x, height, half)), body),
        (box((-x, foot, -half), (-x + wall, height, half)), body),
    ]
    walls = np.linspace(-half, half - wall, int(rng.integers(3, 5)))
    for z in walls:
        parts.append((box((-x, foot, z), (x, height, z + wall)), body))
    closed = int(rng.integers(len(walls) - 1))
    corners = (foot + wall, walls[closed] + wall), (height - wall, walls[closed + 1])
    parts.append((box((-x, corners[0][0], corners[0][1]), (x, corners[1][0], corners[1][1])), body))
    parts += _front(rng, x, *corners, 1, int(rng.integers(1, 3)), body)
    return parts + legs(rng, depth, width, foot, 0.04, pick(rng, METALS + WOODS), 0)


def _kitchen_unit(rng: Random) -> Parts:
    """A unit with a worktop, perhaps with a sink, or one that fills a corner."""
    depth, width, height = 0.58, rng.uniform(0.4, 1.2), rng.uniform(0.82, 0.92)
    body, stone = (
        pick(rng, (*WOODS, WHITE)),
        pick(rng, ((0.35, 0.35, 0.36), (0.8, 0.8, 0.78), (0.5, 0.4, 0.3))),
    )
    x, half = depth / 2, width / 2
    if chance(rng, 0.35):
        side = rng.uniform(0.7, 0.95)
        cut = side * rng.uniform(0.35, 0.5)
        plan = [
            (-side / 2, -side / 2),
            (side / 2, -side / 2),
            (side / 2, -side / 2 + cut),
            (-side / 2 + cut, side / 2),
            (-side / 2, side / 2),
        ]
        if chance(rng, 0.4):
            plan.insert(3, (-side / 2 + cut, -side / 2 + cut))
        return [
            (prism(plan, "y", 0, height), body),
            (prism(plan, "y", height, height + 0.04).scaled(1.03, 1, 1.03), stone),
        ]
    parts: Parts = [
        (box((-x, 0.1, -half), (x, height, half)), body),
        (box((-x, 0, -half), (x - 0.05, 0.1, half)), RUBBER),
    ]
    parts += _front(
        rng,
        x,
        (0.1, -half),
        (height, half),
        max(1, round(width / 0.5)),
        int(rng.integers(1, 3)),
        body,
    )
    parts.append((box((-x, height, -half - 0.01), (x + 0.03, height + 0.04, half + 0.01)), stone))
    if chance(rng, 0.35):
        tap = tube(
            [
                (-x * 0.7, height + 0.04, 0),
                (-x * 0.7, height + 0.25, 0),
                (-x * 0.3, height + 0.28, 0),
                (-x * 0.15, height + 0.2, 0),
            ],
            0.012,
            6,
        )
        parts += [
            (tap, STEEL),
            (
                cushion(
                    (-x * 0.6, height + 0.03, -half * 0.6),
                    (x * 0.7, height + 0.05, half * 0.6),
                    0.05,
                ),
                STEEL,
            ),
        ]
    if chance(rng, 0.15):
        parts.append((box((-x, height + 0.5, -half), (0.0, height + 1.1, half)), body))
        parts.append((box((-x, height, -half), (-x + 0.01, height + 0.6, half)), WHITE))
    return parts


CABINETS = (
    (0.42, _closed_cabinet),
    (0.14, _cube),
    (0.14, _shelves),
    (0.12, _two_part_cabinet),
    (0.08, _low_cabinet),
    (0.10, _kitchen_unit),
)
