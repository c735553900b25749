"""Baselines: against brute force, and the order of ties."""

from __future__ import annotations

from pathlib import Path

import pytest
import torch

from recon.datasets.multiview import MultiViewDataset
from recon.evaluation.baselines import (
    CategoryShape,
    ConstantShape,
    Retrieval,
    _best_cut,
    category_mean_shape,
    mean_shape,
    template_shape,
)
from recon.evaluation.voxel_scores import evaluate, macro_mean
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
    best = mean_shape(train_set)
    own = macro_mean(evaluate({"m": best}, train_set, [0])["m"])
    voxels = torch.stack([train_set.voxels(index) for index in range(len(train_set))])
    rate = voxels.float().mean(dim=0)
    for cut in torch.arange(1, 10) / 10:
        other = ConstantShape(rate >= cut)
        assert macro_mean(evaluate({"m": other}, train_set, [0])["m"]) <= own + 1e-6


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
