"""How the CPU shares work: bits depend neither on threads nor on tiles, and no task is large."""

from __future__ import annotations

import ctypes
import os
from collections.abc import Iterator
from contextlib import contextmanager
from typing import Any

import pytest
import torch
from scenes import DTYPES, assert_same, assert_same_bits, gradients, mesh, require_kernels, uniform
from torch import Tensor

from renderer_cuda import build, soft_rasterize, soft_silhouette, visible_faces
from renderer_cuda.reference import soft_rasterize_reference, soft_silhouette_reference

pytestmark = pytest.mark.skipif(
    "RENDERER_CUDA_EMULATOR" in os.environ, reason="about the kernels of the CPU"
)


@pytest.fixture(autouse=True, scope="module")
def native() -> None:
    """Skip the tests of this file where there are no CPU kernels."""
    require_kernels("cpu")


def library() -> ctypes.CDLL:
    path = build.find_library("cpu")
    assert path is not None
    return ctypes.CDLL(str(path))


@contextmanager
def threads(count: int) -> Iterator[None]:
    before = torch.get_num_threads()
    torch.set_num_threads(count)
    try:
        yield
    finally:
        torch.set_num_threads(before)


@contextmanager
def tiles_of(side: int) -> Iterator[None]:
    """Let tiles of images of wide faces have a side of so many pixels."""
    library().renderer_cuda_use_tiles(side)
    try:
        yield
    finally:
        library().renderer_cuda_use_tiles(0)


def largest_share(function: Any) -> tuple[float, int]:
    """Return the largest share of one task in the pixels of all tasks, and the number of these."""
    native, result = library(), (ctypes.c_int64 * 2)()
    native.renderer_cuda_count_work(None)
    try:
        function()
    finally:
        native.renderer_cuda_count_work(result)
    total, most = result
    return most / total, total


def faces_for(images: int, size: int, dtype: torch.dtype = torch.float32) -> Tensor:
    """Faces of a few pixels or, in every third image, of many; and two triangles behind them."""
    small = [mesh(120, seed=i, size=3 / size if i % 3 else 40 / size) for i in range(images)]
    corners = torch.tensor([[-1.0, -1, 5], [1, -1, 5], [1, 1, 5], [-1, 1, 5]])
    large = corners[torch.tensor([[0, 1, 2], [0, 2, 3]])]
    vertices = [torch.cat([faces, large[None].to(faces)], 1) for faces in small]
    return torch.cat(vertices).to(dtype)


def render(kind: str, size: int, vertices: Tensor) -> tuple[Tensor, tuple[Tensor, ...]]:
    textures = uniform(*vertices.shape[:2], 3, 3, dtype=vertices.dtype)
    arguments: dict[str, Any] = {"sigma": (1.5 / size) ** 2, "image_size": size}
    if kind == "visible":
        return visible_faces(vertices, size), ()
    if kind == "silhouette":
        return gradients(lambda v: soft_silhouette(v, **arguments), vertices)
    arguments |= {"color": kind, "gamma": 1e-3}
    return gradients(lambda v, t: soft_rasterize(v, t, **arguments), vertices, textures)


@pytest.mark.parametrize("kind", ["silhouette", "softmax", "hard", "visible"])
@pytest.mark.parametrize(("images", "size"), [(1, 256), (3, 64), (31, 64), (1, 1024)])
def test_bits_do_not_depend_on_threads(kind: str, images: int, size: int) -> None:
    vertices = faces_for(images, size)
    with threads(1):
        expected = render(kind, size, vertices)
    for count in (4, 16):
        with threads(count):
            assert_same_bits(render(kind, size, vertices), expected)


@pytest.mark.parametrize("dtype", DTYPES)
@pytest.mark.parametrize("kind", ["silhouette", "softmax", "hard"])
def test_bits_of_wide_faces_do_not_depend_on_tiles(kind: str, dtype: torch.dtype) -> None:
    vertices = mesh(300, size=0.3, dtype=dtype)
    with tiles_of(64):
        expected = render(kind, 130, vertices)
    for side in (16, 32, 128):
        with tiles_of(side):
            assert_same_bits(render(kind, 130, vertices), expected)


@pytest.mark.parametrize("kind", ["silhouette", "softmax"])
@pytest.mark.parametrize("size", [0.05, 0.5])
def test_no_task_is_large(kind: str, size: float) -> None:
    """In an image of 8 times the pixels of a tile no task has more than 1/8 of the work."""
    side = 192
    vertices = mesh(4000 if size < 0.1 else 100, size=size, dtype=torch.float32)
    with threads(16):
        share, pixels = largest_share(lambda: render(kind, side, vertices))
    assert pixels > 8 * 64 * 64
    assert share <= 1 / 8


@pytest.mark.parametrize("kind", ["silhouette", "softmax", "hard"])
def test_a_background_of_two_triangles_is_many_tasks(kind: str) -> None:
    corners = torch.tensor([[-1.0, -1, 5], [1, -1, 5], [1, 1, 5], [-1, 1, 5]])
    vertices = corners[torch.tensor([[0, 1, 2], [0, 2, 3]])][None]
    share, pixels = largest_share(lambda: render(kind, 256, vertices))
    assert pixels > 2 * 256 * 256
    assert share <= 1 / 8


@pytest.mark.parametrize("dtype", DTYPES)
def test_pixels_that_let_nothing_through_any_more(dtype: torch.dtype) -> None:
    """Faces behind hundreds of others change neither alpha nor gradients of alpha."""
    vertices = mesh(700, size=0.8, dtype=torch.float64)
    textures = uniform(1, 700, 3, 3)
    arguments: dict[str, Any] = {"sigma": 0.05, "gamma": 1e-3}
    expected, expected_grads = gradients(
        lambda v, t: soft_rasterize_reference(v, t, 16, **arguments), vertices, textures
    )
    assert (1 - soft_silhouette_reference(vertices, 16, sigma=0.05)).min() < 1e-30
    image, grads = gradients(
        lambda v, t: soft_rasterize(v, t, 16, **arguments), vertices.to(dtype), textures.to(dtype)
    )
    tolerance = 1e-3 if dtype == torch.float32 else 1e-9
    assert_same(image, expected, tolerance)
    for grad, each in zip(grads, expected_grads, strict=True):
        assert_same(grad, each, tolerance)
    silhouette = soft_silhouette(vertices.to(dtype), 16, sigma=0.05)
    assert torch.equal(silhouette, image[:, 3])
