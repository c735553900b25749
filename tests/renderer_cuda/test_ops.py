"""The native ops against the released kernels' values and the oracle, and how they are called.

What holds for every scene is in test_properties.py. test_emulator.py runs tests of this file on
emulated CUDA kernels, so scenes are small; "large" in a name marks those that are not.
"""

from __future__ import annotations

import itertools
from typing import Any

import pytest
import torch
import torch._dynamo.testing
from golden_cases import GoldenCase, load_cases
from scenes import (
    COMBINATIONS,
    DEVICES,
    DTYPES,
    FAMILY,
    GRADIENT_TOLERANCE,
    IMAGE_TOLERANCE,
    TEXELS,
    assert_equals_oracle,
    assert_same,
    assert_same_bits,
    gradients,
    mesh,
    mode_name,
    require_kernels,
    scene,
    uniform,
)
from torch import Tensor
from torch._subclasses.fake_tensor import FakeTensorMode

from renderer_cuda import (
    count_skipped_faces,
    soft_rasterize,
    soft_rasterize_reference,
    soft_silhouette,
    soft_silhouette_reference,
)
from renderer_cuda.validation import MODES

CASES = load_cases(every_mode=True)
OPS = torch.ops.renderer_cuda
# What two computations of the same may differ by, in units of the greatest entry.


@pytest.fixture(autouse=True, scope="module", params=DEVICES)
def device(request: pytest.FixtureRequest) -> str:
    """Every test of this file runs on the native kernels of each device, or says why it cannot."""
    return require_kernels(request.param)


# ---- against the released kernels ----------------------------------------------------------------


@pytest.mark.parametrize("dtype", DTYPES, ids=str)
@pytest.mark.parametrize("case", CASES, ids=lambda case: case.name)
def test_equals_the_released_kernels(case: GoldenCase, dtype: torch.dtype, device: str) -> None:
    options: dict[str, Any] = {"dtype": dtype, "device": device}
    textures = case.face_textures.to(**options).requires_grad_()
    image = soft_rasterize(case.face_vertices.to(**options), textures, **case.arguments)
    image.backward(case.grad_image.to(**options))
    tolerance = case.tolerance if dtype == torch.float64 else 1e-4
    difference = (image.detach().cpu().double() - case.image).abs() * case.stable[:, None]
    assert difference.max() < tolerance
    assert textures.grad is not None
    error = (textures.grad.cpu().double() - case.grad_face_textures).norm()
    assert error <= tolerance * case.grad_face_textures.norm()


@pytest.mark.parametrize("dtype", DTYPES, ids=str)
@pytest.mark.parametrize("case", CASES, ids=lambda case: case.name)
def test_equals_the_released_vertex_gradient_with_weights_detached(
    case: GoldenCase, dtype: torch.dtype, device: str
) -> None:
    options: dict[str, Any] = {"dtype": dtype, "device": device}
    arguments, upstream = dict(case.arguments), case.grad_image.clone()
    if arguments["alpha"] == "hard":  # the original passes the gradient of sum(D) in its place
        arguments["alpha"] = "sum"
        upstream[:, 3] *= case.face_vertices.shape[1]
    vertices = case.face_vertices.to(**options).requires_grad_()
    textures = case.face_textures.to(**options)
    image = soft_rasterize(vertices, textures, **arguments, detach_barycentric=True)
    image.backward(upstream.to(**options))
    assert vertices.grad is not None
    actual = vertices.grad.cpu().double()[case.unclipped]
    expected = case.grad_face_vertices[case.unclipped]
    tolerance = case.tolerance if dtype == torch.float64 else 1e-4
    assert (actual - expected).norm() <= tolerance * expected.norm()


# ---- against the oracle --------------------------------------------------------------------------

# Images of no square shape, one batch of equal meshes and one of different ones.
SETUPS: dict[str, dict[str, Any]] = {
    "fronts before a color": {
        "image_size": (5, 13),
        "near": 1.6,
        "far": 2.7,
        "double_sided": False,
    },
    "correct perspective": {"image_size": (7, 9), "perspective_correct": True, "near": 1.1},
    "packed before a picture": {
        "image_size": (11, 6),
        "first_face": torch.tensor([0, 5, 5, 12]),
        "dist_eps": 0.05,
        "near": 1.2,
        "eps": 0.1,
    },
}


def setup_inputs(setup: dict[str, Any], texture: str, **options: Any) -> tuple[Tensor, ...]:
    """Return face_vertices, face_textures and the background of a setup."""
    vertices, textures = scene(2, 6, texture=texture)
    background = torch.tensor([0.2, 0.4, 0.6])
    if "first_face" in setup:
        vertices, textures = vertices.flatten(0, 1), textures.flatten(0, 1)
        background = uniform(3, 3, *setup["image_size"], seed=2)
    return tuple(tensor.to(**options) for tensor in (vertices, textures, background))


def render_setup(function: Any, setup: dict[str, Any], device: str, **mode: str) -> Any:
    arguments = {"sigma": 1e-2, "gamma": 1e-2, **setup, **mode}
    if "first_face" in setup:
        arguments["first_face"] = setup["first_face"].to(device)

    def render(vertices: Tensor, textures: Tensor, background: Tensor) -> Tensor:
        image: Tensor = function(vertices, textures, background=background, **arguments)
        return image

    return render


@pytest.mark.parametrize("dtype", DTYPES, ids=str)
@pytest.mark.parametrize("setup", SETUPS.values(), ids=SETUPS)
@pytest.mark.parametrize("mode", COMBINATIONS, ids=mode_name)
def test_equals_the_oracle(
    mode: dict[str, str], setup: dict[str, Any], dtype: torch.dtype, device: str
) -> None:
    inputs = setup_inputs(setup, mode["texture"], dtype=dtype, device=device)
    oracle = render_setup(soft_rasterize_reference, setup, device, **mode)
    assert_equals_oracle(render_setup(soft_rasterize, setup, device, **mode), oracle, inputs)


@pytest.mark.parametrize("dtype", DTYPES, ids=str)
@pytest.mark.parametrize("setup", SETUPS.values(), ids=SETUPS)
@pytest.mark.parametrize("mode", [*COMBINATIONS, {"alpha": "yager"}], ids=mode_name)
def test_detached_barycentric_coordinates_equal_the_oracle(
    mode: dict[str, str], setup: dict[str, Any], dtype: torch.dtype, device: str
) -> None:
    """The image has the bits of the exact one, and the gradient is that of the oracle."""
    inputs = setup_inputs(setup, mode.get("texture", "vertex"), dtype=dtype, device=device)
    detached = setup | {"detach_barycentric": True}
    oracle = render_setup(soft_rasterize_reference, detached, device, **mode)
    render = render_setup(soft_rasterize, detached, device, **mode)
    assert_equals_oracle(render, oracle, inputs)
    assert torch.equal(
        render(*inputs), render_setup(soft_rasterize, setup, device, **mode)(*inputs)
    )


@pytest.mark.parametrize("dtype", DTYPES, ids=str)
@pytest.mark.parametrize("image_size", [16, (150, 40)], ids=str)
@pytest.mark.parametrize("alpha", MODES["alpha"])
@pytest.mark.parametrize("distance", MODES["distance"])
def test_silhouette_equals_the_oracle(
    distance: str, alpha: str, image_size: Any, dtype: torch.dtype, device: str
) -> None:
    vertices = mesh(40, dtype=dtype, device=device)
    arguments = {"sigma": 1e-4, "distance": distance, "alpha": alpha}
    image, (grad,) = gradients(lambda v: soft_silhouette(v, image_size, **arguments), vertices)
    expected, (expected_grad,) = gradients(
        lambda v: soft_silhouette_reference(v, image_size, **arguments), vertices.double()
    )
    # Weights of thin faces have lost some digits in float32.
    assert_same(image, expected, 5 * IMAGE_TOLERANCE[dtype])
    assert_same(grad, expected_grad, GRADIENT_TOLERANCE[dtype])
    rgba = soft_rasterize(vertices, torch.zeros_like(vertices), image_size, **arguments)
    assert torch.equal(rgba[:, 3], image)


# Faces around the origin, the pixel centre of a picture of one pixel, and the end of the reach of
# the barycentric distance above one: its base is that far up, and it is 2 high.
FACES_AROUND_A_PIXEL = {
    "edge through it": [(-1, 0), (1, 0), (0, 1)],
    "corner on it": [(0, 0), (1, 0), (0, 1)],
    "inside": [(-5, -0.2), (5, -0.2), (0, 1.8)],
    "in reach": [(-5, 0.25), (5, 0.25), (0, 2.25)],
    "beyond reach": [(-5, 0.35), (5, 0.35), (0, 2.35)],
}


@pytest.mark.parametrize("corners", FACES_AROUND_A_PIXEL.values(), ids=FACES_AROUND_A_PIXEL)
@pytest.mark.parametrize("mode", COMBINATIONS, ids=mode_name)
def test_one_pixel_equals_the_oracle(
    mode: dict[str, str], corners: list[tuple[float, float]], device: str
) -> None:
    vertices = torch.tensor([[[[x, y, 2.0] for x, y in corners]]], device=device)
    texels = 3 if mode["texture"] == "vertex" else TEXELS
    textures = uniform(1, 1, texels, 3, dtype=torch.float32, device=device)
    arguments: dict[str, Any] = {"image_size": 1, "sigma": 1e-2, **mode}
    image = soft_rasterize(vertices, textures, **arguments)
    expected = soft_rasterize_reference(vertices, textures, **arguments)
    torch.testing.assert_close(image, expected, rtol=0, atol=1e-6)


@pytest.mark.parametrize("detach_barycentric", [False, True], ids=["exact", "detached"])
@pytest.mark.parametrize("color", MODES["color"])
def test_large_and_small_faces_meet(color: str, detach_barycentric: bool, device: str) -> None:
    """Faces above and below 256 pixels, which the CPU treats apart, on several tiles."""
    sizes = torch.tensor([1.5, 0.3, 0.05, 0.01] * 12)
    vertices = mesh(48, size=sizes, device=device)
    textures = uniform(1, 48, 3, 3, device=device)
    arguments: dict[str, Any] = {"sigma": 1e-3, "gamma": 3e-2, "color": color}
    arguments["detach_barycentric"] = detach_barycentric
    image, grads = gradients(
        lambda v, t: soft_rasterize(v, t, (70, 83), **arguments), vertices, textures
    )
    expected, expected_grads = gradients(
        lambda v, t: soft_rasterize_reference(v, t, (70, 83), **arguments), vertices, textures
    )
    assert_same(image, expected, 1e-11)
    for grad, expected_grad in zip(grads, expected_grads, strict=True):
        assert_same(grad, expected_grad, 1e-9)


@pytest.mark.parametrize("dtype", DTYPES, ids=str)
@pytest.mark.parametrize("mode", FAMILY, ids=mode_name)
def test_the_family_equals_the_oracle(
    mode: dict[str, Any], dtype: torch.dtype, device: str
) -> None:
    setup = SETUPS["fronts before a color"] | {"sigma": 3e-2, "dist_eps": 1e-3}
    inputs = setup_inputs(setup, "vertex", dtype=dtype, device=device)
    oracle = render_setup(soft_rasterize_reference, setup, device, **mode)
    assert_equals_oracle(render_setup(soft_rasterize, setup, device, **mode), oracle, inputs)


# ---- gradients -----------------------------------------------------------------------------------

FIRST_FACE = torch.tensor([0, 3, 3, 5])  # three images; the second one is empty


def packed_inputs(texture: str = "vertex", **options: Any) -> tuple[Tensor, ...]:
    vertices, textures = scene(1, 5, texture=texture)
    inputs = (vertices[0], textures[0], uniform(3, 3, 5, 4, seed=2))
    return tuple(tensor.to(**options).requires_grad_() for tensor in inputs)


def packed_render(device: str, **mode: Any) -> Any:
    first_face = FIRST_FACE.to(device)
    arguments = {"sigma": 3e-2, "gamma": 2e-2, "near": 1.5, "first_face": first_face} | mode

    def render(vertices: Tensor, textures: Tensor, background: Tensor) -> Tensor:
        return soft_rasterize(vertices, textures, (5, 4), background=background, **arguments)

    return render


@pytest.mark.parametrize("mode", COMBINATIONS, ids=mode_name)
def test_gradient_is_exact(mode: dict[str, str], device: str) -> None:
    inputs = packed_inputs(mode["texture"], device=device)
    assert torch.autograd.gradcheck(packed_render(device, **mode), inputs, fast_mode=True)


@pytest.mark.parametrize("mode", FAMILY, ids=mode_name)
def test_gradient_of_the_family_is_exact(mode: dict[str, Any], device: str) -> None:
    inputs = packed_inputs(device=device)
    render = packed_render(device, **mode)
    assert torch.autograd.gradcheck(render, inputs, fast_mode=True)


def flat_faces(flat: bool, device: str) -> tuple[Tensor, Tensor]:
    """Faces and colours; nothing changes over a face that is flat."""
    vertices, textures = scene(device=device)
    if flat:
        vertices[..., 2] = vertices[..., :1, 2]
        textures = textures[:, :, :1].expand_as(textures)
    return vertices, textures


@pytest.mark.parametrize("color", ["softmax", "hard", "over"])
def test_detached_gradient_lacks_only_what_changes_over_a_face(color: str, device: str) -> None:
    def grad(flat: bool, detach_barycentric: bool) -> Tensor:
        vertices, textures = flat_faces(flat, device)
        arguments = {"sigma": 1e-2, "gamma": 2e-2, "color": color}
        return gradients(
            lambda v: soft_rasterize(
                v, textures, 9, detach_barycentric=detach_barycentric, **arguments
            ),
            vertices,
        )[1][0]

    torch.testing.assert_close(grad(True, True)[..., :2], grad(True, False)[..., :2])
    exact, detached = grad(False, False), grad(False, True)
    torch.testing.assert_close(detached[..., 2], exact[..., 2])  # of the depths it is all there
    missing = (detached - exact)[..., :2]
    assert missing.abs().max() > 0.1 * exact[..., :2].abs().max()


@pytest.mark.parametrize("winding", [1, -1])
@pytest.mark.parametrize("function", [soft_silhouette, soft_silhouette_reference])
def test_gradient_on_the_outline_is_the_limit_of_both_sides(
    function: Any, winding: int, device: str
) -> None:
    """Of the signed distance itself, whose derivative does not vanish on an edge."""
    corners = [[-0.9, -0.5, 1.0], [0.8, -0.5, 1.0], [0.1, 0.9, 1.0]][::winding]

    def slope(lift: float) -> Tensor:
        face = torch.tensor(corners, dtype=torch.float64, device=device)
        face[:, 1] += lift
        (grad,) = gradients(
            lambda v: function(v, 2, sigma=1.0, squared=False, distance="euclidean")[..., 1, :],
            face[None, None],
        )[1]
        return grad

    below, on, above = slope(-1e-7), slope(0.0), slope(1e-7)  # pixel centres lie at y = -1 / 2
    assert on.abs().max() > 0.1
    torch.testing.assert_close(on, below, rtol=1e-5, atol=1e-6)
    torch.testing.assert_close(on, above, rtol=1e-5, atol=1e-6)


@pytest.mark.parametrize("size", [8, 60], ids=["small", "large"])
@pytest.mark.parametrize("function", [soft_rasterize, soft_rasterize_reference])
def test_of_equal_coverages_the_first_has_the_gradient(
    function: Any, size: int, device: str
) -> None:
    """Outside of an edge two faces cover as much: the maximum takes one, and always the same."""
    vertices, textures = scene(1, 4, device=device)
    vertices = vertices[:, [2, 0, 0, 2, 0]]
    textures = textures[:, [2, 0, 0, 2, 0]]

    def alpha(vertices: Tensor) -> Tensor:
        colors = textures[:, : vertices.shape[1]]
        image: Tensor = function(vertices, colors, size, sigma=1e-2, alpha="maximum")
        return image[:, 3]

    image, (grad,) = gradients(alpha, vertices)
    alone, (expected,) = gradients(alpha, vertices[:, :2])
    assert torch.equal(image, alone)
    torch.testing.assert_close(grad[:, :2], expected)
    assert not grad[:, 2:].any()


@pytest.mark.parametrize("color", MODES["color"])
def test_gradient_with_correct_perspective_is_exact(color: str, device: str) -> None:
    inputs = packed_inputs(device=device)
    render = packed_render(device, color=color, perspective_correct=True)
    assert torch.autograd.gradcheck(render, inputs)


@pytest.mark.parametrize("color", MODES["color"])
def test_a_grazing_floor_has_the_colors_of_its_points(color: str, device: str) -> None:
    """Colours that are linear on a plane y = -1 are found where the rays of pixels meet it."""
    corners = torch.tensor(
        [[-3.0, -1, 2], [3, -1, 2], [3, -1, 20], [-3, -1, 20]], dtype=torch.float64, device=device
    )
    colors = torch.stack((corners[:, 0] / 6 + 0.5, corners[:, 2] / 20, corners[:, 2] * 0), 1)
    seen = torch.cat((corners[:, :2] / corners[:, 2:], corners[:, 2:]), 1)
    faces = torch.tensor([[0, 1, 2], [0, 2, 3]], device=device)

    def render(perspective_correct: bool) -> Tensor:
        settings: dict[str, Any] = {"sigma": 1e-9, "gamma": 1e-6, "color": color}
        settings["perspective_correct"] = perspective_correct
        return soft_rasterize(seen[faces][None], colors[faces][None], 32, **settings)[0, :2]

    rows, columns = torch.meshgrid(*[torch.arange(32, device=device)] * 2, indexing="ij")
    y, x = (31 - 2 * rows.double()) / 32, (2 * columns.double() - 31) / 32
    depth = -1 / y
    inside = (depth > 2.1) & (depth < 19) & ((x * depth).abs() < 2.9)
    assert inside.sum() > 50
    truth = torch.stack((x * depth / 6 + 0.5, depth / 20))
    assert (render(True) - truth)[:, inside].abs().max() < 1e-9
    assert (render(False) - truth)[:, inside].abs().max() > 0.2


@pytest.mark.parametrize("distance", ["euclidean", "barycentric"])
def test_every_entry_of_the_large_jacobian_is_exact(distance: str, device: str) -> None:
    inputs = packed_inputs(device=device)
    assert torch.autograd.gradcheck(packed_render(device, distance=distance), inputs)


@pytest.mark.parametrize("alpha", MODES["alpha"])
@pytest.mark.parametrize("distance", MODES["distance"])
def test_gradient_of_silhouettes_is_exact(distance: str, alpha: str, device: str) -> None:
    vertices, _ = scene(device=device)
    arguments = {"sigma": 3e-2, "distance": distance, "alpha": alpha}
    assert torch.autograd.gradcheck(
        lambda v: soft_silhouette(v, (5, 4), **arguments), (vertices.requires_grad_(),)
    )


@pytest.mark.parametrize("color", MODES["color"])
def test_gradients_are_those_asked_for(color: str, device: str) -> None:
    """Each input alone gets the gradient it gets among the others."""
    inputs = packed_inputs(device=device)
    render = packed_render(device, color=color)
    expected = torch.autograd.grad(render(*inputs)[0, 1:].sum(), inputs)
    for i, grad in enumerate(expected):
        leaves = [tensor.detach().requires_grad_(j == i) for j, tensor in enumerate(inputs)]
        (alone,) = torch.autograd.grad(render(*leaves)[0, 1:].sum(), leaves[i])
        assert torch.equal(alone, grad)


# ---- surface textures ----------------------------------------------------------------------------


def faces_on_pixels(**options: Any) -> Tensor:
    """A face in all six orders of its corners, which lie on pixel centres of a 16 x 16 image.

    Weights are exact multiples of 1 / 8 at pixel centres, in any precision.
    """
    corners = torch.tensor([[-9.0, -9, 32], [7, -9, 32], [-9, 7, 32]]) / 16
    return torch.stack([corners[list(p)] for p in itertools.permutations(range(3))]).to(**options)


def beside_nothing(textures: Tensor, vertices: Tensor) -> tuple[Tensor, Tensor]:
    """Put faces that cannot be drawn before and after each face, with NaN for texels."""
    none, no_colors = torch.full_like(vertices, torch.nan), torch.full_like(textures, torch.nan)
    return torch.stack([none, vertices, none], 1), torch.stack([no_colors, textures, no_colors], 1)


@pytest.mark.parametrize("dtype", DTYPES, ids=str)
@pytest.mark.parametrize("resolutions", [range(1, 9), range(9, 65)], ids=["few", "large"])
def test_texels_equal_the_oracle_to_the_far_edges(
    resolutions: range, dtype: torch.dtype, device: str
) -> None:
    """With pixels on corners, edges and borders of texels, for every R."""
    vertices = faces_on_pixels(dtype=dtype, device=device)
    arguments: dict[str, Any] = {"image_size": 16, "color": "hard", "texture": "surface"}
    for r in resolutions:
        number = torch.arange(r * r, dtype=dtype, device=device)
        textures = number[None, :, None].expand(6, -1, 3)
        faces, colors = beside_nothing(textures, vertices)
        image = soft_rasterize(faces, colors, background=(-1, -1, -1), **arguments)
        expected = soft_rasterize_reference(faces, colors, background=(-1, -1, -1), **arguments)
        assert torch.equal(image, expected)
        assert (image[:, 0] >= 0).sum() == 6 * 45  # 9 + 8 + ... + 1 pixels of each


@pytest.mark.parametrize("dtype", DTYPES, ids=str)
@pytest.mark.parametrize("color", MODES["color"])
@pytest.mark.parametrize("resolutions", [[1, 2, 3, 8], range(1, 65)], ids=["few", "large"])
def test_no_texel_of_another_face_is_read_or_written(
    resolutions: Any, color: str, dtype: torch.dtype, device: str
) -> None:
    """Also far beyond the edges, where one face is white and its neighbours are NaN."""
    vertices = faces_on_pixels(dtype=dtype, device=device)
    for r in resolutions:
        white = torch.ones(6, r * r, 3, dtype=dtype, device=device)
        faces, colors = beside_nothing(white, vertices)

        def render(colors: Tensor, faces: Tensor = faces) -> Tensor:
            return soft_rasterize(
                faces,
                colors,
                16,
                sigma=0.1,
                gamma=0.1,
                color=color,
                texture="surface",
                background=(1, 1, 1),
            )

        image, (grad,) = gradients(render, colors)
        torch.testing.assert_close(image[:, :3], torch.ones_like(image[:, :3]))
        assert not grad[:, [0, 2]].any()
        assert torch.isfinite(grad).all()
        assert grad[:, 1].any()


# ---- batches -------------------------------------------------------------------------------------

DIFFERENT = [0, 0, 4, 4, 13, 14]  # faces 0, 4, 0, 9, 1


@pytest.mark.parametrize("dtype", DTYPES, ids=str)
@pytest.mark.parametrize("mode", COMBINATIONS, ids=mode_name)
def test_packed_images_equal_separate_ones(
    mode: dict[str, str], dtype: torch.dtype, device: str
) -> None:
    vertices, textures = (
        tensor[0] for tensor in scene(1, 14, mode["texture"], dtype=dtype, device=device)
    )
    pictures = uniform(5, 3, 3, 6, dtype=dtype, device=device)
    upstream = uniform(5, 4, 3, 6, seed=1, dtype=dtype, device=device)
    first_face = torch.tensor(DIFFERENT, device=device)

    def render(vertices: Tensor, textures: Tensor, background: Tensor, **extra: Any) -> Tensor:
        arguments = {"sigma": 1e-2, "gamma": 1e-2, **mode, **extra}
        return soft_rasterize(vertices, textures, (3, 6), background=background, **arguments)

    leaves = [tensor.requires_grad_() for tensor in (vertices, textures, pictures)]
    image = render(*leaves, first_face=first_face)
    grads = torch.autograd.grad(image, leaves, upstream)
    for i, (start, end) in enumerate(itertools.pairwise(DIFFERENT)):
        one = slice(i, i + 1)
        inputs = [vertices[None, start:end], textures[None, start:end], pictures[one]]
        alone = [tensor.detach().requires_grad_() for tensor in inputs]
        expected = render(*alone)
        assert torch.equal(image[one], expected)
        slices = (grads[0][start:end], grads[1][start:end], grads[2][i])
        each = torch.autograd.grad(expected, alone, upstream[one])
        assert all(torch.equal(a, b[0]) for a, b in zip(slices, each, strict=True))


@pytest.mark.parametrize("alpha", MODES["alpha"])
@pytest.mark.parametrize("distance", MODES["distance"])
def test_packed_silhouettes_equal_separate_ones(distance: str, alpha: str, device: str) -> None:
    vertices = mesh(14, dtype=torch.float32, device=device)[0]
    first_face = torch.tensor(DIFFERENT, device=device)

    def render(vertices: Tensor, **extra: Any) -> Tensor:
        arguments = {"sigma": 1e-3, "distance": distance, "alpha": alpha}
        return soft_silhouette(vertices, (9, 5), **arguments, **extra)

    upstream = uniform(5, 9, 5, seed=1, dtype=torch.float32, device=device)
    image = render(vertices.requires_grad_(), first_face=first_face)
    (grad,) = torch.autograd.grad(image, vertices, upstream)
    for i, (start, end) in enumerate(itertools.pairwise(DIFFERENT)):
        assert torch.equal(image[i], render(vertices[None, start:end])[0])
        leaf = vertices[start:end].detach().requires_grad_()
        (alone,) = torch.autograd.grad(render(leaf[None])[0], leaf, upstream[i])
        assert torch.equal(grad[start:end], alone)


@pytest.mark.parametrize("texture", MODES["texture"])
@pytest.mark.parametrize("color", MODES["color"])
def test_equal_meshes_may_come_packed(color: str, texture: str, device: str) -> None:
    vertices, textures = scene(3, 5, texture, dtype=torch.float32, device=device)
    arguments: dict[str, Any] = {"sigma": 1e-2, "color": color, "texture": texture}
    first_face = torch.tensor([0, 5, 10, 15], device=device)

    def packed(vertices: Tensor, textures: Tensor) -> Tensor:
        inputs = (vertices.flatten(0, 1), textures.flatten(0, 1))
        return soft_rasterize(*inputs, (7, 9), first_face=first_face, **arguments)

    assert_same_bits(
        gradients(packed, vertices, textures),
        gradients(lambda v, t: soft_rasterize(v, t, (7, 9), **arguments), vertices, textures),
    )


def test_empty_batches_and_meshes(device: str) -> None:
    nothing = torch.zeros(2, 0, 3, 3, device=device, requires_grad=True)
    image = soft_rasterize(nothing, nothing, 4, background=(0.1, 0.2, 0.3))
    image.sum().backward()
    assert nothing.grad is not None
    assert torch.equal(image[:, 3], torch.zeros(2, 4, 4, device=device))
    torch.testing.assert_close(image[0, :, 0, 0].cpu(), torch.tensor([0.1, 0.2, 0.3, 0.0]))
    no_image = torch.zeros(0, 5, 3, 3, device=device)
    assert soft_silhouette(no_image, (3, 4)).shape == (0, 3, 4)
    assert count_skipped_faces(no_image).shape == (0,)


@pytest.mark.parametrize("images", [0, 3])
@pytest.mark.parametrize("mode", COMBINATIONS[::5], ids=mode_name)
def test_empty_packed_batches(mode: dict[str, str], images: int, device: str) -> None:
    vertices, textures = (
        tensor[0].requires_grad_() for tensor in scene(1, 0, mode["texture"], device=device)
    )
    first_face = torch.zeros(images + 1, dtype=torch.int64, device=device)
    picture = uniform(images, 3, 2, 3, device=device).requires_grad_()
    image = soft_rasterize(
        vertices, textures, (2, 3), first_face=first_face, background=picture, **mode
    )
    torch.testing.assert_close(image[:, :3], picture, rtol=0, atol=1e-14)
    assert not image[:, 3].any()
    grads = torch.autograd.grad(image.sum(), (vertices, textures, picture))
    assert [grad.shape for grad in grads[:2]] == [vertices.shape, textures.shape]
    torch.testing.assert_close(grads[2], torch.ones_like(picture), rtol=0, atol=1e-12)


@pytest.mark.parametrize("dtype", DTYPES, ids=str)
@pytest.mark.parametrize("exponent", range(-12, 2))
def test_gradient_of_a_background_behind_nothing_is_one(
    exponent: int, dtype: torch.dtype, device: str
) -> None:
    """At every gamma, though the logit (eps - 1) / gamma loses the digits after its point."""
    gamma = 10.0**exponent
    empty = torch.zeros(1, 0, 3, 3, dtype=dtype, device=device)
    color = torch.rand(3, dtype=dtype, device=device, requires_grad=True)
    image = soft_rasterize(empty, empty, 2, gamma=gamma, background=color)
    (grad,) = torch.autograd.grad(image.sum(), color)
    assert_same(grad, torch.full_like(grad, 4), 4 * torch.finfo(dtype).eps)


def test_strides_do_not_matter(device: str) -> None:
    inputs = packed_inputs(device=device)
    first_face = torch.stack([FIRST_FACE, FIRST_FACE + 100], dim=1)[:, 0].to(device)
    assert not first_face.is_contiguous()

    def render(vertices: Tensor, textures: Tensor, background: Tensor) -> Tensor:
        turned = vertices.transpose(0, 2).contiguous().transpose(0, 2)
        behind = background.permute(0, 2, 3, 1).contiguous().permute(0, 3, 1, 2)
        colors = torch.cat([textures, textures], dim=-1)[..., :3]
        assert not any(tensor.is_contiguous() for tensor in (turned, behind, colors))
        image = packed_render(device, first_face=first_face)(turned, colors, behind)
        return image.transpose(2, 3).contiguous().transpose(2, 3)

    assert_same_bits(gradients(render, *inputs), gradients(packed_render(device), *inputs))


def test_expanded_inputs_get_summed_gradients(device: str) -> None:
    vertices, textures = scene(1, 4, dtype=torch.float32, device=device)

    def render(vertices: Tensor, textures: Tensor) -> Tensor:
        return soft_rasterize(
            vertices.expand(3, -1, -1, -1), textures.expand(3, -1, -1, -1), 6, sigma=1e-2
        )

    image, grads = gradients(render, vertices, textures)
    assert torch.equal(image[0], image[2])
    repeated, expected = gradients(
        lambda v, t: soft_rasterize(v, t, 6, sigma=1e-2),
        vertices.repeat(3, 1, 1, 1),
        textures.repeat(3, 1, 1, 1),
    )
    assert torch.equal(image, repeated)
    for grad, each in zip(grads, expected, strict=True):
        torch.testing.assert_close(grad, each.sum(0, keepdim=True))


# ---- determinism and tiles -----------------------------------------------------------------------


def on_threads(threads: int, function: Any, *inputs: Tensor) -> Any:
    before = torch.get_num_threads()
    torch.set_num_threads(threads)
    try:
        return gradients(function, *inputs)
    finally:
        torch.set_num_threads(before)


@pytest.mark.parametrize("texture", MODES["texture"])
@pytest.mark.parametrize("color", MODES["color"])
def test_bits_do_not_depend_on_batch_or_threads(color: str, texture: str, device: str) -> None:
    options: dict[str, Any] = {"dtype": torch.float32, "device": device}
    vertices = torch.cat([mesh(300, seed=s, **options) for s in range(5)])
    textures = uniform(5, 300, 3 if texture == "vertex" else TEXELS, 3, **options)
    background = torch.tensor([0.1, 0.2, 0.3], **options)

    def render(vertices: Tensor, textures: Tensor, background: Tensor) -> Tensor:
        arguments: dict[str, Any] = {"sigma": 1e-4, "gamma": 1e-2}
        arguments |= {"color": color, "texture": texture, "background": background}
        return soft_rasterize(vertices, textures, (130, 70), **arguments)

    expected = on_threads(1, render, vertices, textures, background)
    for threads in (1, 2, 3):
        assert_same_bits(on_threads(threads, render, vertices, textures, background), expected)
    single = (vertices[3:4], textures[3:4])
    alone = on_threads(1, render, *single, background)
    assert torch.equal(expected[0][3:4], alone[0])
    assert_same_bits(on_threads(2, render, *single, background), alone)


@pytest.mark.parametrize("alpha", MODES["alpha"])
@pytest.mark.parametrize("distance", MODES["distance"])
def test_large_meshes_have_the_same_bits_on_every_number_of_threads(
    distance: str, alpha: str, device: str
) -> None:
    """More faces than are sorted at once or given to a thread, as one image and among others."""
    vertices = mesh(5000, size=0.04, dtype=torch.float32, device=device)
    both = torch.cat([vertices.flip(1), vertices])

    def render(vertices: Tensor) -> Tensor:
        return soft_silhouette(vertices, (130, 140), sigma=1e-5, distance=distance, alpha=alpha)

    upstream = uniform(130, 140, dtype=torch.float32, device=device)
    results = []
    for threads, batch in ((1, vertices), (2, vertices), (1, both), (2, both), (2, both[1:])):

        def mixture(vertices: Tensor) -> Tensor:
            return render(vertices)[-1] * upstream

        image, (grad,) = on_threads(threads, mixture, batch)
        results.append((image, grad[-1]))
    for image, grad in results[1:]:
        assert torch.equal(image, results[0][0])
        assert torch.equal(grad, results[0][1])


@pytest.mark.parametrize("color", MODES["color"])
def test_tiles_join_without_a_seam(color: str, device: str) -> None:
    """A picture of several tiles equals the oracle, whose pixels know nothing of each other."""
    vertices = mesh(12, size=1.0, dtype=torch.float64, device=device)
    textures = uniform(1, 12, 3, 3, device=device)
    background = uniform(1, 3, 131, 150, device=device)

    def render(function: Any) -> Any:
        def run(vertices: Tensor, textures: Tensor, background: Tensor) -> Tensor:
            arguments: dict[str, Any] = {"sigma": 1e-3, "gamma": 1e-2, "color": color}
            image: Tensor = function(
                vertices, textures, (131, 150), background=background, **arguments
            )
            return image

        return run

    image, grads = gradients(render(soft_rasterize), vertices, textures, background)
    expected, expected_grads = gradients(
        render(soft_rasterize_reference), vertices, textures, background
    )
    assert_same(image, expected, 1e-11)
    for grad, expected_grad in zip(grads, expected_grads, strict=True):
        assert_same(grad, expected_grad, 1e-9)
    silhouette = soft_silhouette(vertices, (131, 150), sigma=1e-3)
    assert torch.equal(silhouette, image[:, 3])


@pytest.mark.parametrize("image_size", [(2, 1024), (1024, 2)], ids=str)
def test_tiles_grow_where_large_faces_fill_their_lists(
    image_size: tuple[int, int], device: str
) -> None:
    """200 faces in each of 16 tiles are more than four entries a face and one a pixel."""
    vertices = mesh(200, dtype=torch.float64, device=device)
    axis = 0 if image_size[0] < image_size[1] else 1
    vertices[..., axis] *= 4000  # the longer side spans 512 times the shorter one
    arguments: dict[str, Any] = {"sigma": 1e-2}
    image = soft_silhouette(vertices, image_size, **arguments)
    expected = soft_silhouette_reference(vertices, image_size, **arguments)
    # Squares of thousands, rounded, over sigma.
    torch.testing.assert_close(image, expected, rtol=0, atol=1e-6)
    assert image.std() > 0.01


def test_large_pictures_of_one_row(device: str) -> None:
    vertices = torch.tensor([[[[-3e4, -2, 2], [3e4, -2, 2], [0, 2.5, 2]]]], device=device)
    wide = soft_silhouette(vertices, (1, 32768), distance="hard")
    tall = soft_silhouette(vertices[..., [1, 0, 2]], (32768, 1), distance="hard")
    assert wide.sum() > 10000
    assert torch.equal(wide[0, 0].sum(), tall[0, :, 0].sum())


def test_more_faces_than_a_block(device: str) -> None:
    """Faces in front hide those behind them whatever their number and order."""
    vertices = mesh(1100, dtype=torch.float64, device=device)
    textures = uniform(1, 1100, 3, 3, device=device)
    arguments = {"sigma": 1e-4, "color": "hard"}
    image = soft_rasterize(vertices, textures, 20, **arguments)
    order = torch.randperm(1100, generator=torch.Generator().manual_seed(0)).to(device)
    shuffled = soft_rasterize(vertices[:, order], textures[:, order], 20, **arguments)
    torch.testing.assert_close(image, shuffled)
    torch.testing.assert_close(
        image, soft_rasterize_reference(vertices, textures, 20, **arguments), rtol=0, atol=1e-9
    )


@pytest.mark.parametrize("image_size", [9, 40], ids=["small", "large"])
def test_of_equal_faces_the_first_is_seen(image_size: int, device: str) -> None:
    """Also where the others are in another block of faces, and a nearer one cannot be drawn."""
    corners = torch.tensor([[-0.9, -0.8, 2], [0.9, -0.7, 2], [0.1, 0.9, 2]], device=device)
    vertices = corners.expand(1, 1100, 3, 3).clone()
    vertices[:, [0, 3], :, 2] = 3.0
    vertices[:, 1] = torch.nan
    vertices[:, 1, :, 2] = 1.5
    number = torch.arange(1100.0, device=device)[None, :, None, None].expand(1, -1, 3, 3)
    image = soft_rasterize(vertices, number, image_size, color="hard", background=(-1, -1, -1))
    seen = image[:, 0][image[:, 0] >= 0]
    assert len(seen) > 0.3 * image_size**2
    torch.testing.assert_close(seen, torch.full_like(seen, 2))


def test_more_faces_than_a_block_have_exact_gradients(device: str) -> None:
    vertices = mesh(1100, dtype=torch.float64, device=device)
    image, (grad,) = gradients(lambda v: soft_silhouette(v, 16, sigma=1e-4), vertices)
    expected, (expected_grad,) = gradients(
        lambda v: soft_silhouette_reference(v, 16, sigma=1e-4), vertices
    )
    assert_same(image, expected, 1e-11)
    assert_same(grad, expected_grad, 1e-9)


# ---- faces that are left out ---------------------------------------------------------------------

BAD_FACES = {
    "nan": [[float("nan"), 0, 2], [1, 0, 2], [0, 1, 2]],
    "infinite": [[0, 0, 2], [float("inf"), 0, 2], [0, 1, 2]],
    "overflowing": [[0, 0, 2], [1e30, 0, 2], [0, 1e30, 2]],
    "behind": [[-1, -1, 2], [1, -1, -2], [0, 1, 2]],
    "depth zero": [[-1, -1, 2], [1, -1, 0], [0, 1, 2]],
    "a line": [[-1, -1, 2], [0, 0, 2], [1, 1, 2]],
    "nearly a line": [[-1, -1, 2], [0, 1e-7, 2], [1, 1, 2]],
    "a point": [[0.1, 0.1, 2], [0.1, 0.1, 2], [0.1, 0.1, 2]],
    "short edges": [[0, 0, 2], [5e-20, 0, 2], [0, 5e-20, 2]],
    "small area": [[1.4e-19, -1.3e-19, 2], [-1.2e-19, -8e-20, 2], [0, -8e-20, 2]],
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
    torch.testing.assert_close(image, reference, rtol=0, atol=1e-4)


@pytest.mark.parametrize("number", [float("nan"), float("inf"), -float("inf")], ids=str)
@pytest.mark.parametrize("texture", MODES["texture"])
@pytest.mark.parametrize("color", MODES["color"])
def test_a_bad_face_by_its_colors_is_left_out(
    color: str, texture: str, number: float, device: str
) -> None:
    """One number among its colours is enough; the others of the image keep their bits."""
    vertices, textures = scene(2, 6, texture, dtype=torch.float32, device=device)
    bad = textures.clone()
    bad[:, 3, -1, 1] = number
    bad_vertices = vertices.clone()
    bad_vertices[:, 3] = torch.nan

    def render(vertices: Tensor, textures: Tensor, function: Any = soft_rasterize) -> Tensor:
        arguments: dict[str, Any] = {"sigma": 1e-3, "gamma": 1e-2}
        image: Tensor = function(vertices, textures, 16, color=color, texture=texture, **arguments)
        return image

    assert count_skipped_faces(vertices, bad).tolist() == [1, 1]
    assert count_skipped_faces(vertices).tolist() == [0, 0]
    actual, expected = (
        gradients(render, *each) for each in ((vertices, bad), (bad_vertices, textures))
    )
    assert torch.isfinite(actual[0]).all()
    assert_same_bits(actual, expected)
    assert not any(grad[:, 3].any() for grad in actual[1])
    reference, reference_grads = gradients(
        lambda v, t: render(v, t, soft_rasterize_reference), vertices, bad
    )
    torch.testing.assert_close(actual[0], reference, rtol=0, atol=1e-4)
    assert all(torch.isfinite(grad).all() for grad in reference_grads)


def test_bad_faces_are_counted_in_packed_batches(device: str) -> None:
    bad = torch.tensor(list(BAD_FACES.values()), device=device)
    vertices = torch.cat([scene(1, 2, dtype=torch.float32, device=device)[0][0], bad])
    first_face = torch.tensor([0, 3, 3, len(vertices)], device=device)
    counts = count_skipped_faces(vertices, first_face=first_face)
    assert counts.tolist() == [1, 0, len(bad) - 1]


def test_far_faces_keep_alpha_and_lose_color(device: str) -> None:
    vertices = torch.tensor([[[[-9.0, -9, 5], [9, -9, 5], [0, 9, 5]]]], device=device)
    textures = torch.ones_like(vertices)
    image = soft_rasterize(vertices, textures, 4, far=4.0)
    assert torch.equal(image[:, :3], torch.zeros_like(image[:, :3]))
    torch.testing.assert_close(image[:, 3], torch.ones_like(image[:, 3]))


# ---- in the hands of torch -----------------------------------------------------------------------


def numbers(mode: dict[str, str]) -> tuple[int, ...]:
    """Return a mode as the kernels number it: 0 is no colour."""
    return tuple(MODES[name].index(value) + (name == "color") for name, value in mode.items())


def op_arguments(
    mode: dict[str, str], first_face: list[int] | None, images: int = 2, **options: Any
) -> tuple[Any, ...]:
    """Return arguments of torch.ops.renderer_cuda.soft_rasterize with faces [6]."""
    vertices, textures = scene(1, 6, mode["texture"], **options)
    inputs = (vertices[0].requires_grad_(), textures[0].requires_grad_())
    background = torch.zeros(3, **options)
    offsets = torch.tensor(first_face or [], dtype=torch.int64)
    scalars = torch.tensor([1e-2, 1e-4, 2.0, 0.0, 2.0, 1e-2, 1e-3, 1.0, 100.0], dtype=torch.float64)
    distance, alpha, color, texture = numbers(mode)
    modes = (distance, alpha, 0, True, color, texture)
    return (*inputs, background, offsets, images, 5, 7, scalars, *modes, True, False, False)


def silhouette_arguments(arguments: tuple[Any, ...]) -> tuple[Any, ...]:
    """Return those arguments of soft_rasterize that soft_silhouette has too."""
    return (arguments[0], *arguments[3:7], arguments[7][:5], *arguments[8:12])


DEFAULT = COMBINATIONS[0]


@pytest.mark.parametrize("first_face", [None, [0, 1, 6]], ids=["equal", "packed"])
@pytest.mark.parametrize("color", MODES["color"])
def test_passes_opcheck(color: str, first_face: list[int] | None, device: str) -> None:
    arguments = op_arguments(
        DEFAULT | {"color": color}, first_face, dtype=torch.float32, device=device
    )
    torch.library.opcheck(OPS.soft_rasterize.default, arguments)
    if color == "softmax":
        torch.library.opcheck(OPS.soft_silhouette.default, silhouette_arguments(arguments))


@pytest.mark.parametrize("mode", COMBINATIONS, ids=mode_name)
def test_fake_tensors_have_the_shapes_of_real_ones(mode: dict[str, str], device: str) -> None:
    arguments = op_arguments(mode, [0, 1, 6], dtype=torch.float32, device=device)
    with torch.no_grad():
        for op, real in (
            (OPS.soft_rasterize, arguments),
            (OPS.soft_silhouette, silhouette_arguments(arguments)),
        ):
            fake_mode = FakeTensorMode()
            fakes = (
                fake_mode.from_tensor(each) if isinstance(each, Tensor) else each for each in real
            )
            with fake_mode:
                outputs = op(*fakes)
            for output, expected in zip(outputs, op(*real), strict=True):
                assert output.shape == expected.shape
                assert output.dtype == expected.dtype
                assert output.device == expected.device
                assert output.stride() == expected.stride()


def test_renders_fake_tensors(device: str) -> None:
    with FakeTensorMode():
        vertices = torch.zeros(2, 3, 3, 3, device=device, requires_grad=True)
        image = soft_rasterize(vertices, vertices, (4, 5), alpha="sum")
        assert image.shape == (2, 4, 4, 5)
        image.sum().backward()
        assert vertices.grad is not None
        assert vertices.grad.shape == vertices.shape


def losses(device: str) -> dict[str, Any]:
    """Functions of vertices [2, 3, 3, 3] that go through an op."""
    _, textures = scene(2, 3, dtype=torch.float32, device=device)
    first_face = torch.tensor([0, 2, 6], device=device)
    picture = uniform(2, 3, 5, 3, dtype=torch.float32, device=device)

    def silhouette(vertices: Tensor) -> Tensor:
        return soft_silhouette(vertices * 2, 8, sigma=1e-2).square().sum()

    def rasterize(vertices: Tensor) -> Tensor:
        image = soft_rasterize(
            vertices * 2, textures, (5, 3), sigma=1e-2, gamma=1e-1, background=picture
        )
        return image.square().sum()

    def packed(vertices: Tensor) -> Tensor:
        faces, colors = (tensor.flatten(0, 1) for tensor in (vertices * 2, textures))
        arguments: dict[str, Any] = {"sigma": 1e-2, "first_face": first_face}
        rgba = soft_rasterize(faces, colors, 8, color="hard", **arguments)
        alpha = soft_silhouette(faces, 8, distance="barycentric", **arguments)
        return rgba.square().sum() + alpha.square().sum()

    return {"silhouette": silhouette, "rasterize": rasterize, "packed": packed}


@pytest.mark.parametrize("name", ["silhouette", "rasterize", "packed"])
def test_compiles_whole(name: str, device: str) -> None:
    vertices, _ = scene(2, 3, dtype=torch.float32, device=device)
    loss = losses(device)[name]
    torch._dynamo.reset()
    compiled = torch.compile(loss, fullgraph=True, backend="aot_eager")
    expected, (expected_grad,) = gradients(loss, vertices)
    actual, (grad,) = gradients(compiled, vertices)
    torch.testing.assert_close(actual, expected)
    torch.testing.assert_close(grad, expected_grad)


SCHEDULE = [10.0 ** (-2 - step / 10) for step in range(12)]  # more values than dynamo compiles for


def test_tensors_of_sigma_and_gamma_change_without_a_compilation(device: str) -> None:
    vertices, textures = scene(2, 3, dtype=torch.float32, device=device)
    compilations = torch._dynamo.testing.CompileCounterWithBackend("aot_eager")

    def loss(vertices: Tensor, sigma: Any, gamma: Any) -> Tensor:
        image = soft_rasterize(vertices, textures, 6, sigma=sigma, gamma=gamma)
        return image.square().sum() + soft_silhouette(vertices, 6, sigma=sigma).sum()

    torch._dynamo.reset()
    compiled = torch.compile(loss, fullgraph=True, backend=compilations)
    counts = []
    for value in SCHEDULE:
        number = torch.tensor(value, dtype=torch.float64)
        actual = gradients(lambda v, n=number: compiled(v, n, n), vertices)
        expected = gradients(lambda v, n=value: loss(v, n, n), vertices)
        torch.testing.assert_close(actual, expected)
        counts.append(compilations.frame_count)
    assert counts == [counts[0]] * len(SCHEDULE)
    with pytest.raises(RuntimeError, match="sigma must be positive and finite, got -1"):
        compiled(vertices, torch.tensor(-1.0).double(), number)


@pytest.mark.parametrize("dtype", [torch.float16, torch.bfloat16], ids=str)
def test_halves_are_computed_in_float32(dtype: torch.dtype, device: str) -> None:
    vertices, textures = (t.to(dtype) for t in scene(2, 6, dtype=torch.float32, device=device))
    background = torch.tensor([0.25, 0.5, 0.75], dtype=dtype, device=device)

    def render(vertices: Tensor, textures: Tensor, background: Tensor) -> Tensor:
        return soft_rasterize(vertices, textures, 8, sigma=1e-2, background=background)

    inputs = (vertices, textures, background)
    image, grads = gradients(render, *inputs)
    expected, expected_grads = gradients(render, *(each.float() for each in inputs))
    assert image.dtype == torch.float32
    assert torch.equal(image, expected)
    for grad, expected_grad in zip(grads, expected_grads, strict=True):
        assert grad.dtype == dtype
        assert torch.equal(grad, expected_grad.to(dtype))
    reference = soft_rasterize_reference(*inputs[:2], 8, sigma=1e-2, background=background)
    torch.testing.assert_close(image, reference, rtol=0, atol=1e-4)
    alpha = soft_silhouette(vertices, 8, sigma=1e-2)
    assert torch.equal(alpha, image[:, 3])


def test_stays_in_float32_under_autocast(device: str) -> None:
    vertices, textures = scene(dtype=torch.float32, device=device)

    def rasterize(vertices: Tensor, textures: Tensor) -> Tensor:
        return soft_rasterize(vertices, textures, 8, sigma=1e-2)

    def silhouette(vertices: Tensor, textures: Tensor) -> Tensor:
        return soft_silhouette(vertices, 8, sigma=1e-2) + 0 * textures.sum()

    for function in (rasterize, silhouette):
        expected = gradients(function, vertices, textures)
        with torch.autocast(device, dtype=torch.bfloat16):
            actual = gradients(function, vertices, textures)
        assert actual[0].dtype == torch.float32
        assert_same_bits(actual, expected)


@pytest.mark.parametrize("op", ["silhouette", "rasterize"])
def test_second_derivative_is_refused(op: str, device: str) -> None:
    vertices, textures = scene(device=device)
    vertices.requires_grad_()
    if op == "silhouette":
        image = soft_silhouette(vertices, 8, sigma=1e-2)
    else:
        image = soft_rasterize(vertices, textures, 8, sigma=1e-2)
    (grad,) = torch.autograd.grad(image.sum(), vertices, create_graph=True)
    with pytest.raises(NotImplementedError, match="second derivative"):
        grad.sum().backward()


# ---- bad input -----------------------------------------------------------------------------------

FACES = torch.zeros(1, 2, 3, 3)
PACKED: dict[str, Any] = {"face_vertices": FACES[0], "face_textures": FACES[0]}

BAD_ARGUMENTS: list[tuple[dict[str, Any], str]] = [
    ({"face_vertices": torch.zeros(2, 3, 3)}, r"face_vertices must have shape \[B, F, 3, 3\]"),
    (
        {"face_vertices": FACES.long()},
        "face_vertices must be float32 or float64, got torch.int64",
    ),
    ({"face_vertices": [1.0]}, "face_vertices must be a torch.Tensor, got list"),
    ({"face_textures": FACES[:, :1]}, "face_textures must have the shape of face_vertices"),
    ({"face_textures": FACES.double()}, "face_textures must have the dtype of face_vertices"),
    ({"texture": "surface"}, r"face_textures must have shape \[1, 2, R\*R, 3\]"),
    ({"first_face": torch.tensor([0, 2])}, r"face_vertices must have shape \[N, 3, 3\] when"),
    (PACKED, r"got \[2, 3, 3\]; packed faces \[N, 3, 3\] come with first_face"),
    (PACKED | {"first_face": torch.tensor([1, 2])}, "first_face must start at 0, got 1"),
    (PACKED | {"first_face": torch.tensor([0, 3])}, "must end at the number of faces, 2, got 3"),
    (PACKED | {"first_face": torch.tensor([0, 2, 1, 2])}, "must not decrease, got 2, 1"),
    (PACKED | {"first_face": torch.tensor([0.0, 2.0])}, "first_face must be int64"),
    ({"image_size": 0}, "image_size must be"),
    ({"image_size": (4, 32769)}, "image_size must be"),
    ({"image_size": (4, 5, 6)}, "image_size must be"),
    ({"image_size": 4.5}, "image_size must be"),
    ({"sigma": 0.0}, "sigma must be positive and finite, got 0.0"),
    ({"sigma": float("nan")}, "sigma must be positive"),
    ({"sigma": torch.tensor(-1.0)}, "sigma must be positive and finite, got -1.0"),
    ({"sigma": torch.ones(1)}, r"sigma must be a number or .* shape \[\] .* got shape \[1\]"),
    ({"gamma": torch.tensor(1)}, r"gamma must be a number or .* got shape \[\], torch.int64"),
    ({"gamma": torch.tensor(1.0, requires_grad=True)}, "gamma must be .* requiring a gradient"),
    ({"dist_eps": torch.tensor(0.1)}, "dist_eps must be between 0 and 0.5, exclusive, got tensor"),
    ({"gamma": -1.0}, "gamma must be positive"),
    ({"dist_eps": 0.5}, "dist_eps must be between 0 and 0.5"),
    ({"far": 1.0}, "far must be finite and greater than near"),
    ({"near": 0.0}, "near must be positive"),
    ({"color": "sum"}, "color must be one of softmax, hard, over, got 'sum'"),
    ({"distance": "hamming"}, "distance must be one of"),
    ({"alpha": "max"}, "alpha must be one of product, sum, hard, maximum, .* got 'max'"),
    (
        {"color": "over", "window": "exp_clipped", "distribution": "gaussian"},
        "distribution must be 'logistic' and squared with window 'exp_clipped', got 'gaussian'",
    ),
    (
        {"color": "over", "window": "compact", "squared": False},
        "must be 'logistic' and squared .* squared=False",
    ),
    ({"distribution": "normal"}, "distribution must be one of logistic, uniform, .* got 'normal'"),
    ({"squared": 1}, "squared must be a bool, got 1"),
    ({"detach_barycentric": None}, "detach_barycentric must be a bool, got None"),
    ({"dist_shape": 2.0}, "dist_shape must be None unless distribution is one of gamma, gamma_rev"),
    ({"distribution": "gamma", "dist_shape": 0.0}, "dist_shape must be from 0.01 to 100, got 0.0"),
    ({"distribution": "gamma", "dist_shape": float("nan")}, "dist_shape must be .* got nan"),
    ({"distribution": "gamma", "dist_shape": "2"}, "dist_shape must be .* got '2'"),
    ({"distribution": "cauchy", "dist_shift": 1.0}, "dist_shift must be None unless"),
    ({"distribution": "levy", "dist_shift": float("inf")}, "dist_shift must be .* got inf"),
    ({"alpha": "einstein", "alpha_parameter": 2.0}, "alpha_parameter must be None unless alpha"),
    ({"alpha": "yager", "alpha_parameter": 0.0}, "alpha_parameter of yager must be from 0.1"),
    ({"alpha": "hamacher", "alpha_parameter": -1.0}, "of hamacher must be from 0 to 1e.06, got"),
    ({"alpha": "schweizer_sklar", "alpha_parameter": 2.0}, "must be from -100 to -0.01, got 2.0"),
    ({"alpha": "dombi", "alpha_parameter": float("nan")}, "alpha_parameter of dombi .* got nan"),
    ({"alpha": "frank", "alpha_parameter": 1.0}, "alpha_parameter of frank must not be 1"),
    ({"texture": "cube"}, "texture must be one of vertex, surface, got 'cube'"),
    ({"background": (1.0, 2.0)}, "background must be three finite numbers"),
    ({"background": torch.zeros(1, 3, 4, 5)}, r"shape \[3\] or \[1, 3, 4, 4\], got \[1, 3, 4, 5\]"),
]


@pytest.mark.parametrize(("change", "message"), BAD_ARGUMENTS, ids=lambda value: str(value)[:40])
@pytest.mark.parametrize("function", [soft_rasterize, soft_rasterize_reference])
def test_bad_arguments_are_named(function: Any, change: dict[str, Any], message: str) -> None:
    arguments: dict[str, Any] = {"face_vertices": FACES, "face_textures": FACES, "image_size": 4}
    with pytest.raises(ValueError, match=message):
        function(**(arguments | change))


# Offsets of two images over six faces that would make a kernel read foreign memory.
BROKEN_OFFSETS = {
    "too few": [0, 6],
    "too many": [0, 1, 2, 6],
    "not from zero": [1, 3, 6],
    "negative": [0, -1, 6],
    "beyond": [0, 3, 7],
    "short": [0, 3, 5],
    "falling": [0, 7, 6],
    "huge": [0, 1 << 62, 6],
}


@pytest.mark.parametrize("offsets", BROKEN_OFFSETS.values(), ids=BROKEN_OFFSETS)
def test_packed_ops_trust_no_offsets(offsets: list[int], device: str) -> None:
    good = op_arguments(DEFAULT, [0, 3, 6], dtype=torch.float32, device=device)
    broken = (*good[:3], torch.tensor(offsets), *good[4:])
    with torch.no_grad():
        outputs = OPS.soft_rasterize(*good)
        alpha, transmittance = OPS.soft_silhouette(*silhouette_arguments(good))
        with pytest.raises(RuntimeError, match="first_face must"):
            OPS.soft_rasterize(*broken)
        with pytest.raises(RuntimeError, match="first_face must"):
            OPS.soft_silhouette(*silhouette_arguments(broken))
        with pytest.raises(RuntimeError, match="first_face must"):
            OPS.soft_rasterize_backward(
                outputs[0], *good[:2], torch.tensor(offsets), *outputs, *good[7:]
            )
        with pytest.raises(RuntimeError, match="first_face must"):
            OPS.soft_silhouette_backward(
                alpha,
                good[0],
                torch.tensor(offsets),
                transmittance,
                good[7][:5],
                *good[8:12],
            )


@pytest.mark.parametrize("images", [4, 7, -1])
def test_ops_want_meshes_of_equal_size_without_offsets(images: int, device: str) -> None:
    arguments = op_arguments(DEFAULT, None, images, dtype=torch.float32, device=device)
    with torch.no_grad(), pytest.raises(RuntimeError, match="images"):
        OPS.soft_rasterize(*arguments)
    with torch.no_grad(), pytest.raises(RuntimeError, match="images"):
        OPS.soft_silhouette(*silhouette_arguments(arguments))


def test_broken_offsets_raise_when_compiled(device: str) -> None:
    """torch.compile traces without the offsets' values: the op itself has to look."""
    vertices = torch.zeros(6, 3, 3, device=device)

    def render(vertices: Tensor, first_face: Tensor) -> Tensor:
        return soft_silhouette(vertices, 4, first_face=first_face)

    torch._dynamo.reset()
    compiled = torch.compile(render, fullgraph=True, backend="aot_eager")
    assert compiled(vertices, torch.tensor([0, 6], device=device)).shape == (1, 4, 4)
    with pytest.raises(RuntimeError, match="first_face must"):
        compiled(vertices, torch.tensor([0, 7], device=device))
