"""What is written about a fit can be read back."""

from __future__ import annotations

import csv
from pathlib import Path

import imageio.v3 as iio
import numpy as np
import torch
from PIL import Image

from recon.fitting.fit import fit
from recon.fitting.history import Animation, joined_history, on_white, write_history


def test_history_is_written_as_numbers_and_curves(tmp_path: Path) -> None:
    history = {"a": torch.tensor([[1.0, 3.0], [0.5, 0.5]]), "total": torch.tensor([2.0, 0.5])}
    write_history(tmp_path, history)
    with open(tmp_path / "history.csv", newline="") as file:
        assert list(csv.reader(file)) == [
            ["step", "a", "total"],
            ["0", "2", "2"],
            ["1", "0.5", "0.5"],
        ]
    assert Image.open(tmp_path / "history.png").size == (640, 360)


def test_an_animation_is_a_gif_which_repeats(tmp_path: Path) -> None:
    animation = Animation(every=5)
    assert [step for step in range(12) if animation.wants(step)] == [0, 5, 10]
    animation.save(tmp_path / "none.gif")
    assert not list(tmp_path.iterdir())
    for value in (0, 120, 240):
        animation.add(np.full((8, 10, 3), value, np.uint8))
    animation.save(tmp_path / "x.gif")
    frames = iio.imread(tmp_path / "x.gif")
    assert frames.shape == (3, 8, 10, 3)
    assert np.abs(frames.astype(int)[:, 0, 0, 0] - [0, 120, 240]).max() <= 4
    with Image.open(tmp_path / "x.gif") as image:
        assert image.info["loop"] == 0


def test_histories_of_stages_are_joined() -> None:
    x = torch.zeros(1)
    first = fit({"x": x}, lambda step: {"a": x.sum() + step}, 1)
    second = fit({"x": x}, lambda step: {"a": x.sum(), "b": x.sum() * 0 + 7}, 2)
    joined = joined_history([first, second])
    assert list(joined) == ["a", "total", "b"]
    assert joined["b"].isnan().tolist() == [True, True, False, False, False]
    assert torch.equal(joined["total"][:2], first.history["a"])


def test_transparent_is_white() -> None:
    rgba = torch.tensor([1.0, 0.0, 0.0, 0.5])[:, None, None].expand(4, 2, 3)
    assert on_white(rgba).shape == (2, 3, 3)
    assert on_white(rgba)[0, 0].tolist() == [255, 128, 128]
