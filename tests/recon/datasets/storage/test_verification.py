"""Damage is found when a file is read, and all of it by `verify`."""

from __future__ import annotations

import random
from pathlib import Path

import h5py
import numpy as np
import pytest
import torch

from recon.datasets.multiview import MultiViewDataset
from recon.datasets.storage.hdf5 import open_dataset, read_json, write_dataset
from recon.datasets.storage.shards import open_shards
from recon.datasets.storage.verification import has_checksums, verify


@pytest.fixture(params=["none", "lzf"])
def stored(request, tmp_path: Path, header, layout, labels, samples) -> Path:
    """A file, stored as it is or compressed."""
    write_dataset(tmp_path / "a.h5", header, layout, labels, samples, request.param)
    return tmp_path / "a.h5"


def content(path: Path) -> list[object]:
    """Everything that is read of a file."""
    (shard,) = open_shards(path)
    with open_dataset(path) as file:
        documents = [read_json(file, name) for name in ("recipe", "failures")]
        arrays = [file[name][:].tobytes() for name in shard.layout.fields()]
        attributes = sorted((name, str(value)) for name, value in file.attrs.items())
    return [shard.texts, documents, arrays, attributes]


def test_no_flipped_bit_changes_what_is_read_unseen(stored: Path) -> None:
    """300 bits: each is found, or lies in a gap of the file and changes nothing."""
    good, expected, draw = stored.read_bytes(), content(stored), random.Random(0)
    found = 0
    for _ in range(300):
        damaged = bytearray(good)
        damaged[draw.randrange(len(good))] ^= 1 << draw.randrange(8)
        stored.write_bytes(damaged)
        try:
            lines = verify(stored)
        except ValueError as error:
            lines = [str(error)] * (str(stored) in str(error))
        if lines:
            found += 1
        else:
            assert content(stored) == expected
    assert found > 150


def test_a_flipped_bit_of_an_image_is_named_when_it_is_read(
    data_file: Path, samples: list[dict[str, np.ndarray]]
) -> None:
    assert verify(data_file) == []
    data = bytearray(data_file.read_bytes())
    image = samples[4]["images"][1].tobytes()
    data[data.index(image) + 50] ^= 16
    data_file.write_bytes(data)
    opened = MultiViewDataset(data_file)
    assert torch.equal(opened.images(4, [0, 2]), torch.from_numpy(samples[4]["images"][[0, 2]]))
    with pytest.raises(OSError, match=r"data\.h5 is damaged: images of object number 4, view 1"):
        opened.images(4, [0, 1])
    (line,) = verify(data_file)
    assert line == "images: 1 of 36 pieces are damaged, of the objects object-4"


def test_every_damaged_object_is_listed_once(data_file: Path) -> None:
    with h5py.File(data_file, "r+") as file:
        file["images"][2:9, :, 0, 0, 0] ^= 1
        file["voxels_4"][3, 0] ^= 1
    images, voxels = verify(data_file)
    assert images.startswith("images: 21 of 36 pieces are damaged, of the objects object-2, ")
    assert images.endswith("object-6 and 2 more")
    assert voxels == "voxels_4: 1 of 12 pieces are damaged, of the objects object-3"


def test_files_of_earlier_versions_have_no_checksums_and_are_read(data_file: Path) -> None:
    assert has_checksums(data_file)
    expected = content(data_file)
    with h5py.File(data_file, "r+") as file:
        del file["checksums"]
    assert not has_checksums(data_file)
    assert verify(data_file) == []
    assert content(data_file) == expected


@pytest.mark.parametrize("field", ["images", "cameras"])
def test_a_missing_table_is_named(data_file: Path, field: str) -> None:
    with h5py.File(data_file, "r+") as file:
        del file["checksums"][field]
    with pytest.raises(ValueError, match=rf"data\.h5.*checksums of field {field} are missing"):
        open_shards(data_file)


@pytest.mark.parametrize("name", ["ids", "splits", "recipe", "failures"])
def test_changed_texts_are_named(data_file: Path, name: str) -> None:
    with h5py.File(data_file, "r+") as file:
        text = file[name].asstr()[()]
        if name in ("recipe", "failures"):
            file[name][()] = '{"other": 1}'
        else:
            file[name][2] = text[2] + "x"
    with pytest.raises(ValueError, match=rf"data\.h5: {name} differ from their checksum"):
        verify(data_file)
