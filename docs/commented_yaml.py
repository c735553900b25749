"""Reads the files of configs/ with the comments which explain their keys.

A comment explains the key on its line, or the key below it; the comment at the top of a file
explains the file.
"""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass, field
from pathlib import Path

import yaml
from yaml import MappingNode, Node, ScalarNode, SequenceNode


@dataclass(frozen=True)
class Key:
    """A key of a file.

    Attributes:
        name: Dotted, as typed on the command line.
        value: As the file has it; the target of a mapping which has one; else nothing.
        comment: Beside or above it, as one line; empty where there is none.
        target: Of the mapping the key is in, or nothing.
        leaf: Whether it has a value rather than further keys.
    """

    name: str
    value: str
    comment: str
    target: str
    leaf: bool

    @property
    def refers(self) -> bool:
        """Whether the value repeats that of another key, which explains it."""
        return self.value.startswith("${")


@dataclass(frozen=True)
class ConfigFile:
    """What a file of configs/ holds.

    Attributes:
        option: The file's name without its ending.
        header: The comment at its top, line by line, without Hydra's directive.
        target: What it builds, or nothing.
        defaults: Other files of its group which it starts from, and choices it overrides.
        keys: In the order of the file, those of `hydra` and of Hydra itself left out.
    """

    option: str
    header: list[str]
    target: str = ""
    defaults: list[str] = field(default_factory=list)
    keys: list[Key] = field(default_factory=list)


def read_file(path: Path, package: str = "") -> ConfigFile:
    """Reads a file of configs/.

    Args:
        path: Of the file.
        package: Where its keys end up, such as `model`; nothing for the whole configuration. A line
            `# @package` of the file itself wins.

    Raises:
        ValueError: It is not a mapping.
    """
    text = path.read_text(encoding="utf-8")
    lines = text.splitlines()
    count = next((i for i, line in enumerate(lines) if not line.startswith("#")), len(lines))
    header = [line.lstrip("# ") for line in lines[:count]]
    for line in header:
        if line.startswith("@package"):
            package = line.split()[1].replace("_global_", "")
    header = [line for line in header if not line.startswith("@package")]
    node = yaml.compose(text)
    if not isinstance(node, MappingNode):
        raise ValueError(f"{path} must be a mapping")
    found = {key.value: value for key, value in node.value}
    keys = merged(_Reader(text, count).keys(node, package))
    target = found["_target_"].value if "_target_" in found else ""
    return ConfigFile(path.stem, header, target, _defaults(found.get("defaults")), keys)


class _Reader:
    """Walks the nodes of a file and finds the comments that belong to them."""

    def __init__(self, text: str, header: int) -> None:
        self._text, self._lines, self._header = text, text.splitlines(), header

    def keys(self, node: MappingNode, prefix: str) -> Iterator[Key]:
        targets = [value.value for key, value in node.value if key.value == "_target_"]
        target = targets[0] if targets else ""
        for key, value in node.value:
            name = f"{prefix}.{key.value}" if prefix else key.value
            if key.value.startswith("_") or key.value == "defaults":
                continue
            if name == "hydra":  # of which only what a search draws from is for people
                yield from self._sweeper(value)
                continue
            yield from self._key(key, value, name, target)

    def _key(self, key: Node, value: Node, name: str, target: str) -> Iterator[Key]:
        comment = self._comment(key, value)
        if isinstance(value, MappingNode) and value.value:
            yield Key(name, _target(value), comment, target, leaf=False)
            yield from self.keys(value, name)
        elif isinstance(value, SequenceNode) and not value.flow_style:
            yield Key(name, "", comment, target, leaf=False)
            for item in value.value:
                if isinstance(item, MappingNode):
                    yield from self.keys(item, f"{name}.N")
        else:
            text = self._text[value.start_mark.index : value.end_mark.index]
            yield Key(name, " ".join(text.split()), comment, target, leaf=True)

    def _sweeper(self, hydra: MappingNode) -> Iterator[Key]:
        for key, value in hydra.value:
            if key.value == "sweeper":
                yield from self._key(key, value, "hydra.sweeper", "")

    def _comment(self, key: Node, value: Node) -> str:
        block = isinstance(value, (MappingNode, SequenceNode)) and not value.flow_style
        end = key.end_mark if block else value.end_mark
        rest = self._lines[end.line][end.column :]
        beside = rest.partition("#")[2].strip()
        return beside or " ".join(self._above(key.start_mark.line, key.start_mark.column))

    def _above(self, line: int, column: int) -> list[str]:
        found: list[str] = []
        while line > self._header and self._lines[line - 1].startswith(" " * column + "#"):
            line -= 1
            found.insert(0, self._lines[line].strip("# "))
        return found


def _target(node: MappingNode) -> str:
    return next((value.value for key, value in node.value if key.value == "_target_"), "")


def _defaults(node: Node | None) -> list[str]:
    """Returns the entries of a defaults list as text, `_self_` and Hydra's own left out."""
    found = []
    for entry in node.value if node is not None else []:
        if isinstance(entry, ScalarNode):
            found.append(entry.value)
        else:
            ((key, value),) = entry.value
            found.append(f"{key.value}={value.value}")
    return [text for text in found if text != "_self_" and "job_logging" not in text]


def merged(keys: Iterator[Key]) -> list[Key]:
    """Puts the keys of several items of a list side by side."""
    found: dict[str, Key] = {}
    for key in keys:
        first = found.get(key.name)
        if first is None:
            found[key.name] = key
        elif key.leaf:
            value = f"{first.value}; {key.value}"
            found[key.name] = Key(key.name, value, first.comment, key.target, leaf=True)
    return list(found.values())
