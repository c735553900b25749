from __future__ import annotations

import errno
import os
from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest

from recon.datasets.hdf5 import Sample
from recon.datasets.parts import Parts
from recon.datasets.rendering import ObjectRenderer
from recon.datasets.shapes import ShapesSource

ITEM = ShapesSource(1, ["chair"]).objects()[0]


@pytest.fixture
def parts(tmp_path: Path) -> Parts:
    return Parts(tmp_path / "x.h5", ObjectRenderer(8))


def test_parts_come_back(parts: Parts, samples: list[Sample]) -> None:
    assert parts.read(ITEM) is None
    parts.write(ITEM, samples[0])
    found = parts.read(ITEM)
    assert found is not None
    assert np.array_equal(found.images, samples[0].images)
    parts.remove()
    assert not parts.folder.exists()


def test_parts_of_another_mesh_or_recipe_are_not_used(
    parts: Parts, samples: list[Sample], tmp_path: Path
) -> None:
    parts.write(ITEM, samples[0])
    assert parts.read(replace(ITEM, fingerprint="other")) is None
    assert Parts(tmp_path / "x.h5", ObjectRenderer(16)).read(ITEM) is None
    assert Parts(tmp_path / "x.h5", ObjectRenderer(8)).read(replace(ITEM, split="val")) is not None


def test_damaged_part_counts_as_missing(parts: Parts, samples: list[Sample]) -> None:
    parts.write(ITEM, samples[0])
    (path,) = parts.folder.iterdir()
    path.write_bytes(path.read_bytes()[:-100])
    assert parts.read(ITEM) is None


def test_full_disk_is_named_and_leaves_no_part(
    parts: Parts, samples: list[Sample], monkeypatch: pytest.MonkeyPatch
) -> None:
    def full(*args: object) -> None:
        raise OSError(errno.ENOSPC, os.strerror(errno.ENOSPC))

    monkeypatch.setattr(os, "fsync", full)
    with pytest.raises(OSError, match=r"cannot write .*chair.*No space left"):
        parts.write(ITEM, samples[0])
    assert list(parts.folder.iterdir()) == []


def test_folder_that_cannot_be_made_is_named(tmp_path: Path) -> None:
    (tmp_path / "file").write_text("")
    with pytest.raises(OSError, match=r"cannot make the folder .*x\.h5\.parts"):
        Parts(tmp_path / "file" / "x.h5", ObjectRenderer(8))
