"""Curves as a picture, drawn with Pillow alone."""

from __future__ import annotations

import math
from collections.abc import Mapping, Sequence

from PIL import Image, ImageDraw, ImageFont

COLORS = ("#1f5fa8", "#d1495b", "#2e8b57", "#8e6c1e", "#7d4fa3", "#444444", "#d98200", "#2aa9a9")
MARGIN = (64, 30, 16, 40)  # pixels: left, top, right, bottom
FONT_SIZE = 12

Curve = tuple[Sequence[float], Sequence[float]]


def line_plot(
    curves: Mapping[str, Curve],
    title: str = "",
    x_label: str = "",
    log_y: bool = False,
    size: tuple[int, int] = (640, 360),
    y_range: tuple[float, float] | None = None,
) -> Image.Image:
    """Draws curves over common axes, with a legend.

    Values which are not finite, or not > 0 on a logarithmic axis, interrupt their curve.

    Args:
        curves: by name in the legend, x and y of the points.
        title: the line above the picture.
        x_label: the line below it.
        log_y: whether the vertical axis is logarithmic.
        size: (width, height) in pixels.
        y_range: least and greatest value of the vertical axis (their logarithms where it is
            logarithmic); None is that of the curves.

    Raises:
        ValueError: x and y of a curve differ in length, or no point can be drawn.
    """
    points = {name: _drawable(name, *curve, log_y) for name, curve in curves.items()}
    flat = [point for curve in points.values() for point in curve if point is not None]
    if not flat:
        raise ValueError("there is no point to draw")
    vertical = _range([y for _, y in flat]) if y_range is None else y_range
    axes = _Axes(_range([x for x, _ in flat]), vertical, size, log_y)
    picture = Image.new("RGB", size, "white")
    draw = ImageDraw.Draw(picture)
    axes.draw(draw, title, x_label)
    for index, (name, curve) in enumerate(points.items()):
        color = COLORS[index % len(COLORS)]
        _draw_curve(draw, [None if p is None else axes.pixel(*p) for p in curve], color)
        right, top = size[0] - MARGIN[2], MARGIN[1] + 4 + index * (FONT_SIZE + 3)
        draw.text((right - 6, top), name, color, _font(), anchor="ra")
    return picture


class _Axes:
    """Where values are in the picture."""

    def __init__(
        self,
        x: tuple[float, float],
        y: tuple[float, float],
        size: tuple[int, int],
        log_y: bool,
    ) -> None:
        self.x, self.y, self.log_y = x, y, log_y
        left, top, right, bottom = MARGIN
        self.box = (left, top, size[0] - right, size[1] - bottom)

    def pixel(self, x: float, y: float) -> tuple[float, float]:
        left, top, right, bottom = self.box
        across = (x - self.x[0]) / (self.x[1] - self.x[0])
        up = (y - self.y[0]) / (self.y[1] - self.y[0])
        return left + across * (right - left), bottom - up * (bottom - top)

    def draw(self, draw: ImageDraw.ImageDraw, title: str, x_label: str) -> None:
        left, top, right, bottom = self.box
        middle = (left + right) / 2
        draw.text((middle, top - 8), title, "black", _font(), anchor="ms")
        draw.text((middle, bottom + 36), x_label, "black", _font(), anchor="ms")
        for value in _ticks(*self.x):
            x, _ = self.pixel(value, self.y[0])
            draw.line((x, top, x, bottom), "#e4e4e4")
            draw.text((x, bottom + 6), f"{value:g}", "black", _font(), anchor="ma")
        for value in _ticks(*self.y):
            _, y = self.pixel(self.x[0], value)
            draw.line((left, y, right, y), "#e4e4e4")
            text = f"{10**value:.2g}" if self.log_y else f"{value:g}"
            draw.text((left - 6, y), text, "black", _font(), anchor="rm")
        draw.rectangle(self.box, outline="black")


def _drawable(
    name: str, x: Sequence[float], y: Sequence[float], log_y: bool
) -> list[tuple[float, float] | None]:
    """Returns the points in the units of the axes, None where a curve is interrupted."""
    if len(x) != len(y):
        raise ValueError(f"curve {name} has {len(x)} x and {len(y)} y")
    points: list[tuple[float, float] | None] = []
    for here, value in zip(x, y, strict=True):
        fits = math.isfinite(here) and math.isfinite(value) and (value > 0 or not log_y)
        points.append((here, math.log10(value) if log_y else value) if fits else None)
    return points


def _draw_curve(
    draw: ImageDraw.ImageDraw, pixels: Sequence[tuple[float, float] | None], color: str
) -> None:
    before: tuple[float, float] | None = None
    for here in pixels:
        if before is not None and here is not None:
            draw.line((*before, *here), color, width=2)
        elif here is not None:
            draw.point(here, color)
        before = here


def _range(values: Sequence[float]) -> tuple[float, float]:
    """Returns the least and the greatest value, apart also where they are equal."""
    low, high = min(values), max(values)
    room = abs(low) * 0.1 or 1.0
    return (low, high) if high > low else (low - room, high + room)


def _ticks(low: float, high: float) -> list[float]:
    """Returns some four to eight round numbers in [low, high]."""
    rough = (high - low) / 5
    unit = 10 ** math.floor(math.log10(rough))
    step = min((unit * factor for factor in (1, 2, 5, 10)), key=lambda s: abs(s - rough))
    first, last = math.ceil(low / step), math.floor(high / step)
    return [round(index * step, 12) for index in range(first, last + 1)]


def _font() -> ImageFont.ImageFont | ImageFont.FreeTypeFont:
    return ImageFont.load_default(FONT_SIZE)
