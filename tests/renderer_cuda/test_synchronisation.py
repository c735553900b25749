"""On a GPU no op waits for the device in a step, and all can be captured in a CUDA graph."""

from __future__ import annotations

from collections.abc import Callable, Iterator

import pytest
import torch
from torch import Tensor

from renderer_cuda import (
    count_skipped_faces,
    gather_faces,
    soft_rasterize,
    soft_silhouette,
    visible_faces,
    voxelize,
)

pytestmark = pytest.mark.skipif(not torch.cuda.is_available(), reason="no CUDA device")


def corners() -> Tensor:
    generator = torch.Generator().manual_seed(0)
    faces = torch.rand(2, 40, 3, 3, generator=generator) * 2 - 1
    faces[..., 2] += 3
    return faces


# A loss of the leaves [2, 40, 3, 3], by each op; nothing else of a step is in it.
OPS: dict[str, Callable[[Tensor], Tensor]] = {
    "silhouette": lambda leaf: soft_silhouette(leaf, 32).sum(),
    "crowded tiles": lambda leaf: soft_silhouette(leaf.repeat(1, 1000, 1, 1), 16).sum(),
    "packed": lambda leaf: soft_silhouette(leaf[0], 32, first_face=torch.tensor([0, 10, 40])).sum(),
    "colours": lambda leaf: soft_rasterize(leaf, leaf, 32, background=(0.1, 0.2, 0.3)).sum(),
    "packed on the device": lambda leaf: soft_silhouette(
        leaf[0], 32, first_face=_offsets(leaf)
    ).sum(),
    "hard": lambda leaf: soft_rasterize(leaf, leaf, 32, color="hard").sum(),
    "texels": lambda leaf: soft_rasterize(
        leaf, leaf.reshape(2, 40, 9, 1).expand(-1, -1, -1, 3), 32, texture="surface"
    ).sum(),
    "background": lambda leaf: soft_rasterize(leaf, leaf, 32, background=leaf[0, 0, 0]).sum(),
    "skipped": lambda leaf: leaf.sum() + count_skipped_faces(leaf.detach()).sum(),
    "skipped of packed": lambda leaf: (
        leaf.sum() + count_skipped_faces(leaf.detach()[0], first_face=_offsets(leaf)).sum()
    ),
    "visible": lambda leaf: leaf.sum() + visible_faces(leaf.detach(), 32).sum(),
    "voxels": lambda leaf: leaf.sum() + voxelize(leaf.detach() / 8, 16).sum(),
    "gather": lambda leaf: gather_faces(leaf.reshape(2, -1, 3), _index(leaf)).sum(),
}


def _offsets(leaf: Tensor) -> Tensor:
    return 10 * torch.arange(5, device=leaf.device)  # four meshes of ten faces


def _index(leaf: Tensor) -> Tensor:
    return torch.arange(120, device=leaf.device).reshape(40, 3)


@pytest.fixture(params=OPS)
def step(request: pytest.FixtureRequest) -> Callable[[], Tensor]:
    """A forward and backward of an op, which has run before; it returns the gradient."""
    leaf, loss = corners().cuda().requires_grad_(), OPS[request.param]

    def call() -> Tensor:
        (gradient,) = torch.autograd.grad(loss(leaf), leaf)
        return gradient

    call()
    torch.cuda.synchronize()
    return call


@pytest.fixture
def no_waiting() -> Iterator[None]:
    torch.cuda.set_sync_debug_mode("error")
    yield
    torch.cuda.set_sync_debug_mode("default")


@pytest.mark.usefixtures("no_waiting")
def test_no_op_waits_for_the_device(step: Callable[[], Tensor]) -> None:
    step()


def test_every_op_can_be_captured(step: Callable[[], Tensor]) -> None:
    expected = step()
    graph = torch.cuda.CUDAGraph()
    with torch.cuda.graph(graph):
        gradient = step()
    graph.replay()
    torch.cuda.synchronize()
    assert torch.equal(gradient, expected)
