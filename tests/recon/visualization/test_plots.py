"""Curves are where their values are."""

from __future__ import annotations

import numpy as np
import pytest
from PIL import Image

from recon.visualization.plots import COLORS, MARGIN, _ticks, line_plot

SIZE = (320, 200)


def marked(image: Image.Image, color: str) -> np.ndarray:
    """Rows and columns [N, 2] of the pixels in a colour, away from the legend."""
    wanted = np.array([int(color[i : i + 2], 16) for i in (1, 3, 5)])
    return np.argwhere((np.asarray(image) == wanted).all(-1))


def test_a_rising_curve_goes_from_corner_to_corner() -> None:
    image = line_plot({"": ([0, 10], [0, 5])}, size=SIZE)
    assert image.size == SIZE
    where = marked(image, COLORS[0])
    assert where[:, 1].min() == pytest.approx(MARGIN[0], abs=2)
    assert where[:, 1].max() == pytest.approx(SIZE[0] - MARGIN[2], abs=2)
    left = where[where[:, 1] < MARGIN[0] + 10]
    assert left[:, 0].min() > SIZE[1] - MARGIN[3] - 15


def test_a_logarithmic_axis_leaves_out_what_it_cannot_show() -> None:
    steps = [0, 1, 2, 3, 4]
    image = line_plot({"": (steps, [1.0, 0.0, float("nan"), 0.1, 0.01])}, log_y=True, size=SIZE)
    columns = marked(image, COLORS[0])[:, 1]
    third = MARGIN[0] + 0.75 * (SIZE[0] - MARGIN[0] - MARGIN[2])
    assert not ((columns > MARGIN[0] + 5) & (columns < third - 5)).any()
    assert (columns > third + 5).any()


def test_a_constant_curve_and_a_point_are_drawn() -> None:
    assert len(marked(line_plot({"": ([0, 1], [3, 3])}), COLORS[0]))
    line_plot({"a": ([1], [1]), "b": ([1], [2])}, "title", "x")


@pytest.mark.parametrize(
    ("low", "high"), [(0, 1), (-2e-5, 3e-5), (0, 2000), (-4.2, 0.3), (99.9, 100.1)]
)
def test_ticks_are_round_and_inside(low: float, high: float) -> None:
    ticks = _ticks(low, high)
    assert 3 <= len(ticks) <= 9
    assert low <= min(ticks) + 1e-9
    assert max(ticks) <= high + 1e-9


def test_bad_curves() -> None:
    with pytest.raises(ValueError, match="2 x and 1 y"):
        line_plot({"a": ([0, 1], [1])})
    with pytest.raises(ValueError, match="no point"):
        line_plot({"a": ([0, 1], [0, -1])}, log_y=True)
