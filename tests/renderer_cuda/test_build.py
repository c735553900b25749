"""Finding, building and loading the native library, with and without a compiler."""

from __future__ import annotations

import os
import platform
import re
import shutil
import subprocess
import sys
from pathlib import Path

import pytest
import torch

from renderer_cuda import build
from renderer_cuda.__main__ import main
from renderer_cuda.compilers import find_compiler

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


ROOT = Path(build.__file__).parents[1]

# What every torch since 2.10 loads by itself, and what every Linux with such a torch has. Not among
# them: libpython, libtorch_cuda, libtorch_python, libc10, libcudart.
SHARED_LIBRARIES = {
    "libtorch_cpu",
    "libstdc++",
    "libm",
    "libgcc_s",
    "libc",
    "libdl",
    "libpthread",
    "librt",
    "ld-linux-x86-64",
    "ld-linux-aarch64",
}


def run(
    code: list[str], folder: Path = ROOT, **environment: str
) -> subprocess.CompletedProcess[str]:
    return subprocess.run(
        [sys.executable, *code],
        capture_output=True,
        text=True,
        env=os.environ | {"OMP_NUM_THREADS": "1"} | environment,
        cwd=folder,
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


@pytest.fixture(scope="module")
def expected() -> list[float]:
    """What RENDER prints with this processor's kernels."""
    return numbers(run(["-c", RENDER]))


@pytest.fixture
def no_compiler(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """For this process neither a compiler nor libraries built before."""
    monkeypatch.setenv("CXX", "no-such-compiler")
    monkeypatch.setenv("RENDERER_CUDA_BUILD_DIR", str(tmp_path / "empty"))


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
    library = re.escape(str(build.build("cpu")))
    assert re.search(rf"^cpu   available, built here, \w+: {library}$", done.stdout, re.MULTILINE)
    if not torch.cuda.is_available():
        assert "cuda  not available: torch sees no CUDA device" in done.stdout


def test_unknown_command_shows_the_usage(capsys: pytest.CaptureFixture[str]) -> None:
    assert main(["destroy"]) == 2
    assert "build" in capsys.readouterr().err


@pytest.mark.usefixtures("native")
def test_without_a_compiler_the_oracle_serves_with_one_warning(
    tmp_path: Path, expected: list[float]
) -> None:
    twice = RENDER + "\nsoft_rasterize(vertices, vertices, 4)\n"
    done = run(["-c", twice], CXX="no-such-compiler", RENDERER_CUDA_BUILD_DIR=str(tmp_path))
    assert done.returncode == 0, done.stderr
    assert numbers(done) == pytest.approx(expected, rel=1e-5)
    assert done.stderr.count("RuntimeWarning") == 1
    assert "no C++ compiler found (looked for CXX=no-such-compiler)" in done.stderr


def test_a_compiler_that_fails_is_quoted(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    broken = tmp_path / "broken-compiler"
    broken.write_text("#!/bin/sh\n[ $1 = --version ] && exit 0\necho disk on fire >&2\nexit 1\n")
    broken.chmod(0o755)
    folder = tmp_path / "built"
    monkeypatch.setenv("CXX", str(broken))
    monkeypatch.setenv("RENDERER_CUDA_BUILD_DIR", str(folder))
    assert main(["build", "cpu"]) == 1
    assert "disk on fire" in capsys.readouterr().err
    assert not list(folder.glob("*.so"))


@pytest.mark.skipif(not has_compiler(), reason="no C++ compiler")
def test_builds_once_for_processes_started_together(tmp_path: Path) -> None:
    quick = tmp_path / "quick-compiler"  # optimising takes minutes
    quick.write_text(f'#!/bin/sh\nexec {find_compiler()} "$@" -O0\n')
    quick.chmod(0o755)
    folder = tmp_path / "built"
    environment = os.environ | {"RENDERER_CUDA_BUILD_DIR": str(folder), "CXX": str(quick)}
    command = [sys.executable, "-m", "renderer_cuda", "build", "cpu"]
    both = [
        subprocess.Popen(command, env=environment, cwd=ROOT, stderr=subprocess.PIPE, text=True)
        for _ in range(2)
    ]
    messages = [process.communicate(timeout=500)[1] for process in both]
    assert [process.returncode for process in both] == [0, 0]
    assert sum("building the cpu kernels" in message for message in messages) == 1
    assert len(list(folder.glob("*.so"))) == 1


def test_an_unknown_instruction_set_is_refused_by_name() -> None:
    done = run(["-c", RENDER], RENDERER_CUDA_INSTRUCTION_SET="avx1024")
    assert done.returncode == 1
    assert "must be one of baseline, avx2, avx512, got 'avx1024'" in done.stderr


@pytest.mark.usefixtures("native")
@pytest.mark.skipif(platform.machine() != "x86_64", reason="one instruction set only")
@pytest.mark.parametrize("name", ["baseline", "avx2", "avx512"])
def test_instruction_sets_agree(name: str, expected: list[float]) -> None:
    done = run(["-c", RENDER], RENDERER_CUDA_INSTRUCTION_SET=name)
    assert done.returncode == 0, done.stderr
    # Fused multiply-adds round differently; the sums run over some two thousand numbers.
    assert numbers(done) == pytest.approx(expected, rel=1e-5)


# ---- prebuilt libraries, as a wheel carries them -------------------------------------------------


@pytest.fixture
def installed(native: None, tmp_path: Path) -> Path:
    """A copy of the package with a prebuilt CPU library, as in a site-packages folder."""
    package = tmp_path / "site" / "renderer_cuda"
    shutil.copytree(ROOT / "renderer_cuda", package, ignore=shutil.ignore_patterns("_native"))
    build.prebuild("cpu", package / "_native")
    return package


@pytest.fixture
def here(installed: Path, no_compiler: None, monkeypatch: pytest.MonkeyPatch) -> Path:
    """The same, as where this process looks for sources and libraries."""
    monkeypatch.setattr(build, "SOURCES", installed / "csrc")
    monkeypatch.setattr(build, "NATIVE", installed / "_native")
    return installed


def test_a_prebuilt_library_needs_no_compiler(
    installed: Path, tmp_path: Path, expected: list[float]
) -> None:
    strict = ["-W", "error::RuntimeWarning", "-c", RENDER]
    folder = str(tmp_path / "empty")
    done = run(strict, installed.parent, RENDERER_CUDA_BUILD_DIR=folder, CXX="no-such-compiler")
    assert done.returncode == 0, done.stderr
    assert numbers(done) == expected


def test_tells_that_a_library_is_prebuilt(installed: Path, tmp_path: Path) -> None:
    # In a process of its own: the operators of a second library take the place of the first one's.
    folder = str(tmp_path / "empty")
    environment = {"RENDERER_CUDA_BUILD_DIR": folder, "CXX": "no-such-compiler"}
    done = run(["-m", "renderer_cuda"], installed.parent, **environment)
    assert done.returncode == 0, done.stderr
    library = re.escape(str(installed / "_native" / build.prebuilt_name("cpu")))
    assert re.search(rf"^cpu   available, prebuilt, \w+: {library}$", done.stdout, re.MULTILINE)


def test_a_prebuilt_library_of_other_sources_is_left_alone(here: Path) -> None:
    with open(here / "csrc" / "face.h", "a") as header:
        header.write("// changed\n")
    with pytest.raises(build.BuildError, match="no C\\+\\+ compiler found"):
        build.build("cpu")


def test_a_file_that_is_no_source_changes_nothing(here: Path) -> None:
    (here / "csrc" / ".header.h.swp").write_text("an editor's")
    assert build.build("cpu") == next((here / "_native").iterdir())


# ---- libraries that were built before ------------------------------------------------------------


@pytest.fixture
def built(here: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """A library as another compiler left it in the folder of the package; here there is none."""
    monkeypatch.delenv("RENDERER_CUDA_BUILD_DIR")
    monkeypatch.setenv("XDG_CACHE_HOME", str(here.parent / "cache"))
    native = here / "_native"
    prebuilt = native / build.prebuilt_name("cpu")
    return prebuilt.rename(native / f"{prebuilt.stem}_0123abcd.so")


def test_a_library_built_before_needs_no_compiler(built: Path) -> None:
    assert build.build("cpu") == built


def test_a_library_built_before_is_found_where_the_package_is_read_only(
    built: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(build.os, "access", lambda path, mode: False)
    assert build.build_folder() == built.parents[2] / "cache" / "renderer_cuda"
    assert build.build("cpu") == built


def test_a_library_of_other_sources_is_not_taken(built: Path) -> None:
    built.rename(built.with_name(f"renderer_cuda_cpu_{'0' * 16}_0123abcd.so"))
    with pytest.raises(build.BuildError, match="no C\\+\\+ compiler found"):
        build.build("cpu")


def test_only_libraries_of_other_sources_are_deleted(built: Path) -> None:
    """Another compiler's stays, and the other back end's, and that of another processor."""
    native = built.parent
    machine = platform.machine()
    older = native / f"renderer_cuda_cpu_{'0' * 16}_{machine}.so"
    others = [
        native / f"renderer_cuda_cuda_{'0' * 16}_{machine}_cu13_sm90_ptx90.so",
        native / f"renderer_cuda_cpu_{'0' * 16}_riscv64.so",
    ]
    new = native / build._built_name("cpu", None)
    for path in (older, *others, new):
        path.write_bytes(b"")
    build._remove_superseded("cpu", new)
    assert sorted(native.iterdir()) == sorted([built, *others, new])


@pytest.fixture
def read_only(here: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """The package without libraries in a folder that cannot be written; there is a compiler."""
    (here / "_native" / build.prebuilt_name("cpu")).unlink()
    monkeypatch.setattr(build.os, "access", lambda path, mode: mode != os.W_OK)
    for name in ("RENDERER_CUDA_BUILD_DIR", "XDG_CACHE_HOME"):
        monkeypatch.delenv(name, raising=False)
    monkeypatch.setenv("CXX", "true")
    return here


def test_where_nothing_can_be_written_the_variable_is_named(
    read_only: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    file = read_only.parent / "file"
    file.write_text("")
    monkeypatch.setenv("XDG_CACHE_HOME", str(file))
    message = r"cannot be built in .*renderer_cuda \(Not a directory\): set RENDERER_CUDA_BUILD_DIR"
    with pytest.raises(build.BuildError, match=message):
        build.build("cpu")


def test_a_user_without_a_home_needs_the_variable(
    read_only: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    def homeless() -> Path:
        raise RuntimeError("Could not determine home directory.")

    monkeypatch.setattr(build.Path, "home", homeless)
    with pytest.raises(build.BuildError, match="no home folder: set RENDERER_CUDA_BUILD_DIR"):
        build.build("cpu")
    monkeypatch.setenv("RENDERER_CUDA_BUILD_DIR", str(read_only.parent / "chosen"))
    assert build.build_folder() == read_only.parent / "chosen"


def test_native_kernels_can_be_required(installed: Path, tmp_path: Path) -> None:
    environment = {"RENDERER_CUDA_REQUIRE_NATIVE": "1", "CXX": "no-such-compiler"}
    environment["RENDERER_CUDA_BUILD_DIR"] = str(tmp_path / "empty")
    assert run(["-c", RENDER], installed.parent, **environment).returncode == 0
    (installed / "_native" / build.prebuilt_name("cpu")).unlink()
    done = run(["-c", RENDER], installed.parent, **environment)
    assert done.returncode == 1
    message = "RuntimeError: RENDERER_CUDA_REQUIRE_NATIVE=1, and renderer_cuda has no cpu kernels: "
    assert message + "no C++ compiler found" in done.stderr.splitlines()[-1]
    environment["RENDERER_CUDA_REQUIRE_NATIVE"] = "yes"
    done = run(["-c", RENDER], installed.parent, **environment)
    assert "RENDERER_CUDA_REQUIRE_NATIVE must be 0 or 1, got 'yes'" in done.stderr


@pytest.mark.usefixtures("no_compiler")
def test_prebuilding_fails_without_the_cpu_library(
    tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    assert main(["prebuild", str(tmp_path / "wheel")]) == 1
    assert "cpu: not in the wheel: no C++ compiler found" in capsys.readouterr().err


@pytest.mark.parametrize(
    ("script", "status"), [(None, 0), ("exit 1", 1)], ids=["missing", "broken"]
)
def test_prebuilding_may_lack_nvcc_but_not_fail_in_it(
    here: Path, script: str | None, status: int, monkeypatch: pytest.MonkeyPatch
) -> None:
    home = here.parent / "cuda"
    monkeypatch.setenv("CUDA_HOME", str(home))
    monkeypatch.setattr(torch.version, "cuda", "13.0")
    monkeypatch.setenv("CXX", "true")
    if script:
        (home / "bin").mkdir(parents=True)
        (home / "bin" / "nvcc").write_text(f"#!/bin/sh\n[ $1 = --version ] || {script}\n")
        (home / "bin" / "nvcc").chmod(0o755)
    folder = here.parent / "wheel"
    assert main(["prebuild", str(folder)]) == status
    assert [path.name for path in folder.iterdir()] == [build.prebuilt_name("cpu")]


# ---- whether CUDA kernels run -------------------------------------------------------------------


class FakeLibrary(build.CudaLibrary):
    """A library of CUDA kernels that answers what a test says."""

    def __init__(self, toolkit: int, driver: int, error: str) -> None:
        self.answers = toolkit, driver, error
        self.launched: list[int] = []

    def toolkit_version(self) -> int:
        return self.answers[0]

    def driver_version(self) -> int:
        return self.answers[1]

    def launch_error(self, device: int) -> str:
        self.launched.append(device)
        return self.answers[2]


@pytest.fixture
def old_device(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(torch.version, "cuda", "13.0")
    monkeypatch.setattr(torch.cuda, "get_device_capability", lambda device: (7, 0))
    monkeypatch.setattr(torch.cuda, "get_device_name", lambda device: "Tesla V100")


@pytest.mark.usefixtures("old_device")
def test_an_empty_kernel_is_launched_once() -> None:
    library = FakeLibrary(13020, 13000, "")
    build.check_device(library, 3)
    assert library.launched == [3]


@pytest.mark.usefixtures("old_device")
def test_a_device_that_runs_no_kernel_is_described() -> None:
    with pytest.raises(build.BuildError) as caught:
        build.check_device(FakeLibrary(13010, 12080, "no kernel image is available"), 0)
    assert str(caught.value) == (
        "an empty kernel fails on Tesla V100 (compute capability 7.0): no kernel image is "
        "available; the kernels are built with CUDA 13.1, the driver serves CUDA 12.8"
    )


@pytest.mark.usefixtures("old_device")
def test_kernels_of_another_cuda_are_not_launched() -> None:
    library = FakeLibrary(12040, 13000, "")
    message = r"built with CUDA 12\.4, but this torch with CUDA 13\.0"
    with pytest.raises(build.BuildError, match=message):
        build.check_device(library, 0)
    assert library.launched == []


# What a machine with a GPU that runs none of the kernels does: the first render warns, the next
# does not, and both are right.
ON_A_GPU = """
import torch
from renderer_cuda import build
torch.cuda.is_available = lambda: True
torch.cuda.current_device = lambda: 0
real_build, real_load = build.build, torch.ops.load_library
build.build = lambda back_end: "library" if back_end == "cuda" else real_build(back_end)
build.CudaLibrary = lambda path: None
torch.ops.load_library = lambda path: None if path == "library" else real_load(path)
def check(library, device):
    print("checked")
    raise build.BuildError("an empty kernel fails")
build.check_device = check
print(build.available("cuda"), build.available("cuda"))
from renderer_cuda.__main__ import main
from renderer_cuda.compilers import find_compiler
main([])
"""


def test_the_reason_is_told_once_and_by_the_command() -> None:
    done = run(["-c", ON_A_GPU])
    assert done.stdout.splitlines()[:2] == ["checked", "False False"], done.stderr
    assert "cuda  not available: an empty kernel fails" in done.stdout
    assert done.stderr.count("an empty kernel fails") == 1
    assert "the slow pure-torch reference serves" in done.stderr


@pytest.mark.skipif(not torch.cuda.is_available(), reason="no CUDA device")
def test_the_library_tells_of_itself_and_runs_on_the_device() -> None:
    library = build.CudaLibrary(build.build("cuda"))
    assert library.toolkit_version() // 1000 == build.torch_cuda_major()
    assert library.driver_version() > 0
    assert library.launch_error(torch.cuda.current_device()) == ""
    assert library.launch_error(torch.cuda.device_count()) == "invalid device ordinal"


# A forked process has no threads of OpenMP but believes that it has: one thread needs none.
FORKED = (
    RENDER
    + """
import os
child = os.fork()
if child == 0:
    torch.set_num_threads(1)
    again = soft_rasterize(vertices, colors, 24, sigma=1e-3, gamma=1e-2)
    os._exit(0 if torch.equal(again, image) else 1)
print(os.waitstatus_to_exitcode(os.waitpid(child, 0)[1]))
"""
)


@pytest.mark.usefixtures("native")
def test_a_forked_process_of_one_thread_renders_the_same() -> None:
    done = run(["-c", FORKED], OMP_NUM_THREADS="2")
    assert done.stdout.split()[-1] == "0", done.stderr


# ---- what a library asks of the machine it is loaded on ------------------------------------------


def has_cuda_tools() -> bool:
    return shutil.which("nvcc") is not None and torch.version.cuda is not None


def readelf(option: str, library: Path) -> str:
    command = ["readelf", "--wide", option, str(library)]
    return subprocess.run(command, capture_output=True, text=True, check=True).stdout


@pytest.fixture(params=build.BACK_ENDS)
def library(request: pytest.FixtureRequest, native: None) -> Path:
    if shutil.which("readelf") is None:
        pytest.skip("no readelf")
    if request.param == "cuda" and not has_cuda_tools():
        pytest.skip("no nvcc, or torch has no CUDA")
    return build.build(request.param)


def test_needs_no_library_beyond_torch_and_the_system(library: Path) -> None:
    dynamic = readelf("--dynamic", library)
    needed = re.findall(r"\(NEEDED\).*\[(.+?)\.so", dynamic)
    assert "libtorch_cpu" in needed
    assert set(needed) <= SHARED_LIBRARIES
    assert "RPATH" not in dynamic
    assert "RUNPATH" not in dynamic


def test_uses_nothing_of_torch_but_its_stable_abi(library: Path) -> None:
    symbols = readelf("--dyn-syms", library)
    undefined = set(re.findall(r"UND ([^@\s]+)", symbols))
    assert any(name.startswith("aoti_torch_") for name in undefined)
    # C++ names in at, c10, torch and caffe2; the C interface of Python; CUDA's libraries.
    unstable = re.compile(r"_ZN?[A-Z]*K?(2at|3c10|5torch|6caffe2)|_?Py[A-Z_]|cuda[A-Z]|cu[A-Z]")
    assert not [name for name in undefined if unstable.match(name)]


@pytest.mark.skipif(not has_cuda_tools(), reason="no nvcc, or torch has no CUDA")
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
