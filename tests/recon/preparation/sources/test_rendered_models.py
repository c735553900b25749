"""What is stored of models that come with renderings."""

from __future__ import annotations

import numpy as np
import pytest

from recon.geometry.cameras import shapenet_cameras
from recon.preparation.sources.model_frame import NORMALISED
from recon.preparation.sources.rendered_models import RESOLUTION, VIEWS, RenderedModels


def stored(with_voxels: bool = False, aspect: str = "pad") -> RenderedModels:
    return RenderedModels((8, 8), aspect, with_voxels, None)


def test_arrays_are_those_of_the_layout() -> None:
    rgba = np.full((VIEWS, 4, 16, 16), 255, np.uint8)
    voxels = np.zeros((RESOLUTION,) * 3, np.bool_)
    voxels[12:20, 12:20, 12:20] = True
    for models, grid in ((stored(), None), (stored(with_voxels=True), voxels)):
        arrays = models.arrays("chair", rgba, shapenet_cameras(range(VIEWS)), grid)
        assert models.point_arrays("03001627", "chair", NORMALISED) == {}
        models.layout().check(arrays)
        assert arrays["images"].shape == (VIEWS, 4, 8, 8)
        assert (f"voxels_{RESOLUTION}" in arrays) == models.with_voxels


def test_voxels_beside_the_object_are_refused() -> None:
    rgba = np.zeros((VIEWS, 4, 16, 16), np.uint8)
    voxels = np.ones((RESOLUTION,) * 3, np.bool_)
    with pytest.raises(ValueError, match="chair: voxels and images disagree: 0%"):
        stored(with_voxels=True).arrays("chair", rgba, shapenet_cameras(range(VIEWS)), voxels)


def test_config_tells_what_changes_the_arrays() -> None:
    assert stored().config() == {"image_size": [8, 8], "aspect": "pad", "points": None}
    assert stored(aspect="crop").config() != stored().config()
    with pytest.raises(ValueError, match=r"aspect must be one of .*, got 'stretch'"):
        stored(aspect="stretch")
