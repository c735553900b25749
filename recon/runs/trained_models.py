"""Trained models out of checkpoints: built from the configuration they carry, without Hydra.

Only classes which the allowed packages define themselves are called, so a checkpoint from elsewhere
cannot run other code.
"""

from __future__ import annotations

import inspect
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from functools import partial
from glob import glob
from importlib import import_module
from pathlib import Path
from typing import Any

import torch
from torch import nn

from recon.runs.checkpoints import (
    ALLOWED_TARGETS,
    load_checkpoint,
    load_model_state,
    model_config,
)
from recon.runs.shipped_models import find_model

TARGET = "_target_"
# Whether what is built is a function of the arguments that are left.
PARTIAL = "_partial_"
# Says how Hydra converts containers; plain ones need nothing.
CONVERT = "_convert_"


@dataclass(frozen=True, eq=False)
class TrainedModel:
    """A model with its weights, and the checkpoint it came from.

    Args:
        model: The model, in evaluation mode.
        checkpoint: The checkpoint that `load_checkpoint` returned.
        path: The path of the checkpoint.
    """

    model: nn.Module
    checkpoint: Mapping[str, Any]
    path: Path

    def data_path(self) -> str | list[str]:
        """Returns the path or paths of the data that the model was trained on.

        Relative paths belong to the folder in which the run was started. Where they do not exist
        from the current folder, they are tried from each of the folders above the checkpoint.

        Raises:
            FileNotFoundError: The files do not exist; the message names the key that sets their
                path.
        """
        path = (self.checkpoint["config"].get("data") or {}).get("path")
        names = [path] if isinstance(path, str) else list(path or [])
        for folder in (Path(), *self.path.resolve().parents):
            found = [str(folder / name) for name in names]
            if found and all(glob(name) or Path(name).exists() for name in found):
                return found[0] if isinstance(path, str) else found
        raise FileNotFoundError(
            f"the data that {self.path} was trained on are not here: {path}; give data.path=FILE"
        )


def load_trained_model(
    path: str | Path,
    device: str | torch.device = "cpu",
    allowed_targets: Sequence[str] = ALLOWED_TARGETS,
) -> TrainedModel:
    """Builds the model of a checkpoint and loads its weights.

    Args:
        path: The path of a checkpoint that a training run wrote or of a file of weights, or the
            name of a model that comes with the package.
        device: The device of the model.
        allowed_targets: The packages whose classes may be built, each with a dot at its end.

    Raises:
        FileNotFoundError: There is no such file.
        ValueError: The file is damaged or no checkpoint, or its configuration does not build the
            model that it holds.
    """
    path = find_model(path)
    checkpoint = load_checkpoint(path)
    model = build_model(checkpoint, allowed_targets)
    load_model_state(model, checkpoint["model"])
    return TrainedModel(model.to(device).eval(), checkpoint, path)


def build_model(
    checkpoint: Mapping[str, Any], allowed_targets: Sequence[str] = ALLOWED_TARGETS
) -> nn.Module:
    """Builds the model which a checkpoint's configuration describes, with new weights.

    Args:
        checkpoint: The checkpoint that `load_checkpoint` returned.
        allowed_targets: The packages whose classes may be built, each with a dot at its end.

    Raises:
        ValueError: There is no model in the configuration, or it names another target, or one which
            does not take its arguments.
    """
    return _construct(model_config(checkpoint, tuple(allowed_targets)), allowed_targets)


def _construct(node: Any, allowed_targets: Sequence[str]) -> Any:
    """Returns a configuration with every `_target_` in them built, the innermost first."""
    if isinstance(node, list):
        return [_construct(child, allowed_targets) for child in node]
    if not isinstance(node, dict):
        return node
    built = {
        name: _construct(value, allowed_targets)
        for name, value in node.items()
        if name not in (TARGET, CONVERT, PARTIAL)
    }
    if TARGET not in node:
        return built
    target = str(node[TARGET])
    made_of = _module_class(target, allowed_targets)
    if special := [name for name in built if str(name).startswith("_")]:
        raise ValueError(f"the configuration of {target} has {special}, which need Hydra")
    try:
        return partial(made_of, **built) if node.get(PARTIAL) else made_of(**built)
    except (TypeError, AttributeError) as error:
        raise ValueError(f"the checkpoint's config does not fit {target}: {error}") from error


def _module_class(target: str, allowed_targets: Sequence[str]) -> type[nn.Module]:
    """Returns the class of a dotted name, defined in an allowed package.

    Raises:
        ValueError: There is no such class, it is no network, or the name only passes through the
            package to a class that is defined elsewhere.
    """
    module_name, _, name = target.rpartition(".")
    try:
        found = getattr(import_module(module_name), name)
    except (ImportError, AttributeError, ValueError) as error:
        raise ValueError(
            f"the checkpoint's config names {target}, which is not here: {error}"
        ) from error
    if not inspect.isclass(found) or not issubclass(found, nn.Module):
        raise ValueError(f"the checkpoint's config names {target}, which is no torch module")
    if not f"{found.__module__}.".startswith(tuple(allowed_targets)):
        raise ValueError(f"{target} is defined in {found.__module__}, which is not allowed")
    return found
