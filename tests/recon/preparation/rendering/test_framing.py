from __future__ import annotations

import numpy as np
import pytest
import torch

from recon.geometry.cameras import Cameras, shapenet_cameras
from recon.preparation.rendering.framing import MARGIN, fit_scale, touches_border
from recon.preparation.rendering.viewpoints import RandomViews

SIZE = (30, 40)
MATRIX = [[50.0, 0, 25], [0, 60.0, 12], [0, 0, 1]]


def points(count: int = 200, side: float = 1.0) -> torch.Tensor:
    return (torch.rand(count, 3, generator=torch.Generator().manual_seed(0)) - 0.5) * side


def farthest(vertices: torch.Tensor, cameras: Cameras) -> float:
    """How near any projection comes to the border of the images, in pixels."""
    ndc = cameras.project(vertices.expand(len(cameras), -1, -1), SIZE)
    assert ndc[..., 2].min() > 0
    half = torch.tensor([SIZE[1], SIZE[0]]) / min(SIZE)
    return float((half - ndc[..., :2].abs()).min() * min(SIZE) / 2)


@pytest.mark.parametrize("size", [(4, 4), (6, 5)])
def test_only_the_outermost_pixels_count(size: tuple[int, int]) -> None:
    images = np.zeros((2, 4, *size), np.uint8)
    images[:, :3] = 9
    images[:, 3, 1:-1, 1:-1] = 255
    assert not touches_border(images)
    for row, column in ((0, 2), (-1, 1), (2, 0), (1, -1)):
        changed = images.copy()
        changed[1, 3, row, column] = 1
        assert touches_border(changed)


@pytest.mark.parametrize(
    "cameras",
    [
        shapenet_cameras(range(24)),
        RandomViews(20, elevation=(-60, 80), distance=(1.2, 3)).cameras("a", SIZE),
        RandomViews(20, distance=(1.5, 3), intrinsics=MATRIX).cameras("a", SIZE),
    ],
)
def test_the_fitted_object_comes_as_near_to_the_border_as_it_may(cameras: Cameras) -> None:
    vertices = points(side=2.0)
    scale = fit_scale(vertices, cameras, SIZE)
    assert 0.1 < scale < 1
    assert farthest(vertices * scale, cameras) == pytest.approx(MARGIN, abs=1e-3)


def test_an_object_inside_stays_as_it_is() -> None:
    assert fit_scale(points(side=0.4), shapenet_cameras(range(24)), SIZE) == 1


def test_an_object_around_the_eye_is_brought_before_it() -> None:
    cameras = shapenet_cameras([0, 9])
    vertices = points(side=9.0)
    assert farthest(vertices * fit_scale(vertices, cameras, SIZE), cameras) > MARGIN - 1e-3


def test_a_camera_that_looks_away_is_named() -> None:
    cameras = RandomViews(3, intrinsics=[[50, 0, 90], [0, 50, 15], [0, 0, 1]]).cameras("a", SIZE)
    with pytest.raises(ValueError, match="view 0 does not show its centre"):
        fit_scale(points(), cameras, SIZE)
