"""Animations can be read back and repeat."""

from __future__ import annotations

from pathlib import Path

import imageio.v3 as iio
import numpy as np
import pytest
from PIL import Image

from recon.visualization.animation import save_animation


def test_an_animation_is_a_gif_which_repeats(tmp_path: Path) -> None:
    save_animation(tmp_path / "none.gif", [])
    assert not list(tmp_path.iterdir())
    frames = [np.full((8, 10, 3), value, np.uint8) for value in (0, 120, 240)]
    save_animation(tmp_path / "x.gif", frames, seconds=3.0, rest=1.5)
    read = iio.imread(tmp_path / "x.gif")
    assert read.shape == (3, 8, 10, 3)
    assert np.abs(read.astype(int)[:, 0, 0, 0] - [0, 120, 240]).max() <= 4
    with Image.open(tmp_path / "x.gif") as image:
        assert image.info["loop"] == 0
        assert image.info["duration"] == 1000
        image.seek(2)
        assert image.info["duration"] == 1500


def test_a_file_that_cannot_be_written_is_named(tmp_path: Path) -> None:
    with pytest.raises(OSError, match="absent"):
        save_animation(tmp_path / "absent" / "x.gif", [np.zeros((2, 2, 3), np.uint8)])
