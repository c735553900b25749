"""Drawings of fits show meshes in their colours, where silhouettes differ, and the object large."""

from __future__ import annotations

import numpy as np
import torch

from recon.fitting.drawing import (
    AXIS_COLORS,
    CROP_SIZE,
    Crop,
    difference_images,
    outlined,
    render_colors,
    with_axes,
)
from recon.geometry.cameras import Cameras
from recon.geometry.meshes import Mesh, icosphere
from recon.visualization.draw import GREY


def test_colours_are_drawn_as_they_are_and_grey_without_any() -> None:
    sphere, one = icosphere(1), torch.ones(1)
    cameras = Cameras.orbit(0 * one, 0 * one, 4 * one, 40 * one)
    red = Mesh(sphere.vertices, sphere.faces, torch.tensor([[0.9, 0.1, 0.2]]).repeat(80, 1))
    for mesh, color in ((red, (0.9, 0.1, 0.2)), (sphere, GREY)):
        rgba = render_colors(mesh, mesh.vertices[None], cameras, (16, 24))[0]
        assert rgba.shape == (4, 16, 24)
        assert torch.allclose(rgba[:3, 8, 12], torch.tensor(color), atol=1e-3)
        assert rgba[3, 8, 12] == 1
        assert rgba[3, 0, 0] < 1e-3


def test_differences_have_their_colours() -> None:
    alpha, mask = torch.zeros(1, 1, 4), torch.zeros(1, 1, 4)
    alpha[0, 0, 1:3], mask[0, 0, 2:] = 1, 1
    image = difference_images(alpha, mask)
    assert image[0, 3, 0].tolist() == [0, 1, 1, 1]
    blue, grey, red = image[0, :3, 0, 1:].T
    assert blue[2] == blue.max()
    assert red[0] == red.max()
    assert grey.max() - grey.min() < 0.1


def test_outlines_lie_on_the_border_of_a_silhouette() -> None:
    alpha = torch.zeros(9, 9)
    alpha[2:7, 2:7] = 1
    drawn = outlined(np.zeros((9, 9, 3), np.uint8), alpha).any(2)
    assert int(drawn.sum()) == 16
    assert not drawn[3:6, 3:6].any()


def test_axes_point_where_the_camera_sees_them() -> None:
    # From azimuth 0, +x is on the right, +y above, and +z leads away from the eye.
    image, cameras = np.full((64, 96, 3), 255, np.uint8), Cameras.orbit(0, 0, 4, 40)
    drawn = with_axes(image, cameras, torch.zeros(3), torch.eye(3))
    assert (image == 255).all()
    places = [np.argwhere((drawn == color).all(-1)) for color in AXIS_COLORS]
    x, y = places[0], places[1]
    assert x[:, 1].max() > 64
    assert abs(np.median(x[:, 0]) - 32) < 4
    assert y[:, 0].min() < 18
    assert len(places[2]) < len(x)
    # Beyond the pole the image is upside down.
    over = with_axes(image, Cameras.orbit(0, 170, 4, 40), torch.zeros(3), torch.eye(3))
    assert np.argwhere((over == AXIS_COLORS[1]).all(-1))[:, 0].max() > 46


def test_a_crop_holds_the_object() -> None:
    masks = torch.zeros(2, 64, 64)
    masks[0, 10:20, 30:50], masks[1, 12:22, 32:52] = 1, 1
    crop = Crop.of_object(masks)
    assert crop.top <= 10 / 64
    assert crop.bottom >= 22 / 64
    assert crop.left <= 30 / 64
    assert crop.right >= 52 / 64
    assert crop.size[0] == CROP_SIZE
    assert crop.cell(torch.zeros(4, 64, 64)).shape == (crop.size[1], CROP_SIZE, 3)
    assert Crop.of_object(masks * 0).size == (CROP_SIZE, CROP_SIZE)
