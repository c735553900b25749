"""The page on the configuration is what the files say, and every key in them is explained."""

from __future__ import annotations

import sys
from pathlib import Path

import pytest

sys.path.insert(0, str(Path(__file__).parents[2] / "scripts"))
import document_configuration as document
from document_configuration import ConfigFile, Explanations, Key, read_file

FILE = """\
# @package _global_
# Said of the file,
# in two lines.
defaults:
  - base
  - override /model: small
  - _self_

# Above, on
# two lines.
first: 1
second: [1,
  2] # beside | with a bar
# Above a mapping.
part: # beside it
  _target_: package.Part
  _convert_: all
  size: 3 # pixels
  same: ${first}
other:
  _target_: package.Part
  size: "a # b"
stages:
  - steps: 1 # of each
    name: x
  - steps: 2
    name: y
empty: {}
hydra:
  run:
    dir: out
"""


@pytest.fixture
def file(tmp_path: Path) -> ConfigFile:
    path = tmp_path / "option.yaml"
    path.write_text(FILE)
    return read_file(path, "ignored")


def test_the_page_is_up_to_date() -> None:
    command = "python scripts/document_configuration.py"
    assert document.PAGE.read_text(encoding="utf-8") == document.page(), f"run {command}"


def test_every_key_is_explained() -> None:
    # These the header of configs/loss/softras.yaml explains together.
    known = ("loss/softras: loss.weights", "search/optimizer: hydra.sweeper.params.loss.")
    assert [name for name in document.unexplained() if not name.startswith(known)] == []


def test_every_file_is_on_the_page() -> None:
    page = document.page()
    for path in document.CONFIGS.rglob("*.yaml"):
        group = path.parent.relative_to(document.CONFIGS).as_posix()
        heading = f"`{group}={path.stem}`**" if group != "." else f"{path.stem}.py\n"
        assert heading in page, f"{path} is in no group of COMMANDS"


def test_a_file_is_read_with_its_comments(file: ConfigFile) -> None:
    assert file.header == ["Said of the file,", "in two lines."]
    assert file.defaults == ["base", "override /model=small"]
    comments = {key.name: (key.value, key.comment) for key in file.keys}
    assert comments == {
        "first": ("1", "Above, on two lines."),
        "second": ("[1, 2]", "beside | with a bar"),
        "part": ("package.Part", "beside it"),
        "part.size": ("3", "pixels"),
        "part.same": ("${first}", ""),
        "other": ("package.Part", ""),
        "other.size": ('"a # b"', ""),
        "stages": ("", ""),
        "stages.N.steps": ("1; 2", "of each"),
        "stages.N.name": ("x; y", ""),
        "empty": ("{}", ""),
    }


def test_keys_of_a_group_stand_below_its_name(tmp_path: Path) -> None:
    path = tmp_path / "small.yaml"
    path.write_text("# Small.\nsize: 1\n")
    read = read_file(path, "model.head")
    assert [key.name for key in read.keys] == ["model.head.size"]
    assert (read.option, read.keys[0].comment) == ("small", "")


def test_explanations_come_from_the_same_argument_or_the_same_key(file: ConfigFile) -> None:
    keys = {key.name: key for key in file.keys}
    explanations = Explanations({"model": [file]})
    assert explanations.of(keys["other.size"], file) == "pixels"
    assert explanations.of(keys["stages.N.name"], file) == ""
    other = Key("first", "7", "", "", leaf=True)
    searched = Key("hydra.sweeper.params.first", "range", "", "", leaf=True)
    for key in (other, searched):
        assert explanations.of(key, ConfigFile("x", [])) == "Above, on two lines."
    assert Explanations({"experiment": [file]}).of(other, ConfigFile("x", [])) == ""


def test_a_table_shows_signs_as_they_are(file: ConfigFile) -> None:
    table = document._table(file, Explanations({}))
    assert "| `second` | `[1, 2]` | beside \\| with a bar |" in table
    assert "| `part` |  | beside it; `package.Part` |" in table


def test_a_list_is_refused(tmp_path: Path) -> None:
    (tmp_path / "list.yaml").write_text("- 1\n")
    with pytest.raises(ValueError, match=r"list\.yaml must be a mapping"):
        read_file(tmp_path / "list.yaml")


def test_writes_where_it_is_told(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    document.main([str(tmp_path / "page.md")])
    assert (tmp_path / "page.md").read_text(encoding="utf-8") == document.page()
    assert len(capsys.readouterr().out.splitlines()) == len(document.unexplained())
