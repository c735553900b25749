"""Gathering corners of faces against plain indexing, natively and in plain torch."""

from __future__ import annotations

import pytest
import torch
from torch import Tensor

from renderer_cuda import build, gather_faces
from renderer_cuda.gathering import _gather_in_torch, _scatter_in_torch

FACES = torch.tensor([[0, 1, 2], [0, 3, 1], [1, 3, 2], [2, 3, 0]])


def random(*shape: int) -> Tensor:
    return torch.randn(*shape, generator=torch.Generator().manual_seed(0), dtype=torch.float64)


@pytest.mark.parametrize("channels", [1, 3, 5])
@pytest.mark.parametrize("dtype", [torch.float32, torch.float64], ids=str)
def test_equals_indexing(dtype: torch.dtype, channels: int) -> None:
    vertices = random(2, 4, channels).to(dtype).requires_grad_()
    weight = random(2, 4, 3, channels).to(dtype)
    gathered, indexed = gather_faces(vertices, FACES), vertices[:, FACES]
    assert torch.equal(gathered, indexed)
    (grad,) = torch.autograd.grad((gathered * weight).sum(), vertices)
    (expected,) = torch.autograd.grad((indexed * weight).sum(), vertices)
    torch.testing.assert_close(grad, expected)


def test_gradients_of_both_orders_are_exact() -> None:
    vertices = random(2, 4, 3).requires_grad_()
    assert torch.autograd.gradcheck(lambda v: gather_faces(v, FACES), (vertices,))
    assert torch.autograd.gradgradcheck(lambda v: gather_faces(v, FACES), (vertices,))


def test_plain_torch_does_the_same() -> None:
    vertices, corners = random(3, 4, 2), random(3, 4, 3, 2)
    assert torch.equal(_gather_in_torch(vertices, FACES), gather_faces(vertices, FACES))
    if build.available("cpu"):
        native = torch.ops.renderer_cuda.scatter_faces(corners, FACES, 4)
        torch.testing.assert_close(_scatter_in_torch(corners, FACES, 4), native)


def test_threads_do_not_change_bits() -> None:
    generator = torch.Generator().manual_seed(0)
    faces = torch.randint(50, (4000, 3), generator=generator)
    corners = torch.randn(7, 4000, 3, 3, generator=generator)
    threads = torch.get_num_threads()
    results = []
    try:
        for count in (1, 2, 3):
            torch.set_num_threads(count)
            results.append(torch.ops.renderer_cuda.scatter_faces(corners, faces, 50))
    finally:
        torch.set_num_threads(threads)
    assert torch.equal(results[0], results[1])
    assert torch.equal(results[0], results[2])


def test_strides_do_not_matter() -> None:
    vertices = random(4, 3, 2).permute(2, 0, 1)
    assert torch.equal(gather_faces(vertices, FACES), vertices[:, FACES])


def test_empty_meshes_and_batches() -> None:
    assert gather_faces(torch.zeros(2, 4, 3), FACES[:0]).shape == (2, 0, 3, 3)
    assert gather_faces(torch.zeros(0, 4, 3), FACES).shape == (0, 4, 3, 3)


def test_passes_opcheck() -> None:
    build.available("cpu")
    vertices = random(2, 4, 3).requires_grad_()
    torch.library.opcheck(torch.ops.renderer_cuda.gather_faces.default, (vertices, FACES))
    corners = random(2, 4, 3, 3).requires_grad_()
    torch.library.opcheck(torch.ops.renderer_cuda.scatter_faces.default, (corners, FACES, 4))


def test_bad_input_is_named() -> None:
    with pytest.raises(ValueError, match=r"vertices must have shape \[B, V, C\], got \[4, 3\]"):
        gather_faces(torch.zeros(4, 3), FACES)
    with pytest.raises(ValueError, match="vertices must be float32 or float64"):
        gather_faces(torch.zeros(1, 4, 3, dtype=torch.int64), FACES)
    with pytest.raises(ValueError, match=r"faces must be \[F, 3\] torch.int64, got \[3\]"):
        gather_faces(torch.zeros(1, 4, 3), FACES[0])
    with pytest.raises(ValueError, match=r"faces must be .* torch.int32"):
        gather_faces(torch.zeros(1, 4, 3), FACES.int())


@pytest.mark.parametrize("index", [-1, 4])
def test_an_index_out_of_range_is_refused(index: int) -> None:
    faces = FACES.clone()
    faces[2, 1] = index
    with pytest.raises((IndexError, RuntimeError), match="4"):
        gather_faces(torch.zeros(1, 4, 3), faces)
