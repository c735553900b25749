from __future__ import annotations

import os
import pickle
from collections.abc import Callable
from dataclasses import replace
from pathlib import Path

import h5py
import numpy as np
import pytest
import torch
from torch import Tensor
from torch.utils.data import DataLoader, Dataset

from recon.datasets.multiview import MultiViewDataset
from recon.datasets.storage.hdf5 import Labels, write_dataset
from recon.datasets.storage.layout import Layout, ObjectArrays
from recon.geometry.cameras import shapenet_cameras

VIEWS, SIZE = 3, (6, 8)


class Steps(Dataset[dict[str, Tensor]]):
    def __init__(self, data: MultiViewDataset, **settings: object) -> None:
        self.data = data
        self.settings = settings

    def __len__(self) -> int:
        return 6

    def __getitem__(self, step: int) -> dict[str, Tensor]:
        return self.data.sample_batch(7, step, 4, **self.settings)


@pytest.fixture
def write(tmp_path: Path, header, layout, labels, samples) -> Callable[..., Path]:
    """Write some of the objects, all by default, under a name and return the path."""

    def written(name: str, rows: slice = slice(None), like: Layout = layout) -> Path:
        write_dataset(tmp_path / name, header, like, labels[rows], samples[rows])
        return tmp_path / name

    return written


@pytest.mark.parametrize("cache", [False, True])
def test_objects_of_a_split_are_read_as_written(data_file: Path, samples, labels, cache) -> None:
    data = MultiViewDataset(data_file, "test", cache=cache)
    assert data.ids == ["object-0", "object-3", "object-6", "object-9"]
    assert data.names[1] == "näme 3"
    assert (len(data), data.num_views, data.image_size, data.voxel_resolution) == (4, 3, (6, 8), 4)
    assert data.fields == ("images", "cameras", "voxels_4")
    assert np.array_equal(data.images(1, [2, 0]).numpy(), samples[3]["images"][[2, 0]])
    assert np.array_equal(data.cameras(1, [2, 0]).numpy(), samples[3]["cameras"][[2, 0]])
    bits = np.unpackbits(samples[3]["voxels_4"]).astype(bool).reshape(4, 4, 4)
    assert np.array_equal(data.voxels(1).numpy(), bits)
    assert data.voxels(1, 4).dtype == torch.bool


def test_none_is_every_split_and_categories_are_names_or_synsets(data_file: Path) -> None:
    assert len(MultiViewDataset(data_file)) == 12
    assert len(MultiViewDataset(data_file, "train", ["car"])) == 2
    assert len(MultiViewDataset(data_file, "train", ["02958343", "chair"])) == 8


def test_own_words_are_categories(tmp_path: Path, header, layout, labels, samples) -> None:
    own = [replace(label, synset="teapot") for label in labels[:4]] + labels[4:]
    write_dataset(tmp_path / "x.h5", header, layout, own, samples)
    data = MultiViewDataset(tmp_path / "x.h5", None, ["teapot", "car"])
    assert data.synsets == ["teapot"] * 4 + ["02958343"] * 3
    with pytest.raises(ValueError, match=r"unknown category 'cup'; .*x\.h5 has car, chair, teapot"):
        MultiViewDataset(tmp_path / "x.h5", None, ["teapot", "cup"])


@pytest.mark.parametrize(
    ("split", "categories", "message"),
    [
        ("val", None, r"no object of split 'val'.*\['test', 'train'\]"),
        ("train", ["rifle"], "rifle"),
        ("train", ["spoon"], "unknown category 'spoon'.*has car, chair"),
        ("train", "chair", "must be a list"),
        ("train", [], "no object"),
    ],
)
def test_nothing_to_read_is_an_error(data_file: Path, split, categories, message: str) -> None:
    with pytest.raises(ValueError, match=message):
        MultiViewDataset(data_file, split, categories)


@pytest.mark.parametrize("view", [3, -1])
def test_view_out_of_range(data_file: Path, view: int) -> None:
    with pytest.raises(IndexError, match=rf"0\.\.2, got {view}"):
        MultiViewDataset(data_file).images(0, [view])


def test_no_views_are_no_images(data_file: Path) -> None:
    assert MultiViewDataset(data_file).images(0, []).shape == (0, 4, 6, 8)


# ---- optional fields -----------------------------------------------------------------------------

FULL = Layout(SIZE, VIEWS, (4, 6), ("shading", "depth", "normals"), 13, 5)


@pytest.fixture
def full_samples() -> list[ObjectArrays]:
    rng = np.random.default_rng(1)
    return [
        {
            name: rng.integers(0, 100, shape).astype(dtype)
            for name, (shape, dtype) in FULL.fields().items()
        }
        | {"cameras": shapenet_cameras(rng.integers(24, size=VIEWS)).rows().numpy()}
        for _ in range(12)
    ]


@pytest.fixture
def full_file(tmp_path: Path, header, labels, full_samples) -> Path:
    write_dataset(tmp_path / "full.h5", header, FULL, labels, full_samples)
    return tmp_path / "full.h5"


def test_every_field_comes_back(full_file: Path, full_samples: list[ObjectArrays]) -> None:
    data = MultiViewDataset(full_file)
    assert set(data.fields) == set(full_samples[0])
    for name in ("images", "cameras", "shading", "depth", "normals"):
        stored = full_samples[5][name]
        found = data.field(5, name)
        assert found.numpy().dtype == stored.dtype
        assert np.array_equal(found.numpy(), stored)
        assert np.array_equal(data.field(5, name, [2, 2, 0]).numpy(), stored[[2, 2, 0]])
    for name in ("points", "pointcloud", "pointcloud_normals"):
        assert np.array_equal(data.field(5, name).numpy(), full_samples[5][name])
    bits = np.unpackbits(full_samples[5]["occupancies"], count=13).astype(bool)
    assert np.array_equal(data.field(5, "occupancies").numpy(), bits)
    assert (data.voxel_resolution, data.voxels(5).shape) == (4, (4, 4, 4))
    bits = np.unpackbits(full_samples[5]["voxels_6"]).astype(bool).reshape(6, 6, 6)
    assert np.array_equal(data.voxels(5, 6).numpy(), bits)


def test_maps_of_a_batch_belong_to_its_images(
    full_file: Path, full_samples: list[ObjectArrays]
) -> None:
    batch = MultiViewDataset(full_file).sample_batch(0, 3, 10, 3, maps=("shading", "normals"))
    assert set(batch) == {"images", "cameras", "shading", "normals"}
    assert batch["normals"].shape == (10, 3, 3, 6, 8)
    by_image = {
        sample["images"][view].tobytes(): (sample, view)
        for sample in full_samples
        for view in range(VIEWS)
    }
    for index in np.ndindex(10, 3):
        sample, view = by_image[batch["images"][index].numpy().tobytes()]
        for name in ("cameras", "shading", "normals"):
            assert np.array_equal(batch[name][index].numpy(), sample[name][view])


@pytest.mark.parametrize(
    ("read", "message"),
    [
        (lambda data: data.voxels(0, 64), r"no field voxels_64.*voxel_resolutions=\[64\]"),
        (lambda data: data.field(0, "depth"), r"no field depth, only .*rendering\.maps=\[depth\]"),
        (lambda data: data.field(0, "points"), "no field points.*source=occupancy_networks"),
        (lambda data: data.field(0, "colour"), "no field colour.*that name is unknown"),
        (lambda data: data.field(0, "voxels_4", [0]), "voxels_4 has no views"),
        (lambda data: data.sample_batch(0, 0, 4, maps=["depth"]), "no field depth"),
        (lambda data: data.sample_batch(0, 0, 4, maps=["images"]), "maps must be among"),
    ],
)
def test_what_is_not_there_is_named_with_how_to_make_it(data_file, read, message: str) -> None:
    with pytest.raises(ValueError, match=message):
        read(MultiViewDataset(data_file))


def test_images_alone_are_enough(tmp_path: Path, header, labels, samples) -> None:
    bare = [{name: sample[name] for name in ("images", "cameras")} for sample in samples]
    write_dataset(tmp_path / "x.h5", header, Layout(SIZE, VIEWS), labels, bare)
    data = MultiViewDataset(tmp_path / "x.h5")
    assert data.sample_batch(0, 0, 4)["images"].shape == (4, 2, 4, 6, 8)
    with pytest.raises(ValueError, match="no field voxels_32"):
        _ = data.voxel_resolution


# ---- several files -------------------------------------------------------------------------------


def test_shards_are_one_data_set(tmp_path: Path, data_file: Path, write) -> None:
    one = MultiViewDataset(data_file)
    parts = [write("part_0.h5", slice(0, 5)), write("part_1.h5", slice(5, 12))]
    for given in (parts, [str(part) for part in parts], str(tmp_path / "part_*.h5")):
        data = MultiViewDataset(given)
        assert data.ids == one.ids
        assert data.paths == parts
        for index in (4, 5, 11):
            assert torch.equal(data.images(index, [1]), one.images(index, [1]))
            assert torch.equal(data.cameras(index, [1]), one.cameras(index, [1]))
            assert torch.equal(data.voxels(index), one.voxels(index))
        found, wanted = data.sample_batch(0, 1, 20), one.sample_batch(0, 1, 20)
        assert all(torch.equal(found[name], wanted[name]) for name in wanted)


def test_a_subset_reads_the_same_objects_in_its_own_order(write, data_file: Path) -> None:
    shards = MultiViewDataset([write("a.h5", slice(3)), write("b.h5", slice(3, None))])
    for data in (MultiViewDataset(data_file), shards):
        part = data.subset([4, 1])
        assert (part.ids, part.splits) == (
            [data.ids[4], data.ids[1]],
            [data.splits[4], data.splits[1]],
        )
        assert len(part) == 2
        for index, whole in ((0, 4), (1, 1)):
            for read in ("images", "cameras"):
                expected = getattr(data, read)(whole, [2, 0])
                assert torch.equal(getattr(part, read)(index, [2, 0]), expected)
            assert torch.equal(part.voxels(index), data.voxels(whole))
        assert part.sample_batch(0, 0, 2)["images"].shape == (2, 2, 4, 6, 8)
        assert len(data) == 12
    with pytest.raises(ValueError, match="at least one object"):
        shards.subset([])


def test_each_file_has_its_configuration(write, header) -> None:
    data = MultiViewDataset([write("1.h5", slice(0, 5)), write("2.h5", slice(5, 12))])
    assert data.configs() == [header.config] * 2 == [{"a": 1}] * 2


def test_layouts_of_shards_must_agree(tmp_path: Path, header, labels, full_samples, write) -> None:
    first = write("a.h5", slice(0, 5))
    few = Layout(SIZE, VIEWS, (6,))
    chosen = [{name: s[name] for name in few.fields()} for s in full_samples[5:]]
    write_dataset(tmp_path / "b.h5", header, few, labels[5:], chosen)
    message = r"voxel_resolutions is \(4,\) in .*a\.h5 and \(6,\) in .*b\.h5"
    with pytest.raises(ValueError, match=message):
        MultiViewDataset([first, tmp_path / "b.h5"])


def test_an_object_is_in_one_shard_only(write) -> None:
    paths = [write("a.h5", slice(0, 5)), write("b.h5", slice(4, 12))]
    with pytest.raises(ValueError, match=r"object 'object-4' is in .*a\.h5 and again in .*b\.h5"):
        MultiViewDataset(paths)


def test_no_file_at_all(tmp_path: Path) -> None:
    with pytest.raises(FileNotFoundError, match=r"no file matches .*part_\*\.h5"):
        MultiViewDataset(tmp_path / "part_*.h5")
    with pytest.raises(FileNotFoundError, match=r"x\.h5"):
        MultiViewDataset([tmp_path / "x.h5"])
    with pytest.raises(ValueError, match="at least one file"):
        MultiViewDataset([])


def test_a_name_with_the_signs_of_a_pattern_is_a_name(write) -> None:
    assert len(MultiViewDataset(write("data[1].h5"))) == 12


def test_cameras_that_all_objects_share_are_kept_once(
    tmp_path: Path, header, layout, labels, samples, write
) -> None:
    same = [{**sample, "cameras": samples[0]["cameras"]} for sample in samples]
    write_dataset(tmp_path / "same.h5", header, layout, labels[:6], same[:6])
    shared = MultiViewDataset(tmp_path / "same.h5")
    assert shared._cameras.shape == (1, 3, 16)
    assert np.array_equal(shared.cameras(5, [2])[0].numpy(), samples[0]["cameras"][2])
    assert shared.sample_batch(0, 0, 4)["cameras"].shape == (4, 2, 16)
    both = MultiViewDataset([tmp_path / "same.h5", write("rest.h5", slice(6, 12))])
    assert np.array_equal(both.cameras(5, [2])[0].numpy(), samples[0]["cameras"][2])
    assert np.array_equal(both.cameras(7, [2])[0].numpy(), samples[7]["cameras"][2])


# ---- batches -------------------------------------------------------------------------------------


@pytest.mark.parametrize("cache", [False, True])
def test_a_batch_is_a_pure_function_of_seed_and_step(data_file: Path, cache: bool) -> None:
    data, other = MultiViewDataset(data_file), MultiViewDataset(data_file, cache=cache)
    data.sample_batch(1, 0, 8)
    torch.manual_seed(5)
    np.random.seed(5)  # noqa: NPY002
    first, again = data.sample_batch(3, 14, 16), other.sample_batch(3, 14, 16)
    assert first["images"].shape == (16, 2, 4, 6, 8)
    assert first["images"].dtype == torch.uint8
    assert first["cameras"].shape == (16, 2, 16)
    assert all(torch.equal(first[key], again[key]) for key in first)
    assert not torch.equal(first["images"], data.sample_batch(3, 15, 16)["images"])
    assert not torch.equal(first["images"], data.sample_batch(4, 14, 16)["images"])


def test_a_batch_holds_the_images_it_always_held(data_file: Path, samples) -> None:
    """The draw is compared with stored values in test_sampling.py; this is what it leads to."""
    batch = MultiViewDataset(data_file).sample_batch(3, 14, 6)
    expected = [(11, 2, 2), (0, 2, 2), (5, 1, 0), (5, 0, 1), (4, 2, 2), (5, 2, 0)]
    for place, (row, *views) in enumerate(expected):
        assert np.array_equal(batch["images"][place].numpy(), samples[row]["images"][views])
        assert np.array_equal(batch["cameras"][place].numpy(), samples[row]["cameras"][views])


def test_uniform_sampling_is_a_setting(data_file: Path) -> None:
    balanced, uniform = (MultiViewDataset(data_file, sampling=s) for s in ("balanced", "uniform"))
    first, second = balanced.sample_batch(0, 0, 64), uniform.sample_batch(0, 0, 64)
    assert not torch.equal(first["images"], second["images"])
    with pytest.raises(ValueError, match="sampling must be one of"):
        MultiViewDataset(data_file, sampling="fair")


@pytest.mark.parametrize("world_size", [2, 4])
def test_ranks_share_the_batch_of_one_process(data_file: Path, world_size: int) -> None:
    data = MultiViewDataset(data_file)
    whole = data.sample_batch(0, 9, 8, 3)
    parts = [data.sample_batch(0, 9, 8, 3, rank, world_size) for rank in range(world_size)]
    for name in whole:
        assert torch.equal(torch.cat([part[name] for part in parts]), whole[name])


@pytest.mark.parametrize(
    "arguments", [(-1, 0, 4), (0, -1, 4), (0, 0, 0), (0, 0, 4, 0), (0, 0, 4, 2, 0, 0)]
)
def test_bad_arguments_of_a_batch(data_file: Path, arguments) -> None:
    with pytest.raises(ValueError, match="must be >="):
        MultiViewDataset(data_file).sample_batch(*arguments)


# ---- processes -----------------------------------------------------------------------------------


@pytest.mark.parametrize(("method", "cache"), [("fork", False), ("fork", True), ("spawn", False)])
def test_workers_read_the_same(write, method: str, cache: bool) -> None:
    paths = [write("plain.h5", slice(0, 6)), write("compressed.h5", slice(6, 12))]
    with h5py.File(paths[1], "r+") as file:
        images = file["images"][:]
        del file["images"]
        file.create_dataset("images", data=images, compression="lzf", chunks=(1, 1, 4, 6, 8))
    data = MultiViewDataset(paths, cache=cache)
    expected = [data.sample_batch(7, step, 4) for step in range(6)]  # the handles are open now
    workers = 1 if method == "spawn" else 2  # starting one takes seconds
    loader = DataLoader(
        Steps(data), batch_size=None, num_workers=workers, multiprocessing_context=method
    )
    for batch, wanted in zip(list(loader), expected, strict=True):
        assert batch["images"].is_shared()
        assert torch.equal(batch["images"], wanted["images"])
        assert torch.equal(batch["cameras"], wanted["cameras"])
    assert torch.equal(data.sample_batch(7, 0, 4)["images"], expected[0]["images"])


def test_forked_workers_go_on_when_the_name_means_another_file(data_file: Path, write) -> None:
    data = MultiViewDataset(data_file)
    wanted = data.sample_batch(7, 0, 4)["images"]
    os.replace(write("new.h5", slice(6, 12)), data_file)
    loader = DataLoader(Steps(data), batch_size=None, num_workers=1, multiprocessing_context="fork")
    assert torch.equal(next(iter(loader))["images"], wanted)
    assert len(MultiViewDataset(data_file)) == 6


def test_spawned_workers_refuse_another_file(data_file: Path, write) -> None:
    data = MultiViewDataset(data_file)
    os.replace(write("new.h5", slice(6, 12)), data_file)
    copy = pickle.loads(pickle.dumps(data))
    with pytest.raises(ValueError, match=r"data\.h5 has changed since the data set was opened"):
        copy.sample_batch(0, 0, 4)
    data_file.unlink()
    copy = pickle.loads(pickle.dumps(data))
    with pytest.raises(OSError, match=r"cannot open .*data\.h5 again: No such file"):
        copy.sample_batch(0, 0, 4)


def test_pickle_leaves_handle_and_cache_behind(data_file: Path) -> None:
    data = MultiViewDataset(data_file, cache=True)
    size = len(pickle.dumps(data))
    wanted = data.sample_batch(0, 0, 8)
    assert len(pickle.dumps(data)) == size
    copy = pickle.loads(pickle.dumps(data))
    assert torch.equal(copy.sample_batch(0, 0, 8)["images"], wanted["images"])


def test_labels_are_those_of_the_kept_objects(data_file: Path, labels: list[Labels]) -> None:
    data = MultiViewDataset(data_file, "train", ["car"])
    kept = [label for label in labels if label.split == "train" and label.synset == "02958343"]
    assert (data.groups, data.splits) == ([k.group for k in kept], ["train"] * 2)
    assert data.licences == [label.licence for label in kept]


# ---- licences and mixtures -----------------------------------------------------------------------


def test_objects_are_kept_by_licence(tmp_path: Path, header, layout, labels, samples) -> None:
    mixed = [replace(one, licence="GPL-2" if k < 8 else "CC0-1.0") for k, one in enumerate(labels)]
    write_dataset(tmp_path / "x.h5", header, layout, mixed, samples)
    data = MultiViewDataset(tmp_path / "x.h5", "train", licences=["CC0"])
    assert data.ids == ["object-8", "object-10", "object-11"]
    assert data.licences == ["CC0-1.0"] * 3
    with pytest.raises(ValueError, match=r"x\.h5 has no .*'MIT'.* there are GPL-2 \(5\), CC0-1"):
        MultiViewDataset(tmp_path / "x.h5", "train", licences=["MIT"])


@pytest.fixture
def mixed(write) -> dict[str, dict[str, object]]:
    """The first eight objects in one file, the others in two that are one entry."""
    write("real.h5", slice(0, 8))
    more = [str(write("more_0.h5", slice(8, 10))), str(write("more_1.h5", slice(10, 12)))]
    return {"real": {"weight": 3}, "more": {"path": more, "weight": 1, "until": 50}}


def test_a_mixture_is_drawn_by_weight_until_its_step(mixed, tmp_path: Path) -> None:
    data = MultiViewDataset(tmp_path / "real.h5", "train", mixture=mixed, sampling="uniform")
    assert data.ids == [f"object-{k}" for k in (1, 2, 4, 5, 7, 8, 10, 11)]
    assert [path.name for path in data.paths] == ["real.h5", "more_0.h5", "more_1.h5"]
    assert len(data.configs()) == 3
    for first, wanted in ((0, 0.25), (50, 0.0)):
        drawn = [data._sampler.draw(0, first + step, 100, 1)[0] for step in range(50)]
        assert (np.concatenate(drawn) >= 5).mean() == pytest.approx(wanted, abs=0.03)


def test_batches_of_a_mixture_have_the_images_of_what_was_drawn(
    mixed, tmp_path: Path, samples
) -> None:
    data = MultiViewDataset(tmp_path / "real.h5", "train", mixture=mixed)
    batch = data.sample_batch(3, 7, 16, 2)
    objects, views = data._sampler.draw(3, 7, 16, 2)
    for index, chosen, images in zip(objects, views, batch["images"], strict=True):
        number = int(data.ids[index].split("-")[1])
        assert np.array_equal(images.numpy(), samples[number]["images"][chosen])
    copied = pickle.loads(pickle.dumps(data)).sample_batch(3, 7, 16, 2)
    assert all(torch.equal(copied[name], value) for name, value in batch.items())


def test_a_subset_of_a_mixture_keeps_the_weights(mixed, tmp_path: Path) -> None:
    data = MultiViewDataset(tmp_path / "real.h5", "train", mixture=mixed, sampling="uniform")
    part = data.subset([0, 5, 6])
    drawn = np.concatenate([part._sampler.draw(0, step, 100, 1)[0] for step in range(50)])
    assert np.bincount(drawn) / 5000 == pytest.approx([0.75, 0.125, 0.125], abs=0.03)


def test_the_file_of_the_data_set_is_read_only_where_an_entry_names_none(mixed) -> None:
    entries = {"more": {"path": mixed["more"]["path"]}}
    assert len(MultiViewDataset("no/such.h5", mixture=entries)) == 4
    with pytest.raises(FileNotFoundError, match="such"):
        MultiViewDataset("no/such.h5", mixture=mixed)


def test_an_entry_without_a_wanted_object_is_refused(mixed, tmp_path: Path) -> None:
    with pytest.raises(ValueError, match=r"mixture: .*real\.h5 has no object that is to be read"):
        MultiViewDataset(tmp_path / "real.h5", "train", ["car"], mixture=mixed)
