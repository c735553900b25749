"""Finds, builds and loads the native kernels, by one function ahead of time and at first use.

A library that is there serves as long as the sources are those it was built from, whichever
compiler made it: one which a wheel carries, or one which was built before. Otherwise a compiler
builds it.
"""

from __future__ import annotations

import contextlib
import fcntl
import hashlib
import os
import platform
import shutil
import subprocess
import sys
import tempfile
import time
import warnings
from collections.abc import Iterator
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass
from functools import lru_cache
from pathlib import Path

import torch

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

# Compute capabilities the CUDA kernels are built for ahead of time when TORCH_CUDA_ARCH_LIST is
# not set; the last one also as PTX, for chips that come later.
CUDA_ARCHITECTURES = ("7.5", "8.0", "8.6", "8.9", "9.0", "10.0", "12.0")


class BuildError(RuntimeError):
    """The native kernels cannot be built; the message says why."""


class ToolMissingError(BuildError):
    """There is nothing to build them with."""


@dataclass(frozen=True)
class _Unit:
    """One call of a compiler: a source file and the flags it alone has."""

    source: str
    flags: tuple[str, ...] = ()


def _find_compiler() -> str:
    chosen = os.environ.get("CXX")
    for name in [chosen] if chosen else ["g++", "clang++", "c++"]:
        if name and shutil.which(name):
            return name
    looked = f"CXX={chosen}" if chosen else "g++, clang++, c++"
    raise ToolMissingError(f"no C++ compiler found (looked for {looked})")


def find_nvcc() -> str:
    """Return nvcc: that of $CUDA_HOME if set, else the one on PATH.

    Raises:
        ToolMissingError: There is none, or this torch could not use what it makes.
    """
    home = os.environ.get("CUDA_HOME")
    candidate = shutil.which(os.path.join(home, "bin", "nvcc") if home else "nvcc")
    if candidate is None:
        raise ToolMissingError(f"nvcc not found ({'in CUDA_HOME ' + home if home else 'on PATH'})")
    if torch.version.cuda is None:
        raise ToolMissingError("this torch is built without CUDA")
    return candidate


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
        _Unit("voxelize_cpu.cpp", EXACT_FLAGS),
        _Unit("gather_cpu.cpp"),
    ]


def _cuda_units() -> list[_Unit]:
    return [
        _Unit("rasterize_cuda_faces.cu"),
        _Unit("rasterize_cuda_bins.cu"),
        _Unit("rasterize_cuda_forward.cu"),
        _Unit("rasterize_cuda_jobs.cu"),
        _Unit("rasterize_cuda_pixels.cu"),
        _Unit("rasterize_cuda_gather.cu"),
        _Unit("rasterize_cuda_combine.cu"),
        _Unit("rasterize_cuda_backward.cu"),
        _Unit("rasterize_cuda.cpp"),
        _Unit("voxelize_cuda_kernels.cu", EXACT_CUDA_FLAGS),
        _Unit("voxelize_cuda.cpp"),
        _Unit("gather_cuda_kernels.cu"),
        _Unit("gather_cuda.cpp"),
    ]


def _units(back_end: str) -> list[_Unit]:
    return _cuda_units() if back_end == "cuda" else _cpu_units()


def _cuda_architecture_flags() -> tuple[str, ...]:
    wanted = os.environ.get("TORCH_CUDA_ARCH_LIST", "").replace(";", " ").split()
    flags = []
    for architecture in wanted or CUDA_ARCHITECTURES:
        number = architecture.removesuffix("+PTX").replace(".", "")
        flags.append(f"-gencode=arch=compute_{number},code=sm_{number}")
    flags.append(f"-gencode=arch=compute_{number},code=compute_{number}")
    return tuple(flags)


def _compile_commands(back_end: str, folder: Path) -> list[list[str]]:
    """Return the compiler calls for one back end; each writes one object file into folder."""
    compiler = _find_compiler()
    torch_include = Path(torch.__file__).parent / "include"
    compilers = {".cpp": [compiler, *COMMON_FLAGS, f"-I{torch_include}"]}
    if back_end == "cuda":
        nvcc = [find_nvcc(), *CUDA_FLAGS, *_cuda_architecture_flags(), "-ccbin", compiler]
        compilers[".cu"] = nvcc
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
    nvcc = [find_nvcc(), *CUDA_FLAGS, "-ccbin", _find_compiler(), *target]
    kernels = [unit for unit in _cuda_units() if unit.source.endswith(".cu")]
    return [[*nvcc, *unit.flags, str(SOURCES / unit.source)] for unit in kernels]


def _link_command(back_end: str, objects: list[str], output: Path) -> list[str]:
    torch_lib = Path(torch.__file__).parent / "lib"
    # Nothing of libtorch_cuda is linked: its few symbols are there once torch has loaded it.
    linker = [find_nvcc(), "-cudart=static"] if back_end == "cuda" else [_find_compiler()]
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


def _run(command: list[str]) -> str:
    done = subprocess.run(command, capture_output=True, text=True)
    if done.returncode != 0:
        raise BuildError(f"{' '.join(command)}\n{done.stderr[-4000:]}")
    return done.stderr


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


def _target_fingerprint(back_end: str) -> str:
    """Return a hash of the processors it is made for: of GPUs the wanted architectures."""
    flags = _cuda_architecture_flags() if back_end == "cuda" else ()
    return hashlib.sha256(repr(flags).encode()).hexdigest()[:8]


def build_folder() -> Path:
    """Return where built libraries are kept.

    That is $RENDERER_CUDA_BUILD_DIR when set, the folder `_native` of the package when it can be
    written, and otherwise `renderer_cuda` in the user's cache folder.
    """
    chosen = os.environ.get("RENDERER_CUDA_BUILD_DIR")
    if chosen:
        return Path(chosen)
    if os.access(NATIVE.parent, os.W_OK):
        return NATIVE
    cache = os.environ.get("XDG_CACHE_HOME") or str(Path.home() / ".cache")
    return Path(cache) / "renderer_cuda"


@contextlib.contextmanager
def _locked(folder: Path) -> Iterator[None]:
    """Hold a lock on the folder, so that processes started together build once."""
    folder.mkdir(parents=True, exist_ok=True)
    with open(folder / ".lock", "w") as handle:
        fcntl.flock(handle, fcntl.LOCK_EX)
        yield


def _compile_and_link(back_end: str, library: Path) -> None:
    with tempfile.TemporaryDirectory(dir=library.parent) as folder:
        commands = _compile_commands(back_end, Path(folder))
        with ThreadPoolExecutor(max_workers=os.cpu_count()) as pool:
            list(pool.map(_run, commands))
        unfinished = Path(folder) / library.name
        _run(_link_command(back_end, [command[-1] for command in commands], unfinished))
        os.replace(unfinished, library)


def prebuilt_name(back_end: str) -> str:
    """Return the file name of a library that needs no compiler to be recognised as current."""
    return f"renderer_cuda_{back_end}_{_source_fingerprint(back_end)}.so"


def find_prebuilt(back_end: str) -> Path | None:
    """Return the library that came with the package and was built from its very sources, if any."""
    library = NATIVE / prebuilt_name(back_end)
    return library if library.exists() else None


def _built_name(back_end: str) -> str:
    """Return the file name of a library that is built here."""
    name = Path(prebuilt_name(back_end))
    return f"{name.stem}_{_target_fingerprint(back_end)}{name.suffix}"


def find_library(back_end: str) -> Path | None:
    """Return a library built from the sources of the package, if any; no tools are needed.

    It is what came with the package, or else what was built before: in $RENDERER_CUDA_BUILD_DIR
    when that is set, and otherwise in the folder `_native` of the package, also where that cannot
    be written, or in the cache of the user.
    """
    prebuilt = find_prebuilt(back_end)
    if prebuilt:
        return prebuilt
    chosen = os.environ.get("RENDERER_CUDA_BUILD_DIR")
    folders = [build_folder()] if chosen else [NATIVE, build_folder()]
    pattern = _built_name(back_end)
    if back_end == "cpu":  # whatever follows the hash of the sources: it serves every processor
        pattern = f"{Path(prebuilt_name(back_end)).stem}_*.so"
    found = [library for folder in folders for library in sorted(folder.glob(pattern))]
    return found[0] if found else None


def prebuild(back_end: str, folder: Path) -> Path:
    """Put the back end's library into folder under the name a wheel carries it by; return its path.

    Raises:
        BuildError: As for `build`.
    """
    folder.mkdir(parents=True, exist_ok=True)
    return Path(shutil.copy2(build(back_end), folder / prebuilt_name(back_end)))


def build(back_end: str = "cpu") -> Path:
    """Return the path of the back end's library, building it first when it is not there.

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
    _find_compiler()
    if back_end == "cuda":
        find_nvcc()
    folder = build_folder()
    library = folder / _built_name(back_end)
    with _locked(folder):
        if library.exists():
            return library
        print(f"renderer_cuda: building the {back_end} kernels ...", file=sys.stderr, flush=True)
        start = time.perf_counter()
        _compile_and_link(back_end, library)
        seconds = time.perf_counter() - start
        print(f"renderer_cuda: built {library} in {seconds:.0f} s", file=sys.stderr, flush=True)
        _remove_superseded(back_end, library)
    return library


def _remove_superseded(back_end: str, library: Path) -> None:
    """Delete what this checkout built from other sources; a shared folder keeps every version."""
    if library.parent != NATIVE:
        return
    current = Path(prebuilt_name(back_end)).stem
    for other in library.parent.glob(f"renderer_cuda_{back_end}_*.so"):
        if not other.name.startswith(current):
            other.unlink(missing_ok=True)


@lru_cache(maxsize=2)
def load(back_end: str) -> str:
    """Load the back end's kernels into torch, building them when needed.

    Returns:
        The empty string when the kernels are there, else the reason why they are not.
    """
    try:
        if back_end == "cuda" and not torch.cuda.is_available():
            raise BuildError("torch sees no CUDA device")
        torch.ops.load_library(build(back_end))
    except (BuildError, OSError) as error:
        return str(error)
    return ""


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
