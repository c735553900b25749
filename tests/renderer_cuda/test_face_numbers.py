"""Opacities and sigmas of faces outside of layered colours: the kernels against the oracle.

test_layers_emulated.py runs tests of this file on emulated CUDA kernels, so scenes are small.
"""

from __future__ import annotations

import itertools
from collections.abc import Callable
from typing import Any

import pytest
import torch
from scenes import (
    COMBINATIONS,
    DEVICES,
    DTYPES,
    FAMILY,
    T_CONORMS,
    Inputs,
    assert_equals_oracle,
    assert_same,
    assert_same_bits,
    gradients,
    mesh,
    mode_name,
    numbered_inputs,
    render_numbered,
    require_kernels,
    scene,
    uniform,
)
from torch import Tensor

from renderer_cuda import (
    soft_rasterize,
    soft_rasterize_reference,
    soft_silhouette,
    soft_silhouette_reference,
)

SETUPS: dict[str, dict[str, Any]] = {
    "in a range": {"image_size": (5, 13), "near": 1.6, "far": 2.7},
    "fronts, perspective": {"double_sided": False, "perspective_correct": True},
}


@pytest.fixture(autouse=True, scope="module", params=DEVICES)
def device(request: pytest.FixtureRequest) -> str:
    """Every test of this file runs on the native kernels of each device, or says why it cannot."""
    return require_kernels(request.param)


def render_with(function: Any = soft_rasterize, **arguments: Any) -> Callable[..., Tensor]:
    """Return a render as a function of `Inputs`, or of the first few of them."""
    return render_numbered(function, **{"gamma": 1e-2, **arguments})


def used(inputs: Inputs, mode: dict[str, Any]) -> Inputs:
    """The first inputs that have a gradient in a mode.

    Nothing reads sigma of a hard distance, and opacity has no part where all is hard.
    """
    if mode.get("color") == mode.get("alpha") == "hard":
        return inputs[:2]
    return inputs[:3] if mode.get("distance") == "hard" else inputs


# ---- against the oracle --------------------------------------------------------------------------


@pytest.mark.parametrize("dtype", DTYPES, ids=str)
@pytest.mark.parametrize("setup", SETUPS.values(), ids=SETUPS)
@pytest.mark.parametrize("mode", COMBINATIONS, ids=mode_name)
def test_equals_the_oracle(
    mode: dict[str, str], setup: dict[str, Any], dtype: torch.dtype, device: str
) -> None:
    inputs = numbered_inputs(texture=mode["texture"], dtype=dtype, device=device)
    free = used(inputs, mode)

    def render_by(function: Any) -> Callable[..., Tensor]:
        render = render_with(function, **setup, **mode)
        return lambda *leaves: render(*leaves, *(x.to(leaves[0]) for x in inputs[len(free) : 4]))

    assert_equals_oracle(render_by(soft_rasterize), render_by(soft_rasterize_reference), free)


@pytest.mark.parametrize("color", ["softmax", "hard"])
@pytest.mark.parametrize("mode", [{}, {"texture": "surface"}, {"alpha": "yager"}], ids=mode_name)
def test_detached_barycentric_coordinates_equal_the_oracle(
    mode: dict[str, str], color: str, device: str
) -> None:
    inputs = numbered_inputs(texture=mode.get("texture", "vertex"), device=device)
    arguments = {"color": color, "perspective_correct": True, **mode}
    render = render_with(detach_barycentric=True, **arguments)
    oracle = render_with(soft_rasterize_reference, detach_barycentric=True, **arguments)
    assert_equals_oracle(render, oracle, inputs)
    assert torch.equal(render(*inputs), render_with(**arguments)(*inputs))


@pytest.mark.parametrize("dtype", DTYPES, ids=str)
@pytest.mark.parametrize("mode", FAMILY, ids=mode_name)
def test_the_family_equals_the_oracle(
    mode: dict[str, Any], dtype: torch.dtype, device: str
) -> None:
    inputs = numbered_inputs(1, 6, dtype=dtype, device=device)
    # At a small gamma the share of the background would be a denormal number where tails are long.
    arguments = {"image_size": (5, 13), "dist_eps": 1e-3, "gamma": 0.1, **mode}
    render, oracle = (
        render_with(function, **arguments)
        for function in (soft_rasterize, soft_rasterize_reference)
    )
    assert_equals_oracle(render, oracle, inputs)


@pytest.mark.parametrize("dtype", DTYPES, ids=str)
@pytest.mark.parametrize("alpha", ["product", "sum", "maximum", "frank", "schweizer_sklar"])
def test_silhouettes_equal_the_oracle(alpha: str, dtype: torch.dtype, device: str) -> None:
    vertices, _, opacity, sigma, _ = numbered_inputs(dtype=dtype, device=device)

    def render_by(function: Any) -> Callable[..., Tensor]:
        return lambda v, o, s: function(v, (7, 9), alpha=alpha, face_opacity=o, face_sigma=s)

    assert_equals_oracle(
        render_by(soft_silhouette), render_by(soft_silhouette_reference), (vertices, opacity, sigma)
    )


@pytest.mark.parametrize(
    "mode", [{"color": "hard"}, {"distance": "barycentric"}, *T_CONORMS], ids=mode_name
)
def test_gradient_is_exact(mode: dict[str, Any], device: str) -> None:
    leaves = [tensor.requires_grad_() for tensor in numbered_inputs(1, 4, device=device)]
    render = render_with(image_size=(4, 5), perspective_correct=True, **mode)
    assert torch.autograd.gradcheck(render, leaves, eps=1e-7, atol=1e-5, fast_mode=False)


@pytest.mark.parametrize("color", ["softmax", "hard"])
def test_a_large_image_of_many_faces_equals_the_oracle(color: str, device: str) -> None:
    """Several tiles, and pixels that many faces reach."""
    vertices = mesh(120, size=0.9, device=device)
    _, _, opacity, sigma, behind = numbered_inputs(1, 120, device=device)
    inputs = (vertices, uniform(1, 120, 3, 3, device=device), opacity, sigma, behind)
    arguments = {"image_size": (70, 90), "color": color}
    assert_equals_oracle(
        render_with(**arguments), render_with(soft_rasterize_reference, **arguments), inputs
    )


# ---- values that are known -----------------------------------------------------------------------


@pytest.mark.parametrize("color", ["softmax", "hard"])
@pytest.mark.parametrize("mode", [{}, *T_CONORMS], ids=mode_name)
def test_opacities_of_one_change_nothing(mode: dict[str, Any], color: str, device: str) -> None:
    vertices, textures, opacity, sigma, behind = numbered_inputs(device=device)
    render = render_with(color=color, **mode)
    ones, same = torch.ones_like(opacity), torch.full_like(sigma, 1e-2)
    expected, expected_grads = gradients(
        lambda v, t, b: render(v, t, None, None, b), vertices, textures, behind
    )
    for numbers in ((ones, None), (None, same), (ones, same)):
        image, grads = gradients(
            lambda v, t, b, n=numbers: render(v, t, *n, b), vertices, textures, behind
        )
        assert_same(image, expected, 1e-11)
        for grad, expected_grad in zip(grads, expected_grads, strict=True):
            assert_same(grad, expected_grad, 1e-9)


def covering(depth: float) -> list[list[float]]:
    return [[-9.0, -9.0, depth], [0.0, 9.0, depth], [9.0, -9.0, depth]]


@pytest.mark.parametrize(
    ("alpha", "expected"), [("product", 0.7), ("sum", 0.45), ("maximum", 0.5), ("hard", 0.0)]
)
def test_opacities_are_coverages_of_faces_that_cover_the_image(
    alpha: str, expected: float, device: str
) -> None:
    vertices = torch.tensor([[covering(2.0), covering(3.0)]], device=device)
    opacity = torch.tensor([[0.4, 0.5]], device=device)
    seen = soft_silhouette(vertices, 3, sigma=1e-3, alpha=alpha, face_opacity=opacity)
    torch.testing.assert_close(seen, torch.full((1, 3, 3), expected, device=device))


def test_an_opaque_or_invisible_face_still_has_a_gradient(device: str) -> None:
    """1 - (1 - a)(1 - b) where a is 1 and b is 0, and D of both is 1 to the last bit."""
    vertices = torch.tensor([[covering(2.0), covering(3.0)]], device=device)
    opacity = torch.tensor([[1.0, 0.0]], device=device, requires_grad=True)
    alpha = soft_silhouette(vertices, 1, sigma=1e-5, face_opacity=opacity)
    (grad,) = torch.autograd.grad(alpha.sum(), opacity)
    assert alpha.item() == 1
    assert grad.tolist() == [[1.0, 0.0]]
    colors = torch.eye(3, device=device)[None, :2, None].expand(1, 2, 3, 3)
    rgba = soft_rasterize(vertices, colors, 1, sigma=1e-5, gamma=10.0, face_opacity=opacity)
    (grad,) = torch.autograd.grad(rgba[0, 1].sum(), opacity)
    assert grad[0, 1] > 0.2  # green would come in


def test_softmax_weighs_opacities(device: str) -> None:
    vertices = torch.tensor([[covering(2.0), covering(2.0)]], device=device)
    colors = torch.eye(3, device=device)[None, :2, None].expand(1, 2, 3, 3)
    opacity = torch.tensor([[0.2, 0.6]], device=device)
    rgba = soft_rasterize(vertices, colors, 2, sigma=1e-3, gamma=1e-3, face_opacity=opacity)
    torch.testing.assert_close(rgba[0, :2, 0, 0], torch.tensor([0.25, 0.75], device=device))


# ---- batches, order, threads ---------------------------------------------------------------------


def test_packed_equals_separate_meshes(device: str) -> None:
    *faces, behind = numbered_inputs(1, 7, dtype=torch.float32, device=device)
    packed = [tensor[0] for tensor in faces]
    cuts = [0, 3, 3, 7]
    image = render_with(first_face=torch.tensor(cuts))(*packed, behind)
    for i, (begin, end) in enumerate(itertools.pairwise(cuts)):
        alone = render_with()(*(tensor[None, begin:end] for tensor in packed), behind)
        assert torch.equal(alone[0], image[i])


def test_bits_depend_on_no_other_image_and_not_on_threads(device: str) -> None:
    vertices = mesh(60, size=0.5, dtype=torch.float32, device=device)
    inputs = [vertices, *numbered_inputs(1, 60, dtype=torch.float32, device=device)[1:4]]
    render = render_with(image_size=(80, 70))
    before = torch.get_num_threads()
    try:
        torch.set_num_threads(1)
        expected = gradients(render, *inputs)
        torch.set_num_threads(3)
        assert_same_bits(gradients(render, *inputs), expected)
        image = render(*(tensor.expand(3, *tensor.shape[1:]) for tensor in inputs))
        assert all(torch.equal(each, expected[0][0]) for each in image)
    finally:
        torch.set_num_threads(before)


def test_listing_faces_in_another_order_changes_little(device: str) -> None:
    inputs = numbered_inputs(1, 12, device=device)[:4]
    turned = torch.randperm(12, generator=torch.Generator().manual_seed(0))
    image, grads = gradients(render_with(), *inputs)
    other, other_grads = gradients(render_with(), *(tensor[:, turned] for tensor in inputs))
    assert_same(other, image, 1e-12)
    for grad, other_grad in zip(grads, other_grads, strict=True):
        assert_same(other_grad, grad[:, turned], 1e-10)


def test_vmap_of_gradients(device: str) -> None:
    vertices, textures, opacity, sigma, _ = numbered_inputs(3, 4, device=device)
    tensors = (vertices[:, None], textures[:, None], opacity[:, None], sigma[:, None])

    def loss(v: Tensor, t: Tensor, o: Tensor, s: Tensor) -> Tensor:
        return render_with()(v, t, o, s).square().sum()

    def silhouette_loss(v: Tensor, o: Tensor, s: Tensor) -> Tensor:
        return soft_silhouette(v, 5, face_opacity=o, face_sigma=s).square().sum()

    batched = torch.func.vmap(torch.func.grad(loss, (0, 1, 2, 3)))(*tensors)
    each = [torch.func.grad(loss, (0, 1, 2, 3))(*(x[i] for x in tensors)) for i in range(3)]
    for index, grad in enumerate(batched):
        torch.testing.assert_close(grad, torch.stack([one[index] for one in each]))
    numbers = (tensors[0], *tensors[2:])
    batched = torch.func.vmap(torch.func.grad(silhouette_loss, (0, 1, 2)))(*numbers)
    each = [torch.func.grad(silhouette_loss, (0, 1, 2))(*(x[i] for x in numbers)) for i in range(3)]
    for index, grad in enumerate(batched):
        torch.testing.assert_close(grad, torch.stack([one[index] for one in each]))


@pytest.mark.parametrize("first_face", [[], [0, 1, 6]], ids=["equal", "packed"])
@pytest.mark.parametrize("color", [0, 1, 2], ids=["silhouette", "softmax", "hard"])
def test_passes_opcheck(color: int, first_face: list[int], device: str) -> None:
    *faces, behind = numbered_inputs(2, 3, dtype=torch.float32, device=device)
    leaves = [tensor.flatten(0, 1).requires_grad_() for tensor in faces]
    offsets = torch.tensor(first_face, dtype=torch.int64)
    numbers = [1e-2, 1e-4, 2.0, 0.0, 0.0, 1e-2, 1e-3, 1.0, 100.0, 0.0]
    settings = (torch.tensor(numbers, dtype=torch.float64), 0, 0, 0, True, color, 0, 0, 0)
    arguments = (*leaves, behind, offsets, 2, 4, 5, *settings, True, False, False)
    torch.library.opcheck(torch.ops.renderer_cuda.layered_rasterize.default, arguments)


# ---- bad input and extremes ----------------------------------------------------------------------


@pytest.mark.parametrize(
    ("numbers", "message"),
    [
        (
            {"face_opacity": torch.ones(2, 5)},
            r"face_opacity must have shape \[2, 6\], got \[2, 5\]",
        ),
        (
            {"face_opacity": torch.full((2, 6), 1.5)},
            "face_opacity must be between 0 and 1, got 1.5",
        ),
        ({"face_opacity": torch.full((2, 6), torch.nan)}, "face_opacity must be .* got nan"),
        ({"face_sigma": torch.zeros(2, 6)}, r"face_sigma must be positive and finite, got 0\.0"),
        ({"face_sigma": torch.full((2, 6), torch.inf)}, "face_sigma must be .* got inf"),
        ({"face_sigma": torch.ones(2, 6).int()}, "face_sigma must be float32 or float64, got"),
        ({"face_sigma": [[1.0] * 6] * 2}, "face_sigma must be a torch.Tensor, got list"),
    ],
)
def test_bad_arguments_are_named(numbers: dict[str, Any], message: str) -> None:
    vertices, textures = scene(2, 6, dtype=torch.float32)
    for render in (soft_rasterize, soft_rasterize_reference):
        with pytest.raises(ValueError, match=message):
            render(vertices, textures, 4, **numbers)
    for silhouette in (soft_silhouette, soft_silhouette_reference):
        with pytest.raises(ValueError, match=message):
            silhouette(vertices, 4, **numbers)


@pytest.mark.parametrize("opaque", [0.0, 1e-30, 1.0])
@pytest.mark.parametrize("width", [1e-12, 1.0, 1e12])
@pytest.mark.parametrize("mode", FAMILY, ids=mode_name)
def test_images_and_gradients_are_finite(
    mode: dict[str, Any], width: float, opaque: float, device: str
) -> None:
    vertices, textures, opacity, sigma, _ = numbered_inputs(
        1, 12, dtype=torch.float32, device=device
    )
    inputs = (vertices, textures, torch.full_like(opacity, opaque), torch.full_like(sigma, width))
    for color, gamma in (("softmax", 1e-6), ("softmax", 1.0), ("hard", 1.0)):
        image, grads = gradients(
            render_with(image_size=6, color=color, gamma=gamma, **mode), *inputs
        )
        assert torch.isfinite(image).all()
        assert all(torch.isfinite(grad).all() for grad in grads)
        assert image.min() >= 0
        assert image.max() <= 1 + 1e-5
