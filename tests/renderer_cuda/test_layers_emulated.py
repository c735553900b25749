"""The CUDA kernels of layered colours, on the CPU in the launch emulator."""

from __future__ import annotations

import shutil
from pathlib import Path

import pytest
from emulator import compilation
from emulator.programs import BITS, ORACLE, SCENE
from emulator.running import run, run_tests, sanitizer_environment

pytestmark = pytest.mark.skipif(shutil.which("g++") is None, reason="no g++ for the emulator")

# Left out: what does not reach the kernels, what asks for seconds of launches, and the threads of
# the CPU.
NO_KERNELS = "not bad and not trusts and not opcheck and not compiles and not refused"
SLOW = "not large and not finite and not threads and not gradient_is_exact"
WATCHED = f"({NO_KERNELS}) and ({SLOW}) and not (oracle and float64)"
NUMBERS = f"({WATCHED}) and not (opacities_of_one or barycentric or surface or perspective)"
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


def test_faces_with_numbers_on_watched_kernels(folder: Path) -> None:
    library = compilation.build("layers", "accesses", folder)
    passed, launches = run_tests(library, "test_face_numbers.py", NUMBERS)
    assert passed >= 70
    assert launches >= 5 * passed  # set-up and render; with a gradient set-up, pixels and gather


def test_layers_under_the_sanitizers(folder: Path) -> None:
    library = compilation.build("layers", "sanitizers", folder)
    passed, _ = run_tests(library, "test_layers.py", SANITIZED, **sanitizer_environment())
    assert passed >= 20


RENDERS = (
    SCENE
    + """
def layers(*arguments):
    tensors = scene(*arguments)
    opacity = torch.rand(len(tensors[0]), generator=generator)
    sigma = torch.rand(len(tensors[0]), generator=generator) * 1e-2 + 1e-3
    return *tensors, opacity, sigma

# Sorted into bins; into bins that grow; and texels.
scenes = [
    (layers(1100, 0.3), [0, 300, 1100], (20, 37), {}),
    (layers(600, 6.0), [0, 0, 600], (9, 34), {}),
    (layers(40, 1.0, 16), [0, 19, 40], (20, 37), {"texture": "surface"}),
    (layers(1100, 0.3), [0, 300, 1100], (20, 37), {"color": "softmax", "gamma": 1e-2}),
]

def renders(function, dtype=torch.float32):
    for tensors, first_face, image_size, modes in scenes:
        leaves = [tensor.to(dtype, copy=True).requires_grad_() for tensor in tensors]
        numbers = {"face_opacity": leaves[2], "face_sigma": leaves[3]}
        modes = {"color": "over"} | modes | {"first_face": torch.tensor(first_face)}
        image = function(*leaves[:2], image_size, **numbers, **modes)
        image.square().sum().backward()
        yield from (image.detach(), *(leaf.grad for leaf in leaves))
"""
)


def test_bits_do_not_depend_on_the_order_of_threads(folder: Path) -> None:
    done = run(["-c", RENDERS + BITS, str(compilation.build("layers", "accesses", folder))])
    assert done.stdout.split() == ["True"] * 3, done.stderr


def test_bins_of_all_sizes_equal_the_oracle(folder: Path) -> None:
    done = run(["-c", RENDERS + ORACLE, str(compilation.build("layers", "accesses", folder))])
    assert done.stdout.split() == ["tensor(True)"] * 20, done.stdout + done.stderr
