"""Scores of shapes whose outlines are known, and images that show what they should."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import pytest
import torch

from recon.datasets.multiview import MultiViewDataset
from recon.fitting.drawing import CROP_SIZE
from recon.fitting.shape.fitter import ColoredMesh, Cube
from recon.fitting.shape.scores import (
    animation_frame,
    color_error,
    comparison,
    coverage,
    hull_iou_to_truth,
    render,
    score_silhouettes,
    voxel_iou_to_truth,
)
from recon.fitting.shape.view_files import Views, views_of_object
from recon.geometry.cameras import Cameras
from recon.geometry.meshes import icosphere

CUBE = Cube()


def ball(radius: float, color: float | None = None) -> ColoredMesh:
    sphere = icosphere(3)
    colors = None if color is None else torch.full_like(sphere.vertices, color)
    return ColoredMesh(sphere.vertices * radius, sphere.faces, colors)


def cameras(count: int = 2) -> Cameras:
    ones = torch.ones(count)
    return Cameras.orbit(90 * torch.arange(float(count)), 20 * ones, 2.5 * ones, 30 * ones)


def views_of(shape: ColoredMesh, size: int = 32) -> Views:
    images = torch.zeros(2, 4, size, size)
    images[:, 3] = coverage(shape, Views(images, cameras()))
    images[:, :3] = 0.5
    return Views(images, cameras())


def test_a_shape_agrees_with_its_own_views() -> None:
    views = views_of(ball(0.3))
    score = score_silhouettes(ball(0.3), views)
    assert score.hard.tolist() == [1, 1]
    assert score.area.tolist() == [1, 1]
    assert score.summary() == {
        "views": 2,
        "iou": 1.0,
        "least_iou": 1.0,
        "area_iou": 1.0,
        "least_area_iou": 1.0,
    }


def test_discs_of_two_sizes_have_the_iou_of_their_areas() -> None:
    score = score_silhouettes(ball(0.3), views_of(ball(0.4), 64))
    # The outline of a ball at distance d is tan(asin(r / d)), which is nearly r / d.
    radii = [np.tan(np.arcsin(r / 2.5)) for r in (0.3, 0.4)]
    assert score.area.tolist() == pytest.approx([(radii[0] / radii[1]) ** 2] * 2, abs=0.01)
    assert score.hard.tolist() == pytest.approx([(radii[0] / radii[1]) ** 2] * 2, abs=0.03)


def test_areas_are_exact_to_a_sample() -> None:
    alpha = coverage(ball(0.3), views_of(ball(0.3)))
    radius = np.tan(np.arcsin(0.3 / 2.5)) / np.tan(np.deg2rad(15))
    assert alpha.mean((1, 2)).tolist() == pytest.approx([np.pi * radius**2 / 4] * 2, rel=0.01)
    assert ((alpha > 0) & (alpha < 1)).any()


def test_empty_views_and_empty_shapes_agree() -> None:
    shape = ball(0.3)
    away = ColoredMesh(shape.vertices + torch.tensor([0.0, 50.0, 0.0]), shape.faces)
    empty = Views(torch.zeros(2, 4, 8, 8), cameras())
    assert score_silhouettes(away, empty).hard.tolist() == [1, 1]
    assert score_silhouettes(shape, empty).hard.tolist() == [0, 0]


def test_colours_are_compared_inside() -> None:
    views = views_of(ball(0.3))
    assert color_error(ball(0.3), views, CUBE) is None
    assert color_error(ball(0.3, 0.5), views, CUBE) == pytest.approx(0, abs=0.02)
    assert color_error(ball(0.3, 0.8), views, CUBE) == pytest.approx(0.3, abs=0.02)


def test_voxels_of_a_shape_and_of_a_hull(shapes_file: Path) -> None:
    data = MultiViewDataset(shapes_file)
    views = views_of_object(data, data.ids[0])
    x, y, z = data.voxels(0).nonzero(as_tuple=True)
    half = torch.stack([(axis.max() - axis.min() + 1) / 64 for axis in (x, y, z)])
    shape = ball(1.0)
    assert (
        voxel_iou_to_truth(ColoredMesh(shape.vertices * half, shape.faces), data, data.ids[0]) > 0.8
    )
    hull = hull_iou_to_truth(views, data, data.ids[0])
    assert 0.5 < hull < 1


def test_sheets_and_frames_show_the_object() -> None:
    shape, views = ball(0.3, 0.8), views_of(ball(0.3))
    sheet = np.asarray(comparison(shape, views, CUBE))
    assert sheet.shape[1] > 6 * CROP_SIZE
    frame = animation_frame(shape, views, CUBE)
    assert frame.shape == (2 * CROP_SIZE, 2 * CROP_SIZE, 3)
    top, bottom = (
        frame[CROP_SIZE // 2, CROP_SIZE // 2],
        frame[CROP_SIZE + CROP_SIZE // 2, CROP_SIZE // 2],
    )
    assert np.abs(top.astype(int) - round(255 * 0.8)).max() < 8
    assert np.abs(bottom.astype(int) - round(255 * 0.5)).max() < 8


def test_rendering_may_be_larger() -> None:
    assert render(ball(0.3), cameras(), (8, 12), CUBE, times=2).shape == (2, 4, 16, 24)
