"""Errors of Hydra and of the library in one line, with the nearest known name."""

from __future__ import annotations

import re
from collections.abc import Callable, Iterator
from typing import Any

from hydra.errors import ConfigCompositionException, HydraException, MissingConfigException
from omegaconf import DictConfig, OmegaConf
from omegaconf.errors import OmegaConfBaseException

from recon.arguments import nearest
from recon.command_line import user_error

# The message of Hydra about a key that no file of the configuration has.
_UNKNOWN = re.compile(r"Could not override '([^']+)'")


def one_line(error: BaseException, default_config: Callable[[], DictConfig]) -> str | None:
    """Returns an error of the user in one line.

    Args:
        error: The error that ended the program.
        default_config: A function that composes the configuration without overrides, whose keys are
            suggested.

    Returns:
        The message; None for a defect, which should keep its traceback.
    """
    if isinstance(error, MissingConfigException):
        return _missing_file(error)
    if isinstance(error, ConfigCompositionException):
        unknown = _UNKNOWN.search(str(error))
        if unknown:
            return _unknown_key(unknown[1], error, set(_names(default_config())))
    if isinstance(error, HydraException | OmegaConfBaseException) and not _raised_by_us(error):
        return "; ".join(_sentences(error))
    ours = user_error(error)
    return None if ours is None else str(ours)


def _unknown_key(key: str, error: BaseException, known: set[str]) -> str:
    """Returns what to write instead of a key, or of one in the value of a known key."""
    within = getattr(error.__cause__, "full_key", "")
    if key not in known or not within:
        return f"{key} is unknown{nearest(key, known)}"
    similar = nearest(within, [name for name in known if name.startswith(f"{key}.")])
    return f"{within} is unknown{similar or f'; +{within}=VALUE adds it'}"


def _raised_by_us(error: BaseException) -> bool:
    """Tells whether an error of Hydra was raised from one of the library, which says more."""
    ours = user_error(error)
    return ours is not None and not isinstance(ours, HydraException | OmegaConfBaseException)


def _missing_file(error: MissingConfigException) -> str:
    group, _, name = (error.missing_cfg_file or "").rpartition("/")
    options = list(error.options or ())
    if not group or not options:
        return str(error).splitlines()[0]
    return f"{group}={name}: there is {', '.join(options)}{nearest(name, options)}"


def _sentences(error: BaseException) -> Iterator[str]:
    """Yields the first line of an error and of those it was raised from, without repetition."""
    link: BaseException | None = error
    last = ""
    while link is not None:
        line = str(link).strip().splitlines()[0] if str(link).strip() else type(link).__name__
        if line != last:
            yield line.rstrip(".")
        last, link = line, link.__cause__


def _names(config: DictConfig) -> Iterator[str]:
    """Yields the full names of all keys and of the groups of a configuration."""
    yield from _keys(config, "")
    yield from OmegaConf.select(config, "hydra.runtime.choices", default={})


def _keys(node: Any, prefix: str) -> Iterator[str]:
    for name, child in node.items_ex(resolve=False):
        if prefix or name != "hydra":
            yield f"{prefix}{name}"
            if OmegaConf.is_dict(child):
                yield from _keys(child, f"{prefix}{name}.")
