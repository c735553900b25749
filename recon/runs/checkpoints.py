"""Checkpoints: written atomically, loaded without running code, refused with a reason.

A checkpoint is a dict with at least

| key | meaning |
|---|---|
| `format`, `version` | mark the file as a checkpoint of this project |
| `model`, `optimizer` | state dicts |
| `trained` | the weights that the optimiser moves, where `model` is their average |
| `step` | optimiser steps done |
| `schedule` | the states of adaptive schedules by their names, where there are any |
| `config` | the resolved configuration which made it, plain dicts, lists and scalars |
| `random` | a list of random states, of each process; see `random_states` |
| `best_iou`, `best_step`, `best_metrics` | the best validation so far, None before the first |
| `batch`, `terms`, `lighting` | only in dumps of a skipped step: its data, losses, light |
"""

from __future__ import annotations

import random
import zipfile
from collections.abc import Iterator, Mapping, Sequence
from contextlib import contextmanager
from pathlib import Path
from typing import Any

import numpy as np
import torch
from torch import Tensor, nn

from recon.files import atomic_file
from recon.runs.former_names import current_config, current_state
from recon.runs.shipped_models import SUFFIX as WEIGHTS
from recon.runs.shipped_models import find_model
from recon.runs.weight_files import load_weights

FORMAT = "recon.checkpoint"
VERSION = 3
REQUIRED = ("model", "optimizer", "step", "config")

# A module path is importable code, so a file from elsewhere must not name any other than these.
ALLOWED_TARGETS = ("recon.models.",)


def save_checkpoint(path: Path, content: Mapping[str, Any]) -> None:
    """Writes a checkpoint so that `path` holds either the old file or the whole new one.

    Args:
        path: The path of the file; its folder must exist.
        content: The values of the keys that the module docstring lists, without `format` and
            `version`.

    Raises:
        OSError: The disk is full or not writable; `path` is then as it was.
    """
    with atomic_file(path) as file:
        torch.save({"format": FORMAT, "version": VERSION, **content}, file)


def load_checkpoint(path: str | Path, device: str | torch.device = "cpu") -> dict[str, Any]:
    """Reads a checkpoint; nothing in the file is executed.

    Args:
        path: The path of a file written by `save_checkpoint` or `save_weights`, or the name of a
            shipped model.
        device: The device of its tensors.

    Raises:
        FileNotFoundError: There is no such file.
        ValueError: The file is truncated, damaged, no checkpoint, or of another version; the
            message says which.
    """
    path = find_model(path)
    if path.suffix == WEIGHTS:
        return load_weights(path, device)
    if not path.is_file():
        raise FileNotFoundError(f"checkpoint: no such file: {path}")
    _require_checksums(path)
    try:
        content = torch.load(path, map_location=device, weights_only=True)
    except PermissionError:
        raise
    except Exception as error:  # torch.load fails in many ways, OSError among them, on such bytes
        # Without torch's own message, which advises to load the file with code allowed to run.
        raise ValueError(f"checkpoint {path}: truncated or not a checkpoint") from error
    _validate(path, content)
    return _upgraded(content)


def _require_checksums(path: Path) -> None:
    """Refuses a file whose content does not match the checksums that are stored with it.

    A flipped bit in a weight would load without any other sign. torch stores its tensors in a zip
    archive, with a CRC-32 of each, but does not compare them.
    """
    try:
        with zipfile.ZipFile(path) as archive:
            # torch compresses nothing; what a foreign archive unpacks to may be of any size.
            stored = all(one.compress_type == zipfile.ZIP_STORED for one in archive.infolist())
            damaged = archive.testzip() if stored else None
    except PermissionError:
        raise
    except Exception as error:  # zipfile fails in many ways, OSError among them, on such bytes
        raise ValueError(f"checkpoint {path}: truncated or not a checkpoint") from error
    if not stored:
        raise ValueError(f"checkpoint {path}: not a checkpoint, its content is compressed")
    if damaged is not None:
        raise ValueError(f"checkpoint {path}: damaged, {damaged} does not match its checksum")


def _validate(path: Path, content: object) -> None:
    if not isinstance(content, dict) or content.get("format") != FORMAT:
        raise ValueError(f"checkpoint {path}: not written by this library (no format={FORMAT!r})")
    if content.get("version") not in range(1, VERSION + 1):
        raise ValueError(
            f"checkpoint {path}: version {content.get('version')}, this code reads 1 to {VERSION}"
        )
    missing = [key for key in REQUIRED if key not in content]
    if missing:
        raise ValueError(f"checkpoint {path}: has no {', '.join(missing)}")


def _upgraded(content: dict[str, Any]) -> dict[str, Any]:
    """Returns a checkpoint with the names of today; one of version 1 was of one process."""
    changed: dict[str, Any] = {"version": VERSION}
    if isinstance(content["config"], dict):
        changed["config"] = current_config(content["config"])
    if content["version"] < 3:
        changed["model"] = current_state(content["model"])
    if content["version"] < 2:
        added = {"best_metrics": None, "skipped": 0, "seconds": 0.0, "stopped": None}
        random = [content["random"]] if "random" in content else []
        content = {**added, **content, "random": random}
    names = {"best_figures": "best_metrics"}
    return {names.get(key, key): value for key, value in {**content, **changed}.items()}


def load_model_state(model: nn.Module, state: Mapping[str, Tensor]) -> None:
    """Loads a state dict into a model of exactly the same parameters and buffers.

    Raises:
        ValueError: Names or shapes differ, and the message counts them and shows the first of
            each; or faces name vertices that the model does not have.
    """
    own = model.state_dict()
    missing = [name for name in own if name not in state]
    unexpected = [name for name in state if name not in own]
    reshaped = [
        f"{name} {tuple(state[name].shape)} for {tuple(own[name].shape)}"
        for name in own
        if name in state and state[name].shape != own[name].shape
    ]
    found = {"missing": missing, "unexpected": unexpected, "of another shape": reshaped}
    if any(found.values()):
        parts = [f"{len(names)} {kind} ({names[0]})" for kind, names in found.items() if names]
        raise ValueError(
            f"the checkpoint holds another model than {type(model).__name__} as configured: "
            f"{', '.join(parts)}"
        )
    model.load_state_dict(state)
    _require_faces(model)


def _require_faces(model: nn.Module) -> None:
    """Refuses faces with indices beyond the last vertex; kernels would read beside the array."""
    faces, template = getattr(model, "faces", None), getattr(model, "template_vertices", None)
    if not isinstance(faces, Tensor) or not isinstance(template, Tensor) or not faces.numel():
        return  # no model that predicts meshes
    low, high = int(faces.min()), int(faces.max())
    if low < 0 or high >= len(template):
        raise ValueError(
            f"the checkpoint's faces must name vertices 0..{len(template) - 1}, got {low}..{high}"
        )


def load_initial_state(model: nn.Module, state: Mapping[str, Tensor]) -> list[str]:
    """Loads the parts of a state dict that a model has, such as the encoder.

    Args:
        model: The model; those of its children that the state lacks stay as they are.
        state: The state dict of a model with some of these children.

    Returns:
        The names of the parts which the model lacks.

    Raises:
        ValueError: Names or shapes within a part differ, or there is no part in common.
    """
    own = model.state_dict()
    parts, there = ({name.partition(".")[0] for name in names} for names in (own, state))
    if not parts & there:
        raise ValueError(
            f"the model has the parts {', '.join(sorted(parts))}, and the weights to start from "
            f"are of {', '.join(sorted(there))}"
        )
    new = {name: value for name, value in own.items() if name.partition(".")[0] not in there}
    known = {name: value for name, value in state.items() if name.partition(".")[0] in parts}
    load_model_state(model, {**new, **known})
    return sorted(there - parts)


def model_config(
    checkpoint: Mapping[str, Any], allowed_targets: tuple[str, ...] = ALLOWED_TARGETS
) -> dict[str, Any]:
    """Returns the part of a checkpoint's configuration which builds its model.

    Args:
        checkpoint: The checkpoint that `load_checkpoint` returned.
        allowed_targets: The prefixes of which every `_target_` in the configuration must have one;
            the caller will import and call these names, and the file may come from anywhere.

    Raises:
        ValueError: There is no model in the configuration, or it names a target without such a
            prefix.
    """
    config = checkpoint["config"].get("model") if isinstance(checkpoint["config"], dict) else None
    if not isinstance(config, dict) or "_target_" not in config:
        raise ValueError("the checkpoint's config has no model._target_ to build")
    require_targets(config, allowed_targets)
    return config


def require_targets(config: object, allowed_targets: Sequence[str]) -> None:
    """Refuses a configuration out of a file which would call what is not allowed.

    Args:
        config: A configuration of nested dicts and lists.
        allowed_targets: The prefixes of which every `_target_` in the configuration must have one;
            the caller will import and call these names, and the file may come from anywhere.

    Raises:
        ValueError: A target has none of these prefixes.
    """
    for target in _targets(config):
        if not str(target).startswith(tuple(allowed_targets)):
            raise ValueError(
                f"the checkpoint's config would call {target!r}; allowed are names starting with "
                f"{', '.join(allowed_targets)}"
            )


def _targets(node: object) -> Iterator[object]:
    """Yields every `_target_` in nested dicts and lists."""
    if isinstance(node, dict):
        if "_target_" in node:
            yield node["_target_"]
        node = list(node.values())
    if isinstance(node, list):
        for child in node:
            yield from _targets(child)


def seed_everything(seed: int) -> None:
    """Seeds Python's, NumPy's and torch's global random generators."""
    random.seed(seed)
    np.random.seed(seed % 2**32)  # noqa: NPY002 - the global generator is what others may use
    torch.manual_seed(seed)


def random_states() -> dict[str, Any]:
    """Returns the states of all global random generators, in types that `weights_only` accepts."""
    _, keys, position, has_gauss, gauss = np.random.get_state(legacy=True)  # noqa: NPY002
    version, internal, gauss_next = random.getstate()
    return {
        "python": [version, list(internal), gauss_next],
        "numpy": [torch.from_numpy(np.asarray(keys).astype(np.int64)), position, has_gauss, gauss],
        "torch": torch.get_rng_state(),
        "cuda": torch.cuda.get_rng_state_all() if torch.cuda.is_available() else [],
    }


def restore_random_states(states: Mapping[str, Any]) -> None:
    """Sets all global random generators to what `random_states` returned.

    CUDA generators are set only when as many devices are here as were there.
    """
    version, internal, gauss_next = states["python"]
    random.setstate((version, tuple(internal), gauss_next))
    keys, position, has_gauss, gauss = states["numpy"]
    restored = ("MT19937", keys.cpu().numpy().astype(np.uint32), position, has_gauss, gauss)
    np.random.set_state(restored)  # noqa: NPY002
    torch.set_rng_state(states["torch"].cpu())
    if states["cuda"] and len(states["cuda"]) == torch.cuda.device_count():
        torch.cuda.set_rng_state_all([state.cpu() for state in states["cuda"]])


@contextmanager
def preserved_random_states() -> Iterator[None]:
    """Leaves all global random generators after the block as they were before it."""
    states = random_states()
    try:
        yield
    finally:
        restore_random_states(states)
