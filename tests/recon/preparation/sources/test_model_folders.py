from __future__ import annotations

from pathlib import Path

import pytest

from recon.preparation.sources.model_folders import Model, files_state, find_models, open_model

CHAIR, CAR = "03001627", "02958343"


@pytest.fixture
def tree(tmp_path: Path) -> Path:
    for synset, model in ((CHAIR, "a"), (CHAIR, "b"), (CAR, "c")):
        (tmp_path / "data" / synset / model).mkdir(parents=True)
        (tmp_path / "data" / synset / model / "x.txt").write_text(model)
    return tmp_path / "data"


def test_folders_are_split_by_their_names(tree: Path) -> None:
    models = find_models(tree, None, None)
    assert [(m.synset, m.id) for m in models] == [(CAR, "c"), (CHAIR, "a"), (CHAIR, "b")]
    assert find_models(tree, ["chair"], None) == models[1:]
    entry = models[1].entry(["state"])
    assert (entry.id, entry.synset, entry.split) == (f"{CHAIR}-a", CHAIR, models[1].split)
    assert entry.fingerprint != models[1].entry(["other"]).fingerprint


def test_lists_tell_which_models_there_are(tree: Path, caplog) -> None:
    (tree / CHAIR / "softras_train.lst").write_text("b\nmissing\n")
    (tree / CHAIR / "softras_test.lst").write_text("a\n")
    assert find_models(tree, None, None) == [
        Model(CHAIR, "a", "test"),
        Model(CHAIR, "b", "train"),
        Model(CHAIR, "missing", "train"),
    ]
    assert f"no lists in {CAR}" in caplog.text


def test_a_split_file_counts_before_lists(tree: Path, tmp_path: Path) -> None:
    (tree / CHAIR / "train.lst").write_text("b\n")
    (tmp_path / "splits.txt").write_text(f"a special\n{CAR}/c test\n")
    assert find_models(tree, None, tmp_path / "splits.txt") == [
        Model(CAR, "c", "test"),
        Model(CHAIR, "a", "special"),
    ]


def test_names_which_lead_out_are_refused(tree: Path, tmp_path: Path) -> None:
    (tmp_path / "secret").mkdir()
    (tree / CHAIR / "link").symlink_to(tmp_path / "secret")
    (tree / CHAIR / "train.lst").write_text("..\nlink\n")
    models = find_models(tree, None, None)
    assert [m.id for m in models] == ["..", "link"]
    for model in models:
        with pytest.raises(ValueError, match="leads out of"):
            open_model(tree, model.synset, model.id)
    (tree / CHAIR / "train.lst").write_text("../../secret\n")
    with pytest.raises(ValueError, match=r"train\.lst, line 1: a name must be"):
        find_models(tree, None, None)


def test_unusable_names_are_left_out_with_a_warning(caplog) -> None:
    assert Model(CHAIR, "a b", "train").entry(0) is None
    assert "a b: left out" in caplog.text


def test_missing_folders_and_categories_are_named(tree: Path, tmp_path: Path) -> None:
    with pytest.raises(FileNotFoundError, match="none"):
        open_model(tree, CHAIR, "none")
    with pytest.raises(ValueError, match="has no category 02691156; it has 02958343, 03001627"):
        find_models(tree, ["airplane", "chair"], None)
    (tmp_path / "empty").mkdir()
    with pytest.raises(ValueError, match="has no models; they belong into"):
        find_models(tmp_path / "empty", None, None)


def test_a_category_with_an_empty_list_is_left_out(tree: Path, caplog) -> None:
    for synset in sorted(path.name for path in tree.iterdir()):
        (tree / synset / "train.lst").write_text("a\n")
    (tree / CHAIR / "val.lst").write_text("")
    models = find_models(tree, None, None)
    assert models
    assert CHAIR not in {model.synset for model in models}
    assert f"the category {CHAIR} is left out" in caplog.text
    with pytest.raises(ValueError, match=f"has no models in the lists of {CHAIR}"):
        find_models(tree, [CHAIR], None)


def test_the_state_changes_with_the_files(tree: Path) -> None:
    state = files_state(tree, CHAIR, "a", (".", "x.txt", "none"))
    assert state == files_state(tree, CHAIR, "a", (".", "x.txt", "none"))
    (tree / CHAIR / "a" / "x.txt").write_text("longer")
    assert state != files_state(tree, CHAIR, "a", (".", "x.txt", "none"))
    assert open_model(tree, CHAIR, "a").read("x.txt") == b"longer"
