"""Files for cross-validation."""

from __future__ import annotations

from collections import Counter
from pathlib import Path

import h5py
import numpy as np
import pytest

from recon.datasets.multiview import MultiViewDataset
from recon.datasets.storage.verification import verify
from recon.preparation.folds import fold_splits, write_folds

# 60 objects: families of one to three objects, in three categories of 30, 20 and 10 objects.
SYNSETS = ["chair"] * 30 + ["lamp"] * 20 + ["car"] * 10
GROUPS = [f"family-{i // (1 + i // 25)}-{SYNSETS[i]}" for i in range(60)]


def all_folds(folds: int) -> list[list[str]]:
    return [fold_splits(GROUPS, SYNSETS, folds, fold) for fold in range(folds)]


@pytest.mark.parametrize("folds", [2, 5])
def test_each_object_is_tested_once_and_families_stay_together(folds: int) -> None:
    splits = all_folds(folds)
    assert all(column.count("test") == 1 for column in zip(*splits, strict=True))
    for split in splits:
        assert set(split) == {"train", "val", "test"}
        parts = {(group, part) for group, part in zip(GROUPS, split, strict=True)}
        assert len(parts) == len(set(GROUPS))


def test_categories_are_shared_out_evenly() -> None:
    for split in all_folds(5):
        tested = Counter(s for s, part in zip(SYNSETS, split, strict=True) if part == "test")
        assert abs(tested["chair"] - 6) <= 2
        assert abs(tested["lamp"] - 4) <= 2
        assert abs(tested["car"] - 2) <= 2
        assert 3 <= split.count("val") <= 9


def test_the_order_of_the_objects_does_not_matter() -> None:
    order = np.random.default_rng(0).permutation(60)
    shuffled = fold_splits([GROUPS[i] for i in order], [SYNSETS[i] for i in order], 5, 1)
    straight = fold_splits(GROUPS, SYNSETS, 5, 1)
    assert shuffled == [straight[i] for i in order]


@pytest.mark.parametrize(("folds", "fold"), [(1, 0), (0, 0), (5, 5), (5, -1)])
def test_folds_that_cannot_be_are_refused(folds: int, fold: int) -> None:
    with pytest.raises(ValueError, match=rf"folds must be >= 2 .* got {folds} and {fold}"):
        fold_splits(GROUPS, SYNSETS, folds, fold)


def test_files_differ_from_theirs_in_the_splits_alone(data_file: Path, tmp_path: Path) -> None:
    files = write_folds(data_file, 2, tmp_path / "folds", "python scripts/make_folds.py")
    assert [file.name for file in files] == ["fold0.h5", "fold1.h5"]
    original = MultiViewDataset(data_file)
    tested: list[str] = []
    for file in files:
        assert verify(file) == []
        copy = MultiViewDataset(file)
        assert (copy.ids, copy.groups) == (original.ids, original.groups)
        assert np.array_equal(copy.images(0, [0]), original.images(0, [0]))
        tested += MultiViewDataset(file, "test").ids
        with h5py.File(file) as opened:
            assert opened.attrs["command"].endswith("; python scripts/make_folds.py")
    assert sorted(tested) == sorted(original.ids)
    before = [file.read_bytes() for file in files]
    assert [
        f.read_bytes() for f in write_folds(data_file, 2, tmp_path / "folds", "again")
    ] != before


def test_a_file_is_not_replaced_by_a_fold_of_its_own(data_file: Path, tmp_path: Path) -> None:
    (own,) = write_folds(data_file, 2, tmp_path, "first")[:1]
    content = own.read_bytes()
    with pytest.raises(ValueError, match="would be replaced by a fold of its own"):
        write_folds(own, 2, tmp_path, "second")
    assert own.read_bytes() == content


def test_a_file_that_is_not_there_is_named(tmp_path: Path) -> None:
    with pytest.raises(FileNotFoundError, match=r"none\.h5"):
        write_folds(tmp_path / "none.h5", 5, tmp_path / "folds", "")
    assert not (tmp_path / "folds").exists()
