"""Finding, building and loading the native library, with and without a compiler."""

from __future__ import annotations

import os
import platform
import shutil
import subprocess
import sys
from pathlib import Path

import pytest
import torch

from renderer_cuda import build

RENDER = """
import hashlib, torch
from renderer_cuda import soft_rasterize, voxelize
generator = torch.Generator().manual_seed(0)
vertices = torch.rand(3, 40, 3, 3, generator=generator) * 2 - 1
vertices[..., 2] += 3
leaf = vertices.clone().requires_grad_()
colors = torch.rand(3, 40, 3, 3, generator=generator)
image = soft_rasterize(leaf, colors, 24, sigma=1e-3, gamma=1e-2)
image.square().sum().backward()
filled = voxelize(vertices * 0.1 + 0.5, 8)
print(*(f"{total.sum().item():.3f}" for total in (image, leaf.grad.abs(), filled)))
"""


def run(code: list[str], **environment: str) -> subprocess.CompletedProcess[str]:
    return subprocess.run(
        [sys.executable, *code],
        capture_output=True,
        text=True,
        env=os.environ | {"OMP_NUM_THREADS": "1"} | environment,
        cwd=Path(build.__file__).parents[1],
        timeout=500,
    )


def numbers(done: subprocess.CompletedProcess[str]) -> list[float]:
    return [float(word) for word in done.stdout.split()]


def has_compiler() -> bool:
    return any(shutil.which(name) for name in (os.environ.get("CXX") or "g++", "clang++", "c++"))


@pytest.fixture
def native() -> None:
    reason = build.load("cpu")
    if reason:
        pytest.skip(f"no CPU kernels: {reason}")


def test_unknown_back_end_is_refused() -> None:
    with pytest.raises(ValueError, match="back_end must be one of cpu, cuda, got 'tpu'"):
        build.build("tpu")


@pytest.mark.usefixtures("native")
def test_finds_what_is_built() -> None:
    library = build.build("cpu")
    before = library.stat().st_mtime_ns
    assert build.build("cpu") == library
    assert library.stat().st_mtime_ns == before


@pytest.mark.usefixtures("native")
def test_tells_the_back_ends() -> None:
    done = run(["-m", "renderer_cuda"])
    assert done.returncode == 0
    assert "cpu   available" in done.stdout
    if not torch.cuda.is_available():
        assert "cuda  not available: torch sees no CUDA device" in done.stdout


def test_unknown_command_shows_the_usage() -> None:
    done = run(["-m", "renderer_cuda", "destroy"])
    assert done.returncode == 2
    assert "build" in done.stderr


@pytest.mark.usefixtures("native")
def test_without_a_compiler_the_oracle_serves_with_one_warning(tmp_path: Path) -> None:
    expected = run(["-c", RENDER])
    twice = RENDER + "\nsoft_rasterize(vertices, vertices, 4)\n"
    done = run(["-c", twice], CXX="no-such-compiler", RENDERER_CUDA_BUILD_DIR=str(tmp_path))
    assert done.returncode == 0, done.stderr
    assert numbers(done) == pytest.approx(numbers(expected), rel=1e-5)
    assert done.stderr.count("RuntimeWarning") == 1
    assert "no C++ compiler found (looked for CXX=no-such-compiler)" in done.stderr


def test_a_compiler_that_fails_is_quoted(tmp_path: Path) -> None:
    broken = tmp_path / "broken-compiler"
    broken.write_text("#!/bin/sh\n[ $1 = --version ] && exit 0\necho disk on fire >&2\nexit 1\n")
    broken.chmod(0o755)
    folder = tmp_path / "built"
    environment = {"CXX": str(broken), "RENDERER_CUDA_BUILD_DIR": str(folder)}
    done = run(["-m", "renderer_cuda", "build", "cpu"], **environment)
    assert done.returncode == 1
    assert "disk on fire" in done.stderr
    assert not list(folder.glob("*.so"))


@pytest.mark.skipif(not has_compiler(), reason="no C++ compiler")
def test_builds_once_for_processes_started_together(tmp_path: Path) -> None:
    environment = os.environ | {"RENDERER_CUDA_BUILD_DIR": str(tmp_path)}
    command = [sys.executable, "-m", "renderer_cuda", "build", "cpu"]
    folder = Path(build.__file__).parents[1]
    both = [
        subprocess.Popen(command, env=environment, cwd=folder, stderr=subprocess.PIPE, text=True)
        for _ in range(2)
    ]
    messages = [process.communicate(timeout=500)[1] for process in both]
    assert [process.returncode for process in both] == [0, 0]
    assert sum("building the cpu kernels" in message for message in messages) == 1
    assert len(list(tmp_path.glob("*.so"))) == 1


@pytest.mark.usefixtures("native")
@pytest.mark.skipif(platform.machine() != "x86_64", reason="one instruction set only")
@pytest.mark.parametrize("name", ["baseline", "avx2", "avx512"])
def test_instruction_sets_agree(name: str) -> None:
    expected = run(["-c", RENDER])
    done = run(["-c", RENDER], RENDERER_CUDA_INSTRUCTION_SET=name)
    assert done.returncode == 0, done.stderr
    # Fused multiply-adds round differently; the sums run over some two thousand numbers.
    assert numbers(done) == pytest.approx(numbers(expected), rel=1e-5)


@pytest.mark.skipif(
    shutil.which("nvcc") is None or torch.version.cuda is None,
    reason="no nvcc, or torch has no CUDA",
)
def test_cuda_kernels_compile_link_and_load() -> None:
    library = build.build("cuda")
    code = f"import torch, renderer_cuda; torch.ops.load_library({str(library)!r})"
    check = "; print(torch._C._dispatch_has_kernel_for_dispatch_key('renderer_cuda::{}', 'CUDA'))"
    for op in (
        "soft_silhouette",
        "soft_silhouette_backward",
        "soft_rasterize",
        "soft_rasterize_backward",
    ):
        code += check.format(op)
    done = run(["-c", code])
    assert done.stdout.split() == ["True"] * 4, done.stderr
