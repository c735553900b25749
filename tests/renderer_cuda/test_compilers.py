"""What CUDA kernels are built for, chosen by toolkits of many versions that are not there."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path

import pytest
import torch

from renderer_cuda import build, compilers
from renderer_cuda.compilers import BuildError, CudaTarget, ToolMissingError, choose_target

# What the toolkits know, as their `nvcc --list-gpu-arch` prints it.
CUDA_12_4 = (50, 52, 53, 60, 61, 62, 70, 72, 75, 80, 86, 87, 89, 90)
CUDA_13_0 = (75, 80, 86, 87, 88, 89, 90, 100, 110, 103, 120, 121)

# A compiler that answers as nvcc, notes how it was called, and writes what it is asked for.
NVCC = """#!/bin/sh
echo "$@" >> {log}
case "$1" in
  --version) echo "Cuda compilation tools, release {version}, V{version}.99"; exit 0;;
  --list-gpu-arch) {listing}; exit 0;;
esac
while [ $# -gt 0 ]; do
  if [ "$1" = -o ]; then echo made > "$2"; fi
  shift
done
"""

MakeToolkit = Callable[..., Path]


@pytest.fixture
def toolkit(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> MakeToolkit:
    """Makes an nvcc of a version and the torch that fits to it; returns the log of its calls."""
    monkeypatch.delenv("TORCH_CUDA_ARCH_LIST", raising=False)
    monkeypatch.setenv("CXX", "true")

    def make(version: str, known: tuple[int, ...], torch_cuda: str | None = None) -> Path:
        home = tmp_path / f"cuda-{version}"
        (home / "bin").mkdir(parents=True)
        listing = "; ".join(f"echo compute_{number}" for number in known) or "true"
        log = home / "log"
        script = NVCC.format(log=log, version=version, listing=listing)
        (home / "bin" / "nvcc").write_text(script)
        (home / "bin" / "nvcc").chmod(0o755)
        monkeypatch.setenv("CUDA_HOME", str(home))
        monkeypatch.setattr(torch.version, "cuda", torch_cuda or version)
        return log

    return make


def see(monkeypatch: pytest.MonkeyPatch, *capabilities: tuple[int, int]) -> None:
    """Make torch see devices of these capabilities."""
    monkeypatch.setattr(torch.cuda, "is_available", lambda: bool(capabilities))
    monkeypatch.setattr(torch.cuda, "device_count", lambda: len(capabilities))
    monkeypatch.setattr(torch.cuda, "get_device_capability", lambda i: capabilities[i])


@pytest.mark.parametrize(
    ("version", "known", "devices", "target"),
    [
        # Without devices the usual ones, as far as the toolkit knows them.
        ("12.4", CUDA_12_4, (), CudaTarget(12, (75, 80, 86, 89, 90), 90)),
        ("13.0", CUDA_13_0, (), CudaTarget(13, (75, 80, 86, 89, 90, 100, 120), 120)),
        ("11.8", (35, 37), (), CudaTarget(11, (37,), 37)),
        # What devices are, or the newest of their generation.
        ("13.0", CUDA_13_0, (90,), CudaTarget(13, (90,), 90)),
        ("13.0", CUDA_13_0, (103, 80), CudaTarget(13, (80, 103), 103)),
        ("12.4", CUDA_12_4, (99,), CudaTarget(12, (90,), 90)),
        # A generation that the toolkit does not know gets PTX for its driver to translate.
        ("12.4", CUDA_12_4, (120,), CudaTarget(12, (90,), 90)),
    ],
)
def test_the_target_is_what_nvcc_knows_of_what_is_wanted(
    version: str,
    known: tuple[int, ...],
    devices: tuple[int, ...],
    target: CudaTarget,
    toolkit: MakeToolkit,
) -> None:
    toolkit(version, known)
    assert choose_target(devices) == target


def test_a_device_that_is_too_old_for_the_toolkit_is_named(toolkit: MakeToolkit) -> None:
    toolkit("13.0", CUDA_13_0)
    with pytest.raises(BuildError, match=r"nvcc 13\.0 compiles for compute capability 7\.5"):
        choose_target((70, 90))


def test_a_toolkit_of_another_cuda_is_refused(toolkit: MakeToolkit) -> None:
    toolkit("12.4", CUDA_12_4, torch_cuda="13.0")
    message = r"nvcc is of CUDA 12.4, but this torch is built with CUDA 13.0: set CUDA_HOME"
    with pytest.raises(ToolMissingError, match=message):
        choose_target(())
    toolkit("12.6", CUDA_12_4, torch_cuda="12.9")  # minor versions go together
    assert choose_target((80,)).major == 12


@pytest.mark.parametrize("known", [(), ("x",)], ids=["none", "odd"])
def test_an_nvcc_without_a_list_is_refused(known: tuple[int, ...], toolkit: MakeToolkit) -> None:
    toolkit("12.4", known)
    with pytest.raises(BuildError, match="--list-gpu-arch lists no architecture"):
        choose_target(())


def test_the_list_of_the_user_is_read(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("TORCH_CUDA_ARCH_LIST", "9.0a;8.0 12.0+PTX")
    assert compilers.listed_capabilities() == (80, 90, 120)
    monkeypatch.setenv("TORCH_CUDA_ARCH_LIST", "")
    assert compilers.listed_capabilities() == ()
    monkeypatch.setenv("TORCH_CUDA_ARCH_LIST", "8.0 Hopper")
    with pytest.raises(BuildError, match=r"such as 8\.0 or 9\.0\+PTX, got 'Hopper'"):
        compilers.listed_capabilities()


@pytest.mark.parametrize(
    ("capability", "natively", "at_all"),
    [(75, False, False), (80, True, True), (89, True, True), (90, True, True), (120, False, True)],
)
def test_what_a_library_runs_on(capability: int, natively: bool, at_all: bool) -> None:
    target = CudaTarget(13, (80, 90), 90)
    assert target.runs_natively(capability) == natively
    assert target.runs(capability) == at_all


def test_the_name_of_a_library_tells_its_target() -> None:
    target = CudaTarget(13, (80, 90), 90)
    assert target.name == "cu13_sm80_sm90_ptx90"
    stem = Path(build._built_name("cuda", target)).stem
    assert compilers.parse_target(stem) == target
    assert compilers.parse_target(Path(build._built_name("cpu", None)).stem) is None
    assert compilers.parse_target("renderer_cuda_cuda_0123456789abcdef_01234567") is None


def test_flags_are_machine_code_for_each_and_ptx_for_one() -> None:
    assert CudaTarget(13, (80, 90), 90).flags == (
        "-gencode=arch=compute_80,code=sm_80",
        "-gencode=arch=compute_90,code=sm_90",
        "-gencode=arch=compute_90,code=compute_90",
    )


# ---- building by these toolkits ------------------------------------------------------------------


@pytest.fixture
def folder(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    monkeypatch.setenv("RENDERER_CUDA_BUILD_DIR", str(tmp_path / "built"))
    monkeypatch.setattr(build, "NATIVE", tmp_path / "native")
    return tmp_path / "built"


def compiled_codes(log: Path) -> set[str]:
    words = [word for line in log.read_text().splitlines() for word in line.split()]
    return {word.rpartition("=")[2] for word in words if word.startswith("-gencode")}


def test_a_build_at_first_use_is_for_the_visible_devices(
    toolkit: MakeToolkit, folder: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    log = toolkit("12.4", CUDA_12_4)
    see(monkeypatch, (8, 0), (8, 0))
    library = build.build("cuda")
    assert library.parent == folder
    assert library.name.endswith("_cu12_sm80_ptx80.so")
    assert compiled_codes(log) == {"sm_80", "compute_80"}
    calls = log.read_text()
    assert build.build("cuda") == library
    assert log.read_text() == calls  # what is there needs no tools


def test_nodes_with_other_devices_or_toolkits_keep_each_others_library(
    toolkit: MakeToolkit, folder: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(build, "NATIVE", folder)  # a checkout they share
    toolkit("12.4", CUDA_12_4)
    see(monkeypatch, (8, 0))
    ampere = build.build("cuda")
    see(monkeypatch, (9, 0))
    hopper = build.build("cuda")  # not the PTX for the other
    toolkit("13.0", CUDA_13_0)
    newer = build.build("cuda")
    assert len({ampere, hopper, newer}) == 3
    assert sorted(folder.glob("*.so")) == sorted([ampere, hopper, newer])
    assert build.find_library("cuda") == newer
    see(monkeypatch, (8, 6))
    assert build.find_library("cuda") is None  # of CUDA 13 there is none for it
    monkeypatch.setattr(torch.version, "cuda", "12.6")
    assert build.find_library("cuda") == ampere


def test_without_tools_the_driver_may_translate(
    toolkit: MakeToolkit, folder: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    toolkit("13.0", CUDA_13_0)
    see(monkeypatch, (8, 0))
    ampere = build.build("cuda")
    monkeypatch.setenv("CUDA_HOME", str(folder / "nothing"))
    see(monkeypatch, (9, 0))
    assert build.build("cuda") == ampere
    see(monkeypatch, (7, 5))
    with pytest.raises(ToolMissingError, match="nvcc not found"):
        build.build("cuda")


def test_for_a_wheel_it_is_built_for_all_usual_devices(
    toolkit: MakeToolkit, folder: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    log = toolkit("12.6", CUDA_12_4)
    see(monkeypatch, (9, 0))
    build.build("cuda")
    wheel = build.prebuild("cuda", tmp_path / "wheel")
    assert wheel.name == build.prebuilt_name("cuda")
    assert compiled_codes(log) == {f"sm_{c}" for c in (75, 80, 86, 89, 90)} | {"compute_90"}


def test_the_list_of_the_user_goes_before_the_devices(
    toolkit: MakeToolkit, folder: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    log = toolkit("13.0", CUDA_13_0)
    see(monkeypatch, (9, 0))
    monkeypatch.setenv("TORCH_CUDA_ARCH_LIST", "8.6 12.0")
    assert build.build("cuda").name.endswith("_cu13_sm86_sm120_ptx120.so")
    assert compiled_codes(log) == {"sm_86", "sm_120", "compute_120"}
