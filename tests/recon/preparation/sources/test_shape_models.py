from __future__ import annotations

import numpy as np
import pytest

from recon.datasets.categories import CATEGORIES
from recon.preparation.sources.shape_models import (
    MODELS,
    aircraft,
    devices,
    lamps,
    rifles,
    road,
    seats,
    ships,
    tables,
)
from recon.preparation.sources.shape_models.parts import Model, Parts
from recon.preparation.sources.solids import Solid

STYLES = {
    "airplane": aircraft.AIRPLANES,
    "bench": seats.BENCHES,
    "cabinet": tables.CABINETS,
    "car": road.CARS,
    "chair": seats.CHAIRS,
    "display": devices.DISPLAYS,
    "lamp": lamps.LAMPS,
    "speaker": devices.SPEAKERS,
    "rifle": rifles.RIFLES,
    "sofa": seats.SOFAS,
    "table": tables.TABLES,
    "telephone": devices.TELEPHONES,
    "vessel": ships.VESSELS,
}
EACH = [
    pytest.param(name, model, id=f"{name}-{model.__name__.strip('_')}")
    for name, styles in STYLES.items()
    for _, model in styles
]
SEEDS = range(15)
# Longer along x than along z, front and rear being the ends; wider along z than along x.
LONG = ("car", "rifle", "vessel")
WIDE = ("sofa", "display", "bench")
DEEP = ("_tube_display", "_round_display")  # with a tube: about as deep as wide


def is_closed(solid: Solid) -> bool:
    """Tell whether every directed edge is there once, and once the other way."""
    sides = np.concatenate([solid.faces[:, [0, 1]], solid.faces[:, [1, 2]], solid.faces[:, [2, 0]]])
    there = {tuple(side) for side in sides.tolist()}
    return len(there) == len(sides) and there == {(b, a) for a, b in there}


def extent(parts: Parts) -> np.ndarray:
    return np.ptp(np.concatenate([solid.vertices for solid, _ in parts]), axis=0)


def test_there_is_a_model_of_every_category_and_several_styles_of_each() -> None:
    assert list(MODELS) == list(STYLES) == [category.name for category in CATEGORIES]
    for styles in STYLES.values():
        assert len(styles) >= 4
        assert sum(weight for weight, _ in styles) == pytest.approx(1.0)


@pytest.mark.parametrize(("name", "model"), EACH)
def test_every_style_is_of_closed_coloured_solids_wound_outward(name: str, model: Model) -> None:
    for seed in SEEDS:
        parts = model(np.random.default_rng(seed))
        assert 10 < sum(len(solid.faces) for solid, _ in parts) < 4000
        for solid, color in parts:
            assert np.isfinite(solid.vertices).all()
            assert is_closed(solid)
            assert np.linalg.det(solid.vertices[solid.faces]).sum() > 0, "inside out or flat"
            assert all(0 <= channel <= 1 for channel in color)


@pytest.mark.parametrize(("name", "model"), EACH)
def test_every_style_varies_and_has_the_proportions_of_its_category(
    name: str, model: Model
) -> None:
    extents = np.array([extent(model(np.random.default_rng(seed))) for seed in SEEDS])
    shares = extents / extents.max(axis=1, keepdims=True)
    assert len(np.unique(shares.round(3), axis=0)) > 10
    middle = np.median(shares, axis=0)
    if name in LONG:
        assert middle[0] > middle[2]
    if name in WIDE and model.__name__ not in DEEP:
        assert middle[2] > middle[0]
    # Nothing is a sheet: even a screen has some depth.
    assert middle.min() > 0.01


@pytest.mark.parametrize("name", ["airplane", "car", "rifle", "vessel"])
def test_what_flies_drives_or_floats_is_nearly_symmetric(name: str) -> None:
    for seed in SEEDS:
        parts = MODELS[name](np.random.default_rng(seed))
        vertices = np.concatenate([solid.vertices for solid, _ in parts])
        low, high = vertices[:, 2].min(), vertices[:, 2].max()
        # A lever or a cargo may stand out at one side, or a propeller be turned.
        assert abs(low + high) < 0.45 * (high - low)


@pytest.mark.parametrize("name", ["chair", "table", "cabinet", "bench", "sofa", "car"])
def test_furniture_and_cars_stand_on_the_ground(name: str) -> None:
    for seed in SEEDS:
        parts = MODELS[name](np.random.default_rng(seed))
        low = min(float(solid.vertices[:, 1].min()) for solid, _ in parts)
        assert abs(low) < 0.05 * extent(parts).max()


@pytest.mark.parametrize(
    ("name", "axis", "low", "high"),
    [
        ("rifle", 1, 0.2, 0.4),
        ("rifle", 2, 0.07, 0.25),
        ("lamp", 0, 0.2, 0.7),
        ("chair", 0, 0.5, 0.8),
    ],
)
def test_typical_proportions_are_those_of_real_models(
    name: str, axis: int, low: float, high: float
) -> None:
    extents = np.array([extent(MODELS[name](np.random.default_rng(seed))) for seed in range(80)])
    shares = extents[:, axis] / extents.max(axis=1)
    assert low < np.median(shares) < high
    assert np.quantile(shares, 0.9) > 1.4 * np.quantile(shares, 0.1)


@pytest.mark.parametrize("name", MODELS)
def test_a_model_draws_each_of_its_styles(name: str, monkeypatch: pytest.MonkeyPatch) -> None:
    drawn: set[str] = set()
    module = {
        "airplane": aircraft, "bench": seats, "cabinet": tables, "car": road, "chair": seats,
        "display": devices, "lamp": lamps, "speaker": devices, "rifle": rifles, "sofa": seats,
        "table": tables, "telephone": devices, "vessel": ships,
    }[name]  # fmt: skip

    def named(model: Model) -> Model:
        def note(rng: np.random.Generator) -> Parts:
            drawn.add(model.__name__)
            return []

        return note

    noted = tuple((weight, named(model)) for weight, model in STYLES[name])
    attribute = next(key for key, value in vars(module).items() if value is STYLES[name])
    monkeypatch.setattr(module, attribute, noted)
    for seed in range(400):
        MODELS[name](np.random.default_rng(seed))
    assert drawn == {model.__name__ for _, model in STYLES[name]}
