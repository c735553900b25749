from __future__ import annotations

import os
import shutil
from pathlib import Path

import pytest

from recon.preparation.sources.object_folders import find_places, readable, unique_ids
from tests.recon.preparation.image_folders import frame_records, write_cameras


@pytest.fixture
def root(tmp_path: Path) -> Path:
    """A folder of three objects in two categories, one with cameras of its own."""
    for name in ("chair/b", "chair/a", "mug/c", ".git/x", "mug/.hidden"):
        (tmp_path / "data" / name).mkdir(parents=True)
    (tmp_path / "data" / "notes.txt").write_text("mine")
    write_cameras(tmp_path / "data" / "chair" / "a", frame_records(2))
    return tmp_path / "data"


def test_places_by_category_and_name(root: Path) -> None:
    assert [str(place) for place in find_places(root, None)] == ["chair/a", "chair/b", "mug/c"]
    assert [str(place) for place in find_places(root, ["mug"])] == ["mug/c"]
    assert len(find_places(root, ["03001627"])) == 2
    with pytest.raises(ValueError, match="has no category spoon; it has 03001627, mug"):
        find_places(root, ["spoon", "mug"])
    with pytest.raises(ValueError, match=r"has no objects; images belong into .*/CATEGORY/OBJECT"):
        find_places(root / "chair", None)


def test_the_nearest_cameras_are_taken(root: Path) -> None:
    write_cameras(root, frame_records(5))
    write_cameras(root / "chair", frame_records(3))
    assert [len(place.frames()) for place in find_places(root, None)] == [2, 3, 5]
    (root / "chair" / "a" / "cameras.json").write_text("[")
    with pytest.raises(ValueError, match=r"chair/a/cameras.json: it is not valid JSON"):
        find_places(root, None)[0].frames()
    for path in root.rglob("cameras.json"):
        path.unlink()
    with pytest.raises(ValueError, match=r"chair/b has no cameras.json, nor has its category"):
        find_places(root, None)[1].frames()


def test_links_out_of_the_folder_are_refused(root: Path, tmp_path: Path) -> None:
    shutil.move(root / "chair" / "a", tmp_path / "elsewhere")
    (root / "chair" / "a").symlink_to(tmp_path / "elsewhere")
    (root / "mug" / "c" / "cameras.json").symlink_to(tmp_path / "elsewhere" / "cameras.json")
    link, _, mug = find_places(root, None)
    with pytest.raises(ValueError, match=r"chair/a is a link which leads out of .*data"):
        link.frames()
    with pytest.raises(ValueError, match=r"mug/c/cameras.json is a link which leads out of"):
        mug.frames()


def test_state_tells_changes_of_files(root: Path) -> None:
    (place, *_) = find_places(root, None)
    before = place.files_state()
    assert place.files_state() == before
    (place.folder / "sub").mkdir()
    (place.folder / "sub" / "new.png").write_bytes(b"x")
    with_new = place.files_state()
    assert with_new != before
    os.utime(place.folder / "cameras.json", ns=(0, 1))
    assert place.files_state() != with_new
    (place.folder / "nowhere").symlink_to("gone")
    assert ["nowhere"] in place.files_state()[0]


def test_ids_differ_and_are_names_of_files() -> None:
    ids = unique_ids([("a", "b"), ("a-b", "c"), ("a", "b-c"), ("..", "/"), ("ä", "1"), ("ö", "1")])
    assert ids[0] == "a-b"
    assert len(set(ids)) == 6
    assert all(id_.isascii() and "/" not in id_ and not id_.startswith(".") for id_ in ids)


def test_names_of_any_bytes_are_text() -> None:
    assert readable(os.fsdecode(b"caf\xe9")) == "caf?"
    assert readable("café") == "café"
