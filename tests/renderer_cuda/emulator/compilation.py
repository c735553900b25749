"""Compiles CUDA sources with g++, to run in the launch emulator of this folder."""

from __future__ import annotations

import hashlib
import os
import re
import subprocess
import tempfile
from pathlib import Path

import torch

from renderer_cuda.build import COMMON_FLAGS, SOURCES

FOLDER = Path(__file__).parent
KERNELS = (SOURCES / "rasterize_cuda_kernels.cu", FOLDER / "emulated_ops.cpp")
PLANTED = (FOLDER / "planted.cu",)
EMULATOR = (FOLDER / "scheduler.cpp", FOLDER / "memory.cpp")

# What is watched while kernels run, besides what the emulator itself sees. "accesses" has g++ call
# memory.cpp before each access; nothing of the thread sanitizer is linked.
CHECKS = {
    "none": (),
    "accesses": ("-fsanitize=thread",),
    "sanitizers": (
        "-fsanitize=address,undefined,float-cast-overflow",
        "-fno-sanitize-recover=all",
        "-fno-omit-frame-pointer",
    ),
}

_LAUNCH = re.compile(r"(\w+(?:<[^<>;]*>)?)<<<(.*?)>>>\((.*?)\);", re.DOTALL)
_SHARED = re.compile(r"__shared__ ([^;]*?)(\w+)((?:\[[^\]]*\])*);")


def translate(cuda: str) -> str:
    """Rewrite the two things of CUDA C++ that g++ cannot read; lines stay where they are."""
    cuda = _LAUNCH.sub(r'emulator::launch("\1", [&] { \1(\3); }, \2);', cuda)
    return _SHARED.sub(r'static \1\2\3; emulator::share("\2", \2);', cuda)


def build(name: str, sources: tuple[Path, ...], checks: str, folder: Path) -> Path:
    """Build a library of CUDA and C++ sources with the emulator; or find it built.

    Args:
        name: First part of the library's name.
        sources: CUDA (.cu) and C++ sources.
        checks: A key of `CHECKS`.
        folder: Where the library goes; builds of earlier sources are removed.
    """
    library = folder / f"{name}_{checks}_{_fingerprint()}.so"
    if library.exists():
        return library
    for old in folder.glob(f"{name}_{checks}_*.so"):
        old.unlink(missing_ok=True)
    with tempfile.TemporaryDirectory(dir=folder) as work:
        objects = [_compile(source, checks, Path(work)) for source in (*sources, *EMULATOR)]
        torch_lib = Path(torch.__file__).parent / "lib"
        link = ["-shared", *CHECKS["sanitizers" if checks == "sanitizers" else "none"]]
        needs = [f"-L{torch_lib}", "-ltorch_cpu"] if sources == KERNELS else []
        output = Path(work) / library.name
        _run(["g++", *link, *map(str, objects), "-o", str(output), *needs, "-ldl"])
        os.replace(output, library)
    return library


def _compile(source: Path, checks: str, work: Path) -> Path:
    path = source
    if source.suffix == ".cu":
        path = work / f"{source.name}.cpp"
        path.write_text(f'#line 1 "{source.name}"\n' + translate(source.read_text()))
    # The emulator itself is not watched: switching stacks is beyond the sanitizers.
    flags = ("-O2",) if source in EMULATOR else ("-O1", *CHECKS[checks])
    macro = ("-DEMULATOR_ADDRESS_SANITIZER",) if checks == "sanitizers" else ()
    torch_include = Path(torch.__file__).parent / "include"
    include = [f"-I{folder}" for folder in (FOLDER, SOURCES, torch_include)]
    output = work / f"{source.name}.o"
    command = [*COMMON_FLAGS, "-g1", *flags, *macro, *include, "-c", str(path), "-o", str(output)]
    _run(["g++", *command])
    return output


def _run(command: list[str]) -> None:
    done = subprocess.run(command, capture_output=True, text=True)
    if done.returncode != 0:
        raise RuntimeError(f"{' '.join(command)}\n{done.stderr[-4000:]}")


def _fingerprint() -> str:
    digest = hashlib.sha256(repr((COMMON_FLAGS, torch.__version__)).encode())
    for folder in (FOLDER, SOURCES):
        for path in sorted(folder.glob("*.*")):
            digest.update(path.name.encode() + path.read_bytes())
    return digest.hexdigest()[:16]
