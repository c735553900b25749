"""The kernels stay within their bounds, and the report on them is right."""

from __future__ import annotations

import itertools
import re
import shutil
import subprocess
import sys
from dataclasses import replace
from pathlib import Path

import pytest
import torch

from renderer_cuda import build

sys.path.insert(0, str(Path(__file__).parents[3] / "scripts" / "benchmarks"))
import report_kernels as report
from report_kernels import Kernel

ARCHITECTURE = "80"
OTHER_ARCHITECTURES = sorted(set(report.LIMITS) - {ARCHITECTURE})

# Bounds for the kernels of the default modes and of layered colours: four blocks of 128 threads can
# be resident with that many registers. The instantiations for all other modes are left out. The
# kernels of layered colours choose the mode while they run, and call functions that need local
# memory for what they return; nothing is spilled there but by the gather, which would need so many
# registers without that only three blocks could be resident.
MOST_REGISTERS = 128
MOST_SPILLED = {"gather_kernel<float>": 64}  # bytes; 40 up to sm_89, 56 on sm_90, 64 above
# Kernels of modes beside the paper's, and of faces with numbers of their own.
OTHER_MODES = re.compile(r"<Color \d, true\b|^blend_\w*kernel")
LAYERS = re.compile(r"^(render|layers|gather)_kernel<float>")

needs_nvcc = pytest.mark.skipif(
    shutil.which("nvcc") is None or torch.version.cuda is None or shutil.which("c++filt") is None,
    reason="no nvcc, no c++filt, or torch has no CUDA",
)

# A kernel of floats with one product of doubles, an array that is indexed at run time, and more.
PLANTED = """
template <typename T>
__global__ void __launch_bounds__(64) planted(T* x, const int* at) {
  __shared__ T staged[100];
  T array[32];
  for (int i = 0; i < 32; ++i) array[at[i]] = x[i];
  staged[threadIdx.x] = array[at[threadIdx.x]];
  __syncthreads();
  x[threadIdx.x] = staged[63 - threadIdx.x] * 0.1;
}
template __global__ void planted(float*, const int*);
"""

# NVIDIA's own occupancy calculator; argument by argument what a multiprocessor and a kernel have.
CALCULATOR = """
#include <cstdio>
#include <cstdlib>
#include <cuda_occupancy.h>
int main() {
  int major, minor, warps, shared, kept, registers, used_shared, threads;
  while (scanf("%d %d %d %d %d %d %d %d", &major, &minor, &warps, &shared, &kept, &registers,
               &used_shared, &threads) == 8) {
    cudaOccDeviceProp chip = {};
    chip.computeMajor = major;
    chip.computeMinor = minor;
    chip.maxThreadsPerBlock = 1024;
    chip.maxThreadsPerMultiprocessor = 32 * warps;
    chip.regsPerBlock = chip.regsPerMultiprocessor = 65536;
    chip.warpSize = 32;
    chip.sharedMemPerBlock = 48 * 1024;
    chip.sharedMemPerMultiprocessor = shared;
    chip.sharedMemPerBlockOptin = shared - kept;
    chip.reservedSharedMemPerBlock = kept;
    chip.numSms = 1;
    cudaOccFuncAttributes kernel = {};
    kernel.maxThreadsPerBlock = 1024;
    kernel.numRegs = registers;
    kernel.sharedSizeBytes = used_shared;
    kernel.partitionedGCConfig = PARTITIONED_GC_OFF;
    cudaOccDeviceState state = {};
    state.carveoutConfig = 100;
    cudaOccResult result = {};
    if (cudaOccMaxActiveBlocksPerMultiprocessor(&result, &chip, &kernel, &state, threads, 0)) {
      return 1;
    }
    printf("%d\\n", result.activeBlocksPerMultiprocessor);
  }
}
"""


def kernel(**values: int) -> Kernel:
    usual = Kernel(
        "k",
        registers=32,
        shared=0,
        local=0,
        spilled=0,
        threads=256,
        doubles=0,
        loads=0,
        wide_loads=0,
    )
    return replace(usual, **values)


@pytest.fixture(scope="module")
def all_kernels() -> list[Kernel]:
    """The kernels of the library."""
    return report.compile_kernels([ARCHITECTURE])[ARCHITECTURE]


@pytest.fixture(scope="module")
def kernels(all_kernels: list[Kernel]) -> list[Kernel]:
    """The float kernels of the library."""
    return only_floats(all_kernels)


def only_floats(found: list[Kernel]) -> list[Kernel]:
    floats = [k for k in found if "double" not in k.name]
    assert len(floats) >= 3, found
    return floats


def check_registers(kernels: list[Kernel]) -> None:
    default = [k for k in kernels if not OTHER_MODES.search(k.name)]
    layers = {k.name for k in default if LAYERS.search(k.name)}
    assert len(default) >= 3, kernels
    assert len(layers) == 3, layers
    assert {k.name: k.spilled for k in default if k.spilled > MOST_SPILLED.get(k.name, 0)} == {}
    assert {k.name: k.local for k in default if k.local and k.name not in layers} == {}
    assert {k.name: k.registers for k in default if k.registers > MOST_REGISTERS} == {}


@needs_nvcc
def test_float_kernels_compute_nothing_in_double_precision(kernels: list[Kernel]) -> None:
    assert {k.name: k.doubles for k in kernels if k.doubles} == {}


# The planes of a triangle in the voxelizer of mode 1, "solid", are an array that is walked through,
# and a few numbers do not fit beside it: with the registers for those, half as many warps would.
WITH_ARRAYS = {"surface_kernel<Mode 1, float, double>", "surface_kernel<Mode 1, double, double>"}


@needs_nvcc
def test_of_the_voxelizer_only_the_solid_one_spills(all_kernels: list[Kernel]) -> None:
    surface = [k for k in all_kernels if "surface_kernel" in k.name]
    assert {k.name for k in surface if k.spilled or k.local} == WITH_ARRAYS
    assert max(k.spilled for k in surface) <= 32


@needs_nvcc
def test_default_kernels_stay_in_their_registers(kernels: list[Kernel]) -> None:
    check_registers(kernels)


@needs_nvcc
def test_gather_reads_faces_and_pixels_sixteen_bytes_at_a_time(kernels: list[Kernel]) -> None:
    gathers = {
        k.name: k for k in kernels if re.match(r"gather_kernel<Color \d, false, float>", k.name)
    }
    # Four pieces of a face and a job, and with a softmax the two pieces of the row of a pixel.
    least = {"none": 5, "softmax": 7, "hard": 5}
    found = dict(zip(least, (gathers[name].wide_loads for name in sorted(gathers)), strict=True))
    assert {mode: count for mode, count in found.items() if count < least[mode]} == {}


@needs_nvcc
@pytest.mark.slow
@pytest.mark.parametrize("architecture", OTHER_ARCHITECTURES)
def test_so_they_do_for_every_architecture(architecture: str) -> None:
    check_registers(only_floats(report.compile_kernels([architecture])[architecture]))


@needs_nvcc
def test_tells_what_a_planted_kernel_uses(tmp_path: Path) -> None:
    source = tmp_path / "planted.cu"
    source.write_text(PLANTED)
    command = [build.find_nvcc(), "-ptx", f"-arch=compute_{ARCHITECTURE}", str(source)]
    (found,) = report.read_kernels(*report.compile_source(command, ARCHITECTURE, tmp_path), 256)
    assert found.name == "planted<float>"
    assert found.doubles == 3  # to double, the product, and back
    assert found.threads == 64
    assert found.shared == 400
    assert found.local == 128
    assert 0 < found.registers < 256
    assert found.spilled == 0


def test_counts_loads_from_global_memory_and_those_of_16_bytes() -> None:
    body = """
    ld.param.u64 %rd1, [k_param_0];
    ld.global.v4.f32 {%f1, %f2, %f3, %f4}, [%rd1];
    @%p1 ld.global.nc.v2.u64 {%rd2, %rd3}, [%rd1+16];
    ld.global.v4.u16 {%rs1, %rs2, %rs3, %rs4}, [%rd1+32];
    ld.global.f32 %f5, [%rd1+40];
    ld.shared.v4.f32 {%f6, %f7, %f8, %f9}, [%r1];
    """
    assert report.count_loads(body) == (4, 2)


def test_counts_spills_also_of_functions_that_are_not_inlined() -> None:
    log = """ptxas info    : Compiling entry function '_Z1kv' for 'sm_80'
ptxas info    : Function properties for _Z1kv
    32 bytes stack frame, 4 bytes spill stores, 8 bytes spill loads
ptxas info    : Function properties for _Z1fv
    48 bytes stack frame, 16 bytes spill stores, 0 bytes spill loads
ptxas info    : Used 255 registers, used 1 barriers, 400 bytes smem, 360 bytes cmem[0]
ptxas info    : Compiling entry function '_Z1lv' for 'sm_80'
ptxas info    : Used 8 registers, 352 bytes cmem[0]
"""
    assert report.parse_usage(log) == {
        "_Z1kv": {"registers": 255, "shared": 400, "local": 48, "spilled": 28},
        "_Z1lv": {"registers": 8, "shared": 0, "local": 0, "spilled": 0},
    }


def test_names_are_short_but_tell_instantiations_apart() -> None:
    name = (
        "void renderer::(anonymous namespace)::forward_kernel<(renderer::Color)1, float>"
        "(renderer::Forward<float>, renderer::Face<float> const*)"
    )
    assert report.shorten(name) == "forward_kernel<Color 1, float>"


@pytest.mark.parametrize(
    ("architecture", "values", "share", "limit"),
    [
        ("80", {}, 1.0, "warps"),
        ("80", {"registers": 33}, 0.75, "registers"),  # 40 a thread: 51 warps, 48 of them in blocks
        ("90", {"registers": 255}, 0.125, "registers"),
        ("80", {"shared": 54 * 1024}, 0.25, "shared memory"),  # with 1 KiB kept: 2, not 3 blocks
        ("75", {"shared": 32 * 1024, "registers": 64}, 0.5, "shared memory"),
        ("120", {"threads": 32}, 0.5, "blocks"),
    ],
)
def test_occupancy_of_known_cases(
    architecture: str, values: dict[str, int], share: float, limit: str
) -> None:
    full = report.occupancy(kernel(**values), report.LIMITS[architecture])
    assert full == report.Occupancy(share, limit)


@needs_nvcc
def test_occupancy_equals_that_of_the_toolkit(tmp_path: Path) -> None:
    source = tmp_path / "calculator.cpp"
    source.write_text(CALCULATOR)
    program = tmp_path / "calculator"
    subprocess.run([build.find_nvcc(), str(source), "-o", str(program)], check=True)
    grid = itertools.product(
        report.LIMITS, (1, 24, 32, 33, 64, 104, 128, 255), (0, 1, 5000, 25632, 48 * 1024),
        (32, 33, 128, 256, 384),
    )  # fmt: skip
    asked, computed = [], []
    for architecture, registers, shared, threads in grid:
        limits = report.LIMITS[architecture]
        row = (int(architecture[:-1]), int(architecture[-1]), limits.warps, limits.shared)
        asked.append((*row, limits.shared_kept, registers, shared, threads))
        full = report.occupancy(kernel(registers=registers, shared=shared, threads=threads), limits)
        computed.append(round(full.share * limits.warps / -(-threads // 32)))
    told = subprocess.run(
        [str(program)],
        input="\n".join(" ".join(map(str, row)) for row in asked),
        capture_output=True,
        text=True,
        check=True,
    )
    assert computed == [int(blocks) for blocks in told.stdout.split()]


def test_prints_a_row_for_each_kernel_asked_for(
    capsys: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch
) -> None:
    found = [
        kernel(),
        replace(kernel(), name="draw<float>"),
        replace(kernel(), name="draw<double>"),
    ]
    monkeypatch.setattr(report, "compile_kernels", lambda names, _: dict.fromkeys(names, found))
    monkeypatch.setattr(
        sys, "argv", ["report_kernels.py", "--architectures", "80", "90", "--only", "<"]
    )
    assert report.main() == 0
    heading, *rows = capsys.readouterr().out.splitlines()
    assert heading.split()[:3] == ["kernel", "arch", "registers"]
    assert [row.split()[:3] for row in rows] == [
        [name, architecture, "32"]
        for architecture in ("sm_80", "sm_90")
        for name in ("draw<float>", "draw<double>")
    ]


def test_without_nvcc_says_so(
    capsys: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch, tmp_path: Path
) -> None:
    monkeypatch.setenv("CUDA_HOME", str(tmp_path))
    monkeypatch.setattr(sys, "argv", ["report_kernels.py"])
    assert report.main() == 1
    assert "nvcc not found" in capsys.readouterr().err
