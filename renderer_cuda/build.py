"""Finds, builds and loads the native kernels, by one function ahead of time and at first use.

A library that is there serves as long as the sources are those it was built from, whichever
compiler made it: one which a wheel carries, or one which was built before. Otherwise a compiler
builds it.
"""

from __future__ import annotations

import contextlib
import ctypes
import fcntl
import hashlib
import os
import platform
import re
import shutil
import sys
import tempfile
import time
import warnings
from collections.abc import Callable, Iterator
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass
from functools import lru_cache
from pathlib import Path

import torch

from renderer_cuda.compilers import (
    BuildError,
    CudaTarget,
    ToolMissingError,
    choose_target,
    find_compiler,
    find_nvcc,
    listed_capabilities,
    parse_target,
    run,
    torch_cuda_major,
    visible_capabilities,
)

SOURCES = Path(__file__).parent / "csrc"
SOURCE_SUFFIXES = (".h", ".cpp", ".cu")
NATIVE = Path(__file__).parent / "_native"
BACK_ENDS = ("cpu", "cuda")

# The oldest torch whose stable ABI the kernels are compiled for: 2.10.
TORCH_TARGET = "0x020a000000000000"

# No fast-math: NaN and infinity keep their meaning. Only errno and floating-point traps, which
# no code here reads, are given up, so that comparisons and square roots can be vectorised.
COMMON_FLAGS = (
    "-O3",
    "-std=c++20",
    "-fPIC",
    "-fvisibility=hidden",
    "-fno-math-errno",
    "-fno-trapping-math",
    "-Wno-psabi",
    f"-DTORCH_TARGET_VERSION={TORCH_TARGET}",
)

# The voxeliser equals its reference bit for bit, which fused multiply-adds would undo.
EXACT_FLAGS = ("-ffp-contract=off",)
EXACT_CUDA_FLAGS = ("-fmad=false",)

VECTOR_KERNELS = (
    "rasterize_cpu_forward.cpp",
    "rasterize_cpu_backward.cpp",
    "visibility_cpu_kernels.cpp",
    "layers_cpu_kernels.cpp",
    "blends_cpu_kernels.cpp",
)

# One compilation of the vector kernels for each instruction set; the best is chosen at run time.
X86_INSTRUCTION_SETS = {
    "baseline": (),
    "avx2": ("-mavx2", "-mfma"),
    "avx512": ("-mavx512f", "-mavx512dq", "-mavx512vl", "-mavx512bw", "-mavx2", "-mfma"),
}

CUDA_FLAGS = (
    "-O3",
    "-std=c++17",
    "--threads=0",
    "-Xcompiler=-fPIC,-fvisibility=hidden",
    "-lineinfo",
)


@dataclass(frozen=True)
class _Unit:
    """One call of a compiler: a source file and the flags it alone has."""

    source: str
    flags: tuple[str, ...] = ()


def _is_x86() -> bool:
    return platform.machine().lower() in ("x86_64", "amd64")


def _cpu_units() -> list[_Unit]:
    sets = X86_INSTRUCTION_SETS if _is_x86() else {"baseline": ()}
    kernels = [
        _Unit(source, (f"-DINSTRUCTION_SET={name}", *flags))
        for name, flags in sets.items()
        for source in VECTOR_KERNELS
    ]
    macro = ("-DRENDERER_X86_KERNELS",) if _is_x86() else ()
    return [
        *kernels,
        _Unit("rasterize_cpu.cpp", macro),
        _Unit("visibility_cpu.cpp", macro),
        _Unit("layers_cpu.cpp", macro),
        _Unit("voxelize_cpu.cpp", EXACT_FLAGS),
        _Unit("gather_cpu.cpp"),
    ]


def _cuda_units() -> list[_Unit]:
    return [
        _Unit("cuda_meshes.cu"),
        _Unit("rasterize_cuda_faces.cu"),
        _Unit("rasterize_cuda_bins.cu"),
        _Unit("rasterize_cuda_tiles.cu"),
        _Unit("rasterize_cuda_forward.cu"),
        _Unit("rasterize_cuda_jobs.cu"),
        _Unit("rasterize_cuda_pixels.cu"),
        _Unit("rasterize_cuda_gather.cu"),
        _Unit("rasterize_cuda_combine.cu"),
        _Unit("rasterize_cuda_backward.cu"),
        _Unit("rasterize_cuda.cpp"),
        _Unit("layers_cuda_kernels.cu"),
        _Unit("blends_cuda_kernels.cu"),
        _Unit("layers_cuda.cpp"),
        _Unit("voxelize_cuda_kernels.cu", EXACT_CUDA_FLAGS),
        _Unit("voxelize_cuda.cpp"),
        _Unit("gather_cuda_kernels.cu"),
        _Unit("gather_cuda.cpp"),
        _Unit("cuda_check.cu"),
    ]


def _units(back_end: str) -> list[_Unit]:
    return _cuda_units() if back_end == "cuda" else _cpu_units()


def _compile_commands(back_end: str, target: CudaTarget | None, folder: Path) -> list[list[str]]:
    """Return the compiler calls for one back end; each writes one object file into folder."""
    compiler = find_compiler()
    torch_include = Path(torch.__file__).parent / "include"
    compilers = {".cpp": [compiler, *COMMON_FLAGS, f"-I{torch_include}"]}
    if target is not None:
        compilers[".cu"] = [find_nvcc(), *CUDA_FLAGS, *target.flags, "-ccbin", compiler]
    calls = [
        [*compilers[Path(unit.source).suffix], *unit.flags, "-c", str(SOURCES / unit.source)]
        for unit in _units(back_end)
    ]
    return [[*call, "-o", str(folder / f"{index}.o")] for index, call in enumerate(calls)]


def ptx_commands(architecture: str) -> list[list[str]]:
    """Return for every source of CUDA kernels the call that makes PTX of it, less `-o FILE`.

    Args:
        architecture: Compute capability without its dot, as "80".

    Raises:
        ToolMissingError: As for `find_nvcc`.
    """
    target = ["-ptx", f"-arch=compute_{architecture}"]
    nvcc = [find_nvcc(), *CUDA_FLAGS, "-ccbin", find_compiler(), *target]
    kernels = [unit for unit in _cuda_units() if unit.source.endswith(".cu")]
    return [[*nvcc, *unit.flags, str(SOURCES / unit.source)] for unit in kernels]


def _link_command(back_end: str, objects: list[str], output: Path) -> list[str]:
    torch_lib = Path(torch.__file__).parent / "lib"
    # Nothing of libtorch_cuda is linked: its few symbols are there once torch has loaded it.
    linker = [find_nvcc(), "-cudart=static"] if back_end == "cuda" else [find_compiler()]
    return [
        *linker,
        "-shared",
        *objects,
        "-o",
        str(output),
        f"-L{torch_lib}",
        "-ltorch_cpu",
        "-ldl",
    ]


def _sources(back_end: str) -> list[Path]:
    """Return the files a back end may include: all but those named after the other one."""
    others = [name for name in BACK_ENDS if name != back_end]
    return sorted(
        path
        for path in SOURCES.iterdir()
        if path.suffix in SOURCE_SUFFIXES and not any(name in path.name for name in others)
    )


def _source_fingerprint(back_end: str) -> str:
    """Return a hash of what the library is made from: sources, flags, processor family."""
    digest = hashlib.sha256()
    for path in _sources(back_end):
        digest.update(path.name.encode() + b"\0" + path.read_bytes() + b"\0")
    flags = (COMMON_FLAGS, CUDA_FLAGS, _units(back_end))
    digest.update(repr((flags, platform.machine(), sys.platform)).encode())
    return digest.hexdigest()[:16]


def build_folder() -> Path:
    """Return where built libraries are kept.

    That is $RENDERER_CUDA_BUILD_DIR when set, the folder `_native` of the package when it can be
    written, and otherwise `renderer_cuda` in the user's cache folder.

    Raises:
        BuildError: The package cannot be written and the user has no home.
    """
    chosen = os.environ.get("RENDERER_CUDA_BUILD_DIR")
    if chosen:
        return Path(chosen)
    if os.access(NATIVE.parent, os.W_OK):
        return NATIVE
    cache = os.environ.get("XDG_CACHE_HOME")
    try:
        return Path(cache or Path.home() / ".cache") / "renderer_cuda"
    except RuntimeError as error:  # neither $HOME nor an entry of the user in the system's list
        raise BuildError(
            f"{NATIVE.parent} cannot be written and there is no home folder: set "
            "RENDERER_CUDA_BUILD_DIR to a folder for the kernels"
        ) from error


@contextlib.contextmanager
def _locked(folder: Path) -> Iterator[None]:
    """Hold a lock on the folder, so that processes started together build once."""
    try:
        folder.mkdir(parents=True, exist_ok=True)
        handle = open(folder / ".lock", "w")  # noqa: SIM115  (closed below)
    except OSError as error:
        raise BuildError(
            f"the kernels cannot be built in {folder} ({error.strerror}): set "
            "RENDERER_CUDA_BUILD_DIR to a folder that can be written"
        ) from error
    with handle:
        fcntl.flock(handle, fcntl.LOCK_EX)
        yield


def _compile_and_link(back_end: str, target: CudaTarget | None, library: Path) -> None:
    with tempfile.TemporaryDirectory(dir=library.parent) as folder:
        commands = _compile_commands(back_end, target, Path(folder))
        with ThreadPoolExecutor(max_workers=len(os.sched_getaffinity(0))) as pool:
            list(pool.map(run, commands))
        unfinished = Path(folder) / library.name
        run(_link_command(back_end, [command[-1] for command in commands], unfinished))
        os.replace(unfinished, library)


def prebuilt_name(back_end: str) -> str:
    """Return the file name of a library that needs no compiler to be recognised as current."""
    return f"renderer_cuda_{back_end}_{_source_fingerprint(back_end)}.so"


def find_prebuilt(back_end: str) -> Path | None:
    """Return the library that came with the package and was built from its very sources, if any."""
    library = NATIVE / prebuilt_name(back_end)
    return library if library.exists() else None


def _built_name(back_end: str, target: CudaTarget | None) -> str:
    """Return the file name of a library that is built here: it ends with what it runs on."""
    name = Path(prebuilt_name(back_end))
    parts = [name.stem, platform.machine(), *([] if target is None else [target.name])]
    return "_".join(parts) + name.suffix


def find_library(back_end: str) -> Path | None:
    """Return a library built from the sources of the package, if any; no tools are needed.

    It is what came with the package, or else what was built before: in $RENDERER_CUDA_BUILD_DIR
    when that is set, and otherwise in the folder `_native` of the package, also where that cannot
    be written, or in the cache of the user. One of CUDA kernels is of the same major version of
    CUDA as torch and has machine code for what $TORCH_CUDA_ARCH_LIST lists, or else for every
    visible device.

    Raises:
        BuildError: $TORCH_CUDA_ARCH_LIST cannot be read.
    """
    prebuilt = find_prebuilt(back_end)
    if prebuilt:
        return prebuilt
    found = _find_built(back_end)
    if back_end == "cuda":
        found = [path for path in found if _suits_devices(path, CudaTarget.runs_natively)]
    return found[0] if found else None


def _find_built(back_end: str) -> list[Path]:
    """Return the libraries built before from the same sources, by whichever compiler."""
    chosen = os.environ.get("RENDERER_CUDA_BUILD_DIR")
    folders = [build_folder()] if chosen else [NATIVE, build_folder()]
    pattern = f"{Path(prebuilt_name(back_end)).stem}_*.so"
    return [library for folder in folders for library in sorted(folder.glob(pattern))]


def _suits_devices(library: Path, runs: Callable[[CudaTarget, int], bool]) -> bool:
    target = parse_target(library.stem)
    if target is None or target.major != torch_cuda_major():
        return False
    return all(runs(target, capability) for capability in _wanted_capabilities())


def _wanted_capabilities() -> tuple[int, ...]:
    return listed_capabilities() or visible_capabilities()


def prebuild(back_end: str, folder: Path) -> Path:
    """Put the back end's library into folder under the name a wheel carries it by; return its path.

    CUDA kernels are built for what $TORCH_CUDA_ARCH_LIST lists, or else for all usual GPUs.

    Raises:
        BuildError: As for `build`.
    """
    folder.mkdir(parents=True, exist_ok=True)
    if find_prebuilt(back_end) or back_end == "cpu":
        library = build(back_end)
    else:
        library = _build_missing(back_end, choose_target(listed_capabilities()))
    return Path(shutil.copy2(library, folder / prebuilt_name(back_end)))


def build(back_end: str = "cpu") -> Path:
    """Return the path of the back end's library, building it first when it is not there.

    CUDA kernels are built for what $TORCH_CUDA_ARCH_LIST lists, or else for the visible devices,
    or else for all usual GPUs, and as PTX for the newest of these.

    Args:
        back_end: "cpu" or "cuda".

    Raises:
        BuildError: No compiler is found, or it fails; the message carries the end of its output.
        ValueError: The back end is unknown.
    """
    if back_end not in BACK_ENDS:
        raise ValueError(f"back_end must be one of {', '.join(BACK_ENDS)}, got {back_end!r}")
    found = find_library(back_end)
    if found:
        return found
    try:
        find_compiler()
        target = choose_target(_wanted_capabilities()) if back_end == "cuda" else None
    except ToolMissingError:
        # Without tools, what the driver can translate is better than nothing.
        found_ptx = _find_built("cuda") if back_end == "cuda" else []
        suitable = [path for path in found_ptx if _suits_devices(path, CudaTarget.runs)]
        if not suitable:
            raise
        return suitable[0]
    return _build_missing(back_end, target)


def _build_missing(back_end: str, target: CudaTarget | None) -> Path:
    """Build a library unless it is there, once for all processes that ask for it."""
    folder = build_folder()
    library = folder / _built_name(back_end, target)
    if library.exists():
        return library
    with _locked(folder):
        if library.exists():
            return library
        print(f"renderer_cuda: building the {back_end} kernels ...", file=sys.stderr, flush=True)
        start = time.perf_counter()
        _compile_and_link(back_end, target, library)
        seconds = time.perf_counter() - start
        print(f"renderer_cuda: built {library} in {seconds:.0f} s", file=sys.stderr, flush=True)
        _remove_superseded(back_end, library)
    return library


def _remove_superseded(back_end: str, library: Path) -> None:
    """Delete what this kind of processor built here from other sources.

    Machines with other processors, GPUs or toolkits may share the checkout, and keep theirs. A
    shared folder keeps every version.
    """
    if library.parent != NATIVE:
        return
    current = Path(prebuilt_name(back_end)).stem
    ours = re.compile(rf"renderer_cuda_{back_end}_[0-9a-f]+_{re.escape(platform.machine())}(_|$)")
    for other in library.parent.glob(f"renderer_cuda_{back_end}_*.so"):
        if ours.match(other.stem) and not other.name.startswith(current):
            other.unlink(missing_ok=True)


def _require_instruction_set() -> None:
    """Refuse a name that the kernels would not know and silently run as the baseline."""
    wanted = os.environ.get("RENDERER_CUDA_INSTRUCTION_SET", "")
    if wanted and wanted not in X86_INSTRUCTION_SETS:
        raise ValueError(
            "RENDERER_CUDA_INSTRUCTION_SET must be one of "
            f"{', '.join(X86_INSTRUCTION_SETS)}, got {wanted!r}"
        )


@lru_cache(maxsize=2)
def load(back_end: str) -> str:
    """Load the back end's kernels into torch, building them when needed.

    An empty CUDA kernel is launched on the current device, so that what fails, fails here and not
    in the first render. The answer holds for the life of the process.

    Returns:
        The empty string when the kernels are there, else the reason why they are not.

    Raises:
        ValueError: $RENDERER_CUDA_INSTRUCTION_SET names no instruction set.
    """
    _require_instruction_set()
    try:
        if back_end == "cuda" and not torch.cuda.is_available():
            raise BuildError("torch sees no CUDA device")
        library = build(back_end)
        torch.ops.load_library(library)
        if back_end == "cuda":
            check_device(CudaLibrary(library), torch.cuda.current_device())
    except (BuildError, OSError) as error:
        return str(error)
    return ""


class CudaLibrary:
    """What a library of CUDA kernels tells of itself and its driver (csrc/cuda_check.cu).

    Args:
        path: The library; torch is loaded.

    Raises:
        OSError: It cannot be loaded.
    """

    def __init__(self, path: Path) -> None:
        self._library = ctypes.CDLL(str(path))

    def toolkit_version(self) -> int:
        """Return the version of CUDA it is built with, 1000 times the major, 10 times the minor."""
        return int(self._library.renderer_cuda_toolkit_version())

    def driver_version(self) -> int:
        """Return the newest version of CUDA that the driver serves; 0 without a driver."""
        return int(self._library.renderer_cuda_driver_version())

    def launch_error(self, device: int) -> str:
        """Launch an empty kernel on a device and wait for it; return what CUDA says went wrong."""
        launch = self._library.renderer_cuda_launch_error
        launch.restype = ctypes.c_char_p
        return bytes(launch(ctypes.c_int(device)) or b"").decode()


def check_device(library: CudaLibrary, device: int) -> None:
    """Find out whether kernels of a library run on a device.

    Args:
        library: The kernels.
        device: The index of the device.

    Raises:
        BuildError: They do not; the message has the versions of CUDA and the device.
    """
    toolkit = library.toolkit_version()
    if toolkit // 1000 != torch_cuda_major():
        raise BuildError(
            f"the kernels are built with CUDA {_version(toolkit)}, but this torch with CUDA "
            f"{torch.version.cuda}"
        )
    error = library.launch_error(device)
    if error:
        major, minor = torch.cuda.get_device_capability(device)
        raise BuildError(
            f"an empty kernel fails on {torch.cuda.get_device_name(device)} (compute capability "
            f"{major}.{minor}): {error}; the kernels are built with CUDA {_version(toolkit)}, the "
            f"driver serves CUDA {_version(library.driver_version())}"
        )


def _version(number: int) -> str:
    return f"{number // 1000}.{number % 1000 // 10}"


@torch.compiler.assume_constant_result
def available(device_type: str) -> bool:
    """Return whether kernels serve a type of device, loading (and building) them at first use.

    Where they do not, the slow reference serves; one warning for each type of device says why.

    Raises:
        RuntimeError: There are none, and $RENDERER_CUDA_REQUIRE_NATIVE is 1.
        ValueError: $RENDERER_CUDA_REQUIRE_NATIVE is neither 0 nor 1.
    """
    if device_type == "meta":
        return True
    reason = load(device_type) if device_type in BACK_ENDS else "no kernels exist for this device"
    if reason and _native_is_required():
        raise RuntimeError(
            f"RENDERER_CUDA_REQUIRE_NATIVE=1, and renderer_cuda has no {device_type} kernels: "
            f"{reason}"
        )
    if reason:
        _warn_missing(device_type, reason)
    return not reason


def _native_is_required() -> bool:
    value = os.environ.get("RENDERER_CUDA_REQUIRE_NATIVE", "")
    if value not in ("", "0", "1"):
        raise ValueError(f"RENDERER_CUDA_REQUIRE_NATIVE must be 0 or 1, got {value!r}")
    return value == "1"


@lru_cache(maxsize=8)
def _warn_missing(device_type: str, reason: str) -> None:
    warnings.warn(
        f"renderer_cuda has no {device_type} kernels, the slow pure-torch reference serves: "
        f"{reason}",
        RuntimeWarning,
        stacklevel=4,
    )
