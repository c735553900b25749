"""Checks of the arguments the ops share; each error names argument, requirement and finding."""

from __future__ import annotations

import math
from collections.abc import Sequence
from typing import TypeAlias

import torch
from torch import Tensor

ImageSize: TypeAlias = int | tuple[int, int]

MODES = {
    "distance": ("euclidean",),
    "alpha": ("product",),
    "color": ("softmax", "hard"),
    "texture": ("vertex",),
}

# Pixel coordinates are held in 32-bit integers and in the mantissa of float32 (24 bits); four
# spare bits keep pixel centres exact and leave room for supersampling.
MAX_IMAGE_SIDE = 1 << 20


def check_floating(name: str, tensor: Tensor) -> None:
    """Raise ValueError unless the argument is a float32 or float64 tensor."""
    if not isinstance(tensor, Tensor):
        raise ValueError(f"{name} must be a torch.Tensor, got {type(tensor).__name__}")
    if tensor.dtype not in (torch.float32, torch.float64):
        raise ValueError(f"{name} must be float32 or float64, got {tensor.dtype}")


def check_face_vertices(face_vertices: Tensor) -> None:
    """Raise ValueError unless face_vertices is a floating tensor of shape [B, F, 3, 3]."""
    check_floating("face_vertices", face_vertices)
    if face_vertices.dim() != 4 or face_vertices.shape[2:] != (3, 3):
        raise ValueError(
            f"face_vertices must have shape [B, F, 3, 3], got {list(face_vertices.shape)}"
        )


def check_face_textures(face_textures: Tensor, face_vertices: Tensor) -> None:
    """Raise ValueError unless face_textures [B, F, 3, 3] fits face_vertices."""
    check_floating("face_textures", face_textures)
    for what in ("shape", "dtype", "device"):
        required, actual = getattr(face_vertices, what), getattr(face_textures, what)
        if required != actual:
            raise ValueError(
                f"face_textures must have the {what} of face_vertices, {required}, got {actual}"
            )


def check_modes(**modes: str) -> None:
    """Raise ValueError when a mode is not one of those known for its argument."""
    for name, mode in modes.items():
        if mode not in MODES[name]:
            raise ValueError(f"{name} must be one of {', '.join(MODES[name])}, got {mode!r}")


def _check_number(name: str, value: float, holds: bool, requirement: str) -> None:
    if not holds:
        raise ValueError(f"{name} must be {requirement}, got {value}")


def check_scalars(
    *,
    sigma: float,
    dist_eps: float,
    gamma: float = 1.0,
    eps: float = 0.0,
    near: float = 1.0,
    far: float = 2.0,
) -> None:
    """Raise ValueError when a scalar is outside its range."""
    _check_number("sigma", sigma, 0 < sigma < math.inf, "positive and finite")
    # At 0.5 the support is empty, at 0 it is the whole picture.
    _check_number("dist_eps", dist_eps, 0 < dist_eps < 0.5, "between 0 and 0.5, exclusive")
    _check_number("gamma", gamma, 0 < gamma < math.inf, "positive and finite")
    _check_number("eps", eps, math.isfinite(eps), "finite")
    _check_number("near", near, 0 < near < math.inf, "positive and finite")
    _check_number("far", far, near < far < math.inf, f"finite and greater than near ({near})")


def parse_image_size(image_size: ImageSize) -> tuple[int, int]:
    """Return (height, width); a single int means a square image."""
    both: object = (image_size, image_size) if isinstance(image_size, int) else image_size
    if (
        not isinstance(both, Sequence)
        or len(both) != 2
        or not all(isinstance(side, int) and 1 <= side <= MAX_IMAGE_SIDE for side in both)
    ):
        raise ValueError(
            "image_size must be an int or (height, width), each from 1 to "
            f"{MAX_IMAGE_SIDE}, got {image_size!r}"
        )
    return both[0], both[1]


def parse_background(background: Sequence[float]) -> list[float]:
    """Return the background as three finite floats."""
    values = [float(value) for value in background]
    if len(values) != 3 or not all(math.isfinite(value) for value in values):
        raise ValueError(f"background must be three finite numbers, got {background!r}")
    return values
