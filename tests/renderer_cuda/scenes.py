"""Scenes for the tests of the native ops, and what the tests do with them."""

from __future__ import annotations

import itertools
from collections.abc import Callable
from typing import Any

import pytest
import torch
from torch import Tensor

from renderer_cuda import build
from renderer_cuda.validation import MODES

DEVICES = ["cpu", *(["cuda"] if torch.cuda.is_available() else [])]
TEXELS = 4  # of a surface texture
DTYPES = [torch.float32, torch.float64]
COMBINATIONS = [
    dict(zip(MODES, values, strict=True)) for values in itertools.product(*MODES.values())
]


def mode_name(mode: dict[str, str]) -> str:
    return "-".join(mode.values())


def require_kernels(device: str) -> str:
    """Return the device, or skip the test where it has no native kernels."""
    reason = build.load(device)
    if reason:
        pytest.skip(f"no {device} kernels: {reason}")
    return device


def uniform(*shape: int, seed: int = 0, **options: Any) -> Tensor:
    """Numbers in [0, 1), float64 unless options say otherwise: colours, pictures."""
    generator = torch.Generator().manual_seed(seed)
    return torch.rand(*shape, generator=generator, dtype=torch.float64).to(**options)


def scene(
    images: int = 2, faces: int = 6, texture: str = "vertex", seed: int = 0, **options: Any
) -> tuple[Tensor, Tensor]:
    """Random faces in general position, no pixel on a kink of the forward, and their textures."""
    vertices = 2 * uniform(images, faces, 3, 3, seed=seed) - 1
    vertices[..., 2] += 2
    texels = 3 if texture == "vertex" else TEXELS
    return vertices.to(**options), uniform(images, faces, texels, 3, seed=seed + 1, **options)


def mesh(faces: int, seed: int = 0, size: float | Tensor = 0.15, **options: Any) -> Tensor:
    """Many faces all over the picture; size is one number, or one for each face."""
    corners = 2 * uniform(1, faces, 4, 3, seed=seed) - 1
    centers, spread = corners[:, :, :1], corners[:, :, 1:]
    sizes = torch.as_tensor(size, dtype=torch.float64).expand(faces)[:, None, None]
    vertices = centers + sizes * spread
    vertices[..., 2] = 3 + vertices[..., 2].clamp(-1.5, 1.5)
    return vertices.to(**options)


def gradients(
    function: Callable[..., Tensor], *inputs: Tensor, seed: int = 1
) -> tuple[Tensor, tuple[Tensor, ...]]:
    """Return the output and the gradients of a fixed random mixture of its entries."""
    leaves = [tensor.detach().clone().requires_grad_() for tensor in inputs]
    output = function(*leaves)
    generator = torch.Generator().manual_seed(seed)
    upstream = torch.randn(output.shape, generator=generator, dtype=torch.float64).to(output)
    return output.detach(), torch.autograd.grad(output, leaves, upstream)


def assert_same(actual: Tensor, expected: Tensor, tolerance: float) -> None:
    """The greatest difference is within tolerance, in units of the greatest entry expected."""
    assert actual.shape == expected.shape
    if expected.numel() == 0:
        return
    scale = expected.double().abs().max().item() or 1.0
    assert (actual.double() - expected.double()).abs().max().item() <= tolerance * scale


def assert_same_bits(
    actual: tuple[Tensor, tuple[Tensor, ...]], expected: tuple[Tensor, tuple[Tensor, ...]]
) -> None:
    """Outputs and gradients, as of `gradients`, are equal to the last bit."""
    assert torch.equal(actual[0], expected[0])
    assert all(torch.equal(a, b) for a, b in zip(actual[1], expected[1], strict=True))
