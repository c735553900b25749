from __future__ import annotations

import random
from typing import Any

import numpy as np
import pytest
import torch

from recon.geometry.cameras import shapenet_cameras
from recon.preparation.rendering.viewpoints import RandomViews, StandardViews

SIZE = (40, 60)
MATRIX = [[80.0, 0, 29.5], [0, 70.0, 24.5], [0, 0, 1]]


def rows(views: RandomViews, name: str = "a") -> torch.Tensor:
    return views.cameras(name, SIZE).orbit_parameters()


def test_standard_views_are_those_of_the_renderings() -> None:
    views = StandardViews()
    assert views.num_views == 24
    assert torch.equal(views.cameras("x", SIZE).rows(), shapenet_cameras(range(24)).rows())


def test_random_views_fill_their_ranges() -> None:
    views = RandomViews(500, (-30, 90), (-10, 40), (1.5, 3), fov=40)
    azimuth, elevation, distance, fov = rows(views).double().unbind(1)
    for values, low, high in ((azimuth, -30, 90), (elevation, -10, 40), (distance, 1.5, 3)):
        assert values.min() > low - 1e-3
        assert values.max() < high + 1e-3
        assert abs(float(values.mean()) - (low + high) / 2) < 0.05 * (high - low)
        assert values.std() > 0.25 * (high - low)
    assert fov.tolist() == pytest.approx([40] * 500, abs=1e-4)


def test_an_object_has_its_own_views_whatever_came_before() -> None:
    first = rows(RandomViews(6, distance=(1, 2)), "a")
    views = RandomViews(9, distance=(1, 2))
    random.seed(5)
    np.random.seed(5)  # noqa: NPY002
    torch.manual_seed(5)
    other = rows(views, "b")
    assert torch.equal(rows(views, "a")[:6], first)
    assert not (other[:6, :3] == first[:, :3]).any()
    assert not torch.equal(rows(RandomViews(6, distance=(1, 2), seed=1), "a"), first)


def test_a_camera_matrix_replaces_the_angle() -> None:
    for views in (StandardViews(MATRIX), RandomViews(5, intrinsics=MATRIX)):
        cameras = views.cameras("a", SIZE)
        origin = torch.zeros(len(cameras), 1, 3)
        ndc = cameras.project(origin, SIZE)[:, 0, :2]
        # The origin, in the axis of every camera, is seen at the principal point (29.5, 24.5),
        # which is the middle of the image's width and 5 pixels below that of its height.
        assert ndc.numpy() == pytest.approx(np.tile([0, -5 / 20], (len(cameras), 1)), abs=1e-6)
        to_the_right = cameras.rotation[:, :1] * 0.1
        moved = cameras.project(to_the_right, SIZE)[:, 0]
        assert (moved[:, 0] * moved[:, 2] * 20).tolist() == pytest.approx(
            [0.1 * 80] * len(cameras), rel=1e-4
        )
        assert views.config()["intrinsics"] == MATRIX


def test_configuration_tells_settings_apart() -> None:
    changes: list[dict[str, Any]] = [{}, {"count": 3}, {"azimuth": (0, 10)}, {"seed": 1},
        {"elevation": (0, 10)}, {"distance": (2, 3)}, {"fov": 40},
        {"intrinsics": MATRIX}]  # fmt: skip
    configs = [str(RandomViews(**{"count": 2, **change}).config()) for change in changes]
    configs += [str(StandardViews().config()), str(StandardViews(MATRIX).config())]
    assert len(set(configs)) == len(configs)
    assert configs[0] == str(RandomViews(2).config())


@pytest.mark.parametrize(
    ("change", "message"),
    [
        ({"count": 0}, "count must be >= 1, got 0"),
        ({"seed": -1}, "seed"),
        ({"azimuth": (10, 0)}, r"azimuth must be \(lowest, highest\), got \[10, 0\]"),
        ({"azimuth": (0, float("inf"))}, "azimuth"),
        ({"elevation": (0, 91)}, r"elevation must be \(lowest, highest\) within \[-90, 90\]"),
        ({"elevation": (0,)}, "elevation"),
        ({"distance": (0, 2)}, "distance must be > 0"),
        ({"distance": (float("nan"), 2)}, "distance"),
        ({"fov": 180}, "fov"),
        ({"intrinsics": [[1, 0], [0, 1]]}, "intrinsics must be 3 rows of 3 numbers"),
        ({"intrinsics": [[80, 1, 30], [0, 80, 20], [0, 0, 1]]}, "without skew"),
        ({"intrinsics": [[-80, 0, 30], [0, 80, 20], [0, 0, 1]]}, "focal must be > 0"),
    ],
)
def test_bad_settings_are_named(change: dict[str, Any], message: str) -> None:
    with pytest.raises(ValueError, match=message):
        RandomViews(**{"count": 2, **change})
