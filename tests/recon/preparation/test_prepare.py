from __future__ import annotations

import dataclasses
import multiprocessing
from pathlib import Path
from typing import Any

import h5py
import numpy as np
import pytest
import torch

from recon.datasets.multiview import MultiViewDataset
from recon.datasets.storage.hdf5 import open_dataset, read_json, read_texts
from recon.datasets.storage.layout import Layout, ObjectArrays
from recon.formats.meshes.reading.textured_mesh import TexturedMesh
from recon.geometry.cameras import shapenet_cameras
from recon.preparation.checks.preview import preview_path
from recon.preparation.prepare import (
    Summary,
    as_images,
    is_made_by,
    prepare,
    prepared_dataset,
)
from recon.preparation.rendering.objects import ObjectRenderer, RenderedSource
from recon.preparation.sources.interface import ObjectEntry
from recon.preparation.sources.shapes import ShapesSource


class Flaky(ShapesSource):
    """Shapes of which some are broken, and which can be interrupted."""

    def __init__(self, count: int = 3, broken: tuple[str, ...] = (), stop_at: int = -1) -> None:
        super().__init__(count, ["chair", "car"])
        self.broken, self.stop_at, self.loaded = broken, stop_at, 0

    def load(self, entry: ObjectEntry) -> TexturedMesh:
        if self.loaded == self.stop_at:
            raise KeyboardInterrupt
        self.loaded += 1
        if entry.id in self.broken:
            raise ValueError(f"{entry.id}.obj: a face names vertex 9 of 3 vertices")
        return super().load(entry)


@pytest.fixture
def renderer() -> ObjectRenderer:
    return ObjectRenderer(16, supersample=2, voxel_resolutions=(8,))


def arrays(path: Path) -> dict[str, np.ndarray]:
    with open_dataset(path) as file:
        return {name: file[name][()] for name in set(file) - {"failures", "checksums"}}


def test_the_file_holds_what_the_source_has(tmp_path: Path, renderer: ObjectRenderer) -> None:
    path = tmp_path / "new folder" / "x.h5"
    summary = prepare(RenderedSource(Flaky(), renderer), path, workers=1, command="typed")
    assert sum(summary.counts.values()) == 6
    assert summary.counts["02958343", "val"] == 1
    assert sorted(p.name for p in path.parent.iterdir()) == ["x.h5", "x.h5.preview.png"]
    data = MultiViewDataset(path, "test")
    assert data.ids == ["chair-0-00002", "car-0-00002"]
    chairs = RenderedSource(ShapesSource(3, ["chair"]), renderer)
    chair = chairs.arrays(chairs.objects()[2])
    assert np.array_equal(data.images(0, range(24)).numpy(), chair["images"])
    assert torch.equal(data.cameras(0, [1]), shapenet_cameras([1]).rows())
    with open_dataset(path) as file:
        assert file.attrs["command"] == "typed"
        assert file.attrs["source"] == "shapes"


def test_an_interrupted_run_goes_on(tmp_path: Path, renderer: ObjectRenderer) -> None:
    path = tmp_path / "x.h5"
    with pytest.raises(KeyboardInterrupt):
        prepare(RenderedSource(Flaky(stop_at=4), renderer), path, workers=1)
    assert not path.exists()
    assert len(list((tmp_path / "x.h5.parts").glob("*.npz"))) == 4
    resumed = Flaky()
    prepare(RenderedSource(resumed, renderer), path, workers=1)
    assert resumed.loaded == 2
    prepare(RenderedSource(Flaky(), renderer), tmp_path / "whole.h5", workers=1)
    whole = arrays(tmp_path / "whole.h5")
    assert all(np.array_equal(value, whole[name]) for name, value in arrays(path).items())


def test_parts_of_another_configuration_are_not_mixed_in(tmp_path: Path, renderer) -> None:
    path = tmp_path / "x.h5"
    with pytest.raises(KeyboardInterrupt):
        prepare(
            RenderedSource(Flaky(stop_at=4), ObjectRenderer(16, 4, voxel_resolutions=(8,))),
            path,
            workers=1,
        )
    source = Flaky()
    prepare(RenderedSource(source, renderer), path, workers=1)
    assert source.loaded == 6


def test_content_does_not_depend_on_workers(tmp_path: Path, renderer: ObjectRenderer) -> None:
    source = ShapesSource(3, ["chair", "lamp"])
    prepare(RenderedSource(source, renderer), tmp_path / "1.h5", workers=1)
    prepare(RenderedSource(source, renderer), tmp_path / "2.h5", workers=2)
    one, two = arrays(tmp_path / "1.h5"), arrays(tmp_path / "2.h5")
    assert one.keys() == two.keys()
    assert all(np.array_equal(one[name], two[name]) for name in one)


def test_broken_models_are_left_out_and_named(tmp_path: Path, renderer: ObjectRenderer) -> None:
    path = tmp_path / "x.h5"
    broken = ("car-0-00001", "chair-0-00000")
    summary = prepare(RenderedSource(Flaky(broken=broken), renderer), path, workers=1)
    assert list(summary.failures) == ["chair-0-00000", "car-0-00001"]
    assert "vertex 9 of 3" in summary.failures["car-0-00001"]
    with open_dataset(path) as file:
        assert read_json(file, "failures") == summary.failures
        assert set(read_texts(file, "ids")).isdisjoint(broken)
    assert prepare(RenderedSource(Flaky(), renderer), path).failures == summary.failures


def test_nothing_left_is_an_error(tmp_path: Path, renderer: ObjectRenderer) -> None:
    source = Flaky(1, broken=("chair-0-00000", "car-0-00000"))
    with pytest.raises(ValueError, match=r"none of the 2 objects.*vertex 9 of 3"):
        prepare(RenderedSource(source, renderer), tmp_path / "x.h5", workers=1)
    assert not (tmp_path / "x.h5").exists()


def test_a_complete_file_is_left_alone(tmp_path: Path, renderer: ObjectRenderer) -> None:
    path = tmp_path / "x.h5"
    first = prepare(RenderedSource(Flaky(), renderer), path, workers=1)
    before = path.stat().st_mtime_ns
    again = Flaky(stop_at=0)
    summary = prepare(RenderedSource(again, renderer), path, workers=1)
    assert summary.counts == first.counts
    assert summary.seconds == 0
    assert path.stat().st_mtime_ns == before
    remade = Flaky()
    assert prepare(RenderedSource(remade, renderer), path, workers=1, overwrite=True).seconds > 0
    assert remade.loaded == 6


def test_another_configuration_is_refused_with_the_difference(tmp_path: Path, renderer) -> None:
    path = tmp_path / "x.h5"
    prepare(RenderedSource(Flaky(), renderer), path, workers=1)
    with pytest.raises(ValueError, match=r"supersample was 2, is now 3.*overwrite=true"):
        prepare(RenderedSource(Flaky(), ObjectRenderer(16, 3, voxel_resolutions=(8,))), path)
    with pytest.raises(ValueError, match="objects_per_category was 3, is now 4"):
        prepare(RenderedSource(Flaky(4), renderer), path)


def test_another_compression_is_refused(tmp_path: Path, renderer: ObjectRenderer) -> None:
    path, source = tmp_path / "x.h5", RenderedSource(Flaky(1), renderer)
    prepare(source, path, workers=1, compression="lzf")
    assert prepare(source, path).seconds == prepare(source, path, compression="lzf").seconds == 0
    with pytest.raises(ValueError, match=r"compression was 'lzf', is now 'none'.*overwrite=true"):
        prepare(source, path, compression="none")
    with pytest.raises(ValueError, match=r"compression must be one of .* got 'zip'"):
        prepare(source, tmp_path / "y.h5", compression="zip")


def test_a_damaged_file_of_that_name_is_not_overwritten_unasked(tmp_path: Path, renderer) -> None:
    path = tmp_path / "x.h5"
    path.write_bytes(b"precious")
    with pytest.raises(ValueError, match=r"x\.h5 is not an HDF5 file.*overwrite=true"):
        prepare(RenderedSource(Flaky(1), renderer), path)
    assert path.read_bytes() == b"precious"
    prepare(RenderedSource(Flaky(1), renderer), path, workers=1, overwrite=True)
    assert preview_path(path).exists()


def test_objects_that_leave_the_image_are_named(tmp_path: Path, renderer) -> None:
    class Boxes(ShapesSource):
        def load(self, entry: ObjectEntry) -> TexturedMesh:
            surface = super().load(entry)
            low, high = surface.vertices.min(axis=0), surface.vertices.max(axis=0)
            side = 1.0 if entry.id.endswith("0") else 0.3
            cube = (surface.vertices - (low + high) / 2) / (high - low) * side
            return dataclasses.replace(surface, vertices=cube)

    summary = prepare(RenderedSource(Boxes(2, ["speaker"]), renderer), tmp_path / "x.h5", workers=1)
    assert summary.leaving == ["speaker-0-00000"]


def test_bad_number_of_workers(tmp_path: Path, renderer: ObjectRenderer) -> None:
    with pytest.raises(ValueError, match="workers must be >= 1, got 0"):
        prepare(RenderedSource(Flaky(), renderer), tmp_path / "x.h5", workers=0)


def test_summary_table() -> None:
    counts = {("03001627", "train"): 10, ("02958343", "test"): 3, ("03001627", "odd"): 1}
    assert Summary(Path("x"), counts, {}).table().splitlines() == [
        "category  train  test  odd  all",
        "car           0     3    0    3",
        "chair        10     0    1   11",
        "all          10     3    1   14",
    ]


def test_versions_and_texts_are_stored(tmp_path: Path, renderer: ObjectRenderer) -> None:
    prepare(RenderedSource(Flaky(1), renderer), tmp_path / "x.h5", workers=1)
    with h5py.File(tmp_path / "x.h5") as file:
        assert "torch" in file.attrs["versions"]
        assert read_texts(file, "licences") == ["CC0-1.0", "CC0-1.0"]


class Images:
    """A source whose second object has images of another size."""

    name = "pictures"

    def config(self) -> dict[str, Any]:
        return {"a": {"b": 1}}

    def objects(self) -> list[ObjectEntry]:
        return [ObjectEntry(f"o{k}", f"{k}", "mug", f"{k}", "train", "mine", "0") for k in range(3)]

    def layout(self) -> Layout:
        return Layout((6, 8), 2)

    def arrays(self, entry: ObjectEntry) -> ObjectArrays:
        side = 7 if entry.id == "o1" else 8
        images = np.full((2, 4, 6, side), int(entry.id[1]), np.uint8)
        return {"images": images, "cameras": shapenet_cameras([0, 5]).rows().numpy()}


def test_a_source_with_images_of_a_users_own_category(tmp_path: Path) -> None:
    summary = prepare(Images(), tmp_path / "x.h5", workers=1)
    assert list(summary.failures) == ["o1"]
    assert "images must be uint8 (2, 4, 6, 8)" in summary.failures["o1"]
    assert summary.table().splitlines()[1].split() == ["mug", "2", "2"]
    assert summary.leaving == ["o2"]
    with open_dataset(tmp_path / "x.h5") as file:
        assert file["images"][1].tolist() == np.full((2, 4, 6, 8), 2).tolist()
        assert read_texts(file, "synsets") == ["mug", "mug"]


def test_who_made_a_file(tmp_path: Path) -> None:
    prepare(Images(), tmp_path / "x.h5", workers=1)
    (tmp_path / "y.h5").write_bytes(b"something")
    other = Images()
    other.config = lambda: {"a": {"b": 2}}  # type: ignore[method-assign]
    assert is_made_by(tmp_path / "x.h5", Images())
    assert not is_made_by(tmp_path / "x.h5", other)
    assert not is_made_by(tmp_path / "y.h5", Images())
    assert not is_made_by(tmp_path / "z.h5", Images())
    with pytest.raises(ValueError, match=r"a\.b was 1, is now 2"):
        prepare(other, tmp_path / "x.h5", workers=1)


def _prepare_in_a_process(path: Path) -> None:
    renderer = ObjectRenderer(16, supersample=2, voxel_resolutions=(8,))
    prepare(RenderedSource(ShapesSource(2, ["chair"]), renderer), path, workers=1)


def test_two_at_once_make_one_file(tmp_path: Path) -> None:
    context = multiprocessing.get_context("spawn")
    path = tmp_path / "x.h5"
    both = [context.Process(target=_prepare_in_a_process, args=(path,)) for _ in range(2)]
    for process in both:
        process.start()
    for process in both:
        process.join(600)  # both import torch, which takes minutes on a busy machine
    assert [process.exitcode for process in both] == [0, 0]
    assert sorted(p.name for p in tmp_path.iterdir()) == ["x.h5", "x.h5.preview.png"]
    assert len(MultiViewDataset(path)) == 2


def test_a_damaged_part_is_made_again(tmp_path: Path, renderer: ObjectRenderer) -> None:
    source = RenderedSource(Flaky(stop_at=4), renderer)
    with pytest.raises(KeyboardInterrupt):
        prepare(source, tmp_path / "x.h5", workers=1)
    part = sorted((tmp_path / "x.h5.parts").glob("*.npz"))[0]
    content = bytearray(part.read_bytes())
    content[len(content) // 2] ^= 255
    part.write_bytes(content)
    again = Flaky()
    prepare(RenderedSource(again, renderer), tmp_path / "x.h5", workers=1)
    assert again.loaded == 3


def test_a_data_set_is_prepared_where_it_is_not_there(tmp_path: Path, renderer) -> None:
    path = tmp_path / "x.h5"
    source = ShapesSource(3, ["chair"])
    data = prepared_dataset(path, source, renderer, split="train")
    assert data.ids == ["chair-0-00000"]
    before = path.stat().st_mtime_ns
    assert prepared_dataset(path, source, renderer, split="val").ids == ["chair-0-00001"]
    assert path.stat().st_mtime_ns == before
    with pytest.raises(ValueError, match="made with another configuration"):
        prepared_dataset(path, ShapesSource(4, ["chair"]), renderer)


def test_meshes_need_a_renderer() -> None:
    with pytest.raises(ValueError, match="shapes has meshes, so it needs a renderer"):
        as_images(ShapesSource(1), None)
    images = Images()
    assert as_images(images, None) is images


class Licensed(ShapesSource):
    """Shapes of which the cars have another licence."""

    def objects(self) -> list[ObjectEntry]:
        return [
            dataclasses.replace(one, licence="GPL-2+" if one.id.startswith("car") else one.licence)
            for one in super().objects()
        ]


def test_objects_are_prepared_by_licence(tmp_path: Path, renderer: ObjectRenderer) -> None:
    source = RenderedSource(Licensed(2, ["chair", "car"]), renderer)
    path = tmp_path / "x.h5"
    prepare(source, path, workers=1, licences=["CC0"])
    assert MultiViewDataset(path).ids == ["chair-0-00000", "chair-0-00001"]
    with open_dataset(path) as file:
        assert read_json(file, "recipe") == {**source.config(), "licences": ["CC0"]}
    assert is_made_by(path, source, ["CC0"])
    assert not is_made_by(path, source)
    assert prepare(source, path, licences=["CC0"]).seconds == 0
    with pytest.raises(ValueError, match=r"licences was .*CC0.*, is now None"):
        prepare(source, path)
    with pytest.raises(ValueError, match=r"shapes has no .*'MIT'.*CC0-1.0 \(2\), GPL-2\+ \(2\)"):
        prepare(source, tmp_path / "y.h5", licences=["MIT"])
