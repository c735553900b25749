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
Inputs = tuple[Tensor, ...]  # face_vertices, face_textures, face_opacity, face_sigma, background
DTYPES = [torch.float32, torch.float64]
# Of the native ops against the oracle, as `assert_same` takes them.
IMAGE_TOLERANCE = {torch.float32: 2e-5, torch.float64: 1e-11}
GRADIENT_TOLERANCE = {torch.float32: 1e-4, torch.float64: 1e-9}
# The modes of the paper, all with all.
PAPER_MODES = {
    "distance": MODES["distance"],
    "alpha": ("product", "sum", "hard"),
    "color": MODES["color"],
    "texture": MODES["texture"],
}
COMBINATIONS = [
    dict(zip(PAPER_MODES, values, strict=True))
    for values in itertools.product(*PAPER_MODES.values())
]

# Soft rasterizers beside the paper's: every distribution, of the square of the distance and of the
# distance; then every t-conorm, with its default and with other parameters.
DISTRIBUTIONS: list[dict[str, Any]] = [
    {"distribution": name, "squared": squared}
    for name in MODES["distribution"]
    for squared in (True, False)
][1:]
SHAPES: list[dict[str, Any]] = [
    {"distribution": "exponential", "dist_shift": 1.5, "squared": False},
    {"distribution": "exponential_rev", "dist_shift": 0.7},
    {"distribution": "gamma", "dist_shape": 0.5, "dist_shift": 2.0},
    {"distribution": "gamma", "dist_shape": 3.7, "dist_shift": 4.0, "squared": False},
    {"distribution": "gamma_rev", "dist_shape": 1.3, "squared": False},
    {"distribution": "levy", "dist_shift": 2.5},
    {"distribution": "levy_rev", "dist_shift": -0.3, "squared": False},
]
T_CONORMS: list[dict[str, Any]] = [
    *({"alpha": name} for name in MODES["alpha"][3:]),
    {"alpha": "hamacher", "alpha_parameter": 0.5},
    {"alpha": "frank", "alpha_parameter": 0.3},
    {"alpha": "yager", "alpha_parameter": 1.0},
    {"alpha": "yager", "alpha_parameter": 5.0},
    {"alpha": "aczel_alsina", "alpha_parameter": 0.7},
    {"alpha": "dombi", "alpha_parameter": 16.0},
    {"alpha": "schweizer_sklar", "alpha_parameter": -0.4},
    {"alpha": "schweizer_sklar", "alpha_parameter": -30.0},
    {"alpha": "dombi", "distribution": "cauchy", "squared": False},
    {"alpha": "yager", "distribution": "uniform"},
    {"alpha": "frank", "distribution": "gaussian", "squared": False},
    {"alpha": "maximum", "distribution": "gamma"},
    {"alpha": "hard", "distribution": "gumbel_min"},
    {"alpha": "sum", "distribution": "levy_rev", "squared": False},
]
FAMILY = [*DISTRIBUTIONS, *SHAPES, *T_CONORMS]


def mode_name(mode: dict[str, Any]) -> str:
    return "-".join(map(str, mode.values()))


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


def numbered_inputs(
    images: int = 2, faces: int = 6, texture: str = "vertex", **options: Any
) -> Inputs:
    """Faces with opacities and sigmas of their own, and a background of one colour."""
    vertices, textures = scene(images, faces, texture=texture)
    opacity = 0.05 + 0.9 * uniform(images, faces, seed=5)
    sigma = 0.003 + 0.03 * uniform(images, faces, seed=7)
    behind = torch.tensor([0.2, 0.4, 0.6], dtype=torch.float64)
    return tuple(tensor.to(**options) for tensor in (vertices, textures, opacity, sigma, behind))


def render_numbered(function: Any, **arguments: Any) -> Callable[..., Tensor]:
    """Return a render as a function of `Inputs`, or of the first few of them."""

    def render(
        vertices: Tensor,
        textures: Tensor,
        opacity: Tensor | None = None,
        sigma: Tensor | None = None,
        background: Any = (0.0, 0.0, 0.0),
    ) -> Tensor:
        numbers = {"face_opacity": opacity, "face_sigma": sigma, "background": background}
        given = {"image_size": (9, 12), "sigma": 1e-2} | arguments
        image: Tensor = function(vertices, textures, **numbers, **given)
        return image

    return render


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


def assert_equals_oracle(
    render: Callable[..., Tensor], oracle: Callable[..., Tensor], inputs: Inputs
) -> None:
    """The render and its gradients are those of the oracle in double precision."""
    dtype = inputs[0].dtype
    image, grads = gradients(render, *inputs)
    expected, expected_grads = gradients(oracle, *(tensor.double() for tensor in inputs))
    assert_same(image, expected, IMAGE_TOLERANCE[dtype])
    for grad, expected_grad in zip(grads, expected_grads, strict=True):
        assert grad.dtype == dtype
        assert_same(grad, expected_grad, GRADIENT_TOLERANCE[dtype])


def assert_same_bits(
    actual: tuple[Tensor, tuple[Tensor, ...]], expected: tuple[Tensor, tuple[Tensor, ...]]
) -> None:
    """Outputs and gradients, as of `gradients`, are equal to the last bit."""
    assert torch.equal(actual[0], expected[0])
    assert all(torch.equal(a, b) for a, b in zip(actual[1], expected[1], strict=True))
