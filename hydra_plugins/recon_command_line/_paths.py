"""Paths on the command line: whatever a file system allows goes through Hydra's parser as typed."""

from __future__ import annotations

import re
from collections.abc import Iterator, Sequence
from pathlib import Path

from hydra.core.override_parser.overrides_parser import OverridesParser

from recon.runs.shipped_models import shipped_models

# Keys whose value is a path, by the last part of their name.
PATH_KEYS = frozenset(
    (
        *("against", "cameras", "checkpoint", "file", "folder", "image", "images", "initial"),
        *("mask", "mesh", "output", "output_dir", "path", "points_folder", "split_file"),
        *("template", "voxels_folder", "weights"),
    )
)
# Those of them which name what is written, and so need not exist.
_WRITTEN = frozenset(("output", "output_dir"))
# `+data.path=VALUE`, as far as Hydra reads it before the value.
_OVERRIDE = re.compile(r"^(\+{0,2})([\w.@/]+)=(.*)$", re.DOTALL)
# Values with a meaning of their own to Hydra: nothing, null, a quoted text, a choice for a sweep.
_PLAIN = re.compile(r"""^(|null|None|'.*'|".*"|(choice|glob|sort|shuffle)\(.*\))$""", re.DOTALL)


def quote_paths(arguments: Sequence[str]) -> list[str]:
    """Quotes the values of keys that name paths, so that Hydra takes them as they are typed.

    A list `[a.h5,b.h5]` stays a list where no file has that name. In a sweep (`-m` or
    `--multirun`) values apart by commas stay apart where each of them exists; the explicit form is
    `key=choice('a','b')`.

    Args:
        arguments: A command line without the name of the program.

    Returns:
        The command line for Hydra.

    Raises:
        ValueError: In a sweep, a value has commas but neither it nor its parts exist.
    """
    sweeping = not {"-m", "--multirun"}.isdisjoint(arguments)
    return [_quoted_override(one, sweeping) for one in arguments]


def is_override(argument: str) -> bool:
    """Tells whether an argument sets or deletes a key; others are flags and their values."""
    return argument.startswith("~") or _OVERRIDE.match(argument) is not None


def swept_keys(overrides: Sequence[str]) -> Iterator[str]:
    """Yields the keys of overrides which have several values.

    Args:
        overrides: The arguments of a command line; those that are not overrides, such as flags, are
            ignored.
    """
    parser = OverridesParser.create()
    for override in overrides:
        if _OVERRIDE.match(override):
            parsed = parser.parse_override(override)
            if parsed.is_sweep_override():
                yield parsed.key_or_group


def quoted(text: str) -> str:
    """Returns a text in single quotes, as Hydra's grammar wants them."""
    # A backslash counts only before a quote, and before the end.
    escaped = re.sub(r"(\\*)'", r"\1\1\\'", text)
    trailing = len(escaped) - len(escaped.rstrip("\\"))
    return f"'{escaped}{chr(92) * trailing}'"


def _quoted_override(argument: str, sweeping: bool) -> str:
    match = _OVERRIDE.match(argument)
    if match is None or match[2].rpartition(".")[2] not in PATH_KEYS:
        return argument
    prefix, key, value = match.groups()
    if _PLAIN.match(value) or _is_list(value):
        return argument
    if sweeping and "," in value and key not in _WRITTEN and not Path(value).exists():
        value = ",".join(map(quoted, _existing_parts(key, value)))
    else:
        value = quoted(value)
    return f"{prefix}{key}={value}"


def _is_list(value: str) -> bool:
    return value.startswith("[") and value.endswith("]") and not Path(value).exists()


def _existing_parts(key: str, value: str) -> list[str]:
    parts = value.split(",")
    missing = [part for part in parts if not _exists(part)]
    if missing:
        choice = ",".join(map(quoted, parts))
        raise ValueError(
            f"{key}={value}: there is no {missing[0]}; a sweep over paths is "
            f'"{key}=choice({choice})", and one path with commas is "{key}={quoted(value)}"'
        )
    return parts


def _exists(part: str) -> bool:
    # Patterns and words such as null are for the command itself to judge.
    if any(sign in part for sign in "*?[") or _PLAIN.match(part):
        return True
    return Path(part).exists() or part in shipped_models()
