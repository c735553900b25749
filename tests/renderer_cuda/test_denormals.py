"""Renders neither make denormal numbers nor depend on whether the caller keeps them."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any, TypeVar

import pytest
import torch
from scenes import (
    COMBINATIONS,
    DTYPES,
    assert_same_bits,
    gradients,
    mesh,
    mode_name,
    require_kernels,
    scene,
    uniform,
)
from torch import Tensor

from renderer_cuda import soft_rasterize, soft_silhouette, visible_faces

T = TypeVar("T")


@pytest.fixture(autouse=True, scope="module")
def native() -> None:
    """Skip the tests of this file where there are no CPU kernels."""
    require_kernels("cpu")


def keeps_denormals() -> bool:
    return bool((torch.full((1,), 1e-40) * 0.5 > 0).all())


def with_flush(flush: bool, function: Callable[[], T]) -> T:
    """Call a function in a thread that counts denormal numbers as zero, or keeps them."""
    before = keeps_denormals()
    if not torch.set_flush_denormal(flush):
        pytest.skip("this processor cannot count denormal numbers as zero")
    try:
        return function()
    finally:
        torch.set_flush_denormal(not before)


@pytest.mark.parametrize("dtype", DTYPES, ids=str)
@pytest.mark.parametrize("mode", COMBINATIONS, ids=mode_name)
def test_bits_do_not_depend_on_what_the_caller_set(
    mode: dict[str, str], dtype: torch.dtype
) -> None:
    vertices, textures = scene(2, 12, mode["texture"], dtype=dtype)
    background = torch.tensor([0.2, 0.4, 0.6], dtype=dtype)

    def render(vertices: Tensor, textures: Tensor, background: Tensor) -> Tensor:
        arguments: dict[str, Any] = {"sigma": 1e-2, "gamma": 1e-4, **mode}
        return soft_rasterize(vertices, textures, 9, background=background, **arguments)

    def run() -> Any:
        return gradients(render, vertices, textures, background)

    assert_same_bits(with_flush(True, run), with_flush(False, run))


@pytest.mark.parametrize("scale", [1.0, 1e-36])
@pytest.mark.parametrize("dtype", DTYPES, ids=str)
def test_bits_of_gradients_from_tiny_ones_do_not_depend_on_it(
    dtype: torch.dtype, scale: float
) -> None:
    vertices, textures = scene(1, 12, dtype=dtype)
    upstream = scale * uniform(1, 4, 9, 9, dtype=dtype)

    def run() -> tuple[Tensor, ...]:
        leaves = [tensor.clone().requires_grad_() for tensor in (vertices, textures)]
        image = soft_rasterize(*leaves, 9, sigma=1e-2, gamma=1e-4)
        alpha = soft_silhouette(leaves[0], 9, sigma=1e-2)
        colors = torch.autograd.grad(image, leaves, upstream)
        return (*colors, *torch.autograd.grad(alpha, leaves[0], upstream[:, 3]))

    kept, zero = with_flush(False, run), with_flush(True, run)
    assert all(torch.equal(a, b) for a, b in zip(kept, zero, strict=True))


@pytest.mark.parametrize("flush", [False, True], ids=["kept", "zero"])
@pytest.mark.parametrize("threads", [1, 2])
def test_what_the_caller_set_holds_afterwards(threads: int, flush: bool) -> None:
    vertices = mesh(300, dtype=torch.float32).requires_grad_()
    colors = torch.rand(1, 300, 3, 3)

    def run() -> bool:
        soft_rasterize(vertices, colors, 70, gamma=1e-6).sum().backward()
        visible_faces(vertices, 70)
        return keeps_denormals()

    before = torch.get_num_threads()
    torch.set_num_threads(threads)
    try:
        assert with_flush(flush, run) == (not flush)
    finally:
        torch.set_num_threads(before)
