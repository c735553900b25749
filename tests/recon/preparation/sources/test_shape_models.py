from __future__ import annotations

import numpy as np
import pytest

from recon.datasets.categories import CATEGORIES
from recon.preparation.sources.shape_models import MODELS


def test_there_is_a_model_of_every_category() -> None:
    assert list(MODELS) == [category.name for category in CATEGORIES]


@pytest.mark.parametrize("name", MODELS)
def test_models_are_small_finite_coloured_and_various(name: str) -> None:
    looks = set()
    for seed in range(40):
        parts = MODELS[name](np.random.default_rng(seed))
        vertices = np.concatenate([solid.vertices for solid, _ in parts])
        faces = sum(len(solid.faces) for solid, _ in parts)
        assert np.isfinite(vertices).all()
        assert 20 < faces < 2000
        assert all(0 <= channel <= 1 for _, color in parts for channel in color)
        for solid, _ in parts:
            a, b, c = (solid.vertices[solid.faces[:, k]] for k in range(3))
            assert np.einsum("fk,fk->", a, np.cross(b, c)) > 0, "a part is inside out or flat"
        extent = np.ptp(vertices, axis=0)
        looks.add(tuple((extent / extent.max()).round(3)))
    assert len(looks) > 20


@pytest.mark.parametrize("name", ["airplane", "bench", "car", "rifle", "table", "vessel"])
def test_symmetric_things_stand_upright_along_their_axis(name: str) -> None:
    parts = MODELS[name](np.random.default_rng(1))
    vertices = np.concatenate([solid.vertices for solid, _ in parts])
    extent = np.ptp(vertices, axis=0)
    if name in ("car", "rifle", "vessel"):
        assert extent[0] > extent[2]  # longer than wide: front at +X
    if name in ("bench", "table"):
        assert extent[2] > extent[1]
