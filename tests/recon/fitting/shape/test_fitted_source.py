from __future__ import annotations

import pickle
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import torch

from recon.datasets.multiview import MultiViewDataset
from recon.fitting.shape import fitted_source
from recon.fitting.shape.fitted_source import SHARES, FittedSource
from recon.fitting.shape.fitter import ShapeStage
from recon.geometry.frames import world_vertices
from recon.geometry.voxels import voxelize_mesh
from recon.metrics import voxel_iou
from recon.preparation.sources.interface import MeshSource

# Nine training objects of three categories, three each; see `SHAPES` of tests/conftest.py.
OBJECTS = 9


@pytest.fixture
def source(shapes_file: Path, tmp_path: Path) -> FittedSource:
    return FittedSource(shapes_file, blends=2, cache_dir=tmp_path / "fits")


@pytest.fixture
def rough(source: FittedSource, monkeypatch: pytest.MonkeyPatch) -> FittedSource:
    """The source with fits of two steps, whose colours are already those of the objects."""
    monkeypatch.setattr(fitted_source, "STAGES", (ShapeStage(steps=2),))
    return source


def voxels_of(source: FittedSource, object_id: str, side: float) -> torch.Tensor:
    """Voxels [1, 32, 32, 32] of a mesh of the source, whose longest side becomes `side`."""
    (entry,) = [entry for entry in source.objects() if entry.id == object_id]
    mesh = source.load(entry)
    vertices = world_vertices(torch.from_numpy(mesh.vertices).float()) * side
    return voxelize_mesh(vertices[None], torch.from_numpy(mesh.faces).flip(1))


def test_training_objects_alone_are_fitted_and_blended(source: FittedSource) -> None:
    assert isinstance(source, MeshSource)
    objects = source.objects()
    assert len(objects) == len({entry.id for entry in objects}) == OBJECTS * 3
    assert {entry.split for entry in objects} == {"train"}
    assert all(entry.id.startswith("train-") for entry in objects)
    assert [entry.id for entry in objects[:3]] == [
        "train-airplane-0-fitted",
        "train-airplane-0-blended-0-001",
        "train-airplane-0-blended-0-002",
    ]


def test_a_fit_has_the_shape_and_the_color_of_its_object(
    source: FittedSource, shapes_file: Path
) -> None:
    data = MultiViewDataset(shapes_file, "train")
    for name in ("airplane", "lamp"):
        truth = data.voxels(data.ids.index(f"train-{name}-0"))[None]
        occupied = truth[0].nonzero()
        side = float((occupied.max(0).values - occupied.min(0).values + 1).max()) / truth.shape[-1]
        assert float(voxel_iou(voxels_of(source, f"train-{name}-0-fitted", side), truth)) > 0.75
    (entry,) = [e for e in source.objects() if e.id == "train-lamp-0-fitted"]
    mesh = source.load(entry)
    rgba = data.images(data.ids.index("train-lamp-0"), [0])[0].float() / 255
    color = rgba[:3, rgba[3] == 1].mean(dim=1)
    assert np.abs(mesh.face_rgba[:, :3].mean(axis=0) - color.numpy()).max() < 0.05
    low, high = mesh.vertices.min(axis=0), mesh.vertices.max(axis=0)
    assert np.allclose(low, -high)
    assert (high - low).max() == pytest.approx(1)


def test_a_blend_lies_between_two_objects_of_its_category(rough: FittedSource) -> None:
    meshes = {entry.id: rough.load(entry) for entry in rough.objects()[:OBJECTS]}
    own = meshes["train-airplane-0-fitted"].face_rgba[:, :3].mean(axis=0)
    others = [meshes[f"train-airplane-{i}-fitted"].face_rgba[:, :3].mean(axis=0) for i in (1, 2)]
    for number in (1, 2):
        blend = meshes[f"train-airplane-0-blended-0-{number:03d}"]
        moved = blend.face_rgba[:, :3].mean(axis=0) - own
        # Colours of faces are mixed as the vertices are, so the share can be told from their mean.
        shares = [float(moved @ (o - own) / ((o - own) @ (o - own))) for o in others]
        rests = [np.abs(moved - k * (o - own)).max() for k, o in zip(shares, others, strict=True)]
        nearest = int(np.argmin(rests))
        assert rests[nearest] < 1e-3
        assert SHARES[0] <= shares[nearest] <= SHARES[1]


def test_fits_are_kept_and_every_process_makes_the_same(
    rough: FittedSource, monkeypatch: pytest.MonkeyPatch
) -> None:
    entry = rough.objects()[1]
    first = rough.load(entry)
    assert len(list(rough._cache.iterdir())) == 2

    def refuse(*_: Any) -> None:
        raise AssertionError("fitted again")

    monkeypatch.setattr(fitted_source, "_fit", refuse)
    again = pickle.loads(pickle.dumps(rough)).load(entry)
    assert np.array_equal(first.vertices, again.vertices)
    assert np.array_equal(first.face_rgba, again.face_rgba)


def test_fits_use_one_thread_and_give_the_others_back(
    rough: FittedSource, monkeypatch: pytest.MonkeyPatch
) -> None:
    used, fit = [], fitted_source.fit_shape

    def noted(*arguments: Any, **options: Any) -> Any:
        used.append(torch.get_num_threads())
        return fit(*arguments, **options)

    monkeypatch.setattr(fitted_source, "fit_shape", noted)
    before = torch.get_num_threads()
    torch.set_num_threads(3)
    try:
        rough.load(rough.objects()[0])
        assert (used, torch.get_num_threads()) == ([1], 3)
    finally:
        torch.set_num_threads(before)


def test_an_object_without_others_of_its_kind_has_no_blends(shaded_file: Path) -> None:
    many = FittedSource(shaded_file, blends=3).objects()
    alone = [entry for entry in many if entry.id.endswith("-fitted")]
    assert len(many) == len(alone) * (4 if len(alone) > 1 else 1)


def test_another_seed_blends_others(
    shapes_file: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(fitted_source, "STAGES", (ShapeStage(steps=2),))
    one, other = (
        FittedSource(shapes_file, blends=1, cache_dir=tmp_path, seed=seed) for seed in (0, 1)
    )
    assert one.config() != other.config()
    assert not {entry.id for entry in one.objects()[1::2]} & {e.id for e in other.objects()[1::2]}
    meshes = [source.load(source.objects()[1]) for source in (one, other)]
    assert not np.array_equal(meshes[0].vertices, meshes[1].vertices)


@pytest.mark.parametrize("change", [{"blends": -1}, {"seed": -1}])
def test_bad_numbers_are_refused(change: dict[str, int], shapes_file: Path) -> None:
    with pytest.raises(ValueError, match="blends and seed must be >= 0, got"):
        FittedSource(shapes_file, **change)


def test_a_missing_file_is_named(tmp_path: Path) -> None:
    with pytest.raises(FileNotFoundError, match="gone"):
        FittedSource(tmp_path / "gone.h5")
