"""Stages that compare: values, bits, synchronisation, capture, and the baseline."""

from __future__ import annotations

import itertools
import tempfile
from collections.abc import Callable
from pathlib import Path
from typing import Any

import torch
from gpu_contact import scenes, timing
from gpu_contact.brute_force import BruteForce, compile_library
from torch import Tensor

from renderer_cuda import (
    gather_faces,
    soft_rasterize,
    soft_rasterize_reference,
    soft_silhouette,
    visible_faces,
    voxelize,
)
from renderer_cuda.validation import MODES

Rows = dict[str, dict[str, Any]]

# A float32 render may decide a pixel on an outline otherwise than float64 does.
TOLERANCE = {torch.float32: 2e-3, torch.float64: 1e-9}
ODD_PIXELS = 0.005

# Beyond the paper's modes: what has kernels or code of its own.
BEYOND_THE_PAPER: dict[str, dict[str, Any]] = {
    "over": {"color": "over"},
    "over, surface": {"color": "over", "texture": "surface"},
    "over, exp_clipped": {"color": "over", "window": "exp_clipped"},
    "numbers of faces": {"face_numbers": True},
    "numbers of faces, hard": {"color": "hard", "face_numbers": True},
    "numbers of faces, over": {"color": "over", "face_numbers": True},
    "detach_barycentric": {"detach_barycentric": True},
    "perspective_correct": {"perspective_correct": True},
    "gaussian, yager": {"distribution": "gaussian", "alpha": "yager"},
}


def _with_gradient(
    render: Callable[[Tensor, Tensor], Tensor], corners: Tensor, colors: Tensor
) -> tuple[Tensor, Tensor]:
    leaf = corners.clone().requires_grad_()
    image = render(leaf, colors)
    if image.requires_grad:
        image.square().sum().backward()
    grad = torch.zeros_like(leaf) if leaf.grad is None else leaf.grad
    return image.detach(), grad


def _odd(got: Tensor, expected: Tensor, tolerance: float) -> float:
    """Return the share of the numbers that differ, relative to the largest."""
    scale = max(1.0, expected.abs().max().item())
    return ((got.double().cpu() - expected).abs() > tolerance * scale).double().mean().item()


def smoke(device: torch.device, small: bool) -> Rows:
    """Compare the paper's modes and some others with the oracle in float64 on the CPU."""
    names = ("distance", "alpha", "color", "texture")
    choices = {**MODES, "alpha": ("product", "sum", "hard")}  # other t-conorms would take too long
    cases: dict[str, dict[str, Any]] = {
        "/".join(modes): dict(zip(names, modes, strict=True))
        for modes in itertools.product(*(choices[name] for name in names))
    }
    return {
        f"{name} {str(dtype).removeprefix('torch.')}": _compare_mode(options, dtype, device)
        for name, options in {**cases, **BEYOND_THE_PAPER}.items()
        for dtype in ((torch.float32,) if small else (torch.float32, torch.float64))
    }


def _compare_mode(
    options: dict[str, Any], dtype: torch.dtype, device: torch.device
) -> dict[str, Any]:
    corners = scenes.soup(2, 12, torch.float64)
    points = 16 if options.get("texture") == "surface" else 3
    generator = torch.Generator().manual_seed(3)
    colors = torch.rand(2, 12, points, 3, generator=generator, dtype=torch.float64)
    size, settings = (20, 24), {"sigma": 1e-2, "gamma": 1e-1, **options}
    numbers: dict[str, Tensor] = {}
    if settings.pop("face_numbers", False):
        between = torch.rand(2, 2, 12, generator=generator, dtype=torch.float64).to(dtype)
        numbers = {"face_opacity": 0.2 + 0.7 * between[0], "face_sigma": 1e-2 * (0.5 + between[1])}

    def render(
        leaf: Tensor, texture: Tensor, rasterize: Callable[..., Tensor] = soft_rasterize
    ) -> Tensor:
        of_leaf = {name: value[-len(leaf) :].to(leaf) for name, value in numbers.items()}
        return rasterize(leaf, texture, size, **settings, **of_leaf)

    # The oracle gets the numbers as they are rounded for the kernels.
    rounded = corners.to(dtype), colors.to(dtype)
    exact = _with_gradient(
        lambda leaf, texture: render(leaf, texture, soft_rasterize_reference),
        *(tensor.double() for tensor in rounded),
    )
    there = [tensor.to(device) for tensor in rounded]
    first = _with_gradient(render, *there)
    again = _with_gradient(render, *there)
    alone = _with_gradient(render, *(tensor[1:] for tensor in there))
    odd = max(_odd(a, b, TOLERANCE[dtype]) for a, b in zip(first, exact, strict=True))
    same = all(map(torch.equal, first, again))
    same_alone = all(torch.equal(a[1:], b) for a, b in zip(first, alone, strict=True))
    return {
        "measured": odd,
        "unit": "share of numbers that differ",
        "passed": odd <= ODD_PIXELS and same and same_alone,
        "same_twice": same,
        "same_alone": same_alone,
    }


def shapes(device: torch.device, small: bool) -> Rows:
    """Compare silhouettes of shapes that the emulator never ran with the CPU in float64."""
    if small:
        cases = {"2 x 1,280 faces": (scenes.faces_of(1_280).expand(2, -1, -1, -1), 32)}
    else:
        cases = {
            "256 x 1,280 faces": (scenes.faces_of(1_280).expand(256, -1, -1, -1), 64),
            "40,960 faces, 1024 x 1024": (scenes.faces_of(40_960)[None], 1024),
            "40,960 faces, 32 x 32": (scenes.faces_of(40_960).expand(2, -1, -1, -1), 32),
            "B = 8,192 of 2 faces": (scenes.soup(8_192, 2), 16),
            "two triangles, 1024 x 1024": (scenes.two_triangles()[None], 1024),
        }
    rows: Rows = {}
    for name, (corners, size) in cases.items():
        there = corners.to(device).contiguous()

        def render(leaf: Tensor, _: Tensor, size: int = size) -> Tensor:
            return soft_silhouette(leaf, size, sigma=1e-4)

        first, again = (_with_gradient(render, there, there) for _ in range(2))
        exact = _with_gradient(render, corners.double(), corners)
        odd = max(_odd(a, b, TOLERANCE[torch.float32]) for a, b in zip(first, exact, strict=True))
        same = all(map(torch.equal, first, again))
        passed = odd <= ODD_PIXELS and same
        rows[name] = {"measured": odd, "unit": "share that differs", "passed": passed}
    rows["packed, with texels"] = _packed(device, 90 if small else 9_000)
    return rows


def _packed(device: torch.device, faces: int) -> dict[str, Any]:
    corners = scenes.soup(1, faces)[0]
    corners[..., :2] *= 0.3
    texels = torch.rand(faces, 25, 3, generator=torch.Generator().manual_seed(4))
    offsets = torch.tensor([0, faces // 3, faces // 3, faces])

    def render(leaf: Tensor, texture: Tensor) -> Tensor:
        where = offsets.to(leaf.device)
        return soft_rasterize(
            leaf, texture, 64, first_face=where, sigma=1e-4, gamma=1e-2, texture="surface"
        )

    first = _with_gradient(render, corners.to(device), texels.to(device))
    exact = _with_gradient(render, corners.double(), texels.double())
    odd = max(_odd(a, b, TOLERANCE[torch.float32]) for a, b in zip(first, exact, strict=True))
    return {"measured": odd, "unit": "share that differs", "passed": odd <= ODD_PIXELS}


def public_calls(device: torch.device) -> dict[str, timing.Call]:
    """Return a call of every public op, with its backward where it has one."""
    corners = scenes.faces_of(1_280)[None].to(device).requires_grad_()
    colors = torch.rand_like(corners).requires_grad_()
    vertices = torch.rand(2, 642, 3, device=device, requires_grad=True)
    faces = torch.randint(0, 642, (1_280, 3), device=device)
    boxes = (corners.detach() - corners.detach().amin()) / 5
    offsets = torch.tensor([0, 300, 1_280], device=device)
    inputs = (corners, colors, vertices)

    def backward(image: Tensor) -> None:
        torch.autograd.grad(image.sum(), inputs, allow_unused=True)

    return {
        "soft_silhouette": lambda: backward(soft_silhouette(corners, 64, sigma=1e-4)),
        "soft_rasterize": lambda: backward(soft_rasterize(corners, colors, 64, sigma=1e-4)),
        "packed silhouettes": lambda: backward(
            soft_silhouette(corners[0], 64, sigma=1e-4, first_face=offsets)
        ),
        "visible_faces": lambda: visible_faces(corners.detach(), 64),
        "gather_faces": lambda: backward(gather_faces(vertices, faces)),
        "voxelize": lambda: voxelize(boxes, 32),
    }


def synchronisation(device: torch.device, small: bool) -> Rows:
    """Find out which public ops wait for the device, and which cannot be captured in a graph."""
    rows: Rows = {}
    for name, call in public_calls(device).items():
        call()  # loads the kernels
        if device.type != "cuda":
            rows[name] = {"passed": None, "note": "called; there is no device to wait for"}
            continue
        for kind, check in (("waits", _without_waiting), ("capture", timing.capture)):
            try:
                check(call)
                rows[f"{name}: {kind}"] = {"passed": True}
            except RuntimeError as error:
                note = str(error).splitlines()[0]
                rows[f"{name}: {kind}"] = {"passed": False, "note": note}
    return rows


def _without_waiting(call: timing.Call) -> None:
    torch.cuda.set_sync_debug_mode("error")
    try:
        call()
    finally:
        torch.cuda.set_sync_debug_mode("default")


def baseline(device: torch.device, small: bool) -> Rows:
    """Measure silhouettes against brute force, after both are found to be equal."""
    if device.type != "cuda":
        return {"brute force": {"passed": None, "note": "needs CUDA"}}
    rows: Rows = {}
    with tempfile.TemporaryDirectory() as folder:
        capability = torch.cuda.get_device_capability(device)
        force = BruteForce(compile_library(Path(folder), capability))
        for images, size, dist_eps in itertools.product((1, 64), (64, 256), (1e-4, 1e-2)):
            corners = scenes.faces_of(1_280).expand(images, -1, -1, -1).contiguous().to(device)
            name = f"silhouette {size}, B={images}, dist_eps {dist_eps:g}"
            rows[name] = _against(force, corners, size, dist_eps)
    return rows


def _against(force: BruteForce, corners: Tensor, size: int, dist_eps: float) -> dict[str, Any]:
    sigma, device = 1e-4, corners.device
    grad_alpha = torch.ones(len(corners), size, size, device=device)
    leaf = corners.clone().requires_grad_()

    def brute() -> tuple[Tensor, Tensor]:
        alpha = force.silhouettes(corners, size, sigma, dist_eps)
        return alpha, force.gradient(corners, sigma, dist_eps, alpha, grad_alpha)

    def ours() -> tuple[Tensor, Tensor]:
        alpha = soft_silhouette(leaf, size, sigma=sigma, dist_eps=dist_eps)
        return alpha.detach(), torch.autograd.grad(alpha, leaf, grad_alpha)[0]

    pairs = zip(ours(), brute(), strict=True)
    odd = max(_odd(a, b.double().cpu(), 1e-2) for a, b in pairs)
    slow = timing.device_milliseconds(brute, device, 5)
    fast = timing.device_milliseconds(ours, device, 20)
    note = f"{slow / fast:.1f} times as fast as brute force ({slow:.3f} ms)"
    return {"measured": fast, "unit": "ms", "passed": odd <= ODD_PIXELS, "note": note}
