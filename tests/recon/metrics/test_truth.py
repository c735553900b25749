from __future__ import annotations

from pathlib import Path

import numpy as np
import pytest
import torch

from recon.datasets.multiview import MultiViewDataset
from recon.metrics.truth import Truth


def test_what_is_there_is_returned_and_what_is_not_is_named() -> None:
    points = torch.zeros(4, 3)
    truth = Truth(points=points)
    assert truth.require("points") is points
    with pytest.raises(ValueError, match="truth must have occupancies, got None"):
        truth.require("occupancies")


def test_the_true_surface_in_float64() -> None:
    points, normals = torch.rand(5, 3).half(), torch.rand(5, 3)
    samples = Truth(surface_points=points, surface_normals=normals).surface()
    assert samples.points.dtype == samples.normals.dtype == np.float64
    assert np.array_equal(samples.points, points.numpy())
    with pytest.raises(ValueError, match="truth must have surface_normals"):
        Truth(surface_points=points).surface()


def test_only_what_is_asked_for_is_read(shapes_file: Path) -> None:
    data = MultiViewDataset(shapes_file, "test")
    assert set(vars(Truth.read(data, 0, [])).values()) == {None}
    with pytest.raises(ValueError, match="has no field pointcloud"):
        Truth.read(data, 0, ["pointcloud"])
