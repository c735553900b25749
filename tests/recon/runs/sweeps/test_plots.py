"""Images of sweeps."""

from __future__ import annotations

import numpy as np

from recon.runs.sweeps.plots import CURVES_SIZE, SIZE, curves_plot, parameters_plot
from recon.runs.sweeps.runs import SweptRun
from recon.visualization.contact_sheet import GAP
from recon.visualization.plots import COLORS


def run(lr: str, model: str, iou: float) -> SweptRun:
    rows = tuple({"step": float(step), "iou": iou * step} for step in (1, 2, 3))
    overrides = {"optimizer.lr": lr, "model": model}
    return SweptRun(f"{lr} {model}", overrides, {}, "finished", "", {"iou": iou}, 1.0, rows)


RUNS = [run("1e-4", "small", 0.2), run("1e-2", "small", 0.4), run("1e-2", "softras", 0.3)]


def has_color(image: np.ndarray, color: str) -> bool:
    rgb = [int(color[i : i + 2], 16) for i in (1, 3, 5)]
    return bool((image == rgb).all(-1).any())


def test_a_panel_for_each_parameter_numbers_and_words() -> None:
    image = parameters_plot(RUNS, ["optimizer.lr", "model"], "iou")
    assert image is not None
    assert image.size == (SIZE[0] + 2 * GAP, 2 * (SIZE[1] + GAP) + GAP)
    for half in np.array_split(np.asarray(image), 2):
        assert has_color(half, COLORS[1])  # dots
        assert has_color(half, COLORS[0])  # the line of means
    assert parameters_plot([], ["model"], "iou") is None
    assert parameters_plot(RUNS, [], "iou") is None


def test_groups_have_colours_and_those_beyond_are_grey() -> None:
    groups = [(f"group {i}", [run("1", "a", 0.1 * (i + 1))]) for i in range(len(COLORS) + 1)]
    image = curves_plot(groups, "iou")
    assert image is not None
    assert image.size == CURVES_SIZE
    pixels = np.asarray(image)
    assert all(has_color(pixels, color) for color in (*COLORS, "#cccccc"))
    assert curves_plot([("none", [SweptRun("x", {}, {}, "failed")])], "iou") is None
