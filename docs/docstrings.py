"""Docstrings of this project as reStructuredText, as which Sphinx reads them.

They are plain text with the sections that napoleon knows, and besides as in Markdown: `code` in
single quotes, tables, lists without an empty line before them, and indented blocks. Nothing else
is markup, so what has a meaning in reStructuredText is escaped.
"""

from __future__ import annotations

import re
from itertools import groupby

# Code; signs which would mark text; the end of a name which would be a link.
_SPECIAL = re.compile(r"(?P<code>``?[^`]+``?)(?P<end>\w?)|[*|]|(?<=\w)_(?!\w)")
_RESULT = re.compile(r"    \w+: ")


def to_restructured_text(lines: list[str]) -> list[str]:
    """Translate a docstring, its common indentation removed; the number of lines may change."""
    lines = _with_named_results(lines)
    blocks = [list(block) for full, block in groupby(lines, key=bool) if full]
    found: list[str] = []
    after_text = False  # whether an indented block would be code
    for block in blocks:
        if all(line.lstrip().startswith("|") for line in block):
            found += _table(block)
        elif after_text and all(line.startswith("    ") for line in block):
            found += ["::", "", *block, ""]
        else:
            found += [*_escaped(_with_space_before_lists(block)), ""]
            after_text = _indent(block[-1]) == 0
    return found


def _indent(line: str) -> int:
    return len(line) - len(line.lstrip())


def _with_named_results(lines: list[str]) -> list[str]:
    """Gives several results which are told by name a section of their own, see conf.py."""
    if "Returns:" not in lines:
        return lines
    start = end = lines.index("Returns:") + 1
    while end < len(lines) and lines[end].startswith("    "):
        end += 1
    several = sum(bool(_RESULT.match(line)) for line in lines[start:end]) > 1
    return [*lines[: start - 1], "Results:", *lines[start:]] if several else lines


def _with_space_before_lists(block: list[str]) -> list[str]:
    found: list[str] = []
    for before, line in zip(["", *block], block, strict=False):
        begins = line.lstrip().startswith("- ") and not before.lstrip().startswith("- ")
        if before and begins and _indent(before) <= _indent(line):
            found.append("")
        found.append(line)
    return found


def _escaped(lines: list[str]) -> list[str]:
    def replace(match: re.Match[str]) -> str:
        if match["code"] is None:
            return f"\\{match[0]}"
        # Where a word goes on after code, as in the plural, it ends with an escaped space.
        return f"``{match['code'].strip('`')}``" + (f"\\ {match['end']}" if match["end"] else "")

    return _SPECIAL.sub(replace, "\n".join(lines)).split("\n")


def _table(rows: list[str]) -> list[str]:
    indent = " " * _indent(rows[0])
    found = [f"{indent}.. list-table::", f"{indent}   :header-rows: 1", ""]
    for row in (row for row in rows if not re.fullmatch(r"[\s|:-]+", row)):
        cells = row.strip().strip("|").split("|")
        for index, cell in enumerate(_escaped([cell.strip() for cell in cells])):
            found.append(f"{indent}   {'  ' if index else '* '}- {cell}")
    return [*found, ""]
