"""The CUDA kernels of layered colours, on the CPU in the launch emulator."""

from __future__ import annotations

import shutil
from pathlib import Path

import pytest
from emulator import compilation
from emulator.running import run, run_tests, sanitizer_environment

pytestmark = pytest.mark.skipif(shutil.which("g++") is None, reason="no g++ for the emulator")

# Left out: what does not reach the kernels, what asks for seconds of launches, and the threads of
# the CPU.
NO_KERNELS = "not bad and not trusts and not opcheck and not compiles and not refused"
SLOW = "not large and not finite and not threads and not gradient_is_exact"
WATCHED = f"({NO_KERNELS}) and ({SLOW}) and not (oracle and float64)"
SANITIZED = f"({WATCHED}) and not (barycentric or hard or surface)"


@pytest.fixture(scope="session")
def folder(request: pytest.FixtureRequest, tmp_path_factory: pytest.TempPathFactory) -> Path:
    """Where libraries are kept from one session to the next."""
    cache = getattr(request.config, "cache", None)
    return Path(cache.mkdir("emulator")) if cache else tmp_path_factory.mktemp("emulator")


def test_layers_on_watched_kernels(folder: Path) -> None:
    library = compilation.build("layers", "accesses", folder)
    passed, launches = run_tests(library, "test_layers.py", WATCHED)
    assert passed >= 100
    assert (
        launches >= 8 * passed
    )  # set-up, count and its sums, set-up, render; twice with a gradient


def test_layers_under_the_sanitizers(folder: Path) -> None:
    library = compilation.build("layers", "sanitizers", folder)
    passed, _ = run_tests(library, "test_layers.py", SANITIZED, **sanitizer_environment())
    assert passed >= 20


RENDERS = """
import ctypes, sys, torch
from pathlib import Path
from renderer_cuda import build, soft_rasterize, soft_rasterize_reference

build.build = lambda back_end: Path(sys.argv[1])
emulator = ctypes.CDLL(sys.argv[1])
generator = torch.Generator().manual_seed(0)

def scene(faces, size, numbers=3):
    centers = torch.rand(faces, 1, 3, generator=generator) * 2 - 1
    corners = torch.rand(faces, 3, 3, generator=generator) - 0.5
    vertices = centers + size * corners
    vertices[..., 2] = 3 + corners[..., 2]
    opacity = torch.rand(faces, generator=generator)
    sigma = torch.rand(faces, generator=generator) * 1e-2 + 1e-3
    return vertices, torch.rand(faces, numbers, 3, generator=generator), opacity, sigma

# Sorted into bins; into bins that grow; and texels.
scenes = [
    (scene(1100, 0.3), [0, 300, 1100], (20, 37), {}),
    (scene(600, 6.0), [0, 0, 600], (9, 34), {}),
    (scene(40, 1.0, 16), [0, 19, 40], (20, 37), {"texture": "surface"}),
]

def renders(function, dtype=torch.float32):
    for tensors, first_face, image_size, modes in scenes:
        leaves = [tensor.to(dtype, copy=True).requires_grad_() for tensor in tensors]
        numbers = {"face_opacity": leaves[2], "face_sigma": leaves[3]}
        modes = modes | {"color": "over", "first_face": torch.tensor(first_face)}
        image = function(*leaves[:2], image_size, **numbers, **modes)
        image.square().sum().backward()
        yield from (image.detach(), *(leaf.grad for leaf in leaves))
"""

BITS = """
expected = list(renders(soft_rasterize))
for seed in range(1, 3):
    emulator.emulator_seed(seed)
    print(all(torch.equal(a, b) for a, b in zip(renders(soft_rasterize), expected, strict=True)))
"""

ORACLE = """
expected = renders(soft_rasterize_reference, torch.float64)
for a, b in zip(renders(soft_rasterize, torch.float64), expected, strict=True):
    print((a - b).abs().max() < 1e-9 * b.abs().max())
"""


def test_bits_do_not_depend_on_the_order_of_threads(folder: Path) -> None:
    done = run(["-c", RENDERS + BITS, str(compilation.build("layers", "accesses", folder))])
    assert done.stdout.split() == ["True"] * 2, done.stderr


def test_bins_of_all_sizes_equal_the_oracle(folder: Path) -> None:
    done = run(["-c", RENDERS + ORACLE, str(compilation.build("layers", "accesses", folder))])
    assert done.stdout.split() == ["tensor(True)"] * 15, done.stdout + done.stderr
