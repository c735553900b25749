from __future__ import annotations

from pathlib import Path

import h5py
import numpy as np
import pytest
import torch

from recon.datasets.hdf5 import open_dataset, read_json, read_texts
from recon.datasets.multiview import MultiViewDataset
from recon.datasets.prepare import Summary, prepare
from recon.datasets.preview import preview_path
from recon.datasets.rendering import ObjectRenderer
from recon.datasets.shapes import ShapesSource
from recon.datasets.sources import MeshObject
from recon.meshes import Mesh


class Flaky(ShapesSource):
    """Shapes of which some are broken, and which can be interrupted."""

    def __init__(self, count: int = 3, broken: tuple[str, ...] = (), stop_at: int = -1) -> None:
        super().__init__(count, ["chair", "car"])
        self.broken, self.stop_at, self.loaded = broken, stop_at, 0

    def load(self, item: MeshObject) -> Mesh:
        if self.loaded == self.stop_at:
            raise KeyboardInterrupt
        self.loaded += 1
        if item.id in self.broken:
            raise ValueError(f"{item.id}.obj: a face names vertex 9 of 3 vertices")
        return super().load(item)


@pytest.fixture
def renderer() -> ObjectRenderer:
    return ObjectRenderer(16, supersample=2, voxel_resolution=8)


def arrays(path: Path) -> dict[str, np.ndarray]:
    with open_dataset(path) as file:
        return {name: file[name][()] for name in file if name != "failures"}


def test_the_file_holds_what_the_source_has(tmp_path: Path, renderer: ObjectRenderer) -> None:
    path = tmp_path / "new folder" / "x.h5"
    summary = prepare(Flaky(), renderer, path, workers=1, command="typed")
    assert sum(summary.counts.values()) == 6
    assert summary.counts["02958343", "val"] == 1
    assert sorted(p.name for p in path.parent.iterdir()) == ["x.h5", "x.h5.preview.png"]
    data = MultiViewDataset(path, "test")
    assert data.ids == ["chair-0-00002", "car-0-00002"]
    chair = renderer(ShapesSource(3, ["chair"]).load(ShapesSource(3, ["chair"]).objects()[2]))
    assert np.array_equal(data.images(0, range(24)).numpy(), chair.images)
    assert torch.equal(data.cameras(0, [1])[0], torch.tensor([-15.0, 30.0, 2.732, 30.0]))
    with open_dataset(path) as file:
        assert file.attrs["command"] == "typed"
        assert file.attrs["source"] == "shapes"


def test_an_interrupted_run_goes_on(tmp_path: Path, renderer: ObjectRenderer) -> None:
    path = tmp_path / "x.h5"
    with pytest.raises(KeyboardInterrupt):
        prepare(Flaky(stop_at=4), renderer, path, workers=1)
    assert not path.exists()
    assert len(list((tmp_path / "x.h5.parts").iterdir())) == 4
    resumed = Flaky()
    prepare(resumed, renderer, path, workers=1)
    assert resumed.loaded == 2
    prepare(Flaky(), renderer, tmp_path / "whole.h5", workers=1)
    whole = arrays(tmp_path / "whole.h5")
    assert all(np.array_equal(value, whole[name]) for name, value in arrays(path).items())


def test_parts_of_another_recipe_are_not_mixed_in(tmp_path: Path, renderer) -> None:
    path = tmp_path / "x.h5"
    with pytest.raises(KeyboardInterrupt):
        prepare(Flaky(stop_at=4), ObjectRenderer(16, 4, voxel_resolution=8), path, workers=1)
    source = Flaky()
    prepare(source, renderer, path, workers=1)
    assert source.loaded == 6


def test_content_does_not_depend_on_workers(tmp_path: Path, renderer: ObjectRenderer) -> None:
    source = ShapesSource(3, ["chair", "lamp"])
    prepare(source, renderer, tmp_path / "1.h5", workers=1)
    prepare(source, renderer, tmp_path / "2.h5", workers=2)
    one, two = arrays(tmp_path / "1.h5"), arrays(tmp_path / "2.h5")
    assert one.keys() == two.keys()
    assert all(np.array_equal(one[name], two[name]) for name in one)


def test_broken_models_are_left_out_and_named(tmp_path: Path, renderer: ObjectRenderer) -> None:
    path = tmp_path / "x.h5"
    broken = ("car-0-00001", "chair-0-00000")
    summary = prepare(Flaky(broken=broken), renderer, path, workers=1)
    assert list(summary.failures) == ["chair-0-00000", "car-0-00001"]
    assert "vertex 9 of 3" in summary.failures["car-0-00001"]
    with open_dataset(path) as file:
        assert read_json(file, "failures") == summary.failures
        assert set(read_texts(file, "ids")).isdisjoint(broken)
    assert prepare(Flaky(), renderer, path).failures == summary.failures


def test_nothing_left_is_an_error(tmp_path: Path, renderer: ObjectRenderer) -> None:
    source = Flaky(1, broken=("chair-0-00000", "car-0-00000"))
    with pytest.raises(ValueError, match=r"none of the 2 objects.*vertex 9 of 3"):
        prepare(source, renderer, tmp_path / "x.h5", workers=1)
    assert not (tmp_path / "x.h5").exists()


def test_a_complete_file_is_left_alone(tmp_path: Path, renderer: ObjectRenderer) -> None:
    path = tmp_path / "x.h5"
    first = prepare(Flaky(), renderer, path, workers=1)
    before = path.stat().st_mtime_ns
    again = Flaky(stop_at=0)
    summary = prepare(again, renderer, path, workers=1)
    assert summary.counts == first.counts
    assert summary.seconds == 0
    assert path.stat().st_mtime_ns == before
    remade = Flaky()
    assert prepare(remade, renderer, path, workers=1, overwrite=True).seconds > 0
    assert remade.loaded == 6


def test_another_recipe_is_refused_with_the_difference(tmp_path: Path, renderer) -> None:
    path = tmp_path / "x.h5"
    prepare(Flaky(), renderer, path, workers=1)
    with pytest.raises(ValueError, match=r"supersample was 2, is now 3.*overwrite=true"):
        prepare(Flaky(), ObjectRenderer(16, 3, voxel_resolution=8), path)
    with pytest.raises(ValueError, match="objects_per_category was 3, is now 4"):
        prepare(Flaky(4), renderer, path)


def test_a_damaged_file_of_that_name_is_not_overwritten_unasked(tmp_path: Path, renderer) -> None:
    path = tmp_path / "x.h5"
    path.write_bytes(b"precious")
    with pytest.raises(ValueError, match=r"x\.h5 is not an HDF5 file.*overwrite=true"):
        prepare(Flaky(1), renderer, path)
    assert path.read_bytes() == b"precious"
    prepare(Flaky(1), renderer, path, workers=1, overwrite=True)
    assert preview_path(path).exists()


def test_objects_that_leave_the_picture_are_named(tmp_path: Path, renderer) -> None:
    class Boxes(ShapesSource):
        def load(self, item: MeshObject) -> Mesh:
            mesh = super().load(item)
            low, high = mesh.vertices.amin(dim=0), mesh.vertices.amax(dim=0)
            side = 1.0 if item.id.endswith("0") else 0.3
            cube = (mesh.vertices - (low + high) / 2) / (high - low) * side
            return Mesh(cube, mesh.faces, mesh.face_colors)

    summary = prepare(Boxes(2, ["speaker"]), renderer, tmp_path / "x.h5", workers=1)
    assert summary.leaving == ["speaker-0-00000"]


def test_bad_number_of_workers(tmp_path: Path, renderer: ObjectRenderer) -> None:
    with pytest.raises(ValueError, match="workers must be >= 1, got 0"):
        prepare(Flaky(), renderer, tmp_path / "x.h5", workers=0)


def test_summary_table() -> None:
    counts = {("03001627", "train"): 10, ("02958343", "test"): 3, ("03001627", "odd"): 1}
    assert Summary(Path("x"), counts, {}).table().splitlines() == [
        "category  train  test  odd  all",
        "car           0     3    0    3",
        "chair        10     0    1   11",
        "all          10     3    1   14",
    ]


def test_versions_and_texts_are_stored(tmp_path: Path, renderer: ObjectRenderer) -> None:
    prepare(Flaky(1), renderer, tmp_path / "x.h5", workers=1)
    with h5py.File(tmp_path / "x.h5") as file:
        assert "torch" in file.attrs["versions"]
        assert read_texts(file, "licences") == ["CC0-1.0", "CC0-1.0"]
