"""Compiles CUDA sources with g++, to run in the launch emulator of this folder."""

from __future__ import annotations

import hashlib
import os
import platform
import re
import shutil
import subprocess
import tempfile
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path

import torch

from renderer_cuda.build import COMMON_FLAGS, EXACT_FLAGS, SOURCES

FOLDER = Path(__file__).parent
TORCH = Path(torch.__file__).parent

# Watched while kernels run, besides what the emulator sees by itself. "accesses" has g++ call
# accesses.cpp before each access; nothing of the thread sanitizer is linked.
CHECKS = {
    "none": (),
    "accesses": ("-fsanitize=thread",),
    "sanitizers": (
        "-fsanitize=address,undefined,float-cast-overflow",
        "-fno-sanitize-recover=all",
    ),
}

# The libraries: the ops of renderer_cuda on emulated kernels, and kernels with planted mistakes.
LIBRARIES = {
    "ops": (
        *sorted(SOURCES.glob("rasterize_cuda*.cu")),
        SOURCES / "cuda_meshes.cu",
        FOLDER / "emulated_ops.cpp",
    ),
    "layers": (
        SOURCES / "layers_cuda_kernels.cu",
        SOURCES / "blends_cuda_kernels.cu",
        SOURCES / "rasterize_cuda_faces.cu",
        SOURCES / "rasterize_cuda_bins.cu",
        SOURCES / "cuda_meshes.cu",
        FOLDER / "emulated_layers.cpp",
    ),
    "voxelize": (
        SOURCES / "voxelize_cuda_kernels.cu",
        SOURCES / "cuda_meshes.cu",
        FOLDER / "emulated_voxelize.cpp",
    ),
    "gather": (SOURCES / "gather_cuda_kernels.cu", FOLDER / "emulated_gather.cpp"),
    "planted": (FOLDER / "planted.cu",),
}
# The same ops with thresholds so small that a few faces take every path that many take; and with
# products and sums fused wherever g++ finds a place, as nvcc does it too.
LIBRARIES["small"] = LIBRARIES["fused"] = LIBRARIES["ops"]
_FMA = ("-mfma",) if platform.machine() == "x86_64" else ()  # elsewhere every processor has it
FLAGS = {
    "small": (*EXACT_FLAGS, "-DRENDERER_SMALL_THRESHOLDS"),
    # With -O1 alone g++ does not look for what it may fuse.
    "fused": ("-ffp-contract=fast", "-fexpensive-optimizations", *_FMA),
}
EMULATOR = tuple(FOLDER / f"{name}.cpp" for name in ("scheduler", "memory", "accesses"))

_LAUNCH = re.compile(r"([\w:]+(?:<[^;()]*?>)?)<<<(.*?)>>>\((.*?)\);", re.DOTALL)
_SHARED = re.compile(r"__shared__ ([^;]*?)(\w+)((?:\[[^\]]*\])*);")


def translate(cuda: str) -> str:
    """Rewrite the two things of CUDA C++ that g++ cannot read; lines stay where they are."""
    cuda = _LAUNCH.sub(r'emulator::launch("\1", [&] { \1(\3); }, \2);', cuda)
    return _SHARED.sub(r'static \1\2\3; emulator::share("\2", \2);', cuda)


def build(name: str, checks: str, folder: Path) -> Path:
    """Build a library with the emulator in it, or find it built from the same sources.

    Args:
        name: A key of `LIBRARIES`.
        checks: A key of `CHECKS`.
        folder: Where to keep what is built; builds of other sources are removed.
    """
    home = folder / _fingerprint()
    if not home.exists():
        shutil.rmtree(folder, ignore_errors=True)
        home.mkdir(parents=True, exist_ok=True)  # another process may be as far
    library = home / f"{name}_{checks}.so"
    if library.exists():
        return library
    sources = [*LIBRARIES[name], *EMULATOR]
    kernel_flags = FLAGS.get(name, EXACT_FLAGS)

    def compile_one(source: Path) -> Path:
        return _compile(source, checks, kernel_flags, home)

    with ThreadPoolExecutor(max_workers=os.cpu_count()) as pool:
        objects = [str(path) for path in pool.map(compile_one, sources)]
    # With the thread sanitizer's name at linking, its library would come too.
    flags = CHECKS[checks] if checks == "sanitizers" else ()
    needs = [f"-L{TORCH / 'lib'}", "-ltorch_cpu"] if name != "planted" else []
    _run(["-shared", *flags, *objects, *needs, "-ldl"], library)
    return library


def _compile(source: Path, checks: str, kernel_flags: tuple[str, ...], home: Path) -> Path:
    """Compile one file. Only kernels are watched: switching stacks is beyond the sanitizers."""
    flags = ["-O2", *(["-DEMULATOR_ADDRESS_SANITIZER"] if checks == "sanitizers" else [])]
    path = source
    if source.suffix == ".cu":
        path = home / source.name
        path.write_text(translate(source.read_text()))
        flags = ["-O1", *CHECKS[checks], *kernel_flags, "-x", "c++"]
    include = [f"-I{folder}" for folder in (FOLDER, SOURCES, TORCH / "include")]
    command = [*COMMON_FLAGS, "-g1", *flags, *include, "-c", str(path)]
    digest = hashlib.sha256(repr(command).encode()).hexdigest()[:8]
    output = home / f"{source.name}_{digest}.o"
    if not output.exists():
        _run(command, output)
    return output


def _run(arguments: list[str], output: Path) -> None:
    """Run g++; the output appears all at once."""
    with tempfile.TemporaryDirectory(dir=output.parent) as work:
        unfinished = Path(work) / output.name
        command = ["g++", *arguments, "-o", str(unfinished)]
        done = subprocess.run(command, capture_output=True, text=True)
        if done.returncode != 0:
            raise RuntimeError(f"{' '.join(command)}\n{done.stderr[-4000:]}")
        os.replace(unfinished, output)


def _fingerprint() -> str:
    digest = hashlib.sha256(repr((COMMON_FLAGS, torch.__version__)).encode())
    for path in sorted([*FOLDER.iterdir(), *SOURCES.glob("*.h"), *SOURCES.glob("*.cu")]):
        if path.is_file():
            digest.update(path.name.encode() + path.read_bytes())
    return digest.hexdigest()[:16]
