"""Gathering corners of faces against plain indexing, natively and in plain torch."""

from __future__ import annotations

import pytest
import torch
from torch import Tensor

from renderer_cuda import build, gather_faces
from renderer_cuda.gathering import (
    _MOST_SORTED,
    _gather_in_torch,
    _scatter_by_order,
    _scatter_in_torch,
    _sorted,
    sorted_by_place,
    sum_by_place,
)

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
    with pytest.raises(ValueError, match=r"faces must be a torch.Tensor, got list"):
        gather_faces(torch.zeros(1, 4, 3), FACES.tolist())
    with pytest.raises(ValueError, match=r"faces must be on cpu as vertices, got meta"):
        gather_faces(torch.zeros(1, 4, 3), FACES.to("meta"))


# ---- rows in the order of their places -----------------------------------------------------------


def test_rows_are_sorted_by_their_places() -> None:
    order, first = sorted_by_place(torch.tensor([[2, 0], [2, 4]]), 5)
    assert order.tolist() == [1, 0, 2, 3]
    assert first.tolist() == [0, 1, 1, 3, 3, 4]
    assert order.dtype == first.dtype == torch.int32


def test_an_order_is_kept_while_its_index_is_unchanged() -> None:
    index = torch.tensor([1, 0, 1])
    order = sorted_by_place(index, 2)[0]
    assert sorted_by_place(index, 2)[0] is order
    assert sorted_by_place(index, 3)[1].tolist() == [0, 1, 3, 3]
    index[0] = 0
    assert sorted_by_place(index, 2)[1].tolist() == [0, 2, 3]
    del index
    assert all(kept.index() is not None for kept in _sorted.values())


def test_few_orders_are_kept() -> None:
    some = [torch.tensor([i]) for i in range(2 * _MOST_SORTED)]
    for index in some:
        sorted_by_place(index, 2 * _MOST_SORTED)
    assert len(_sorted) == _MOST_SORTED


def test_an_index_of_inference_is_sorted_anew() -> None:
    with torch.inference_mode():
        index = torch.tensor([1, 0])
        assert sorted_by_place(index, 2)[0].tolist() == [1, 0]
        index.zero_()
        assert sorted_by_place(index, 2)[0].tolist() == [0, 1]


@pytest.mark.parametrize("dtype", [torch.float32, torch.float64])
@pytest.mark.parametrize("device", ["cpu", *(["cuda"] if torch.cuda.is_available() else [])])
def test_rows_are_summed_by_their_places(dtype: torch.dtype, device: str) -> None:
    generator = torch.Generator().manual_seed(0)
    index = torch.randint(20, (500,), generator=generator).to(device)
    rows = torch.randn(500, 7, generator=generator, dtype=dtype).to(device)
    sums = sum_by_place(rows, index, 23)
    expected = torch.zeros(23, 7, dtype=dtype).index_add_(0, index.cpu(), rows.cpu())
    torch.testing.assert_close(sums.cpu(), expected)
    assert all(torch.equal(sum_by_place(rows, index, 23), sums) for _ in range(3))
    assert torch.equal(sum_by_place(rows[:0], index[:0], 2), torch.zeros(2, 7).to(rows))


def test_rows_of_a_place_are_added_in_ascending_order() -> None:
    # In float32 the order of a sum shows in its value.
    rows = torch.tensor([[1.0], [1e8], [5.0], [-1e8], [1.0]])
    index = torch.tensor([1, 1, 0, 1, 1])
    assert sum_by_place(rows, index, 2).flatten().tolist() == [5.0, 1.0]


def _has_sum_kernel() -> bool:
    build.available("cpu")
    return torch._C._dispatch_has_kernel_for_dispatch_key("renderer_cuda::sum_rows", "CPU")


def test_sums_in_order_equal_those_in_torch() -> None:
    """In the emulator the sums are those of the CUDA kernel, to the bit."""
    if not _has_sum_kernel():
        pytest.skip("only the CUDA kernels, and these in the emulator, sum in an order")
    generator = torch.Generator().manual_seed(0)
    faces = torch.randint(50, (700, 3), generator=generator)
    corners = torch.randn(3, 700, 3, 5, generator=generator)
    expected = _scatter_in_torch(corners, faces, 53)
    assert torch.equal(_scatter_by_order(corners, faces, 53), expected)
    no_images = corners[:0].flatten(1, 2)
    assert torch.ops.renderer_cuda.sum_rows(no_images, *sorted_by_place(faces, 53)).shape[1] == 53


def _with_index(index: int) -> Tensor:
    faces = FACES.clone()
    faces[2, 1] = index
    return faces


@pytest.mark.parametrize("index", [-1, 4, 1 << 62, -(1 << 63)])
def test_an_index_out_of_range_is_refused(index: int) -> None:
    vertices, corners, faces = random(1, 4, 3), random(1, 4, 3, 3), _with_index(index)
    for call in (
        lambda: gather_faces(vertices, faces),
        lambda: _gather_in_torch(vertices, faces),
        lambda: torch.ops.renderer_cuda.scatter_faces(corners, faces, 4),
        lambda: _scatter_in_torch(corners, faces, 4),
    ):
        with pytest.raises(IndexError, match=f"faces must index 4 vertices, got {index}"):
            call()


# Wrappers validate; whoever calls the ops themselves still gets an error rather than a crash.
def test_ops_refuse_bad_input() -> None:
    if not build.available("cpu"):
        pytest.skip("no CPU kernels")
    vertices, corners = random(1, 4, 3), random(1, 4, 3, 3)
    ops = torch.ops.renderer_cuda
    for faces in (FACES[0], FACES[:, :2], FACES.int()):
        with pytest.raises(RuntimeError, match="faces must have shape"):
            ops.gather_faces(vertices, faces)
        with pytest.raises(RuntimeError, match="faces must have shape"):
            ops.scatter_faces(corners, faces, 4)
    with pytest.raises(RuntimeError, match="vertices must have shape"):
        ops.gather_faces(vertices[0], FACES)
    with pytest.raises(RuntimeError, match="float32 or float64"):
        ops.gather_faces(vertices.half(), FACES)
    with pytest.raises(RuntimeError, match="corners must have shape"):
        ops.scatter_faces(corners, FACES[:3], 4)


# ---- CUDA ----------------------------------------------------------------------------------------


@pytest.mark.skipif(not torch.cuda.is_available(), reason="no CUDA device")
@pytest.mark.parametrize("dtype", [torch.float32, torch.float64], ids=str)
def test_cuda_equals_cpu(dtype: torch.dtype) -> None:
    generator = torch.Generator().manual_seed(0)
    faces = torch.randint(50, (4000, 3), generator=generator)
    vertices, corners = random(3, 50, 5).to(dtype), random(3, 4000, 3, 5).to(dtype)
    gathered = gather_faces(vertices.cuda(), faces.cuda())
    assert torch.equal(gathered.cpu(), gather_faces(vertices, faces))
    sums = [
        torch.ops.renderer_cuda.scatter_faces(corners.cuda(), faces.cuda(), 50) for _ in range(3)
    ]
    assert torch.equal(sums[0], sums[1])
    assert torch.equal(sums[0], sums[2])
    expected = torch.ops.renderer_cuda.scatter_faces(corners, faces, 50)
    torch.testing.assert_close(sums[0].cpu(), expected, rtol=1e-4, atol=1e-4)


@pytest.mark.skipif(not torch.cuda.is_available(), reason="no CUDA device")
@pytest.mark.parametrize("index", [-1, 4, 1 << 62])
def test_nothing_out_of_range_is_read_on_cuda(index: int) -> None:
    vertices, faces = random(2, 4, 3).cuda().requires_grad_(), _with_index(index).cuda()
    gathered = gather_faces(vertices, faces)
    assert gathered[:, 2, 1].isnan().all()
    assert gathered.isnan().sum() == 6
    (grad,) = torch.autograd.grad(gathered.nan_to_num().sum(), vertices)
    assert torch.equal(grad.sum(dim=(1, 2)).cpu(), torch.tensor([33.0, 33.0]).double())
