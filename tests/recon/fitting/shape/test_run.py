"""Which views are held out."""

from __future__ import annotations

from pathlib import Path

import pytest
import torch

from recon.fitting.run import FitFolder
from recon.fitting.shape.fitter import Cube
from recon.fitting.shape.run import ShapeRun, split_views
from recon.fitting.shape.view_files import Views
from recon.geometry.cameras import shapenet_cameras


def test_views_held_out_are_spread_evenly() -> None:
    held, seen = split_views(120, 12)
    assert held == list(range(5, 120, 10))
    assert sorted(held + seen) == list(range(120))
    assert split_views(5, 0) == ([], [0, 1, 2, 3, 4])
    assert split_views(5, 4)[1] != []
    assert split_views(3, 3, every=True) == ([0, 1, 2], [])


@pytest.mark.parametrize("holdout", [-1, 5, 6])
def test_some_views_must_be_left(holdout: int) -> None:
    with pytest.raises(ValueError, match="leave some of the 5 views"):
        split_views(5, holdout)


def test_images_without_an_object_are_refused(tmp_path: Path) -> None:
    images = torch.zeros(4, 4, 8, 8)
    images[2, 3] = 1  # held out
    views = Views(images, shapenet_cameras(range(4)))
    with pytest.raises(ValueError, match="to fit show nothing"):
        ShapeRun(FitFolder(tmp_path / "run", {}), views, Cube(), 1)
    assert not (tmp_path / "run").exists()
    ShapeRun(FitFolder(tmp_path / "run", {}), views, Cube(), 0)


@pytest.mark.parametrize(("count", "held"), [(120, 12), (24, 4), (6, 1), (5, 0), (1, 0)])
def test_few_views_are_all_fitted(tmp_path: Path, count: int, held: int) -> None:
    views = Views(torch.ones(count, 4, 4, 4), shapenet_cameras([0] * count))
    run = ShapeRun(FitFolder(tmp_path, {}), views, Cube())
    assert len(run.seen) == count - held
    assert (0 if run.held is None else len(run.held)) == held


def test_frames_are_named(tmp_path: Path) -> None:
    views = Views(torch.ones(2, 4, 4, 4), shapenet_cameras([0, 1]))
    with pytest.raises(ValueError, match="output_frame must be one of model, cameras, got 'world'"):
        ShapeRun(FitFolder(tmp_path, {}), views, Cube(), frame="world")
