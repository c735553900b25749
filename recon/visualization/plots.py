"""Curves and points as an image, drawn with Pillow alone."""

from __future__ import annotations

import math
from collections.abc import Mapping, Sequence

from PIL import Image, ImageDraw, ImageFont

COLORS = ("#1f5fa8", "#d1495b", "#2e8b57", "#8e6c1e", "#7d4fa3", "#444444", "#d98200", "#2aa9a9")
MARGIN = (64, 30, 16, 40)  # pixels: left, top, right, bottom
FONT_SIZE = 12
DOT = 4  # pixels, radius

Curve = tuple[Sequence[float], Sequence[float]]


def line_plot(
    curves: Mapping[str, Curve],
    title: str = "",
    x_label: str = "",
    log_y: bool = False,
    size: tuple[int, int] = (640, 360),
    y_range: tuple[float, float] | None = None,
    colors: Mapping[str, str] | None = None,
    legend_left: bool = False,
) -> Image.Image:
    """Draws curves over common axes, with a legend of those whose name does not begin with `_`.

    Values which are not finite, or not > 0 on a logarithmic axis, interrupt their curve.

    Args:
        curves: The x and y of the points of each curve, by its name in the legend.
        title: The line above the image.
        x_label: The line below the image.
        log_y: Whether the vertical axis is logarithmic.
        size: (width, height) in pixels.
        y_range: The least and the greatest value of the vertical axis (their logarithms where it is
            logarithmic); None uses the range of the curves.
        colors: The colours of curves by name; other curves have the standard colours in turn.
        legend_left: Whether the legend stands on the left, for rising curves.

    Raises:
        ValueError: X and y of a curve differ in length, or no point can be drawn.
    """
    points = {name: _drawable(name, *curve, log_y=log_y) for name, curve in curves.items()}
    flat = [point for curve in points.values() for point in curve if point is not None]
    if not flat:
        raise ValueError("there is no point to draw")
    vertical = _range([y for _, y in flat]) if y_range is None else y_range
    axes = _Axes(_range([x for x, _ in flat]), vertical, size, log_y=log_y)
    image = Image.new("RGB", size, "white")
    draw = ImageDraw.Draw(image)
    axes.draw(draw, title, x_label)
    chosen = {name: COLORS[index % len(COLORS)] for index, name in enumerate(points)}
    chosen.update(colors or {})
    for name, curve in points.items():
        _draw_curve(draw, [None if p is None else axes.pixel(*p) for p in curve], chosen[name])
    _draw_legend(draw, axes.box, [n for n in points if not n.startswith("_")], chosen, legend_left)
    return image


def scatter_plot(
    points: Curve,
    line: Curve,
    title: str = "",
    x_label: str = "",
    log_x: bool = False,
    x_names: Sequence[str] | None = None,
    size: tuple[int, int] = (640, 360),
) -> Image.Image:
    """Draws points, and a line through others such as their means.

    Args:
        points: The x and y of the points.
        line: The x and y of the corners of the line.
        title: The line above the image.
        x_label: The line below the image.
        log_x: Whether the horizontal axis is logarithmic.
        x_names: The labels below x = 0, 1, ... instead of numbers.
        size: (width, height) in pixels.

    Raises:
        ValueError: X and y differ in length, or no point can be drawn.
    """
    dots = _drawable("points", *points, log_x=log_x)
    through = _drawable("line", *line, log_x=log_x)
    flat = [point for point in (*dots, *through) if point is not None]
    if not flat:
        raise ValueError("there is no point to draw")
    horizontal = _wider(*_range([x for x, _ in flat]))
    vertical = _wider(*_range([y for _, y in flat]))
    axes = _Axes(horizontal, vertical, size, log_x=log_x, x_names=x_names)
    image = Image.new("RGB", size, "white")
    draw = ImageDraw.Draw(image)
    axes.draw(draw, title, x_label)
    _draw_curve(draw, [None if p is None else axes.pixel(*p) for p in through], COLORS[0])
    for point in dots:
        if point is not None:
            draw.circle(axes.pixel(*point), DOT, fill=COLORS[1], outline="white")
    return image


class _Axes:
    """The axes of a plot, which map values to pixels."""

    def __init__(
        self,
        x: tuple[float, float],
        y: tuple[float, float],
        size: tuple[int, int],
        log_y: bool = False,
        log_x: bool = False,
        x_names: Sequence[str] | None = None,
    ) -> None:
        self.x, self.y, self.log_y = x, y, log_y
        self.log_x, self.x_names = log_x, x_names
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
        for value, text in self._x_ticks():
            x, _ = self.pixel(value, self.y[0])
            draw.line((x, top, x, bottom), "#e4e4e4")
            draw.text((x, bottom + 6), text, "black", _font(), anchor="ma")
        for value in _ticks(*self.y):
            _, y = self.pixel(self.x[0], value)
            draw.line((left, y, right, y), "#e4e4e4")
            text = f"{10**value:.2g}" if self.log_y else f"{value:g}"
            draw.text((left - 6, y), text, "black", _font(), anchor="rm")
        draw.rectangle(self.box, outline="black")

    def _x_ticks(self) -> list[tuple[float, str]]:
        if self.x_names is not None:
            return [(float(index), name) for index, name in enumerate(self.x_names)]
        return [(v, f"{10**v:.2g}" if self.log_x else f"{v:g}") for v in _ticks(*self.x)]


def _drawable(
    name: str, x: Sequence[float], y: Sequence[float], log_y: bool = False, log_x: bool = False
) -> list[tuple[float, float] | None]:
    """Returns the points in the units of the axes, None where a curve is interrupted."""
    if len(x) != len(y):
        raise ValueError(f"curve {name} has {len(x)} x and {len(y)} y")
    points: list[tuple[float, float] | None] = []
    for here, value in zip(x, y, strict=True):
        fits = math.isfinite(here) and math.isfinite(value)
        if not fits or (log_y and value <= 0) or (log_x and here <= 0):
            points.append(None)
            continue
        across = math.log10(here) if log_x else here
        points.append((across, math.log10(value) if log_y else value))
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


def _draw_legend(
    draw: ImageDraw.ImageDraw,
    box: tuple[int, int, int, int],
    names: Sequence[str],
    colors: Mapping[str, str],
    left: bool,
) -> None:
    across, anchor = (box[0] + 6, "la") if left else (box[2] - 6, "ra")
    for index, name in enumerate(names):
        place = (across, box[1] + 4 + index * (FONT_SIZE + 3))
        draw.text(place, name, colors[name], _font(), anchor=anchor)


def _wider(low: float, high: float) -> tuple[float, float]:
    """Returns a range with room for dots at its ends."""
    room = 0.06 * (high - low)
    return low - room, high + room


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
