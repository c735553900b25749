"""Files of configs/ are read with the comments of their keys."""

from __future__ import annotations

import sys
from pathlib import Path

import pytest

sys.path.insert(0, str(Path(__file__).parents[2] / "docs"))
from commented_yaml import ConfigFile, read_file

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


def test_a_package_of_its_own_is_where_the_keys_of_a_file_stand(tmp_path: Path) -> None:
    path = tmp_path / "option.yaml"
    path.write_text("# @package model\n# A part.\nbackbone:\n  side: 3 # pixels\n")
    file = read_file(path, "model.backbone")
    assert [(key.name, key.comment) for key in file.keys if key.leaf] == [
        ("model.backbone.side", "pixels")
    ]
    assert file.header == ["A part."]


def test_keys_of_a_group_stand_below_its_name(tmp_path: Path) -> None:
    path = tmp_path / "small.yaml"
    path.write_text("# Small.\nsize: 1\n")
    read = read_file(path, "model.head")
    assert [key.name for key in read.keys] == ["model.head.size"]
    assert (read.option, read.keys[0].comment) == ("small", "")


def test_a_list_is_refused(tmp_path: Path) -> None:
    (tmp_path / "list.yaml").write_text("- 1\n")
    with pytest.raises(ValueError, match=r"list\.yaml must be a mapping"):
        read_file(tmp_path / "list.yaml")
