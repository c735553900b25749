from __future__ import annotations

from pathlib import Path

import numpy as np
import pytest

from recon.datasets.storage.hdf5 import write_dataset
from recon.datasets.storage.shards import all_cameras, find_files, open_shards


def test_files_of_a_pattern_come_in_the_order_of_their_names(tmp_path: Path) -> None:
    paths = [tmp_path / name for name in ("b_10.h5", "b_2.h5", "c.h5")]
    for path in reversed(paths):
        path.touch()
    assert find_files(tmp_path / "b_*.h5") == paths[:2]
    assert find_files([str(paths[2]), str(tmp_path / "b_*.h5")]) == [paths[2], *paths[:2]]
    assert find_files(tmp_path / "not_there.h5") == [tmp_path / "not_there.h5"]


def test_a_shard_holds_texts_and_cameras(data_file: Path, labels, samples, layout) -> None:
    (shard,) = open_shards(data_file)
    assert (len(shard), shard.path, shard.layout) == (12, data_file, layout)
    assert shard.texts["names"] == [label.name for label in labels]
    assert np.array_equal(shard.cameras, np.stack([sample["cameras"] for sample in samples]))


def test_cameras_of_several_files_are_kept_once_only_where_all_are_the_same(
    tmp_path: Path, header, layout, labels, samples
) -> None:
    same = [{**sample, "cameras": samples[0]["cameras"]} for sample in samples]
    for name, part in (("a", slice(0, 3)), ("b", slice(3, 8))):
        write_dataset(tmp_path / name, header, layout, labels[part], same[part])
    write_dataset(tmp_path / "c", header, layout, labels[8:], samples[8:])
    cameras = all_cameras(open_shards([tmp_path / "a", tmp_path / "b"]))
    assert np.array_equal(cameras, samples[0]["cameras"][None])
    cameras = all_cameras(open_shards([tmp_path / name for name in "abc"]))
    wanted = [*(sample["cameras"] for sample in same[:8]), *(s["cameras"] for s in samples[8:])]
    assert np.array_equal(cameras, np.stack(wanted))


def test_a_broken_file_among_others_is_named(tmp_path: Path, data_file: Path) -> None:
    (tmp_path / "x.h5").write_bytes(data_file.read_bytes()[:5000])
    with pytest.raises(ValueError, match=r"x\.h5 is truncated or damaged"):
        open_shards([data_file, tmp_path / "x.h5"])
