"""Baselines of an evaluation: which there are, and when they are made."""

from __future__ import annotations

from pathlib import Path

import pytest
import torch

from recon.datasets.multiview import MultiViewDataset
from recon.datasets.storage.hdf5 import Header, Labels, write_dataset
from recon.datasets.storage.layout import Layout
from recon.evaluation.lazy_baselines import Baselines
from recon.models import MeshDecoder, Reconstructor, SoftRasEncoder

CPU = torch.device("cpu")


def baselines(path: Path) -> Baselines:
    encoder = SoftRasEncoder(channels=(2, 2, 2), hidden=(4,), latent=4)
    model = Reconstructor(encoder, MeshDecoder(latent=4, hidden=(4,), subdivisions=1))
    return Baselines(model, path, 32, CPU, False)


def test_they_learn_from_the_training_split_once(shapes_file: Path) -> None:
    found = baselines(shapes_file)
    assert list(found.predictors) == ["template", "mean shape", "category mean", "retrieval"]
    assert found.predictors["retrieval"] is found.neighbours.retrieval
    train_set = MultiViewDataset(shapes_file, "train")
    assert found.neighbours.train_set.ids == train_set.ids
    voxels = found.predictors["retrieval"](train_set.images(2, [5]), [])
    assert torch.equal(voxels[0], train_set.voxels(2))


def test_nothing_is_read_before_it_is_needed(tmp_path: Path) -> None:
    with pytest.raises(FileNotFoundError):
        _ = baselines(tmp_path / "none.h5").neighbours  # and not earlier


def test_data_without_a_training_split_says_what_to_do(tmp_path: Path) -> None:
    path = tmp_path / "test.h5"
    label = Labels("a", "a", "chair", "", "test", "")
    layout = Layout((4, 4), 1, (32,))
    sample = {
        name: torch.zeros(field.shape).numpy().astype(field.dtype)
        for name, field in layout.fields().items()
    }
    write_dataset(path, Header("x", "", {}, {}, {}), layout, [label], [sample])
    with pytest.raises(ValueError, match=r"no object of split 'train'.*; baselines=false"):
        _ = baselines(path).predictors
