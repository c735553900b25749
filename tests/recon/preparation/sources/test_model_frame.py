from __future__ import annotations

import numpy as np
import pytest
import torch

from recon.geometry.cameras import Cameras
from recon.preparation.sources.model_frame import NORMALISED, ModelFrame


def test_projections_stay_as_they_are() -> None:
    rng = np.random.default_rng(0)
    rotation = np.linalg.qr(rng.normal(size=(3, 3)))[0]
    own = Cameras(
        torch.from_numpy(rotation)[None],
        torch.tensor([[0.1, -0.2, 9.0]], dtype=torch.float64),
        torch.tensor([[2.0, 2.1]], dtype=torch.float64),
        torch.tensor([[0.05, -0.1]], dtype=torch.float64),
    )
    frame = ModelFrame((1.5, -0.5, 0.25), 2.5)
    points = rng.normal(size=(20, 3))
    before = own.project(torch.from_numpy(points)[None], (48, 64))
    world = torch.from_numpy(frame.positions(points)).double()
    after = frame.cameras(own).project(world[None], (48, 64))
    assert torch.allclose(before[..., :2], after[..., :2], atol=1e-5)
    assert torch.allclose(before[..., 2], after[..., 2] * 2.5, atol=1e-5)


def test_the_cube_becomes_that_of_the_world() -> None:
    frame = ModelFrame((1.0, 2.0, 3.0), 2.0)
    assert frame.positions(np.array([2.0, 2.0, 3.0])).tolist() == [0, 0, -0.5]  # front: -Z
    assert frame.positions(np.array([1.0, 3.0, 2.0])).tolist() == [0.5, 0.5, 0]
    assert NORMALISED.positions(np.array([0.5, 0.25, -0.125])).tolist() == [0.125, 0.25, -0.5]


@pytest.mark.parametrize(
    ("center", "scale"), [((0, np.nan, 0), 1), ((0, 0, 0), 0), ((0, 0, 0), -1)]
)
def test_impossible_frames_are_refused(center, scale) -> None:
    with pytest.raises(ValueError, match="finite center and a scale > 0"):
        ModelFrame(center, scale)
