from __future__ import annotations

import pickle
from pathlib import Path

import h5py
import numpy as np
import pytest
import torch
from torch import Tensor
from torch.utils.data import DataLoader, Dataset

from recon.datasets.multiview import MultiViewDataset


class Steps(Dataset[dict[str, Tensor]]):
    def __init__(self, data: MultiViewDataset) -> None:
        self.data = data

    def __len__(self) -> int:
        return 6

    def __getitem__(self, step: int) -> dict[str, Tensor]:
        return self.data.sample_batch(7, step, 4)


@pytest.mark.parametrize("cache", [False, True])
def test_objects_of_a_split_are_read_as_written(data_file: Path, samples, labels, cache) -> None:
    data = MultiViewDataset(data_file, "test", cache=cache)
    assert data.ids == ["object-0", "object-3", "object-6", "object-9"]
    assert data.names[1] == "näme 3"
    assert (len(data), data.num_views, data.image_size, data.voxel_resolution) == (4, 3, (6, 8), 4)
    assert np.array_equal(data.images(1, [2, 0]).numpy(), samples[3].images[[2, 0]])
    assert np.array_equal(data.cameras(1, [2, 0]).numpy(), samples[3].cameras[[2, 0]])
    bits = np.unpackbits(samples[3].voxels).astype(bool).reshape(4, 4, 4)
    assert np.array_equal(data.voxels(1).numpy(), bits)
    assert data.voxels(1).dtype == torch.bool


def test_none_is_every_split_and_categories_are_names_or_synsets(data_file: Path) -> None:
    assert len(MultiViewDataset(data_file)) == 12
    assert len(MultiViewDataset(data_file, "train", ["car"])) == 2
    assert len(MultiViewDataset(data_file, "train", ["02958343", "chair"])) == 8


@pytest.mark.parametrize(
    ("split", "categories", "message"),
    [
        ("val", None, r"no object of split 'val'.*\['test', 'train'\]"),
        ("train", ["rifle"], "rifle"),
        ("train", ["spoon"], "unknown category 'spoon'"),
        ("train", "chair", "must be a list"),
        ("train", [], "no object"),
    ],
)
def test_nothing_to_read_is_an_error(data_file: Path, split, categories, message: str) -> None:
    with pytest.raises(ValueError, match=message):
        MultiViewDataset(data_file, split, categories)


def test_view_out_of_range(data_file: Path) -> None:
    with pytest.raises(IndexError, match=r"0\.\.2, got 3"):
        MultiViewDataset(data_file).images(0, [3])


def test_filtered_and_unchunked_files_are_read_too(data_file: Path, samples) -> None:
    with h5py.File(data_file, "r+") as file:
        images = file["images"][:]
        del file["images"]
        file.create_dataset("images", data=images, compression="lzf", chunks=(2, 3, 4, 6, 8))
    assert np.array_equal(MultiViewDataset(data_file).images(5, [1])[0], samples[5].images[1])


@pytest.mark.parametrize("cache", [False, True])
def test_a_batch_is_a_pure_function_of_seed_and_step(data_file: Path, cache: bool) -> None:
    data, other = MultiViewDataset(data_file), MultiViewDataset(data_file, cache=cache)
    data.sample_batch(1, 0, 8)
    torch.manual_seed(5)
    np.random.seed(5)  # noqa: NPY002
    first, again = data.sample_batch(3, 14, 16), other.sample_batch(3, 14, 16)
    assert first["images"].shape == (16, 2, 4, 6, 8)
    assert first["images"].dtype == torch.uint8
    assert first["cameras"].shape == (16, 2, 4)
    assert all(torch.equal(first[key], again[key]) for key in first)
    assert not torch.equal(first["images"], data.sample_batch(3, 15, 16)["images"])
    assert not torch.equal(first["images"], data.sample_batch(4, 14, 16)["images"])


def test_images_and_cameras_of_a_batch_belong_together(data_file: Path, samples) -> None:
    batch = MultiViewDataset(data_file).sample_batch(0, 0, 20, views_per_object=3)
    by_camera = {
        sample.cameras[view].tobytes(): (index, sample.images[view])
        for index, sample in enumerate(samples)
        for view in range(3)
    }
    for images, cameras in zip(batch["images"], batch["cameras"], strict=True):
        found = [by_camera[camera.numpy().tobytes()] for camera in cameras]
        assert len({index for index, _ in found}) == 1
        for image, (_, stored) in zip(images, found, strict=True):
            assert np.array_equal(image, stored)


def test_categories_are_drawn_evenly_whatever_their_size(data_file: Path) -> None:
    data = MultiViewDataset(data_file)
    drawn = np.concatenate([data._draw(0, step, 100, 2)[0] for step in range(40)])
    views = np.concatenate([data._draw(0, step, 100, 2)[1].ravel() for step in range(40)])
    share = np.bincount(drawn, minlength=12) / len(drawn)
    # Nine chairs share one half, three cars the other; the spread of a share is under 0.006.
    assert share[:9] == pytest.approx(np.full(9, 1 / 18), abs=0.03)
    assert share[9:] == pytest.approx(np.full(3, 1 / 6), abs=0.03)
    assert np.bincount(views) / len(views) == pytest.approx(np.full(3, 1 / 3), abs=0.03)
    pairs = data._draw(0, 0, 1000, 2)[1]
    assert 0.25 < (pairs[:, 0] == pairs[:, 1]).mean() < 0.42  # views may coincide


@pytest.mark.parametrize(
    "arguments", [(-1, 0, 4), (0, -1, 4), (0, 0, 0), (0, 0, 4, 0)]
)  # fmt: skip
def test_bad_arguments_of_a_batch(data_file: Path, arguments) -> None:
    with pytest.raises(ValueError, match="must be >="):
        MultiViewDataset(data_file).sample_batch(*arguments)


@pytest.mark.parametrize(("method", "cache"), [("fork", False), ("fork", True), ("spawn", False)])
def test_workers_open_the_file_themselves(data_file: Path, method: str, cache: bool) -> None:
    data = MultiViewDataset(data_file, cache=cache)
    expected = [data.sample_batch(7, step, 4) for step in range(6)]  # the handle is open now
    loader = DataLoader(Steps(data), batch_size=None, num_workers=2, multiprocessing_context=method)
    for batch, wanted in zip(loader, expected, strict=True):
        assert torch.equal(batch["images"], wanted["images"])
        assert torch.equal(batch["cameras"], wanted["cameras"])
    assert torch.equal(data.sample_batch(7, 0, 4)["images"], expected[0]["images"])


def test_pickle_leaves_handle_and_cache_behind(data_file: Path) -> None:
    data = MultiViewDataset(data_file, cache=True)
    size = len(pickle.dumps(data))
    wanted = data.sample_batch(0, 0, 8)
    assert len(pickle.dumps(data)) == size
    copy = pickle.loads(pickle.dumps(data))
    assert torch.equal(copy.sample_batch(0, 0, 8)["images"], wanted["images"])
