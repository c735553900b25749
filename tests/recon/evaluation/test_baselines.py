"""Baselines: against brute force, and the order of ties."""

from __future__ import annotations

from pathlib import Path

import pytest
import torch

from recon.datasets.multiview import MultiViewDataset
from recon.datasets.storage.hdf5 import Header, Labels, write_dataset
from recon.datasets.storage.layout import Layout
from recon.evaluation.baselines import (
    Baselines,
    CategoryShape,
    ConstantShape,
    Retrieval,
    _best_cut,
    category_mean_shape,
    mean_shape,
    template_shape,
)
from recon.geometry.cameras import shapenet_cameras
from recon.metrics import voxel_iou
from recon.models import MeshDecoder, Reconstructor, SoftRasEncoder
from recon.rendering.compositing import premultiplied

IMAGES = torch.zeros(5, 4, 64, 64, dtype=torch.uint8)


def test_the_template_is_the_undeformed_sphere_of_the_decoder() -> None:
    model = Reconstructor(
        SoftRasEncoder(channels=(2,), hidden=(4,), latent=4),
        MeshDecoder(latent=4, hidden=(4,), template_scale=0.8),
    )
    voxels = template_shape(model, 32)(IMAGES, [])
    assert voxels.shape == (5, 32, 32, 32)
    centres = (torch.arange(32) - 15.5) / 31
    distance = torch.cartesian_prod(centres, centres, centres).norm(dim=1).reshape(32, 32, 32)
    assert bool(voxels[0][distance < 0.4 - 1.5 / 31].all())
    assert not bool(voxels[0][distance > 0.4 + 1.5 / 31].any())


def test_the_best_cut_beats_every_other_rate() -> None:
    generator = torch.Generator().manual_seed(0)
    density = torch.rand(6, 6, 6, generator=generator)
    voxels = torch.rand(700, 6, 6, 6, generator=generator) < density  # more than one chunk
    weights = torch.rand(700, generator=generator)
    weights /= weights.sum()

    def mean_iou(shape: torch.Tensor) -> float:
        return float((voxel_iou(shape.expand_as(voxels), voxels) * weights).sum())

    chosen = mean_iou(_best_cut(voxels, weights))
    rate = voxels.float().mean(dim=0)
    others = [mean_iou(rate >= cut) for cut in torch.arange(1, 51) / 50]
    assert chosen == pytest.approx(max(others), abs=1e-5)
    assert len({round(other, 4) for other in others}) > 10


def test_one_training_shape_is_its_own_mean() -> None:
    voxels = torch.rand(1, 4, 4, 4) > 0.5
    assert torch.equal(_best_cut(voxels, torch.ones(1)), voxels[0])


def test_a_mean_shape_weighs_categories_not_objects(shapes_file: Path) -> None:
    train_set = MultiViewDataset(shapes_file, "train")
    voxels = torch.stack([train_set.voxels(index) for index in range(len(train_set))])
    groups = [[s == synset for s in train_set.synsets] for synset in set(train_set.synsets)]

    def macro_mean(shape: ConstantShape) -> float:
        ious = voxel_iou(shape.voxels.expand_as(voxels), voxels)
        return float(torch.stack([ious[torch.tensor(group)].mean() for group in groups]).mean())

    own = macro_mean(mean_shape(train_set))
    rate = voxels.float().mean(dim=0)
    for cut in torch.arange(1, 10) / 10:
        other = ConstantShape(rate >= cut)
        assert macro_mean(other) <= own + 1e-6


def test_category_means_are_told_the_category(shapes_file: Path) -> None:
    train_set = MultiViewDataset(shapes_file, "train")
    predict = category_mean_shape(train_set)
    airplane, lamp = (predict(IMAGES[:1], [synset])[0] for synset in ("02691156", "03636649"))
    assert int(airplane.any(2).any(1).sum()) > int(airplane.any(2).any(0).sum())  # long in x
    assert int(lamp.any(2).any(1).sum()) < int(lamp.any(2).any(0).sum())  # long in y
    chair = predict(IMAGES[:1], ["03001627"])[0]  # no chairs in training
    assert torch.equal(chair, mean_shape(train_set).voxels)


def test_category_shapes_follow_the_order_of_the_images() -> None:
    full, empty = torch.ones(2, 2, 2, dtype=torch.bool), torch.zeros(2, 2, 2, dtype=torch.bool)
    predict = CategoryShape({"a": full}, otherwise=empty)
    assert predict(IMAGES[:3], ["b", "a", "b"]).any(dim=(1, 2, 3)).tolist() == [
        False,
        True,
        False,
    ]


def test_retrieval_equals_brute_force_whatever_the_chunk(shapes_file: Path) -> None:
    train_set, test_set = (MultiViewDataset(shapes_file, split) for split in ("train", "test"))
    candidates = torch.cat([train_set.images(i, range(24)) for i in range(len(train_set))])
    queries = test_set.images(3, [0, 5, 11])
    vectors = [premultiplied(images / 255).flatten(1).double() for images in (queries, candidates)]
    distances = torch.cdist(*vectors)
    for chunk in (7, 10_000):
        nearest = Retrieval(train_set, chunk=chunk).nearest(queries)
        reached = distances[torch.arange(3), nearest]
        assert torch.allclose(reached, distances.min(dim=1).values, atol=1e-4)


def test_retrieval_finds_a_training_image_itself(shapes_file: Path) -> None:
    train_set = MultiViewDataset(shapes_file, "train")
    voxels = Retrieval(train_set, chunk=50)(train_set.images(4, [9]), [])
    assert torch.equal(voxels[0], train_set.voxels(4))


def baselines(path: Path) -> Baselines:
    encoder = SoftRasEncoder(channels=(2, 2, 2), hidden=(4,), latent=4)
    model = Reconstructor(encoder, MeshDecoder(latent=4, hidden=(4,), subdivisions=1))
    return Baselines(model, path, 32, torch.device("cpu"), False)


def test_they_learn_from_the_training_split_once(shapes_file: Path) -> None:
    found = baselines(shapes_file)
    assert list(found.predictors) == ["template", "mean shape", "category mean", "retrieval"]
    assert found.predictors["retrieval"] is found.retrieval
    train_set = MultiViewDataset(shapes_file, "train")
    assert found.retrieval.train_set.ids == train_set.ids
    voxels = found.predictors["retrieval"](train_set.images(2, [5]), [])
    assert torch.equal(voxels[0], train_set.voxels(2))


def test_nothing_is_read_before_it_is_needed(tmp_path: Path) -> None:
    with pytest.raises(FileNotFoundError):
        _ = baselines(tmp_path / "none.h5").retrieval  # and not earlier


def test_data_without_a_training_split_says_what_to_do(tmp_path: Path) -> None:
    path = tmp_path / "test.h5"
    label = Labels("a", "a", "chair", "", "test", "")
    layout = Layout((4, 4), 1, (32,))
    sample = {
        name: torch.zeros(field.shape).numpy().astype(field.dtype)
        for name, field in layout.fields().items()
    }
    sample["cameras"] = shapenet_cameras([0]).rows().numpy()
    write_dataset(path, Header("x", "", {}, {}, {}), layout, [label], [sample])
    with pytest.raises(ValueError, match=r"no object of split 'train'.*; baselines=false"):
        _ = baselines(path).predictors
