"""The native ops against the oracle, the released kernels' values and their own promises."""

from __future__ import annotations

from typing import Any

import pytest
import torch
from golden_cases import GoldenCase, load_cases
from hypothesis import given, settings
from hypothesis import strategies as st
from torch import Tensor

from renderer_cuda import (
    build,
    count_skipped_faces,
    soft_rasterize,
    soft_rasterize_reference,
    soft_silhouette,
    soft_silhouette_reference,
)
from renderer_cuda.validation import MODES

DEVICES = ["cpu", *(["cuda"] if torch.cuda.is_available() else [])]
CASES = load_cases()
TOLERANCE = {torch.float32: 1e-4, torch.float64: 1e-9}


@pytest.fixture(autouse=True, scope="module", params=DEVICES)
def device(request: pytest.FixtureRequest) -> str:
    """Every test of this file runs on the native kernels of each device, or says why it cannot."""
    reason = build.load(request.param)
    if reason:
        pytest.skip(f"no {request.param} kernels: {reason}")
    return str(request.param)


def scene(images: int = 2, faces: int = 6, seed: int = 0, **options: Any) -> tuple[Tensor, Tensor]:
    generator = torch.Generator().manual_seed(seed)
    vertices = torch.rand(images, faces, 3, 3, generator=generator, dtype=torch.float64) * 2 - 1
    vertices[..., 2] = 2 + vertices[..., 2]
    textures = torch.rand(images, faces, 3, 3, generator=generator, dtype=torch.float64)
    return vertices.to(**options), textures.to(**options)


def mesh(faces: int, seed: int = 0, size: float = 0.15, **options: Any) -> Tensor:
    """Many small faces all over the picture."""
    generator = torch.Generator().manual_seed(seed)
    centers = torch.rand(1, faces, 1, 3, generator=generator, dtype=torch.float64) * 2 - 1
    spread = torch.rand(1, faces, 3, 3, generator=generator, dtype=torch.float64) * 2 - 1
    vertices = centers + size * spread
    vertices[..., 2] = 3 + vertices[..., 2]
    return vertices.to(**options)


def gradients(function: Any, *inputs: Tensor, seed: int = 1) -> tuple[Tensor, tuple[Tensor, ...]]:
    """Return the output and the gradients of a fixed random mixture of its entries."""
    leaves = [tensor.detach().clone().requires_grad_() for tensor in inputs]
    output = function(*leaves)
    generator = torch.Generator().manual_seed(seed)
    upstream = torch.randn(output.shape, generator=generator, dtype=torch.float64).to(output)
    return output.detach(), torch.autograd.grad(output, leaves, upstream)


def assert_same(actual: Tensor, expected: Tensor, tolerance: float) -> None:
    error = (actual.double() - expected.double()).norm() / expected.double().norm().clamp_min(1e-12)
    assert error.item() < tolerance


# ---- against the released kernels ----------------------------------------------------------------


@pytest.mark.parametrize("dtype", [torch.float32, torch.float64], ids=str)
@pytest.mark.parametrize("case", CASES, ids=lambda case: case.name)
def test_equals_the_released_kernels(case: GoldenCase, dtype: torch.dtype, device: str) -> None:
    options = {"dtype": dtype, "device": device}
    vertices = case.face_vertices.to(**options).requires_grad_()
    textures = case.face_textures.to(**options).requires_grad_()
    image = soft_rasterize(vertices, textures, **case.arguments)
    image.backward(case.grad_image.to(**options))
    difference = (image.detach().cpu().double() - case.image).abs() * case.stable[:, None]
    assert difference.max() < (1e-4 if dtype == torch.float32 else 1e-5)
    assert textures.grad is not None
    tolerance = 1e-5 if dtype == torch.float64 else 1e-4
    assert_same(textures.grad.cpu(), case.grad_face_textures, tolerance)


# ---- against the oracle --------------------------------------------------------------------------


@pytest.mark.parametrize("dtype", [torch.float32, torch.float64], ids=str)
@pytest.mark.parametrize("image_size", [8, (5, 13), (70, 9)], ids=str)
@pytest.mark.parametrize("double_sided", [True, False])
@pytest.mark.parametrize("color", MODES["color"])
def test_equals_the_oracle(
    color: str, double_sided: bool, image_size: Any, dtype: torch.dtype, device: str
) -> None:
    arguments = {
        "image_size": image_size,
        "sigma": 1e-2,
        "gamma": 1e-2,
        "color": color,
        "near": 1.6,
        "far": 2.7,
        "background": (0.2, 0.4, 0.6),
        "double_sided": double_sided,
    }
    vertices, textures = scene(dtype=dtype, device=device)
    image, grads = gradients(lambda v, t: soft_rasterize(v, t, **arguments), vertices, textures)
    expected, expected_grads = gradients(
        lambda v, t: soft_rasterize_reference(v, t, **arguments),
        vertices.double(),
        textures.double(),
    )
    assert_same(image, expected, TOLERANCE[dtype])
    for grad, expected_grad in zip(grads, expected_grads, strict=True):
        assert_same(grad, expected_grad, 10 * TOLERANCE[dtype])


@pytest.mark.parametrize("dtype", [torch.float32, torch.float64], ids=str)
@pytest.mark.parametrize("image_size", [16, (150, 40)], ids=str)
def test_silhouette_equals_the_oracle(image_size: Any, dtype: torch.dtype, device: str) -> None:
    vertices = mesh(40, dtype=dtype, device=device)
    image, (grad,) = gradients(lambda v: soft_silhouette(v, image_size, sigma=1e-4), vertices)
    expected, (expected_grad,) = gradients(
        lambda v: soft_silhouette_reference(v, image_size, sigma=1e-4), vertices.double()
    )
    # float32 and float64 may disagree on single pixels at the end of the support, by dist_eps.
    torch.testing.assert_close(image.double(), expected, rtol=0, atol=2e-4)
    assert_same(grad, expected_grad, 20 * TOLERANCE[dtype])


@pytest.mark.parametrize("double_sided", [True, False])
@pytest.mark.parametrize("color", MODES["color"])
def test_gradient_is_exact(color: str, double_sided: bool, device: str) -> None:
    vertices, textures = scene(device=device)

    def render(vertices: Tensor, textures: Tensor) -> Tensor:
        return soft_rasterize(
            vertices,
            textures,
            (9, 7),
            sigma=3e-2,
            gamma=2e-2,
            color=color,
            near=1.5,
            double_sided=double_sided,
        )

    assert torch.autograd.gradcheck(render, (vertices.requires_grad_(), textures.requires_grad_()))


def test_gradient_of_silhouettes_is_exact(device: str) -> None:
    vertices, _ = scene(device=device)
    assert torch.autograd.gradcheck(
        lambda v: soft_silhouette(v, (9, 7), sigma=3e-2), (vertices.requires_grad_(),)
    )


# ---- promises ------------------------------------------------------------------------------------


def test_bits_do_not_depend_on_batch_or_threads(device: str) -> None:
    vertices = torch.cat([mesh(300, seed=s, dtype=torch.float32, device=device) for s in range(5)])
    textures = torch.rand(5, 300, 3, 3, device=device)

    def render(vertices: Tensor, textures: Tensor) -> Any:
        return gradients(
            lambda v, t: soft_rasterize(v, t, (130, 70), sigma=1e-4, gamma=1e-2),
            vertices,
            textures,
        )

    threads = torch.get_num_threads()
    try:
        torch.set_num_threads(2)
        image, grads = render(vertices, textures)
        torch.set_num_threads(1)
        again, again_grads = render(vertices, textures)
    finally:
        torch.set_num_threads(threads)
    assert torch.equal(image, again)
    assert all(torch.equal(a, b) for a, b in zip(grads, again_grads, strict=True))
    alone = soft_rasterize(vertices[3:4], textures[3:4], (130, 70), sigma=1e-4, gamma=1e-2)
    assert torch.equal(image[3:4], alone)


def test_tiles_join_without_a_seam(device: str) -> None:
    """A picture of several tiles equals the oracle, whose pixels know nothing of each other."""
    vertices = mesh(12, size=1.0, dtype=torch.float64, device=device)
    image = soft_silhouette(vertices, (131, 200), sigma=1e-3)
    expected = soft_silhouette_reference(vertices, (131, 200), sigma=1e-3)
    torch.testing.assert_close(image, expected, rtol=0, atol=1e-12)


def test_more_faces_than_a_block(device: str) -> None:
    """Faces in front hide those behind them whatever their number and order."""
    vertices = mesh(700, dtype=torch.float64, device=device)
    textures = torch.rand(1, 700, 3, 3, dtype=torch.float64, device=device)
    arguments = {"sigma": 1e-4, "color": "hard"}
    image = soft_rasterize(vertices, textures, 24, **arguments)
    order = torch.randperm(700, generator=torch.Generator().manual_seed(0)).to(device)
    shuffled = soft_rasterize(vertices[:, order], textures[:, order], 24, **arguments)
    torch.testing.assert_close(image, shuffled)
    torch.testing.assert_close(
        image, soft_rasterize_reference(vertices, textures, 24, **arguments), rtol=0, atol=1e-9
    )


BAD_FACES = {
    "nan": [[float("nan"), 0, 2], [1, 0, 2], [0, 1, 2]],
    "infinite": [[0, 0, 2], [float("inf"), 0, 2], [0, 1, 2]],
    "overflowing": [[0, 0, 2], [1e30, 0, 2], [0, 1e30, 2]],
    "behind": [[-1, -1, 2], [1, -1, -2], [0, 1, 2]],
    "depth zero": [[-1, -1, 2], [1, -1, 0], [0, 1, 2]],
    "a line": [[-1, -1, 2], [0, 0, 2], [1, 1, 2]],
    "a point": [[0.1, 0.1, 2], [0.1, 0.1, 2], [0.1, 0.1, 2]],
}


@pytest.mark.parametrize("kind", BAD_FACES)
@pytest.mark.parametrize("color", MODES["color"])
def test_a_bad_face_is_left_out(color: str, kind: str, device: str) -> None:
    vertices, textures = scene(dtype=torch.float32, device=device)
    bad = torch.tensor(BAD_FACES[kind], device=device).expand(2, 1, 3, 3)
    both = torch.cat([vertices[:, :3], bad, vertices[:, 3:]], dim=1)
    color_bad = torch.cat([textures[:, :3], textures[:, :1], textures[:, 3:]], dim=1)

    def render(vertices: Tensor, textures: Tensor) -> Tensor:
        return soft_rasterize(vertices, textures, 16, sigma=1e-3, gamma=1e-2, color=color)

    assert count_skipped_faces(both).tolist() == [1, 1]
    image, (grad, grad_texture) = gradients(render, both, color_bad)
    expected, (expected_grad, _) = gradients(render, vertices, textures)
    assert torch.equal(image, expected)
    assert torch.equal(grad[:, 3], torch.zeros_like(grad[:, 3]))
    assert torch.equal(grad_texture[:, 3], torch.zeros_like(grad[:, 3]))
    assert torch.equal(torch.cat([grad[:, :3], grad[:, 4:]], dim=1), expected_grad)
    reference = soft_rasterize_reference(both, color_bad, 16, sigma=1e-3, gamma=1e-2, color=color)
    torch.testing.assert_close(image, reference, rtol=1e-3, atol=1e-4)


@settings(max_examples=60, deadline=None)
@given(
    sigma=st.floats(-12, 1),
    gamma=st.floats(-12, 1),
    scale=st.floats(-7, 7),
    color=st.sampled_from(MODES["color"]),
    seed=st.integers(0, 1000),
)
def test_finite_at_every_temperature_and_scale(
    device: str, sigma: float, gamma: float, scale: float, color: str, seed: int
) -> None:
    vertices, textures = scene(seed=seed, dtype=torch.float32, device=device)
    vertices = torch.cat([vertices[..., :2] * 10**scale, vertices[..., 2:]], dim=-1)
    image, grads = gradients(
        lambda v, t: soft_rasterize(v, t, 9, sigma=10**sigma, gamma=10**gamma, color=color),
        vertices,
        textures,
    )
    assert torch.isfinite(image).all()
    assert all(torch.isfinite(grad).all() for grad in grads)
    assert (image[:, 3] >= 0).all()
    assert (image <= 1 + 1e-5).all()


def test_empty_batches_and_meshes(device: str) -> None:
    nothing = torch.zeros(2, 0, 3, 3, device=device, requires_grad=True)
    image = soft_rasterize(nothing, nothing, 4, background=(0.1, 0.2, 0.3))
    image.sum().backward()
    assert torch.equal(image[:, 3], torch.zeros(2, 4, 4, device=device))
    torch.testing.assert_close(image[0, :, 0, 0].cpu(), torch.tensor([0.1, 0.2, 0.3, 0.0]))
    no_image = torch.zeros(0, 5, 3, 3, device=device)
    assert soft_silhouette(no_image, (3, 4)).shape == (0, 3, 4)


def test_strides_do_not_matter(device: str) -> None:
    vertices, textures = scene(device=device)
    expected = gradients(lambda v, t: soft_rasterize(v, t, 8, sigma=1e-2), vertices, textures)

    def render(vertices: Tensor, textures: Tensor) -> Tensor:
        turned = vertices.transpose(0, 1).contiguous().transpose(0, 1)
        image = soft_rasterize(turned, textures.flip(1).flip(1), 8, sigma=1e-2)
        return image.transpose(2, 3).contiguous().transpose(2, 3)

    actual = gradients(render, vertices, textures)
    assert torch.equal(actual[0], expected[0])
    assert all(torch.equal(a, b) for a, b in zip(actual[1], expected[1], strict=True))


def test_far_faces_keep_alpha_and_lose_color(device: str) -> None:
    vertices = torch.tensor([[[[-9.0, -9, 5], [9, -9, 5], [0, 9, 5]]]], device=device)
    textures = torch.ones_like(vertices)
    image = soft_rasterize(vertices, textures, 4, far=4.0)
    assert torch.equal(image[:, :3], torch.zeros_like(image[:, :3]))
    torch.testing.assert_close(image[:, 3], torch.ones_like(image[:, 3]))


def test_passes_opcheck(device: str) -> None:
    vertices, textures = scene(dtype=torch.float32, device=device)
    vertices.requires_grad_()
    textures.requires_grad_()
    ops = torch.ops.renderer_cuda
    torch.library.opcheck(ops.soft_silhouette.default, (vertices, 8, 8, 1e-2, 1e-4))
    background = torch.zeros(3, device=device)
    for hard in (False, True):
        arguments = (8, 9, 1e-2, 1e-4, 1e-2, 1e-3, 1.0, 100.0, hard, True)
        torch.library.opcheck(
            ops.soft_rasterize.default, (vertices, textures, background, *arguments)
        )


def test_compiles_whole(device: str) -> None:
    vertices, _ = scene(dtype=torch.float32, device=device)

    def loss(vertices: Tensor) -> Tensor:
        return soft_silhouette(vertices * 2, 8, sigma=1e-2).square().sum()

    compiled = torch.compile(loss, fullgraph=True, backend="aot_eager")
    expected, (expected_grad,) = gradients(loss, vertices)
    actual, (grad,) = gradients(compiled, vertices)
    torch.testing.assert_close(actual, expected)
    torch.testing.assert_close(grad, expected_grad)


def test_stays_in_float32_under_autocast(device: str) -> None:
    vertices, textures = scene(dtype=torch.float32, device=device)
    with torch.autocast(device, dtype=torch.bfloat16):
        assert soft_rasterize(vertices, textures, 8).dtype == torch.float32


def test_second_derivative_is_refused(device: str) -> None:
    vertices, _ = scene(device=device)
    vertices.requires_grad_()
    alpha = soft_silhouette(vertices, 8, sigma=1e-2)
    (grad,) = torch.autograd.grad(alpha.sum(), vertices, create_graph=True)
    with pytest.raises(NotImplementedError, match="second derivative"):
        grad.sum().backward()


# ---- bad input -----------------------------------------------------------------------------------

FACES = torch.zeros(1, 2, 3, 3)

BAD_ARGUMENTS: list[tuple[dict[str, Any], str]] = [
    ({"face_vertices": torch.zeros(2, 3, 3)}, r"face_vertices must have shape \[B, F, 3, 3\]"),
    (
        {"face_vertices": FACES.half()},
        "face_vertices must be float32 or float64, got torch.float16",
    ),
    ({"face_vertices": [1.0]}, "face_vertices must be a torch.Tensor, got list"),
    ({"face_textures": FACES[:, :1]}, "face_textures must have the shape of face_vertices"),
    ({"face_textures": FACES.double()}, "face_textures must have the dtype of face_vertices"),
    ({"image_size": 0}, "image_size must be"),
    ({"image_size": (4, 1 << 21)}, "image_size must be"),
    ({"image_size": (4, 5, 6)}, "image_size must be"),
    ({"image_size": 4.5}, "image_size must be"),
    ({"sigma": 0.0}, "sigma must be positive and finite, got 0.0"),
    ({"sigma": float("nan")}, "sigma must be positive"),
    ({"gamma": -1.0}, "gamma must be positive"),
    ({"dist_eps": 0.5}, "dist_eps must be between 0 and 0.5"),
    ({"far": 1.0}, "far must be finite and greater than near"),
    ({"near": 0.0}, "near must be positive"),
    ({"color": "sum"}, "color must be one of softmax, hard, got 'sum'"),
    ({"distance": "hamming"}, "distance must be one of"),
    ({"background": (1.0, 2.0)}, "background must be three finite numbers"),
]


@pytest.mark.parametrize(("change", "message"), BAD_ARGUMENTS, ids=lambda value: str(value)[:40])
@pytest.mark.parametrize("function", [soft_rasterize, soft_rasterize_reference])
def test_bad_arguments_are_named(function: Any, change: dict[str, Any], message: str) -> None:
    arguments: dict[str, Any] = {"face_vertices": FACES, "face_textures": FACES, "image_size": 4}
    with pytest.raises(ValueError, match=message):
        function(**(arguments | change))
