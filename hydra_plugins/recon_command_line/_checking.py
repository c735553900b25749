"""Values of a configuration, checked against the signatures of what it builds."""

from __future__ import annotations

import inspect
import pkgutil
import re
from collections.abc import Callable, Collection, Iterator, Mapping
from dataclasses import is_dataclass
from typing import Any

from omegaconf import DictConfig, OmegaConf, open_dict

from recon.arguments import check_arguments, check_value
from recon.runs.former_names import current_name

# `${data.path}`: the whole value is that of another key.
_REFERENCE = re.compile(r"^\$\{([\w.]+)\}$")


def check_config(config: DictConfig, keys: Mapping[str, Any]) -> None:
    """Checks every value of a configuration before anything is built of it.

    Values of nodes with a `_target_` are checked against its signature, the others against `keys`.
    What the declared types convert (`no` to false, 1e4 to 10000) is replaced in the configuration.

    Args:
        config: The composed configuration, which is changed in place.
        keys: The types of keys which a command itself reads, by their full names; `*` stands for
            any one part of a name, and a name that ends in `?` for a key that need not be there.
            The type of a mapping may be the dataclass which the command makes of it.

    Raises:
        ValueError: A value is missing or not of the declared type and range, a target does not
            exist or has no such argument; the message names the key as it is typed.
    """
    missing = sorted(_missing_keys(config, ""))
    if missing:
        raise ValueError(f"give {' '.join(f'{key}=VALUE' for key in missing)}")
    read = {key: hint for name, hint in keys.items() for key in _named_keys(config, name)}
    for key, hint in read.items():
        value = _plain(OmegaConf.select(config, key))
        if is_dataclass(hint):
            _check_stage(config, key, value, hint)
        else:
            _replace(config, key, value, check_value(value, hint, _typed_key(config, key)))
    for key, node in _built_nodes(config, ""):
        _check_node(config, key, node, read)


def drop_color_head(config: DictConfig, overrides: Collection[str]) -> None:
    """Drops a `model.color_head` that an experiment chose for a network of the library.

    A model of one's own in its place may make its colours itself. Only what the user has not typed
    is dropped, and only where the class of the model takes no such argument.

    Args:
        config: The composed configuration, which is changed in place.
        overrides: The overrides that were typed.
    """
    if OmegaConf.select(config, "model._target_") is None or "color_head" not in config.model:
        return
    name = config.model["_target_"]
    # Of the library, the one class with a color_head needs no import, which takes seconds.
    if current_name(name) == "recon.models.Reconstructor" or any(map(_names_head, overrides)):
        return
    parameters = inspect.signature(_target("model._target_", name)).parameters
    if "color_head" not in parameters and not any(
        one.kind is one.VAR_KEYWORD for one in parameters.values()
    ):
        with open_dict(config):
            del config.model["color_head"]


def _names_head(override: str) -> bool:
    return re.match(r"[+~]*model[./]color_head\b", override) is not None


def _named_keys(config: DictConfig, name: str) -> list[str]:
    """Returns the keys that a name with `*` or `?` stands for; another name as it is."""
    if name.endswith("?"):
        parent, _, child = name[:-1].rpartition(".")
        return [name[:-1]] if child in (OmegaConf.select(config, parent) or ()) else []
    parent, star, child = name.partition(".*")
    if not star:
        return [name]
    node = OmegaConf.select(config, parent)
    if not OmegaConf.is_config(node):
        return []
    children = range(len(node)) if OmegaConf.is_list(node) else node
    found = [f"{parent}.{one}" for one in children]
    if not child:
        return found
    # What has no such key is of another kind, as a term is which a user has switched off.
    return [key for one in found for key in _named_keys(config, f"{one}{child}?")]


def _check_stage(config: DictConfig, key: str, value: Any, made: type) -> None:
    """Checks a mapping of which the command itself makes a dataclass."""
    if not isinstance(value, dict):
        raise ValueError(f"{key} must be a mapping of the arguments of a {made.__name__}")
    names = {name: f"{key}.{name}" for name in value}
    for name, checked in check_arguments(made, value, names).items():
        _replace(config, names[name], value[name], checked)


def _missing_keys(node: Any, key: str) -> Iterator[str]:
    """Yields the full names of keys which must be given; references to them are passed over."""
    names = range(len(node)) if OmegaConf.is_list(node) else node.keys()
    for name in names:
        child = node._get_node(name)
        full = f"{key}.{name}" if key else str(name)
        if full == "hydra" or child is None or child._is_none() or child._is_interpolation():
            continue
        if child._is_missing():
            yield full
        elif OmegaConf.is_config(child):
            yield from _missing_keys(child, full)


def _check_node(config: DictConfig, key: str, node: DictConfig, read: Collection[str]) -> None:
    """Checks the arguments of what a node builds, but not the keys `read` by the command itself."""
    typed_target = node["_target_"]
    if isinstance(typed_target, str):
        node["_target_"] = current_name(typed_target)
    target = _target(f"{key}._target_", node["_target_"])
    full = {str(name): f"{key}.{name}" for name in node if not str(name).startswith("_")}
    names = [name for name in full if full[name] not in read]
    values = {name: _plain(node[name]) for name in names}
    plain = {name: value for name, value in values.items() if not _builds(value)}
    typed = {name: _typed_key(config, full[name]) for name in names}
    for name, value in check_arguments(target, plain, typed).items():
        _replace(config, full[name], plain[name], value)


def _target(key: str, name: object) -> Callable[..., Any]:
    if not isinstance(name, str):
        raise ValueError(f"{key} must be the dotted name of a class or function, got {name!r}")
    try:
        target = pkgutil.resolve_name(name)
    except Exception as error:  # whatever the import of a module raises
        raise ValueError(f"{key}={name} cannot be imported: {error}") from error
    if not callable(target):
        raise ValueError(f"{key}={name} is no class and no function")
    return target  # type: ignore[no-any-return]


def _built_nodes(node: Any, key: str) -> Iterator[tuple[str, DictConfig]]:
    """Yields every mapping with a `_target_`, also within lists, with its full key."""
    if OmegaConf.is_list(node):
        children = list(enumerate(node._iter_ex(resolve=False)))
    elif OmegaConf.is_dict(node):
        if "_target_" in node:
            yield key, node
        children = list(node.items_ex(resolve=False))
    else:
        return
    for name, child in children:
        # References repeat what is checked where it stands.
        if OmegaConf.is_config(child) and name != "hydra":
            yield from _built_nodes(child, f"{key}.{name}" if key else str(name))


def _builds(value: object) -> bool:
    if isinstance(value, dict):
        return "_target_" in value or any(map(_builds, value.values()))
    return isinstance(value, list) and any(map(_builds, value))


def _typed_key(config: DictConfig, key: str) -> str:
    """Returns the key which a user types to set a value: where it is a reference, what it names."""
    parent, _, name = key.rpartition(".")
    node = OmegaConf.select(config, parent) if parent else config
    raw = node._get_node(name) if OmegaConf.is_dict(node) else None
    value = raw._value() if raw is not None else None
    match = _REFERENCE.match(value) if isinstance(value, str) else None
    return _typed_key(config, _absolute(key, match[1])) if match else key


def _absolute(key: str, reference: str) -> str:
    """Returns the full key of a reference: each of its leading dots is a step up from `key`."""
    name = reference.lstrip(".")
    steps = len(reference) - len(name)
    return ".".join([*key.split(".")[:-steps], name]) if steps else name


def _plain(value: Any) -> Any:
    return OmegaConf.to_container(value, resolve=True) if OmegaConf.is_config(value) else value


def _replace(config: DictConfig, key: str, old: object, new: Any) -> None:
    """Sets what a check has converted; what it only gave another type of container stays."""
    if isinstance(new, bool | int | str) and (type(new) is not type(old) or new != old):
        with open_dict(config):
            OmegaConf.update(config, key, new, force_add=True)
