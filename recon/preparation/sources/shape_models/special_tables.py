"""Parametric tables for gardens, games, drawing and display that `tables` leaves out."""

from __future__ import annotations

import numpy as np

from recon.preparation.sources.shape_models.chairs import bent_legs
from recon.preparation.sources.shape_models.parts import (
    METALS,
    PAINTS,
    PLASTICS,
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
)
from recon.preparation.sources.solids import block, box, cushion, lathe, prism, rod, tube

GLASS_PLATE: Color = (0.62, 0.70, 0.74)
CLOTHS: tuple[Color, ...] = ((0.05, 0.35, 0.12), (0.08, 0.2, 0.5), (0.1, 0.1, 0.1))


def thick_table(rng: Random) -> Parts:
    """A table of few thick pieces: square or round posts flush with the corners of its plate."""
    wood = pick(rng, WOODS + PAINTS + PLASTICS)
    plate = pick(rng, (*WOODS, *PAINTS, GLASS_PLATE)) if chance(rng, 0.4) else wood
    depth, width, top = rng.uniform(0.4, 1.1), rng.uniform(0.5, 1.9), rng.uniform(0.28, 0.8)
    thick, leg = rng.uniform(0.03, 0.14), rng.uniform(0.05, 0.16)
    inset = rng.uniform(0, 0.08) if chance(rng, 0.5) else 0.0
    x, z, high = depth / 2 - leg / 2 - inset, width / 2 - leg / 2 - inset, top - thick
    parts: Parts = [(box((-depth / 2, high, -width / 2), (depth / 2, top, width / 2)), plate)]
    sides = int(rng.choice([0, 0, 8]))
    for sign in (1, -1):
        if sides:
            post = rod((sign * x, 0, z), (sign * x, high, z), leg * rng.uniform(0.35, 0.6), leg / 2)
        else:
            post = block((sign * x, high / 2, z), (leg, high, leg))
        parts += both(post, wood)
    if chance(rng, 0.3):
        y = high * rng.uniform(0.1, 0.4)
        parts.append((box((-x, y, -z), (x, y + thick * 0.6, z)), wood))
    if chance(rng, 0.25):  # a frame about the plate, with panels let into it
        for place in np.linspace(-width / 2, width / 2, int(rng.integers(2, 4)) + 1)[:-1]:
            wide = (width - 0.1) / 3
            panel = block((0, top, place + wide / 2 + 0.05), (depth * 0.75, 0.012, wide * 0.8))
            parts.append((panel, GLASS_PLATE))
    if chance(rng, 0.2):
        y = high * rng.uniform(0.15, 0.35)
        parts.append((rod((-x, y, -z), (x, y, z), leg * 0.25, sides=6), wood))
        parts.append((rod((x, y, -z), (-x, y, z), leg * 0.25, sides=6), wood))
    return parts


def drawing_table(rng: Random) -> Parts:
    """A board that may be tilted, on two T-shaped feet or on one column."""
    plate, frame = pick(rng, (*WOODS, WHITE, *METALS)), pick(rng, METALS + WOODS + PAINTS)
    depth, width, top = rng.uniform(0.6, 1.0), rng.uniform(0.9, 1.7), rng.uniform(0.65, 0.9)
    tilt = rng.uniform(0, 28) if chance(rng, 0.6) else 0.0
    thick, size = rng.uniform(0.02, 0.05), rng.uniform(0.03, 0.07)
    board: Parts = [(block((0, 0, 0), (depth, thick, width)), plate)]
    if chance(rng, 0.4):
        board.append(
            (block((0, thick * 0.6, width * 0.22), (depth * 0.7, 0.01, width * 0.4)), CLOTHS[0])
        )
    parts = all_moved(all_turned(board, "z", -tilt), 0, top)
    z = width * rng.uniform(0.3, 0.44)
    if chance(rng, 0.25):
        z = 0.0
    back = rng.uniform(-0.3, 0.1) * depth
    columns = (z, -z) if z else (0.0,)
    for place in columns:
        parts.append((block((back, top / 2, place), (size * 1.3, top - 0.02, size)), frame))
        foot = block((0, size * 0.4, place), (depth * 0.9, size * 0.8, size * 1.2))
        parts.append((foot, frame))
        parts.append(
            (block((back * 0.5, top - 0.05, place), (depth * 0.4, size, size * 0.8)), frame)
        )
    if z:
        y = top * rng.uniform(0.15, 0.75)
        parts.append((box((back - 0.02, y, -z), (back + 0.02, y + size, z)), frame))
    return parts


def picnic_table(rng: Random) -> Parts:
    """A table of planks with a bench on either side, on A-shaped frames."""
    wood, top = pick(rng, WOODS + PAINTS), rng.uniform(0.68, 0.78)
    width, depth = rng.uniform(1.2, 2.0), rng.uniform(0.6, 0.85)
    planks, thick = int(rng.integers(3, 7)), rng.uniform(0.03, 0.06)
    parts: Parts = []
    for x in (np.arange(planks) + 0.5) * depth / planks - depth / 2:
        parts.append((block((x, top, 0), (depth / planks * 0.88, thick, width)), wood))
    z, reach = width * rng.uniform(0.3, 0.42), depth / 2 + rng.uniform(0.2, 0.3)
    for sign in (1, -1):
        leg = [(sign * reach * 0.8, 0.0, z), (sign * depth * 0.25, top, z)]
        parts += both(tube(leg, thick * 0.9, 4), wood)
    if chance(rng, 0.75):
        seat = rng.uniform(0.4, 0.47)
        for sign in (1, -1):
            parts.append((block((sign * reach, seat, 0), (0.26, thick, width)), wood))
        parts += both(block((0, seat - thick, z), (reach * 2.2, thick * 1.5, thick)), wood)
    return parts


def garden_table(rng: Random) -> Parts:
    """A light round, square or half-round plate on bent legs of wire that meet in the middle."""
    plate, metal = pick(rng, (*WOODS, *PAINTS, GLASS_PLATE, *METALS)), pick(rng, METALS + PAINTS)
    radius, top = rng.uniform(0.28, 0.65), rng.uniform(0.42, 1.1)
    radius, thick, size = min(radius, top * 0.9), rng.uniform(0.01, 0.05), rng.uniform(0.01, 0.03)
    style = int(rng.integers(4))
    if style == 0:
        parts: Parts = [
            (cushion((-radius, top, -radius), (radius, top + thick, radius), 0.03), plate)
        ]
    elif style == 1:
        angles = np.linspace(-np.pi / 2, np.pi / 2, 12)
        half = [(radius * float(np.cos(a)), radius * 1.3 * float(np.sin(a))) for a in angles]
        parts = [(prism(half, "y", top, top + thick), plate)]
    else:
        parts = [(rod((0, top, 0), (0, top + thick, 0), radius, sides=24), plate)]
    waist, reach = rng.uniform(0.05, 0.5), radius * rng.uniform(0.7, 1.1)
    middle = radius * 0.4 if style == 1 else 0.0
    count = int(rng.integers(3, 6))
    for angle in np.arange(count) * 360 / count + 45:
        line = [(reach, size, 0), (radius * waist, top * 0.45, 0), (radius * 0.75, top, 0)]
        if chance(rng, 0.5):
            line.insert(1, (reach * 0.6, top * 0.1, 0))
        leg = tube(line, size, 6).turned("y", float(angle))
        parts.append((leg.scaled(0.5 if style == 1 else 1.0, 1, 1).moved(middle), metal))
    if chance(rng, 0.6):
        ring = hoop(radius * waist, top * 0.45, size * 0.8)
        parts.append((ring.scaled(0.5 if style == 1 else 1.0, 1, 1).moved(middle), metal))
    return parts


def game_table(rng: Random) -> Parts:
    """A table for table tennis, cards or billiards: a coloured plate, a net or a raised rim."""
    cloth, frame = pick(rng, CLOTHS), pick(rng, WOODS + METALS)
    net = chance(rng, 0.5)
    depth = rng.uniform(1.3, 1.6) if net else rng.uniform(0.8, 1.4)
    width, top = depth * rng.uniform(1.6, 2.0), rng.uniform(0.7, 0.85)
    x, z = depth / 2, width / 2
    thick = rng.uniform(0.02, 0.04) if net else rng.uniform(0.1, 0.3)
    parts: Parts = [(box((-x, top - thick, -z), (x, top, z)), cloth if net else frame)]
    size = rng.uniform(0.02, 0.05) if net else rng.uniform(0.06, 0.16)
    for place in (z * 0.85, z * 0.25) if net else (z - size, 0.0)[: int(rng.integers(1, 3))]:
        for sign in (1, -1):
            foot = (sign * x * rng.uniform(0.7, 0.9), 0, place)
            parts += both(
                rod(foot, (sign * (x - size), top - thick, place), size * 0.6, size, 8), frame
            )
        if net:
            parts += both(
                rod((-x * 0.8, 0.1, place), (x * 0.8, 0.1, place), size * 0.5, sides=6), frame
            )
    if net:
        parts.append((block((0, top + 0.07, 0), (depth * 1.12, 0.14, 0.012)), WHITE))
        parts += both(block((0, top, z * 0.5), (0.02, 0.006, z)), WHITE)
        return parts
    rim, lip = rng.uniform(0.05, 0.12), rng.uniform(0.02, 0.06)
    parts.append((box((-x + rim, top - 0.01, -z + rim), (x - rim, top + 0.005, z - rim)), cloth))
    parts += both(box((-x, top - 0.01, z - rim), (x, top + lip, z)), frame)
    for side in (-x, x - rim):
        parts.append((box((side, top - 0.01, -z), (side + rim, top + lip, z)), frame))
    return parts


def dressing_table(rng: Random) -> Parts:
    """A small table on bent legs with drawers, a mirror, or steps with shelves at its rear."""
    wood, glass = pick(rng, WOODS + PAINTS[2:3]), (0.75, 0.80, 0.83)
    depth, width, top = rng.uniform(0.35, 0.55), rng.uniform(0.6, 1.3), rng.uniform(0.68, 0.8)
    x, z, size, deep = depth / 2, width / 2, rng.uniform(0.02, 0.04), rng.uniform(0.08, 0.25)
    parts: Parts = [
        (box((-x, top - 0.03, -z), (x, top, z)), wood),
        (box((-x * 0.95, top - deep, -z * 0.95), (x * 0.93, top - 0.02, z * 0.95)), wood),
    ]
    parts += bent_legs(rng, x - size * 1.5, z - size * 1.5, top - deep, size, wood)
    for place in np.linspace(-z, z, int(rng.integers(1, 4)) + 2)[1:-1]:
        parts.append((block((x * 0.95, top - deep * 0.5, place), (0.04, 0.02, 0.06)), METALS[2]))
    style, high = int(rng.integers(3)), rng.uniform(0.35, 0.75)
    if style == 0:
        oval = lathe([(-0.015, 1.0), (0.015, 1.0)], "x", 20).scaled(1, high / 2, z * 0.5)
        pane = lathe([(0.01, 0.88), (0.02, 0.88)], "x", 20).scaled(1, high / 2, z * 0.5)
        at = (-x + 0.03, top + high * 0.55)
        parts += [(oval.moved(*at), wood), (pane.moved(*at), glass)]
        return parts + both(box((-x, top, z * 0.52), (-x + 0.04, top + high * 0.6, z * 0.58)), wood)
    if style == 1:
        parts.append((box((-x, top, -z * 0.6), (-x + 0.03, top + high, z * 0.6)), wood))
        pane = box((-x + 0.03, top + 0.05, -z * 0.52), (-x + 0.035, top + high - 0.05, z * 0.52))
        parts.append((pane, glass))
        return parts + both(box((-x, top, z * 0.65), (-x + 0.2, top + high * 0.3, z)), wood)
    parts += both(box((-x, top, z - 0.03), (-x + depth * 0.5, top + high * 0.5, z)), wood)
    y = top + high * 0.5
    parts.append((box((-x, y - 0.02, -z), (-x + depth * 0.5, y, z)), wood))
    return parts
