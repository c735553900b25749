from __future__ import annotations

import pytest

from recon.datasets.storage.layout import Layout
from recon.metrics.onet import OccupancyNetworks
from recon.metrics.protocol import Measure, require_fields, require_surface_points


def test_fields_that_are_missing_are_named() -> None:
    preset = OccupancyNetworks()
    require_fields(preset, Layout((64, 64), 1, num_points=1, num_surface_points=1))
    message = "preset onet needs the field pointcloud, pointcloud_normals, the data has only images"
    with pytest.raises(ValueError, match=message):
        require_fields(preset, Layout((64, 64), 1, num_points=1))


def test_too_few_points_are_counted() -> None:
    layout = Layout((64, 64), 1, num_surface_points=10)
    require_surface_points(OccupancyNetworks(), layout, 10)
    with pytest.raises(ValueError, match=r"preset onet needs 11 points .* has 10 of each object"):
        require_surface_points(OccupancyNetworks(), layout, 11)


def test_a_measure_is_better_when_higher_unless_said() -> None:
    assert Measure("a", "A").higher_is_better
    assert Measure("a", "A").scale == 1
