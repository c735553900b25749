"""The CUDA kernels of the voxeliser and of gather_faces, on the CPU in the launch emulator."""

from __future__ import annotations

import ctypes
import re
import shutil
import subprocess
from pathlib import Path

import pytest
import torch
from emulator import compilation
from emulator.running import run, run_tests, sanitizer_environment

from renderer_cuda import build

needs_gxx = pytest.mark.skipif(shutil.which("g++") is None, reason="no g++ for the emulator")

# Left out: what does not reach the kernels, and what asks for seconds of launches.
VOXELIZE = (
    "not voxelize_reference and not opcheck and not compile and not bad_input and not threads"
    " and not equals_cpu and not on_cuda and not winds"
    " and not (random_walls and 33 and solid)"
    " and not (across_words and (128 or 130))"
)
VOXELIZE_SOME = "(random_walls and 17) or maze or packed or unusable or exact or nothing"
GATHER = "not opcheck and not range and not bad_input and not threads and not equals_cpu"


@pytest.fixture(scope="session")
def folder(request: pytest.FixtureRequest, tmp_path_factory: pytest.TempPathFactory) -> Path:
    """Where libraries are kept from one session to the next."""
    cache = getattr(request.config, "cache", None)
    return Path(cache.mkdir("emulator")) if cache else tmp_path_factory.mktemp("emulator")


# ---- the kernels of renderer_cuda ----------------------------------------------------------------


@needs_gxx
def test_voxelizer_on_emulated_kernels(folder: Path) -> None:
    library = compilation.build("voxelize", "accesses", folder)
    passed, launches = run_tests(library, "test_voxelization.py", VOXELIZE)
    assert passed >= 100
    # Surface, begin, three rounds of the flood at least and the end of it, write.
    assert launches >= 7 * passed


@needs_gxx
def test_voxelizer_under_the_sanitizers(folder: Path) -> None:
    library = compilation.build("voxelize", "sanitizers", folder)
    selection = f"({VOXELIZE}) and ({VOXELIZE_SOME})"
    passed, _ = run_tests(library, "test_voxelization.py", selection, **sanitizer_environment())
    assert passed >= 50


@needs_gxx
@pytest.mark.parametrize("checks", ["accesses", "sanitizers"])
def test_gather_on_emulated_kernels(folder: Path, checks: str) -> None:
    library = compilation.build("gather", checks, folder)
    environment = sanitizer_environment() if checks == "sanitizers" else {}
    passed, launches = run_tests(library, "test_gathering.py", GATHER, **environment)
    assert passed >= 10
    assert launches >= passed


ON_KERNELS = """
import ctypes, sys, torch
from pathlib import Path
from renderer_cuda import build, gather_faces, voxelize

build.build = lambda back_end: Path(sys.argv[1])
seed = ctypes.CDLL(sys.argv[1]).emulator_seed
"""

GATHER_OUT_OF_RANGE = """
vertices = torch.arange(24.0).reshape(2, 4, 3)
for index in (-1, 4, 1 << 62, -(1 << 63)):
    faces = torch.tensor([[0, 1, 2], [3, index, 1]])
    expected = vertices[:, faces.clamp(0, 3)]
    expected[:, 1, 1] = torch.nan
    print(torch.allclose(gather_faces(vertices, faces), expected, 0, 0, equal_nan=True))
"""

VOXELIZE_IN_ORDERS = """
vertices = torch.rand(40, 3, 3, generator=torch.Generator().manual_seed(0))
first_face = torch.tensor([0, 11, 11, 40])
for mode in ("softras", "solid"):
    results = []
    for order in range(5):
        seed(ctypes.c_uint64(order))
        results.append(voxelize(vertices, 35, first_face=first_face, mode=mode))
    print(all(torch.equal(result, results[0]) for result in results))
"""


@needs_gxx
def test_gather_reads_nothing_out_of_range(folder: Path) -> None:
    library = compilation.build("gather", "accesses", folder)
    done = run(["-c", ON_KERNELS + GATHER_OUT_OF_RANGE, str(library)])
    assert done.stdout.split() == ["True"] * 4, done.stderr


@needs_gxx
def test_bits_do_not_depend_on_the_order_of_threads(folder: Path) -> None:
    library = compilation.build("voxelize", "accesses", folder)
    done = run(["-c", ON_KERNELS + VOXELIZE_IN_ORDERS, str(library)])
    assert done.stdout.split() == ["True"] * 2, done.stderr


# ---- the compilers -------------------------------------------------------------------------------


@pytest.mark.skipif(
    shutil.which("nvcc") is None or torch.version.cuda is None,
    reason="no nvcc, or torch has no CUDA",
)
def test_nvcc_fuses_no_multiply_add() -> None:
    """Each product is rounded as on the CPU; a division is correctly rounded, and hides its own."""
    (command,) = (
        command
        for command in build.ptx_commands("75")
        if command[-1].endswith("voxelize_cuda_kernels.cu")
    )
    done = subprocess.run([*command, "-o", "-"], capture_output=True, text=True)
    assert done.returncode == 0, done.stderr
    rounded = set(re.findall(r"\b(?:fma|mad|mul|add|sub|div)\.[\w.]*f(?:32|64)", done.stdout))
    kinds = {"mul", "add", "sub", "div"}
    assert rounded == {f"{kind}.rn.{dtype}" for kind in kinds for dtype in ("f32", "f64")}


# ---- what the emulator learned for these kernels -------------------------------------------------


@needs_gxx
@pytest.mark.parametrize("seed", range(3))
def test_barriers_vote(folder: Path, seed: int) -> None:
    library = ctypes.CDLL(str(compilation.build("planted", "accesses", folder)))
    library.planted.restype = ctypes.c_char_p
    library.emulator_seed(ctypes.c_uint64(seed))
    numbers, output = torch.arange(128.0), torch.zeros(128)
    pointers = (ctypes.c_void_p(tensor.data_ptr()) for tensor in (numbers, output))
    assert library.planted(b"votes", *pointers) == b""
    expected = (numbers % 70 % 50).view(2, 64).amax(dim=1).repeat_interleave(64)
    assert torch.equal(output, expected)
