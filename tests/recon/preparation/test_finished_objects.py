from __future__ import annotations

import zipfile
from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest

from recon.datasets.storage.layout import ObjectArrays
from recon.preparation.finished_objects import FinishedObjects
from recon.preparation.sources.interface import ObjectEntry

ENTRY = ObjectEntry("chair-1", "a chair", "03001627", "family", "train", "CC0-1.0", "print")


@pytest.fixture
def finished(tmp_path: Path) -> FinishedObjects:
    made = FinishedObjects(tmp_path / "x.h5")
    made.folder.mkdir()
    return made


def test_parts_come_back(finished: FinishedObjects, samples: list[ObjectArrays]) -> None:
    assert not finished.has(ENTRY)
    arrays = {**samples[0], "odd": np.arange(6, dtype=np.float16).reshape(2, 3)[:, ::-1]}
    finished.write(ENTRY, arrays)
    assert finished.has(ENTRY)
    found = finished.read(ENTRY)
    assert found is not None
    assert list(found) == list(arrays)
    for name, array in arrays.items():
        assert np.array_equal(found[name], array)
        assert found[name].dtype == array.dtype
    finished.remove()
    assert not finished.folder.exists()


def test_parts_made_from_something_else_are_not_used(
    finished: FinishedObjects, samples: list[ObjectArrays]
) -> None:
    finished.write(ENTRY, samples[0])
    assert not finished.has(replace(ENTRY, fingerprint="other"))
    assert not finished.has(replace(ENTRY, id="chair-2"))
    assert finished.has(replace(ENTRY, split="val"))


@pytest.mark.parametrize("damage", ["short", "flipped", "empty"])
def test_damaged_part_counts_as_missing(
    finished: FinishedObjects, samples: list[ObjectArrays], damage: str
) -> None:
    finished.write(ENTRY, samples[0])
    (path,) = finished.folder.glob("*.npz")
    content = bytearray(path.read_bytes())
    if damage == "flipped":
        content[len(content) // 2] ^= 255
    path.write_bytes({"short": content[:-100], "flipped": content, "empty": b""}[damage])
    assert finished.read(ENTRY) is None


def test_full_disk_is_named_and_leaves_no_part(
    finished: FinishedObjects, samples: list[ObjectArrays], monkeypatch: pytest.MonkeyPatch
) -> None:
    def full(*args: object) -> None:
        raise OSError(28, "No space left on device")

    monkeypatch.setattr(zipfile.ZipFile, "_write_end_record", full)
    with pytest.raises(OSError, match=r"cannot write .*chair.*No space left"):
        finished.write(ENTRY, samples[0])
    assert [path.name for path in finished.folder.iterdir()] == []
