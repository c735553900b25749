"""Layered colours, color "over": the kernels against the oracle, and what they promise.

test_layers_emulated.py runs tests of this file on emulated CUDA kernels, so scenes are small;
"large" in a name marks those that are not.
"""

from __future__ import annotations

import itertools
import math
from collections.abc import Callable
from typing import Any

import pytest
import torch
from hypothesis import given, settings
from hypothesis import strategies as st
from scenes import (
    DEVICES,
    DISTRIBUTIONS,
    DTYPES,
    SHAPES,
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
from test_properties import GENERAL, OUTLINED, SCALED, SKIPPED, Scene, scenes
from torch import Tensor

from renderer_cuda import soft_rasterize, soft_rasterize_reference
from renderer_cuda.validation import LAYER_MODES, MODES

OPS = torch.ops.renderer_cuda
POWERS = ("incenter", "compact")  # windows whose sigma is a power

CHOICES = [
    {"window": window, "distance": distance, "order": order, "texture": texture}
    for window, distance, order, texture in itertools.product(
        LAYER_MODES["window"], MODES["distance"], LAYER_MODES["order"], MODES["texture"]
    )
    if distance == "euclidean" or window not in POWERS
]


# Sigma, dist_eps, the numbers of the family, gamma, eps, near, far and stop_transmittance.
SCALARS = torch.tensor([1e-2, 1e-4, 2, 0, 0, 1e-4, 1e-3, 1, 100, 0], dtype=torch.float64)
# Coverages by other distributions.
COVERAGES: list[dict[str, Any]] = [
    {"distance": distance, **mode}
    for distance, modes in (("euclidean", [*DISTRIBUTIONS, *SHAPES]), ("barycentric", SHAPES))
    for mode in modes
]


@pytest.fixture(autouse=True, scope="module", params=DEVICES)
def device(request: pytest.FixtureRequest) -> str:
    """Every test of this file runs on the native kernels of each device, or says why it cannot."""
    return require_kernels(request.param)


def inputs_of(mode: dict[str, str], images: int = 2, faces: int = 6, **options: Any) -> Inputs:
    """Faces with numbers of their own, as the window of a mode takes sigma."""
    inputs = list(numbered_inputs(images, faces, mode.get("texture", "vertex"), **options))
    if mode.get("window") in POWERS:
        inputs[3] = 0.4 + 2 * uniform(images, faces, seed=7).to(inputs[3])
    return tuple(inputs)


def render_with(function: Any = soft_rasterize, **arguments: Any) -> Callable[..., Tensor]:
    """Return a render in layers as a function of `Inputs`, or of the first few of them."""
    return render_numbered(function, **{"color": "over", **arguments})


def used(inputs: Inputs, mode: dict[str, str]) -> Inputs:
    """The inputs that have a gradient in a mode: nothing reads sigma of a hard distance."""
    return inputs[:3] if mode["distance"] == "hard" else inputs


# ---- against the oracle --------------------------------------------------------------------------

SETUPS: dict[str, dict[str, Any]] = {
    "in a range": {"image_size": (5, 13), "near": 1.6, "far": 2.7},
    "fronts, perspective": {"double_sided": False, "perspective_correct": True},
    "stopped": {"stop_transmittance": 0.4, "dist_eps": 0.05},
}


@pytest.mark.parametrize("dtype", DTYPES, ids=str)
@pytest.mark.parametrize("setup", SETUPS.values(), ids=SETUPS)
@pytest.mark.parametrize("mode", CHOICES, ids=mode_name)
def test_equals_the_oracle(
    mode: dict[str, str], setup: dict[str, Any], dtype: torch.dtype, device: str
) -> None:
    inputs = used(inputs_of(mode, dtype=dtype, device=device), mode)
    oracle = render_with(soft_rasterize_reference, **setup, **mode)
    assert_equals_oracle(render_with(**setup, **mode), oracle, inputs)


@pytest.mark.parametrize("dtype", DTYPES, ids=str)
@pytest.mark.parametrize("mode", COVERAGES, ids=mode_name)
def test_every_distribution_equals_the_oracle(
    mode: dict[str, Any], dtype: torch.dtype, device: str
) -> None:
    inputs = inputs_of({}, 1, 6, dtype=dtype, device=device)
    arguments = {"image_size": (5, 13), "dist_eps": 1e-3, **mode}
    oracle = render_with(soft_rasterize_reference, **arguments)
    assert_equals_oracle(render_with(**arguments), oracle, inputs)


@pytest.mark.parametrize("mode", CHOICES, ids=mode_name)
def test_detached_barycentric_coordinates_equal_the_oracle(
    mode: dict[str, str], device: str
) -> None:
    inputs = used(inputs_of(mode, device=device), mode)
    arguments = {"perspective_correct": True, **mode}
    render = render_with(detach_barycentric=True, **arguments)
    oracle = render_with(soft_rasterize_reference, detach_barycentric=True, **arguments)
    assert_equals_oracle(render, oracle, inputs)
    assert torch.equal(render(*inputs), render_with(**arguments)(*inputs))


@pytest.mark.parametrize("window", LAYER_MODES["window"])
def test_a_large_image_of_many_faces_equals_the_oracle(window: str, device: str) -> None:
    """Several tiles, and pixels with more faces than are sorted by insertion."""
    vertices, mode = mesh(120, size=0.9, device=device), {"window": window}
    vertices[..., 2] = 2 + uniform(1, 120, 3, seed=8, device=device)
    _, _, opacity, sigma, behind = inputs_of(mode, 1, 120, device=device)
    inputs = (vertices, uniform(1, 120, 3, 3, device=device), opacity, sigma, behind)
    arguments = {"image_size": (70, 90), "window": window}
    image, grads = gradients(render_with(**arguments), *inputs)
    oracle = render_with(soft_rasterize_reference, **arguments)
    expected, expected_grads = gradients(oracle, *inputs)
    assert_same(image, expected, 1e-11)
    for grad, expected_grad in zip(grads, expected_grads, strict=True):
        assert_same(grad, expected_grad, 1e-9)


@pytest.mark.parametrize("mode", CHOICES, ids=mode_name)
def test_gradient_is_exact(mode: dict[str, str], device: str) -> None:
    """Away from swaps of the order: depths of random faces are far apart for the step of gradcheck.

    No pixel of this scene is near one, which the comparison of a step up and down would show.
    """
    inputs = used(inputs_of(mode, 1, 4, device=device), mode)
    leaves = [tensor.requires_grad_() for tensor in inputs]
    render = render_with(image_size=(4, 5), perspective_correct=True, **mode)
    assert torch.autograd.gradcheck(render, leaves, eps=1e-7, atol=1e-5, fast_mode=False)


@pytest.mark.parametrize("mode", COVERAGES, ids=mode_name)
def test_gradient_is_exact_for_every_distribution(mode: dict[str, Any], device: str) -> None:
    leaves = [tensor.requires_grad_() for tensor in inputs_of({}, 1, 4, device=device)]
    render = render_with(image_size=(4, 5), **mode)
    assert torch.autograd.gradcheck(render, leaves, eps=1e-7, atol=1e-5, fast_mode=False)


# ---- values that are known -----------------------------------------------------------------------


def square(depth: float) -> list[list[list[float]]]:
    """Two faces that cover the image; no pixel centre lies on their common edge."""
    a, b, c, d = ([x, y, depth] for x, y in ((-2.0, -2.1), (2.2, -2.0), (2.1, 2.5), (-2.3, 2.0)))
    return [[a, b, c], [a, c, d]]


def stacked(device: str) -> tuple[Tensor, Tensor]:
    """A red square in front of a green one in front of a blue one, listed out of order."""
    vertices = torch.tensor([square(3) + square(2) + square(4)], device=device)
    colors = torch.eye(3, device=device)[[1, 1, 0, 0, 2, 2]]
    return vertices, colors[None, :, None].expand(1, 6, 3, 3)


@pytest.mark.parametrize("order", LAYER_MODES["order"])
def test_squares_are_composed_front_to_back(order: str, device: str) -> None:
    opacity = torch.tensor([[0.5, 0.5, 0.25, 0.25, 1.0, 1.0]], device=device)
    render = render_with(distance="hard", order=order, image_size=(4, 6))
    image = render(*stacked(device), opacity)
    expected = torch.tensor([0.25, 0.75 * 0.5, 0.75 * 0.5, 1.0], device=device)
    torch.testing.assert_close(image, expected[None, :, None, None].expand(1, 4, 4, 6))
    image = render(*stacked(device), opacity * torch.tensor([1, 1, 1, 1, 0, 0.0], device=device))
    expected = torch.tensor([0.25, 0.75 * 0.5, 0.0, 1 - 0.75 * 0.5], device=device)
    torch.testing.assert_close(image, expected[None, :, None, None].expand(1, 4, 4, 6))


def test_stopping_leaves_out_what_lies_behind(device: str) -> None:
    opacity = torch.full((1, 6), 0.6, device=device)
    render = render_with(distance="hard", stop_transmittance=0.2, image_size=4)
    image, grads = gradients(render, *stacked(device), opacity)
    expected = torch.tensor([0.6, 0.4 * 0.6, 0.0, 1 - 0.4 * 0.4], device=device)
    torch.testing.assert_close(image, expected[None, :, None, None].expand(1, 4, 4, 4))
    assert not grads[1][:, 4:].any()
    assert not grads[2][:, 4:].any()
    assert grads[2][:, :4].all()


def test_order_by_centroid_is_that_of_whole_faces(device: str) -> None:
    """Two faces that cross: each is in front in a half, or one everywhere by its mean depth."""
    corners = [[-3.0, -3.0], [3.0, -3.0], [0.0, 4.0]]
    near_left = [[*corner, depth] for corner, depth in zip(corners, (1.5, 3.0, 2.0), strict=True)]
    flat = [[*corner, 2.2] for corner in corners]
    vertices = torch.tensor([[near_left, flat]], device=device)
    colors = torch.eye(3, device=device)[None, :2, None].expand(1, 2, 3, 3)
    by_pixel, by_centroid = (
        render_with(distance="hard", order=order, image_size=8)(vertices, colors)
        for order in LAYER_MODES["order"]
    )
    red, green = by_pixel[0, 0, 4], by_pixel[0, 1, 4]
    left = int(red.sum())
    assert 0 < left < 8
    assert red.tolist() == [1.0] * left + [0.0] * (8 - left)
    assert torch.equal(green, 1 - red)
    assert (by_centroid[0, 0] == 1).all()


def test_clipped_window_leaves_no_seam(device: str) -> None:
    """Within the halves of a square W is 1; the sigmoid is one half along their common edge."""
    vertices = torch.tensor([square(2)], device=device)
    colors = torch.ones(1, 2, 3, 3, device=device)
    seam = render_with(sigma=1e-2, image_size=8)(vertices, colors)[:, 3]
    clipped = render_with(sigma=1e-2, image_size=8, window="exp_clipped")(vertices, colors)[:, 3]
    assert seam.min() < 0.8
    assert (clipped == 1).all()


@pytest.mark.parametrize("window", POWERS)
@pytest.mark.parametrize("power", [0.5, 1.0, 3.0])
def test_windows_of_splatting_have_their_values(window: str, power: float, device: str) -> None:
    """At the incentre or centroid, and half of the way to an edge."""
    # Equilateral: its incentre is its centroid, the middle pixel; the inradius is 0.5 NDC.
    corners = [[math.sqrt(3) / 2, -0.5, 2.0], [0.0, 1.0, 2.0], [-math.sqrt(3) / 2, -0.5, 2.0]]
    vertices = torch.tensor([[corners]], dtype=torch.float64, device=device)
    render = render_with(window=window, sigma=power, image_size=33, dist_eps=1e-9)
    alpha = render(vertices, torch.ones_like(vertices))[0, 3]
    # Rows go down by 2 / 33: 4.125 rows below the middle is half of the inradius.
    middle, lower = alpha[16, 16].item(), alpha[20, 16].item()
    ratio = 4 * 2 / 33 / 0.5
    if window == "incenter":
        expected = (1 - ratio) ** power
        assert alpha[25:].max() == 0  # below the lower edge
    else:
        expected = math.exp(-(ratio ** (2 * power)) / 2)
        assert 0 < alpha[25, 16].item() < math.exp(-0.5)
    assert middle == pytest.approx(1, abs=2e-3 if power == 0.5 else 1e-6)
    assert lower == pytest.approx(expected, rel=1e-9)


def test_alpha_is_of_the_faces_with_color(device: str) -> None:
    vertices, colors = stacked(device)
    render = render_with(distance="hard", near=2.5, image_size=3)
    torch.testing.assert_close(
        render(vertices, colors)[:, :3].sum(1), torch.ones(1, 3, 3, device=device)
    )
    assert not render(vertices, colors)[:, 0].any()
    assert not render_with(distance="hard", near=5.0, image_size=3)(vertices, colors).any()


# ---- defaults, batches, order, threads -----------------------------------------------------------


def test_no_numbers_of_faces_are_those_of_the_call(device: str) -> None:
    vertices, textures, *_ = inputs_of({}, device=device)
    render = render_with(sigma=0.02)
    ones, sigmas = torch.ones_like(vertices[..., 0, 0]), torch.full_like(vertices[..., 0, 0], 0.02)
    expected = gradients(lambda v, t: render(v, t, ones, sigmas), vertices, textures)
    image, grads = gradients(render, vertices, textures)
    assert_same(image, expected[0], 1e-12)
    for grad, expected_grad in zip(grads, expected[1], strict=True):
        assert_same(grad, expected_grad, 1e-10)


@pytest.mark.parametrize("texture", MODES["texture"])
def test_packed_equals_separate_meshes(texture: str, device: str) -> None:
    *faces, behind = inputs_of({"texture": texture}, 1, 7, dtype=torch.float32, device=device)
    packed = [tensor[0] for tensor in faces]
    cuts = [0, 3, 3, 7]
    render = render_with(texture=texture, first_face=torch.tensor(cuts))
    image, grads = gradients(lambda *tensors: render(*tensors, behind), *packed)
    generator = torch.Generator().manual_seed(1)
    upstream = torch.randn(image.shape, generator=generator, dtype=torch.float64).to(image)
    for i, (begin, end) in enumerate(itertools.pairwise(cuts)):
        leaves = [tensor[None, begin:end].clone().requires_grad_() for tensor in packed]
        alone = render_with(texture=texture)(*leaves, behind)
        assert torch.equal(alone[0], image[i])
        expected = torch.autograd.grad(alone, leaves, upstream[i : i + 1])
        for grad, expected_grad in zip(grads, expected, strict=True):
            assert torch.equal(grad[begin:end], expected_grad[0])


@pytest.mark.parametrize("window", LAYER_MODES["window"])
def test_bits_depend_on_no_other_image_and_not_on_threads(window: str, device: str) -> None:
    vertices = mesh(60, size=0.5, dtype=torch.float32, device=device)
    numbers = inputs_of({"window": window}, 1, 60, dtype=torch.float32, device=device)[1:4]
    inputs = [vertices, *numbers]
    render = render_with(window=window, image_size=(80, 70))
    before = torch.get_num_threads()
    try:
        torch.set_num_threads(1)
        expected = gradients(render, *inputs)
        for threads in (1, 3, 4):
            torch.set_num_threads(threads)
            assert_same_bits(gradients(render, *inputs), expected)
            batch = [tensor.expand(5, *tensor.shape[1:]) for tensor in inputs]
            image = render(*batch)
            assert all(torch.equal(each, expected[0][0]) for each in image)
    finally:
        torch.set_num_threads(before)


@pytest.mark.parametrize("order", LAYER_MODES["order"])
def test_listing_faces_in_another_order_changes_no_bit(order: str, device: str) -> None:
    inputs = [*inputs_of({}, 1, 12, dtype=torch.float32, device=device)[:4]]
    generator = torch.Generator().manual_seed(0)
    turned = torch.randperm(12, generator=generator)
    render = render_with(order=order)
    image, grads = gradients(render, *inputs)
    other, other_grads = gradients(render, *(tensor[:, turned] for tensor in inputs))
    assert torch.equal(image, other)
    for grad, other_grad in zip(grads, other_grads, strict=True):
        assert torch.equal(grad[:, turned], other_grad)


def test_of_faces_at_one_depth_the_first_is_in_front(device: str) -> None:
    vertices, colors = stacked(device)
    vertices = vertices.clone()
    vertices[..., 2] = 2.0
    image = render_with(distance="hard", image_size=3)(vertices, colors)
    assert (image[:, 1] == 1).all()
    assert not image[:, [0, 2]].any()


def test_empty_batches_and_meshes(device: str) -> None:
    for images, faces in ((0, 3), (2, 0)):
        vertices = torch.zeros(images, faces, 3, 3, device=device, requires_grad=True)
        numbers = torch.full((images, faces), 0.5, device=device, requires_grad=True)
        behind = torch.tensor([0.1, 0.2, 0.3], device=device, requires_grad=True)
        image = render_with()(vertices, vertices.detach() + 1, numbers, numbers, behind)
        assert image.shape == (images, 4, 9, 12)
        assert torch.equal(image[:, :3], behind[:, None, None].expand(images, 3, 9, 12))
        assert not image[:, 3].any()
        image.sum().backward()
        assert vertices.grad is not None
        assert behind.grad is not None
        assert behind.grad.tolist() == [images * 108.0] * 3


def test_a_background_image_gets_what_is_left(device: str) -> None:
    vertices, textures, opacity, _, _ = inputs_of({}, device=device)
    behind = uniform(2, 3, 9, 12, seed=3, device=device).requires_grad_()
    image = render_with()(vertices, textures, opacity, None, behind)
    (grad,) = torch.autograd.grad(image[:, :3].sum(), behind)
    torch.testing.assert_close(grad, (1 - image[:, 3:]).expand_as(grad))


# ---- nasty scenes --------------------------------------------------------------------------------


@settings(max_examples=200, deadline=None)
@given(
    nasty=scenes(GENERAL + OUTLINED + SCALED + SKIPPED, sigma=(-12, 1)),
    mode=st.sampled_from(CHOICES),
    opaque=st.sampled_from([0.0, 0.3, 1.0]),
)
def test_images_and_gradients_are_finite(nasty: Scene, mode: dict[str, str], opaque: float) -> None:
    texture = nasty.mode["texture"]
    numbers = torch.full_like(nasty.vertices[..., 0, 0], opaque)
    arguments = nasty.arguments | mode | {"texture": texture, "image_size": nasty.image_size}
    render = render_with(**arguments)
    inputs = (nasty.vertices, nasty.textures, numbers)
    image, grads = gradients(render, *inputs)
    assert torch.isfinite(image).all()
    assert all(torch.isfinite(grad).all() for grad in grads)
    assert image.min() >= 0
    assert image[:, 3].max() <= 1
    assert image.max() <= 1 + 64 * torch.finfo(image.dtype).eps


@pytest.mark.parametrize("number", ["face_opacity", "face_sigma"])
def test_direct_calls_leave_out_faces_with_bad_numbers(number: str, device: str) -> None:
    """The op does not look at values: what cannot be drawn is skipped and poisons nothing."""
    inputs = inputs_of({}, 1, 6, dtype=torch.float32, device=device)
    place = 2 if number == "face_opacity" else 3
    bad = inputs[place].clone()
    bad[0, 3] = math.nan
    changed = [*inputs[:place], bad, *inputs[place + 1 :]]
    kept = [tensor[:, [0, 1, 2, 4, 5]] for tensor in inputs[:4]]

    def call(tensors: Any) -> Tensor:
        flat = [tensor.flatten(0, 1) for tensor in tensors[:4]]
        settings = (1, 9, 12, SCALARS, 0, 0, 0, True, 3, 0, 0, 0, True, False, False)
        image: Tensor = OPS.layered_rasterize(
            *flat, inputs[4], torch.empty(0, dtype=torch.int64), *settings
        )[0]
        return image

    assert torch.equal(call(changed), call(kept))


# ---- torch ---------------------------------------------------------------------------------------


def op_arguments(device: str, first_face: list[int] | None, numbers: bool = True) -> tuple:
    inputs = inputs_of({}, 2, 3, dtype=torch.float32, device=device)
    vertices, textures, opacity, sigma = (
        tensor.flatten(0, 1).requires_grad_() for tensor in inputs[:4]
    )
    none = vertices.new_empty(0)
    offsets = torch.tensor(first_face or [], dtype=torch.int64)
    per_face = (opacity, sigma) if numbers else (none, none)
    settings = (2, 4, 5, SCALARS, 0, 0, 0, True, 3, 0, 0, 0, True, False, False)
    return (vertices, textures, *per_face, inputs[4], offsets, *settings)


@pytest.mark.parametrize("first_face", [None, [0, 1, 6]], ids=["equal", "packed"])
@pytest.mark.parametrize("numbers", [True, False], ids=["numbers", "none"])
def test_passes_opcheck(first_face: list[int] | None, numbers: bool, device: str) -> None:
    arguments = op_arguments(device, first_face, numbers)
    torch.library.opcheck(OPS.layered_rasterize.default, arguments)


def test_compiles_whole(device: str) -> None:
    inputs = inputs_of({}, dtype=torch.float32, device=device)
    render = render_with()
    torch._dynamo.reset()
    compiled = torch.compile(render, fullgraph=True, backend="aot_eager")
    expected = gradients(render, *inputs)
    actual = gradients(compiled, *inputs)
    torch.testing.assert_close(actual, expected)


def test_vmap_of_grad_equals_a_loop(device: str) -> None:
    examples = inputs_of({}, 6, 4, device=device)[:4]
    behind = uniform(3, 3, seed=4, device=device)
    batch = (*(tensor.unflatten(0, (3, 2)) for tensor in examples), behind)

    def loss(*tensors: Tensor) -> Tensor:
        return render_with(image_size=(5, 4))(*tensors).square().sum()

    each = torch.func.grad(loss, argnums=(0, 1, 2, 3, 4))
    grads = torch.func.vmap(each)(*batch)
    for i in range(3):
        for grad, expected in zip(grads, each(*(tensor[i] for tensor in batch)), strict=True):
            assert_same(grad[i], expected, 1e-12)


def test_vmap_over_opacities_alone(device: str) -> None:
    vertices, textures, opacity, sigma, _ = inputs_of({}, device=device)
    several = torch.stack([opacity, opacity / 2, 1 - opacity])
    render = render_with()
    images = torch.func.vmap(lambda each: render(vertices, textures, each, sigma))(several)
    for image, each in zip(images, several, strict=True):
        assert torch.equal(image, render(vertices, textures, each, sigma))


def test_second_derivative_and_forward_mode_are_refused(device: str) -> None:
    vertices, textures, *_ = inputs_of({}, device=device)
    render = render_with()
    leaf = vertices.requires_grad_()
    (grad,) = torch.autograd.grad(render(leaf, textures).sum(), leaf, create_graph=True)
    with pytest.raises(NotImplementedError, match="no second derivative"):
        grad.sum().backward()
    with pytest.raises(NotImplementedError, match="no forward-mode derivative"):
        torch.func.jvp(lambda v: render(v, textures), (vertices.detach(),), (vertices.detach(),))


@pytest.mark.parametrize("dtype", [torch.float16, torch.bfloat16], ids=str)
def test_halves_are_computed_in_float32(dtype: torch.dtype, device: str) -> None:
    inputs = inputs_of({}, dtype=dtype, device=device)
    image = render_with()(*inputs)
    assert image.dtype == torch.float32
    assert torch.equal(image, render_with()(*(tensor.float() for tensor in inputs)))
    reference = render_with(soft_rasterize_reference)(*inputs)
    torch.testing.assert_close(image, reference, rtol=0, atol=1e-4)


# ---- bad input -----------------------------------------------------------------------------------

BAD_NUMBERS = [
    ("face_opacity", -0.1, "between 0 and 1, got -0.1"),
    ("face_opacity", 1.5, "between 0 and 1, got 1.5"),
    ("face_opacity", math.nan, "between 0 and 1, got nan"),
    ("face_sigma", 0.0, "positive and finite, got 0.0"),
    ("face_sigma", -1.0, "positive and finite, got -1.0"),
    ("face_sigma", math.inf, "positive and finite, got inf"),
    ("face_sigma", math.nan, "positive and finite, got nan"),
]
FUNCTIONS = pytest.mark.parametrize(
    "function", [soft_rasterize, soft_rasterize_reference], ids=["op", "reference"]
)


@FUNCTIONS
@pytest.mark.parametrize(("name", "value", "message"), BAD_NUMBERS)
def test_bad_values_are_named(function: Any, name: str, value: float, message: str) -> None:
    vertices, textures = scene(2, 6)
    numbers = torch.full((2, 6), 0.5, dtype=torch.float64)
    numbers[1, 2] = value
    with pytest.raises(ValueError, match=f"{name} must be {message}"):
        function(vertices, textures, 4, color="over", **{name: numbers})


@FUNCTIONS
@pytest.mark.parametrize("name", ["face_opacity", "face_sigma"])
def test_bad_tensors_are_named(function: Any, name: str) -> None:
    vertices, textures = scene(2, 6)
    half = torch.full((2, 6), 0.5, dtype=torch.float64)
    for bad, message in (
        (half[:1], r"shape \[2, 6\], got \[1, 6\]"),
        (half[..., None], r"shape \[2, 6\], got \[2, 6, 1\]"),
        (half.float(), "the dtype of face_vertices, torch.float64, got torch.float32"),
        (half.long(), "float32 or float64, got torch.int64"),
        (0.5, "a torch.Tensor, got float"),
    ):
        with pytest.raises(ValueError, match=f"{name} must (be|have) {message}"):
            function(vertices, textures, 4, color="over", **{name: bad})


@FUNCTIONS
@pytest.mark.parametrize(
    ("change", "message"),
    [
        ({"window": "round"}, "window must be one of distribution, exp_clipped, .*, got 'round'"),
        ({"order": "random"}, "order must be one of pixel, centroid, got 'random'"),
        ({"alpha": "sum"}, "alpha must be 'product' with color 'over', got 'sum'"),
        (
            {"window": "incenter", "distance": "hard"},
            "distance must be 'euclidean' with window 'incenter', got 'hard'",
        ),
        ({"stop_transmittance": 1.0}, "stop_transmittance must be at least 0 and less than 1"),
        ({"stop_transmittance": -0.1}, "stop_transmittance must be .*, got -0.1"),
        ({"stop_transmittance": math.nan}, "stop_transmittance must be .*, got nan"),
        (
            {"color": "softmax", "window": "compact"},
            "window 'compact' needs color 'over', got color 'softmax'",
        ),
        ({"color": "hard", "order": "centroid"}, "order 'centroid' needs color 'over'"),
        ({"color": "hard", "stop_transmittance": 0.1}, "stop_transmittance needs color 'over'"),
        ({"color": "under"}, "color must be one of softmax, hard, over, got 'under'"),
    ],
)
def test_bad_arguments_are_named(function: Any, change: dict[str, Any], message: str) -> None:
    vertices, textures = scene(2, 6)
    with pytest.raises(ValueError, match=message):
        function(vertices, textures, 4, **({"color": "over"} | change))


@pytest.mark.parametrize(
    ("place", "value", "message"),
    [
        (2, torch.ones(5), r"face_opacity must have shape \[6\] or \[0\]"),
        (3, torch.ones(7), r"face_sigma must have shape \[6\] or \[0\]"),
        (9, torch.tensor([1e-2, 1e-4], dtype=torch.float64), r"scalars must have shape \[10\]"),
        (14, 4, r"color must be in 0\.\.3"),
        (16, 9, r"window must be in 0\.\.3"),
        (17, -1, r"order must be in 0\.\.1"),
    ],
)
def test_the_op_trusts_no_caller(place: int, value: Any, message: str, device: str) -> None:
    arguments = list(op_arguments(device, None))
    arguments[place] = value.to(device) if place in (2, 3) else value
    with pytest.raises(RuntimeError, match=message):
        OPS.layered_rasterize(*arguments)
