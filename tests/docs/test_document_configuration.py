"""The page on the configuration is what the files say, and every key in them is explained."""

from __future__ import annotations

import sys
from pathlib import Path

import pytest

sys.path.insert(0, str(Path(__file__).parents[2] / "docs"))
import document_configuration as document
from commented_yaml import ConfigFile, Key, read_file
from document_configuration import Explanations

FILE = """\
# A file.
first: 1 # Said of it.
second: [1, 2] # beside | with a bar
part: # beside it
  _target_: package.Part
  size: 3 # pixels
other:
  _target_: package.Part
  size: 5
  unsaid: 6
"""


@pytest.fixture
def file(tmp_path: Path) -> ConfigFile:
    path = tmp_path / "option.yaml"
    path.write_text(FILE)
    return read_file(path)


def test_the_page_is_up_to_date() -> None:
    command = "python docs/document_configuration.py"
    assert document.PAGE.read_text(encoding="utf-8") == document.page(), f"run {command}"


def test_every_key_is_explained() -> None:
    assert document.unexplained() == []


def test_every_file_is_on_the_page() -> None:
    page = document.page()
    for path in document.CONFIGS.rglob("*.yaml"):
        group = path.parent.relative_to(document.CONFIGS).as_posix()
        heading = f"`{group}={path.stem}`**" if group != "." else f"{path.stem}.py\n"
        assert heading in page, f"{path} is in no group of COMMANDS"


def test_explanations_come_from_the_same_argument_or_the_same_key(file: ConfigFile) -> None:
    keys = {key.name: key for key in file.keys}
    explanations = Explanations({"model": [file]})
    assert explanations.of(keys["other.size"], file) == "pixels"
    assert explanations.of(keys["other.unsaid"], file) == ""
    other = Key("first", "7", "", "", leaf=True)
    searched = Key("hydra.sweeper.params.first", "range", "", "", leaf=True)
    for key in (other, searched):
        assert explanations.of(key, ConfigFile("x", [])) == "Said of it."
    assert Explanations({"experiment": [file]}).of(other, ConfigFile("x", [])) == ""


def test_a_table_shows_signs_as_they_are(file: ConfigFile) -> None:
    table = document._table(file, Explanations({}))
    assert "| `second` | `[1, 2]` | beside \\| with a bar |" in table
    assert "| `part` |  | beside it; `package.Part` |" in table


def test_writes_where_it_is_told(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    document.main([str(tmp_path / "page.md")])
    assert (tmp_path / "page.md").read_text(encoding="utf-8") == document.page()
    assert len(capsys.readouterr().out.splitlines()) == len(document.unexplained())
