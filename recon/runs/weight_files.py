"""Weights to share: the model of a checkpoint as one small safetensors file, in half precision.

A file holds the state dict of the model, its parameters in float16 and its buffers as they are,
and one entry of metadata, `recon`, which is JSON:

| key | meaning |
|---|---|
| `format`, `version` | say that the file is one of ours |
| `config` | the configuration of the run, without the folders of the machine it ran on |
| `framing` | how the training data frame their objects, see `recon.datasets.framing` |
| `step`, `best_iou` | optimiser steps done, and the best validation of the run |
| `sha256` | of the tensors and of all other metadata |
"""

from __future__ import annotations

import hashlib
import json
from collections.abc import Mapping
from pathlib import Path, PurePath
from typing import Any

import safetensors
import safetensors.torch
import torch
from torch import Tensor, nn

from recon.files import atomic_file
from recon.runs.former_names import current_config

FORMAT, VERSION = "recon.weights", 1
# The one entry of metadata: the order of several is not defined, so equal content would give
# different files.
_ENTRY = "recon"
_REQUIRED = ("config", "framing", "step", "best_iou", "sha256")


def save_weights(
    path: Path, model: nn.Module, checkpoint: Mapping[str, Any], largest: int | None = None
) -> str:
    """Writes the weights of a checkpoint; the same checkpoint gives the same bytes.

    Args:
        path: The path of the file, whose folder must exist; by custom it ends in `.safetensors`.
        model: The model of the checkpoint, with its weights.
        checkpoint: The checkpoint, of which `config`, `step`, `best_iou` and `framing` are kept.
        largest: The greatest size of the file in bytes; None allows any size.

    Returns:
        The SHA-256 of the content, as the file keeps it.

    Raises:
        ValueError: A weight does not fit into float16, the checkpoint has no framing, or the file
            would be larger than allowed.
        OSError: The file could not be written; an existing file is unchanged.
    """
    if checkpoint.get("framing") is None:
        raise ValueError("the checkpoint must have a framing to be exported, got none")
    tensors = _half_precision(model)
    about = {
        "format": FORMAT,
        "version": VERSION,
        "config": without_folders(checkpoint["config"]),
        "framing": _plain_framing(checkpoint["framing"]),
        "step": checkpoint["step"],
        "best_iou": checkpoint.get("best_iou"),
    }
    digest = _digest(tensors, about)
    metadata = {_ENTRY: json.dumps({**about, "sha256": digest}, sort_keys=True)}
    content = safetensors.torch.save(tensors, metadata)
    if largest is not None and len(content) > largest:
        raise ValueError(
            f"{path}: the weights must have at most {largest / 1e6:.1f} MB, "
            f"got {len(content) / 1e6:.1f} MB"
        )
    with atomic_file(path) as file:
        file.write(content)
    return digest


def load_weights(path: Path, device: str | torch.device = "cpu") -> dict[str, Any]:
    """Reads a file of weights as a checkpoint without optimiser; float16 becomes float32.

    Args:
        path: The path of a file that `save_weights` wrote.
        device: The device of the tensors.

    Returns:
        The keys `model`, `optimizer` (empty), `config`, `framing`, `step`, `best_iou` and `sha256`.

    Raises:
        FileNotFoundError: There is no such file.
        ValueError: The file is truncated, damaged, no file of weights, or of another version.
    """
    if not path.is_file():
        raise FileNotFoundError(f"weights: no such file: {path}")
    tensors, metadata = _read(path)
    about = _about(path, metadata)
    if _digest(tensors, about) != about["sha256"]:
        raise ValueError(f"weights {path}: damaged, the content does not match its SHA-256")
    framing = about["framing"]
    return {
        "model": {name: _full_precision(tensor).to(device) for name, tensor in tensors.items()},
        "optimizer": {},
        "config": current_config(about["config"]),
        "framing": {**framing, "cameras": torch.tensor(framing["cameras"])},
        **{key: about[key] for key in ("step", "best_iou", "sha256")},
    }


def without_folders(config: Any) -> Any:
    """Returns a configuration without the names of the folders of one machine.

    Args:
        config: A configuration of nested dicts and lists. Absolute paths in it are cut down to the
            name of the file.
    """
    if isinstance(config, dict):
        return {key: without_folders(value) for key, value in config.items()}
    if isinstance(config, list):
        return [without_folders(value) for value in config]
    is_path = isinstance(config, str) and PurePath(config).is_absolute()
    return PurePath(config).name if is_path else config


def _half_precision(model: nn.Module) -> dict[str, Tensor]:
    """Returns the state dict on the CPU, its parameters in float16, no two sharing memory."""
    parameters = {name for name, _ in model.named_parameters()}
    tensors = {}
    for name, value in model.state_dict().items():
        half = name in parameters and value.is_floating_point()
        stored = value.detach().to("cpu", torch.float16 if half else value.dtype)
        if not bool(torch.isfinite(stored).all()):
            raise ValueError(f"{name} must be finite in {stored.dtype}, got NaN or infinite values")
        tensors[name] = stored.contiguous().clone()
    return tensors


def _full_precision(tensor: Tensor) -> Tensor:
    return tensor.float() if tensor.dtype == torch.float16 else tensor


def _plain_framing(framing: Mapping[str, Any]) -> dict[str, Any]:
    return {**framing, "cameras": torch.as_tensor(framing["cameras"]).tolist()}


def _digest(tensors: Mapping[str, Tensor], about: Mapping[str, Any]) -> str:
    facts = {key: value for key, value in about.items() if key != "sha256"}
    digest = hashlib.sha256(json.dumps(facts, sort_keys=True).encode())
    for name, tensor in sorted(tensors.items()):
        digest.update(f"\n{name} {tensor.dtype} {list(tensor.shape)}\n".encode())
        digest.update(tensor.contiguous().flatten().view(torch.uint8).numpy().tobytes())
    return digest.hexdigest()


def _read(path: Path) -> tuple[dict[str, Tensor], dict[str, str]]:
    try:
        with safetensors.safe_open(path, framework="pt") as file:
            names = list(file.keys())
            return {name: file.get_tensor(name) for name in names}, file.metadata() or {}
    except PermissionError:
        raise
    except Exception as error:  # SafetensorError, and what torch makes of odd shapes
        raise ValueError(f"weights {path}: truncated or not a safetensors file") from error


def _about(path: Path, metadata: Mapping[str, str]) -> dict[str, Any]:
    """Returns the metadata of a file, checked."""
    try:
        about = json.loads(metadata.get(_ENTRY, "null"))
    except ValueError as error:
        raise ValueError(f"weights {path}: damaged, its metadata is no JSON") from error
    if not isinstance(about, dict) or about.get("format") != FORMAT:
        raise ValueError(f"weights {path}: not written by this library (no format={FORMAT!r})")
    if about.get("version") != VERSION:
        raise ValueError(
            f"weights {path}: version {about.get('version')}, this code reads {VERSION}"
        )
    if missing := [key for key in _REQUIRED if key not in about]:
        raise ValueError(f"weights {path}: has no {', '.join(missing)}")
    return about
