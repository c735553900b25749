from __future__ import annotations

import zipfile
from pathlib import Path

import pytest

from recon.formats.stores import DiskStore, FolderStore, ZipStore, join_name, open_store

FILES = {"a/Wood.PNG": b"wood", "a/model.obj": b"model", "z/wood.png": b"other"}


@pytest.fixture(params=["folder", "zip"])
def store(request: pytest.FixtureRequest, tmp_path: Path):
    if request.param == "zip":
        with zipfile.ZipFile(tmp_path / "x.jar", "w") as archive:
            for name, content in FILES.items():
                archive.writestr(name, content)
        return open_store(tmp_path / "x.jar")
    for name, content in FILES.items():
        path = tmp_path / "x" / name
        path.parent.mkdir(parents=True, exist_ok=True)
        path.write_bytes(content)
    return open_store(tmp_path / "x")


def test_names_are_found_exactly_then_ignoring_case(store) -> None:
    assert store.find("a/Wood.PNG") == store.find("A/wood.png") == "a/Wood.PNG"
    assert store.read("a/WOOD.png") == b"wood"
    assert store.find("a/none.png") is None


def test_leaf_is_found_first_in_sorted_order(store) -> None:
    assert store.find_leaf("wood.png") == "a/Wood.PNG"
    assert store.find_leaf("none.png") is None


def test_missing_file_is_named(store) -> None:
    with pytest.raises(FileNotFoundError, match=r"none\.png"):
        store.read("none.png")


def test_missing_container_is_named(tmp_path: Path) -> None:
    with pytest.raises(FileNotFoundError, match="nowhere"):
        open_store(tmp_path / "nowhere")


@pytest.mark.parametrize("name", ["../evil.txt", "a/../../evil.txt", "/etc/evil", "..\\evil"])
def test_zip_with_an_escaping_name_is_refused(tmp_path: Path, name: str) -> None:
    with zipfile.ZipFile(tmp_path / "x.zip", "w") as archive:
        archive.writestr("fine.txt", "")
        archive.writestr(name, "")
    with pytest.raises(ValueError, match=r"x\.zip is refused.*evil"):
        ZipStore(tmp_path / "x.zip")


def test_text_is_not_a_zip(tmp_path: Path) -> None:
    (tmp_path / "x.zip").write_text("hello")
    with pytest.raises(ValueError, match=r"x\.zip is not a readable zip"):
        ZipStore(tmp_path / "x.zip")


def test_damaged_member_is_named(tmp_path: Path) -> None:
    path = tmp_path / "x.zip"
    with zipfile.ZipFile(path, "w", zipfile.ZIP_STORED) as archive:
        archive.writestr("fine.txt", b"0123456789")
    path.write_bytes(path.read_bytes().replace(b"0123456789", b"0123456780"))
    with pytest.raises(ValueError, match=r"fine\.txt is unreadable"):
        ZipStore(path).read("fine.txt")


def test_links_out_of_the_folder_are_not_its_files(tmp_path: Path) -> None:
    (tmp_path / "secret").write_text("secret")
    root = tmp_path / "root"
    root.mkdir()
    (root / "own").write_text("own")
    (root / "out").symlink_to(tmp_path / "secret")
    (root / "in").symlink_to("own")
    (root / "tree").symlink_to(tmp_path)
    (root / "lost").symlink_to("nowhere")
    store = FolderStore(root)
    assert store.names == ("in", "own")
    assert store.refused == ("lost", "out", "tree")
    assert store.find("out") is None
    assert store.read("in") == b"own"
    assert store.find("../secret") is None
    with pytest.raises(FileNotFoundError, match="out is a link that leads out of the folder"):
        store.read("out")


def test_state_follows_the_content(store, tmp_path: Path) -> None:
    assert store.names == tuple(sorted(FILES))
    before = {name: store.state(name) for name in store.names}
    assert before["a/Wood.PNG"][0] == 4
    if (tmp_path / "x").is_dir():
        (tmp_path / "x/a/Wood.PNG").write_bytes(b"woods")
        (tmp_path / "x/a/model.obj").unlink()
        assert store.state("a/Wood.PNG") != before["a/Wood.PNG"]
        assert store.state("a/model.obj") == []
    else:
        with zipfile.ZipFile(tmp_path / "x.jar", "w") as archive:
            for name in FILES:
                archive.writestr(name, b"newer")
        assert open_store(tmp_path / "x.jar").state("z/wood.png") != before["z/wood.png"]


def test_huge_members_are_refused_before_they_are_unpacked(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("recon.formats.stores.MAX_MEMBER_BYTES", 1000)
    with zipfile.ZipFile(tmp_path / "x.zip", "w", zipfile.ZIP_DEFLATED) as archive:
        archive.writestr("bomb", b"0" * 1001)
    with pytest.raises(ValueError, match="bomb is refused: it claims 1001 bytes, more than 1000"):
        ZipStore(tmp_path / "x.zip").read("bomb")


def test_names_in_files_are_relative_to_them() -> None:
    assert join_name("a/b/model.obj", "..\\tex\\Wood.png ") == "a/tex/Wood.png"
    assert join_name("model.obj", "./wood.png") == "wood.png"


# --- Disk -----------------------------------------------------------------------------------------


def test_paths_on_disk_are_found_exactly_then_ignoring_case(tmp_path: Path, monkeypatch) -> None:
    (tmp_path / "Images").mkdir()
    (tmp_path / "Images" / "gru\u0308n.PNG").write_bytes(b"green")
    store = DiskStore()
    found = f"{tmp_path}/Images/gru\u0308n.PNG"
    assert store.find(found) == store.find(f"{tmp_path}/images/gr\u00fcn.png") == found
    assert store.read(f"{tmp_path}/images/gr\u00fcn.png") == b"green"
    assert store.find(f"{tmp_path}/images") is None  # a folder is no file
    assert store.find(f"{tmp_path}/none/a.png") is None
    assert store.find_leaf("gru\u0308n.PNG") is None
    with pytest.raises(FileNotFoundError, match=r"no file none\.png"):
        store.read("none.png")
    monkeypatch.chdir(tmp_path / "Images")
    assert store.find("../images/GR\u00dcN.png") == "../Images/gru\u0308n.PNG"
