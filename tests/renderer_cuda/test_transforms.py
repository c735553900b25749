"""The transforms of torch.func against loops and the oracle."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import pytest
import torch
from scenes import COMBINATIONS, DEVICES, assert_same, mode_name, require_kernels, scene, uniform
from torch import Tensor
from torch.autograd import forward_ad

from renderer_cuda import (
    gather_faces,
    soft_rasterize,
    soft_rasterize_reference,
    soft_silhouette,
    soft_silhouette_reference,
)

Loss = Callable[..., Tensor]
MODES = COMBINATIONS[::7]  # every mode of each argument is among them


@pytest.fixture(autouse=True, scope="module", params=DEVICES)
def device(request: pytest.FixtureRequest) -> str:
    """Every test of this file runs on the native kernels of each device, or says why it cannot."""
    return require_kernels(request.param)


def silhouette_loss(function: Any = soft_silhouette) -> Loss:
    def loss(vertices: Tensor) -> Tensor:
        return function(vertices, (5, 4), sigma=1e-2).square().sum()

    return loss


def color_loss(function: Any = soft_rasterize, **mode: str) -> Loss:
    def loss(vertices: Tensor, textures: Tensor, background: Tensor) -> Tensor:
        arguments: dict[str, Any] = {"sigma": 1e-2, "gamma": 1e-2, **mode}
        image = function(vertices, textures, (5, 4), background=background, **arguments)
        weights = torch.arange(1.0, 21, dtype=image.dtype, device=image.device).view(5, 4)
        return (weights * image.square()).sum()

    return loss


def inputs(device: str, texture: str = "vertex", examples: int = 0) -> tuple[Tensor, ...]:
    """Vertices, textures and backgrounds [3, ...] of examples, or of one without a dimension."""
    vertices, textures = scene(2 * max(examples, 1), 5, texture, device=device)
    background = uniform(max(examples, 1), 3, device=device)
    if not examples:
        return vertices, textures, background[0]
    return (*(t.unflatten(0, (examples, 2)) for t in (vertices, textures)), background)


# ---- one example ---------------------------------------------------------------------------------


def test_grad_of_silhouettes_equals_the_oracle(device: str) -> None:
    vertices, *_ = inputs(device)
    grad = torch.func.grad(silhouette_loss())(vertices)
    expected = torch.func.grad(silhouette_loss(soft_silhouette_reference))(vertices)
    assert_same(grad, expected, 1e-9)


@pytest.mark.parametrize("mode", MODES, ids=mode_name)
def test_grad_and_vjp_equal_the_oracle(mode: dict[str, str], device: str) -> None:
    each = inputs(device, mode["texture"])
    grads = torch.func.grad(color_loss(**mode), argnums=(0, 1, 2))(*each)
    oracle = color_loss(soft_rasterize_reference, **mode)
    expected = torch.func.grad(oracle, argnums=(0, 1, 2))(*each)
    value, pull = torch.func.vjp(color_loss(**mode), *each)
    assert_same(value, oracle(*each), 1e-9)
    for grad, again, wanted in zip(grads, pull(torch.ones_like(value)), expected, strict=True):
        assert_same(grad, wanted, 1e-9)
        assert torch.equal(grad, again)


@pytest.mark.parametrize("chunk_size", [None, 1])
def test_jacrev_equals_the_oracle(chunk_size: int | None, device: str) -> None:
    vertices, textures, background = inputs(device)

    def jacobians(function: Any) -> Any:
        def render(vertices: Tensor, textures: Tensor, background: Tensor) -> Tensor:
            image: Tensor = function(
                vertices, textures, (2, 3), sigma=1e-2, gamma=1e-2, background=background
            )
            return image[0]

        jacobian = torch.func.jacrev(render, argnums=(0, 1, 2), chunk_size=chunk_size)
        return jacobian(vertices, textures, background)

    for actual, expected in zip(
        jacobians(soft_rasterize), jacobians(soft_rasterize_reference), strict=True
    ):
        assert_same(actual, expected, 1e-9)


# ---- many examples -------------------------------------------------------------------------------


@pytest.mark.parametrize("mode", MODES, ids=mode_name)
def test_vmap_of_grad_equals_a_loop(mode: dict[str, str], device: str) -> None:
    examples = inputs(device, mode["texture"], examples=3)
    grad = torch.func.grad(color_loss(**mode), argnums=(0, 1, 2))
    for actual, expected in zip(
        torch.func.vmap(grad)(*examples),
        map(torch.stack, zip(*(grad(*each) for each in zip(*examples, strict=True)), strict=True)),
        strict=True,
    ):
        assert_same(actual, expected, 1e-12)


def test_vmap_over_some_arguments_only(device: str) -> None:
    vertices, textures, background = inputs(device, examples=3)
    last = vertices.movedim(0, -1)
    loss, in_dims = color_loss(), (vertices.dim() - 1, None, None)
    actual = torch.func.vmap(torch.func.grad(loss), in_dims)(last, textures[0], background[0])
    expected = [torch.func.grad(loss)(each, textures[0], background[0]) for each in vertices]
    assert_same(actual, torch.stack(expected), 1e-12)
    image = uniform(2, 3, 5, 4, device=device)  # one background for each mesh, the same for all
    actual = torch.func.vmap(loss, (0, 0, None))(vertices, textures, image)
    pairs = zip(vertices, textures, strict=True)
    assert_same(actual, torch.stack([loss(*each, image) for each in pairs]), 1e-12)


def test_vmap_over_packed_meshes(device: str) -> None:
    vertices = scene(3, 7, device=device)[0]  # three examples of meshes of 3, 0 and 4 faces
    first_face = torch.tensor([0, 3, 3, 7], device=device)

    def loss(vertices: Tensor) -> Tensor:
        return soft_silhouette(vertices, 6, sigma=1e-2, first_face=first_face).square().sum()

    actual = torch.func.vmap(torch.func.grad(loss))(vertices)
    expected = torch.stack([torch.func.grad(loss)(each) for each in vertices])
    assert_same(actual, expected, 1e-12)


@pytest.mark.parametrize("name", ["first_face", "sigma"])
def test_vmap_over_what_has_to_be_one_is_refused(name: str, device: str) -> None:
    vertices = scene(1, 4, device=device)[0][0]
    values = {"first_face": torch.tensor([[0, 4], [0, 4]]), "sigma": torch.tensor([1e-2, 1e-3])}

    def render(value: Tensor) -> Tensor:
        arguments: dict[str, Any] = {"first_face": torch.tensor([0, 4]), name: value}
        return soft_silhouette(vertices, 4, **arguments)

    with pytest.raises((NotImplementedError, RuntimeError)):
        torch.func.vmap(render)(values[name])


# ---- what there is not ---------------------------------------------------------------------------


@pytest.mark.parametrize("function", [torch.func.jacfwd, torch.func.hessian])
def test_forward_mode_is_refused_by_name(function: Any, device: str) -> None:
    each = inputs(device)
    with pytest.raises(
        NotImplementedError, match=r"no forward-mode derivative .* use reverse mode"
    ):
        function(silhouette_loss())(each[0])
    with pytest.raises(
        NotImplementedError, match=r"no forward-mode derivative .* use reverse mode"
    ):
        function(color_loss())(*each)


def test_dual_tensors_are_refused_by_name(device: str) -> None:
    vertices, *_ = inputs(device)
    with forward_ad.dual_level(), pytest.raises(NotImplementedError, match="no forward-mode"):
        silhouette_loss()(forward_ad.make_dual(vertices, torch.ones_like(vertices)))


def test_second_derivatives_are_refused_by_name(device: str) -> None:
    each = inputs(device)
    for loss, arguments in ((silhouette_loss(), each[:1]), (color_loss(), each)):

        def size(*inputs: Tensor, loss: Loss = loss) -> Tensor:
            return torch.func.grad(loss)(*inputs).square().sum()

        with pytest.raises(NotImplementedError, match="no second derivative"):
            torch.func.grad(size)(*arguments)


# ---- corners of faces ----------------------------------------------------------------------------


def test_gather_faces_takes_part_in_all_of_them(device: str) -> None:
    vertices = uniform(2, 6, 3, device=device)
    faces = torch.tensor([[0, 1, 2], [2, 1, 5]], device=device)
    tangent = uniform(2, 6, 3, seed=1, device=device)
    weights = uniform(2, 2, 3, 3, seed=2, device=device)

    def weighed(vertices: Tensor) -> Tensor:
        return (weights[: len(vertices)] * gather_faces(vertices, faces)).square().sum()

    def expected(vertices: Tensor) -> Tensor:
        return (weights[: len(vertices)] * vertices[:, faces]).square().sum()

    for transform in (torch.func.grad, torch.func.jacrev, torch.func.jacfwd, torch.func.hessian):
        torch.testing.assert_close(transform(weighed)(vertices), transform(expected)(vertices))
    actual = torch.func.jvp(lambda v: gather_faces(v, faces), (vertices,), (tangent,))
    assert torch.equal(actual[1], tangent[:, faces])
    each = torch.func.vmap(torch.func.grad(lambda v: weighed(v[None])))(vertices)
    loop = [torch.func.grad(lambda v: expected(v[None]))(one) for one in vertices]
    torch.testing.assert_close(each, torch.stack(loop))
