"""The oracle against the released kernels' values, finite differences and closed forms."""

from __future__ import annotations

import math
from typing import Any

import pytest
import torch
from golden_cases import GoldenCase, load_cases
from hypothesis import given, settings
from hypothesis import strategies as st
from scenes import COMBINATIONS, FAMILY, PAPER_MODES, mode_name
from torch import Tensor

from renderer_cuda import reference_modes as modes
from renderer_cuda import soft_rasterize_reference, soft_silhouette_reference
from renderer_cuda.reference import (
    count_skipped_faces_reference,
    drawable_faces,
    pixel_centers,
    split_images,
)
from renderer_cuda.reference_family import Family
from renderer_cuda.validation import MAX_TEXTURE_RESOLUTION, MODES

# The oracle takes twenty seconds over a sphere of 1280 faces; the kernels have that case.
CASES = [case for case in load_cases(every_mode=True) if case.face_vertices.shape[1] <= 40]
FIRST_FACE = torch.tensor([0, 3, 3, 5])  # three images; the second one is empty


def relative_error(actual: Tensor, expected: Tensor) -> float:
    """Return the error in units of the expected norm, or the norm itself where zero is expected."""
    scale = expected.norm()
    return ((actual - expected).norm() / (scale if scale > 0 else 1)).item()


def scene(
    *leading: int, texture: str = "vertex", resolution: int = 2, seed: int = 0
) -> tuple[Tensor, Tensor]:
    """Random faces in general position, float64: no pixel lies on a kink of the forward."""
    generator = torch.Generator().manual_seed(seed)
    vertices = torch.rand(*leading, 3, 3, generator=generator, dtype=torch.float64) * 2 - 1
    vertices[..., 2] = 2 + vertices[..., 2]
    texels = 3 if texture == "vertex" else resolution**2
    textures = torch.rand(*leading, texels, 3, generator=generator, dtype=torch.float64)
    return vertices, textures


def gradients(image: Tensor, *inputs: Tensor) -> tuple[Tensor, ...]:
    """Return the gradients of a fixed random mixture of the image's entries."""
    generator = torch.Generator().manual_seed(1)
    upstream = torch.randn(image.shape, generator=generator, dtype=image.dtype)
    return torch.autograd.grad(image, inputs, upstream)


def one_face(*corners: tuple[float, float], depth: float = 2.0) -> Tensor:
    return torch.tensor([[[[x, y, depth] for x, y in corners]]], dtype=torch.float64)


# ---- against the released kernels ----------------------------------------------------------------


def test_golden_cases_cover_every_mode() -> None:
    for name, values in PAPER_MODES.items():
        assert {case.arguments[name] for case in CASES} == set(values)


@pytest.mark.parametrize("case", CASES, ids=lambda case: case.name)
def test_equals_the_released_kernels(case: GoldenCase) -> None:
    textures = case.face_textures.clone().requires_grad_()
    image = soft_rasterize_reference(case.face_vertices, textures, **case.arguments)
    image.backward(case.grad_image)
    assert ((image - case.image).abs() * case.stable[:, None]).max() < case.tolerance
    assert textures.grad is not None
    assert relative_error(textures.grad, case.grad_face_textures) < case.tolerance


@pytest.mark.parametrize("case", CASES, ids=lambda case: case.name)
def test_equals_the_released_vertex_gradient_with_weights_detached(case: GoldenCase) -> None:
    vertices = case.face_vertices.clone().requires_grad_()
    arguments, upstream = dict(case.arguments), case.grad_image.clone()
    if arguments["alpha"] == "hard":  # the original passes the gradient of sum(D) in its place
        arguments["alpha"] = "sum"
        upstream[:, 3] *= vertices.shape[1]
    image = soft_rasterize_reference(
        vertices, case.face_textures, **arguments, detach_barycentric=True
    )
    image.backward(upstream)
    assert vertices.grad is not None
    actual, expected = vertices.grad[case.unclipped], case.grad_face_vertices[case.unclipped]
    assert relative_error(actual, expected) < case.tolerance


@pytest.mark.parametrize("case", CASES, ids=lambda case: case.name)
def test_alpha_is_the_silhouette(case: GoldenCase) -> None:
    names = ("image_size", "sigma", "distance", "alpha", "dist_eps")
    alpha = soft_silhouette_reference(
        case.face_vertices, **{name: case.arguments[name] for name in names}
    )
    assert ((alpha - case.image[:, 3]).abs() * case.stable).max() < 1e-5


# ---- gradients -----------------------------------------------------------------------------------


def packed_render(**arguments: Any) -> Any:
    def render(vertices: Tensor, textures: Tensor, background: Tensor) -> Tensor:
        return soft_rasterize_reference(
            vertices,
            textures,
            (5, 4),
            first_face=FIRST_FACE,
            sigma=3e-2,
            gamma=2e-2,
            near=1.5,
            background=background,
            **arguments,
        )

    return render


def packed_inputs(texture: str) -> tuple[Tensor, ...]:
    vertices, textures = scene(5, texture=texture)
    generator = torch.Generator().manual_seed(2)
    background = torch.rand(3, 3, 5, 4, generator=generator, dtype=torch.float64)
    return tuple(tensor.requires_grad_() for tensor in (vertices, textures, background))


@pytest.mark.parametrize("mode", COMBINATIONS, ids=lambda mode: "-".join(mode.values()))
def test_autograd_equals_finite_differences(mode: dict[str, str]) -> None:
    inputs = packed_inputs(mode["texture"])
    assert torch.autograd.gradcheck(packed_render(**mode), inputs, fast_mode=True)


@pytest.mark.parametrize("mode", FAMILY, ids=mode_name)
def test_autograd_of_the_family_equals_finite_differences(mode: dict[str, Any]) -> None:
    inputs = packed_inputs("vertex")
    assert torch.autograd.gradcheck(packed_render(**mode), inputs, fast_mode=True)


def test_every_entry_of_the_jacobian_equals_finite_differences() -> None:
    assert torch.autograd.gradcheck(packed_render(), packed_inputs("vertex"))


def test_finite_differences_see_detached_weights() -> None:
    with pytest.raises(RuntimeError, match="Jacobian mismatch"):
        torch.autograd.gradcheck(
            packed_render(detach_barycentric=True), packed_inputs("vertex"), fast_mode=True
        )


@pytest.mark.parametrize("distance", MODES["distance"])
@pytest.mark.parametrize("alpha", MODES["alpha"])
def test_silhouettes_have_a_gradient_even_where_it_is_zero(distance: str, alpha: str) -> None:
    vertices = scene(1, 4)[0].requires_grad_()
    image = soft_silhouette_reference(vertices, 6, sigma=3e-2, distance=distance, alpha=alpha)
    (grad,) = gradients(image, vertices)
    assert bool(grad.any()) == (distance != "hard" and alpha != "hard")
    assert not grad[..., 2].any()


def test_blocks_of_pixels_change_nothing(monkeypatch: pytest.MonkeyPatch) -> None:
    inputs = packed_inputs("vertex")
    whole = packed_render()(*inputs)
    monkeypatch.setattr("renderer_cuda.reference.MAX_PAIRS", 17)
    parts = packed_render()(*inputs)
    torch.testing.assert_close(parts, whole)
    for actual, expected in zip(gradients(parts, *inputs), gradients(whole, *inputs), strict=True):
        torch.testing.assert_close(actual, expected)


# ---- batches -------------------------------------------------------------------------------------


@pytest.mark.parametrize("texture", MODES["texture"])
@pytest.mark.parametrize("alpha", MODES["alpha"])
def test_packed_equals_separate_images(alpha: str, texture: str) -> None:
    vertices, textures = scene(5, texture=texture)
    arguments = {"sigma": 3e-2, "gamma": 2e-2, "alpha": alpha, "texture": texture}
    packed = soft_rasterize_reference(vertices, textures, 6, first_face=FIRST_FACE, **arguments)
    silhouettes = soft_silhouette_reference(
        vertices, 6, first_face=FIRST_FACE, sigma=3e-2, alpha=alpha
    )
    pairs = zip(split_images(vertices, FIRST_FACE), split_images(textures, FIRST_FACE), strict=True)
    for image, (faces, colors) in enumerate(pairs):
        alone = soft_rasterize_reference(faces[None], colors[None], 6, **arguments)
        assert torch.equal(packed[image], alone[0])
        assert torch.equal(silhouettes[image], alone[0, 3])


@pytest.mark.parametrize("mode", COMBINATIONS[::5], ids=lambda mode: "-".join(mode.values()))
def test_no_faces_show_the_background(mode: dict[str, str]) -> None:
    vertices, textures = scene(2, 0, texture=mode["texture"])
    picture = torch.rand(2, 3, 4, 5, dtype=torch.float64, requires_grad=True)
    vertices.requires_grad_()
    image = soft_rasterize_reference(vertices, textures, (4, 5), background=picture, **mode)
    torch.testing.assert_close(image[:, :3], picture, rtol=0, atol=1e-15)
    assert not image[:, 3].any()
    grad, empty = torch.autograd.grad(image.sum(), (picture, vertices))
    torch.testing.assert_close(grad, torch.ones_like(picture), rtol=0, atol=1e-15)
    assert empty.shape == vertices.shape


def test_no_images() -> None:
    nothing = torch.zeros(0, 3, 3, requires_grad=True)
    start = torch.zeros(1, dtype=torch.int64)
    image = soft_rasterize_reference(nothing, nothing, (4, 5), first_face=start)
    assert image.shape == (0, 4, 4, 5)
    image.sum().backward()
    assert soft_silhouette_reference(torch.zeros(0, 7, 3, 3), (4, 5)).shape == (0, 4, 5)


def test_backgrounds_of_every_form_agree() -> None:
    vertices, textures = scene(2, 4)
    color = torch.tensor([0.2, 0.5, 0.9], dtype=torch.float64)
    picture = color[:, None, None].expand(2, 3, 5, 4)
    one, two, three = (
        soft_rasterize_reference(vertices, textures, (5, 4), sigma=1e-2, gamma=1, background=each)
        for each in (color.tolist(), color, picture)
    )
    assert torch.equal(one, two)
    assert torch.equal(one, three)
    assert not torch.equal(one, soft_rasterize_reference(vertices, textures, (5, 4), sigma=1e-2))


def test_background_lies_behind_its_own_pixel() -> None:
    picture = torch.rand(2, 3, 5, 4, dtype=torch.float64)
    vertices, textures = scene(2, 1)
    image = soft_rasterize_reference(vertices, textures, (5, 4), color="hard", background=picture)
    uncovered = (soft_silhouette_reference(vertices, (5, 4), distance="hard") == 0)[:, None]
    assert uncovered.any()
    assert not uncovered.all()
    assert torch.equal(image[:, :3] * uncovered, picture * uncovered)


# ---- coverage ------------------------------------------------------------------------------------

# A picture of one pixel, whose centre is the origin, on an edge and on a corner of a face.
ON_THE_OUTLINE = {
    "edge": one_face((-1, 0), (1, 0), (0, 1)),
    "corner": one_face((0, 0), (1, 0), (0, 1)),
}


@pytest.mark.parametrize("where", ON_THE_OUTLINE)
@pytest.mark.parametrize(
    ("distance", "alpha", "expected"),
    [
        *((distance, "product", 0.5) for distance in ("euclidean", "barycentric")),
        *((distance, "sum", 0.5) for distance in ("euclidean", "barycentric")),
        *((distance, "hard", 0.0) for distance in ("euclidean", "barycentric")),
        *(("hard", alpha, 1.0) for alpha in MODES["alpha"]),
    ],
)
@pytest.mark.parametrize("color", MODES["color"])
def test_pixel_on_the_outline(
    where: str, distance: str, alpha: str, expected: float, color: str
) -> None:
    """Half covered when the distance is soft, contained when it or the colour is hard."""
    vertices = ON_THE_OUTLINE[where].clone().requires_grad_()
    image = soft_rasterize_reference(
        vertices, torch.ones_like(vertices), 1, distance=distance, alpha=alpha, color=color
    )
    assert image[0, 3].item() == expected
    torch.testing.assert_close(image[0, :3], torch.ones(3, 1, 1, dtype=torch.float64))
    assert torch.isfinite(gradients(image, vertices)[0]).all()


@pytest.mark.parametrize(("gap", "reached"), [(-0.2, True), (0.25, True), (0.35, False)])
def test_barycentric_reach_ends_at_the_grown_bounding_box(gap: float, reached: bool) -> None:
    """The base is `gap` above the pixel, the face 2 high: w = -gap / 2, +gap / 2 inside."""
    vertices = one_face((-5, gap), (5, gap), (0, gap + 2))
    image = soft_silhouette_reference(vertices, 1, sigma=1e-2, distance="barycentric")
    radius = math.sqrt(1e-2 * math.log(1e4 - 1))
    assert (gap < radius) == reached
    assert (gap / 2) ** 2 < radius**2  # the coordinate alone would reach the pixel
    x = -math.copysign((gap / 2) ** 2, gap) / 1e-2
    assert image.item() == pytest.approx(1 / (1 + math.exp(-x)) if reached else 0, abs=1e-12)


def family(alpha: str) -> Family:
    return Family("logistic", True, alpha, 2.0, 0.0, 0.0)


def test_alphas_are_their_closed_forms() -> None:
    x = torch.randn(50, 7, dtype=torch.float64) * 3
    support = torch.rand(50, 7) < 0.7
    coverage = (1 / (1 + torch.exp(-x))) * support
    product = 1 - (1 - coverage).prod(-1)
    torch.testing.assert_close(modes.opacity(family("product"), x, support), product)
    torch.testing.assert_close(modes.opacity(family("sum"), x, support), coverage.mean(-1))
    hard = (coverage > 0.5).any(-1).double()
    assert torch.equal(modes.opacity(family("hard"), x, support), hard)


def test_skipped_faces_count_in_the_mean_of_coverages() -> None:
    face = one_face((-1, -1), (1, -1), (0, 1))
    flat = one_face((-1, -1), (0, 0), (1, 1))
    both = torch.cat([face, flat, flat * math.nan], dim=1)
    image = soft_silhouette_reference(both, 1, distance="hard", alpha="sum")
    assert image.item() == pytest.approx(1 / 3)
    assert count_skipped_faces_reference(both).tolist() == [2]
    packed, start = both[0], torch.tensor([0, 1, 1, 3])
    assert count_skipped_faces_reference(packed, first_face=start).tolist() == [0, 0, 2]


def test_edges_whose_square_is_not_a_normal_number_are_not_drawn() -> None:
    short = one_face((0, 0), (5e-20, 0), (0, 5e-20))  # squares of 2.5e-39; area passes its own test
    assert drawable_faces(short).tolist() == [[True]]
    assert drawable_faces(short.float()).tolist() == [[False]]
    assert drawable_faces(short.float() * 10).tolist() == [[True]]


# ---- surface textures ----------------------------------------------------------------------------


@pytest.mark.parametrize("resolution", [1, 2, 3, 5, 8, 64])
def test_texels_are_the_small_triangles_of_a_face(resolution: int) -> None:
    """The R^2 triangles a face is cut into meet the R^2 texels one to one."""
    r = resolution
    cells = [(i, j) for i in range(r) for j in range(r - i)]
    lower = [(i + 1 / 3, j + 1 / 3) for i, j in cells]
    upper = [(i + 2 / 3, j + 2 / 3) for i, j in cells if i + j < r - 1]
    points = torch.tensor(lower + upper, dtype=torch.float64) / r
    weights = torch.cat([points, 1 - points.sum(-1, keepdim=True)], dim=-1)
    found = modes.texel(weights, r)
    assert found.sort().values.tolist() == list(range(r * r))
    assert found[: len(cells)].tolist() == [j * r + i for i, j in cells]


@pytest.mark.parametrize("dtype", [torch.float32, torch.float64], ids=str)
def test_texels_are_in_range_on_the_outline(dtype: torch.dtype) -> None:
    """At corners, along edges and a rounding beside them the texel is one of the face's edge."""
    t = torch.linspace(0, 1, 1000, dtype=torch.float64)
    zero = torch.zeros_like(t)
    edges = [(zero, t, 1 - t), (1 - t, zero, t), (t, 1 - t, zero)]
    raw = torch.cat([torch.stack(edge, dim=-1) for edge in edges]).to(dtype)
    noise = torch.randn(raw.shape, generator=torch.Generator().manual_seed(0), dtype=dtype)
    raw = torch.cat([raw, raw + noise * torch.finfo(dtype).eps, raw * 7 - 2])
    weights = modes.clip(raw)
    for r in range(1, MAX_TEXTURE_RESOLUTION + 1):
        index = modes.texel(weights, r)
        assert index.min() >= 0
        assert index.max() < r * r
        corners = torch.eye(3, dtype=dtype)
        assert modes.texel(corners, r).tolist() == [r - 1, r * (r - 1), 0]


def test_texels_beyond_an_edge_are_those_of_the_edge() -> None:
    """Where w_2 is cut to zero the texel is a lower triangle of the last diagonal, to the bit."""
    generator = torch.Generator().manual_seed(0)
    t = torch.rand(2000, generator=generator, dtype=torch.float64)
    for dtype in (torch.float32, torch.float64):
        weights = modes.clip(torch.stack([t, 1 - t, -t], dim=-1).to(dtype))
        for r in (2, 3, 7, 64):
            index = modes.texel(weights, r)
            border = (t * r - (t * r).round()).abs() < 1e-5
            assert torch.equal((index // r + index % r)[~border], (0 * index + r - 1)[~border])


# ---- numbers -------------------------------------------------------------------------------------


@settings(max_examples=60, deadline=None)
@given(
    mode=st.sampled_from(COMBINATIONS),
    sigma=st.floats(-12, 1),
    gamma=st.floats(-12, 1),
    scale=st.floats(-9, 9),
    thin=st.sampled_from([1.0, 1e-4, 1e-6]),
    seed=st.integers(0, 1000),
)
def test_finite_at_every_temperature_and_scale(
    mode: dict[str, str], sigma: float, gamma: float, scale: float, thin: float, seed: int
) -> None:
    vertices, textures = scene(1, 4, texture=mode["texture"], seed=seed)
    vertices = (vertices * torch.tensor([10**scale, thin * 10**scale, 1])).float().requires_grad_()
    textures = textures.float().requires_grad_()
    image = soft_rasterize_reference(
        vertices, textures, 5, sigma=10**sigma, gamma=10**gamma, **mode
    )
    assert torch.isfinite(image).all()
    assert image.min() >= 0
    assert image.max() <= 1 + 1e-6
    assert all(torch.isfinite(grad).all() for grad in gradients(image, vertices, textures))


def test_float32_is_computed_in_float64() -> None:
    vertices, textures = (tensor.float() for tensor in scene(2, 4))
    expected = soft_rasterize_reference(vertices.double(), textures.double(), 6, sigma=1e-2)
    with torch.autocast("cpu", dtype=torch.bfloat16):
        image = soft_rasterize_reference(vertices, textures, 6, sigma=1e-2)
    assert torch.equal(image, expected.float())


def test_pixel_centers_follow_the_shorter_side() -> None:
    centers = pixel_centers(2, 4, dtype=torch.float64).reshape(2, 4, 2)
    assert centers[0, 0].tolist() == [-1.5, 0.5]  # row 0 is the top
    assert centers[1, 3].tolist() == [1.5, -0.5]
