"""What the native ops promise for every scene, however nasty, in every mode."""

from __future__ import annotations

import math
import os
import platform
import re
import subprocess
import sys
from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path
from random import Random
from typing import Any

import pytest
import torch
from hypothesis import assume, given, settings
from hypothesis import strategies as st
from scenes import (
    COMBINATIONS,
    DEVICES,
    DTYPES,
    FAMILY,
    assert_same,
    gradients,
    require_kernels,
    uniform,
)
from torch import Tensor

from renderer_cuda import (
    count_skipped_faces,
    soft_rasterize,
    soft_rasterize_reference,
    soft_silhouette,
)
from renderer_cuda import reference_modes as modes
from renderer_cuda.reference import barycentric, drawable_faces, pixel_centers
from renderer_cuda.reference_family import Family
from renderer_cuda.validation import MODES, parse_family


@pytest.fixture(autouse=True, scope="module", params=DEVICES)
def device(request: pytest.FixtureRequest) -> str:
    """Every test of this file runs on the native kernels of each device, or says why it cannot."""
    return require_kernels(request.param)


# ---- nasty faces ---------------------------------------------------------------------------------

Corners = list[list[float]]  # of one face: NDC x, NDC y, view depth


def pixel(random: Random, size: tuple[int, int]) -> tuple[float, float]:
    """The centre of any pixel."""
    (height, width), shorter = size, min(size)
    column, row = random.randrange(width), random.randrange(height)
    return (2 * column + 1 - width) / shorter, (height - 1 - 2 * row) / shorter


def move(corners: Corners, k: int, to: tuple[float, float]) -> None:
    corners[k][:2] = to


def make_line(corners: Corners, random: Random, size: tuple[int, int]) -> None:
    """A corner between the others, exactly: coordinates are multiples of 2^-8."""
    for corner in corners:
        corner[:2] = [round(value * 64) / 64 for value in corner[:2]]
    (ax, ay, _), (bx, by, _) = corners[:2]
    t = random.randrange(5) / 4
    move(corners, 2, (ax + t * (bx - ax), ay + t * (by - ay)))


def make_sliver(corners: Corners, random: Random, size: tuple[int, int]) -> None:
    """A corner between the others, 1e-5 to 1e-2 beside the edge."""
    (ax, ay, _), (bx, by, _) = corners[:2]
    x, y, t = bx - ax, by - ay, random.random()
    thickness = 10 ** random.uniform(-5, -2) * random.choice((-1, 1))
    move(corners, 2, (ax + t * x - thickness * y, ay + t * y + thickness * x))


def make_point(corners: Corners, random: Random, size: tuple[int, int]) -> None:
    for k in (1, 2):
        corners[k][:2] = corners[0][:2]


def make_double(corners: Corners, random: Random, size: tuple[int, int]) -> None:
    corners[random.randrange(2)][:2] = corners[2][:2]


def make_corner(corners: Corners, random: Random, size: tuple[int, int]) -> None:
    """One corner, or all, on pixel centres."""
    for k in range(random.choice((1, 3))):
        move(corners, k, pixel(random, size))


def make_edge(corners: Corners, random: Random, size: tuple[int, int]) -> None:
    """An edge through a pixel centre."""
    x, y = pixel(random, size)
    along, up = random.uniform(-1, 1), random.uniform(-1, 1)
    move(corners, 0, (x + along, y + up))
    move(corners, 1, (x - along, y - up))


def make_scale(corners: Corners, random: Random, size: tuple[int, int]) -> None:
    """1e-7 to 1e7 times the size, around the middle or around a pixel centre."""
    scale = 10 ** random.uniform(-7, 7)
    x, y = random.choice(((0.0, 0.0), pixel(random, size)))
    for k, corner in enumerate(corners):
        move(corners, k, (x + scale * corner[0], y + scale * corner[1]))


def make_depth(corners: Corners, random: Random, size: tuple[int, int]) -> None:
    for corner in corners:
        corner[2] = 10 ** random.uniform(-7, 7)


def make_extreme(corners: Corners, random: Random, size: tuple[int, int]) -> None:
    """Near the ends of the range of float32, and of what has squares there."""
    scale = 10 ** random.uniform(-25, 12)
    for corner in corners:
        corner[:] = [scale * corner[0], scale * corner[1], 10 ** random.uniform(-44, 38.5)]


def make_behind(corners: Corners, random: Random, size: tuple[int, int]) -> None:
    corners[random.randrange(3)][2] *= -1


def make_zero_depth(corners: Corners, random: Random, size: tuple[int, int]) -> None:
    corners[random.randrange(3)][2] = random.choice((0.0, -0.0))


def make_not_finite(corners: Corners, random: Random, size: tuple[int, int]) -> None:
    corners[random.randrange(3)][random.randrange(3)] = random.choice(
        (math.nan, math.inf, -math.inf)
    )


def make_plain(corners: Corners, random: Random, size: tuple[int, int]) -> None:
    pass


Maker = Callable[[Corners, Random, tuple[int, int]], None]
# Faces in general position, which may be thin, those with a pixel on the outline, and those that
# cannot be drawn.
GENERAL: list[Maker] = [make_plain, make_sliver]
OUTLINED: list[Maker] = [make_corner, make_edge]
SCALED: list[Maker] = [make_scale, make_depth, make_extreme]
SKIPPED: list[Maker] = [
    make_line,
    make_point,
    make_double,
    make_behind,
    make_zero_depth,
    make_not_finite,
]


def make_face(maker: Maker, random: Random, size: tuple[int, int]) -> Corners:
    corners = [
        [random.uniform(-1.2, 1.2), random.uniform(-1.2, 1.2), random.uniform(0.5, 4.0)]
        for _ in range(3)
    ]
    maker(corners, random, size)
    return corners


# ---- nasty scenes --------------------------------------------------------------------------------


@dataclass(frozen=True)
class Scene:
    """Faces [1, F, 3, 3] with colours and a background, and how to render them."""

    vertices: Tensor
    textures: Tensor
    background: Tensor
    image_size: tuple[int, int]
    mode: dict[str, Any]
    arguments: dict[str, Any]

    @property
    def numbers_of_alpha(self) -> dict[str, Any]:
        """The arguments of soft_silhouette."""
        names = ("sigma", "dist_eps")
        arguments = {name: self.arguments[name] for name in names}
        shading = ("color", "texture")
        return arguments | {name: self.mode[name] for name in self.mode if name not in shading}

    @property
    def family(self) -> Family:
        """The soft rasterizer of the scene as the oracle takes it."""
        mode = {"distribution": "logistic", **self.mode}
        numbers = (mode.get(n) for n in ("dist_shape", "dist_shift", "alpha_parameter"))
        parsed = parse_family(mode["distribution"], mode["alpha"], *numbers)
        return Family(mode["distribution"], mode.get("squared", True), mode["alpha"], *parsed)

    def render(
        self, vertices: Tensor, textures: Tensor, function: Any = soft_rasterize, **change: Any
    ) -> Tensor:
        arguments = {"background": self.background, **self.arguments, **self.mode, **change}
        image: Tensor = function(vertices, textures, self.image_size, **arguments)
        return image

    def silhouette(self, vertices: Tensor) -> Tensor:
        return soft_silhouette(vertices, self.image_size, **self.numbers_of_alpha)


@st.composite
def scenes(
    draw: Callable[..., Any],
    makers: list[Maker],
    dtypes: list[torch.dtype] = DTYPES,
    sigma: tuple[float, float] = (-12, 1),
    gamma: tuple[float, float] = (-12, 1),
    faces: int = 10,
) -> Scene:
    """Scenes of faces of the given kinds; sigma and gamma are exponents of ten."""
    image_size = (draw(st.integers(1, 12)), draw(st.integers(1, 20)))
    kinds = draw(st.lists(st.sampled_from(makers), max_size=faces))
    mode = draw(st.sampled_from(COMBINATIONS)) | draw(st.just({}) | st.sampled_from(FAMILY))
    dtype = draw(st.sampled_from(dtypes))
    seed = draw(st.integers(0, 1 << 20))
    random = Random(seed)
    corners = [make_face(kind, random, image_size) for kind in kinds]
    vertices = torch.tensor(corners, dtype=torch.float64).view(1, -1, 3, 3)
    texels = 3 if mode["texture"] == "vertex" else draw(st.integers(1, 9)) ** 2
    arguments = {
        "sigma": 10 ** draw(st.floats(*sigma)),
        "gamma": 10 ** draw(st.floats(*gamma)),
        "dist_eps": draw(st.sampled_from([1e-10, 1e-4, 0.1, 0.49])),
        "eps": draw(st.sampled_from([0.0, 1e-3, 1.0])),
        "near": draw(st.sampled_from([1e-3, 1.0])),
        "far": draw(st.sampled_from([2.5, 1e3])),
        "double_sided": draw(st.booleans()),
        "perspective_correct": draw(st.booleans()),
    }
    return Scene(
        vertices.to(dtype),
        uniform(1, len(kinds), texels, 3, seed=seed, dtype=dtype),
        uniform(1, 3, *image_size, seed=seed + 1, dtype=dtype),
        image_size,
        mode,
        arguments,
    )


def rounding(dtype: torch.dtype) -> float:
    """What sums of a few numbers may differ by between two orders."""
    return 64 * torch.finfo(dtype).eps


many = settings(max_examples=300, deadline=None)
some = settings(max_examples=100, deadline=None)
few = settings(max_examples=50, deadline=None)


# ---- numbers -------------------------------------------------------------------------------------


@many
@given(scene=scenes(GENERAL + OUTLINED + SCALED + SKIPPED))
def test_images_and_gradients_are_finite(scene: Scene) -> None:
    image, grads = gradients(scene.render, scene.vertices, scene.textures)
    assert torch.isfinite(image).all()
    assert all(torch.isfinite(grad).all() for grad in grads)
    assert image.min() >= 0
    assert image[:, 3].max() <= 1
    assert image.max() <= 1 + rounding(image.dtype)


@some
@given(
    scene=scenes([*GENERAL, *OUTLINED, make_scale], gamma=(-307, 307), sigma=(-307, 307)),
    eps=st.sampled_from([-1e300, 0.0, 1e300]),
    far=st.sampled_from([2.0, 1e300]),
)
def test_images_are_finite_beyond_the_range_of_float32(
    scene: Scene, eps: float, far: float
) -> None:
    image, grads = gradients(
        lambda v, t: scene.render(v, t, eps=eps, far=far), scene.vertices, scene.textures
    )
    assert torch.isfinite(image).all()
    # Gradients grow with 1 / sigma and 1 / gamma until they leave the range themselves.
    if min(scene.arguments["sigma"], scene.arguments["gamma"]) > 1e-20:
        assert all(torch.isfinite(grad).all() for grad in grads)


@many
@given(scene=scenes(GENERAL + OUTLINED + SCALED + SKIPPED))
def test_silhouettes_are_the_alpha_of_renders(scene: Scene) -> None:
    alpha, (grad,) = gradients(scene.silhouette, scene.vertices)
    assert torch.isfinite(grad).all()
    assert not grad[..., 2].any()
    image = scene.render(scene.vertices, scene.textures)
    assert torch.equal(alpha, image[:, 3])


@some
@given(scene=scenes(GENERAL + OUTLINED + SCALED + SKIPPED))
def test_gradient_of_the_background_is_its_share(scene: Scene) -> None:
    """Colours are linear in the background: its gradient is what white shows in front of black."""

    def render(background: Tensor) -> Tensor:
        return scene.render(scene.vertices, scene.textures * 0, background=background)

    white = torch.ones_like(scene.background).requires_grad_()
    image = render(white)
    (grad,) = torch.autograd.grad(image[:, :3].sum(), white)
    tolerance = rounding(image.dtype)
    torch.testing.assert_close(grad, image[:, :3].detach(), rtol=tolerance, atol=tolerance)


# ---- faces that are skipped ----------------------------------------------------------------------


@many
@given(scene=scenes(GENERAL + OUTLINED + SCALED + SKIPPED))
def test_skipped_faces_are_as_good_as_left_out(scene: Scene) -> None:
    kept = drawable_faces(scene.vertices)[0]
    assert count_skipped_faces(scene.vertices).item() == (~kept).sum()
    image, grads = gradients(scene.render, scene.vertices, scene.textures)
    inputs = (scene.vertices[:, kept], scene.textures[:, kept])
    expected, expected_grads = gradients(scene.render, *inputs)
    assert torch.equal(image[:, :3], expected[:, :3])
    if scene.mode["alpha"] == "sum":  # a mean over all faces, those that are skipped too
        share = kept.sum() / max(1, len(kept))
        torch.testing.assert_close(image[:, 3], expected[:, 3] * share)
        return
    assert torch.equal(image[:, 3], expected[:, 3])
    for grad, expected_grad in zip(grads, expected_grads, strict=True):
        assert torch.equal(grad[:, kept], expected_grad)
        assert not grad[:, ~kept].any()


@many
@given(
    kind=st.sampled_from(GENERAL + OUTLINED + SCALED + SKIPPED),
    seed=st.integers(0, 1 << 20),
    dtype=st.sampled_from(DTYPES),
)
def test_the_count_of_skipped_faces_is_what_kernels_skip(
    kind: Maker, seed: int, dtype: torch.dtype
) -> None:
    """Where sigma is endless each face that is drawn at all reaches every pixel."""
    face = torch.tensor(make_face(kind, Random(seed), (4, 4)), dtype=dtype)[None, None]
    alpha = soft_silhouette(face, 4, sigma=1e30)
    assert bool(alpha.any()) == (count_skipped_faces(face).item() == 0)
    if kind in SKIPPED:
        assert not alpha.any()


# ---- relations between pictures ------------------------------------------------------------------


@some
@given(scene=scenes(GENERAL + OUTLINED + SCALED), added=scenes(GENERAL + OUTLINED + SCALED))
def test_silhouettes_never_fall_when_faces_are_added(scene: Scene, added: Scene) -> None:
    more = torch.cat([scene.vertices, added.vertices.to(scene.vertices)], dim=1)
    before, after = scene.silhouette(scene.vertices), scene.silhouette(more)
    if scene.mode["alpha"] == "sum":  # a mean: the sum does not fall
        before, after = before * scene.vertices.shape[1], after * more.shape[1]
    assert (after >= before - rounding(before.dtype) * before.abs().clamp_min(1)).all()


def shuffled(scene: Scene, seed: int) -> tuple[Tensor, Tensor, Tensor]:
    """Return an order of faces, and the faces and colours in that order."""
    generator = torch.Generator().manual_seed(seed)
    order = torch.randperm(scene.vertices.shape[1], generator=generator)
    return order, scene.vertices[:, order], scene.textures[:, order]


@some
@given(scene=scenes(GENERAL + OUTLINED + SCALED + SKIPPED), seed=st.integers(0, 1000))
def test_the_order_of_faces_does_not_matter(scene: Scene, seed: int) -> None:
    """Beyond rounding, and not at all where one face is chosen."""
    image = scene.render(scene.vertices, scene.textures)
    again = scene.render(*shuffled(scene, seed)[1:])
    tolerance = rounding(image.dtype)
    torch.testing.assert_close(again, image, rtol=tolerance, atol=tolerance)
    if scene.mode["color"] == "hard":
        assert torch.equal(again[:, :3], image[:, :3])
    if scene.mode["alpha"] in ("hard", "maximum"):
        assert torch.equal(again[:, 3], image[:, 3])


@some
@given(
    scene=scenes(GENERAL + OUTLINED + SKIPPED, sigma=(-4, 1), gamma=(-2, 1)),
    seed=st.integers(0, 1000),
)
def test_the_order_of_faces_does_not_matter_to_gradients(scene: Scene, seed: int) -> None:
    _, grads = gradients(scene.render, scene.vertices, scene.textures)
    order, *inputs = shuffled(scene, seed)
    for grad, again in zip(grads, gradients(scene.render, *inputs)[1], strict=True):
        assert_same(again, grad[:, order], 100 * rounding(grad.dtype))


def on_grid(scene: Scene, spacing: float = 1 / 64) -> Tensor:
    """Corners on a grid so coarse that edges, areas and shifts are exact in float32 too."""
    corners = scene.vertices.nan_to_num(0, 1, -1)
    rounded = (corners[..., :2].clamp(-2, 2) / spacing).round() * spacing
    return torch.cat([rounded, corners[..., 2:]], dim=-1)


@some
@given(
    scene=scenes(GENERAL + OUTLINED + SKIPPED, sigma=(-7, 1), gamma=(-4, 1)),
    turn=st.integers(1, 2),
)
def test_corners_may_be_turned(scene: Scene, turn: int) -> None:
    """Each face may start with any of its corners, when colours turn with them."""
    vertices = on_grid(scene)
    change = {"texture": "vertex"}
    colors = uniform(*vertices.shape, dtype=vertices.dtype)
    image = scene.render(vertices, colors, **change)
    turned = scene.render(vertices.roll(turn, 2), colors.roll(turn, 2), **change)
    # The depth of a pixel is rounded, then divided by gamma.
    tolerance = rounding(image.dtype) * max(1, 1 / scene.arguments["gamma"])
    torch.testing.assert_close(turned, image, rtol=tolerance, atol=tolerance)


@some
@given(
    scene=scenes(GENERAL + OUTLINED + SKIPPED, sigma=(-7, 1), gamma=(-4, 1)),
    shift=st.tuples(st.integers(-5, 5), st.integers(-5, 5)),
)
def test_whole_pixels_shift_the_picture(scene: Scene, shift: tuple[int, int]) -> None:
    size, (down, right) = 16, shift
    vertices = on_grid(scene)
    moved = vertices.clone()
    moved[..., 0] += right * 2 / size
    moved[..., 1] -= down * 2 / size
    change: dict[str, Any] = {**scene.arguments, **scene.mode}
    image = soft_rasterize(vertices, scene.textures, size, **change)
    shifted = soft_rasterize(moved, scene.textures, size, **change)
    rows = slice(max(down, 0), size + min(down, 0))
    columns = slice(max(right, 0), size + min(right, 0))
    actual = shifted[..., rows, columns]
    expected = image.roll((down, right), (2, 3))[..., rows, columns]
    tolerance = rounding(image.dtype) * max(1, 1 / scene.arguments["gamma"])
    torch.testing.assert_close(actual, expected, rtol=tolerance, atol=tolerance)


@some
@given(scene=scenes(GENERAL + OUTLINED + SCALED + SKIPPED))
def test_backs_have_alpha_and_no_color_unless_double_sided(scene: Scene) -> None:
    """One-sided colours are those of the faces whose corners run clockwise on the picture."""
    vertices, textures = scene.vertices, scene.textures
    one_sided = scene.render(vertices, textures, double_sided=False)
    both = scene.render(vertices, textures, double_sided=True)
    assert torch.equal(one_sided[:, 3], both[:, 3])
    first, second = (vertices[0, :, k, :2] - vertices[0, :, 0, :2] for k in (1, 2))
    clockwise = first[:, 0] * second[:, 1] < first[:, 1] * second[:, 0]
    fronts = scene.render(vertices[:, clockwise], textures[:, clockwise], double_sided=True)
    # Which faces share a vector register, and so the order of the sums of the softmax, depends on
    # how many faces there are.
    tolerance = rounding(fronts.dtype) if scene.mode["color"] == "softmax" else 0.0
    torch.testing.assert_close(one_sided[:, :3], fronts[:, :3], rtol=tolerance, atol=tolerance)


# ---- faces that are hidden -----------------------------------------------------------------------


@many
@given(
    gap=st.floats(0, 2),
    gamma=st.floats(-6, -1),
    layers=st.integers(2, 40),
    reverse=st.booleans(),
    size=st.sampled_from([0.5, 20.0]),
    dtype=st.sampled_from(DTYPES),
    texture=st.sampled_from(MODES["texture"]),
)
def test_hidden_faces_do_not_reach_the_last_bit(
    gap: float,
    gamma: float,
    layers: int,
    reverse: bool,
    size: float,
    dtype: torch.dtype,
    texture: str,
) -> None:
    """Kernels leave out faces whose weight is too small; the oracle adds up all of them.

    One black face in front of many white ones, so that all the image shows is their shares: they
    are missing by half a unit in the last place of white at most, and not at all where they are
    more. Their gradients are missing by as much.
    """
    gamma = 10**gamma
    step = gap * 60 * gamma * 99  # of depth: from none to e^-120
    assume(step < 30)
    corner = torch.tensor([[-0.9, -0.8, 2.0], [0.1, 0.9, 2.0], [0.8, -0.7, 2.0]])
    vertices = corner.mul(torch.tensor([size, size, 1.0])).expand(1, layers, 3, 3).clone()
    vertices[:, 1:, :, 2] += step
    textures = torch.ones(1, layers, 3 if texture == "vertex" else 4, 3)
    textures[:, 0] = 0
    if reverse:
        vertices, textures = vertices.flip(1), textures.flip(1)
    vertices, textures = vertices.to(dtype), textures.to(dtype)

    def render(function: Any) -> Any:
        def run(vertices: Tensor, textures: Tensor) -> Tensor:
            image: Tensor = function(
                vertices, textures, 20, sigma=1e-4, gamma=gamma, texture=texture
            )
            return image[:, :3]

        return run

    image, grads = gradients(render(soft_rasterize), vertices, textures)
    reference = render(soft_rasterize_reference)
    expected, expected_grads = gradients(reference, vertices.double(), textures.double())
    epsilon = torch.finfo(dtype).eps
    # Depths of a few units are rounded before they are divided by gamma.
    relative = 64 * epsilon * (1 + (2 + step) / (99 * gamma))
    assert ((image - expected).abs() <= epsilon / 4 + relative * expected).all()
    # Of the gradient of textures: a sum over 400 pixels of upstream numbers of about one.
    error = (grads[1] - expected_grads[1]).abs()
    assert (error <= 400 * (epsilon / 4) + 400 * relative).all()


# ---- against other renderers ---------------------------------------------------------------------


def near_a_whole_texel(weights: Tensor, resolution: int) -> Tensor:
    """Where clipped weights [..., 3] choose a texel by less than 1e-9; zeros and ones are exact."""
    scaled = weights * resolution
    between = (weights > 0) & (weights < 1)
    return (between & ((scaled - scaled.round()).abs() < 1e-9)).any(-1)


def near_a_kink(family: Family, x: Tensor) -> Tensor:
    """Where rounding decides on which side of a kink x [P, F] lies, or which face is greatest.

    Kinks are the ends of distributions and what is above one half; yager has one at alpha = 1.
    """
    close = (x.abs() - 1).abs() < 1e-6
    close |= (x.abs() - abs(family.shift)).abs() < 1e-6
    if not family.squared:
        close |= x.abs() < 1e-6
    covered, _ = family.coverage(x.clamp(-1e30, 1e30))
    if family.alpha == "hard":
        close |= (covered - 0.5).abs() < 1e-6
    if family.alpha == "maximum" and x.shape[1] > 1:
        greatest = covered.topk(2, -1).values
        close |= ((greatest[:, 0] - greatest[:, 1]).abs() < 1e-9)[:, None]
    if family.alpha == "yager":
        norm = covered.pow(family.parameter).sum(-1, keepdim=True).pow(1 / family.parameter)
        close |= (norm - 1).abs() < 1e-6
    return close


def undecided(scene: Scene) -> Tensor:
    """The pixels [H, W] where rounding decides for some face whether it is there, and its texel."""
    faces = scene.vertices[0, drawable_faces(scene.vertices)[0]]
    pixels = pixel_centers(*scene.image_size, dtype=torch.float64)
    numbers = scene.numbers_of_alpha
    distance, sigma, dist_eps = (numbers[name] for name in ("distance", "sigma", "dist_eps"))
    family = scene.family
    weights = barycentric(pixels, faces)
    # Weights are quotients of areas: numbers of order one, each off by some 1e-16, by the face's.
    first, second = (faces[:, k, :2] - faces[:, 0, :2] for k in (1, 2))
    area = (first[:, 0] * second[:, 1] - first[:, 1] * second[:, 0]).abs()
    close = 1e-12 * (1 + faces[..., :2].abs().amax((1, 2)).square() / area)[:, None]
    near = ((weights.abs() < close) | ((weights - 1).abs() < close)).any(-1)
    threshold = family.reach(dist_eps)
    x = modes.exponent(distance, pixels, faces, weights, sigma, family.squared)
    near |= (x + threshold).abs() < 1e-6 * max(1, threshold)
    near |= near_a_kink(family, x)
    radius = math.sqrt(sigma * threshold) if family.squared else math.sqrt(sigma) * threshold
    box = torch.stack([faces[..., :2].amin(1), faces[..., :2].amax(1)])
    grown = box + torch.tensor([[-1.0], [1]]).double()[:, None] * radius
    near |= ((pixels[:, None, None] - grown.movedim(0, 1)).abs() < 1e-9).any(-1).any(-1)
    clipped = modes.clip(weights)
    depth = modes.depth_at(clipped, faces)
    for bound in (scene.arguments["near"], scene.arguments["far"]):
        near |= (depth - bound).abs() < 1e-9 * bound
    if scene.mode["texture"] == "surface":
        near |= near_a_whole_texel(clipped, math.isqrt(scene.textures.shape[2]))
    return near.any(-1).view(scene.image_size)


DOUBLE = [torch.float64]


@some
@given(
    scene=scenes([*GENERAL, *OUTLINED, *SKIPPED, make_depth], DOUBLE, sigma=(-6, 1), gamma=(-2, 1))
)
def test_nasty_pictures_equal_the_oracle(scene: Scene) -> None:
    image = scene.render(scene.vertices, scene.textures)
    expected = scene.render(scene.vertices, scene.textures, soft_rasterize_reference)
    assert ((image - expected).abs() * ~undecided(scene)).max() < 1e-7


@few
@given(scene=scenes([*GENERAL, *SKIPPED, make_depth], DOUBLE, sigma=(-6, 1), gamma=(-2, 1)))
def test_nasty_gradients_equal_the_oracle(scene: Scene) -> None:
    assume(scene.vertices.shape[1] > 0)  # of nothing the oracle has no gradient
    decided = ~undecided(scene)

    def render(function: Any) -> Any:
        return lambda v, t: scene.render(v, t, function) * decided

    _, grads = gradients(render(soft_rasterize), scene.vertices, scene.textures)
    _, expected = gradients(render(soft_rasterize_reference), scene.vertices, scene.textures)
    for grad, expected_grad in zip(grads, expected, strict=True):
        # Where nothing shines through, the oracle's gradient of alpha is rounded like 1 - alpha.
        scale = expected_grad.abs().max().clamp_min(1e-3)
        assert (grad - expected_grad).abs().max() < 1e-6 * scale


def quads(random: Random, step: int, jitter: int) -> Tensor:
    """A grid of quads over a picture of 16 x 16 pixels, each of two triangles, [F, 3, 2].

    Whole numbers in units of half a pixel: pixel centres are odd, and so are the grid's lines,
    whose crossings then move by up to jitter. Diagonals and windings are random.
    """
    lines = range(-17 - 2 * step, 18 + 2 * step, step)
    corners = {
        (x, y): [x + random.randint(-jitter, jitter), y + random.randint(-jitter, jitter)]
        for x in lines
        for y in lines
    }
    triangles = []
    for x in lines[:-1]:
        for y in lines[:-1]:
            loop = [(x, y), (x + step, y), (x + step, y + step), (x, y + step)]
            first = random.randrange(2)
            a, b, c, d = (corners[loop[(first + k) % 4]] for k in range(4))
            triangles += [random.sample([a, b, c], 3), random.sample([a, c, d], 3)]
    return torch.tensor(triangles)


def contained(triangles: Tensor) -> Tensor:
    """Whether triangles [F, 3, 2] of whole numbers contain pixel centres, outline too: [256, F].

    Those of no area contain nothing; the three areas between a point and the edges sum to it.
    """
    position = torch.arange(-15, 16, 2)
    x, y = position.repeat(16), position.flip(0).repeat_interleave(16)
    offset = torch.stack([x, y], -1)[:, None, None] - triangles
    edge = triangles.roll(-1, 1) - triangles
    side = edge[..., 0] * offset[..., 1] - edge[..., 1] * offset[..., 0]
    return ((side >= 0).all(-1) | (side <= 0).all(-1)) & (side.sum(-1) != 0)


@few
@given(
    seed=st.integers(0, 1 << 20),
    step=st.sampled_from([2, 4, 10]),
    moved=st.booleans(),
    layers=st.integers(1, 2),
    dtype=st.sampled_from(DTYPES),
    distance=st.sampled_from(MODES["distance"]),
    texture=st.sampled_from(MODES["texture"]),
)
def test_hard_colors_are_a_painters_without_a_hole(
    seed: int, step: int, moved: bool, layers: int, dtype: torch.dtype, distance: str, texture: str
) -> None:
    """Each pixel centre on an edge, a diagonal or a corner belongs to all faces that meet there."""
    random = Random(seed)
    jitter = step // 4 if moved else 0
    triangles = torch.cat([quads(random, step, jitter) for _ in range(layers)])
    depth = torch.tensor(random.sample(range(len(triangles)), len(triangles))) / len(triangles) + 2
    corners = depth[:, None, None].expand(-1, 3, 1)
    vertices = torch.cat([triangles / 16, corners], dim=-1).to(dtype)[None]
    colors = uniform(len(triangles), 1, 3, seed=seed, dtype=dtype)
    textures = colors.expand(-1, 3 if texture == "vertex" else 4, -1)[None]
    inside = contained(triangles)
    assert inside.any(-1).all()
    chosen = depth.where(inside, math.inf).argmin(-1)
    expected = colors[chosen, 0].T.view(1, 3, 16, 16)
    image = soft_rasterize(vertices, textures, 16, color="hard", distance=distance, texture=texture)
    torch.testing.assert_close(image[:, :3], expected, rtol=0, atol=1e-6)
    covered = soft_silhouette(vertices, 16, distance="hard")
    assert torch.equal(covered, torch.ones_like(covered))
    share = soft_silhouette(vertices, 16, distance="hard", alpha="sum")
    count = inside.sum(-1).view(1, 16, 16).to(dtype)
    torch.testing.assert_close(share * len(triangles), count)


# ---- the family of soft rasterizers --------------------------------------------------------------


@some
@given(
    mode=st.sampled_from(FAMILY),
    seed=st.integers(0, 1000),
    dist_eps=st.sampled_from([1e-10, 1e-4, 0.1]),
    sigma=st.floats(-5, 0),
    dtype=st.sampled_from(DTYPES),
)
def test_no_coverage_above_dist_eps_is_cut(
    mode: dict[str, Any], seed: int, dist_eps: float, sigma: float, dtype: torch.dtype
) -> None:
    """One face in a picture that it does not fill shows its coverage, whatever its distribution."""
    chosen = {name: mode[name] for name in mode if name not in ("alpha", "alpha_parameter")}
    numbers = parse_family(
        chosen.get("distribution", "logistic"),
        "maximum",
        chosen.get("dist_shape"),
        chosen.get("dist_shift"),
    )
    family = Family(
        chosen.get("distribution", "logistic"), chosen.get("squared", True), "maximum", *numbers
    )
    face = torch.tensor(make_face(make_plain, Random(seed), (30, 30))) * 0.3
    face[:, 2] = 1
    assume(drawable_faces(face[None]).item())
    size, width = (30, 40), 10**sigma
    alpha = soft_silhouette(
        face[None, None].to(dtype), size, alpha="maximum", sigma=width, dist_eps=dist_eps, **chosen
    )
    pixels = pixel_centers(*size, dtype=torch.float64)
    weights = barycentric(pixels, face[None].double())
    x = modes.exponent("euclidean", pixels, face[None].double(), weights, width, family.squared)
    covered = family.coverage(x)[0][:, 0]
    seen = alpha.view(-1).double()
    above = (covered > dist_eps * 1.001) | (weights > 0).all(-1)[:, 0]
    below = (covered < dist_eps * 0.999) & (weights < 0).any(-1)[:, 0]
    # The distance of a pixel is rounded, and divided by what is at least sqrt(1e-5).
    tolerance = 1e-3 if dtype == torch.float32 else 1e-9
    assert ((seen - covered).abs()[above] < tolerance).all()
    assert not seen[below].any()


@few
@given(mode=st.sampled_from(FAMILY), seed=st.integers(0, 1000), scale=st.sampled_from([1e-6, 1.0]))
def test_thousands_of_faces_at_a_pixel_are_finite(
    mode: dict[str, Any], seed: int, scale: float
) -> None:
    corners = torch.rand(1, 3000, 3, 3, generator=torch.Generator().manual_seed(seed)) * scale
    corners[..., 2] += 1
    image, grads = gradients(
        lambda v, t: soft_rasterize(v, t, 4, sigma=0.1, gamma=0.1, **mode), corners, corners
    )
    assert torch.isfinite(image).all()
    assert all(torch.isfinite(grad).all() for grad in grads)
    assert image[:, 3].min() >= 0
    assert image[:, 3].max() <= 1


# ---- on other processors -------------------------------------------------------------------------


@pytest.mark.skipif(platform.machine() != "x86_64", reason="one instruction set only")
@pytest.mark.parametrize("name", ["baseline", "avx2"])
def test_kernels_for_older_processors_pass_tests_of_ops(name: str) -> None:
    files = ("test_ops.py", "test_visibility.py")
    selection = "(oracle and packed) or gradient_is_exact or sphere or all_sizes or hole or huge"
    done = subprocess.run(
        [sys.executable, "-m", "pytest", *files, "-q", "-k", selection],
        cwd=Path(__file__).parent,
        env=os.environ | {"RENDERER_CUDA_INSTRUCTION_SET": name, "PYTEST_ADDOPTS": ""},
        capture_output=True,
        text=True,
        check=False,
    )
    assert done.returncode == 0, done.stdout[-4000:]
    assert int(re.findall(r"(\d+) passed", done.stdout)[0]) > 100
