"""What the models of all categories have in common: colours, chances, legs and wheels."""

from __future__ import annotations

from collections.abc import Callable, Sequence

import numpy as np

from recon.preparation.sources.solids import Solid, box, lathe, rod, tube

Color = tuple[float, float, float]
Parts = list[tuple[Solid, Color]]
Random = np.random.Generator
Model = Callable[[Random], Parts]

WOODS = (
    (0.45, 0.27, 0.13),
    (0.62, 0.42, 0.22),
    (0.76, 0.58, 0.36),
    (0.30, 0.17, 0.09),
    (0.55, 0.22, 0.12),
    (0.80, 0.68, 0.50),
)
FABRICS = (
    (0.55, 0.14, 0.15),
    (0.20, 0.30, 0.52),
    (0.42, 0.47, 0.36),
    (0.72, 0.66, 0.56),
    (0.30, 0.30, 0.33),
    (0.78, 0.55, 0.20),
    (0.08, 0.08, 0.09),
    (0.85, 0.83, 0.80),
    (0.36, 0.21, 0.13),
)
METALS = (
    (0.62, 0.63, 0.66),
    (0.25, 0.26, 0.28),
    (0.70, 0.58, 0.30),
    (0.12, 0.12, 0.13),
    (0.85, 0.85, 0.86),
)
DARK_METALS = ((0.25, 0.26, 0.28), (0.12, 0.12, 0.13), (0.35, 0.35, 0.36), (0.20, 0.22, 0.20))
PAINTS = (
    (0.75, 0.10, 0.10),
    (0.10, 0.25, 0.65),
    (0.90, 0.90, 0.88),
    (0.12, 0.12, 0.14),
    (0.15, 0.45, 0.25),
    (0.90, 0.72, 0.10),
    (0.60, 0.62, 0.66),
    (0.35, 0.55, 0.80),
    (0.45, 0.45, 0.42),
)
PLASTICS = (
    (0.08, 0.08, 0.09),
    (0.80, 0.78, 0.70),
    (0.30, 0.30, 0.32),
    (0.90, 0.90, 0.88),
    (0.55, 0.56, 0.58),
)
GLASS: Color = (0.10, 0.13, 0.17)
RUBBER: Color = (0.07, 0.07, 0.07)
WHITE: Color = (0.90, 0.90, 0.88)
SCREEN: Color = (0.05, 0.08, 0.13)
STEEL: Color = METALS[0]


def pick(rng: Random, colors: Sequence[Color]) -> Color:
    """Draws a colour and varies it a little."""
    base = np.array(colors[int(rng.integers(len(colors)))]) + rng.uniform(-0.05, 0.05, 3)
    red, green, blue = np.clip(base, 0.02, 0.98).tolist()
    return red, green, blue


def chance(rng: Random, probability: float) -> bool:
    """Draws true with some probability."""
    return bool(rng.random() < probability)


def draw_style(rng: Random, styles: Sequence[tuple[float, Model]]) -> Parts:
    """Draws one of some models by its weight and makes an object of it."""
    weights = np.array([weight for weight, _ in styles])
    index = int((np.cumsum(weights) <= rng.random() * weights.sum()).sum())
    return styles[index][1](rng)


def both(part: Solid, color: Color) -> Parts:
    """Returns a solid and its mirror image at z = 0."""
    return [(part, color), (part.mirrored(), color)]


def all_moved(parts: Parts, x: float = 0.0, y: float = 0.0, z: float = 0.0) -> Parts:
    """Returns parts shifted by (x, y, z)."""
    return [(solid.moved(x, y, z), color) for solid, color in parts]


def all_turned(parts: Parts, axis: str, degrees: float) -> Parts:
    """Returns parts turned about an axis through the origin."""
    return [(solid.turned(axis, degrees), color) for solid, color in parts]


def all_mirrored(parts: Parts) -> Parts:
    """Returns the mirror images of parts at z = 0."""
    return [(solid.mirrored(), color) for solid, color in parts]


def all_scaled(parts: Parts, x: float = 1.0, y: float = 1.0, z: float = 1.0) -> Parts:
    """Returns parts stretched along the axes by factors > 0."""
    return [(solid.scaled(x, y, z), color) for solid, color in parts]


def hoop(radius: float, height: float, thickness: float) -> Solid:
    """Returns a ring of tube about the y axis."""
    angles = np.linspace(0, 2 * np.pi, 17)
    return tube([(radius * np.cos(a), height, radius * np.sin(a)) for a in angles], thickness, 6)


def turned_leg(rng: Random, height: float, radius: float) -> Solid:
    """Returns a leg made on a lathe, from the floor up: thin and thick by turns."""
    shares = (0.0, 0.06, 0.12, 0.4, 0.62, 0.7, 0.78, 1.0)
    widths = np.array([0.5, 0.75, 0.5, 0.75, 0.95, 0.55, 1.0, 1.0]) * rng.uniform(0.85, 1.15, 8)
    return lathe(
        [(share * height, radius * float(w)) for share, w in zip(shares, widths, strict=True)],
        sides=8,
    )


def legs(
    rng: Random,
    depth: float,
    width: float,
    top: float,
    thickness: float,
    color: Color,
    stretchers: float = 0.2,
) -> Parts:
    """Returns four legs below the corners of a plate: straight, tapered, splayed or turned.

    Args:
        rng: Draws their style.
        depth, width: Of the plate, along x and z.
        top: Their height.
        thickness: Of a leg.
        color: Of all of it.
        stretchers: The probability of bars between the legs.
    """
    style = int(rng.integers(4))
    splay = rng.uniform(0.02, 0.10) * top if style in (1, 2) else 0.0
    parts: Parts = []
    z = width / 2 - thickness * 0.7
    for sign in (1, -1):
        x = sign * (depth / 2 - thickness * 0.7)
        if style == 0:
            half = thickness / 2
            leg = box((x - half, 0, z - half), (x + half, top, z + half))
        elif style == 3:
            leg = turned_leg(rng, top, thickness * 0.6).moved(x, 0, z)
        else:
            foot = thickness * (0.3 if style == 1 else 0.5)
            leg = rod((x + sign * splay, 0, z + splay), (x, top, z), foot, thickness * 0.5, 8)
        parts += both(leg, color)
    if chance(rng, stretchers):
        parts += _stretchers(
            rng,
            depth / 2 - thickness * 0.7 + splay * 0.6,
            z + splay * 0.6,
            top * rng.uniform(0.15, 0.4),
            thickness * 0.35,
            color,
        )
    return parts


def _stretchers(
    rng: Random, x: float, z: float, height: float, radius: float, color: Color
) -> Parts:
    """Returns bars between legs at (+-x, +-z): along both sides and, as H or as O, across."""
    parts = both(rod((-x, height, z), (x, height, z), radius, sides=6), color)
    places = (0.0,) if chance(rng, 0.5) else (-x, x)
    for place in places:
        parts.append((rod((place, height, -z), (place, height, z), radius, sides=6), color))
    return parts


def metal_legs(depth: float, width: float, top: float, radius: float, color: Color) -> Parts:
    """Returns two sled frames of bent tube, one at either side."""
    x, z = depth / 2 - radius, width / 2 - radius
    bend = min(0.06, top * 0.2)
    frame = [
        (-x, top, z),
        (-x, bend, z),
        (-x + bend, radius, z),
        (x - bend, radius, z),
        (x, bend, z),
        (x, top, z),
    ]
    return both(tube(frame, radius, 6), color)


def star_base(
    rng: Random, radius: float, hub: float, color: Color, arms: int = 5, castors: bool = True
) -> Parts:
    """Returns a star of arms on castors below a hub at some height, about the y axis."""
    parts: Parts = [(rod((0, hub * 0.35, 0), (0, hub, 0), 0.03, sides=8), color)]
    start = rng.uniform(0, 360)
    low = 0.05 if castors else 0.015
    for angle in start + np.arange(arms) * 360 / arms:
        arm = tube(
            [(0.0, hub * 0.55, 0), (radius * 0.5, low + 0.05, 0), (radius, low, 0)],
            [0.03, 0.025, 0.015],
            6,
        )
        parts.append((arm.turned("y", float(angle)), color))
        if castors:
            wheel = rod((radius, 0.025, -0.02), (radius, 0.025, 0.02), 0.025, sides=8)
            parts.append((wheel.turned("y", float(angle)), RUBBER))
    return parts


def wheel(x: float, y: float, z: float, radius: float, width: float, hub: Color = STEEL) -> Parts:
    """Returns a tyre with its hub; z is its outer face, which looks along +z."""
    tyre = lathe(
        [
            (z - width, radius * 0.92),
            (z - width * 0.8, radius),
            (z - width * 0.2, radius),
            (z, radius * 0.92),
        ],
        "z",
        16,
    )
    rim = rod((0, 0, z - width * 0.1), (0, 0, z + width * 0.04), radius * 0.6, sides=12)
    return [(tyre.moved(x, y), RUBBER), (rim.moved(x, y), hub)]
