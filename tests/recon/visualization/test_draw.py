from __future__ import annotations

from pathlib import Path

import numpy as np
import pytest
import torch
from PIL import Image

from recon.geometry.cameras import shapenet_cameras
from recon.geometry.meshes import Mesh, icosphere
from recon.visualization.draw import GREY, draw_mesh, save_png, to_pixels

BALL = Mesh(icosphere(2).vertices * 0.4, icosphere(2).faces)


def test_colors_are_shown_as_they_are_on_white() -> None:
    color = torch.tensor([0.2, 0.6, 0.9])
    cameras = shapenet_cameras([0, 7])
    for colors in (color.expand(162, 3), color.expand(320, 4, 3)):
        images = draw_mesh(BALL, cameras, 32, colors)
        assert images.shape == (2, 3, 32, 32)
        torch.testing.assert_close(images[:, :, 16, 16], color.expand(2, 3))
        assert bool((images[:, :, 0, 0] == 1).all())


def test_the_side_towards_the_viewer_is_seen() -> None:
    """The half with z < 0 is red; view 0 looks from -z and view 12 from +z."""
    red = (BALL.vertices[:, 2] < 0).float()
    colors = torch.stack((red, torch.zeros(162), 1 - red), dim=1)
    front, back = draw_mesh(BALL, shapenet_cameras([0, 12]), 32, colors)[:, :, 20, 16]
    assert front.tolist() == [1, 0, 0]
    assert back.tolist() == [0, 0, 1]


def test_without_colors_a_mesh_is_grey_with_light_and_dark_sides() -> None:
    image = draw_mesh(BALL, shapenet_cameras([3]), 64)[0]
    inside = (image < 0.9).all(0)
    assert int(inside.sum()) > 500
    brightness = image[0][inside]
    assert float(brightness.max() - brightness.min()) > 0.1
    hues = image[:, inside] / torch.tensor(GREY)[:, None]
    assert float((hues - hues[:1]).abs().max()) < 0.35  # only mixed with white at the outline


def test_pixels_are_bytes_with_channels_last() -> None:
    pixels = to_pixels(torch.tensor([0.0, 0.5, 2.0])[:, None, None].expand(3, 4, 5))
    assert pixels.shape == (4, 5, 3)
    assert pixels.dtype == np.uint8
    assert pixels[0, 0].tolist() == [0, 128, 255]


def test_colors_of_another_mesh_are_refused() -> None:
    with pytest.raises(ValueError, match=r"colors must be \[162, 3\] or \[320, R \* R, 3\]"):
        draw_mesh(BALL, shapenet_cameras([0]), 8, torch.zeros(3, 3))


def test_an_image_is_written_whole_or_not_at_all(tmp_path: Path) -> None:
    image = Image.new("RGB", (3, 2), (10, 20, 30))
    for optimize in (True, False):
        save_png(tmp_path / "a.png", image, optimize)
        with Image.open(tmp_path / "a.png") as read:
            assert (read.format, read.size, read.getpixel((2, 1))) == ("PNG", (3, 2), (10, 20, 30))
    with pytest.raises(OSError, match="none"):
        save_png(tmp_path / "none" / "a.png", image)
