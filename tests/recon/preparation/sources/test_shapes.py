from __future__ import annotations

from collections import Counter

import numpy as np
import pytest

from recon.datasets.categories import CATEGORIES
from recon.preparation.sources.shapes import ShapesSource, make_shape, split_words


@pytest.mark.parametrize("category", CATEGORIES)
def test_objects_are_normalised_and_reproducible(category) -> None:
    surface = make_shape(category.name, 3, 5)
    low, high = surface.vertices.min(axis=0), surface.vertices.max(axis=0)
    assert np.allclose(low, -high, atol=1e-6)
    assert float((high - low).max()) == pytest.approx(1, abs=1e-6)
    assert np.array_equal(surface.vertices, make_shape(category.synset, 3, 5).vertices)
    for seed, index in ((3, 6), (4, 5)):
        other = make_shape(category.name, seed, index)
        assert not np.array_equal(other.vertices, surface.vertices)


def test_some_objects_are_of_one_grey_and_the_others_are_coloured() -> None:
    colors = [np.unique(make_shape("car", 0, index).face_rgba, axis=0) for index in range(80)]
    grey = [found for found in colors if len(found) == 1]
    assert 4 <= len(grey) <= 24
    for found in grey:
        assert np.ptp(found[0, :3]) == 0
        assert 0.4 < found[0, 0] < 0.95
        assert found[0, 3] == 1


@pytest.mark.parametrize("count", [3, 4, 5, 7, 10, 20, 100])
def test_splits_are_about_70_10_20_and_never_empty(count: int) -> None:
    counts = Counter(split_words(count))
    assert sum(counts.values()) == count
    assert min(counts["train"], counts["val"], counts["test"]) >= 1
    if count >= 10:
        assert counts["train"] / count == pytest.approx(0.7, abs=0.05)
        assert counts["test"] / count == pytest.approx(0.2, abs=0.05)


def test_few_objects_go_to_training_first() -> None:
    assert split_words(1) == ["train"]
    assert split_words(2) == ["train", "test"]


def test_objects_have_unique_names_and_load() -> None:
    source = ShapesSource(4, ["car", "03001627"], seed=2)
    objects = source.objects()
    assert len({entry.id for entry in objects}) == len({entry.group for entry in objects}) == 8
    assert {entry.synset for entry in objects} == {"02958343", "03001627"}
    assert np.array_equal(source.load(objects[5]).vertices, make_shape("chair", 2, 1).vertices)
    fewer = ShapesSource(2, ["car"], seed=2).objects()
    assert [entry.fingerprint for entry in fewer] == [entry.fingerprint for entry in objects[:2]]


@pytest.mark.parametrize(
    ("arguments", "message"),
    [
        ({"objects_per_category": 0}, "objects_per_category"),
        ({"categories": ["spoon"]}, "unknown category 'spoon'"),
        ({"categories": []}, "at least one"),
        ({"seed": -1}, "seed"),
    ],
)
def test_bad_arguments(arguments, message: str) -> None:
    with pytest.raises(ValueError, match=message):
        ShapesSource(**arguments)


def test_all_objects_may_be_of_one_split() -> None:
    source = ShapesSource(3, ["chair"], split="train")
    assert [entry.split for entry in source.objects()] == ["train"] * 3
    assert source.config() == {**ShapesSource(3, ["chair"]).config(), "split": "train"}
    with pytest.raises(ValueError, match="split of chair-0-00000 must be a word"):
        ShapesSource(3, ["chair"], split="")
