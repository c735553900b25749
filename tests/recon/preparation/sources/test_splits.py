from __future__ import annotations

import json
import logging
import uuid
from pathlib import Path

import pytest

from recon.preparation.sources.splits import assign_splits, read_splits, split_of_id

CHAIR, TABLE = "03001627", "04379243"


def write(path: Path, text: str) -> Path:
    path.parent.mkdir(parents=True, exist_ok=True)
    path.write_text(text, encoding="utf-8")
    return path


def test_split_of_an_id_never_changes() -> None:
    # Fixed for ever: another rule would mix the splits of files prepared before.
    words = [split_of_id(f"model-{i}") for i in range(10)]
    assert " ".join(words) == "test train train train train val test test train train"


def test_shares_are_70_10_20() -> None:
    words = [split_of_id(uuid.UUID(int=i).hex) for i in range(20_000)]
    shares = [words.count(word) / len(words) for word in ("train", "val", "test")]
    assert shares == pytest.approx([0.7, 0.1, 0.2], abs=0.01)


def test_folder_of_lists(tmp_path: Path) -> None:
    write(tmp_path / CHAIR / "train.lst", "a\nb\n\n")
    write(tmp_path / CHAIR / "test.lst", f"{CHAIR}/c")
    write(tmp_path / TABLE / "softras_val.lst", "a\n")
    write(tmp_path / TABLE / "val.lst", "other\n")
    write(tmp_path / "readme.txt", "no list")
    splits = read_splits(tmp_path)
    assert [splits.of(CHAIR, name) for name in "abcd"] == ["train", "train", "test", None]
    assert splits.of(TABLE, "a") == splits.of("table", "a") == "val"
    assert splits.of(TABLE, "other") is None  # the lists of the published tables come first


def test_official_csv(tmp_path: Path) -> None:
    text = (
        "id,synsetId,subSynsetId,modelId,split\n"
        f"000001,{CHAIR},{CHAIR},abc,train\n000002,2691156,02690373,abc,test\n"
    )
    splits = read_splits(write(tmp_path / "all.csv", text))
    assert (splits.of(CHAIR, "abc"), splits.of("02691156", "abc")) == ("train", "test")
    assert splits.of(TABLE, "abc") is None
    assert splits.of(CHAIR, "000001") is None


@pytest.mark.parametrize(
    ("name", "text"),
    [
        ("s.csv", f"split,id\ntrain,{CHAIR}/a\ntest,b\n"),
        ("s.csv", '\ufeffcategory,id,split\r\nchair,"a",train\r\n,b,test\r\n'),
        ("s.json", json.dumps({"train": [f"{CHAIR}/a"], "test": ["b"]})),
        ("s.json", json.dumps({CHAIR: {"train": ["a"]}, TABLE: {"test": ["b"]}})),
        ("s.json", json.dumps({"chair": {"train": ["chair/a"]}, "test": ["b"]})),
        ("s.txt", f"# name and split\n{CHAIR}/a train\n\nb   test\n"),
        ("s.tsv", "split\tcategory\tid\ntrain\tchair\ta\ntest\t\tb\n"),
    ],
)
def test_forms_of_one_file(tmp_path: Path, name: str, text: str) -> None:
    splits = read_splits(write(tmp_path / name, text))
    assert (splits.of(CHAIR, "a"), splits.of(TABLE, "b")) == ("train", "test")
    assert splits.of(TABLE, "a") is None


def test_names_with_spaces_and_splits_of_other_names(tmp_path: Path) -> None:
    splits = read_splits(write(tmp_path / "s.txt", "mug/a grüner Becher\tholdout\n"))
    assert splits.of("mug", "a grüner Becher") == "holdout"


def test_a_name_with_a_synset_goes_before_one_without(tmp_path: Path) -> None:
    splits = read_splits(write(tmp_path / "s.txt", "a train\nchair/a test\n"))
    assert (splits.of(CHAIR, "a"), splits.of(TABLE, "a")) == ("test", "train")


@pytest.mark.parametrize(
    ("name", "text", "message"),
    [
        ("s.csv", "", "s.csv is empty"),
        ("s.csv", "id,split\n", "s.csv lists no objects"),
        ("s.csv", "id,split\na,train\nb\n", r"s.csv, line 3: 2 columns \(id, split\).* got 1"),
        ("s.csv", "id,split,colour\n", "s.csv, line 1: the columns must be .* got id, split, col"),
        ("s.csv", "split\ntrain\n", "s.csv, line 1: the columns must be"),
        ("s.csv", "id,split\na,train\na,test\n", "s.csv, line 3: a is in test and in train"),
        ("s.csv", "id,split\na,\n", "s.csv, line 2: a split must be a word"),
        ("s.csv", "id,split\nx/y/a,train\n", "s.csv, line 2: a name must be model or synset"),
        ("s.csv", "id,split\n/a,train\n", "s.csv, line 2: a name must be"),
        ("s.csv", "id,split\n,train\n", "s.csv, line 2: a name must be"),
        ("s.csv", "id,category,split\ntable/a,chair,train\n", "line 2: 'table/a' is not of synset"),
        ("s.json", "  ", "s.json is empty"),
        ("s.json", '{"train": ["a"],\n  oops}', "s.json: .*line 2"),
        ("s.json", "[1]", "s.json must hold an object of splits"),
        ("s.json", '{"train": "a"}', "s.json, train: a list of names is required, got a text"),
        ("s.json", '{"chair": {"train": [1]}}', "s.json, chair/train: a list of names"),
        ("s.json", '{"train": ["a"], "test": ["a"]}', "s.json, test: a is in test and in train"),
        ("s.json", '{"train": ["a"], "train": ["b"]}', "s.json: the key 'train' appears twice"),
        ("s.json", '{"train": []}', "s.json lists no objects"),
        ("s.json", "[" * 100_000, "s.json is nested too deeply|s.json: "),
        ("s.txt", "a train\nb c test\n", r"s.txt, line 2: 2 columns \(name, split\).* got 3"),
        ("s.txt", "# nothing\n", "s.txt lists no objects"),
    ],
)
def test_malformed_files_name_the_place(tmp_path: Path, name: str, text: str, message: str) -> None:
    with pytest.raises(ValueError, match=message):
        read_splits(write(tmp_path / name, text))


def test_an_empty_list_is_an_error_of_its_category(tmp_path: Path, caplog) -> None:
    write(tmp_path / CHAIR / "train.lst", "a\n")
    write(tmp_path / CHAIR / "val.lst", " \n")
    write(tmp_path / TABLE / "train.lst", "b\n")
    assert dict(read_splits(tmp_path).words) == {(TABLE, "b"): "train"}
    (record,) = caplog.records
    assert record.levelname == "ERROR"
    assert f"val.lst is empty: the category {CHAIR} is left out" in caplog.text
    write(tmp_path / TABLE / "train.lst", "")
    with pytest.raises(ValueError, match="lists no objects"):
        read_splits(tmp_path)


@pytest.mark.parametrize("encoding", ["utf-8", "utf-8-sig", "utf-16", "latin-1"])
@pytest.mark.parametrize("end", ["\n", "\r\n", "\r"])
def test_tables_of_every_encoding(tmp_path: Path, encoding: str, end: str) -> None:
    path = tmp_path / "s.csv"
    path.write_bytes(f"id,split{end}gr\u00fcn,train{end}b,test{end}".encode(encoding))
    assert dict(read_splits(path).words) == {("", "gr\u00fcn"): "train", ("", "b"): "test"}


def test_malformed_lists_name_the_place(tmp_path: Path) -> None:
    write(tmp_path / CHAIR / "train.lst", "a\n")
    listed = write(tmp_path / CHAIR / "val.lst", "b\na\n")
    with pytest.raises(ValueError, match=r"val\.lst, line 2: 03001627/a is in val and in train"):
        read_splits(tmp_path)
    listed.write_bytes(b"\xff\xfea")
    with pytest.raises(ValueError, match=r"val\.lst: the text is marked as utf-16-le"):
        read_splits(tmp_path)
    listed.write_text(f"{TABLE}/x")
    with pytest.raises(ValueError, match=r"val\.lst, line 1: '04379243/x' is not of synset"):
        read_splits(tmp_path)


def test_missing_files_and_folders_without_lists(tmp_path: Path) -> None:
    with pytest.raises(FileNotFoundError, match=r"split file not found: .*none\.csv"):
        read_splits(tmp_path / "none.csv")
    with pytest.raises(ValueError, match="lists no objects"):
        read_splits(tmp_path)


def test_objects_that_a_file_does_not_list_are_counted(
    tmp_path: Path, caplog: pytest.LogCaptureFixture
) -> None:
    path = write(tmp_path / "s.txt", "a train\nb.obj test\n")
    keys = [(CHAIR, "a", "a.obj"), (CHAIR, "b", "b.obj"), (CHAIR, "c", "c.obj")]
    with caplog.at_level(logging.INFO):
        assert assign_splits(keys, path) == ["train", "test", None]
    assert "1 of 3 objects are not listed in" in caplog.text
    with pytest.raises(ValueError, match=r"lists none of the 1 objects, such as 04379243/x"):
        assign_splits([(TABLE, "x")], path)


def test_without_a_file_the_first_name_decides() -> None:
    assert assign_splits([(CHAIR, "model-5", "x"), (TABLE, "model-5")], None) == ["val", "val"]
